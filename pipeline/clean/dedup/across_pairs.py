"""Defines the stages of the dedup across sources. New documents are those of the source that is cleaned. Kept documents
are those of earlier sources.

The stages run in this order: read the indexes of kept documents; nominate pairs (a new and a kept document that share a
key); count the shared keys of each pair; compare the texts of the pairs that share enough keys, which are the
candidates; decide which new documents are dropped; and write the pairs. A record is a key and the rank of a document. A
rank identifies a document. A card describes a new document.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import xxhash
from apache_beam.pvalue import TaggedOutput

from filters.near.lookup import nominate_kept
from filters.near.ngrams import measured, ngram_sets
from filters.near.nominate import Nominated, is_candidate
from filters.near.resolve import RANK_BYTES, num_ngrams_of
from pipeline.clean.dedup.across_keys import (
    BAND,
    KINDS,
    NEW,
    SAMPLE,
    TEXT,
    NewDocument,
    Place,
    text_hash,
)
from pipeline.clean.dedup.index_files import kept_records
from pipeline.clean.dedup.kept_texts import KeptText, kept_texts
from pipeline.clean.dedup.min_hash_keys import RECORD, Card, Overlap, card_bucket, packed_records
from pipeline.clean.dedup.min_hash_pairs import NOT_COMPARED, REJECTED_PAIRS, VERIFIED
from pipeline.clean.dedup.pair_files import REJECTED, RejectedSample, WritePairs
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.tags import COUNTS
from pipeline.sources.across_step import AcrossDedup

CARD, PAIR = b"\x00", b"\x01"
"""The byte after the rank of a new document in a payload. It says whether the payload has the card of the document or a
pair. The card sorts before the pairs."""
_SHARED = struct.Struct(">HHB")  # shared bands, shared sampled n-grams, 1 if the texts seem to be equal
_PAIR_ROW = np.dtype(
    [("new", ">u8", 2), ("mark", "u1"), ("kept", ">u8", 2), ("bands", ">u2"), ("sampled", ">u2"), ("equal", "u1")]
)
_MAX_COUNT = 0xFFFF
_PAIRS_AT_ONCE = 1 << 16
_PLACE = struct.Struct(">BIQ")
_CHANCES = struct.Struct(">BB")  # 1 if the texts seem to be equal, 1 if the pair shares enough keys
EQUAL_MARK, NEAR_MARK = "=", "~"
"""The first character of a verdict's detail. ``=`` means that the texts are equal, ``~`` means that they overlap."""


class ReadKept(beam.DoFn):
    """Reads one file of an index. Takes (number of the index, number of the file). Yields (bucket, payload). The
    payloads have the records of the kept documents, one record per key of a document.
    """

    def __init__(self, job: SourceJob, step: AcrossDedup) -> None:
        self._job, self._step = job, step

    def process(self, element: tuple[int, int]) -> Iterator[Any]:
        number, part = element
        ledger = Ledger(self._job.source.name, 0)
        for records in kept_records(self._job.kept[number], number, part, exact=self._step.exact):
            ledger.send(f"{self._step.NAME} keys", len(records))
            yield from packed_records(records, self._job.sizes.scale.num_lookup_buckets)
        yield TaggedOutput(COUNTS, dict(ledger.counts))


class NominateKept(beam.DoFn):
    """Finds the pairs of a new and a kept document that share a key. Takes the records of one bucket of keys. Yields
    each pair to the bucket of its new document.
    """

    def __init__(self, job: SourceJob, step: AcrossDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        records = np.frombuffer(b"".join(group[1]), RECORD)
        is_new = records["high"] >> np.uint64(56) == np.uint64(NEW)
        kinds = records["key"] & KINDS
        num_pairs = num_left_out = 0
        for kind, column in ((BAND, "bands"), (SAMPLE, "sampled"), (TEXT, "equal")):
            kept, new = records[~is_new & (kinds == kind)], records[is_new & (kinds == kind)]
            if not len(kept) or not len(new):
                continue
            if kind == TEXT:
                kept = _first_of_each_key(kept)
            kept_numbers, kept_ranks = _numbered(kept, by_length=True)
            new_numbers, new_ranks = _numbered(new, by_length=False)
            lengths = _lengths(kept_ranks), _lengths(new_ranks)
            kept_ranks, new_ranks = kept_ranks.astype(">u8"), new_ranks.astype(">u8")
            blocks = nominate_kept(kept["key"], kept_numbers, lengths[0], new["key"], new_numbers, lengths[1])
            for found in blocks:
                num_pairs += len(found.pairs)
                num_left_out += found.num_not_compared
                yield from self._pairs(found, kept_ranks, new_ranks, column)
        ledger = Ledger(self._job.source.name, 0)
        ledger.receive(f"{self._step.NAME} keys", len(records))
        ledger.send(f"{self._step.NAME} pairs", num_pairs)
        ledger.note(self._step.NAME, NOT_COMPARED, num_left_out)
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _pairs(
        self, found: Nominated, kept_ranks: np.ndarray, new_ranks: np.ndarray, column: str
    ) -> Iterator[tuple[int, bytes]]:
        num_buckets, size = np.uint64(self._job.sizes.scale.num_key_buckets), _PAIR_ROW.itemsize
        for start in range(0, len(found.pairs), _PAIRS_AT_ONCE):
            pairs, counts = (array[start : start + _PAIRS_AT_ONCE] for array in (found.pairs, found.counts))
            rows = np.zeros(len(pairs), _PAIR_ROW)
            rows["kept"], rows["new"] = kept_ranks[pairs[:, 0]], new_ranks[pairs[:, 1]]
            rows["mark"] = PAIR[0]
            rows[column] = np.minimum(counts, 1 if column == "equal" else _MAX_COUNT)
            data, buckets = rows.tobytes(), (rows["new"][:, 1] % num_buckets).tolist()
            for index, bucket in enumerate(buckets):
                yield bucket, data[index * size : (index + 1) * size]


def _first_of_each_key(kept: np.ndarray) -> np.ndarray:
    """Returns one record for each key: the record of the document with the lowest rank."""
    kept = kept[np.lexsort((kept["low"], kept["high"], kept["key"]))]
    is_first = np.ones(len(kept), np.bool_)
    is_first[1:] = kept["key"][1:] != kept["key"][:-1]
    return kept[is_first]


def _numbered(records: np.ndarray, *, by_length: bool) -> tuple[np.ndarray, np.ndarray]:
    """Numbers the documents that have records, from 0. Returns two arrays: for each record the number of its document,
    and for each document its rank.

    If ``by_length``, the longest document has the number 0. Otherwise the documents are numbered in the order of their
    ranks.
    """
    high = records["high"]
    length = high & np.uint64((1 << 56) - 1) if by_length else high
    order = np.lexsort((records["low"], high, length))
    ordered = records[order]
    is_first = np.ones(len(records), np.bool_)
    is_first[1:] = (ordered["high"][1:] != ordered["high"][:-1]) | (ordered["low"][1:] != ordered["low"][:-1])
    numbers = np.empty(len(records), np.int64)
    numbers[order] = np.cumsum(is_first) - 1
    return numbers, np.stack([ordered["high"][is_first], ordered["low"][is_first]], axis=1)


def _lengths(ranks: np.ndarray) -> np.ndarray:
    return np.int64(0xFFFFFF) - (ranks[:, 0] >> np.uint64(32) & np.uint64(0xFFFFFF)).astype(np.int64)


class CandidatesAcross(beam.DoFn):
    """Counts the shared keys of each pair. Yields the pairs that share enough keys, with the card of the new document.

    A pair goes to a bucket that is chosen by the clean file of its kept document. So each clean file is read by one
    worker.
    """

    def __init__(self, job: SourceJob, step: AcrossDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger = Ledger(self._job.source.name, 0)
        for rank, payloads in itertools.groupby(group[1], key=lambda p: p[:RANK_BYTES]):
            yield from self._of_document(rank, payloads, ledger)
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _of_document(self, rank: bytes, payloads: Iterable[bytes], ledger: Ledger) -> Iterator[tuple[int, bytes]]:
        step, body, num_buckets = self._step, RANK_BYTES + 1, self._job.sizes.scale.num_key_buckets
        card = next(iter(payloads))
        assert card[RANK_BYTES:body] == CARD, "a pair names a document without a card"
        ledger.receive(f"{step.NAME} cards", 1)
        num_expected = 0.0
        if step.near is not None:
            num_ngrams = num_ngrams_of(int.from_bytes(rank[:8], "big"))
            num_expected = step.near.max_overlap * num_ngrams / step.near.keep_one_in
        pairs = (p[RANK_BYTES:] for p in payloads)
        for other, of_pair in itertools.groupby(pairs, key=lambda p: p[: 1 + RANK_BYTES]):
            assert other[:1] == PAIR, "two documents have the same rank"
            shared = [_SHARED.unpack_from(p, len(other)) for p in of_pair]
            ledger.receive(f"{step.NAME} pairs", len(shared))
            seems_equal = any(s[2] for s in shared)
            num_bands, num_sampled = sum(s[0] for s in shared), sum(s[1] for s in shared)
            seems_near = bool(num_bands or num_sampled) and is_candidate(num_bands, num_sampled, num_expected)
            if seems_equal or seems_near:
                ledger.send(f"{step.NAME} candidates", 1)
                place = Place.of(other[1:])
                part = _PLACE.pack(*place)
                bucket = xxhash.xxh3_64_intdigest(part[:5]) % num_buckets
                chances = _CHANCES.pack(seems_equal, seems_near)
                yield bucket, part + other[1:] + chances + rank + card[body:]


class VerifyAcross(beam.DoFn):
    """Compares the texts of each candidate pair. Yields the pairs with equal texts, and the pairs whose overlap is
    above the limit. The texts of kept documents are read from the clean files. A pair goes to the bucket of its new
    document.
    """

    def __init__(self, job: SourceJob, step: AcrossDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger, sample = Ledger(self._job.source.name, 0), RejectedSample()
        for (number, part), of_part in itertools.groupby(group[1], key=lambda p: _PLACE.unpack_from(p)[:2]):
            by_row = itertools.groupby(of_part, key=lambda p: int(_PLACE.unpack_from(p)[2]))
            kept = self._job.kept[number]
            for found, candidates in kept_texts(kept.clean_path(part), by_row):
                yield from self._of_kept(found, candidates, ledger, sample)
        yield TaggedOutput(REJECTED, sample.rows)
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _of_kept(
        self, kept: KeptText, candidates: Iterable[bytes], ledger: Ledger, sample: RejectedSample
    ) -> Iterator[Any]:
        step, hash_of_kept, ngrams = self._step, text_hash(kept.text), None
        for payload in candidates:
            ledger.receive(f"{step.NAME} candidates", 1)
            ledger.note(step.NAME, VERIFIED, 1)
            at = _PLACE.size
            rank = payload[at : at + RANK_BYTES]
            seems_equal, _ = _CHANCES.unpack_from(payload, at + RANK_BYTES)
            start = at + RANK_BYTES + _CHANCES.size
            new = NewDocument.of(payload[start : start + RANK_BYTES], payload[start + RANK_BYTES :])
            of_new = new.card.read_ngrams()
            is_equal = step.exact and bool(seems_equal) and new.text_hash == hash_of_kept
            if is_equal:
                overlap = Overlap(new.card, kept.card(rank), 1.0, 1.0, len(of_new))
            else:
                if ngrams is None and step.near is not None:
                    (ngrams,) = ngram_sets([kept.text], ngram_words=step.near.ngram_words)
                found = measured(of_new, ngrams if ngrams is not None else of_new[:0])
                overlap = Overlap(new.card, kept.card(rank), found.containment, found.jaccard, found.num_shared)
            if is_equal or self._is_near(overlap):
                ledger.send(f"{step.NAME} overlaps", 1)
                order = kept.order(rank)
                body = rank + order + bytes([is_equal]) + overlap.to_bytes()
                yield card_bucket(new.rank, self._job.sizes.scale.num_key_buckets), new.rank + body
            else:
                ledger.note(step.NAME, REJECTED_PAIRS, 1)
                ids = (overlap.removed.document_id.encode(), overlap.kept.document_id.encode())
                sample.add(*ids, overlap.to_bytes)

    def _is_near(self, overlap: Overlap) -> bool:
        near = self._step.near
        return near is not None and near.overlap(overlap.containment, overlap.jaccard) > near.max_overlap


class DecideAcross(beam.DoFn):
    """Chooses the kept document that is reported for each dropped document. It is a document with an equal text, or
    else the document with the greatest overlap.

    If several documents have an equal text, or the same overlap, the one whose index comes first in the list of indexes
    is chosen. Within one index, the longest of them is chosen. Of equally long ones, the one with the smallest hash is
    chosen.
    """

    def __init__(self, job: SourceJob, step: AcrossDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger, step = Ledger(self._job.source.name, 0), self._step
        head = 2 * RANK_BYTES
        for rank, payloads in itertools.groupby(group[1], key=lambda p: p[:RANK_BYTES]):
            best: tuple[tuple[bool, float, bytes], bytes] | None = None
            for payload in payloads:
                ledger.receive(f"{step.NAME} overlaps", 1)
                is_equal, order = payload[head + _ORDER_BYTES], payload[head : head + _ORDER_BYTES]
                overlap = Overlap.of(payload[head + _ORDER_BYTES + 1 :])
                found = 1.0 if step.near is None else step.near.overlap(overlap.containment, overlap.jaccard)
                key = (not is_equal, -found, order)
                if best is None or key < best[0]:
                    best = (key, payload)
            assert best is not None
            kept = best[1][RANK_BYTES:head]
            ledger.send(f"{step.NAME} decisions", 1)
            bucket = card_bucket(kept, self._job.sizes.scale.num_key_buckets)
            yield bucket, kept + rank + best[1][head + _ORDER_BYTES :]
        yield TaggedOutput(COUNTS, dict(ledger.counts))


_ORDER_BYTES = 12
"""The number of bytes that :meth:`KeptText.order` returns. These bytes decide between kept documents with equal
overlaps."""


class WriteAcross(WritePairs):
    """Writes the pairs of a dropped new document and a kept document to ``dedup/``. Takes the pairs of one bucket. A
    pair's bucket is chosen by its kept document.

    A dropped document gets the same two verdicts as in :class:`WritePairs`. A kept document gets none.
    """

    _SUFFIX = ":across"

    def _parsed(self, payload: bytes) -> tuple[Overlap, str]:
        overlap = Overlap.of(payload[1:])
        return overlap, (EQUAL_MARK if payload[0] else NEAR_MARK) + self._name_of(overlap.kept)

    def _name_of(self, kept: Card) -> str:
        index = self._job.kept[kept.address[0]]
        return f"{index.output}/{index.source}: {kept.document_id}".removeprefix("/")

    def _kept(self, kept: Any, num_removed: int, ledger: Ledger) -> Iterator[Any]:
        return iter(())  # the kept document is complete and does not change

    def _overlap(self, overlap: Overlap) -> float:
        assert isinstance(self._step, AcrossDedup)
        near = self._step.near
        return 1.0 if near is None else near.overlap(overlap.containment, overlap.jaccard)
