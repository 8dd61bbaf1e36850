"""Tests that a run takes a source from another run's output if that run cleaned the source in the same way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small import CONFIG, Small, shard_sums

from pipeline.clean.phase import prepare_sources
from pipeline.clean.why_not_reused import why_not_reused
from pipeline.output.paths import Layout
from pipeline.run import main
from pipeline.settings.settings import parse

pytestmark = pytest.mark.slow


def texts(out: Path, folder: str) -> dict[str, list[dict[str, Any]]]:
    parts = {p.relative_to(out): p for p in sorted((out / folder).rglob("part-*.parquet"))}
    return {str(name): pq.read_table(path).to_pylist() for name, path in parts.items()}


def stats(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (out / "stats").iterdir()}


def cleaned(said: str) -> list[str]:
    """Returns the printed lines about sources that the clean phase did not have to clean."""
    return [line for line in said.splitlines() if line.startswith("clean: ") and ("taken" in line or "already" in line)]


def test_everything_is_taken_if_nothing_changes(small: Small, small_done: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "second"
    assert small.run(out, f"--reuse={small_done}") == 0
    assert cleaned(capsys.readouterr().err) == [
        f"clean: c4, books taken from {small_done}",
        "clean: c4, books already complete",
    ]
    for folder in ("clean", "dropped"):
        assert texts(out, folder) == texts(small_done, folder) != {}
    assert stats(out) == stats(small_done)
    assert shard_sums(out) == shard_sums(small_done)


def test_a_changed_threshold_costs_only_its_source(small: Small, small_done: Path, tmp_path: Path, capsys: Any) -> None:
    config = tmp_path / "other.yaml"
    config.write_text(CONFIG.replace("min_num_words: 50", "min_num_words: 10"))
    given = ["--config", str(config), *small.inputs(), "--direct_num_workers=1"]
    assert main([*given, f"--output={tmp_path / 'alone'}"]) == 0
    capsys.readouterr()
    assert main([*given, f"--output={tmp_path / 'second'}", f"--reuse={small_done}"]) == 0
    assert cleaned(capsys.readouterr().err)[:2] == [
        f"clean: c4 taken from {small_done}",
        f"clean: books is not taken from {small_done}: "
        "sources.books.book_quality.min_num_words is 10 here and 50 there",
    ]
    assert len(texts(tmp_path / "second", "clean/books")) == 1
    for folder in ("clean", "dropped"):
        assert texts(tmp_path / "second", folder) == texts(tmp_path / "alone", folder)
    assert texts(tmp_path / "second", "clean/books") != texts(small_done, "clean/books")
    assert shard_sums(tmp_path / "second") == shard_sums(tmp_path / "alone")


def test_the_other_output_is_never_changed(small: Small, out: Path, tmp_path: Path) -> None:
    before = {p: (p.stat().st_size, p.read_bytes()) for p in out.rglob("*") if p.is_file() and p.name != "lock"}
    assert small.run(tmp_path / "second", f"--reuse={out}", "--seed=3") == 0
    assert small.run(tmp_path / "second", "--overwrite") == 0
    assert before == {p: (p.stat().st_size, p.read_bytes()) for p in before}


def test_a_part_that_was_changed_is_not_taken(small: Small, out: Path, tmp_path: Path, capsys: Any) -> None:
    (part,) = (out / "clean" / "c4").iterdir()
    part.write_bytes(part.read_bytes()[:-1])
    assert small.run(tmp_path / "second", f"--reuse={out}") == 0
    said = cleaned(capsys.readouterr().err)
    assert said[0] == f"clean: books taken from {out}"
    assert said[1].endswith("files of its clean documents are missing or were changed")


def test_why_a_source_is_not_taken(small: Small, small_done: Path, tmp_path: Path) -> None:
    settings = parse(small.args(tmp_path / "x"))
    (books,) = [one for one in prepare_sources(settings, settings.inputs, None) if one.source.name == "books"]
    other = Layout(str(small_done))
    assert why_not_reused(books, Layout(str(tmp_path))) == "it has no finished clean documents of this source"
    steps = books.source.steps
    for changed, said in (
        (replace(books.source, steps=steps[1:]), f"sources.books.{steps[0].NAME} is off here and on there"),
        (replace(books.source, reader=replace(books.source.reader, max_book_bytes=7)), "max_book_bytes is 7 here and"),
    ):
        assert said in why_not_reused(replace(books, source=changed, fingerprint="x"), other)
    fewer = replace(books.listing, files=books.listing.files[1:], written=books.listing.written[1:])
    assert why_not_reused(replace(books, listing=fewer, fingerprint="x"), other).startswith("the input files differ")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--reuse=OUT", "--output=OUT"], "--reuse and --output are both"),
        (["--reuse=OUT", "--phase=mix"], "with --phase=mix, --from DIR mixes them"),
        (["--reuse=NONE"], "there is no output of a run"),
    ],
)
def test_a_wrong_request_is_one_line(
    flags: list[str], said: str, small: Small, small_done: Path, tmp_path: Path, capsys: Any
) -> None:
    given = [flag.replace("OUT", str(small_done)).replace("NONE", str(tmp_path / "none")) for flag in flags]
    output = [] if "--output" in " ".join(given) else [f"--output={tmp_path / 'second'}"]
    assert main(["--config", str(small.config), *small.inputs(), *output, *given]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
