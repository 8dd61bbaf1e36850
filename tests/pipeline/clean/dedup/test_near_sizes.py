"""Tests how many bytes near dedups send and hold, for the input and for four times the input. docs/scale.md contains
these numbers.
"""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from near_docs import doc
from small import prose
from toy import ToyReader, job_of, with_sizes, write_inputs

from pipeline.clean.batches import BASE_COLUMNS
from pipeline.clean.dedup.across_keys import new_cards, new_documents
from pipeline.clean.dedup.across_pairs import CARD, NominateKept
from pipeline.clean.dedup.min_hash_keys import RECORD, Card, hosts_of, keyed, packed_records
from pipeline.clean.dedup.min_hash_pairs import NUM_SLICES, SLICE_BYTES_PER_PAIR, Candidates, Nominate, card_payload
from pipeline.clean.job import SourceJob
from pipeline.clean.sizing import Scale, scale_of
from pipeline.files.spill import Blob, SpillFile
from pipeline.preflight.memory import BYTES_PER_KEY, Need, foresee
from pipeline.sources.across_step import AcrossDedup
from pipeline.sources.dedup_steps import DedupStep, ExactDedup
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.source import Source

NUM_DOCS = 300


def batch() -> pa.RecordBatch:
    documents = [doc(f"document {n}", prose(f"document {n}", 320)) for n in range(NUM_DOCS)]
    columns = {name: pa.array([d[name] for d in documents]) for name in (*BASE_COLUMNS, "url")}
    return pa.record_batch(columns)


@pytest.mark.parametrize(
    "step", [MinHashDedup(), MinHashDedup(method="minhash"), AcrossDedup(), AcrossDedup(near=None)]
)
def test_the_estimate_of_the_bytes_that_documents_send(tmp_path: Path, step: DedupStep) -> None:
    spill, one = SpillFile(str(tmp_path)), batch()
    if isinstance(step, MinHashDedup):
        found = keyed(one, bytes(12), range(NUM_DOCS), step, spill, hosts=hosts_of(one))
        cards, records = [card_payload(rank, card, 16) for rank, card in found.cards], found.records
    else:
        assert isinstance(step, AcrossDedup)
        documents, records = new_documents(one, bytes(12), range(NUM_DOCS), step, spill)
        cards = list(new_cards(documents, CARD, 16))
    sent = sum(len(payload) for _, payload in [*cards, *packed_records(records, 16)])
    text_bytes = sum(len(text) for text in one.column("text").to_pylist())
    assert step.key_bytes(NUM_DOCS, text_bytes) == pytest.approx(sent, rel=0.25)


def need(step: DedupStep, num_bytes: int) -> Need:
    source = Source(name="books", reader=ToyReader(), steps=(step,), cite="none")
    return foresee([(source, {}, scale_of(num_bytes), num_bytes)])


@pytest.mark.parametrize("step", [MinHashDedup(), AcrossDedup()])
def test_the_foreseen_memory_is_that_of_a_bucket(step: DedupStep) -> None:
    once, four = (need(step, times * 10**10).process_bytes for times in (1, 4))
    assert once == pytest.approx(four, rel=0.05)
    assert once > need(ExactDedup(NAME="a", reason="a", key="id"), 10**10).process_bytes


def records(num_docs: int, first_byte: int, seed: int) -> np.ndarray:
    """Returns the records of documents with 14 bands and 22 sampled n-grams each. A third of the keys are shared."""
    chosen = np.random.default_rng(seed)
    found = np.zeros(36 * num_docs, RECORD)
    is_band = np.tile(np.arange(36) < 14, num_docs)
    shared = chosen.integers(0, num_docs * 12, len(found)).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    own = chosen.integers(0, 2**63, len(found), np.uint64)
    keys = np.where(chosen.random(len(found)) < 1 / 3, shared, own) & ~np.uint64(3)
    found["key"] = keys | is_band.astype(np.uint64)
    ranks = chosen.integers(0, 2**56, num_docs, np.uint64) | np.uint64(first_byte << 56)
    found["high"] = np.repeat(ranks, 36)
    found["low"] = np.repeat(chosen.integers(0, 2**63, num_docs, np.uint64), 36)
    return found


def peak_of(process: Callable[[Any], Iterator[Any]], payloads: list[tuple[int, bytes]], num_buckets: int) -> int:
    """Processes each bucket, and returns the largest number of bytes held at once. Kernels are compiled before the
    measurement.
    """
    for _ in process((0, [payload for number, payload in payloads if number == 0])):
        pass
    most = 0
    for bucket in range(num_buckets):
        group = (bucket, [payload for number, payload in payloads if number == bucket])
        tracemalloc.start()
        for _ in process(group):
            pass
        most = max(most, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return most


@pytest.fixture
def job(tmp_path: Path) -> SourceJob:
    write_inputs(tmp_path / "in", [doc("a", "b")], 1)
    source = Source(name="books", reader=ToyReader(), steps=(MinHashDedup(),), cite="none")
    return job_of(source, tmp_path / "in", tmp_path)


@pytest.mark.parametrize("is_across", [False, True])
def test_a_worker_holds_one_bucket_of_keys_however_large_the_input(job: SourceJob, is_across: bool) -> None:
    peaks = []
    for times in (1, 4):
        found = records(6000 * times, 0xFF if is_across else 0, 1)
        if is_across:
            found = np.concatenate([found, records(6000 * times, 0, 2)])
        num_buckets = 2 * times
        sized = with_sizes(job, scale=Scale(num_parts=1, num_line_buckets=num_buckets, num_key_buckets=16,
                                            num_lookup_buckets=num_buckets))  # fmt: skip
        payloads = list(packed_records(found, num_buckets))
        do = NominateKept(sized, AcrossDedup()) if is_across else Nominate(sized, MinHashDedup())
        per_bucket = len(found) / num_buckets
        peaks.append(peak_of(do.process, payloads, num_buckets) / per_bucket)
    assert peaks[1] == pytest.approx(peaks[0], rel=0.25)
    assert max(peaks) + RECORD.itemsize < BYTES_PER_KEY


def records_of_couples(num_pairs: int) -> np.ndarray:
    """Returns the records of pairs of documents. The two documents of a pair share one band, and nothing with
    others.
    """
    chosen = np.random.default_rng(3)
    found = np.zeros(2 * num_pairs, RECORD)
    found["key"] = np.tile(chosen.integers(0, 2**63, num_pairs, np.uint64) | np.uint64(1), 2)
    found["high"] = chosen.integers(0, 2**56, len(found), np.uint64)
    found["low"] = chosen.integers(0, 2**63, len(found), np.uint64)
    return found


@pytest.mark.parametrize("is_couple", [False, True])
def test_a_worker_holds_one_slice_of_the_pairs_of_a_bucket(job: SourceJob, is_couple: bool) -> None:
    peaks, num_pairs = [], []
    for times in (1, 4):
        found = records_of_couples(24_000 * times) if is_couple else records(8000 * times, 0, 1)
        sized = with_sizes(job, scale=Scale(num_parts=1, num_line_buckets=1, num_key_buckets=times))
        sent = Nominate(sized, MinHashDedup()).process((0, [found.tobytes()]))
        payloads = [one for one in sent if isinstance(one, tuple)]
        ranks = np.unique(found[["high", "low"]])
        for high, low in ranks.tolist():
            rank = high.to_bytes(8, "big") + low.to_bytes(8, "big")
            payloads.append(card_payload(rank, Card(bytes(16), "id", "en", "host", Blob("spill", 0, 8, 1)), times))
        payloads.sort()
        assert len({(bucket, payload[0]) for bucket, payload in payloads}) == times * NUM_SLICES
        in_slices = Counter[tuple[int, int]]()
        for bucket, payload in payloads:
            in_slices[bucket, payload[0]] += (len(payload) - 2) // 36 * (payload[1] == 0)
        num_pairs.append(max(in_slices.values()))
        peaks.append(peak_of(Candidates(sized, MinHashDedup()).process, payloads, times))
    assert num_pairs[0] > 20_000 / NUM_SLICES
    assert peaks[1] == pytest.approx(peaks[0], rel=0.4)
    for peak, most in zip(peaks, num_pairs, strict=True):
        assert 36 * most < peak < SLICE_BYTES_PER_PAIR * most
