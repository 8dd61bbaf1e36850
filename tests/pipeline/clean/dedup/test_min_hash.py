"""Tests the near dedup of one source: which documents it removes, which kept document it names for each, and what it
writes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
from near_docs import Doc, doc, edited, grams, pairs_in
from small import prose
from toy import ToyReader, job_of, run_job, table, with_sizes, write_inputs

from filters.near.resolve import rank_of
from pipeline.clean.dedup.min_hash_keys import content_hash
from pipeline.clean.job import SourceJob
from pipeline.settings.dedup_settings import RemovalCeilings
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.source import Source

STEP = MinHashDedup()


def source(step: MinHashDedup = STEP) -> Source:
    return Source(name="books", reader=ToyReader(), steps=(step,), cite="none")


def corpus() -> list[Doc]:
    """Returns documents with many kinds of similarity: copies, edited copies, excerpts, menus around a text, templates
    with different data, and chains of edits. Some are similar to no other.
    """
    found = [doc(f"alone {n}", prose(f"alone {n}", 90 + n)) for n in range(30)]
    for n in range(6):
        text = prose(f"base {n}", 200 + 7 * n)
        words = text.split(" ")
        found += [
            doc(f"base {n}", text),
            doc(f"copy {n}", text, host="b.example", language="fr"),
            doc(f"edited {n}", edited(text, f"e{n}", 3), host="b.example"),
            doc(f"much edited {n}", edited(text, f"m{n}", 60)),
            doc(f"part {n}", " ".join(words[20:120]), language=None),
            doc(f"wrapped {n}", f"{prose('menu', 40)} {text} {prose(f'foot {n}', 60)}", host="c.example"),
        ]
    frame = prose("template", 60)
    found += [doc(f"template {n}", f"{prose(f'fill {n}', 45)} {frame} {prose(f'data {n}', 45)}") for n in range(80)]
    chain = prose("chain", 400).split(" ")
    found += [doc(f"chain {n}", " ".join(chain[n * 25 : n * 25 + 200 - n])) for n in range(6)]
    found += [doc(f"short {n}", "only five words in here") for n in range(3)] + [
        doc(f"empty {n}", "") for n in range(3)
    ]
    return found


def expected(documents: Sequence[Doc], step: MinHashDedup) -> dict[str, tuple[float, float, int, set[str]]]:
    """Compares all pairs of documents. Returns a dict from the id of each removed document to its (overlap, Jaccard
    similarity, shared n-grams, ids of kept documents that may be named).
    """
    sets = {d["id"]: grams(d["text"]) for d in documents}
    scopes = {d["id"]: "" if step.scope == "all" else d[step.scope] or "und" for d in documents}
    compared = [d for d in documents if len(sets[d["id"]]) >= step.min_ngrams]
    stays: list[str] = []
    gone: dict[str, tuple[float, float, int, set[str]]] = {}
    for one in sorted(compared, key=lambda d: (-len(sets[d["id"]]), content_rank(d))):
        name, own = one["id"], sets[one["id"]]
        found = []
        for other in (o for o in stays if scopes[o] == scopes[name]):
            shared = len(own & sets[other])
            containment, jaccard = shared / len(own), shared / len(own | sets[other])
            if step.overlap(containment, jaccard) > step.max_overlap:
                found.append((step.overlap(containment, jaccard), containment, jaccard, shared, other))
        if found:
            _, containment, jaccard, shared, _ = best = max(found, key=lambda f: f[0])
            gone[name] = containment, jaccard, shared, {f[4] for f in found if f[0] == best[0]}
        else:
            stays.append(name)
    return gone


def content_rank(d: Doc) -> bytes:
    return rank_of(0, 0, content_hash(d["id"], d["text"], (d["source"], d["language"], d["url"], d["date"])), b"")[:9]


def run(documents: Sequence[Doc], out: Path, *, step: MinHashDedup = STEP, files: int = 1, workers: int = 1,
        through_files: bool = True, ceilings: RemovalCeilings | None = None) -> dict[str, Any]:  # fmt: skip
    job = make_job(documents, out, step=step, files=files, through_files=through_files)
    return run_job(replace(job, ceilings=ceilings or RemovalCeilings()), num_workers=workers)


def make_job(documents: Sequence[Doc], out: Path, *, step: MinHashDedup = STEP, files: int = 1,
             through_files: bool = True) -> SourceJob:  # fmt: skip
    write_inputs(out / "in", documents, files)
    return job_of(source(step), out / "in", out, through_files=through_files)


@pytest.mark.parametrize(
    "step",
    [
        STEP,
        MinHashDedup(measure="jaccard"),
        MinHashDedup(max_overlap=0.5),
        MinHashDedup(method="sampled"),
        MinHashDedup(scope="language"),
    ],
    ids=["default", "jaccard", "half", "sampled", "scope"],
)
def test_the_removed_documents_are_those_of_a_comparison_of_all_pairs(tmp_path: Path, step: MinHashDedup) -> None:
    documents = corpus()
    stats = run(documents, tmp_path, step=step, files=2)
    gone = expected(documents, step)
    assert len(gone) >= 12
    rows = pairs_in(tmp_path, "pairs")
    assert {r["removed_id"] for r in rows} == set(gone)
    by_id = {d["id"]: d for d in documents}
    for row in rows:
        containment, jaccard, shared, kept = gone[row["removed_id"]]
        removed = by_id[row["removed_id"]]
        assert row["kept_id"] in kept
        assert row["kept_id"] not in gone
        assert (row["overlap"], row["jaccard"], row["num_shared"]) == (containment, jaccard, shared)
        assert (row["removed_source"], row["kept_source"], row["step"], row["rule_version"]) == (
            "books", "books", "near_dedup", 1,
        )  # fmt: skip
        assert row["removed_language"] == (removed["language"] or "und")
        assert row["removed_host"] == removed["url"].split("/")[2]
        assert row["kept_host"] == by_id[row["kept_id"]]["url"].split("/")[2]
    clean = table(str(tmp_path / "clean"))
    assert [d["id"] for d in clean] == sorted(set(by_id) - set(gone))
    assert all(d["text"] == by_id[d["id"]]["text"] for d in clean)
    sizes = {d["id"]: d["near_dedup_group_size"] for d in clean}
    assert {name: size for name, size in sizes.items() if size > 1} == {
        name: 1 + sum(r["kept_id"] == name for r in rows) for name in {r["kept_id"] for r in rows}
    }
    dropped = {r["id"]: r for r in table(str(tmp_path / "dropped"))}
    assert {r["id"]: r["detail"] for r in dropped.values()} == {r["removed_id"]: r["kept_id"] for r in rows}
    assert {n: r["signals"]["overlap"] for n, r in dropped.items()} == {
        n: step.overlap(found[0], found[1]) for n, found in gone.items()
    }
    (stage,) = stats["stages"]
    assert (stage["in"], stage["kept"]) == (len(documents), len(documents) - len(gone))
    assert stage["dropped"] == {"near_duplicate": len(gone)}
    assert stage["noted"]["documents_not_compared"] == 6
    near = stats["near_dedup"]
    assert sum(near["overlaps"].values()) == len(gone)
    assert sum(row["removed"] for row in near["languages"]) == len(gone)
    assert sum(row["removed"] for row in near["hosts"]) == len(gone)
    for row in near["hosts"]:
        assert row["documents"] == sum(row["name"] in d["url"] for d in documents)
    assert near["largest_groups"][0]["documents"] == max(sizes.values())
    assert stage["noted"]["pairs_verified"] >= len(gone) + stage["noted"]["pairs_rejected"]


def test_only_documents_of_a_scope_are_compared(tmp_path: Path) -> None:
    text = prose("scope", 100)
    dates = {"a": "2019", "b": "2019", "c": "2020", "d": None, "e": None}
    documents = [{**doc(name, text), "date": date} for name, date in dates.items()]
    stats = run(documents, tmp_path, step=MinHashDedup(scope="date"))
    (row,) = pairs_in(tmp_path, "pairs")
    assert {row["removed_id"], row["kept_id"]} == {"a", "b"}
    assert stats["stages"][0]["noted"]["documents_not_compared"] == 2
    assert stats["stages"][0]["noted"]["pairs_verified"] == 1


def test_a_chain_of_neighbours_is_not_removed_as_one(tmp_path: Path) -> None:
    documents = [d for d in corpus() if d["id"].startswith("chain")]
    run(documents, tmp_path)
    gone = {r["removed_id"]: r["kept_id"] for r in pairs_in(tmp_path, "pairs")}
    assert gone == {"chain 1": "chain 0", "chain 3": "chain 2", "chain 5": "chain 4"}


def test_template_pages_with_other_data_stay(tmp_path: Path) -> None:
    documents = [d for d in corpus() if d["id"].startswith("template")]
    stats = run(documents, tmp_path)
    assert stats["stages"][0]["kept"] == 80
    rejected = pairs_in(tmp_path, "rejected")
    assert len(rejected) == min(200, stats["stages"][0]["noted"]["pairs_rejected"])
    assert all(0.2 < r["overlap"] < 0.6 for r in rejected)


def output_of(folder: Path) -> Any:
    return (
        [{k: v for k, v in r.items() if k != "text"} for r in table(str(folder / "clean"))],
        [(r["id"], r["detail"], r["signals"]) for r in table(str(folder / "dropped"))],
        pairs_in(folder, "pairs"), pairs_in(folder, "rejected"), json.loads((folder / "stats.json").read_text()),
    )  # fmt: skip


@pytest.mark.slow
def test_the_outcome_depends_neither_on_files_nor_on_workers_nor_on_buckets(tmp_path: Path) -> None:
    documents = corpus()
    run(documents, tmp_path / "a", files=1)
    shuffled = list(documents)
    random.Random(5).shuffle(shuffled)
    run(shuffled, tmp_path / "b", files=7, workers=2)
    run(documents[::-1], tmp_path / "c", files=3, through_files=False)
    job = make_job(documents, tmp_path / "d", files=2)
    run_job(with_sizes(job, scale=replace(job.sizes.scale, num_line_buckets=64, num_key_buckets=3)))
    first = output_of(tmp_path / "a")
    assert len(first[2]) > 12
    for other in "bcd":
        assert output_of(tmp_path / other) == first


def test_documents_equal_in_everything_are_told_apart(tmp_path: Path) -> None:
    """A bad input has the same id many times. Each group of near duplicates still keeps exactly one document."""
    twin, other = doc("same", prose("twin", 100)), doc("same", prose("other", 100))
    stats = run([twin] * 300 + [other] * 2 + [doc("near", edited(twin["text"], "n", 1) + " " + prose("end", 30))],
                tmp_path, files=3)  # fmt: skip
    assert stats["stages"][0]["dropped"] == {"near_duplicate": 301}
    kept = {(d["id"], d["near_dedup_group_size"]) for d in table(str(tmp_path / "clean"))}
    assert kept == {("near", 301), ("same", 2)}


@pytest.mark.slow
def test_many_equal_documents_are_linear_work(tmp_path: Path) -> None:
    text = prose("equal", 120)
    work = {}
    for number in (300, 1200):
        job = make_job([doc(f"{n}", text) for n in range(number)], tmp_path / f"{number}", files=2)
        stats = run_job(replace(job, ceilings=RemovalCeilings(min_documents=10**9)))
        assert stats["stages"][0]["kept"] == 1
        assert stats["near_dedup"]["largest_groups"][0]["documents"] == number
        work[number] = stats["stages"][0]["noted"]["pairs_verified"]
        assert stats["stages"][0]["noted"]["pairs_not_compared"] > 0
    assert work[300] <= 12 * 300
    assert work[1200] <= 12 * 1200


@pytest.mark.slow
def test_a_document_of_fifty_megabytes(tmp_path: Path) -> None:
    letters = np.random.default_rng(3).integers(97, 123, (7_000_000, 7), np.uint8)
    letters[:, 6] = 32
    huge = letters.tobytes().decode()
    assert len(huge) == 49_000_000
    part = huge[7 * 1000 : 7 * 3000]
    stats = run([doc("huge", huge), doc("part", part), doc("copy", huge[: 7 * 6_900_000])], tmp_path)
    assert stats["stages"][0]["dropped"] == {"near_duplicate": 2}
    assert [(r["removed_id"], r["kept_id"], r["overlap"]) for r in pairs_in(tmp_path, "pairs")] == [
        ("copy", "huge", 1.0), ("part", "huge", 1.0),
    ]  # fmt: skip


def test_nothing_to_compare_writes_an_empty_sample(tmp_path: Path) -> None:
    stats = run([doc("a", ""), doc("b", "some words")], tmp_path)
    assert stats["documents"] == {"in": 2, "kept": 2, "dropped": 0}
    assert "near_dedup" not in stats
    assert pairs_in(tmp_path, "pairs") == []
    assert ds.dataset(str(tmp_path / "dedup")).count_rows() == 0


CEILINGS = [
    (RemovalCeilings(max_removed_share=0.1, min_documents=50), "of the source"),
    (RemovalCeilings(max_removed_share_of_language=0.9, max_removed_share=1.0, min_documents=5), "of language fr"),
    (RemovalCeilings(max_removed_share_of_host=0.6, max_removed_share=1.0, min_documents=5), "of host b.example"),
]


@pytest.mark.parametrize(("ceilings", "what"), CEILINGS, ids=["source", "language", "host"])
def test_a_broken_ceiling_leaves_the_source_incomplete(tmp_path: Path, ceilings: RemovalCeilings, what: str) -> None:
    run(corpus(), tmp_path, files=2, ceilings=ceilings)
    assert not (tmp_path / "marker.json").exists()
    message = json.loads((tmp_path / "marker.json.held").read_text())["refused"]
    assert what in message
    groups = message.partition("The largest groups:\n")[2].split("\n")
    assert 6 <= len(groups) <= 10
    assert all(" kept; " in line and " removed" in line for line in groups)


def test_an_unbroken_ceiling_changes_nothing(tmp_path: Path) -> None:
    run(corpus(), tmp_path, ceilings=RemovalCeilings(max_removed_share=0.2, max_removed_share_of_language=1.0,
                                                     min_documents=1))  # fmt: skip
    assert (tmp_path / "marker.json").exists()
