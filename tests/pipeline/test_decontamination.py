"""Tests whole runs that search for evaluation sets: dropped, cut and marked documents, their evidence, the report, and
dumps.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from small import CONFIG, Small, prose, shard_sums

from pipeline.run import main

pytestmark = pytest.mark.slow

NOWHERE = "which harbours of eldoria close when the northern beacons burn green"
EVIL = "<script>alert(1)</script> {{ 7 * 7 }}"


def write_set(folder: Path, name: str, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps({"k": key, "q": text}) + "\n" for key, text in texts.items()]
    (folder / f"{name}.jsonl").write_text("".join(rows))


def words(seed: str, num_words: int, first: int, last: int) -> str:
    return " ".join(prose(seed, num_words).split()[first:last])


def with_sets(small: Small, folder: Path, name: str = "config.yaml", action: str = "drop") -> Path:
    """Writes a configuration with two evaluation sets. Pages with items of the first set are dropped (by default), and
    books with items of the second are marked. One item of the first set occurs nowhere.
    """
    write_set(folder, "pages", {"p3": words("page 3", 90, 10, 40), "p7": words("page 7", 90, 5, 45), EVIL: NOWHERE})
    write_set(folder, "books", {"b0": words("book 0", 900, 100, 130)})
    sets = [
        {"name": "pages", "path": str(folder / "pages.jsonl"), "id": "k", "question": "q", "version": "1"},
        {"name": "<books>", "path": str(folder / "books.jsonl"), "id": "k", "question": "q", "action": "mark"},
    ]
    path = folder / name
    path.write_text(CONFIG + f"decontamination: {json.dumps({'sets': sets, 'action': action})}\n")
    return path


def run(small: Small, config: Path, out: Path, *more: str) -> int:
    return main(["--config", str(config), *small.inputs(), f"--output={out}", "--direct_num_workers=1", *more])


@pytest.fixture(scope="module")
def searched(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched")
    assert run(small, with_sets(small, folder / "evals"), folder / "out") == 0
    return folder / "out"


def ids(out: Path, kind: str, source: str) -> list[dict[str, Any]]:
    return ds.dataset(out / kind / source, format="parquet").to_table().to_pylist()


def test_what_is_found_is_dropped_or_marked_and_counted(searched: Path) -> None:
    dropped = {row["id"]: row for row in ids(searched, "dropped", "c4") if row["stage"] == "decontaminate"}
    assert {(row["reason"], row["detail"]) for row in dropped.values()} == {
        ("contamination", "pages/p3"), ("contamination", "pages/p7"),
    }  # fmt: skip
    stats = json.loads((searched / "stats/c4.json").read_text())
    stage = next(row for row in stats["stages"] if row["stage"] == "decontaminate")
    assert stage["dropped"] == {"contamination": 2}
    assert stage["in"] == stage["kept"] + 2
    hits = pq.read_table(searched / "decontamination/hits-00000-of-00001.parquet").to_pylist()
    assert {(hit["set"], hit["item"], hit["source"], hit["action"]) for hit in hits} == {
        ("pages", "p3", "c4", "drop"), ("pages", "p7", "c4", "drop"), ("<books>", "b0", "books", "mark"),
    }  # fmt: skip
    (book,) = [hit for hit in hits if hit["item"] == "b0"]
    (kept,) = [row for row in ids(searched, "clean", "books") if row["id"] == book["id"]]
    span = kept["text"][book["start_char"] : book["end_char"]]
    assert span.split() == words("book 0", 900, 100, 130).rstrip(".").split()
    signals = {one["name"]: one["value"] for one in kept["signals"]}
    assert (signals["contamination_hits"], signals["contamination_score"]) == (1.0, 1.0)


def test_manifest_card_and_report_say_what_was_searched(searched: Path) -> None:
    said = json.loads((searched / "manifest.json").read_text())["decontamination"]
    counts = {one["name"]: (one["items"], one["items_found"], one["documents_by_source"]) for one in said["sets"]}
    assert counts == {"pages": (3, 2, {"c4": 2}), "<books>": (1, 1, {"books": 1})}
    assert all(len(one["sha256"]) == 64 for one in said["sets"])
    card = (searched / "README.md").read_text()
    assert f"| pages | 1 | `{said['sets'][0]['sha256']}` | 3 | 3 | 2 | 2 | drop | 0 | mark |" in card
    assert "&lt;books>" in card
    index = (searched / "report/index.html").read_text()
    assert 'href="evaluation-set-000.html"' in index
    pages = (searched / "report/evaluation-set-000.html").read_text()
    for expected in ("Items that were found", "p3", "p7", "1 searched for and not found", "&lt;script&gt;alert(1)",
                     NOWHERE[:60]):  # fmt: skip
        assert expected in pages
    assert "<script" not in pages
    first = words("page 3", 90, 10, 14)
    assert pages.count(first) == 2, "the item's text, and the document's beside it"
    assert f"<mark>{first}" in pages
    assert (searched / "report/evaluation-set-001.html").exists()


def test_two_workers_give_the_same_bytes(small: Small, searched: Path, tmp_path: Path) -> None:
    config = with_sets(small, searched.parent / "evals")
    assert run(small, config, tmp_path / "out", "--direct_num_workers=2") == 0
    assert shard_sums(tmp_path / "out") == shard_sums(searched)
    for name in ("hits-00000-of-00001.parquet", "items.parquet", "summary.json"):
        one, two = ((out / "decontamination" / name).read_bytes() for out in (searched, tmp_path / "out"))
        assert one == two, name


def test_another_set_searches_again_and_no_set_leaves_nothing(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = with_sets(small, tmp_path / "evals", action="cut")
    assert run(small, config, out, "--phase=clean") == 0
    before = json.loads((out / "decontamination/summary.json").read_text())
    assert [one["action"] for one in before["sets"]] == ["cut", "mark"]
    assert "decontaminate" in {row["stage"] for row in json.loads((out / "stats/c4.json").read_text())["stages"]}
    write_set(tmp_path / "evals", "pages", {"p5": words("page 5", 90, 10, 40)})
    assert run(small, config, out, "--phase=clean") == 0
    after = json.loads((out / "decontamination/summary.json").read_text())
    assert [one["items_found"] for one in after["sets"]] == [1, 1]
    assert after["sets"][0]["sha256"] != before["sets"][0]["sha256"]
    config.write_text(CONFIG + "decontamination: false\n")
    assert run(small, config, out, "--phase=clean") == 0
    assert not (out / "decontamination").exists()
    assert not [row for row in ids(out, "dropped", "c4") if row["stage"] == "decontaminate"]


@pytest.mark.parametrize(
    ("given", "message"),
    [("{sets: nowhere.yaml}", "nowhere.yaml"), ("[{name: x, path: y.jsonl, question: q}]", "matches nothing")],
)
def test_sets_that_are_not_there_end_the_run_before_work(
    small: Small, tmp_path: Path, given: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG + f"decontamination: {given}\n")
    assert run(small, tmp_path / "config.yaml", tmp_path / "out") == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out/clean").exists()


# Dumps

DUMPS = ("CC-MAIN-2018-05", "CC-MAIN-2019-09")


def wet(dump: str) -> bytes:
    out = []
    for number in range(12):
        block = f"Title\n{prose(f'{dump} {number}', 120)}".encode()
        head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://{number}.example/\r\n"
        head += f"WARC-Block-Digest: sha1:{hashlib.sha1(block).hexdigest()}\r\n"
        head += f"WARC-Record-ID: <urn:uuid:{dump}-{number}>\r\nContent-Length: {len(block)}\r\n\r\n"
        out.append(gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0))
    return b"".join(out)


def test_dumps_are_searched_one_by_one(tmp_path: Path) -> None:
    for dump in DUMPS:
        (tmp_path / dump).mkdir()
        (tmp_path / dump / "0.warc.wet.gz").write_bytes(wet(dump))
    write_set(tmp_path, "set", {dump: words(f"{dump} 4", 120, 20, 60) for dump in DUMPS})
    sets = [{"name": "set", "path": str(tmp_path / "set.jsonl"), "id": "k", "question": "q", "action": "mark"}]
    config = {"sources": {"common_crawl": {"language": False, "perplexity": False, "reference": False}},
              "decontamination": {"sets": sets}}  # fmt: skip
    (tmp_path / "config.yaml").write_text(json.dumps(config))

    def clean(out: str, dumps: tuple[str, ...]) -> list[dict[str, Any]]:
        inputs = [f"--input=common_crawl={tmp_path}/{dump}/*" for dump in dumps]
        given = [f"--config={tmp_path}/config.yaml", *inputs, f"--output={tmp_path}/{out}", "--phase=clean"]
        assert main([*given, "--direct_num_workers=1"]) == 0
        hits = pq.read_table(tmp_path / out / "decontamination/hits-00000-of-00001.parquet").to_pylist()
        return sorted(hits, key=lambda hit: hit["id"])

    first = clean("grown", DUMPS[:1])
    assert [hit["item"] for hit in first] == [DUMPS[0]]
    old = sorted((tmp_path / "grown/clean/common_crawl").iterdir())[0].read_bytes()
    grown, fresh = clean("grown", DUMPS), clean("fresh", DUMPS)
    assert [hit["item"] for hit in grown] == list(DUMPS)
    assert grown == fresh
    assert sorted((tmp_path / "grown/clean/common_crawl").iterdir())[0].read_bytes() == old
    (tmp_path / "grown/decontamination/summary.json").unlink()
    assert clean("grown", DUMPS) == fresh, "a later run writes the table again from the parts"
