"""Tests the dedup across sources: which documents it drops, for which kept documents, and what its index contains."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from near_docs import Doc, doc, edited, grams, pairs_in
from small import prose
from toy import ToyReader, job_of, table, write_inputs

from filters.near.lookup import _MAX_PAIRS, nominate_kept
from pipeline.clean.dedup.index_files import kept_records
from pipeline.clean.job import KeptIndex, SourceJob
from pipeline.clean.source_graph import CleanSource
from pipeline.engine.runner import choose_engine
from pipeline.engine.unit_list import ReadUnitList
from pipeline.files.checked import DamagedFile
from pipeline.settings.dedup_settings import RemovalCeilings
from pipeline.sources.across_step import ACROSS, AcrossDedup
from pipeline.sources.dedup_steps import ExactDedup
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.source import Source

STEP = AcrossDedup()
Kept = Sequence[tuple[str, Sequence[Doc]]]


def run_source(name: str, documents: Sequence[Doc], out: Path, *, step: AcrossDedup = STEP,
               kept: Sequence[KeptIndex] = (), files: int = 1, workers: int = 1,
               through_files: bool = True) -> KeptIndex:  # fmt: skip
    """Cleans a source that is compared with the ``kept`` indexes. Returns its own index."""
    write_inputs(out / "in", documents, files)
    steps = (ExactDedup(NAME="duplicate_id", reason="duplicate_id", key="id"), *([step] if kept else []))
    source = Source(name=name, reader=ToyReader(), steps=steps, cite="none")
    job = job_of(source, out / "in", out, through_files=through_files)
    index = str(out / "dedup" / "index")
    job = replace(job, kept=tuple(kept), index_step=step, places=replace(job.places, index_dir=index),
                  ceilings=RemovalCeilings(min_documents=10**9))  # fmt: skip
    run_across(job, workers)
    return KeptIndex(name, "", index, str(out / "clean"), job.sizes.scale.num_parts)


def run_across(job: SourceJob, workers: int) -> None:
    engine = choose_engine([f"--direct_num_workers={workers}"])
    pipeline = beam.Pipeline(runner=engine.runner, options=engine.options)
    parts = [(number, part) for number, kept in enumerate(job.kept) for part in range(kept.num_parts)]
    earlier = ({ACROSS: pipeline | "parts" >> beam.Create(parts)},) if parts else ()
    _ = pipeline | "units" >> ReadUnitList(job.places.units_path) | "toy" >> CleanSource(job, earlier)
    pipeline.run().wait_until_finish()


def sources() -> tuple[list[Doc], list[Doc], list[Doc]]:
    """Returns the documents of three sources. The third one has copies, edits and parts of the first two."""
    first = [doc(f"first {n}", prose(f"base {n}", 150 + 9 * n)) for n in range(12)]
    first += [doc("tiny", "only four words here"), doc("empty", "")]
    second = [doc(f"second {n}", prose(f"second {n}", 120 + 5 * n)) for n in range(12)]
    second += [doc("longer", first[3]["text"] + " " + prose("more", 30)), doc("small", "a second tiny text")]
    third = [doc(f"alone {n}", prose(f"alone {n}", 100 + n)) for n in range(20)]
    for number in range(6):
        text = first[number]["text"]
        words = text.split(" ")
        third += [
            doc(f"copy {number}", text, host="b.example", language="fr"),
            doc(f"first {number}", edited(text, f"e{number}", 4)),  # its id is an id of the first source
            doc(f"much edited {number}", edited(text, f"m{number}", 60)),
            doc(f"part {number}", " ".join(words[20:90])),
            doc(f"wrapped {number}", f"{prose('menu', 25)} {text} {prose(f'foot {number}', 2000)}", host="c.example"),
            doc(f"a little longer {number}", f"{text} {prose(f'end {number}', 12)}"),
            doc(f"of second {number}", edited(second[number]["text"], f"s{number}", 2)),
        ]
    third += [doc("tiny too", "only four words here"), doc("tiny three", "only four words there"), doc("nothing", "")]
    return first, second, third


def expected(new: Sequence[Doc], kept: Kept, step: AcrossDedup) -> dict[str, tuple[str, str, str, float]]:
    """Compares all pairs. Returns (reason, kept source, kept id, overlap) by the id of the removed document."""
    gone: dict[str, tuple[str, str, str, float]] = {}
    sets = {id(d): grams(d["text"]) for _, documents in kept for d in documents}
    for one in new:
        own, found = grams(one["text"]), []
        for number, (source, documents) in enumerate(kept):
            for other in documents:
                theirs = sets[id(other)]
                if step.exact and one["text"] and one["text"] == other["text"]:
                    found.append(((0, 0.0, number, -len(theirs)), (step.EQUAL, source, other["id"], 1.0)))
                elif step.near and min(len(own), len(theirs)) >= step.near.min_ngrams:
                    shared = len(own & theirs)
                    overlap = step.near.overlap(shared / len(own), shared / len(own | theirs))
                    if overlap > step.near.max_overlap:
                        found.append(((1, -overlap, number, -len(theirs)), (step.NEAR, source, other["id"], overlap)))
        if found:
            gone[one["id"]] = min(found)[1]
    return gone


def outcome(out: Path) -> dict[str, tuple[str, str, str, float]]:
    rows = {r["id"]: r for r in table(str(out / "dropped")) if r["stage"] == ACROSS}
    pairs = {r["removed_id"]: r for r in pairs_in(out, "pairs")}
    assert rows.keys() == pairs.keys()
    for name, row in rows.items():
        assert row["detail"] == f"{pairs[name]['kept_source']}: {pairs[name]['kept_id']}"
    return {n: (r["reason"], pairs[n]["kept_source"], pairs[n]["kept_id"], r["signals"]["across_overlap"])
            for n, r in rows.items()}  # fmt: skip


STEPS = {
    "default": STEP,
    "jaccard": AcrossDedup(near=MinHashDedup(measure="jaccard", max_overlap=0.7)),
    "exact": AcrossDedup(near=None),
    "near": AcrossDedup(exact=False),
    "sampled": AcrossDedup(near=MinHashDedup(method="sampled", keep_one_in=4)),
}


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_the_removed_documents_are_those_of_a_comparison_of_all_pairs(tmp_path: Path, step: AcrossDedup) -> None:
    first, second, third = sources()
    one = run_source("wikipedia", first, tmp_path / "1", step=step, files=2)
    two = run_source("books", second, tmp_path / "2", step=step, kept=[one])
    run_source("c4", third, tmp_path / "3", step=step, kept=[one, two], files=3)
    gone_of_second = expected(second, [("wikipedia", first)], step)
    assert outcome(tmp_path / "2") == gone_of_second
    stays = [d for d in second if d["id"] not in gone_of_second]
    gone = expected(third, [("wikipedia", first), ("books", stays)], step)
    assert len(gone) >= 6
    assert outcome(tmp_path / "3") == gone
    by_id = {d["id"]: d for d in third}
    clean = table(str(tmp_path / "3" / "clean"))
    assert [d["id"] for d in clean] == sorted(set(by_id) - set(gone))
    assert all(d["text"] == by_id[d["id"]]["text"] for d in clean)
    stats = json.loads((tmp_path / "3" / "stats.json").read_text())
    assert sum(stats["across_sources"]["overlaps"].values()) == len(gone)
    assert stats["stages"][-1]["in"] - stats["stages"][-1]["kept"] == len(gone)
    for row in stats["across_sources"]["hosts"]:
        assert row["documents"] == sum(row["name"] in d["url"] for d in third)


def output_of(folder: Path) -> Any:
    stats = json.loads((folder / "stats.json").read_text())
    return (
        table(str(folder / "clean")), [(r["id"], r["detail"], r["signals"]) for r in table(str(folder / "dropped"))],
        pairs_in(folder, "pairs"), pairs_in(folder, "rejected"), stats,
    )  # fmt: skip


@pytest.mark.slow
def test_the_outcome_depends_neither_on_files_nor_on_workers(tmp_path: Path) -> None:
    first, _, third = sources()
    first += [{**first[5], "id": "twin"}]  # two kept documents are equally good
    shuffled = [list(first), list(third)]
    for documents in shuffled:
        random.Random(4).shuffle(documents)
    one = run_source("wikipedia", first, tmp_path / "1")
    run_source("c4", third, tmp_path / "a", kept=[one])
    other = run_source("wikipedia", shuffled[0], tmp_path / "1b", files=5)
    run_source("c4", shuffled[1], tmp_path / "b", kept=[other], files=4, workers=2)
    run_source("c4", third[::-1], tmp_path / "c", kept=[other], files=3, through_files=False)
    wanted = output_of(tmp_path / "a")
    assert len(wanted[2]) > 12
    assert output_of(tmp_path / "b") == wanted
    assert output_of(tmp_path / "c") == wanted


@pytest.mark.slow
def test_hot_keys_are_linear_work(tmp_path: Path) -> None:
    """Many kept pages and many new pages share one template. Each new page is compared with only a few kept pages."""
    frame = prose("template", 90)
    kept = [doc(f"k{n}", f"{frame} {prose(f'kept {n}', 60)}") for n in range(200)]
    new = [doc(f"n{n}", f"{frame} {prose(f'new {n}', 60)}") for n in range(300)] + [{**kept[7], "id": "copy"}]
    one = run_source("wikipedia", kept, tmp_path / "1")
    run_source("c4", new, tmp_path / "2", kept=[one], files=2)
    assert outcome(tmp_path / "2") == {"copy": ("duplicate_across_sources", "wikipedia", "k7", 1.0)}
    stats = json.loads((tmp_path / "2" / "stats.json").read_text())
    noted = stats["stages"][-1]["noted"]
    assert noted["pairs_not_compared"] > 0
    assert noted["pairs_verified"] < len(kept) * len(new) / 3


def test_a_damaged_index_stops_the_run(tmp_path: Path) -> None:
    first, _, _ = sources()
    index = run_source("wikipedia", first, tmp_path)
    path = max((Path(index.path(part)) for part in range(index.num_parts)), key=lambda p: p.stat().st_size)
    assert pq.read_metadata(path).num_rows
    part = int(path.name[5:10])
    assert sum(len(r) for r in kept_records(index, 0, part, exact=True)) > 14
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DamagedFile):
        list(kept_records(index, 0, part, exact=True))
    with pytest.raises((DamagedFile, FileNotFoundError)):
        list(kept_records(replace(index, num_parts=99), 0, 0, exact=True))


@pytest.mark.parametrize("num_kept", [5, 64, 65, 400])
def test_the_pairs_of_a_key_are_bounded(num_kept: int) -> None:
    lengths = np.arange(num_kept, 0, -1) * 10
    (found,) = nominate_kept(
        np.full(num_kept, 7, np.uint64), np.arange(num_kept), lengths,
        np.array([7, 7, 9], np.uint64), np.array([0, 1, 1]), np.array([200, 5]),
    )  # fmt: skip
    partners = {new: [int(k) for k, n in found.pairs if n == new] for new in (0, 1)}
    if num_kept <= 64:
        assert partners == {0: list(range(num_kept)), 1: list(range(num_kept))}
        assert found.num_not_compared == 0
        return
    at = num_kept - 20  # 20 kept documents are shorter than or as long as the first new one
    assert partners[0] == [*range(8), *range(at - 3, at + 5)]
    assert partners[1] == [*range(8), *range(num_kept - 8, num_kept)]
    assert found.num_not_compared == 2 * (num_kept - 16)


def test_a_key_of_very_many_new_documents_is_compared_in_blocks() -> None:
    """The memory of a worker depends on the size of a block, and not on the number of new documents."""
    num_kept, num_new = 64, 100_000
    lengths, new = np.arange(num_kept, 0, -1) * 10, np.arange(num_new)
    blocks = nominate_kept(np.full(num_kept, 7), np.arange(num_kept), lengths, np.full(num_new, 7), new, new)
    sizes = []
    for found in blocks:
        assert len(np.unique(found.pairs[:, 1])) * num_kept == len(found.pairs), "all pairs of a document are together"
        sizes.append(len(found.pairs))
    assert sum(sizes) == num_kept * num_new
    assert len(sizes) > 2
    assert max(sizes) <= 1.01 * _MAX_PAIRS


def test_the_rule_of_an_index_has_the_version_of_its_keys() -> None:
    near = MinHashDedup()
    assert AcrossDedup(near=near).index_rule() != AcrossDedup(near=replace(near, DATA_VERSION=99)).index_rule()
