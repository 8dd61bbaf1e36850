"""Reports the progress of a local run. Workers append numbers to small files. The driver (the process that started the
run) adds the numbers up and shows them.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_handles: dict[tuple[str, int], int] = {}
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
STEP_MARK = "/"
"""The character between source and step in the label of a step (``books/near_dedup``). Only the report shows such
labels."""


def tick(
    folder: str | None, stage: str, *, documents: int = 0, num_bytes: int = 0, units: int = 0, busy_s: float = 0.0
) -> None:
    """Reports progress to the driver: adds these numbers to the sums of a stage.

    The driver's sums are approximate: if Beam repeats work that failed, the work is reported twice.
    """
    if folder is None:
        return
    pid = os.getpid()
    handle = _handles.get((folder, pid))  # a forked process has its own file
    if handle is None:
        path = os.path.join(folder, str(pid))
        handle = _handles[folder, pid] = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT_BYTES
    line = [stage, units, documents, num_bytes, round(busy_s * 1e6), peak_bytes]
    os.write(handle, json.dumps(line).encode() + b"\n")


def tick_step(folder: str | None, source: str, step: str, *, started: float, documents: int, num_bytes: int) -> None:
    """Reports that a step ran on a batch. ``started`` is the ``time.perf_counter()`` at the start of the step."""
    if folder is not None:
        busy_s = time.perf_counter() - started
        tick(folder, source + STEP_MARK + step, documents=documents, num_bytes=num_bytes, busy_s=busy_s)


@dataclass(frozen=True, slots=True)
class Totals:
    """Holds the sums of all progress reports of a run."""

    stages: dict[str, dict[str, int]]
    """Maps each stage to its sums. The keys of the sums are ``units``, ``documents``, ``num_bytes`` and ``busy_us``."""
    peak_bytes: dict[str, int]
    """The peak resident memory in bytes of each process that reported, by process id."""


def totals(folder: str | None) -> Totals:
    """Adds up all reports of the workers since the beginning of the run."""
    if folder is None:
        return Totals({}, {})
    watch = Watch(folder, lambda sums: None)
    watch.read()
    return Totals({stage: dict(counts) for stage, counts in watch.sums.items()}, dict(watch.peak_bytes))


class Watch:
    """Runs a thread that shows the progress. Every ``interval_s`` seconds, the thread reads the workers' reports and
    calls ``show`` with the sums.
    """

    def __init__(
        self, folder: str, show: Callable[[dict[str, Counter[str]]], None], *, interval_s: float = 1.0
    ) -> None:
        self._folder, self._show, self._interval_s = Path(folder), show, interval_s
        self.sums: dict[str, Counter[str]] = {}
        self.peak_bytes: dict[str, int] = {}
        self._offsets: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Watch:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Skips the reports of earlier jobs of the run.
        self._offsets.update({path.name: path.stat().st_size for path in self._folder.iterdir()})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.read()
        self.read()

    def read(self) -> None:
        """Reads what the workers have reported since the last call, adds it to the sums, and calls ``show`` with the
        sums.
        """
        for path in sorted(self._folder.iterdir()):
            with path.open("rb") as file:
                file.seek(self._offsets[path.name])
                data = file.read()
            whole, _, _ = data.rpartition(b"\n")
            self._offsets[path.name] += len(whole) + 1 if whole else 0
            for line in whole.splitlines():
                stage, units, documents, num_bytes, busy_us, peak_bytes = json.loads(line)
                sums = self.sums.setdefault(stage, Counter())
                sums.update(units=units, documents=documents, num_bytes=num_bytes, busy_us=busy_us)
                self.peak_bytes[path.name] = max(peak_bytes, self.peak_bytes.get(path.name, 0))
        self._show(self.sums)


def rate(num_bytes: int, seconds: float) -> float:
    """Returns MB per second.

    >>> rate(3_000_000, 2.0), rate(1, 0.0)
    (1.5, 0.0)
    """
    return num_bytes / 1e6 / seconds if seconds > 0 else 0.0
