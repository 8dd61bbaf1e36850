"""Tests runs whose configuration has a dedup across sources: what is dropped, resuming, comparison with earlier runs,
and refused settings.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small import CONFIG, Small, make, prose

from mixtures.inspect.__main__ import main as inspect
from pipeline.output.paths import Layout
from pipeline.settings.settings import parse
from pipeline.sources.across_step import AcrossDedup

DATE = "2019-04-25T12:57:54Z"
OFF = "line_dedup: off, c4_lines: off, c4_sentences: off"
ACROSS = "dedup: {across: [books, c4]}\n"


def edited(text: str, word: str) -> str:
    words = text.split(" ")
    words[len(words) // 2] = word
    return " ".join(words)


@pytest.fixture
def shared(tmp_path: Path) -> Small:
    """Returns the small corpus. Some C4 pages contain text of books: a whole book, an edited book, and a chapter of a
    third book.
    """
    small = make(tmp_path / "in")
    books = [(small.root / "books" / f"book{n}.txt").read_text() for n in range(3)]
    books[0] = books[0].strip("\n")
    (small.root / "books" / "book0.txt").write_text(books[0])
    chapter = "\n".join(books[2].split("\n")[3:9]) + "\n"
    texts = [
        books[0].strip("\n"),
        edited(books[1], "elsewhere"),
        chapter,
        chapter[: len(chapter) // 3] + prose("own", 200),
    ]
    rows = [
        {"url": f"https://b.example/{n}", "timestamp": "2019-04-25T12:57:54Z", "text": t} for n, t in enumerate(texts)
    ]
    path = small.root / "c4" / "c4-train.00003-of-00004.json.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode(), mtime=0))
    small.config.write_text(CONFIG.replace("sources: {", f"sources: {{c4: {{{OFF}}}, ") + ACROSS)
    return small


def rows_in(folder: Path, pattern: str) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob(pattern)) for row in pq.read_table(path).to_pylist()]


def sums(out: Path, *folders: str) -> dict[str, str]:
    paths = [p for folder in folders for p in sorted((out / folder).rglob("*.parquet"))]
    assert paths
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def stage_of(out: Path, source: str) -> dict[str, Any]:
    stats = json.loads((out / "stats" / f"{source}.json").read_text())
    (stage,) = [row for row in stats["stages"] if row["stage"] == "across_sources"]
    return stage


GONE = {f"https://b.example/{n}@{DATE}" for n in range(3)}


@pytest.mark.slow
def test_a_later_source_loses_what_an_earlier_one_has(
    shared: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert shared.run(out) == 0
    pairs = rows_in(out / "dedup", "pairs-c4-across_sources-*.parquet")
    assert {p["removed_id"] for p in pairs} == GONE
    assert {(p["removed_source"], p["kept_source"], p["kept_output"]) for p in pairs} == {("c4", "books", "")}
    dropped = {r["id"]: r for r in rows_in(out / "dropped" / "c4", "*.parquet") if r["stage"] == "across_sources"}
    assert {name: r["reason"] for name, r in dropped.items()} == {
        f"https://b.example/0@{DATE}": "duplicate_across_sources",
        f"https://b.example/1@{DATE}": "near_duplicate_across_sources",
        f"https://b.example/2@{DATE}": "near_duplicate_across_sources",
    }
    kept = {p["removed_id"]: p["kept_id"] for p in pairs}
    assert {name: r["detail"] for name, r in dropped.items()} == {n: f"books: {kept[n]}" for n in GONE}
    assert not GONE & {r["id"] for r in rows_in(out / "clean" / "c4", "*.parquet")}
    assert stage_of(out, "c4")["dropped"] == {"duplicate_across_sources": 1, "near_duplicate_across_sources": 2}
    assert "across_sources" not in (out / "stats" / "books.json").read_text()
    index = rows_in(out / "dedup" / "index" / "books", "*.parquet")
    assert len(index) == len(rows_in(out / "clean" / "books", "*.parquet")) == 5
    page = (out / "report" / "index.html").read_text()
    assert "near_duplicate_across_sources" in page
    capsys.readouterr()
    assert inspect([str(out), "--pair", "--source", "c4", "--max-chars", "3000"]) == 0
    assert capsys.readouterr().out.count("across_sources  overlap") == 3

    before = sums(out, "clean", "dropped", "dedup")
    assert shared.run(out) == 0
    assert "already complete" in capsys.readouterr().err
    assert sums(out, "clean", "dropped", "dedup") == before
    assert shared.run(tmp_path / "two", "--phase=clean", "--direct_num_workers=2") == 0
    assert sums(tmp_path / "two", "clean", "dropped", "dedup") == before
    assert shared.run(tmp_path / "reused", "--reuse", str(out), "--phase=clean") == 0
    assert "c4, books taken from" in capsys.readouterr().err
    assert sums(tmp_path / "reused", "clean", "dropped", "dedup") == before


@pytest.mark.slow
def test_a_change_of_an_earlier_source_cleans_the_later_one_again(
    shared: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert shared.run(out, "--phase=clean") == 0
    (shared.root / "books" / "book0.txt").write_text(prose("other", 900))
    assert shared.run(out, "--phase=clean") == 0
    assert stage_of(out, "c4")["dropped"] == {"near_duplicate_across_sources": 2}
    times = {p: p.stat().st_mtime_ns for p in (out / "clean" / "books").glob("*")}
    with gzip.open(shared.root / "c4" / "c4-train.00003-of-00004.json.gz", "at") as file:
        file.write(json.dumps({"url": "https://b.example/9", "timestamp": "", "text": prose("other", 900)}) + "\n")
    assert shared.run(out, "--phase=clean") == 0
    assert {p: p.stat().st_mtime_ns for p in (out / "clean" / "books").glob("*")} == times
    assert sum(stage_of(out, "c4")["dropped"].values()) == 3


@pytest.mark.slow
def test_a_run_against_an_earlier_output_is_equal_to_one_run(
    shared: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shared.run(tmp_path / "once", "--phase=clean") == 0
    old = tmp_path / "old"
    assert shared.run(old, "--phase=clean", "--sources=books") == 0
    config = shared.config.read_text()
    shared.config.write_text(config.replace(ACROSS, f"dedup: {{across: [c4], against: [{old}]}}\n"))
    new = tmp_path / "new"
    before = sums(old, "clean", "dedup")
    assert shared.run(new, "--phase=clean", "--sources=c4") == 0
    assert sums(old, "clean", "dedup") == before
    assert sums(new, "clean") == {k: v for k, v in sums(tmp_path / "once", "clean").items() if "books" not in k}
    assert {r["kept_output"] for r in rows_in(new / "dedup", "pairs-*.parquet")} == {"old"}
    assert stage_of(new, "c4") == stage_of(tmp_path / "once", "c4")
    capsys.readouterr()

    shared.config.write_text(
        config.replace(ACROSS, f"dedup: {{across: [c4], against: [{old}], near: {{ngram_words: 6}}}}\n")
    )
    assert shared.run(tmp_path / "refused", "--phase=clean", "--sources=c4") == 2
    said = capsys.readouterr().err
    assert f"the index of books in {old} was made with ngram_words 5, this run has 6" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "refused" / "clean").exists()
    shared.config.write_text(config.replace(ACROSS, f"dedup: {{across: [c4], against: [{old}]}}\n"))
    next((old / "clean" / "books").glob("*.parquet")).unlink()
    assert shared.run(tmp_path / "refused", "--phase=clean", "--sources=c4") == 2
    assert "is not as its run wrote it" in capsys.readouterr().err
    Path(Layout(str(old)).marker("clean-books")).unlink()
    assert shared.run(tmp_path / "refused", "--phase=clean", "--sources=c4") == 2
    assert f"books in {old} is not finished" in capsys.readouterr().err
    shutil.rmtree(old / "dedup" / "index")
    assert shared.run(tmp_path / "refused", "--phase=clean", "--sources=c4") == 2
    assert "has no index" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_of_some_sources_compares_with_the_stored_others(
    shared: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert shared.run(out, "--phase=clean", "--sources=c4") == 2
    assert "c4 is compared with books, which is neither in this run nor finished in" in capsys.readouterr().err
    assert shared.run(out, "--phase=clean", "--sources=books") == 0
    assert shared.run(out, "--phase=clean", "--sources=c4") == 0
    assert shared.run(tmp_path / "once") == 0
    assert sums(out, "clean", "dedup") == sums(tmp_path / "once", "clean", "dedup")
    capsys.readouterr()
    assert shared.run(out, "--phase=clean") == 0
    assert "already complete" in capsys.readouterr().err

    (shared.root / "books" / "book0.txt").write_text(prose("other", 900))
    assert shared.run(out, "--phase=clean", "--sources=books") == 0
    capsys.readouterr()
    assert shared.run(out, "--phase=mix") == 2
    said = capsys.readouterr().err
    assert "c4 was compared with books as it was before it was cleaned again" in said
    assert said.count("\n") == 1
    assert shared.run(out) == 0


@pytest.mark.slow
def test_a_run_stops_above_a_ceiling(shared: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = shared.config.read_text()
    shared.config.write_text(
        config.replace(ACROSS, "dedup: {across: [books, c4], max_removed_share: 0.01, min_documents: 9}\n")
    )
    assert shared.run(tmp_path / "out", "--phase=clean") == 1
    said = capsys.readouterr().err
    assert "across_sources removed 3 of 49 documents (6.1%) of the source, more than the ceiling of 1%" in said
    assert "2 documents: " in said
    assert shared.run(tmp_path / "out", "--phase=clean", "--accept-removal", "c4") == 0


@pytest.fixture
def args(tmp_path: Path) -> list[str]:
    inputs = [f"--input={name}=a" for name in ("wikipedia", "c4", "github")]
    return ["--config", str(tmp_path / "c.yaml"), *inputs, "--output", str(tmp_path / "o")]


def test_each_source_is_compared_with_those_before_it(args: list[str]) -> None:
    Path(args[1]).write_text(
        "dedup: {across: [c4, books, wikipedia], against: [/data/old/], near: {max_overlap: 0.9}}\n"
    )
    settings = parse(args)
    steps = {name: source.steps[-1] for name, source in settings.sources.items()}
    assert not isinstance(steps["github"], AcrossDedup)
    for name, before in {"c4": ("old",), "wikipedia": ("old", "c4", "books")}.items():
        step = steps[name]
        assert isinstance(step, AcrossDedup)
        assert step.before == before
        assert step.near is not None
        assert step.near.max_overlap == 0.9


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{across: [nothing]}", "'nothing' is not a source"),
        ("{across: [c4, c4]}", "names c4 twice"),
        ("{against: [old]}", "needs dedup.across"),
        ("{near: {max_overlap: 0.9}}", "dedup.near needs dedup.across"),
        ("{across: [c4], against: [a/old, b/old/]}", "two outputs have the folder name old"),
        ("{across: [c4], exact: off, near: off}", "exact and near are both off"),
        ("{across: [c4], near: {scope: dump}}", "dedup.near.scope is not a setting"),
        ("{across: [c4], near: {max_overlap: 0.2}}", "max_overlap must be from 0.3"),
        ("{acros: [c4]}", "dedup.acros is not a setting"),
        ("[c4]", "dedup must be a mapping"),
        ("{across: c4}", "dedup.across must be a list"),
    ],
)
def test_wrong_settings_are_refused(args: list[str], wrong: str, said: str) -> None:
    Path(args[1]).write_text(f"dedup: {wrong}\n")
    with pytest.raises(ValueError, match=said):
        parse(args)


def test_an_output_is_not_compared_with_itself(args: list[str], tmp_path: Path) -> None:
    Path(args[1]).write_text(f"dedup: {{across: [c4], against: [{tmp_path}/o/]}}\n")
    with pytest.raises(ValueError, match="are both"):
        parse(args)


def test_a_source_that_is_not_mixed_removes_nothing(args: list[str]) -> None:
    Path(args[1]).write_text(
        "name: x\nmixture: {weights: {c4: 100}, max_epochs: 4}\ntokenizer: {vocab_size: 400}\n"
        "dedup: {across: [wikipedia, c4]}\n"
    )
    with pytest.raises(ValueError, match="wikipedia has no weight in the recipe"):
        parse(args)
    assert parse([*args, "--phase=clean"]).across.across == ("wikipedia", "c4")
