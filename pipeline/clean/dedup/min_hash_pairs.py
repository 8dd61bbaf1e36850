"""Defines the four stages of the near dedup: nominate pairs, count their shared keys, verify candidates, and decide.

A record is a key, and the rank of the document that has the key. A rank identifies a document, and documents are sorted
by rank. A card describes a document (:mod:`pipeline.clean.dedup.min_hash_keys`). Two documents that share a key are a
pair. Of a pair, the document with the smaller rank would be kept, and the other one would be removed. A pair that
shares enough keys is a candidate. To save memory, each bucket of cards and pairs is divided into slices.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import TaggedOutput

from filters.books.overlap import Hashes
from filters.near.ngrams import measured
from filters.near.nominate import Nominated, least_sampled, nominate
from filters.near.resolve import RANK_BYTES, num_ngrams_of, resolve
from pipeline.clean.dedup.min_hash_keys import (
    RECORD,
    Card,
    card_bucket,
    id_in,
    ngrams_in,
    overlap_bytes,
    overlaps_of,
)
from pipeline.clean.dedup.min_hash_rows import PAIR_ROW, Pairs, Ranks, different, differs, joined
from pipeline.clean.dedup.pair_files import REJECTED, RejectedSample
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.tags import COUNTS
from pipeline.engine.group_bytes import GroupBytes
from pipeline.files.spill import BlobReader
from pipeline.sources.min_hash_step import MinHashDedup

NOT_COMPARED, VERIFIED, REJECTED_PAIRS = "pairs_not_compared", "pairs_verified", "pairs_rejected"
"""The names of the step's notes. They count the pairs that were not nominated because too many documents share their
key; the candidates that were verified; and the candidates whose overlap is too small."""

_CARD, _PAIR = b"\x00", b"\x01"
"""The byte after the rank of the kept document in a payload of :class:`Verify`. It says whether the payload has the
card of this document or a pair. The card sorts before the pairs.
"""
_PAIRS, _NEEDED, _CARDS = 0, 1, 2
"""The byte after the number of the slice in a payload of :class:`Candidates`. It says what the payload has: many pairs;
or the ranks of many documents that would be kept in some pair, so their cards are needed; or one card.
"""
_MAX_COUNT = 0xFFFF
_PAIRS_AT_ONCE = 1 << 16
_SLICE_BITS = 4
NUM_SLICES = 1 << _SLICE_BITS
"""The number of slices into which a bucket of cards and pairs is divided. A worker holds the pairs of one slice in
memory."""
SLICE_BYTES_PER_PAIR = 130
"""An upper limit for the memory that a slice takes, in bytes per arriving pair. A pair can arrive several times,
because its keys can be in several buckets. While the pairs arrive, their bytes (36 per pair) are held twice. The memory
is largest if every pair is a candidate and every document is in one pair only. With 10 pairs per removed document,
about 75 bytes per pair were measured.
"""


class Nominate(beam.DoFn):
    """Finds the pairs of documents that share a key. Takes the records of one bucket of keys. Yields (bucket, payload).

    A pair goes to the bucket of the document that would be removed. A payload has pairs of one slice of that bucket.
    Other payloads have the ranks of the documents that would be kept in some pair. They request the cards of these
    documents.
    """

    def __init__(self, job: SourceJob, step: MinHashDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        records = np.frombuffer(b"".join(group[1]), RECORD)
        num_records = len(records)
        records = _with_shared_keys(records)
        order = np.lexsort((records["low"], records["high"]))
        ordered = records[order]
        is_new = np.ones(len(records), np.bool_)
        is_new[1:] = (ordered["high"][1:] != ordered["high"][:-1]) | (ordered["low"][1:] != ordered["low"][:-1])
        documents = np.empty(len(records), np.int64)
        documents[order] = np.cumsum(is_new) - 1
        ranks = np.stack([ordered["high"][is_new], ordered["low"][is_new]], axis=1)
        is_band = (records["key"] & np.uint64(1)).astype(np.bool_)
        by_band = nominate(records["key"][is_band], documents[is_band])
        by_sample = nominate(records["key"][~is_band], documents[~is_band])
        for of_bands, found in ((True, by_band), (False, by_sample)):
            yield from self._pairs(ranks, found, of_bands=of_bands)
        kept = ranks[np.unique(np.concatenate([by_band.pairs[:, 0], by_sample.pairs[:, 0]]))]
        yield from self._blocks(kept.astype(">u8"), kept[:, 1], _NEEDED)
        ledger = Ledger(self._job.source.name, 0)
        ledger.receive(f"{self._step.NAME} keys", num_records)
        ledger.send(f"{self._step.NAME} pairs", len(by_band.pairs) + len(by_sample.pairs))
        ledger.note(self._step.NAME, NOT_COMPARED, by_band.num_not_compared + by_sample.num_not_compared)
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _pairs(self, ranks: np.ndarray, found: Nominated, *, of_bands: bool) -> Iterator[tuple[int, bytes]]:
        """Yields payloads of pairs. The pairs are processed in blocks, to limit the memory. ``of_bands`` says whether
        the documents of the pairs share bands or sampled n-grams."""
        for start in range(0, len(found.pairs), _PAIRS_AT_ONCE):
            pairs, counts = (array[start : start + _PAIRS_AT_ONCE] for array in (found.pairs, found.counts))
            rows = np.zeros(len(pairs), PAIR_ROW)
            rows["removed"], rows["kept"] = ranks[pairs[:, 1]], ranks[pairs[:, 0]]
            rows["bands" if of_bands else "sampled"] = np.minimum(counts, _MAX_COUNT)
            yield from self._blocks(rows, rows["removed"][:, 1], _PAIRS)

    def _blocks(self, rows: np.ndarray, lows: np.ndarray, kind: int) -> Iterator[tuple[int, bytes]]:
        """Yields (bucket, payload) for each slice that gets rows. ``lows`` has the second half of a rank for each row,
        which decides the bucket and the slice.
        """
        num_buckets = self._job.sizes.scale.num_key_buckets
        targets = lows % np.uint64(num_buckets) << np.uint64(_SLICE_BITS) | _slices(lows)
        order = np.argsort(targets, kind="stable")
        rows, targets = rows[order], targets[order]
        starts = np.flatnonzero(np.diff(targets, prepend=np.uint64(num_buckets << _SLICE_BITS))).tolist()
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=False):
            target = int(targets[start])
            yield target >> _SLICE_BITS, bytes([target % NUM_SLICES, kind]) + rows[start:end].tobytes()


def _with_shared_keys(records: np.ndarray) -> np.ndarray:
    """Returns the records whose key occurs more than once. Most records have a key that no other record has."""
    keys = records["key"].copy()
    order = np.argsort(keys)
    keys = keys[order]
    is_repeated = keys[1:] == keys[:-1]
    is_shared = np.zeros(len(keys), np.bool_)
    is_shared[1:] |= is_repeated
    is_shared[:-1] |= is_repeated
    return records[order[is_shared]]


def _slices(lows: np.ndarray) -> np.ndarray:
    """Returns the number of the slice to which each document belongs. The number is made of bits of the second half of
    the document's rank. These bits are a hash of the document's place. So documents with equal texts can be in
    different slices.
    """
    return lows >> np.uint64(52) & np.uint64(NUM_SLICES - 1)


def card_payload(rank: bytes, card: Card, num_buckets: int) -> tuple[int, bytes]:
    """Returns (bucket, payload) for a card. The pairs in which the card's document would be removed go to the same
    bucket and slice."""
    head = bytes([int.from_bytes(rank[8:10], "big") >> 4 & NUM_SLICES - 1, _CARDS])
    return card_bucket(rank, num_buckets), head + rank + card.to_bytes()


class Candidates(beam.DoFn):
    """Counts the shared keys of each pair. Yields the candidates: the pairs that share enough keys. A candidate goes to
    the bucket of the document that would be kept.

    A candidate includes the card of the document that would be removed. The card of the document that would be kept is
    yielded only once, not for each of its candidates.
    """

    def __init__(self, job: SourceJob, step: MinHashDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger = Ledger(self._job.source.name, 0)
        for _, payloads in itertools.groupby(group[1], key=lambda p: p[0]):
            yield from self._of_slice(payloads, ledger)
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _of_slice(self, payloads: Iterable[bytes], ledger: Ledger) -> Iterator[tuple[int, bytes]]:
        """Yields the candidates of a slice, and the cards that are needed. In ``payloads``, the pairs and the needed
        ranks come first. Then come the cards, sorted by rank."""
        name, num_buckets, num_cards, last = self._step.NAME, self._job.sizes.scale.num_key_buckets, 0, b""
        blocks: dict[int, list[bytes]] = {_PAIRS: [], _NEEDED: []}
        found: Pairs | None = None
        needed = Ranks(b"")
        for payload in payloads:
            kind, body = payload[1], payload[2:]
            if kind != _CARDS:
                blocks[kind].append(body)
                continue
            if found is None:
                needed = Ranks(different(joined(blocks[_NEEDED])))
                found = self._found(blocks[_PAIRS], ledger)
            rank, num_cards = body[:RANK_BYTES], num_cards + 1
            assert rank > last, "two documents have the same rank"
            last = rank
            if needed.take(rank) is not None:
                yield card_bucket(rank, num_buckets), rank + _CARD + body[RANK_BYTES:]
            number = found.removed.take(rank)
            if number is not None:
                for start in range(found.bounds[number], found.bounds[number + 1]):
                    kept = found.kept[start * RANK_BYTES : (start + 1) * RANK_BYTES]
                    yield card_bucket(kept, num_buckets), kept + _PAIR + body
        assert found is not None, "pairs name documents without a card"
        assert found.removed.is_empty, "a pair names a document without a card"
        ledger.receive(f"{name} cards", num_cards)

    def _found(self, blocks: list[bytes], ledger: Ledger) -> Pairs:
        """Returns the candidates of a slice. ``blocks`` has its pairs, and is empty afterwards. The pairs are sorted in
        place, to save memory."""
        data = joined(blocks)
        np.frombuffer(data, f"S{PAIR_ROW.itemsize}").sort()
        rows, step = np.frombuffer(data, PAIR_ROW), self._step
        ledger.receive(f"{step.NAME} pairs", len(rows))
        if not len(rows):
            return Pairs(Ranks(b""), np.zeros(1, np.int64), b"")
        is_other = differs(rows["removed"])
        starts = np.flatnonzero(is_other | differs(rows["kept"]))
        is_other = is_other[starts]
        has_band = np.maximum.reduceat(rows["bands"], starts) > 0
        sampled = np.add.reduceat(rows["sampled"], starts, dtype=np.uint32)
        highs = rows["removed"][starts[is_other], 0]
        least = np.fromiter(
            (least_sampled(step.max_overlap * num_ngrams_of(int(high)) / step.keep_one_in) for high in highs),
            np.uint32,
            len(highs),
        )
        documents = np.cumsum(is_other, dtype=np.int32)
        is_candidate = has_band | (sampled >= least[documents - 1])
        starts, documents = starts[is_candidate], documents[is_candidate]
        ledger.send(f"{step.NAME} candidates", len(starts))
        edges = np.flatnonzero(np.diff(documents, prepend=np.int32(0)))
        removed, kept = rows["removed"][starts[edges]], rows["kept"][starts]
        del rows, data, starts, documents
        return Pairs(Ranks(removed.tobytes()), np.append(edges, len(kept)), kept.tobytes())


class Verify(beam.DoFn):
    """Computes the exact overlap of each candidate pair. Yields the pairs whose overlap is above the limit. At any
    time, the n-grams of two documents are in memory.
    """

    def __init__(self, job: SourceJob, step: MinHashDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger, sample, step = Ledger(self._job.source.name, 0), RejectedSample(), self._step
        num_verified = num_overlaps = 0
        with BlobReader() as reader:
            for one, payloads in itertools.groupby(group[1], key=lambda p: p[:RANK_BYTES]):
                rest = iter(payloads)
                first = next(rest)
                assert first[RANK_BYTES] == _CARD[0], "a candidate names a document without a card"
                kept, ngrams = first[RANK_BYTES + 1 :], None
                for payload in rest:
                    assert payload[RANK_BYTES] == _PAIR[0], "two documents have the same rank"
                    if ngrams is None:
                        ngrams = _read_ngrams(kept, reader)
                    start = 2 * RANK_BYTES + 1
                    removed = payload[start:]
                    found = measured(_read_ngrams(removed, reader), ngrams)
                    num_verified += 1
                    if step.overlap(found.containment, found.jaccard) > step.max_overlap:
                        num_overlaps += 1
                        yield 0, payload[RANK_BYTES + 1 : start] + one + overlap_bytes(found, removed, kept)
                    else:
                        sample.add(id_in(removed), id_in(kept), functools.partial(overlap_bytes, found, removed, kept))
        if num_verified:
            ledger.receive(f"{step.NAME} candidates", num_verified)
            ledger.send(f"{step.NAME} overlaps", num_overlaps)
            ledger.note(step.NAME, VERIFIED, num_verified)
        if num_verified > num_overlaps:
            ledger.note(step.NAME, REJECTED_PAIRS, num_verified - num_overlaps)
        yield TaggedOutput(REJECTED, sample.rows)
        yield TaggedOutput(COUNTS, dict(ledger.counts))


def _read_ngrams(card: bytes, reader: BlobReader) -> Hashes:
    return np.frombuffer(reader.read(ngrams_in(card)), "<u8")


class Resolve(beam.DoFn):
    """Decides which documents are removed. Yields pairs of a removed document and the document that is kept instead. A
    pair goes to the bucket of the kept document.
    """

    def __init__(self, job: SourceJob, step: MinHashDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger, num_decisions = Ledger(self._job.source.name, 0), 0
        for removed, kept, _, payload in resolve(self._edges(group[1], ledger)):
            num_decisions += 1
            body = payload[2 * RANK_BYTES :]
            yield card_bucket(kept, self._job.sizes.scale.num_key_buckets), kept + removed + body
        ledger.send(f"{self._step.NAME} decisions", num_decisions)
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _edges(self, payloads: Iterable[bytes], ledger: Ledger) -> Iterator[tuple[bytes, bytes, float, bytes]]:
        num_overlaps = 0
        for payload in payloads:
            num_overlaps += 1
            overlap = self._step.overlap(*overlaps_of(payload, 2 * RANK_BYTES))
            yield payload[:RANK_BYTES], payload[RANK_BYTES : 2 * RANK_BYTES], overlap, payload
        ledger.receive(f"{self._step.NAME} overlaps", num_overlaps)


class PairsOfOverlap(beam.PTransform):
    """Finds the pairs of documents that overlap, and decides which documents are removed. Takes cards and records.
    Outputs decisions, counts, and a sample of the rejected pairs (pairs whose overlap is too small).

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
