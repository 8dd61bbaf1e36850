"""Runs the dedup across sources. New documents are compared with the stored indexes of sources that are already clean.

1. The index of each earlier source has the keys of its kept documents. New documents (the documents of the source that
   is cleaned) send keys of the same kinds: a hash of the text, the bands of the MinHash signature, and sampled n-grams.
   A new document and a kept document that share a key are a pair.
2. The shared keys of each pair are counted. Pairs that share enough keys become candidates.
3. The texts of each candidate pair are compared. For this, the candidates are grouped by the file of the kept document.
   Only the row groups of this file that contain a candidate are read.
4. A new document is dropped if its text equals the text of a kept document, or overlaps it by more than a limit. If
   this is true for several kept documents, one of them is reported: a document with an equal text, or else the document
   with the greatest overlap.

Kept documents never change. So a document is never dropped because of a document that is itself dropped. A source that
is added in a later run, after all others, is compared with the same indexes as in a run of all sources. So the same
documents are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.urls import site_of
from pipeline.clean import counts as c
from pipeline.clean.batches import SIGNAL_PREFIX, set_columns
from pipeline.clean.dedup.across_keys import new_cards, new_documents
from pipeline.clean.dedup.across_pairs import (
    CARD,
    EQUAL_MARK,
    CandidatesAcross,
    DecideAcross,
    NominateKept,
    ReadKept,
    VerifyAcross,
    WriteAcross,
)
from pipeline.clean.dedup.ceilings import CheckRemoved, group_payloads
from pipeline.clean.dedup.kind import Chain, DedupKind, KeyTools, NumberedBatch
from pipeline.clean.dedup.min_hash_keys import RECORD, packed_records
from pipeline.clean.dedup.pair_files import REJECTED, LargestGroups, WriteRejected
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import GlobalStep
from pipeline.clean.tags import CARDS, COUNTS, GROUPS, RECORDS
from pipeline.clean.verdicts import Verdicts
from pipeline.engine.group_bytes import GroupBytes
from pipeline.sources.across_step import AcrossDedup
from pipeline.sources.dedup_steps import DedupStep


class AcrossKind(DedupKind):
    """Runs the dedup across sources. It sends the keys of new documents, and drops new documents that an earlier source
    has.
    """

    def key_tags(self, chain: Chain) -> list[str]:
        return [CARDS, RECORDS, GROUPS]

    def keys(self, numbered: NumberedBatch, chain: Chain, tools: KeyTools) -> Iterator[tuple[str, tuple[int, bytes]]]:
        step, scale, batch = _across(chain[0].step), tools.scale, numbered.batch
        if not batch.num_rows:
            return
        documents, records = new_documents(batch, numbered.batch_id, numbered.rows.tolist(), step, tools.spill)
        for card in new_cards(documents, CARD, scale.num_key_buckets):
            yield CARDS, card
        for bucket, payload in packed_records(records, scale.num_lookup_buckets):
            tools.ledger.send(f"{step.NAME} keys", len(payload) // RECORD.itemsize)
            yield RECORDS, (bucket, payload)
        urls = batch.column("url").to_pylist() if "url" in batch.schema.names else []
        languages = [language or "und" for language in batch.column("language").to_pylist()]
        for counted in group_payloads(languages, [site_of(url or "") for url in urls], scale.num_key_buckets):
            yield GROUPS, counted
        tools.ledger.send(f"{step.NAME} cards", len(documents))

    def graph(self, job: SourceJob, chain: Chain, earlier: Mapping[str, Sequence[Any]]) -> beam.PTransform:
        return DedupAcross(job, chain[0], earlier.get(chain[0].step.NAME, ()))

    def apply(
        self, global_step: GlobalStep, numbered: NumberedBatch, verdicts: Verdicts, ledger: Ledger
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        step, batch, rows = _across(global_step.step), numbered.batch, numbered.rows.tolist()
        overlaps = verdicts.signals.get(global_step.tag, {})
        lost = verdicts.rows.get(global_step.tag, {})
        ledger.receive(f"{step.NAME} signals", len(overlaps))
        ledger.receive(f"{step.NAME} verdicts", len(lost))
        found = [lost.get(row) for row in rows]
        assert sum(f is not None for f in found) == len(lost), f"{step.NAME}: a verdict names a row that does not exist"
        reasons = [None if f is None else step.EQUAL if f[0] == EQUAL_MARK else step.NEAR for f in found]
        overlap = pa.array([overlaps.get(row) for row in rows], pa.float64())
        after = set_columns(batch, {SIGNAL_PREFIX + step.SIGNAL: overlap})
        detail = pa.array([None if f is None else f[1:] for f in found], pa.string())
        kept, is_kept = ledger.split(step.NAME, batch, after, pa.array(reasons, pa.string()), detail)
        return kept, numbered.rows[np.asarray(pc.fill_null(is_kept, False))]


def _across(step: DedupStep) -> AcrossDedup:
    assert isinstance(step, AcrossDedup)
    return step


class DedupAcross(beam.PTransform):
    """Compares all new documents with the indexes of earlier sources. Outputs verdicts (which documents are dropped)
    and counts.

    The input has three PCollections. The first has a card for each new document, which describes the document. The
    second has a record for each key of a new document. The third has the number of documents per language and host.

    The argument ``kept`` names the files of the indexes: PCollections of (number of the index, number of the file). A
    file is read as soon as its source is complete. A worker holds one bucket of records in memory, and one row group of
    kept texts.
    """

    def __init__(self, job: SourceJob, global_step: GlobalStep, kept: Sequence[Any]) -> None:
        super().__init__()
        self._job, self._global_step, self._kept = job, global_step, tuple(kept)

    def expand(self, inputs: tuple[Any, Any, Any]) -> tuple[list[Any], list[Any], dict[str, Any]]:
        cards, records, groups = inputs
        job, step = self._job, _across(self._global_step.step)
        scale, spill = job.sizes.scale, job.places.shuffle
        assert self._kept, f"{job.label}: no index to compare with"
        kept = (
            self._kept
            | "flatten_kept" >> beam.Flatten()
            | "spread_kept" >> beam.Reshuffle()
            | "read_kept" >> beam.ParDo(ReadKept(job, step)).with_outputs(COUNTS, main="records")
        )
        pairs = (
            (records, kept.records)
            | "group_keys" >> GroupBytes(scale.num_lookup_buckets, spill)
            | "nominate" >> beam.ParDo(NominateKept(job, step)).with_outputs(COUNTS, main="pairs")
        )
        candidates = (
            (cards, pairs.pairs)
            | "group_pairs" >> GroupBytes(scale.num_key_buckets, spill)
            | "candidates" >> beam.ParDo(CandidatesAcross(job, step)).with_outputs(COUNTS, main="candidates")
        )
        overlaps = (
            candidates.candidates
            | "group_candidates" >> GroupBytes(scale.num_key_buckets, spill)
            | "verify" >> beam.ParDo(VerifyAcross(job, step)).with_outputs(COUNTS, REJECTED, main="overlaps")
        )
        decisions = (
            overlaps.overlaps
            | "group_overlaps" >> GroupBytes(scale.num_key_buckets, spill)
            | "decide" >> beam.ParDo(DecideAcross(job, step)).with_outputs(COUNTS, main="decisions")
        )
        write = WriteAcross(job, step, self._global_step.tag)
        outcome = (
            decisions.decisions
            | "group_decisions" >> GroupBytes(scale.num_key_buckets, spill)
            | "write_pairs" >> beam.ParDo(write).with_outputs(COUNTS, GROUPS, c.LARGEST_STAGE, main="verdicts")
        )
        counts = [one[COUNTS] for one in (kept, pairs, candidates, overlaps, decisions, outcome)]
        counts += [
            overlaps[REJECTED] | "rejected" >> WriteRejected(job, step),
            outcome[c.LARGEST_STAGE] | "largest" >> LargestGroups(job.source.name, c.ACROSS),
            *((groups, outcome[GROUPS]) | "ceilings" >> CheckRemoved(job, step.NAME, c.ACROSS)),
        ]
        return [outcome.verdicts], counts, {}
