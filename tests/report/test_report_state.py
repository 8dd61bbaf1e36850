"""Tests the report of incomplete outputs: it shows what exists and says what is missing."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.output.fingerprint import recorded
from pipeline.report.__main__ import main
from pipeline.report.build import render
from pipeline.report.output_state import CLEANED, UNFINISHED, WHOLE, _with_settings, read_state
from pipeline.report.settings import settings_of
from pipeline.sources import SOURCES
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.source import Source

Make = Callable[..., Path]


def test_a_run_that_did_not_finish_says_so_and_shows_what_there_is(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages, "books": pages}, is_finished=False)
    shutil.rmtree(out / "clean" / "books")
    (out / "stats" / "books.json").unlink()
    state = read_state(str(out))
    assert state.status == UNFINISHED
    page = render(state)
    assert "This run did not finish" in page
    assert "books.json is not there: the source is not finished" in page
    assert "There are no statistics of this source" in page
    assert "20 read = 6 kept + 14 dropped" in page
    assert 'id="mixture"' not in page


def test_a_refused_run_after_a_whole_one_says_whose_shards_there_are(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    (out / ".work" / "run.json").write_text(json.dumps({"finished": False, "phase": "mix"}))
    page = render(read_state(str(out)))
    assert "the shards and manifest.json are those of an earlier run" in page
    assert "there is no whole manifest.json" not in page


def test_a_run_of_the_clean_phase_alone_is_no_fault(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages}, is_finished=False)
    (out / ".work" / "run.json").write_text(json.dumps({"finished": True, "phase": "clean"}))
    state = read_state(str(out))
    assert state.status == CLEANED
    assert "The clean phase is done" in render(state)


def test_a_second_run_that_broke_off_is_not_the_first(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    assert read_state(str(out)).status == WHOLE
    (out / ".work" / "run.json").write_text(json.dumps({"finished": False, "phase": "all"}))
    assert read_state(str(out)).status == UNFINISHED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{not json", "cannot be read"),
        ("[]", "it holds no mapping"),
        ('{"documents": {"in": 1}}', "documents lacks one of in, kept"),
        ('{"documents": {"in": 1, "kept": 1}, "bytes": {"in": 1, "kept": 1}}', "stages is missing"),
        (
            '{"documents": {"in": 1, "kept": 1}, "bytes": {"in": 1, "kept": 1}, "stages": [{"name": "x"}]}',
            "a stage lacks one of stage, in, kept, bytes",
        ),
        (
            '{"documents": {"in": 1, "kept": 1}, "bytes": {"in": 1, "kept": 1}, "stages": '
            '[{"stage": "x", "in": 1, "kept": 1, "bytes": {}, "dropped": ["y"]}]}',
            "stage x: dropped is no mapping",
        ),
        (
            '{"documents": {"in": 1, "kept": 1}, "bytes": {"in": 1, "kept": 1}, "stages": [], "records": 3}',
            "records is no",
        ),
    ],
)
def test_statistics_of_another_version_are_told_and_passed_over(
    make_run: Make, pages: Any, text: str, said: str
) -> None:
    out = make_run({"common_crawl": pages, "books": pages})
    (out / "stats" / "books.json").write_text(text)
    state = read_state(str(out))
    assert any("books" in problem and said in problem for problem in state.problems)
    page = render(state)
    assert said in page
    assert "There are no statistics of this source" in page


def test_a_manifest_of_another_version_is_told(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    (out / "manifest.json").write_text('{"format": 99}')
    page = render(read_state(str(out)))
    assert "has format 99, this version reads 1" in page
    assert "20 read" in page


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_the_settings_that_a_run_records_are_read_again(source: Source) -> None:
    """Reads back the settings of all parts of a source, even if its reader or its join has no settings."""
    steps = {step.NAME: recorded(step) for step in source.steps}
    settings = {"reader": recorded(source.reader), "join": recorded(source.join), "steps": steps}
    assert _with_settings(source, json.loads(json.dumps(settings))) == source


def test_settings_of_another_version_are_told(make_run: Make, pages: Any) -> None:
    pages.settings = {"min_length": {"min_words": 3}}
    state = read_state(str(make_run({"common_crawl": pages})))
    assert any("settings are of another version" in p and "min_words" in p for p in state.problems)
    assert not state.sources[0].has_settings
    assert "limits are drawn at the defaults" in render(state)


def test_the_limits_are_those_of_the_run(make_run: Make, pages: Any) -> None:
    pages.settings = {"min_length": {"min_chars": 250}, "reference": {"min_score": 0.25}}
    page = render(read_state(str(make_run({"common_crawl": pages}))))
    assert "too_short &lt; 250" in page
    assert '<th scope="row" role="rowheader"><bdi>sources.common_crawl.min_length.min_chars</bdi></th>' in page


def test_nothing_was_dropped(make_run: Make, describe: dict[str, Any]) -> None:
    out = make_run({"books": describe["Part"]([describe["Kept"]("a", "A book.")])})
    page = render(read_state(str(out)))
    assert "No dropped document kept its text" in page
    assert 'id="samples-data"' not in page
    assert page.count("✓ holds") == 5


def test_nothing_was_kept(make_run: Make, describe: dict[str, Any]) -> None:
    fell = describe["Dropped"]("a", "min_length", "too_short", "3", {"num_chars": 3.0}, "abc")
    out = make_run({"common_crawl": describe["Part"]([], [fell]), "books": describe["Part"]()})
    page = render(read_state(str(out)))
    assert "1 read = 0 kept + 1 dropped" in page
    assert "0 read = 0 kept + 0 dropped" in page


def test_a_broken_part_is_told_and_the_rest_shown(make_run: Make, pages: Any) -> None:
    pages.num_parts = 3
    out = make_run({"common_crawl": pages})
    for folder in ("clean", "dropped"):
        file = sorted((out / folder / "common_crawl").iterdir())[1]
        file.write_bytes(file.read_bytes()[:40])
    page = render(read_state(str(out)))
    assert page.count("cannot be read whole: ") == 4, "each is named above the verdict and at its source"
    assert "Kept page number 0" in page


@pytest.mark.parametrize("folder", ["clean", "dropped"])
@pytest.mark.parametrize("column", ["id", "text", "signals"])
def test_one_changed_byte_is_told(make_run: Make, pages: Any, folder: str, column: str) -> None:
    out = make_run({"common_crawl": pages})
    (file,) = (out / folder / "common_crawl").iterdir()
    pages_of = pq.ParquetFile(file).metadata.row_group(0)
    chunks = (pages_of.column(number) for number in range(pages_of.num_columns))
    chunk = next(c for c in chunks if c.path_in_schema.split(".")[0] == column)
    data = bytearray(file.read_bytes())
    data[(chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 1] ^= 1
    file.write_bytes(data)
    assert f"common_crawl: {file} cannot be read whole: " in html.unescape(render(read_state(str(out))))


@pytest.mark.parametrize("name", ['say "cheese" & <b>', "Bücher 書籍", "it's", "-rf", "$HOME {{x}}"])
def test_names_with_quotes_and_unicode(make_run: Make, describe: dict[str, Any], name: str) -> None:
    part = describe["Part"](
        [describe["Kept"]("a", "x", "en", {name: 3.0})],
        [describe["Dropped"]("b", name, name, name, {name: 2.0}, name)],
        {name: 1},
        stages=(name,),
    )
    page = render(read_state(str(make_run({name: part}))))
    assert page.count("✓ holds") == 5
    shown = html.unescape(re.sub(r"<[^>]*>", "\0", page))
    assert f"\0{name}\0" in shown, "as it is, between two tags"
    assert "<" not in name or name not in page


def test_a_folder_that_is_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "is not the output of a run" in said
    assert said.count("\n") == 1
    assert main([str(tmp_path / "absent")]) == 2


def test_without_work_the_defaults_are_drawn(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    shutil.rmtree(out / ".work")
    state = read_state(str(out))
    assert state.status == WHOLE
    assert "were not found in .work" in render(state)


def test_a_step_that_the_configuration_added_is_known(make_run: Make, pages: Any) -> None:
    out = make_run({"c4": pages})
    marker = out / ".work" / "steps" / "clean-c4.json"
    said = json.loads(marker.read_text())
    said["about"]["settings"]["steps"]["near_dedup"] = recorded(MinHashDedup(max_overlap=0.6))
    marker.write_text(json.dumps(said))
    state = read_state(str(out))
    source = state.sources[0].source
    assert source is not None
    assert source.steps[-1] == MinHashDedup(max_overlap=0.6)
    assert settings_of(state)["sources.c4.near_dedup.max_overlap"] == "0.6"
