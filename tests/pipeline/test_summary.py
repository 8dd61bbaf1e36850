"""Tests the table that a run prints at its end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from small import Small

from pipeline.output.paths import Layout
from pipeline.progress.closing_table import HEADER, print_summary, rows
from pipeline.run import main
from pipeline.settings.settings import parse


def table(small: Small, out: Path, *more: str) -> list[dict[str, str]]:
    found = rows(Layout(str(out)), parse(small.args(out, *more)))
    return [dict(zip(HEADER, row, strict=True)) for row in found]


def test_every_number_is_that_of_the_files(small: Small, small_done: Path) -> None:
    manifest = json.loads((small_done / "manifest.json").read_text())
    found = table(small, small_done)
    assert [line["source"] for line in found] == ["c4", "books"]
    for line in found:
        stats = json.loads((small_done / "stats" / f"{line['source']}.json").read_text())
        mixed = manifest["sources"][line["source"]]
        assert line["documents in"] == f"{stats['documents']['in']:,}"
        assert line["kept"] == f"{stats['documents']['kept']:,}"
        assert line["tokens"] == f"{stats['tokens']:,}"
        assert float(line["weight"].removesuffix(" %")) == mixed["weight"]
        assert float(line["share"].removesuffix(" %")) == pytest.approx(mixed["share"], abs=1e-4)
        assert line["in the stream"] == f"{mixed['tokens']:,}"
        assert line["epochs"] == f"{mixed['epochs']:.2f}"
        assert float(line["seconds"]) >= 0, "what a source cost the workers; of no time the cell is empty"


def test_after_the_clean_phase_there_is_no_share(small: Small, small_done: Path) -> None:
    """After the clean phase, the table shows no shares, not even those of a mixture from an earlier run."""
    for line in table(small, small_done, "--phase=clean"):
        assert line["kept"]
        assert (line["share"], line["in the stream"], line["epochs"]) == ("", "", "")


def test_a_source_without_weight_has_a_line_and_a_sentence(
    small: Small, small_done: Path, tmp_path: Path, capsys: Any
) -> None:
    config = yaml.safe_load(Path(small.config).read_text())
    config["mixture"]["weights"] = {"books": 100}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    settings = parse([f"--config={path}", *small.args(small_done)[2:]])
    found = {row[0]: dict(zip(HEADER, row, strict=True)) for row in rows(Layout(str(small_done)), settings)}
    assert (found["c4"]["weight"], found["books"]["weight"]) == ("none", "100 %")
    print_summary(settings, Layout(str(small_done)), seconds=2.5, report="r")
    assert "c4: cleaned, and not mixed, because the recipe has no weight for it" in capsys.readouterr().out


def test_a_source_of_which_nothing_is_held_out_is_named(
    small: Small, small_done: Path, tmp_path: Path, capsys: Any
) -> None:
    """A small share of five books may be no book at all. Then there is no document to measure the validation loss of
    books.
    """
    config = yaml.safe_load(Path(small.config).read_text())
    config["mixture"]["validation"] = {"c4": {"share": 0.3}, "books": {"share": 0.000001}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    out = tmp_path / "out"
    given = ["--phase=mix", f"--from={small_done}", f"--output={out}", f"--config={path}", "--direct_num_workers=1"]
    assert main(given) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "is held out" in one]
    assert line.startswith("no document is held out for validation of books, because the share that the recipe asks")
    assert "mixture.validation: {books: {tokens: 10_000}}" in line
    assert "No document is held out for validation: books. The share" in (out / "report" / "index.html").read_text()
    assert main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_held_out"] == ["books"]


def test_of_a_source_that_was_not_run_there_is_no_line(small: Small, tmp_path: Path) -> None:
    assert table(small, tmp_path) == []


def test_what_is_printed(small: Small, small_done: Path, capsys: Any) -> None:
    report = str(small_done / "report" / ("x" * 150) / "index.html")
    print_summary(parse(small.args(small_done)), Layout(str(small_done)), seconds=2.5, report=report)
    said = capsys.readouterr().out
    manifest = json.loads((small_done / "manifest.json").read_text())
    assert "recipe small, seed 0" in said
    for word in (*HEADER, "c4", "books", "60.0000 %", "40.0000 %"):
        assert word in said
    assert f"{manifest['tokens']:,} tokens of {manifest['documents']:,} documents in 4 shards" in said
    assert "2.5 s" in said
    assert f"report: {report}\n" in said, "a path is never broken over lines"
    assert max(len(line) for line in said.splitlines() if not re.match("report:|no document", line)) <= 120


def test_a_stream_shorter_than_asked_for_says_which_source_limits_it(small: Small, small_done: Path,
                                                                     tmp_path: Path, capsys: Any) -> None:  # fmt: skip
    def said(*flags: str) -> str:
        assert small.run(tmp_path / "out", "--phase=mix", f"--from={small_done}", *flags) == 0
        return capsys.readouterr().out

    manifest = json.loads((small_done / "manifest.json").read_text())
    first = said()
    assert (
        f"the stream has {manifest['tokens']:,} of the 1,000,000 tokens that mixture.tokens asks for, because" in first
    )
    limiting = [s for s, one in manifest["sources"].items() if one["epochs"] > 2.99]
    assert f"because {limiting[0]} limits it" in first
    assert "limits it" in said(), "also if nothing had to be done"
    assert "limits it" not in said("--tokens=5K")


def test_how_many_documents_a_list_named(small: Small, small_done: Path, tmp_path: Path, capsys: Any) -> None:
    listed = tmp_path / "opt-outs.txt"
    listed.write_text("nobody.example\n")
    given = parse(small.args(small_done, f"--exclude={listed}"))
    print_summary(given, Layout(str(small_done)), seconds=2.5, report="r")
    assert f"0 documents are named by {listed}: see that its lines are ids, urls or hosts" in capsys.readouterr().out
