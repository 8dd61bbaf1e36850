"""Shows the progress of a run: as a table on a terminal, as plain lines in a log, or, for a remote job, as a link."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipeline.progress.log_file import note
from pipeline.progress.ticks import STEP_MARK, Watch, rate
from pipeline.progress.work import Work
from tokenizer.numbers import counted

_LINE_EVERY_S = 10.0
_SURE_SHARE = 0.05
"""The remaining time is shown only after this share of a stage's work is done. Before that, an estimate would be too
uncertain."""


@dataclass(frozen=True, slots=True)
class StageRow:
    """Holds the progress of a stage."""

    stage: str
    units: int
    documents: int
    num_bytes: int
    seconds: float
    """Seconds from the start of the stage to its last progress. The first stage starts with its job, so its time
    includes the start of the workers."""
    work: Work | None
    idle_s: float = 0.0
    """Seconds since the last progress of the stage."""

    @property
    def share(self) -> float | None:
        """The share of the stage's work that is done, from 0 to 1; None if the amount of work is not known."""
        if self.work is None or not self.work.units:
            return None
        return min(1.0, self.units / self.work.units)

    @property
    def left_s(self) -> float | None:
        """The estimated number of seconds until the stage is done. None if too little is done for an estimate, or if
        the estimated time is over and the stage is not done.

        The estimate assumes that the stage goes on at its speed so far. While a large file is read, there is no
        progress; then the estimate counts down. In the example, three of four files were done after 12 seconds:

        >>> [StageRow("books: read", 3, 9, 0, 12.0, Work(4, 0), idle_s).left_s for idle_s in (0.0, 1.0)]
        [4.0, 3.0]
        """
        if self.share is None or self.share < _SURE_SHARE or not self.seconds:
            return None
        return counted_down(self.seconds, self.share, self.idle_s)

    @property
    def done(self) -> str:
        """The number of units (files or parts) that are done, as text. If the number of all units is known, the text
        also has this number.

        >>> StageRow("books: read", 3, 9, 0, 1.0, Work(12, 0)).done
        '3 of 12'
        """
        if self.share is not None and self.work is not None:
            return f"{min(self.units, self.work.units):,} of {self.work.units:,}"
        return f"{self.units:,}" if self.units else ""


def counted_down(seconds: float, share: float, idle_s: float) -> float | None:
    """Returns the estimated number of seconds until all of some work is done; 0 if all of it is done.

    Args:
        seconds: the time from the start of the work to its last progress.
        share: the share of the work that was done at the last progress, above 0 and at most 1.
        idle_s: the time since the last progress. It is subtracted from the estimate.

    Returns:
        None if the estimated time is over and the work is not done. Then the work has become slower.

    >>> [counted_down(10.0, 0.5, idle_s) for idle_s in (0.0, 4.0, 11.0)], counted_down(9.0, 1.0, 3.0)
    ([10.0, 6.0, None], 0.0)
    """
    left = seconds * (1 - share) / share
    if not left:
        return 0.0
    return left - idle_s if left > idle_s else None


class Display:
    """Shows the progress of a run, one job at a time."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True)

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does nothing: each job closes its own display."""

    def say(self, line: str) -> None:
        """Prints a line. Does nothing if the line is empty."""
        if line:
            self.console.print(line, highlight=False, markup=False)
            note(line)

    @contextlib.contextmanager
    def job(self, name: str, progress_dir: str | None, *, work: Mapping[str, Work] | None = None) -> Iterator[None]:
        """Shows the progress of a job until the job ends. ``work`` maps the label of a stage to its amount of work, for
        stages whose amount is known.
        """
        started = time.monotonic()
        board = _Board(name, work or {}, started)
        if progress_dir is None:
            yield
        elif self.console.is_terminal:
            with Live(board.table_now(), console=self.console, refresh_per_second=4, transient=True,
                      get_renderable=board.table_now), Watch(progress_dir, _Lines(note, board).show):  # fmt: skip
                yield
        else:
            with Watch(progress_dir, _Lines(self.say, board).show):
                yield
        self.say(f"{name}: done in {time.monotonic() - started:.1f} s")


class _Board:
    """Collects the progress of a job, summed over all workers. It has one row per stage."""

    def __init__(self, name: str, work: Mapping[str, Work], started: float) -> None:
        self.name, self.work, self.started = name, work, started
        self._sums: dict[str, Counter[str]] = {}
        self._times: dict[str, tuple[float, float]] = {}
        """Maps each stage to two times: the time of its first progress, and the time of its last progress."""
        self._lock = threading.Lock()

    def update(self, sums: Mapping[str, Mapping[str, int]]) -> None:
        now = time.monotonic()
        with self._lock:
            begun = self.started if not self._times else max(last for _, last in self._times.values())
            for stage, counts in sums.items():
                if STEP_MARK not in stage and self._sums.get(stage) != counts:
                    self._times[stage] = (self._times.get(stage, (begun, now))[0], now)
                    self._sums[stage] = Counter(counts)

    def rows(self) -> list[StageRow]:
        now = time.monotonic()
        with self._lock:
            return [
                StageRow(
                    stage, c["units"], c["documents"], c["num_bytes"], last - first, self.work.get(stage), now - last
                )
                for stage, c in self._sums.items()
                for first, last in [self._times[stage]]
            ]

    def left_s(self) -> float | None:
        """Returns the estimated seconds until the job ends. Returns None if too little is done for an estimate, or if
        the estimated time is over and the job still runs.

        Assumes that each stage takes time in proportion to its input bytes.
        """
        total = sum(w.num_bytes for w in self.work.values())
        done = sum(row.work.num_bytes * (row.share or 0.0) for row in self.rows() if row.work)
        with self._lock:
            last = max((last for _, last in self._times.values()), default=self.started)
        if not total or done < _SURE_SHARE * total:
            return None
        return counted_down(last - self.started, done / total, time.monotonic() - last)

    def heading(self) -> str:
        """Returns the name of the job, the seconds since its start, and the estimated time left."""
        left = self.left_s()
        return f"{self.name}, {time.monotonic() - self.started:.0f} s" + (f", {_about(left)} left" if left else "")

    def table_now(self) -> Table:
        table = Table(title=self.heading(), title_justify="left")
        for column in ("stage", "done", "documents", "MB", "MB/s", "left"):
            table.add_column(column, justify="left" if column == "stage" else "right")
        for row in self.rows():
            table.add_row(
                row.stage,
                row.done,
                f"{row.documents:,}",
                f"{row.num_bytes / 1e6:,.1f}",
                f"{rate(row.num_bytes, row.seconds):.1f}",
                "" if row.left_s is None else _about(row.left_s) if row.left_s else "done",
            )
        return table


class _Lines:
    """Prints lines for a log. Every ten seconds, it prints one line for each stage that has made progress since its
    last line.
    """

    def __init__(self, say: Callable[[str], None], board: _Board) -> None:
        self._say, self._board = say, board
        self._last = time.monotonic()
        self._told: dict[str, StageRow] = {}

    def show(self, sums: dict[str, Counter[str]]) -> None:
        self._board.update(sums)
        if time.monotonic() - self._last < _LINE_EVERY_S:
            return
        self._last = time.monotonic()
        for row in self._board.rows():
            before = self._told.get(row.stage)
            if before is None or (before.units, before.documents) != (row.units, row.documents):
                self._told[row.stage] = row
                self._say(f"{self._board.name} {self._last - self._board.started:5.0f} s  {line_of(row)}")
        left = self._board.left_s()
        self._say(f"{self._board.name}: {_about(left)} left" if left and left > _LINE_EVERY_S else "")


def line_of(row: StageRow) -> str:
    """Returns a line about a stage, for a log.

    >>> line_of(StageRow("books: read", 3, 9, 2_000_000, 4.0, Work(12, 0)))
    'books: read: 3 of 12, 9 documents, 2.0 MB, 0.5 MB/s, about 12 s left'
    """
    done = f"{row.done}, " if row.work else ""
    left = f", {_about(row.left_s)} left" if row.left_s else ""
    speed = rate(row.num_bytes, row.seconds)
    documents = counted(row.documents, "document")
    return f"{row.stage}: {done}{documents}, {row.num_bytes / 1e6:,.1f} MB, {speed:.1f} MB/s{left}"


def _about(seconds: float) -> str:
    """Returns a rough duration for people to read.

    >>> _about(42.4), _about(600), _about(7500)
    ('about 42 s', 'about 10 min', 'about 2 h 5 min')
    """
    if seconds < 120:
        return f"about {seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 120 else f"about {minutes // 60} h {minutes % 60} min"


def job_link(result: Any, options: PipelineOptions) -> str:
    """Returns the address of the page of a Dataflow job; empty for engines that have no such page."""
    job_id: Callable[[], str] | None = getattr(result, "job_id", None)
    cloud = options.view_as(GoogleCloudOptions)
    if not callable(job_id) or not cloud.project:
        return ""
    place = f"{quote(cloud.region or 'us-central1')}/{quote(str(job_id()))}"
    return f"https://console.cloud.google.com/dataflow/jobs/{place}?project={quote(cloud.project)}"
