"""Forks worker processes. A test chooses the place in its work at which a worker dies or stops.

    WORKER_PYTHON worker_forks.py

Reads one JSON object of environment variables per line, forks a worker with them, and prints its process id. A fork
takes a tenth of a second, and starting Python with Beam takes several seconds. So a test can lose many workers.

The worker is the real one (:mod:`pipeline.engine.worker`, and Beam's). Before it works, its functions that write files
get stations. A station is a moment around a file: ``created`` (opened for writing), ``written`` (complete, but not yet
renamed to its final name) and ``renamed``. At each station the worker reads the file ``ORDERS/WORKER_ID``. It contains
``number what station countdown``, for example ``7 die written 2``: die (SIGKILL) at the second station ``written``.
The order ``stop`` is SIGSTOP: the worker stands still until it gets SIGCONT. The number makes orders different.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ORDERS = "WORKER_ORDERS"
"""The environment variable that names the folder of the orders."""
_PR_SET_PDEATHSIG = 1
_SIGNALS = {"die": signal.SIGKILL, "stop": signal.SIGSTOP}


class Stations:
    """Counts the stations that this worker passes, and carries out its order."""

    def __init__(self, path: Path) -> None:
        self._path, self._number, self._left = path, "", 0

    def pass_by(self, station: str) -> None:
        """Reads the order, and carries it out if this is the station that it names."""
        try:
            number, what, where, countdown = self._path.read_text().split()
        except (OSError, ValueError):  # there is no order
            return
        if number != self._number:
            self._number, self._left = number, int(countdown)
        if where == station:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), _SIGNALS[what])

    def build(self) -> None:
        """Puts the stations into the functions that write files."""
        from pipeline.engine import group_bytes
        from pipeline.files import files, spill

        create, rename = files.create_file, files.rename

        def created(path: str) -> Any:
            sink = create(path)
            self.pass_by("created")
            return sink

        def renamed(source: str, target: str) -> None:
            self.pass_by("written")
            rename(source, target)
            self.pass_by("renamed")

        for module in (files, spill, group_bytes):
            module.create_file = created  # type: ignore[attr-defined]
        files.rename = renamed


def _run(variables: dict[str, str], main: Callable[[], None]) -> None:
    """Turns this process into a worker. Does not return."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # ends with the process that forked it
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.environ.update(variables)
        Stations(Path(variables[ORDERS]) / variables["WORKER_ID"]).build()
        main()
        status = 0
    except BaseException:  # the process must end here, and not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    from apache_beam.runners.worker import sdk_worker_main  # noqa: F401 - imported once, before the forks

    from pipeline.engine import group_bytes, worker  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _run(json.loads(line), worker.main)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
