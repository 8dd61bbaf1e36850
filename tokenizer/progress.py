"""Reports the progress of long work on stderr: how much was read, and how long a library has been working.

The training in a library is one call that reports nothing until it returns. Meanwhile, a thread prints the elapsed
time. The thread can run because the trainers of SentencePiece and fastText do not block other threads.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_EVERY_S = 10.0
"""The number of seconds between two lines, as in a run's log (our choice)."""
_FIRST_S = 1.0
"""In the first second of work (our choice), no line is printed. So a request that is refused at once prints only its
error.
"""
_Item = TypeVar("_Item")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Prints lines about the work of one command. Work that takes less than a second is not reported.

    >>> lines = []
    >>> progress = Progress("train", say=lines.append, every_s=0.0)
    >>> list(progress.reading(["ab", "c"], len))
    ['ab', 'c']
    >>> lines[0].rpartition(",")[0], lines[-1].rpartition(" in ")[0]
    ('train: reading: 1 documents, 0.0 MB', 'train: read 2 documents, 0.0 MB')
    """

    def __init__(self, name: str, *, say: Callable[[str], None] = _to_stderr, every_s: float = _EVERY_S) -> None:
        self._name, self._say, self._every_s = name, say, every_s
        self._title = ""
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """Prints a line that begins with the name of the command. If :meth:`working` has not printed yet what is being
        done, that is printed first."""
        with self._lock:
            title, self._title = self._title, ""
            for one in (title, line):
                if one:
                    self._say(f"{self._name}: {one}")

    def reading(self, items: Iterable[_Item], size: Callable[[_Item], int]) -> Iterator[_Item]:
        """Yields the items, and from time to time prints their number and size. ``size`` returns an item's bytes."""
        started = last = time.monotonic()
        num_items = num_bytes = 0
        has_told = False
        for item in items:
            num_items += 1
            num_bytes += size(item)
            now = time.monotonic()
            if now - last >= self._every_s:
                last, has_told = now, True
                self.say(f"reading: {num_items:,} documents, {num_bytes / 1e6:,.1f} MB, {now - started:.0f} s")
            yield item
        if has_told:
            seconds = time.monotonic() - started
            self.say(f"read {num_items:,} documents, {num_bytes / 1e6:,.1f} MB in {seconds:.0f} s")

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Reports the work inside the ``with`` block. ``what`` says what is being done, and is printed after a second.
        Then the elapsed time is printed every ``every_s`` seconds. If the work took at least ``every_s`` seconds, the
        whole time is printed at the end.
        """
        started = time.monotonic()
        stop = threading.Event()
        self._title = what

        def tell() -> None:
            if not stop.wait(min(_FIRST_S, self._every_s)):
                self.say("")
            while not stop.wait(self._every_s):
                self.say(f"{what}: {time.monotonic() - started:.0f} s so far")

        thread = threading.Thread(target=tell, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self._title = ""
        if time.monotonic() - started >= self._every_s:
            self.say(f"{what}: done in {time.monotonic() - started:.0f} s")


QUIET = Progress("", say=lambda _: None)
"""A progress that prints nothing, for callers that report progress themselves."""
