"""Running a segment on batches: verdicts of global steps applied, local steps run, everything counted. No Beam."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.ccnet.line_hashes import drop_lines
from filters.step import Step
from pipeline.clean import counts as c
from pipeline.clean.batches import BASE_COLUMNS, SIGNAL_PREFIX, SIGNALS_TYPE, set_columns, signals_list, text_bytes
from pipeline.clean.dedup.line_keys import LINE_HASHES_COLUMN, lines_to_keep
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import GlobalStep, Segment
from pipeline.progress import ticks as progress
from pipeline.sources.dedup_steps import LineDedup, NearDedup

NO_LINES_LEFT = "no_lines_left"


@dataclass(slots=True)
class Verdicts:
    """What the global steps said of one batch, by tag: rows to drop with a detail, or hashes of lines to drop."""

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    lines: dict[int, list[np.ndarray]] = field(default_factory=dict)
    signals: dict[int, dict[int, float]] = field(default_factory=dict)
    """What was measured of rows that stay."""
    attributes: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """Of a join: columns of a row of the batch."""


@dataclass(slots=True)
class StepRunner:
    """Runs one segment of one source."""

    job: SourceJob
    segment: Segment
    models: Mapping[str, Any]

    def run(self, batch: pa.RecordBatch, verdicts: Verdicts, ledger: Ledger) -> pa.RecordBatch:
        """The batch after the verdicts and the local steps, with everything counted."""
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
        return ledger.split(step.NAME, batch, after, outcome.verdict, outcome.detail)[0]

    def _tick(self, step: str, started: float, batch: pa.RecordBatch) -> None:
        folder, num_bytes = self.job.progress_dir, text_bytes(batch.column("text")) if self.job.progress_dir else 0
        progress.tick_step(folder, self.job.source.name, step, started=started, documents=batch.num_rows,
                           num_bytes=num_bytes)  # fmt: skip

    def apply_verdicts(
        self, batch: pa.RecordBatch, verdicts: Verdicts, ledger: Ledger
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        """Drops what the global steps before this segment decided, in the order of the steps.

        Returns what is left and the rows it had in the batch as it came: by these every verdict names its documents.
        """
        rows = np.arange(batch.num_rows)
        for global_step in self.segment.verdicts:
            step, started, before = global_step.step, time.perf_counter(), batch
            if isinstance(step, LineDedup):
                batch, rows = self._apply_lines(global_step, batch, rows, verdicts, ledger)
            else:
                batch, rows = self._apply_rows(global_step, batch, rows, verdicts, ledger)
            self._tick(step.NAME, started, before)
        return batch, rows

    def _apply_rows(self, global_step: GlobalStep, batch: pa.RecordBatch, rows: np.ndarray, verdicts: Verdicts,
                    ledger: Ledger) -> tuple[pa.RecordBatch, np.ndarray]:  # fmt: skip
        step = global_step.step
        (reason,) = step.reasons
        lost = verdicts.rows.get(global_step.tag, {})
        ledger.receive(f"{step.NAME} verdicts", len(lost))
        details = [lost.get(int(r)) for r in rows]
        assert sum(d is not None for d in details) == len(lost), f"{step.NAME}: a verdict on a row that is not there"
        detail = pa.array(details, pa.string())
        verdict = pc.if_else(pc.is_null(detail), pa.scalar(None, pa.string()), reason)
        after = batch
        if isinstance(step, NearDedup):
            found = verdicts.signals.get(global_step.tag, {})
            ledger.receive(f"{step.NAME} signals", len(found))
            overlaps = pa.array([found.get(int(r)) for r in rows], pa.float64())
            after = set_columns(batch, {SIGNAL_PREFIX + step.SIGNAL: overlaps})
        kept, is_kept = ledger.split(step.NAME, batch, after, verdict, detail)
        return kept, rows[np.asarray(is_kept)]

    def _apply_lines(self, global_step: GlobalStep, batch: pa.RecordBatch, rows: np.ndarray, verdicts: Verdicts,
                     ledger: Ledger) -> tuple[pa.RecordBatch, np.ndarray]:  # fmt: skip
        step = global_step.step
        assert isinstance(step, LineDedup)
        parts = verdicts.lines.get(global_step.tag, [])
        ledger.receive(f"{step.NAME} verdicts", sum(map(len, parts)))
        lost = np.concatenate(parts) if parts else np.empty(0, np.uint64)
        keep, lines = lines_to_keep(batch, step, lost)
        if LINE_HASHES_COLUMN in batch.schema.names:  # they are of the text as it was
            batch = batch.drop_columns([LINE_HASHES_COLUMN])
        found = drop_lines(batch.column("text"), ~keep)
        text, num_kept = found.text, np.asarray(found.num_lines)
        num_lines = np.bincount(lines.documents, minlength=batch.num_rows)
        takes_part = np.bincount(lines.documents, weights=lines.takes_part, minlength=batch.num_rows) > 0
        ledger.count(step.NAME, c.LINES_IN, int(num_lines.sum()))
        ledger.count(step.NAME, c.LINES_KEPT, int(num_kept.sum()))
        text = pc.if_else(pa.array(takes_part), text, batch.column("text"))
        columns = {"text": text}
        if "num_lines" in batch.schema.names:
            columns |= {
                "num_lines": pa.array(num_kept, pa.int64()),
                "original_num_lines": pa.array(num_lines, pa.int64()),
            }
        signals = {SIGNAL_PREFIX + "duplicate_lines": pa.array((num_lines - num_kept).astype(np.float64))}
        is_lost = pa.array(takes_part & (num_kept == 0))
        verdict = pc.if_else(is_lost, NO_LINES_LEFT, pa.scalar(None, pa.string()))
        detail = pa.array([str(n) for n in num_lines], pa.string())
        after = set_columns(batch, {**columns, **signals})
        kept, is_kept = ledger.split(step.NAME, batch, after, verdict, detail)
        return kept, rows[np.asarray(is_kept)]


def with_attributes(batch: pa.RecordBatch, attributes: Mapping[int, Mapping[str, Any]]) -> pa.RecordBatch:
    """The batch with the columns that a join found for its rows."""
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


def clean_schema(job: SourceJob) -> pa.Schema:
    """The columns of ``clean/<source>``: the base, the source's own, those its steps add, and the signals."""
    columns = dict(BASE_COLUMNS) | dict(job.source.reader.COLUMNS)
    for step in job.source.steps:
        columns |= dict(step.COLUMNS) if isinstance(step, Step) else {}
    kept = {n: t for n, t in columns.items() if not n.startswith("_")}
    return pa.schema([pa.field(n, t) for n, t in kept.items()] + [pa.field("signals", SIGNALS_TYPE)])


def to_clean(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the form of the output."""
    arrays = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name == "signals":
            arrays.append(signals_list(batch))
        elif name in batch.schema.names:
            arrays.append(batch.column(name).cast(kind))
        else:
            arrays.append(pa.nulls(batch.num_rows, kind))
    return pa.record_batch(arrays, schema=schema)
