"""Runs the near dedup that works for every source. It finds likely pairs with MinHash and with sampled n-grams. Then it
compares all n-grams of the two documents of a pair.

1. Each document sends two kinds of keys: the bands of its MinHash signature, and a sample of its n-grams. Two documents
   that share a key are a pair. The documents have an order, in which longer documents come first. The first document of
   a pair would be kept, and the other one would be removed.
2. The shared keys of each pair are counted. For this the pairs are grouped by the document that would be removed. Pairs
   that share enough keys become candidates.
3. The exact overlap of each candidate pair is computed from all n-grams of both documents. For this the candidates are
   grouped by the document that would be kept.
4. One worker goes through the overlapping pairs, in the order of the documents that would be removed. It removes such a
   document only if the other document of the pair is kept.
5. The pairs of each kept document are written. A kept document and its removed duplicates form a group, and the size of
   each group is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipeline.clean import counts as c
from pipeline.clean.batch_address import ROW
from pipeline.clean.batches import SIGNAL_PREFIX, set_columns
from pipeline.clean.dedup.ceilings import CheckRemoved, group_payloads
from pipeline.clean.dedup.kind import Chain, DedupKind, KeyTools, NumberedBatch, drop_rows
from pipeline.clean.dedup.min_hash_keys import RECORD, hosts_of, keyed, packed_records
from pipeline.clean.dedup.min_hash_pairs import PairsOfOverlap, card_payload
from pipeline.clean.dedup.pair_files import LargestGroups, WritePairs, WriteRejected
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import GlobalStep
from pipeline.clean.tags import CARDS, COUNTS, GROUPS, MEMBERS, MEMBERS_MARK, RECORDS
from pipeline.clean.verdicts import Verdicts
from pipeline.engine.group_bytes import GroupBytes
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.min_hash_step import MinHashDedup

TOO_SHORT = "documents_not_compared"
"""The name of a note (a number that a step reports). It counts the documents that are not compared, because they have
too few n-grams or no value in the scope column."""


class MinHashKind(DedupKind):
    """Runs the near dedup with MinHash. It sends the keys of each document, and a card that describes the document.

    It also writes the n-grams of all documents to disk. The exact overlap of two documents is computed from their
    n-grams.
    """

    def key_tags(self, chain: Chain) -> list[str]:
        return [CARDS, RECORDS, GROUPS]

    def keys(self, numbered: NumberedBatch, chain: Chain, tools: KeyTools) -> Iterator[tuple[str, tuple[int, bytes]]]:
        step, scale, batch = _min_hash(chain[0].step), tools.scale, numbered.batch
        if not batch.num_rows:
            return
        hosts = hosts_of(batch)
        found = keyed(batch, numbered.batch_id, numbered.rows.tolist(), step, tools.spill, hosts=hosts)
        for rank, card in found.cards:
            yield CARDS, card_payload(rank, card, scale.num_key_buckets)
        for bucket, payload in packed_records(found.records, scale.num_line_buckets):
            tools.ledger.send(f"{step.NAME} keys", len(payload) // RECORD.itemsize)
            yield RECORDS, (bucket, payload)
        languages = [language or "und" for language in batch.column("language").to_pylist()]
        for counted in group_payloads(languages, hosts, scale.num_key_buckets):
            yield GROUPS, counted
        tools.ledger.send(f"{step.NAME} cards", len(found.cards))
        tools.ledger.note(step.NAME, TOO_SHORT, batch.num_rows - len(found.cards))

    def graph(self, job: SourceJob, chain: Chain, earlier: Mapping[str, Sequence[Any]]) -> beam.PTransform:
        return DedupMinHash(job, chain[0])

    def read(self, verdicts: Verdicts, tag: int, body: bytes) -> None:
        if body[ROW.size : ROW.size + 1] == MEMBERS_MARK:
            _, number = MEMBERS.unpack_from(body, ROW.size)
            verdicts.members.setdefault(tag, {})[ROW.unpack_from(body)[0]] = number
        else:
            super().read(verdicts, tag, body)

    def apply(
        self, global_step: GlobalStep, numbered: NumberedBatch, verdicts: Verdicts, ledger: Ledger
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        step = _min_hash(global_step.step)
        overlaps = verdicts.signals.get(global_step.tag, {})
        members = verdicts.members.get(global_step.tag, {})
        ledger.receive(f"{step.NAME} signals", len(overlaps))
        ledger.receive(f"{step.NAME} groups", len(members))
        rows = numbered.rows.tolist()
        after = set_columns(
            numbered.batch,
            {
                SIGNAL_PREFIX + step.SIGNAL: pa.array([overlaps.get(row) for row in rows], pa.float64()),
                step.GROUP_SIZE: pa.array([1 + members.get(row, 0) for row in rows], pa.int64()),
            },
        )
        return drop_rows(global_step, numbered, verdicts, ledger, after=after)


def _min_hash(step: DedupStep) -> MinHashDedup:
    assert isinstance(step, MinHashDedup)
    return step


class DedupMinHash(beam.PTransform):
    """Runs the near dedup on all documents. Outputs verdicts (which documents are removed) and counts.

    The input has three PCollections: a card per document, which describes the document; a record for each key of a
    document; and the number of documents per language and host.

    A worker holds one bucket of records in memory. A record takes 24 bytes, and 96 bytes while the worker sorts the
    bucket. A worker that computes overlaps holds the n-grams of two documents. The one worker that makes the decisions
    holds 100 bytes per removed document.
    """

    def __init__(self, job: SourceJob, global_step: GlobalStep) -> None:
        super().__init__()
        self._job, self._global_step = job, global_step

    def expand(self, inputs: tuple[Any, Any, Any]) -> tuple[list[Any], list[Any], dict[str, Any]]:
        cards, records, groups = inputs
        job, step = self._job, _min_hash(self._global_step.step)
        decisions, counts, rejected = (cards, records) | "pairs" >> PairsOfOverlap(job, step)
        write = WritePairs(job, step, self._global_step.tag)
        outcome = (
            decisions
            | "group_decisions" >> GroupBytes(job.sizes.scale.num_key_buckets, job.places.shuffle)
            | "write_pairs" >> beam.ParDo(write).with_outputs(COUNTS, GROUPS, c.LARGEST_STAGE, main="verdicts")
        )
        counts += [
            outcome[COUNTS],
            rejected | "rejected" >> WriteRejected(job, step),
            outcome[c.LARGEST_STAGE] | "largest" >> LargestGroups(job.source.name),
            *((groups, outcome[GROUPS]) | "ceilings" >> CheckRemoved(job, step.NAME)),
        ]
        return [outcome.verdicts], counts, {}
