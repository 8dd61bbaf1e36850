"""Numbers the passes over a data set, the same in every process that iterates over a copy of it.

A ``DataLoader`` copies its data set into worker processes, for every pass anew or once for all, and tells neither side
which pass it is. The copies agree through a small temporary file that they lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

_MAX_PASSES = 64
"""Passes whose members are remembered: more than the iterators that one data set has at a time."""


class PassCounter:
    """Gives every iteration over a data set the next number, and all workers of one iteration the same one.

    >>> counter = PassCounter()
    >>> [counter.join("first", 0), counter.join("first", 1), counter.join("second", 0)]
    [0, 0, 1]
    """

    def __init__(self) -> None:
        handle, self._path = tempfile.mkstemp(prefix="passes-", suffix=".json")
        os.close(handle)
        weakref.finalize(self, _remove, self._path, os.getpid())

    def join(self, iteration: str, worker: int, *, number: int | None = None) -> int:
        """Returns the number of the pass that a worker begins.

        Args:
            iteration: identifies the iteration; the same for all its workers.
            worker: the worker's number. One that joins the same iteration again begins another pass.
            number: the number of the pass, where the worker knows it from a state that it was given.
        """
        with self._locked() as passes:
            for one in reversed(passes["joined"]):
                if one["iteration"] == iteration and worker not in one["workers"]:
                    one["workers"].append(worker)
                    return int(one["number"])
            found: int = passes["next"] if number is None else number
            passes["joined"].append({"iteration": iteration, "number": found, "workers": [worker]})
            del passes["joined"][:-_MAX_PASSES]
            passes["next"] = found + 1
            return found

    def restart(self, number: int) -> None:
        """Gives this number to the next iteration."""
        with self._locked() as passes:
            passes.update(next=number, joined=[])

    @contextlib.contextmanager
    def _locked(self) -> Iterator[dict[str, Any]]:
        """Reads the file, and writes it back if the block does not raise."""
        with open(self._path, "a+", encoding="utf-8") as file:  # made again where a copy outlives the first process
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            passes: dict[str, Any] = json.loads(file.read() or '{"next": 0, "joined": []}')
            yield passes
            file.seek(0)
            file.truncate()
            file.write(json.dumps(passes))


def _remove(path: str, process: int) -> None:
    if os.getpid() == process:  # a forked worker leaves the file to its parent
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
