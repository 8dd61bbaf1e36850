"""Defines the Beam transforms (DoFns) of a pass over the texts of a source.

A pass reads the input, or opens batches of documents that an earlier pass wrote to disk (spilled). It runs the steps of
a segment, which are the steps between two dedups. Then it sends keys to dedups, or it writes the documents.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import TaggedOutput

from pipeline.clean.batch_address import BATCH_ID, ROW, TAG_ATTRIBUTES, TAG_REF, part_of
from pipeline.clean.batches import batch_from_bytes, batch_to_bytes, batches
from pipeline.clean.dedup.index_files import index_file
from pipeline.clean.dedup.kind import KeyTools, NumberedBatch
from pipeline.clean.dedup.kinds import dedup_of_spilled_text, kind_of
from pipeline.clean.evidence import evidence_file, write_evidence
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger, sample_hashes
from pipeline.clean.segments import Segment
from pipeline.clean.step_runner import StepRunner, clean_schema, to_clean
from pipeline.clean.tags import (
    COUNTS,
    DROPPED,
    PARTS,
    REFS,
    SAMPLES,
    pass_label,
)
from pipeline.clean.verdicts import Verdicts
from pipeline.engine.unit_list import UnitElement
from pipeline.files.files import open_file, written_whole
from pipeline.files.spill import Blob, SpillFile, blob_bytes, blob_from
from pipeline.models.load import loaded_models
from pipeline.progress import ticks as progress
from pipeline.sources.source import UNKNOWN_FORM, Rejected, TableRow, Unit

_CLEAN_GROUP_BYTES = 16 << 20
_MAX_HELD = 1000


class SegmentDoFn(beam.DoFn):
    """The base class of all passes. It loads models, runs the steps of a segment, spills batches, and sends keys to
    dedups.
    """

    def __init__(self, job: SourceJob, segment: Segment) -> None:
        self._job, self._segment = job, segment
        self._spill = SpillFile(job.places.spill_dir)
        self._hashed_for = dedup_of_spilled_text(job.source.steps, segment)

    def setup(self) -> None:
        models = loaded_models(self._segment.local, self._job.models, is_compiled=self._job.sizes.is_compiled)
        self._runner = StepRunner(self._job.source, self._segment, models, self._job.places.progress_dir)

    def start_bundle(self) -> None:
        self._spill = SpillFile(self._job.places.spill_dir)

    def finish_bundle(self) -> None:
        self._spill.close()

    def _ledger(self) -> Ledger:
        return Ledger(self._job.source.name, self._job.sizes.sample_docs, self._job.sizes.dropped_share)

    def _close(self, ledger: Ledger, work_id: bytes) -> Iterator[TaggedOutput]:
        """Yields what is left when an element has been processed: its last dropped rows, and then its counts."""
        yield from self._dropped(ledger, work_id)
        if ledger.counts:
            yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _dropped(self, ledger: Ledger, work_id: bytes) -> Iterator[TaggedOutput]:
        for rows in ledger.take_dropped():
            blob = self._spill.append(batch_to_bytes(rows))
            part = part_of(work_id, self._job.sizes.scale.num_parts)
            yield TaggedOutput(SAMPLES, sample_hashes(rows))
            yield TaggedOutput(DROPPED, (part, work_id + bytes([self._segment.index]) + blob_bytes(blob)))

    def _hand_on(self, batch: pa.RecordBatch, batch_id: bytes, ledger: Ledger) -> Iterator[TaggedOutput]:
        """Spills a batch, and sends its keys to the next dedups."""
        if not batch.num_rows:
            return
        if self._hashed_for is not None:  # computed once, for the keys and for applying the verdicts
            batch = kind_of(self._hashed_for).before_spill(batch, self._hashed_for)
        blob = self._spill.append(batch_to_bytes(batch))
        part = part_of(batch_id, self._job.sizes.scale.num_parts)
        ledger.send(f"documents after segment {self._segment.index}", batch.num_rows)
        yield TaggedOutput(REFS, (part, batch_id + bytes([TAG_REF]) + blob_bytes(blob)))
        yield from self._send_keys(batch, batch_id, ledger)

    def _run_documents(self, documents: Iterable[dict[str, Any] | None], chunk_id: tuple[int, int], ledger: Ledger,
                       held: list[TaggedOutput]) -> Iterator[TaggedOutput]:  # fmt: skip
        """Packs documents into batches, runs the segment on each batch, and yields all outputs.

        Args:
            documents: the documents to pack. A None among them asks this function to yield ``held`` now. If the ledger
                (counts, and rows about dropped documents) is full, this function also yields the ledger's rows.
            chunk_id: the numbers of the unit and of the chunk that the documents come from.
            held: a list to which ``documents`` adds outputs during the iteration. After each batch, this function
                yields these outputs and empties the list.
        """
        numbers = itertools.count(1)
        source = self._job.source
        for batch in batches(documents, source=source.name, columns=source.reader.COLUMNS):
            batch_id = BATCH_ID.pack(*chunk_id, next(numbers))
            if batch is not None:
                ledger.read(batch)
                progress.tick(self._job.places.progress_dir, self._stage(), documents=batch.num_rows)
                batch = self._run_first(batch, ledger)
                yield from self._hand_on(batch, batch_id, ledger)
            yield from held
            held.clear()
            if ledger.is_full:
                yield from self._dropped(ledger, batch_id)
        yield from held

    def _stage(self) -> str:
        """Returns the name of this pass for the progress display."""
        return pass_label(self._job.source.name, self._segment)

    def _run_first(self, batch: pa.RecordBatch, ledger: Ledger) -> pa.RecordBatch:
        return self._runner.run(batch, Verdicts(), ledger)

    def _send_keys(
        self, batch: pa.RecordBatch, batch_id: bytes, ledger: Ledger, rows: np.ndarray | None = None
    ) -> Iterator[TaggedOutput]:
        """Yields the keys of a batch's documents, for the next dedups.

        ``rows`` are the row numbers that the documents had when the batch was spilled. If ``rows`` is None, no document
        of the batch has been dropped after that.
        """
        chain = self._segment.dedups
        numbered = NumberedBatch(batch, batch_id, np.arange(batch.num_rows) if rows is None else rows)
        tools = KeyTools(self._job.sizes.scale, self._spill, ledger)
        for tag, key in kind_of(chain[0].step).keys(numbered, chain, tools):
            yield TaggedOutput(tag, key)


class ReadUnits(SegmentDoFn):
    """Runs the first pass: reads documents from units (pieces of the input), and runs the steps of the first
    segment.
    """

    def process(self, element: UnitElement) -> Iterator[TaggedOutput]:
        unit_number, chunk, unit = element
        ledger = self._ledger()
        work_id = BATCH_ID.pack(unit_number, chunk, 0)
        held: list[TaggedOutput] = []
        yield from self._run_documents(self._documents(unit, ledger, held), (unit_number, chunk), ledger, held)
        yield from self._close(ledger, work_id)
        progress.tick(self._job.places.progress_dir, self._stage(), units=1, num_bytes=unit.num_bytes)

    def _stage(self) -> str:
        return f"{self._job.source.name}: read"

    def _documents(self, unit: Unit, ledger: Ledger, held: list[TaggedOutput]) -> Iterator[dict[str, Any] | None]:
        """Yields the documents of a unit. Yields None if the ledger or ``held`` is full, so that the caller empties
        them.

        The reader also yields other things. A rejected record goes to the ledger. A table row, which a join needs,
        becomes outputs in ``held``.
        """
        if unit.kind == UNKNOWN_FORM:
            ledger.reject(Rejected(location=unit.path, reason=UNKNOWN_FORM, is_bad=False))
            return
        for record in self._job.source.reader.read(unit, open_file):
            if isinstance(record, Rejected):
                ledger.reject(record)
            elif isinstance(record, TableRow):
                held.extend(self._table_row(record, ledger))
            else:
                yield record
            if ledger.is_full or len(held) >= _MAX_HELD:
                yield None

    def _table_row(self, row: TableRow, ledger: Ledger) -> Iterator[TaggedOutput]:
        """Yields the outputs for a table row. Only a join needs table rows.

        This class has no join, so a table row is an error here. The passes of joins override this method.
        """
        raise AssertionError(f"{self._job.source.name} has no join, but its reader yielded a row of {row.table}")


class OpenBatches(SegmentDoFn):
    """Runs a pass between the first and the last one. Opens the spilled batches of an output part, applies the verdicts
    of earlier dedups, runs the steps of a segment, and sends keys to the next dedup.

    If the segment does not spill (:attr:`Segment.spills`), the documents of this pass are not written. Then the next
    pass opens the same batches again. It applies the verdicts of the earlier dedups once more, and then the verdicts of
    the next dedup.
    """

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[TaggedOutput]:
        part, payloads = element
        ledger = self._ledger()
        for batch_id, blob, verdicts in self._batches(payloads):
            batch = batch_from_bytes(blob.read())
            if self._segment.spills:
                ledger.receive(f"documents after segment {self._segment.origin}", batch.num_rows)
                batch = self._runner.run(batch, verdicts, ledger)
                yield from self._hand_on(batch, batch_id, ledger)
            else:  # the next pass opens the same batch and counts it again, so these counts are discarded
                batch, rows = self._runner.apply_verdicts(batch, verdicts, self._ledger())
                yield from self._send_keys(batch, batch_id, ledger, rows)
            progress.tick(
                self._job.places.progress_dir, self._stage(), documents=batch.num_rows, num_bytes=batch.nbytes
            )
            if ledger.is_full:
                yield from self._dropped(ledger, batch_id)
        yield from self._close(ledger, struct.pack(">III", part, 2**32 - 1, self._segment.index))
        progress.tick(self._job.places.progress_dir, self._stage(), units=1)

    def _batches(self, payloads: Iterable[bytes]) -> Iterator[tuple[bytes, Blob, Verdicts]]:
        """Yields (id, reference, verdicts) for each batch of a part.

        The payloads of the part are sorted. So the reference to a batch comes first, and then the verdicts about its
        documents.
        """
        kinds = {v.tag: kind_of(v.step) for v in self._segment.verdicts}
        current, blob, verdicts = b"", None, Verdicts()
        for payload in payloads:
            batch_id, tag, body = payload[: BATCH_ID.size], payload[BATCH_ID.size], payload[BATCH_ID.size + 1 :]
            if tag == TAG_REF:
                if blob is not None:
                    yield current, blob, verdicts
                current, blob, verdicts = batch_id, blob_from(body), Verdicts()
                continue
            assert batch_id == current, "a verdict names a batch that does not exist"
            if tag == TAG_ATTRIBUTES:
                verdicts.attributes[ROW.unpack_from(body)[0]] = json.loads(body[ROW.size :])
            else:
                kinds[tag].read(verdicts, tag, body)
        if blob is not None:
            yield current, blob, verdicts


class WriteClean(OpenBatches):
    """Runs the last pass: applies the last verdicts and steps, and writes the kept documents of an output part to one
    Parquet file.
    """

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[TaggedOutput]:
        part, payloads = element
        ledger = self._ledger()
        schema = clean_schema(self._job.source)
        path = self._job.part_path(self._job.places.clean_dir, part)
        num_docs = 0
        form = {"compression": "zstd", "write_page_checksum": True}
        with (
            written_whole(path) as sink,
            pq.ParquetWriter(sink, schema, **form) as writer,
            evidence_file(self._job, part) as evidence,
            index_file(self._job, part) as index,
        ):
            held: list[pa.RecordBatch] = []
            for batch_id, blob, verdicts in self._batches(payloads):
                batch = batch_from_bytes(blob.read())
                ledger.receive(f"documents after segment {self._segment.origin}", batch.num_rows)
                batch = self._runner.run(batch, verdicts, ledger)
                write_evidence(evidence, ledger.take_evidence())
                progress.tick(
                    self._job.places.progress_dir, self._stage(), documents=batch.num_rows, num_bytes=batch.nbytes
                )
                if batch.num_rows:
                    ledger.write(batch)
                    held.append(to_clean(batch, schema))
                    index.add(batch)
                    num_docs += batch.num_rows
                if sum(b.nbytes for b in held) >= _CLEAN_GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(held))
                    held = []
                if ledger.is_full:
                    yield from self._dropped(ledger, batch_id)
            if held:
                writer.write_table(pa.Table.from_batches(held))
        yield TaggedOutput(PARTS, (part, num_docs))
        yield from self._close(ledger, struct.pack(">III", part, 2**32 - 1, self._segment.index))
        progress.tick(self._job.places.progress_dir, self._stage(), units=1)
