"""Defines the four stages of the near dedup: they nominate pairs, count shared keys, verify candidates, and decide.

A record is a key of a document, and a card describes a document (:mod:`pipeline.clean.dedup.min_hash_keys`).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import TaggedOutput

from filters.near.ngrams import measured
from filters.near.nominate import Nominated, is_candidate, nominate
from filters.near.resolve import RANK_BYTES, num_ngrams_of, resolve
from pipeline.clean.dedup.min_hash_keys import RECORD, Card, Overlap, card_bucket
from pipeline.clean.dedup.pair_files import REJECTED, RejectedSample
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.tags import COUNTS
from pipeline.engine.group_bytes import GroupBytes
from pipeline.sources.min_hash_step import MinHashDedup

NOT_COMPARED, VERIFIED, REJECTED_PAIRS = "pairs_not_compared", "pairs_verified", "pairs_rejected"
"""The names of the step's notes. The notes count three things: the pairs that were not nominated because too many
documents share their key; the candidates that were verified; and the candidates whose overlap is too small."""

_CARD, _PAIR, _NEEDED = b"\x00", b"\x01", b"\x02"
"""The kind of a payload, as one byte after the rank of the document. The payloads of a document sort in this order:
first its card; then the pairs in which it would be removed; then a note that its card is needed. The note is sent if
the document would be kept in some pair.
"""
_SHARED = struct.Struct(">HH")  # numbers of bands and sampled n-grams that a pair shares in a bucket of keys
_MAX_COUNT = 0xFFFF
_PAIR_PAYLOAD = np.dtype(
    [("removed", ">u8", 2), ("mark", "u1"), ("kept", ">u8", 2), ("bands", ">u2"), ("sampled", ">u2")]
)
_PAIRS_AT_ONCE = 1 << 16


class Nominate(beam.DoFn):
    """Finds the pairs of documents that share a key. Takes the records (keys of documents) of a bucket. A yielded pair
    goes to the bucket of the document that would be removed.
    """

    def __init__(self, job: SourceJob, step: MinHashDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        records = np.frombuffer(b"".join(group[1]), RECORD)
        order = np.lexsort((records["low"], records["high"]))
        ordered = records[order]
        is_new = np.ones(len(records), np.bool_)
        is_new[1:] = (ordered["high"][1:] != ordered["high"][:-1]) | (ordered["low"][1:] != ordered["low"][:-1])
        documents = np.empty(len(records), np.int64)
        documents[order] = np.cumsum(is_new) - 1
        ranks = np.stack([ordered["high"][is_new], ordered["low"][is_new]], axis=1).astype(">u8")
        is_band = (records["key"] & np.uint64(1)).astype(np.bool_)
        by_band = nominate(records["key"][is_band], documents[is_band])
        by_sample = nominate(records["key"][~is_band], documents[~is_band])
        for of_bands, found in ((True, by_band), (False, by_sample)):
            yield from self._pairs(ranks, found, of_bands=of_bands)
        num_pairs = len(by_band.pairs) + len(by_sample.pairs)
        for first in np.unique(np.concatenate([by_band.pairs[:, 0], by_sample.pairs[:, 0]])).tolist():
            one = ranks[first].tobytes()
            yield card_bucket(one, self._job.sizes.scale.num_key_buckets), one + _NEEDED
        ledger = Ledger(self._job.source.name, 0)
        ledger.receive(f"{self._step.NAME} keys", len(records))
        ledger.send(f"{self._step.NAME} pairs", num_pairs)
        ledger.note(self._step.NAME, NOT_COMPARED, by_band.num_not_compared + by_sample.num_not_compared)
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _pairs(self, ranks: np.ndarray, found: Nominated, *, of_bands: bool) -> Iterator[tuple[int, bytes]]:
        """Yields (bucket, payload) for each pair. The bucket is that of the document that would be removed. The pairs
        are processed in blocks to limit the memory.
        """
        num_buckets, size = np.uint64(self._job.sizes.scale.num_key_buckets), _PAIR_PAYLOAD.itemsize
        for start in range(0, len(found.pairs), _PAIRS_AT_ONCE):
            pairs, counts = (array[start : start + _PAIRS_AT_ONCE] for array in (found.pairs, found.counts))
            rows = np.zeros(len(pairs), _PAIR_PAYLOAD)
            rows["removed"], rows["kept"] = ranks[pairs[:, 1]], ranks[pairs[:, 0]]
            rows["mark"] = _PAIR[0]
            rows["bands" if of_bands else "sampled"] = np.minimum(counts, _MAX_COUNT)
            data, buckets = rows.tobytes(), (rows["removed"][:, 1] % num_buckets).tolist()
            for index, bucket in enumerate(buckets):
                yield bucket, data[index * size : (index + 1) * size]


def card_payload(rank: bytes, card: Card, num_buckets: int) -> tuple[int, bytes]:
    """Returns a document's card as (bucket, payload). The pairs of the document go to the same bucket."""
    return card_bucket(rank, num_buckets), rank + _CARD + card.to_bytes()


class Candidates(beam.DoFn):
    """Counts the shared keys of each pair. Yields the pairs that share enough keys. A pair goes to the bucket of the
    document that would be kept.

    A yielded pair includes the card of the document that would be removed. The card of a document that would be kept in
    some pair is yielded separately.
    """

    def __init__(self, job: SourceJob, step: MinHashDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger = Ledger(self._job.source.name, 0)
        for one, payloads in itertools.groupby(group[1], key=lambda p: p[:RANK_BYTES]):
            yield from self._of_document(one, payloads, ledger)
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _of_document(self, one: bytes, payloads: Iterable[bytes], ledger: Ledger) -> Iterator[tuple[int, bytes]]:
        step, num_buckets = self._step, self._job.sizes.scale.num_key_buckets
        body = RANK_BYTES + 1
        card = next(iter(payloads))
        assert card[RANK_BYTES:body] == _CARD, "a pair names a document without a card"
        ledger.receive(f"{step.NAME} cards", 1)
        num_expected = step.max_overlap * num_ngrams_of(int.from_bytes(one[:8], "big")) / step.keep_one_in
        rest = (p[RANK_BYTES:] for p in payloads)
        for other, pairs in itertools.groupby(rest, key=lambda p: p[: 1 + RANK_BYTES]):
            assert other[:1] != _CARD, "two documents have the same rank"
            if other == _NEEDED:
                yield card_bucket(one, num_buckets), card
                continue
            shared = [_SHARED.unpack_from(p, len(other)) for p in pairs]
            ledger.receive(f"{step.NAME} pairs", len(shared))
            if is_candidate(sum(s[0] for s in shared), sum(s[1] for s in shared), num_expected):
                ledger.send(f"{step.NAME} candidates", 1)
                kept = other[1:]
                yield card_bucket(kept, num_buckets), kept + _PAIR + one + card[body:]


class Verify(beam.DoFn):
    """Computes the exact overlap of each candidate pair. Yields the pairs whose overlap is above the limit."""

    def __init__(self, job: SourceJob, step: MinHashDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger, sample = Ledger(self._job.source.name, 0), RejectedSample()
        for one, payloads in itertools.groupby(group[1], key=lambda p: p[:RANK_BYTES]):
            bodies = (p[RANK_BYTES:] for p in payloads)
            first = next(bodies)
            assert first[:1] == _CARD, "a candidate names a document without a card"
            kept, ngrams = Card.of(first[1:]), None
            for body in bodies:
                assert body[:1] == _PAIR, "two documents have the same rank"
                if ngrams is None:
                    ngrams = kept.read_ngrams()
                removed = Card.of(body[1 + RANK_BYTES :])
                found = measured(removed.read_ngrams(), ngrams)
                overlap = Overlap(removed, kept, found.containment, found.jaccard, found.num_shared)
                ledger.receive(f"{self._step.NAME} candidates", 1)
                if self._step.overlap(found.containment, found.jaccard) > self._step.max_overlap:
                    ledger.send(f"{self._step.NAME} overlaps", 1)
                    yield 0, body[1 : 1 + RANK_BYTES] + one + overlap.to_bytes()
                else:
                    ledger.note(self._step.NAME, REJECTED_PAIRS, 1)
                    sample.add(overlap)
                ledger.note(self._step.NAME, VERIFIED, 1)
        yield TaggedOutput(REJECTED, sample.rows)
        yield TaggedOutput(COUNTS, dict(ledger.counts))


class Resolve(beam.DoFn):
    """Decides which documents are removed. Yields pairs: a removed document, and the document that is kept instead. A
    pair goes to the bucket of the kept document.
    """

    def __init__(self, job: SourceJob, step: MinHashDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger = Ledger(self._job.source.name, 0)
        for removed, kept, _, payload in resolve(self._edges(group[1], ledger)):
            ledger.send(f"{self._step.NAME} decisions", 1)
            yield card_bucket(kept, self._job.sizes.scale.num_key_buckets), kept + removed + payload
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _edges(self, payloads: Iterable[bytes], ledger: Ledger) -> Iterator[tuple[bytes, bytes, float, bytes]]:
        for payload in payloads:
            removed, kept = payload[:RANK_BYTES], payload[RANK_BYTES : 2 * RANK_BYTES]
            body = payload[2 * RANK_BYTES :]
            ledger.receive(f"{self._step.NAME} overlaps", 1)
            found = Overlap.of(body)
            yield removed, kept, self._step.overlap(found.containment, found.jaccard), body


class PairsOfOverlap(beam.PTransform):
    """Finds the pairs of documents that overlap, and decides which documents are removed. Takes cards and records.
    Outputs decisions, counts, and a sample of the rejected pairs.

    A decision consists of a bucket and of bytes: the rank of the kept document, the rank of the removed document, and
    the overlap of the two.
    """

    def __init__(self, job: SourceJob, step: MinHashDedup) -> None:
        super().__init__()
        self._job, self._step = job, step

    def expand(self, inputs: tuple[Any, Any]) -> tuple[Any, list[Any], Any]:
        cards, records = inputs
        job, step, spill = self._job, self._step, self._job.places.shuffle
        buckets = job.sizes.scale.num_key_buckets
        pairs = (
            records
            | "group_keys" >> GroupBytes(job.sizes.scale.num_line_buckets, spill)
            | "nominate" >> beam.ParDo(Nominate(job, step)).with_outputs(COUNTS, main="pairs")
        )
        candidates = (
            (cards, pairs.pairs)
            | "group_pairs" >> GroupBytes(buckets, spill)
            | "candidates" >> beam.ParDo(Candidates(job, step)).with_outputs(COUNTS, main="candidates")
        )
        overlaps = (
            candidates.candidates
            | "group_candidates" >> GroupBytes(buckets, spill)
            | "verify" >> beam.ParDo(Verify(job, step)).with_outputs(COUNTS, REJECTED, main="overlaps")
        )
        decisions = (
            overlaps.overlaps
            | "group_overlaps" >> GroupBytes(1, spill)
            | "resolve" >> beam.ParDo(Resolve(job, step)).with_outputs(COUNTS, main="decisions")
        )
        counts = [pairs[COUNTS], candidates[COUNTS], overlaps[COUNTS], decisions[COUNTS]]
        return decisions.decisions, counts, overlaps[REJECTED]
