"""Numbers the passes over a data set, so that all processes with a copy of it use the same number.

A ``DataLoader`` copies its data set into worker processes, either once or for every pass. The ``DataLoader`` does not
tell the processes the number of the pass. The copies agree on the number through a small temporary file that they lock.
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
"""The file lists the workers of only this many passes, the most recent ones. Older passes are not needed, because a
data set never has so many iterators at once."""


class PassCounter:
    """Numbers the passes over a data set. All workers of one pass get the same number.

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
            iteration: a text that identifies the pass. All workers of a pass give the same text.
            worker: the worker's number. If a worker gives the same text again, it begins another pass.
            number: the number of the pass, if the worker knows it from a loaded state. It is used if this worker is the
                first of the pass. All other workers of the pass get the same number as the first.
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
        """Makes the next pass get this number."""
        with self._locked() as passes:
            passes.update(next=number, joined=[])

    @contextlib.contextmanager
    def _locked(self) -> Iterator[dict[str, Any]]:
        """Locks the file, yields its contents, and writes them back if the block does not raise."""
        with open(self._path, "a+", encoding="utf-8") as file:  # creates it anew if a copy outlives the first process
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
