"""Plays several hosts on this machine with network namespaces: a driver and its workers. Each host has an address, a
table of host names and processes, which the other hosts do not share.

``Hosts.exec`` runs a program on one host. All hosts share this machine's disk, like real hosts with a network disk.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class NotPermitted(Exception):  # noqa: N818 - the name says what it is
    """Raised if this machine does not allow network namespaces. The message says why."""


def _ip(*args: str) -> None:
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPermitted(f"ip {' '.join(args)}: {done.stderr.strip()}")


_NUMBERS = itertools.count()


@dataclass
class Hosts:
    """Makes one network namespace per host, all on one bridge. The end of the ``with`` block deletes them."""

    names: Sequence[str]
    number: int = field(default_factory=lambda: (os.getpid() * 8 + next(_NUMBERS)) % 25_000)
    """A number in the names of the namespaces. Each instance has a different number, because the system deletes a
    namespace with some delay.
    """

    @property
    def prefix(self) -> str:
        return f"m{self.number}"

    @property
    def subnet(self) -> str:
        return f"10.{100 + self.number % 100}.{self.number // 100}"

    def address(self, name: str) -> str:
        return f"{self.subnet}.{self.names.index(name) + 1}"

    def namespace(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def __enter__(self) -> Hosts:
        if shutil.which("ip") is None or shutil.which("unshare") is None:
            raise NotPermitted("the programs ip and unshare are not here")
        try:
            self._up()
        except NotPermitted:
            self._down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._down()

    def _up(self) -> None:
        bridge = f"{self.prefix}br"
        _ip("link", "add", bridge, "type", "bridge")
        _ip("link", "set", bridge, "up")
        table = "127.0.0.1 localhost\n" + "".join(f"{self.address(n)} {n}.test {n}\n" for n in self.names)
        for number, name in enumerate(self.names):
            namespace, outer = self.namespace(name), f"{self.prefix}v{number}"
            _ip("netns", "add", namespace)
            _ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            _ip("link", "set", outer, "master", bridge, "up")
            _ip("-n", namespace, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "eth0", "up")
            _ip("-n", namespace, "link", "set", "lo", "up")
            folder = Path("/etc/netns") / namespace
            folder.mkdir(parents=True)
            (folder / "hosts").write_text(table)

    def _down(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", self.namespace(name)], capture_output=True, check=False)
            shutil.rmtree(Path("/etc/netns") / self.namespace(name), ignore_errors=True)
        subprocess.run(["ip", "link", "del", f"{self.prefix}br"], capture_output=True, check=False)

    def exec(self, name: str, command: Sequence[str], env: Mapping[str, str], **kwargs: Any) -> subprocess.Popen[str]:
        """Starts a program on a host. The program sees the host's name as the name of its machine."""
        whole = [
            "ip", "netns", "exec", self.namespace(name), "unshare", "--uts", "sh", "-c",
            f'hostname {name}.test; exec "$@"', "sh", *command,
        ]  # fmt: skip
        return subprocess.Popen(whole, env=dict(env), text=True, start_new_session=True, **kwargs)

    def processes(self, name: str) -> list[int]:
        done = subprocess.run(
            ["ip", "netns", "pids", self.namespace(name)], capture_output=True, text=True, check=False
        )
        return [int(line) for line in done.stdout.split()]

    def sent_bytes(self, name: str) -> int:
        """Returns the number of bytes that the host has sent and received over its network interface."""
        found = 0
        for side in ("rx_bytes", "tx_bytes"):
            path = f"/sys/class/net/{self.prefix}v{self.names.index(name)}/statistics/{side}"
            found += int(Path(path).read_text())
        return found
