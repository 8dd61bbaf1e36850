"""Tests CommonCrawl dump by dump. A newer dump is cleaned alone, and the output equals that of a run over all dumps at
once.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small import prose, shard_sums

from pipeline import graph
from pipeline.clean.dumps import in_one_piece, split_into_dumps
from pipeline.run import main
from pipeline.settings.inputs import list_inputs
from pipeline.sources import SOURCES
from pipeline.sources.common_crawl import CommonCrawlReader

pytestmark = pytest.mark.slow

DUMPS = ("CC-MAIN-2017-04", "CC-MAIN-2018-05", "CC-MAIN-2019-09", "CC-MAIN-2020-05")
CONFIG: dict[str, Any] = {
    "name": "dumps",
    "mixture": {"weights": {"common_crawl": 100}, "tokens": 20_000, "max_epochs": 9, "validation": {"share": 0.1}},
    "tokenizer": {"vocab_size": 300, "lower_vocab_size": True},
    "shards": {"target_bytes": 20_000},
    "sources": {"common_crawl": {"language": False, "perplexity": False, "reference": False}},
}
NUM_PAGES = 24


def wet(dump: str, file: int) -> bytes:
    """Returns a WET file of a dump. Some pages occur only in this dump, and some in every dump. All have the same menu.
    One record id occurs in several dumps.
    """
    out = []
    for number in range(NUM_PAGES):
        is_again = number % 4 == 0
        seed = f"again {file} {number}" if is_again else f"{dump} {file} {number}"
        name = f"returning-{file}" if number == 1 else f"{dump}-{file}-{number}"
        block = f"Title\n{prose(seed, 120)}Menu of the site\n".encode()
        head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://{number}.example/{file}\r\n"
        head += f"WARC-Block-Digest: sha1:{hashlib.sha1(block).hexdigest()}\r\n"
        head += f"WARC-Record-ID: <urn:uuid:{name}>\r\nContent-Length: {len(block)}\r\n\r\n"
        out.append(gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0))
    random.Random(f"{dump} {file}").shuffle(out)
    return b"".join(out)


class Crawl:
    """Writes dumps, each in its own folder, and runs the pipeline on some of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "config.yaml").write_text(json.dumps(CONFIG))
        for dump in DUMPS:
            for file in range(2):
                path = root / "in" / dump / f"{file}.warc.wet.gz"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(wet(dump, file))

    def run(self, out: Path, dumps: Iterable[str], *more: str) -> None:
        inputs = [f"--input=common_crawl={self.root}/in/{dump}/*" for dump in dumps]
        config = [] if any(a.startswith("--config") for a in more) else [f"--config={self.root}/config.yaml"]
        assert main([*config, *inputs, f"--output={out}", "--direct_num_workers=1", *more]) == 0


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    return Crawl(tmp_path_factory.mktemp("crawl"))


@pytest.fixture(scope="module")
def fresh(crawl: Crawl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the output of a run over the first three dumps. All other runs use its tokenizer."""
    out = tmp_path_factory.mktemp("fresh") / "out"
    crawl.run(out, DUMPS[:3])
    shutil.copy(out / "tokenizer.model", crawl.root / "own.model")
    crawl.run(out, DUMPS[:3], f"--tokenizer={crawl.root}/own.model")
    return out


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns a list that gets the name of each job when the job starts."""
    jobs: list[str] = []

    def noting(name: str) -> Any:
        function = getattr(graph, name)

        def noted(pipeline: Any, given: Any) -> Any:
            jobs.extend(f"{name} {job.label}" for job in given)
            return function(pipeline, given)

        return noted

    for name in ("clean", "tokenize"):
        monkeypatch.setattr(graph, name, noting(name))
    return jobs


def with_near_dedup(crawl: Crawl, out: Path, **more: Any) -> tuple[str, ...]:
    """Writes a configuration with a near dedup within each dump. Returns the flags for it."""
    config = {**CONFIG, "sources": {"common_crawl": {**CONFIG["sources"]["common_crawl"], "line_dedup": False,
                                                     "near_dedup": {"scope": "dump"}}}, **more}  # fmt: skip
    path = out.parent / "near.yaml"
    path.write_text(json.dumps(config))
    for dump in DUMPS[:3]:  # copies of 16 pages, with one more line
        pages = gzip.decompress((crawl.root / "in" / dump / "0.warc.wet.gz").read_bytes()).decode()
        copied = []
        for number, record in enumerate(re.split(r"(?=WARC/1\.0\r\n)", pages)[1:17]):
            head, _, body = record.partition("\r\n\r\n")
            body = body.strip() + f"\nA last line of the copy {number}\n"
            head = re.sub(r"urn:uuid:", "urn:uuid:copy-", head)
            head = re.sub(r"sha1:\w+", f"sha1:{hashlib.sha1(body.encode()).hexdigest()}", head)
            head = re.sub(r"Content-Length: \d+", f"Content-Length: {len(body.encode())}", head)
            copied.append(gzip.compress(f"{head}\r\n\r\n{body}\r\n\r\n".encode(), mtime=0))
        extra = out.parent / "copies" / dump / "1.warc.wet.gz"
        extra.parent.mkdir(parents=True, exist_ok=True)
        extra.write_bytes(b"".join(copied))
    return (f"--config={path}", "--phase=clean")


def run_near(crawl: Crawl, out: Path, dumps: Iterable[str], *flags: str) -> int:
    folders = [folder for dump in dumps for folder in (crawl.root / "in" / dump, out.parent / "copies" / dump)]
    inputs = [f"--input=common_crawl={folder}/*" for folder in folders]
    return main([*inputs, f"--output={out}", "--direct_num_workers=1", *flags])


def pairs_by_file(out: Path) -> dict[str, Any]:
    return {path.name: pq.read_table(path).to_pylist() for path in sorted((out / "dedup").glob("*.parquet"))}


def test_a_near_dedup_within_dumps_leaves_earlier_dumps_alone(crawl: Crawl, tmp_path: Path, done: list[str]) -> None:
    flags = with_near_dedup(crawl, tmp_path / "out", dedup={"max_removed_share": 0.9, "min_documents": 10})
    assert run_near(crawl, tmp_path / "out", DUMPS[:2], *flags) == 0
    assert done == of("clean", *DUMPS[:2])
    first = pairs_by_file(tmp_path / "out")
    done.clear()
    assert run_near(crawl, tmp_path / "out", DUMPS[:3], *flags) == 0
    assert done == of("clean", DUMPS[2])
    found = pairs_by_file(tmp_path / "out")
    assert {name: rows for name, rows in found.items() if DUMPS[2] not in name} == first
    shutil.copytree(tmp_path / "copies", tmp_path / "again" / "copies")
    assert run_near(crawl, tmp_path / "again" / "out", DUMPS[:3], *flags) == 0
    assert pairs_by_file(tmp_path / "again" / "out") == found
    assert cleaned(tmp_path / "again" / "out") == cleaned(tmp_path / "out")
    stats = json.loads((tmp_path / "out" / "stats" / "common_crawl.json").read_text())
    num_pairs = sum(len(rows) for name, rows in found.items() if name.startswith("pairs-"))
    (stage,) = [row for row in stats["stages"] if row["stage"] == "near_dedup"]
    assert stage["dropped"] == {"near_duplicate": num_pairs}
    assert num_pairs >= 3 * 10
    (language,) = stats["near_dedup"]["languages"]
    assert (language["documents"], language["removed"]) == (stage["in"], num_pairs)
    assert run_near(crawl, tmp_path / "out", DUMPS[:1], *flags) == 0
    assert {name for name in pairs_by_file(tmp_path / "out") if DUMPS[0] not in name} == set()


def test_a_dump_above_a_ceiling_holds_its_source_back(
    crawl: Crawl, tmp_path: Path, done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = with_near_dedup(crawl, out, dedup={"max_removed_share": 0.05, "min_documents": 10})
    assert run_near(crawl, out, DUMPS[:2], *flags) == 1
    said = capsys.readouterr().err
    assert re.search(
        rf"near_dedup removed \d+ of \d+ documents \(\d+\.\d%\) of the source in {DUMPS[0]}, more than", said
    )
    assert "--accept-removal common_crawl" in said
    assert not (out / ".work" / "steps" / "clean-common_crawl.json").exists()
    done.clear()
    assert run_near(crawl, out, DUMPS[:2], *flags) == 1
    assert run_near(crawl, out, DUMPS[:2], *flags, "--accept-removal=common_crawl") == 0
    assert done == []
    assert (out / ".work" / "steps" / "clean-common_crawl.json").exists()


def of(step: str, *dumps: str) -> list[str]:
    return [f"{step} common_crawl@{dump}" for dump in dumps]


def rows(out: Path, kind: str) -> list[tuple[Any, ...]]:
    found = [row for path in sorted((out / kind / "common_crawl").iterdir()) for row in pq.read_table(path).to_pylist()]
    return sorted(
        tuple(str(value) for name, value in row.items() if name != "text" or kind == "clean") for row in found
    )


def cleaned(out: Path) -> dict[str, Any]:
    """Returns what the clean phase writes: documents, dropped documents with their reasons, and statistics."""
    stats = json.loads((out / "stats" / "common_crawl.json").read_text())
    return {
        "clean": rows(out, "clean"),
        "dropped": rows(out, "dropped"),
        "stats": {name: value for name, value in stats.items() if name not in ("tokens", "excluded_in_mix")},
        "files": sorted(p.name for p in (out / "clean" / "common_crawl").iterdir()),
    }


def everything(out: Path) -> dict[str, Any]:
    """Returns all results of a run, including the shards."""
    stats = json.loads((out / "stats" / "common_crawl.json").read_text())
    return cleaned(out) | {
        "num_tokens": stats["tokens"],
        "shards": shard_sums(out),
        "tokens": sorted(p.name for p in (out / ".work" / "tokens" / "common_crawl").iterdir()),
    }


def parts(out: Path, numbers: Iterable[int]) -> dict[int, tuple[int, bytes]]:
    """Returns a dict from the number of a clean file to its (modification time, content)."""
    found = {int(p.name[5:10]): p for p in (out / "clean" / "common_crawl").iterdir()}
    return {n: (found[n].stat().st_mtime_ns, found[n].read_bytes()) for n in numbers}


def test_the_pages_meet_across_dumps(fresh: Path) -> None:
    stats = json.loads((fresh / "stats" / "common_crawl.json").read_text())
    dropped = {s["stage"]: s["dropped"] for s in stats["stages"]}
    assert stats["documents"]["in"] == 3 * 2 * NUM_PAGES
    assert dropped["duplicate_id"] == {"duplicate_id": 4}
    assert dropped["duplicate_digest"] == {"duplicate_digest": 2 * 2 * NUM_PAGES // 4}
    for row in rows(fresh, "clean"):
        assert "Menu of the site" not in str(row)
    kept_from = {r["dump"] for p in (fresh / "clean" / "common_crawl").iterdir() for r in pq.read_table(p).to_pylist()}
    assert kept_from == set(DUMPS[:3])
    again = [r for r in rows(fresh, "dropped") if "duplicate_digest" in r]
    assert {value[:15] for row in again for value in row if value.startswith("CC-MAIN")} >= {DUMPS[0]}


def test_a_newer_dump_redoes_itself_alone_and_comes_to_the_same(
    crawl: Crawl, fresh: Path, done: list[str], tmp_path: Path
) -> None:
    out, given = tmp_path / "out", f"--tokenizer={crawl.root}/own.model"
    crawl.run(out, DUMPS[:1], given)
    for before, after in ((1, 2), (2, 3)):
        done.clear()
        old = parts(out, range(before))
        crawl.run(out, DUMPS[:after], given)
        assert done == [*of("clean", *DUMPS[before:after]), *of("tokenize", *DUMPS[before:after])]
        assert parts(out, range(before)) == old
    assert everything(out) == everything(fresh)


def test_an_older_dump_redoes_those_behind_it(crawl: Crawl, fresh: Path, done: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    crawl.run(out, (DUMPS[0], DUMPS[2]), "--phase=clean")
    done.clear()
    crawl.run(out, DUMPS[:3], "--phase=clean")
    assert done == of("clean", *DUMPS[1:3])
    assert cleaned(out) == cleaned(fresh)


def test_a_dump_taken_away_leaves_nothing(crawl: Crawl, fresh: Path, done: list[str], tmp_path: Path) -> None:
    out, given = tmp_path / "out", f"--tokenizer={crawl.root}/own.model"
    shutil.copytree(fresh, out)
    crawl.run(out, DUMPS, given)
    assert done == [*of("clean", DUMPS[3]), *of("tokenize", DUMPS[3])]
    assert len(everything(out)["files"]) == 4
    done.clear()
    crawl.run(out, DUMPS[:3], given)
    assert done == []
    assert everything(out) == everything(fresh)


def test_a_part_that_is_gone_redoes_its_dump(crawl: Crawl, fresh: Path, done: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(fresh, out)
    (part,) = (out / "clean" / "common_crawl").glob("part-00001-*")
    part.unlink()
    for path in (out / ".work" / "keys" / "common_crawl" / DUMPS[0]).iterdir():
        path.unlink()
    crawl.run(out, DUMPS[:3], "--phase=clean")
    assert done == of("clean", *DUMPS[:2]), "and the dump whose keys it asks for"
    assert cleaned(out) == cleaned(fresh)


def test_killed_between_two_dumps_it_goes_on_with_the_second(
    crawl: Crawl, fresh: Path, done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, given = tmp_path / "out", f"--tokenizer={crawl.root}/own.model"
    shutil.copytree(fresh, out)
    (out / ".work" / "steps" / "clean-common_crawl.json").unlink()
    (out / ".work" / "steps" / f"clean-common_crawl@{DUMPS[2]}.json").unlink()
    crawl.run(out, DUMPS[:3], given)
    assert done == of("clean", DUMPS[2])
    assert everything(out) == everything(fresh)
    done.clear()
    (out / ".work" / "steps" / "tokens-common_crawl.json").unlink()
    (out / ".work" / "steps" / f"tokens-common_crawl@{DUMPS[1]}.json").unlink()
    crawl.run(out, DUMPS[:3], given)
    assert done == of("tokenize", DUMPS[1])
    assert everything(out) == everything(fresh)


def test_a_scope_over_all_dumps_cleans_all_at_once(crawl: Crawl, done: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    sources = CONFIG["sources"]["common_crawl"] | {"line_dedup": {"scope": "all"}}
    (tmp_path / "all.yaml").write_text(json.dumps(CONFIG | {"sources": {"common_crawl": sources}}))
    for dumps in (DUMPS[:2], DUMPS[:3]):
        crawl.run(out, dumps, "--phase=clean", f"--config={tmp_path}/all.yaml")
    assert done == ["clean common_crawl"] * 2
    by_dump = tmp_path / "by dump"
    crawl.run(by_dump, DUMPS[:2], "--phase=clean")
    shutil.copytree(out / "clean", by_dump / "clean", dirs_exist_ok=True)  # as if both ways had written here
    crawl.run(by_dump, DUMPS[:2], "--phase=clean", f"--config={tmp_path}/all.yaml")
    assert not list((by_dump / ".work" / "steps").glob("*@*"))
    assert not (by_dump / ".work" / "keys" / "common_crawl").exists()


def test_what_a_dump_left_does_not_vouch_for_another(
    crawl: Crawl, fresh: Path, done: list[str], tmp_path: Path
) -> None:
    """A dump is removed, and another dump gets the numbers of its files. If the first dump returns, it must be cleaned
    and tokenized again.
    """
    out, given = tmp_path / "out", f"--tokenizer={crawl.root}/own.model"
    shutil.copytree(fresh, out)
    crawl.run(out, (DUMPS[0], DUMPS[3]), given)
    steps = {p.name for p in (out / ".work" / "steps").glob("*@*")}
    assert steps == {
        f"{step}-common_crawl@{dump}.json" for step in ("clean", "tokens") for dump in (DUMPS[0], DUMPS[3])
    }
    assert {p.name for p in (out / ".work" / "keys" / "common_crawl").iterdir()} == {DUMPS[0], DUMPS[3]}
    done.clear()
    crawl.run(out, DUMPS[:3], given)
    assert done == [*of("clean", *DUMPS[1:3]), *of("tokenize", *DUMPS[1:3])]
    assert everything(out) == everything(fresh)


def test_what_a_killed_run_had_begun_is_cleared_away(crawl: Crawl, fresh: Path, tmp_path: Path) -> None:
    out, given = tmp_path / "out", f"--tokenizer={crawl.root}/own.model"
    shutil.copytree(fresh, out)
    for folder in ("clean/common_crawl", "dropped/common_crawl", ".work/tokens/common_crawl"):
        (out / folder / "part-00001-of-00003.parquet.0123.tmp").write_bytes(b"begun")
    for step in ("clean", "tokens"):
        (out / ".work" / "steps" / f"{step}-common_crawl.json").unlink()
    crawl.run(out, DUMPS[:3], given)
    assert not list(out.rglob("*.tmp"))
    assert everything(out) == everything(fresh)


def test_a_file_of_another_form_belongs_to_the_dump_it_names(
    crawl: Crawl, fresh: Path, done: list[str], tmp_path: Path
) -> None:
    notes = crawl.root / "in" / DUMPS[2] / "notes.txt"
    notes.write_text("not a WET file")
    try:
        out = tmp_path / "out"
        shutil.copytree(fresh, out)
        crawl.run(out, DUMPS[:3], "--phase=clean")
        assert done == of("clean", DUMPS[2])
        assert json.loads((out / "stats" / "common_crawl.json").read_text())["records"] == {"unknown_form": 1}
    finally:
        notes.unlink()


def test_keys_that_are_gone_are_missed(
    crawl: Crawl, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the listing of the key files were wrongly empty, duplicates would be kept. So the number of keys that were
    written is compared with the number that were read.
    """
    out = tmp_path / "out"
    shutil.copytree(fresh, out)
    monkeypatch.setattr("pipeline.clean.dedup.earlier_dumps._paths", lambda files: [])
    with pytest.raises(AssertionError, match="assert 1 == 0"):
        crawl.run(out, DUMPS, "--phase=clean")
    printed = capsys.readouterr().err
    assert re.search(r"earlier dumps wrote \d+ keys of duplicate_\w+, 0 were read", printed)
    assert not (out / ".work" / "steps" / f"clean-common_crawl@{DUMPS[3]}.json").exists()


def test_a_run_says_why_it_is_not_by_dump(crawl: Crawl, tmp_path: Path, capsys: Any) -> None:
    other = tmp_path / "elsewhere.warc.wet.gz"
    other.write_bytes(wet(DUMPS[3], 0))
    inputs = [f"--input=common_crawl={crawl.root}/in/{DUMPS[0]}/*", f"--input=common_crawl={other}"]
    args = [f"--config={crawl.root}/config.yaml", *inputs, f"--output={tmp_path}/out", "--phase=clean"]
    assert main([*args, "--direct_num_workers=1"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert f"cleaned in one piece: {other} does not name a dump. If files are added, all are cleaned again" in told
    assert "or, if all are of one dump, set sources.common_crawl.reader.dump" in told


def test_a_dump_that_is_linked_is_cleaned_by_itself(tmp_path: Path) -> None:
    """The folder names the dump. The file that the link leads to need not."""
    (tmp_path / "0.warc.wet.gz").write_bytes(wet(DUMPS[0], 0))
    folder = tmp_path / "in" / DUMPS[0]
    folder.mkdir(parents=True)
    (folder / "0.warc.wet.gz").symlink_to(tmp_path / "0.warc.wet.gz")
    source, listing = SOURCES["common_crawl"], list_inputs("common_crawl", [str(tmp_path / "in")])
    assert in_one_piece(source, listing) == ""
    dumps = split_into_dumps(source, listing, lambda one: (), lambda one, also: "x")
    assert [dump.name for dump in dumps] == [DUMPS[0]]


@pytest.mark.parametrize("dump", ["..", "a/b", "2016 [old]", "*"])
def test_a_dump_is_named_like_a_file(dump: str) -> None:
    with pytest.raises(ValueError, match="dump must be a name"):
        CommonCrawlReader(dump=dump)


def run_across(crawl: Crawl, out: Path, dumps: Iterable[str], order: str) -> dict[str, Any]:
    """Cleans dumps, and C4 with copies of pages from two dumps. Returns the pairs of duplicates by (removed source,
    removed id).
    """
    root = crawl.root / "across"
    root.mkdir(exist_ok=True)
    own = {**CONFIG["sources"], "c4": {"c4_lines": False, "line_dedup": False, "c4_sentences": False}}
    own["common_crawl"] = {**own["common_crawl"], "line_dedup": False}
    (root / f"{order}.yaml").write_text(json.dumps({"sources": own, "dedup": {"across": order.split("-")}}))
    pages = [prose(f"{dump} 0 {number}", 120) for dump in DUMPS[:2] for number in (2, 3)] + [prose("only here", 90)]
    rows = [{"url": f"https://c4.example/{n}", "timestamp": "", "text": text} for n, text in enumerate(pages)]
    if not (path := root / "c4-train.0.json.gz").exists():  # a file that is written again is another input
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode(), mtime=0))
    inputs = [f"--input=common_crawl={crawl.root}/in/{dump}/*" for dump in dumps]
    inputs += [f"--input=c4={root}/*.json.gz", f"--config={root}/{order}.yaml", "--phase=clean"]
    assert main([*inputs, f"--output={out}", "--direct_num_workers=1"]) == 0
    found = [row for rows in pairs_by_file(out).values() for row in rows if row["overlap"] > 0.8]
    return {(row["removed_source"], row["removed_id"]): (row["kept_source"], row["kept_id"]) for row in found}


def test_a_source_after_the_dumps_loses_what_any_dump_has(crawl: Crawl, tmp_path: Path, done: list[str]) -> None:
    first = run_across(crawl, tmp_path / "out", DUMPS[:1], "common_crawl-c4")
    assert len(first) == 2
    assert {one for one, _ in first} == {"c4"}
    done.clear()
    both = run_across(crawl, tmp_path / "out", DUMPS[:2], "common_crawl-c4")
    assert done == [*of("clean", DUMPS[1]), "clean c4"]
    assert len(both) == 4
    assert run_across(crawl, tmp_path / "again", DUMPS[:2], "common_crawl-c4") == both
    for folder in ("clean/c4", "dedup/index/common_crawl", "dedup/index/c4"):
        sums = [{p.name: p.read_bytes() for p in (tmp_path / out / folder).glob("*")} for out in ("out", "again")]
        assert sums[0] == sums[1]
        assert sums[0]


def test_a_dump_loses_what_a_source_before_it_has(crawl: Crawl, tmp_path: Path, done: list[str]) -> None:
    first = run_across(crawl, tmp_path / "out", DUMPS[:1], "c4-common_crawl")
    assert len(first) == 2
    assert {one for one, _ in first} == {"common_crawl"}
    done.clear()
    both = run_across(crawl, tmp_path / "out", DUMPS[:2], "c4-common_crawl")
    assert done == of("clean", DUMPS[1])
    assert len(both) == 4
    stats = json.loads((tmp_path / "out" / "stats" / "common_crawl.json").read_text())
    (stage,) = [row for row in stats["stages"] if row["stage"] == "across_sources"]
    assert sum(stage["dropped"].values()) == 4
