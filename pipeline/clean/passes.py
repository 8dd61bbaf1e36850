"""One pass over the text of a source, as Beam runs it: read or open batches, run a segment, hand on what follows."""

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

from pipeline.clean.batch_address import BATCH_ID, TAG_ATTRIBUTES, TAG_REF, part_of
from pipeline.clean.batches import batch_from_bytes, batch_to_bytes, batches
from pipeline.clean.dedup.exact_keys import ROW, bucket_of_key, key_rows
from pipeline.clean.dedup.line_keys import line_payloads, with_line_hashes
from pipeline.clean.dedup.near_keys import parse_sketch, signature
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger, sample_hashes
from pipeline.clean.segments import Segment, line_dedup_behind
from pipeline.clean.step_runner import StepRunner, Verdicts, clean_schema, to_clean
from pipeline.clean.tags import (
    BOOKS,
    COUNTS,
    DROPPED,
    LINES,
    PARTS,
    REFS,
    SAMPLES,
    SIGNAL,
    SIGNAL_MARK,
    SKETCHES,
    key_tag,
    pass_label,
)
from pipeline.engine.unit_list import UnitElement
from pipeline.files.files import open_file, written_whole
from pipeline.files.spill import Blob, SpillFile, blob_bytes, blob_from
from pipeline.models.load import loaded_models
from pipeline.progress import ticks as progress
from pipeline.sources.dedup_steps import ExactDedup, LineDedup, NearDedup
from pipeline.sources.source import UNKNOWN_FORM, Rejected, TableRow, Unit

_CLEAN_GROUP_BYTES = 16 << 20
_MAX_HELD = 1000


class SegmentDoFn(beam.DoFn):
    """What all passes share: the models, the spill file, and how a finished batch is handed on."""

    def __init__(self, job: SourceJob, segment: Segment) -> None:
        self._job, self._segment = job, segment
        self._spill = SpillFile(job.spill_dir)
        self._lines = line_dedup_behind(job.source.steps, segment)

    def setup(self) -> None:
        models = loaded_models(self._segment.local, self._job.models)
        self._runner = StepRunner(self._job, self._segment, models)

    def start_bundle(self) -> None:
        self._spill = SpillFile(self._job.spill_dir)

    def finish_bundle(self) -> None:
        self._spill.close()

    def _ledger(self) -> Ledger:
        return Ledger(self._job.source.name, self._job.sample_docs, self._job.dropped_share)

    def _close(self, ledger: Ledger, work_id: bytes) -> Iterator[TaggedOutput]:
        """Ends a piece of work: what it dropped, then its counts."""
        yield from self._dropped(ledger, work_id)
        if ledger.counts:
            yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _dropped(self, ledger: Ledger, work_id: bytes) -> Iterator[TaggedOutput]:
        for rows in ledger.take_dropped():
            blob = self._spill.append(batch_to_bytes(rows))
            part = part_of(work_id, self._job.scale.num_parts)
            yield TaggedOutput(SAMPLES, sample_hashes(rows))
            yield TaggedOutput(DROPPED, (part, work_id + bytes([self._segment.index]) + blob_bytes(blob)))

    def _hand_on(self, batch: pa.RecordBatch, batch_id: bytes, ledger: Ledger) -> Iterator[TaggedOutput]:
        """Spills a batch and asks the next global steps about it."""
        if not batch.num_rows:
            return
        if self._lines is not None:  # hashed once, for the question and for the answer
            batch = with_line_hashes(batch, self._lines)
        blob = self._spill.append(batch_to_bytes(batch))
        part = part_of(batch_id, self._job.scale.num_parts)
        ledger.send(f"documents behind segment {self._segment.index}", batch.num_rows)
        yield TaggedOutput(REFS, (part, batch_id + bytes([TAG_REF]) + blob_bytes(blob)))
        yield from self._ask(batch, batch_id, ledger)

    def _run_documents(self, documents: Iterable[dict[str, Any] | None], place: tuple[int, int], ledger: Ledger,
                       held: list[TaggedOutput]) -> Iterator[TaggedOutput]:  # fmt: skip
        """Packs documents into batches, runs the segment on each; None among them: a time to write the ledger down."""
        numbers = itertools.count(1)
        source = self._job.source
        for batch in batches(documents, source=source.name, columns=source.reader.COLUMNS):
            batch_id = BATCH_ID.pack(*place, next(numbers))
            if batch is not None:
                ledger.read(batch)
                progress.tick(self._job.progress_dir, self._stage(), documents=batch.num_rows)
                batch = self._run_first(batch, ledger)
                yield from self._hand_on(batch, batch_id, ledger)
            yield from held
            held.clear()
            if ledger.is_full:
                yield from self._dropped(ledger, batch_id)
        yield from held

    def _stage(self) -> str:
        """What this pass is called where progress is shown."""
        return pass_label(self._job.source.name, self._segment)

    def _run_first(self, batch: pa.RecordBatch, ledger: Ledger) -> pa.RecordBatch:
        return self._runner.run(batch, Verdicts(), ledger)

    def _ask(
        self, batch: pa.RecordBatch, batch_id: bytes, ledger: Ledger, rows: np.ndarray | None = None
    ) -> Iterator[TaggedOutput]:
        """Asks the next global steps about a batch; ``rows``: where its documents stood when it was spilled."""
        asked = self._segment.ask
        first = asked[0].step
        scale = self._job.scale
        if isinstance(first, ExactDedup):
            chain = [a.step for a in asked if isinstance(a.step, ExactDedup)]
            for index, payload in key_rows(batch, batch_id, chain, rows):
                ledger.send(f"{chain[index].NAME} keys", 1)
                yield TaggedOutput(key_tag(index), (bucket_of_key(payload, scale.num_key_buckets), payload))
        elif isinstance(first, LineDedup):
            for bucket, payload in line_payloads(batch, batch_id, first, scale.num_line_buckets):
                ledger.send(f"{first.NAME} lines", ROW.unpack_from(payload, BATCH_ID.size)[0])
                yield TaggedOutput(LINES, (bucket, payload))
        else:
            numbers = np.arange(batch.num_rows) if rows is None else rows
            yield from self._ask_near(batch, batch_id, first, ledger, numbers)

    def _ask_near(
        self, batch: pa.RecordBatch, batch_id: bytes, step: NearDedup, ledger: Ledger, rows: np.ndarray
    ) -> Iterator[TaggedOutput]:
        ids, texts = batch.column("id").to_pylist(), batch.column("text").to_pylist()
        for row, document_id, text in zip(rows.tolist(), ids, texts, strict=True):
            book = signature(document_id, text, batch_id + ROW.pack(row), step.ngram_words, self._spill)
            ledger.send(f"{step.NAME} signatures", 1)
            yield TaggedOutput(BOOKS, book.info(self._job.scale.num_key_buckets))
            for bucket, payload in book.sketch_payloads(self._job.scale.num_key_buckets):
                ledger.send(f"{step.NAME} shingles", len(parse_sketch(payload).hashes))
                yield TaggedOutput(SKETCHES, (bucket, payload))


class ReadUnits(SegmentDoFn):
    """Reads units into documents and runs the first segment on them. Rows of a join's tables go out under their tag."""

    def process(self, element: UnitElement) -> Iterator[TaggedOutput]:
        unit_number, chunk, unit = element
        ledger = self._ledger()
        work_id = BATCH_ID.pack(unit_number, chunk, 0)
        held: list[TaggedOutput] = []
        yield from self._run_documents(self._documents(unit, ledger, held), (unit_number, chunk), ledger, held)
        yield from self._close(ledger, work_id)
        progress.tick(self._job.progress_dir, self._stage(), units=1, num_bytes=unit.num_bytes)

    def _stage(self) -> str:
        return f"{self._job.source.name}: read"

    def _documents(self, unit: Unit, ledger: Ledger, held: list[TaggedOutput]) -> Iterator[dict[str, Any] | None]:
        """The unit's documents; what is not a document goes to the ledger or, as output, to ``held``."""
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
        """What a row of a join's table becomes; only the readers of joins know any."""
        raise AssertionError(f"{self._job.source.name} has no join, but its reader gave a row of {row.table}")


class OpenBatches(SegmentDoFn):
    """Opens spilled batches of one part with the verdicts on them; hands on, or only asks where no text changed."""

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[TaggedOutput]:
        part, payloads = element
        ledger = self._ledger()
        for batch_id, blob, verdicts in self._batches(payloads):
            batch = batch_from_bytes(blob.read())
            if self._segment.spills:
                ledger.receive(f"documents behind segment {self._segment.origin}", batch.num_rows)
                batch = self._runner.run(batch, verdicts, ledger)
                yield from self._hand_on(batch, batch_id, ledger)
            else:  # the next pass opens the same batch again and counts: here nothing is decided
                batch, rows = self._runner.apply_verdicts(batch, verdicts, self._ledger())
                yield from self._ask(batch, batch_id, ledger, rows)
            progress.tick(self._job.progress_dir, self._stage(), documents=batch.num_rows, num_bytes=batch.nbytes)
            if ledger.is_full:
                yield from self._dropped(ledger, batch_id)
        yield from self._close(ledger, struct.pack(">III", part, 2**32 - 1, self._segment.index))
        progress.tick(self._job.progress_dir, self._stage(), units=1)

    def _batches(self, payloads: Iterable[bytes]) -> Iterator[tuple[bytes, Blob, Verdicts]]:
        """Groups the sorted payloads of a part by batch: the reference first, then what was said of it."""
        line_tags = {v.tag for v in self._segment.verdicts if isinstance(v.step, LineDedup)}
        current, blob, verdicts = b"", None, Verdicts()
        for payload in payloads:
            batch_id, tag, body = payload[: BATCH_ID.size], payload[BATCH_ID.size], payload[BATCH_ID.size + 1 :]
            if tag == TAG_REF:
                if blob is not None:
                    yield current, blob, verdicts
                current, blob, verdicts = batch_id, blob_from(body), Verdicts()
                continue
            assert batch_id == current, "a verdict on a batch that is not there"
            if tag == TAG_ATTRIBUTES:
                verdicts.attributes[ROW.unpack_from(body)[0]] = json.loads(body[ROW.size :])
            elif tag in line_tags:
                verdicts.lines.setdefault(tag, []).append(np.frombuffer(body, "<u8", offset=ROW.size))
            else:
                row, said = ROW.unpack_from(body)[0], body[ROW.size :]
                if said[:1] == SIGNAL_MARK:
                    verdicts.signals.setdefault(tag, {})[row] = SIGNAL.unpack(said)[1]
                else:
                    verdicts.rows.setdefault(tag, {})[row] = said.decode()
        if blob is not None:
            yield current, blob, verdicts


class WriteClean(OpenBatches):
    """The last pass of a source: what is left becomes one Parquet file a part."""

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[TaggedOutput]:
        part, payloads = element
        ledger = self._ledger()
        schema = clean_schema(self._job)
        path = self._job.part_path(self._job.clean_dir, part)
        num_docs = 0
        form = {"compression": "zstd", "write_page_checksum": True}
        with written_whole(path) as sink, pq.ParquetWriter(sink, schema, **form) as writer:
            held: list[pa.RecordBatch] = []
            for batch_id, blob, verdicts in self._batches(payloads):
                batch = batch_from_bytes(blob.read())
                ledger.receive(f"documents behind segment {self._segment.origin}", batch.num_rows)
                batch = self._runner.run(batch, verdicts, ledger)
                progress.tick(self._job.progress_dir, self._stage(), documents=batch.num_rows, num_bytes=batch.nbytes)
                if batch.num_rows:
                    ledger.write(batch)
                    held.append(to_clean(batch, schema))
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
        progress.tick(self._job.progress_dir, self._stage(), units=1)
