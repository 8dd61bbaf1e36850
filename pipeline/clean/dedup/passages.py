"""Runs the dedup of passages, which removes long passages that several documents share.

Like the line dedup, it sends hashes, and gets back the hashes of what to remove. The line dedup hashes lines. This
dedup hashes windows, which are parts of a text with a fixed length (:mod:`filters.near.passages`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.near.passages import cut_passages, windows_of
from filters.text_column import num_line_ends
from pipeline.clean.batches import SIGNAL_PREFIX, set_columns
from pipeline.clean.dedup.kind import NumberedBatch
from pipeline.clean.dedup.line_keys import hashes_column, lines_to_keep
from pipeline.clean.dedup.lines import LineKind
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import GlobalStep
from pipeline.clean.verdicts import Verdicts
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.passage_step import PassageDedup


class PassageKind(LineKind):
    """Runs a dedup of passages. It uses the keys and the graph of the line dedup, and removes passages instead of
    lines."""

    spills_hashes = False

    def before_spill(self, batch: pa.RecordBatch, step: DedupStep) -> pa.RecordBatch:
        return batch

    def apply(
        self, global_step: GlobalStep, numbered: NumberedBatch, verdicts: Verdicts, ledger: Ledger
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        batch, step = numbered.batch, global_step.step
        assert isinstance(step, PassageDedup)
        lost = verdicts.lines.get(global_step.tag, [])
        ledger.receive(f"{step.NAME} verdicts", sum(map(len, lost)))
        windows = windows_of(batch.column("text"), step.min_bytes)
        with_hashes = hashes_column(batch, windows.hashes, windows.doc_offsets)
        keep, _ = lines_to_keep(with_hashes, step, np.concatenate(lost) if lost else np.empty(0, np.uint64))
        found = cut_passages(batch.column("text"), windows, ~keep, step.min_bytes)
        ledger.note(step.NAME, "passages", int(found.num_passages.sum()))
        ledger.note(step.NAME, "bytes", int(found.num_bytes.sum()))
        signal = {SIGNAL_PREFIX + step.SIGNAL: pa.array(found.num_bytes.astype(np.float64))}
        if "num_lines" in batch.schema.names:
            signal["num_lines"] = pa.array(num_line_ends(found.text) + 1)
        is_empty = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(found.text)), 0)
        is_lost = pc.and_(is_empty, pa.array(found.num_passages > 0))
        verdict = pc.if_else(is_lost, step.REASON, pa.scalar(None, pa.string()))
        detail = pa.array([str(number) for number in found.num_bytes.tolist()], pa.string())
        after = set_columns(batch, {"text": found.text, **signal})
        kept, is_kept = ledger.split(step.NAME, batch, after, verdict, detail)
        return kept, numbered.rows[np.asarray(is_kept)]
