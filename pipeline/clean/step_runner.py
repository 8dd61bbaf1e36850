"""Runs a segment on a batch, without Beam: applies the verdicts of dedups, runs local steps, and counts everything."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.step import Step
from pipeline.clean.batches import BASE_COLUMNS, SIGNAL_PREFIX, SIGNALS_TYPE, set_columns, signals_list, text_bytes
from pipeline.clean.dedup.kind import NumberedBatch
from pipeline.clean.dedup.kinds import kind_of
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import Segment
from pipeline.clean.verdicts import Verdicts
from pipeline.progress import ticks as progress
from pipeline.sources.source import AnyStep, Source


@dataclass(slots=True)
class StepRunner:
    """Runs one segment of a source (the steps between two dedups)."""

    source: Source
    segment: Segment
    models: Mapping[str, Any]
    progress_dir: str | None = None

    def run(self, batch: pa.RecordBatch, verdicts: Verdicts, ledger: Ledger) -> pa.RecordBatch:
        """Applies the verdicts and the local steps to a batch. Returns the kept documents.

        Adds counts and dropped documents to the ledger.
        """
        batch = with_attributes(self.apply_verdicts(batch, verdicts, ledger)[0], verdicts.attributes)
        ledger.receive("attributes", len(verdicts.attributes))
        for step in self.segment.local:
            if batch.num_rows:
                batch = self._apply(step, batch, ledger)
        return batch

    def _apply(self, step: Step, batch: pa.RecordBatch, ledger: Ledger) -> pa.RecordBatch:
        started = time.perf_counter()
        outcome = step.apply(batch, self.models)
        self._tick(step.NAME, started, batch)
        signals = {SIGNAL_PREFIX + n: pc.cast(a, pa.float64()) for n, a in outcome.signals.items()}
        after = set_columns(batch, {**outcome.columns, **signals})
        assert len(outcome.verdict) == batch.num_rows, step.NAME
        if outcome.evidence is not None:
            ledger.leave(outcome.evidence)
        return ledger.split(step.NAME, batch, after, outcome.verdict, outcome.detail)[0]

    def _tick(self, step: str, started: float, batch: pa.RecordBatch) -> None:
        folder, num_bytes = self.progress_dir, text_bytes(batch.column("text")) if self.progress_dir else 0
        progress.tick_step(folder, self.source.name, step, started=started, documents=batch.num_rows,
                           num_bytes=num_bytes)  # fmt: skip

    def apply_verdicts(
        self, batch: pa.RecordBatch, verdicts: Verdicts, ledger: Ledger
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        """Applies the verdicts of the dedups before this segment, in the order of the dedups.

        Returns the kept documents and their row numbers in the given batch. Verdicts identify documents by these row
        numbers.
        """
        rows = np.arange(batch.num_rows)
        for global_step in self.segment.verdicts:
            step, started, before = global_step.step, time.perf_counter(), batch
            numbered = NumberedBatch(batch, b"", rows)
            batch, rows = kind_of(step).apply(global_step, numbered, verdicts, ledger)
            self._tick(step.NAME, started, before)
        return batch, rows


def with_attributes(batch: pa.RecordBatch, attributes: Mapping[int, Mapping[str, Any]]) -> pa.RecordBatch:
    """Fills columns of a batch with the values that a join found. ``attributes`` has these values by row number."""
    if not attributes:
        return batch
    names = list(next(iter(attributes.values())))
    columns = {}
    for name in names:
        values = batch.column(name).to_pylist()
        for row, found in attributes.items():
            values[row] = found[name]
        columns[name] = pa.array(values, batch.schema.field(name).type)
    return set_columns(batch, columns)


def clean_schema(source: Source) -> pa.Schema:
    """Returns the schema of ``clean/SOURCE``: base columns, columns of the reader and of the steps, and signals
    (measurements).
    """
    columns = dict(BASE_COLUMNS) | dict(source.reader.COLUMNS)
    for step in source.steps:
        columns |= dict(step.COLUMNS if isinstance(step, Step) else step.columns)
    kept = {n: t for n, t in columns.items() if not n.startswith("_")}
    return pa.schema([pa.field(n, t) for n, t in kept.items()] + [pa.field("signals", SIGNALS_TYPE)])


def evidence_schema(steps: Iterable[AnyStep]) -> pa.Schema | None:
    """Returns the schema of the rows that a step records as evidence; None if no step records evidence.

    Evidence is written to ``decontamination/``. It shows which passages are also in evaluation sets.
    """
    return next((step.EVIDENCE for step in steps if isinstance(step, Step) and step.EVIDENCE is not None), None)


def to_clean(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Converts a batch to the schema of the output. Columns that the batch does not have are null."""
    arrays = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name == "signals":
            arrays.append(signals_list(batch))
        elif name in batch.schema.names:
            arrays.append(batch.column(name).cast(kind))
        else:
            arrays.append(pa.nulls(batch.num_rows, kind))
    return pa.record_batch(arrays, schema=schema)
