"""Two runs that begin in one new folder: whatever the order of their steps, nobody sees a traceback, a run that has
begun keeps its lock, and two refused runs leave nothing.

The steps are interleaved without threads or pauses: a trace function counts the lines that one run executes, and at the
n-th line the other run does its part. Every n is tried.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from mixtures.folder_lock import only_writer
from pipeline.files import files
from pipeline.output import lock
from pipeline.output.lock import only_run, reading
from pipeline.output.paths import Layout

FILES = {lock.__file__, files.__file__}
REFUSED = "the request is refused"


@contextlib.contextmanager
def at_line(number: int, action: Callable[[], object]) -> Iterator[list[int]]:
    """Calls ``action`` before the ``number``-th traced line in the files of the lock. Yields the count, as a list."""
    count = [0]

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            count[0] += 1
            if count[0] == number:
                sys.settrace(None)
                action()
                sys.settrace(trace)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)


def refused_run(output: Path) -> str:
    """Carries out a run that is refused after it has the lock. Returns the message of the refusal."""
    try:
        with only_run(Layout(str(output))):
            raise ValueError(REFUSED)
    except ValueError as error:
        return str(error)


def every_line(one_try: Callable[[int], int]) -> int:
    """Calls ``one_try`` with 1, 2, ... until the traced run has fewer lines. Returns how many lines it has."""
    for number in itertools.count(1):
        if one_try(number) < number:
            return number - 1
    raise AssertionError


def test_a_whole_refused_run_at_every_step_of_another(tmp_path: Path) -> None:
    def one_try(number: int) -> int:
        output = tmp_path / str(number) / "new" / "out"
        said: list[str] = []
        with at_line(number, lambda: said.append(refused_run(output))) as count:
            said.append(refused_run(output))
        assert all(REFUSED in one or "another run writes to it" in one for one in said), (number, said)
        assert not output.exists(), number
        return count[0]

    assert every_line(one_try) > 40


def test_a_run_that_ends_as_refused_at_every_step_of_one_that_begins(tmp_path: Path) -> None:
    def one_try(number: int) -> int:
        output = tmp_path / str(number) / "out"
        first = only_run(Layout(str(output)))
        first.__enter__()

        def end() -> None:
            assert not first.__exit__(ValueError, ValueError(REFUSED), None), "the refusal is what the user sees"

        is_begun = False
        with at_line(number, end) as count:
            try:
                with only_run(Layout(str(output))):
                    is_begun = True
                    assert (output / ".work" / "lock").is_file(), number
                    assert "another run writes to it" in refused_run(output), "the lock is that of the folder"
            except ValueError as error:
                assert "another run writes to it" in str(error), number  # noqa: PT017 - both ends are right
        if count[0] < number:
            end()
        assert is_begun or count[0] > 10
        return count[0]

    every_line(one_try)


def test_a_run_that_begins_at_every_step_of_one_that_is_refused(tmp_path: Path) -> None:
    def one_try(number: int) -> int:
        output = tmp_path / str(number) / "out"
        begun: list[Any] = []

        def begin() -> None:
            second = only_run(Layout(str(output)))
            try:
                second.__enter__()
            except ValueError as error:
                assert "another run writes to it" in str(error)  # noqa: PT017 - both ends are right
            else:
                begun.append(second)
                (output / ".work" / "sample").mkdir()

        with at_line(number, begin) as count:
            refused_run(output)
        if begun:
            assert (output / ".work" / "lock").is_file(), number
            assert (output / ".work" / "sample").is_dir(), number
            begun[0].__exit__(None, None, None)
        return count[0]

    every_line(one_try)


def test_a_reader_meets_a_run_that_is_refused(tmp_path: Path) -> None:
    """``--from`` and the commands that change finished shards open the same lock."""

    def read(output: Path) -> None:
        try:
            with reading(str(output)):
                pass
        except ValueError as error:
            assert "there is no output of a run" in str(error) or "writes to it" in str(error)  # noqa: PT017

    def one_try(number: int) -> int:
        output = tmp_path / str(number)
        with at_line(number, lambda: refused_run(output)) as count:
            (output / ".work").mkdir(parents=True)
            read(output)
        return count[0]

    every_line(one_try)


def test_a_lock_that_vanishes_stops_no_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".work").mkdir()
    (tmp_path / ".work" / "lock").touch()
    real = os.open

    def vanishing(path: Any, *args: Any, **kwargs: Any) -> int:
        Path(path).unlink() if str(path).endswith("lock") else None
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", vanishing)
    with only_writer(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing folder that no other run deletes, such as a working directory that is gone, does not loop for ever."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ValueError, match="cannot be written: No such file"):
        lock.check_writable("out")
