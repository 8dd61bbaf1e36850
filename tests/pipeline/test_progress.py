"""Tests the progress of a run: the counts of the workers are added up and shown, but never affect the output."""

from __future__ import annotations

import io
import multiprocessing
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.progress.display import Display
from pipeline.progress.ticks import Watch, tick


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


class Shown:
    def __init__(self) -> None:
        self.sums: dict[str, Counter[str]] = {}

    def __call__(self, sums: dict[str, Counter[str]]) -> None:
        self.sums = {stage: Counter(c) for stage, c in sums.items()}


def test_ticks_add_up_by_stage(folder: str) -> None:
    shown = Shown()
    with Watch(folder, shown, interval_s=0.01):
        tick(folder, "read", units=1, num_bytes=10)
        tick(folder, "read", units=1, documents=3, num_bytes=5)
        tick(folder, "write", documents=2)
        tick(None, "nobody listens", documents=99)
    assert shown.sums == {
        "read": Counter(units=2, documents=3, num_bytes=15),
        "write": Counter(units=0, documents=2, num_bytes=0),
    }


def _tick_from_a_worker(folder: str) -> None:
    for _ in range(50):
        tick(folder, "read", documents=1)


def test_ticks_of_several_processes_add_up(folder: str) -> None:
    shown = Shown()
    with Watch(folder, shown, interval_s=0.01):
        workers = [
            multiprocessing.get_context("fork").Process(target=_tick_from_a_worker, args=(folder,)) for _ in range(2)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert shown.sums["read"]["documents"] == 100


def test_what_an_earlier_job_told_is_not_this_one_s(folder: str) -> None:
    tick(folder, "clean", documents=5)
    shown = Shown()
    with Watch(folder, shown, interval_s=0.01):
        tick(folder, "tokenize", documents=1)
    assert set(shown.sums) == {"tokenize"}


def test_half_a_line_waits_for_its_end(folder: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    tick(str(other), "read", units=1, documents=2, num_bytes=3)
    (told,) = other.iterdir()
    line = told.read_text()
    shown = Shown()
    with Watch(folder, shown, interval_s=0.01), (Path(folder) / "worker").open("a") as file:
        for half in (line[:6], line[6:]):
            file.write(half)
            file.flush()
            time.sleep(0.05)
    assert dict(shown.sums["read"]) | {"units": 1, "documents": 2, "num_bytes": 3} == dict(shown.sums["read"])


def test_a_job_in_a_log_ends_with_its_time(folder: str) -> None:
    out = io.StringIO()
    with Display(Console(file=out, width=200)) as display, display.job("clean", folder):
        tick(folder, "books: read", units=1, documents=7, num_bytes=2_000_000)
    assert re.fullmatch(r"clean: done in \d+\.\d s", out.getvalue().splitlines()[-1])


def test_a_job_that_broke_off_is_not_done(folder: str) -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError), Display(Console(file=out)) as display, display.job("clean", folder):
        raise RuntimeError
    assert "done" not in out.getvalue()


def test_names_are_shown_as_they_are() -> None:
    out = io.StringIO()
    Display(Console(file=out, width=80)).say("a [bold]name[/bold]")
    Display(Console(file=out, width=80)).say("")
    assert out.getvalue() == "a [bold]name[/bold]\n"
