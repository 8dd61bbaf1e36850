"""Starts and ends the servers of an engine on this machine. Each server has a separate process group."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Unavailable(RuntimeError):  # noqa: N818 - the name says what it is
    """Raised if this machine cannot run an engine. The message says what is missing."""


SHORT_LIVED = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
"""Variables for Java programs that live for a minute. Without these flags they compile themselves for much of it."""


@dataclass
class Daemons:
    """Starts and ends servers. Their output is in the subfolder ``log`` of ``folder``."""

    folder: Path
    _daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, kw_only=True)

    @property
    def env(self) -> dict[str, str]:
        """The environment variables of every server."""
        return {**os.environ, **SHORT_LIVED}

    def start(self, name: str, command: Sequence[str], **env: str) -> None:
        """Starts a server, which gets the given name. Its output is appended to ``log/NAME.out``. The server ends when
        this process ends, also if this process is killed.
        """
        (self.folder / "log").mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            self._daemons[name] = subprocess.Popen(
                command, env={**self.env, **env}, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                cwd=self.folder, start_new_session=True, preexec_fn=_die_with_parent,
            )  # fmt: skip

    def end(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends a server and all processes of its group."""
        daemon = self._daemons.pop(name)
        if daemon.poll() is None:
            os.killpg(daemon.pid, number)
            daemon.wait(30)

    def end_all(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends all servers, the last one first."""
        for name in reversed(list(self._daemons)):
            self.end(name, number)

    def log(self, name: str) -> str:
        """Returns what a server has printed."""
        path = self.folder / "log" / f"{name}.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def until(self, is_so: Callable[[], bool], seconds: float, complaint: str) -> None:
        """Waits until ``is_so`` returns True. After ``seconds`` raises TimeoutError: an engine that is here must start.
        The message has ``complaint`` and the ends of the logs.
        """
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                logs = [f"{name}: {self.log(name)[-500:]}" for name in self._daemons]
                raise TimeoutError("\n".join([complaint, *logs]))
            time.sleep(0.3)


_PORTS_PER_PROCESS = 1000
_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_next_port = itertools.count(20_000 + _process * _PORTS_PER_PROCESS)
"""Ports below those that the system gives to connections. Each process of pytest-xdist has ports of its own, because
a server listens some seconds after its port was chosen.
"""


def free_ports(number: int) -> list[int]:
    """Returns ports on which nothing listens."""
    return list(itertools.islice((port for port in _next_port if _is_free(port)), number))


def free_range(number: int) -> int:
    """Returns the first of ``number`` consecutive ports on which nothing listens."""
    while True:
        ports = [next(_next_port) for _ in range(number)]
        if all(map(_is_free, ports)):
            return ports[0]


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("", port)).close()
    except OSError:
        return False
    return True


def answers(port: int) -> bool:
    """True if something listens on a port of this machine."""
    try:
        socket.create_connection(("localhost", port), 1).close()
    except OSError:
        return False
    return True
