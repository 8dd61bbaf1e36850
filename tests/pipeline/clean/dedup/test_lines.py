"""Tests that the line dedup gives the same verdicts if a bucket of line hashes is split on disk as if it is in
memory.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from apache_beam.pvalue import TaggedOutput

from pipeline.clean.batch_address import BATCH_ID, ROW
from pipeline.clean.dedup.kind import NumberedBatch
from pipeline.clean.dedup.lines import LineKind, _LostLines
from pipeline.clean.job import JobPlaces, JobSizes, SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import GlobalStep
from pipeline.clean.sizing import Scale
from pipeline.clean.verdicts import Verdicts
from pipeline.sources.common_crawl import SOURCE
from pipeline.sources.dedup_steps import LineDedup

NUM_BUCKETS = 16


def job() -> SourceJob:
    scale = Scale(num_parts=3, num_line_buckets=NUM_BUCKETS, num_key_buckets=16)
    return SourceJob(
        source=SOURCE,
        fingerprint="",
        models={},
        sizes=JobSizes(scale=scale, sample_docs=0),
        places=JobPlaces(
            units_path="",
            marker="",
            stats_path="",
            spill_dir="",
            clean_dir="",
            dropped_dir="",
        ),
    )


def payloads(keep: str, *, num_batches: int = 40, num_lines: int = 30) -> list[bytes]:
    """Returns the payloads of batches that share about half of their lines, all in bucket 5."""
    chance = np.random.default_rng(8)
    top = np.uint64(5) << np.uint64(60)
    pool = (chance.integers(0, 1 << 60, 600, dtype=np.uint64) | top).astype("<u8")
    found = []
    for number in range(num_batches):
        hashes = np.unique(chance.choice(pool, num_lines))
        deciding = (
            chance.integers(0, 2, len(hashes)).astype("u1")
            if keep == "ccnet"
            else chance.integers(0, 1 << 63, len(hashes), dtype=np.uint64).astype("<u8")
        )
        found.append(BATCH_ID.pack(1, 0, number) + ROW.pack(len(hashes)) + hashes.tobytes() + deciding.tobytes())
    return sorted(found)


def judged(keep: str, max_lines: int) -> tuple[dict[tuple[int, bytes], list[int]], dict[Any, int]]:
    step = GlobalStep(4, LineDedup(keep=keep, scope="all"))
    lost: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    counts: dict[Any, int] = {}
    for found in _LostLines(job(), step, max_lines).process((5, payloads(keep))):
        if isinstance(found, TaggedOutput):
            counts = found.value
            continue
        part, body = found
        head = body[: BATCH_ID.size + 1]
        lost[part, head] += np.frombuffer(body, "<u8", offset=len(head) + ROW.size).tolist()
    return {key: sorted(hashes) for key, hashes in lost.items()}, counts


@pytest.mark.parametrize("keep", ["ccnet", "first"])
@pytest.mark.parametrize("max_lines", [1, 100, 700])
def test_through_the_disk_as_in_memory(keep: str, max_lines: int, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    whole, counts = judged(keep, 1 << 30)
    parted, counts_parted = judged(keep, max_lines)
    assert sum(map(len, whole.values())) > 300
    assert parted == whole
    assert counts_parted == counts
    assert os.listdir(tmp_path) == [], "nothing stays on the worker's disk"


def test_documents_that_are_not_compared_stay_alike_with_and_without_others() -> None:
    texts = ["a\nb\nb", "", "a\n", "c\nc\nd\na"]
    batch = pa.record_batch(
        {"id": list("wxyz"), "text": texts, "url": list("wxyz"), "language": ["und"] * 4, "num_lines": [9] * 4,
         "original_num_lines": [9] * 4, "_line_scope": pa.array([None, None, None, "c4"], pa.string())}
    )  # fmt: skip
    step = GlobalStep(1, LineDedup(lines="c4", keep="first", scope="_line_scope", rank="url"))
    found = {}
    for number in (4, 3):
        ledger, part = Ledger("c4", 0), batch.slice(0, number)
        kept, rows = LineKind().apply(step, NumberedBatch(part, b"", np.arange(number)), Verdicts(), ledger)
        found[number] = (kept.to_pylist(), rows.tolist(), {what: n for (_, _, what), n in ledger.counts.items()})
    (beside, rows, counts), (alone, rows_alone, counts_alone) = found[4], found[3]
    assert beside[:3] == alone
    assert (rows, rows_alone) == ([0, 1, 2, 3], [0, 1, 2])
    assert [(d["text"], d["num_lines"], d["original_num_lines"], d["signal:duplicate_lines"]) for d in beside] == [
        ("a\nb\nb", 3, 3, 0.0), ("", 1, 1, 0.0), ("a\n", 2, 2, 0.0), ("c\nd\na", 3, 4, 1.0)
    ]  # fmt: skip
    assert counts_alone == sizes(documents=3, num_bytes=7, lines=4)
    assert counts == sizes(documents=4, num_bytes=14, lines=8) | {"bytes_kept": 12, "lines_kept": 7}


def sizes(*, documents: int, num_bytes: int, lines: int) -> dict[str, int]:
    """Returns the counts of a step that changes nothing."""
    numbers = {"docs": documents, "bytes": num_bytes, "lines": lines}
    return {f"{what}_{side}": number for what, number in numbers.items() for side in ("in", "kept")}
