"""Runs the near dedup for books, which drops documents that overlap a kept document by more than ``max_overlap``.
Workers exchange hashes of word n-grams, not texts.

1. Each document sends a sketch, which is a sample of its shingles (hashes of word n-grams). Two documents that share a
   shingle are a pair.
2. The shingles are divided into buckets. The shared shingles of each pair are summed over the buckets. Pairs that share
   enough shingles are candidates.
3. The overlap of a candidate pair is computed from all shingles of both documents.
4. One worker decides which documents of the overlapping pairs are dropped. It goes through the documents from the
   longest to the shortest.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import xxhash
from apache_beam.pvalue import TaggedOutput

from filters.books.overlap import overlap
from filters.books.overlap_groups import is_at_risk, is_candidate, pairs_of_bucket, ranks, resolve
from pipeline.clean.batch_address import BATCH_ID, ROW, part_of
from pipeline.clean.batches import SIGNAL_PREFIX, set_columns
from pipeline.clean.dedup.kind import Chain, DedupKind, KeyTools, NumberedBatch, drop_rows
from pipeline.clean.dedup.near_keys import parse_info, parse_sketch, signature
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import GlobalStep
from pipeline.clean.tags import BOOKS, COUNTS, SKETCHES, signal_bytes
from pipeline.clean.verdicts import Verdicts
from pipeline.engine.group_bytes import GroupBytes
from pipeline.sources.dedup_steps import DedupStep, NearDedup

_PAIR = struct.Struct(">QQ")
_SHARED = struct.Struct(">III")  # number of shingles that both sketches contain, size of each sketch
_NUM_COMMON = struct.Struct(">I")
_INFO, _REQUEST, _COMMON = 0, 1, 2
"""The byte after the key of a book in a payload. It says what follows: the info of the book (:meth:`Book.info`); a pair
that requests this info; or the number of the book's shingles that too many books share. The info sorts first.
"""
MAY_HIDE_DUPLICATES = "may_hide_duplicates"
"""The name of a note (a number that a step reports). It counts the books that consist mostly of text that many books
contain. Duplicates of such a book may have been missed."""


class NearKind(DedupKind):
    """Runs a near dedup for books. A pass over the texts sends a sketch of each document (a sample of its shingles).

    All shingles are spilled to disk, because the exact overlap of two documents is computed from them.
    """

    def key_tags(self, chain: Chain) -> list[str]:
        return [BOOKS, SKETCHES]

    def keys(self, numbered: NumberedBatch, chain: Chain, tools: KeyTools) -> Iterator[tuple[str, tuple[int, bytes]]]:
        step, num_buckets = _near_dedup(chain[0].step), tools.scale.num_key_buckets
        ids, texts = numbered.batch.column("id").to_pylist(), numbered.batch.column("text").to_pylist()
        for row, document_id, text in zip(numbered.rows.tolist(), ids, texts, strict=True):
            book = signature(document_id, text, numbered.batch_id + ROW.pack(row), step.ngram_words, tools.spill)
            tools.ledger.send(f"{step.NAME} signatures", 1)
            yield BOOKS, book.info(num_buckets)
            for bucket, payload in book.sketch_payloads(num_buckets):
                tools.ledger.send(f"{step.NAME} shingles", len(parse_sketch(payload).hashes))
                yield SKETCHES, (bucket, payload)

    def graph(self, job: SourceJob, chain: Chain, earlier: Mapping[str, Sequence[Any]]) -> beam.PTransform:
        return DedupNear(job, chain[0])

    def apply(
        self, global_step: GlobalStep, numbered: NumberedBatch, verdicts: Verdicts, ledger: Ledger
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        step = _near_dedup(global_step.step)
        found = verdicts.signals.get(global_step.tag, {})
        ledger.receive(f"{step.NAME} signals", len(found))
        overlaps = pa.array([found.get(int(row)) for row in numbered.rows], pa.float64())
        after = set_columns(numbered.batch, {SIGNAL_PREFIX + step.SIGNAL: overlaps})
        return drop_rows(global_step, numbered, verdicts, ledger, after=after)


def _near_dedup(step: DedupStep) -> NearDedup:
    assert isinstance(step, NearDedup)
    return step


class DedupNear(beam.PTransform):
    """Runs the near dedup on all documents. Outputs verdicts (which documents are dropped) and counts.

    The input has two PCollections. One has the sketches of the documents, by which pairs are found. The other has an
    info for each document, which says where its shingles are on disk. The exact overlap of a pair is computed from the
    shingles of both documents.

    A verdict contains the id of the document that is kept instead. A dropped document also gets a signal (a
    measurement): its overlap with that document. If two kept documents overlap by half or more, each of them gets a
    signal too. A signal has the form of a verdict (:func:`pipeline.clean.tags.signal_bytes`). One worker holds all
    pairs that overlap by half or more in memory, 0.5 kB per pair.
    """

    def __init__(self, job: SourceJob, global_step: GlobalStep) -> None:
        super().__init__()
        self._job, self._global_step = job, global_step

    def expand(self, inputs: tuple[Any, Any]) -> tuple[list[Any], list[Any], dict[str, Any]]:
        books, sketches = inputs
        job, buckets, spill = self._job, self._job.sizes.scale.num_key_buckets, self._job.places.shuffle
        step = _near_dedup(self._global_step.step)
        pairs = (
            sketches
            | "group_shingles" >> GroupBytes(buckets, spill)
            | "pair" >> beam.ParDo(_Pairs(job, step)).with_outputs(COUNTS, _COMMON_TAG, main="pairs")
        )
        requests = (
            pairs.pairs | "group_pairs" >> GroupBytes(buckets, spill) | "candidates" >> beam.ParDo(_Candidates(job))
        )
        answers = (
            (books, requests, pairs[_COMMON_TAG])
            | "group_books" >> GroupBytes(buckets, spill)
            | "answer" >> beam.ParDo(_Answers(job, step)).with_outputs(COUNTS, main="answers")
        )
        outcome = (
            answers.answers
            | "group_candidates" >> GroupBytes(buckets, spill)
            | "verify" >> beam.ParDo(_Verify(step))
            | "group_edges" >> GroupBytes(1, spill)
            | "resolve" >> beam.ParDo(_Resolve(job, self._global_step)).with_outputs(COUNTS, main="verdicts")
        )
        return [outcome.verdicts], [pairs[COUNTS], answers[COUNTS], outcome[COUNTS]], {}


_COMMON_TAG = "common"


def _pair_bucket(pair: bytes, num_buckets: int) -> int:
    return xxhash.xxh3_64_intdigest(pair) % num_buckets


class _Pairs(beam.DoFn):
    """Finds the pairs of books that share shingles in one bucket. Yields each pair with the number of shared
    shingles.
    """

    def __init__(self, job: SourceJob, step: NearDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        parsed = [parse_sketch(p) for p in group[1]]
        lengths = [len(sketch.hashes) for sketch in parsed]
        keys = np.repeat(np.array([sketch.key for sketch in parsed], np.uint64), lengths)
        order = ranks([sketch.num_shingles for sketch in parsed], [sketch.document_id for sketch in parsed])
        found = pairs_of_bucket(np.concatenate([sketch.hashes for sketch in parsed]), keys, np.repeat(order, lengths))
        size_of = {sketch.key: sketch.sketch_size for sketch in parsed}
        for (a, b), shared in zip(found.pairs.tolist(), found.counts.tolist(), strict=True):
            pair = _PAIR.pack(a, b)
            yield (
                _pair_bucket(pair, self._job.sizes.scale.num_key_buckets),
                pair + _SHARED.pack(shared, size_of[a], size_of[b]),
            )
        for key, number in zip(found.capped_books.tolist(), found.capped_counts.tolist(), strict=True):
            payload = key.to_bytes(8, "big") + bytes([_COMMON]) + _NUM_COMMON.pack(number)
            yield TaggedOutput(_COMMON_TAG, (key % self._job.sizes.scale.num_key_buckets, payload))
        ledger = Ledger(self._job.source.name, 0)
        ledger.receive(f"{self._step.NAME} shingles", sum(lengths))
        yield TaggedOutput(COUNTS, dict(ledger.counts))


class _Candidates(beam.DoFn):
    """Sums the shared shingles of each pair over the buckets. If the sum is large enough, requests the infos of both
    books.

    An info is a record that says where the shingles of a book are on disk. The exact overlap is computed from these
    shingles.
    """

    def __init__(self, job: SourceJob) -> None:
        self._job = job

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        for pair, payloads in itertools.groupby(group[1], key=lambda p: p[: _PAIR.size]):
            rows = [_SHARED.unpack_from(p, _PAIR.size) for p in payloads]
            if is_candidate(sum(r[0] for r in rows), rows[0][1], rows[0][2]):
                for key in _PAIR.unpack(pair):
                    yield key % self._job.sizes.scale.num_key_buckets, key.to_bytes(8, "big") + bytes([_REQUEST]) + pair


class _Answers(beam.DoFn):
    """Sends the info of a book to the candidate pairs that requested it. An info says where the shingles of the book
    are.

    Also counts the books that share most of their text with many books, because duplicates of such books may be missed.
    """

    def __init__(self, job: SourceJob, step: NearDedup) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        num_books = num_hiding = 0
        for _, of_book in itertools.groupby(group[1], key=lambda p: p[:8]):
            payloads = iter(of_book)
            info = next(payloads)
            assert info[8] == _INFO, "a pair requests a book that does not exist"
            num_books += 1
            num_common = 0
            for payload in payloads:
                if payload[8] == _COMMON:
                    num_common += _NUM_COMMON.unpack_from(payload, 9)[0]
                else:
                    assert payload[8] == _REQUEST, "two books have the same key"
                    pair = payload[9:]
                    yield _pair_bucket(pair, self._job.sizes.scale.num_key_buckets), pair + info[9:]
            num_hiding += is_at_risk(num_common, parse_info(info[9:]).sketch_size)
        ledger = Ledger(self._job.source.name, 0)
        ledger.receive(f"{self._step.NAME} signatures", num_books)
        ledger.note(self._step.NAME, MAY_HIDE_DUPLICATES, num_hiding)
        yield TaggedOutput(COUNTS, dict(ledger.counts))


class _Verify(beam.DoFn):
    """Computes the exact overlap of a candidate pair from all shingles of both books."""

    def __init__(self, step: NearDedup) -> None:
        self._step = step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        for _, payloads in itertools.groupby(group[1], key=lambda p: p[: _PAIR.size]):
            first, second = (parse_info(p[_PAIR.size :]) for p in payloads)
            share = overlap(first.shingles(), second.shingles())
            if share > self._step.max_overlap or share >= self._step.REPORTED:
                ends = [[i.address.hex(), i.document_id, i.num_shingles] for i in (first, second)]
                yield 0, json.dumps([*ends, share]).encode()


class _Resolve(beam.DoFn):
    """Decides which books of the overlapping pairs are dropped.

    Identifies books by address, because two books can have the same id.
    """

    def __init__(self, job: SourceJob, global_step: GlobalStep) -> None:
        self._job, self._global_step = job, global_step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        step = _near_dedup(self._global_step.step)
        sizes: dict[str, int] = {}
        addresses: dict[str, tuple[str, str]] = {}
        pairs: list[tuple[str, str, float]] = []
        for payload in group[1]:
            first, second, share = json.loads(payload)
            names = []
            for address, document_id, num_shingles in (first, second):
                name = f"{document_id}\0{address}"
                names.append(name)
                sizes[name] = num_shingles
                addresses[name] = (address, document_id)
            pairs.append((names[0], names[1], share))
        dropped = resolve(sizes, [p for p in pairs if p[2] > step.max_overlap], max_overlap=step.max_overlap)
        for name, (kept, _) in dropped.items():
            yield self._verdict(addresses[name][0], addresses[kept][1].encode())
        overlaps = {name: share for name, (_, share) in dropped.items()}
        for first, second, share in pairs:
            if first not in dropped and second not in dropped:
                for name in (first, second):
                    overlaps[name] = max(overlaps.get(name, 0.0), share)
        for name, share in overlaps.items():
            yield self._verdict(addresses[name][0], signal_bytes(share))
        ledger = Ledger(self._job.source.name, 0)
        ledger.send(f"{step.NAME} verdicts", len(dropped))
        ledger.send(f"{step.NAME} signals", len(overlaps))
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _verdict(self, address_hex: str, body: bytes) -> tuple[int, bytes]:
        address = bytes.fromhex(address_hex)
        batch_id, row = address[: BATCH_ID.size], address[BATCH_ID.size :]
        return part_of(batch_id, self._job.sizes.scale.num_parts), batch_id + bytes(
            [self._global_step.tag]
        ) + row + body
