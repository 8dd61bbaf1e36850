"""Progress of a local run: workers append to small files, the driver adds them up and shows them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

_handles: dict[str, int] = {}


def tick(folder: str | None, stage: str, *, documents: int = 0, num_bytes: int = 0, units: int = 0) -> None:
    """Tells the driver that a piece of work is done. Approximate by design: a retried bundle ticks twice."""
    if folder is None:
        return
    handle = _handles.get(folder)
    if handle is None:
        path = os.path.join(folder, str(os.getpid()))
        handle = _handles[folder] = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
    os.write(handle, json.dumps([stage, units, documents, num_bytes]).encode() + b"\n")


class Watch:
    """A thread that reads the ticks every so often and hands the sums to a callback."""

    def __init__(
        self, folder: str, show: Callable[[dict[str, Counter[str]]], None], *, interval_s: float = 1.0
    ) -> None:
        self._folder, self._show, self._interval_s = Path(folder), show, interval_s
        self._sums: dict[str, Counter[str]] = {}
        self._offsets: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Watch:
        self._folder.mkdir(parents=True, exist_ok=True)
        # What earlier jobs of the run ticked is not this one's.
        self._offsets.update({path.name: path.stat().st_size for path in self._folder.iterdir()})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._read()
        self._read()

    def _read(self) -> None:
        for path in sorted(self._folder.iterdir()):
            with path.open("rb") as file:
                file.seek(self._offsets[path.name])
                data = file.read()
            whole, _, _ = data.rpartition(b"\n")
            self._offsets[path.name] += len(whole) + 1 if whole else 0
            for line in whole.splitlines():
                stage, units, documents, num_bytes = json.loads(line)
                sums = self._sums.setdefault(stage, Counter())
                sums.update(units=units, documents=documents, num_bytes=num_bytes)
        self._show(self._sums)


def rate(num_bytes: int, started: float) -> float:
    """MB a second since a ``time.monotonic()``."""
    return num_bytes / 1e6 / max(time.monotonic() - started, 1e-9)
