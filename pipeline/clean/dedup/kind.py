"""Defines the interface of the dedups. Each kind of dedup implements this interface in a separate file in this folder.

A kind defines three things. ``key_tags`` and ``keys`` define the keys that a pass sends for its documents. ``graph``
defines how the keys of all documents are compared. The results are verdicts (decisions about documents). ``read`` and
``apply`` define what the next pass does with the verdicts.
"""

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
"""The dedups to which one pass sends keys: either several exact dedups, or a single line dedup or near dedup."""


class NumberedBatch(NamedTuple):
    """Holds the documents of a batch that are not dropped yet, and their row numbers in the spilled batch (on disk)."""

    batch: pa.RecordBatch
    batch_id: bytes
    rows: np.ndarray
    """The row number that each document had in the spilled batch. Verdicts identify documents by these numbers."""


class KeyTools(NamedTuple):
    """Holds what a dedup needs to make keys: how many buckets there are, the worker's spill file, and the worker's
    counts.
    """

    scale: Scale
    spill: SpillFile
    ledger: Ledger


class DedupKind(ABC):
    """The base class of all dedups. A subclass runs one kind of dedup, such as the line dedup, in the clean phase."""

    spills_hashes = False
    """True if ``before_spill`` adds a column that ``keys`` and ``apply`` both use. The column is spilled with the
    batch, so it is computed only once.
    """

    def before_spill(self, batch: pa.RecordBatch, step: DedupStep) -> pa.RecordBatch:
        """Returns the batch with the extra columns that this kind needs, for example line hashes. They are spilled with
        the text.
        """
        return batch

    @abstractmethod
    def key_tags(self, chain: Chain) -> list[str]:
        """Returns the tags of the outputs to which a pass sends keys. ``graph`` gets these outputs in the same
        order.
        """

    @abstractmethod
    def keys(self, numbered: NumberedBatch, chain: Chain, tools: KeyTools) -> Iterator[tuple[str, tuple[int, bytes]]]:
        """Yields each key of a batch's documents as (tag, (bucket, payload)). ``tag`` is one of :meth:`key_tags`."""

    @abstractmethod
    def graph(self, job: SourceJob, chain: Chain, earlier: Mapping[str, Sequence[Any]]) -> beam.PTransform:
        """Returns the transform that compares the keys of all documents.

        The input of the transform is one PCollection of keys per tag in :meth:`key_tags`. The output has three parts: a
        list of PCollections of verdicts; a list of PCollections of counts; and a dict that maps the name of each step
        to the paths of the key files that it wrote. A verdict consists of the number of an output part (file), and of
        bytes: batch id, number of the dedup, row in the batch, and body. ``earlier`` maps the name of each step to the
        outputs of earlier dumps or sources with which the documents are compared.
        """

    def read(self, verdicts: Verdicts, tag: int, body: bytes) -> None:
        """Adds a verdict to ``verdicts``, which collects all verdicts on one batch.

        ``body`` has the verdict's bytes after the tag. By default, these are a row number, and then a detail (a text)
        or a signal (a measurement).
        """
        row, rest = ROW.unpack_from(body)[0], body[ROW.size :]
        if rest[:1] == SIGNAL_MARK:
            verdicts.signals.setdefault(tag, {})[row] = SIGNAL.unpack(rest)[1]
        else:
            verdicts.rows.setdefault(tag, {})[row] = rest.decode()

    @abstractmethod
    def apply(
        self, global_step: GlobalStep, numbered: NumberedBatch, verdicts: Verdicts, ledger: Ledger
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        """Applies the verdicts to a batch. Returns the kept documents, and the row numbers of these documents in the
        spilled batch."""


def drop_rows(
    global_step: GlobalStep, numbered: NumberedBatch, verdicts: Verdicts, ledger: Ledger, *,
    after: pa.RecordBatch | None = None,
) -> tuple[pa.RecordBatch, np.ndarray]:  # fmt: skip
    """Drops the documents for which the dedup sent verdicts. Returns the kept documents, and the row numbers of these
    documents in the spilled batch.

    If the dedup measures signals, ``after`` is the batch with the signals added.
    """
    batch, rows, step = numbered.batch, numbered.rows, global_step.step
    (reason,) = step.reasons
    lost = verdicts.rows.get(global_step.tag, {})
    ledger.receive(f"{step.NAME} verdicts", len(lost))
    details = [lost.get(int(row)) for row in rows]
    assert sum(d is not None for d in details) == len(lost), f"{step.NAME}: a verdict names a row that does not exist"
    detail = pa.array(details, pa.string())
    verdict = pc.if_else(pc.is_null(detail), pa.scalar(None, pa.string()), reason)
    kept, is_kept = ledger.split(step.NAME, batch, batch if after is None else after, verdict, detail)
    return kept, rows[np.asarray(is_kept)]
