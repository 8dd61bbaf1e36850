"""Progress while a run runs: bars on a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipeline.progress import Watch, rate

_LINE_EVERY_S = 10.0


class Display:
    """What a person sees of a run. One job at a time."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True)

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to undo: each job closes its own display."""

    def say(self, line: str) -> None:
        """One line, if there is something to say."""
        if line:
            self.console.print(line, highlight=False, markup=False)

    @contextlib.contextmanager
    def job(self, name: str, progress_dir: str | None, *, num_bytes: int = 0) -> Iterator[None]:
        """Shows a job until it ends. ``num_bytes``: stored bytes of its input, if it is known."""
        started = time.monotonic()
        board = _Board(name, num_bytes, started)
        if progress_dir is None:
            yield
        elif self.console.is_terminal:
            with Live(board.table, console=self.console, refresh_per_second=4, transient=True, get_renderable=board.table_now) as _, \
                 Watch(progress_dir, board.update):  # fmt: skip
                yield
        else:
            with Watch(progress_dir, _Lines(self, board).show):
                yield
        self.say(f"{name}: done in {time.monotonic() - started:.1f} s")


class _Board:
    """The sums of all workers, a row a stage."""

    def __init__(self, name: str, num_bytes: int, started: float) -> None:
        self.name, self.num_bytes, self.started = name, num_bytes, started
        self._sums: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()
        self.table = Table(title=name)

    def update(self, sums: dict[str, Counter[str]]) -> None:
        with self._lock:
            self._sums = {stage: Counter(c) for stage, c in sums.items()}

    def rows(self) -> list[tuple[str, Counter[str]]]:
        with self._lock:
            return list(self._sums.items())

    def table_now(self) -> Table:
        table = Table(title=f"{self.name}, {time.monotonic() - self.started:.0f} s", title_justify="left")
        for column in ("stage", "units", "documents", "MB", "MB/s"):
            table.add_column(column, justify="left" if column == "stage" else "right")
        for stage, c in self.rows():
            table.add_row(stage, f"{c['units']:,}" if c["units"] else "", f"{c['documents']:,}", f"{c['num_bytes'] / 1e6:,.1f}",
                          f"{rate(c['num_bytes'], self.started):.1f}")  # fmt: skip
        return table


class _Lines:
    """A line every ten seconds about the stages that moved since the last."""

    def __init__(self, display: Display, board: _Board) -> None:
        self._display, self._board = display, board
        self._last = time.monotonic()
        self._told: dict[str, int] = {}

    def show(self, sums: dict[str, Counter[str]]) -> None:
        self._board.update(sums)
        if time.monotonic() - self._last < _LINE_EVERY_S:
            return
        self._last = time.monotonic()
        for stage, c in self._board.rows():
            if self._told.get(stage) != c["num_bytes"]:
                self._told[stage] = c["num_bytes"]
                seconds = time.monotonic() - self._board.started
                self._display.say(
                    f"{self._board.name} {seconds:5.0f} s  {stage}: {c['documents']:,} documents, "
                    f"{c['num_bytes'] / 1e6:,.1f} MB, {rate(c['num_bytes'], self._board.started):.1f} MB/s"
                )
