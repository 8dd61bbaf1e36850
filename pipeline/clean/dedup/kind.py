"""The shape that all kinds of dedup share: four parts, which a file of this folder fills in for its kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clean.batch_address import ROW
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import GlobalStep
from pipeline.clean.sizing import Scale
from pipeline.clean.tags import SIGNAL, SIGNAL_MARK
from pipeline.clean.verdicts import Verdicts
from pipeline.files.spill import SpillFile
from pipeline.sources.dedup_steps import DedupStep

Chain = tuple[GlobalStep, ...]
"""The dedups that one pass asks together: several exact dedups, or a single dedup of another kind."""


class Asked(NamedTuple):
    """The documents of a batch about which a pass asks the next dedups."""

    batch: pa.RecordBatch
    batch_id: bytes
    rows: np.ndarray
    """The row numbers of the documents in the batch as it was spilled. Verdicts name documents by them."""


class Workshop(NamedTuple):
    """What a worker has at hand while it asks."""

    scale: Scale
    spill: SpillFile
    ledger: Ledger


class DedupKind(ABC):
    """How one kind of dedup runs in the clean phase."""

    spills_hashes = False
    """True if ``before_spill`` adds a column to a batch, which both the question and the answer need."""

    def before_spill(self, batch: pa.RecordBatch, step: DedupStep) -> pa.RecordBatch:
        """Returns the batch with the columns that this kind wants spilled beside the text."""
        return batch

    @abstractmethod
    def tags(self, chain: Chain) -> list[str]:
        """Returns the names of the outputs that carry the questions of a pass, in the order ``graph`` takes them."""

    @abstractmethod
    def ask(self, asked: Asked, chain: Chain, workshop: Workshop) -> Iterator[tuple[str, tuple[int, bytes]]]:
        """Yields the questions about a batch: (tag, (bucket, payload))."""

    @abstractmethod
    def graph(self, job: SourceJob, chain: Chain, earlier: Mapping[str, Sequence[Any]]) -> beam.PTransform:
        """Returns the transform that decides.

        It maps one PCollection per tag to lists of PCollections: (verdicts, counts), and to a dict of key files by
        step. A verdict is (part, batch id + tag + row + body). ``earlier`` holds, by step, the key files of earlier
        dumps.
        """

    def read(self, verdicts: Verdicts, tag: int, body: bytes) -> None:
        """Adds one verdict, without its address, to those of its batch. The default reads verdicts on rows."""
        row, rest = ROW.unpack_from(body)[0], body[ROW.size :]
        if rest[:1] == SIGNAL_MARK:
            verdicts.signals.setdefault(tag, {})[row] = SIGNAL.unpack(rest)[1]
        else:
            verdicts.rows.setdefault(tag, {})[row] = rest.decode()

    @abstractmethod
    def apply(
        self, global_step: GlobalStep, asked: Asked, verdicts: Verdicts, ledger: Ledger
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        """Applies the verdicts to a batch. Returns the documents that stay, and their row numbers."""


def drop_rows(
    global_step: GlobalStep, asked: Asked, verdicts: Verdicts, ledger: Ledger, *, after: pa.RecordBatch | None = None
) -> tuple[pa.RecordBatch, np.ndarray]:
    """Drops the rows that verdicts name. ``after`` is the batch with signals added."""
    batch, rows, step = asked.batch, asked.rows, global_step.step
    (reason,) = step.reasons
    lost = verdicts.rows.get(global_step.tag, {})
    ledger.receive(f"{step.NAME} verdicts", len(lost))
    details = [lost.get(int(row)) for row in rows]
    assert sum(d is not None for d in details) == len(lost), f"{step.NAME}: a verdict names a row that does not exist"
    detail = pa.array(details, pa.string())
    verdict = pc.if_else(pc.is_null(detail), pa.scalar(None, pa.string()), reason)
    kept, is_kept = ledger.split(step.NAME, batch, batch if after is None else after, verdict, detail)
    return kept, rows[np.asarray(is_kept)]
