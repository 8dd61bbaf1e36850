"""Tests the progress of long work: what is printed, and what is not."""

from __future__ import annotations

import time

import pytest

from tokenizer.progress import Progress


def test_a_library_at_work_is_told_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    with Progress("train-lm", say=lines.append, every_s=0.05).working("training"):
        time.sleep(0.3)
    assert lines[0] == "train-lm: training"
    assert lines[1].endswith("s so far")
    assert lines[-1].startswith("train-lm: training: done in")
    assert len(lines) >= 4


def test_short_work_prints_nothing() -> None:
    lines: list[str] = []
    progress = Progress("cutoffs", say=lines.append)
    assert list(progress.reading([b"abc"], len)) == [b"abc"]
    assert lines == []
    with progress.working("measuring"):
        pass
    assert lines == []


def test_what_is_being_done_is_printed_before_lines_about_it() -> None:
    """The work takes less than a second, but a line about it makes no sense alone."""
    lines: list[str] = []
    progress = Progress("train-lm", say=lines.append)
    with progress.working("training the pieces"):
        progress.say("the corpus is too small")
        progress.say("again")
    progress.say("done")
    assert lines == [f"train-lm: {one}" for one in ("training the pieces", "the corpus is too small", "again", "done")]


def test_an_error_is_passed_on_and_stops_the_lines() -> None:
    lines: list[str] = []
    with (
        pytest.raises(ValueError, match="too little"),
        Progress("t", say=lines.append, every_s=0.02).working("training"),
    ):
        raise ValueError("too little text")
    count = len(lines)
    time.sleep(0.1)
    assert len(lines) == count
    assert not any("done" in line for line in lines)
