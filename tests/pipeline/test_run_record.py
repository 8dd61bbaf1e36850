"""Tests what a run records about itself, and the progress that it shows."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console
from small import Small

from pipeline.output.paths import Layout
from pipeline.progress.display import Display, _Board, job_link
from pipeline.progress.run_record import read_record
from pipeline.progress.ticks import Totals, tick, tick_step, totals
from pipeline.progress.work import Work
from pipeline.run import main


def test_steps_and_memory_are_added_up(tmp_path: Path) -> None:
    folder = str(tmp_path)
    tick_step(folder, "books", "near_dedup", started=0.0, documents=3, num_bytes=10)
    tick_step(folder, "books", "near_dedup", started=0.0, documents=4, num_bytes=20)
    tick(folder, "books: read", units=1)
    found = totals(folder)
    assert found.stages["books/near_dedup"]["documents"] == 7
    assert found.stages["books/near_dedup"]["busy_us"] > 0
    (peak,) = found.peak_bytes.values()
    assert peak > 10e6
    assert totals(None) == Totals({}, {})


def test_time_left_is_told_of_a_stage_and_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("pipeline.progress.display.time.monotonic", lambda: now)
    board = _Board("clean", {"books: read": Work(10, 1000), "books: write": Work(4, 1000)}, started=100.0)
    now = 110.0
    board.update({"books: read": Counter(units=5, documents=50, num_bytes=20_000_000), "books/rules": Counter(units=1)})
    (row,) = board.rows()
    assert (row.done, row.left_s, row.seconds) == ("5 of 10", 10.0, 10.0)
    assert board.left_s() == pytest.approx(30.0), "a quarter of all is done"
    now = 120.0
    board.update({"books: read": Counter(units=10, documents=99, num_bytes=40_000_000)})
    now = 122.0
    board.update(
        {"books: read": Counter(units=10, documents=99, num_bytes=40_000_000), "books: write": Counter(units=1)}
    )
    read, write = board.rows()
    assert read.left_s == 0
    assert (write.seconds, write.left_s) == (2.0, 6.0), "from where the stage before it ended"
    now = 125.0
    _, write = board.rows()
    assert write.left_s == 3.0, "it counts down while nothing is reported"
    before = board.left_s()
    now = 126.0
    assert before is not None
    assert board.left_s() == pytest.approx(before - 1.0)
    now = 131.0
    assert board.rows()[1].left_s is None, "slower than before, nobody knows how much"
    now = 122.0
    drawn = io.StringIO()
    Console(file=drawn, width=120).print(board.table_now())
    text = drawn.getvalue()
    assert "10 of 10" in text
    assert "about 6 s" in text
    assert "left" in text.splitlines()[0]


def test_a_log_tells_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.progress.display._LINE_EVERY_S", 0.0)
    out = io.StringIO()
    work = {"books: read": Work(4, 10)}
    with Display(Console(file=out, width=200)) as display, display.job("clean", str(tmp_path), work=work):
        tick(str(tmp_path), "books: read", units=1, documents=7, num_bytes=2_000_000)
    assert "books: read: 1 of 4, 7 documents, 2.0 MB" in out.getvalue()
    assert "\x1b" not in out.getvalue(), "plain lines"


def test_a_job_elsewhere_has_a_link() -> None:
    options = PipelineOptions(["--project=my-project", "--region=europe-west4"])
    link = job_link(SimpleNamespace(job_id=lambda: "2026-01-01_abc"), options)
    place = "europe-west4/2026-01-01_abc"
    assert link == f"https://console.cloud.google.com/dataflow/jobs/{place}?project=my-project"
    assert job_link(SimpleNamespace(), options) == ""
    assert job_link(SimpleNamespace(job_id=lambda: "x"), PipelineOptions([])) == ""


@pytest.mark.slow
def test_a_run_that_breaks_off_leaves_a_record_that_says_so(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.phases.graph.tokenize", broken)
    with pytest.raises(KeyboardInterrupt):
        small.run(tmp_path / "out")
    record = read_record(Layout(str(tmp_path / "out")))
    assert record["finished"] is False
    assert record["settings"]["recipe"]["weights"] == {"c4": "60", "books": "40"}
    from pipeline.report.build import render
    from pipeline.report.output_state import read_state

    page = render(read_state(str(tmp_path / "out")))
    assert "This run did not finish" in page
    assert "books/*" not in page
    monkeypatch.undo()
    assert small.run(tmp_path / "out") == 0
    again = read_record(Layout(str(tmp_path / "out")))
    assert again["finished"] is True


@pytest.mark.slow
def test_a_run_again_keeps_the_times_of_what_was_whole(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert small.run(out) == 0
    path = out / ".work" / "run.json"
    first = json.loads(path.read_text())
    assert small.run(out) == 0
    second = json.loads(path.read_text())
    assert second["steps"] == first["steps"]
    assert second["worker_seconds"]["clean"] == first["worker_seconds"]["clean"]
    assert second["jobs"] == {}
    path.write_text("{broken")
    assert small.run(out) == 0, "what only the report reads breaks no run"


@pytest.mark.slow
def test_a_refused_request_leaves_the_record_of_a_finished_output(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A request for too many tokens is wrong. But this is known only after the tokens are counted."""
    from pipeline.report.output_state import WHOLE, read_state

    out = tmp_path / "out"
    assert small.run(out) == 0
    path = out / ".work" / "run.json"
    before = path.read_bytes()
    assert small.run(out, "--tokens=100M") == 2
    assert "the mixture cannot be made" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert read_state(str(out)).status == WHOLE
    assert small.run(out, "--tokens=100M", "--overwrite") == 2
    assert read_record(Layout(str(out)))["finished"] is False, "it has deleted what was finished"


@pytest.mark.slow
def test_a_refused_request_that_changed_the_output_is_not_finished(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert small.run(out) == 0
    config = tmp_path / "other.yaml"
    config.write_text(small.config.read_text().replace("min_num_words: 50", "min_num_words: 950"))
    given = small.args(out, "--tokens=100M")
    given[1] = str(config)
    assert main(given) == 2, "no book is left, and a new tokenizer is not trained"
    assert read_record(Layout(str(out)))["finished"] is False
