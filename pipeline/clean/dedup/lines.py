"""Runs the line dedup, which removes lines that several documents share. Workers exchange hashes of lines, not texts.

The setting ``LineDedup.scope`` decides which documents are compared. For example, with the scope ``dump`` only
documents of the same dump are compared.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import TaggedOutput

from filters.ccnet.line_hashes import drop_lines
from filters.text_column import count_lines, num_line_ends
from pipeline.clean import counts as c
from pipeline.clean.batch_address import BATCH_ID, ROW, part_of
from pipeline.clean.batches import SIGNAL_PREFIX, set_columns
from pipeline.clean.dedup.kind import Chain, DedupKind, KeyTools, NumberedBatch
from pipeline.clean.dedup.line_keys import (
    LINE_HASHES_COLUMN,
    PartDedup,
    any_compared,
    line_payloads,
    lines_to_keep,
    lost_lines,
    parse_line_payload,
    with_line_hashes,
)
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import GlobalStep
from pipeline.clean.sizing import MAX_BUCKET_LINES
from pipeline.clean.tags import COUNTS, LINES
from pipeline.clean.verdicts import Verdicts
from pipeline.engine.group_bytes import GroupBytes
from pipeline.sources.dedup_steps import DedupStep, LineDedup
from pipeline.sources.passage_step import PassageDedup


class LineKind(DedupKind):
    """Runs a line dedup. A pass over the texts sends the hashes of lines to buckets. In each bucket,
    :class:`DedupLines` decides which lines are removed. The next pass removes these lines from the texts, and drops
    documents that lose all their lines."""

    spills_hashes = True

    def before_spill(self, batch: pa.RecordBatch, step: DedupStep) -> pa.RecordBatch:
        return with_line_hashes(batch, _line_dedup(step))

    def key_tags(self, chain: Chain) -> list[str]:
        return [LINES]

    def keys(self, numbered: NumberedBatch, chain: Chain, tools: KeyTools) -> Iterator[tuple[str, tuple[int, bytes]]]:
        step = _part_dedup(chain[0].step)
        for bucket, payload in line_payloads(numbered.batch, numbered.batch_id, step, tools.scale.num_line_buckets):
            tools.ledger.send(f"{step.NAME} lines", ROW.unpack_from(payload, BATCH_ID.size)[0])
            yield LINES, (bucket, payload)

    def graph(self, job: SourceJob, chain: Chain, earlier: Mapping[str, Sequence[Any]]) -> beam.PTransform:
        return DedupLines(job, chain[0])

    def read(self, verdicts: Verdicts, tag: int, body: bytes) -> None:
        verdicts.lines.setdefault(tag, []).append(np.frombuffer(body, "<u8", offset=ROW.size))

    def apply(
        self, global_step: GlobalStep, numbered: NumberedBatch, verdicts: Verdicts, ledger: Ledger
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        batch, step = numbered.batch, _line_dedup(global_step.step)
        lost = verdicts.lines.get(global_step.tag, [])
        ledger.receive(f"{step.NAME} verdicts", sum(map(len, lost)))
        edited = _without_lines(batch, step, lost)
        if LINE_HASHES_COLUMN in batch.schema.names:  # the hashes are those of the texts before lines were removed
            batch = batch.drop_columns([LINE_HASHES_COLUMN])
        num_lines, num_kept = edited.num_lines, edited.num_kept
        ledger.count(step.NAME, c.LINES_IN, count_lines(batch.column("text")))
        ledger.count(step.NAME, c.LINES_KEPT, count_lines(edited.text))
        columns = {"text": edited.text}
        if "num_lines" in batch.schema.names:
            columns["num_lines"] = pa.array(num_kept, pa.int64())
            columns["original_num_lines"] = pa.array(num_lines, pa.int64())
        columns[SIGNAL_PREFIX + "duplicate_lines"] = pa.array((num_lines - num_kept).astype(np.float64))
        is_lost = pa.array(edited.is_compared & (num_kept == 0))
        (reason,) = step.reasons
        verdict = pc.if_else(is_lost, reason, pa.scalar(None, pa.string()))
        detail = pa.array([str(n) for n in num_lines], pa.string())
        kept, is_kept = ledger.split(step.NAME, batch, set_columns(batch, columns), verdict, detail)
        return kept, numbered.rows[np.asarray(is_kept)]


class _Edited(NamedTuple):
    """Holds the documents of a batch after the line dedup. Each array has one value per document."""

    text: pa.Array
    num_lines: np.ndarray
    """The number of lines before the dedup."""
    num_kept: np.ndarray
    """The number of remaining lines. It is 0 if no line remains, and 1 if one empty line remains."""
    is_compared: np.ndarray
    """False for documents that the dedup leaves as they are."""


def _without_lines(batch: pa.RecordBatch, step: LineDedup, lost: Sequence[np.ndarray]) -> _Edited:
    """Removes lines from the documents of a batch. ``lost`` has the hashes of the lines to remove, by bucket."""
    text, num_docs = batch.column("text"), batch.num_rows
    if not any_compared(batch, step):  # for example published C4: no line needs to be looked at
        assert not lost, f"{step.NAME}: a verdict names a batch in which no document is compared"
        num_lines = num_line_ends(text) + 1
        return _Edited(text, num_lines, num_lines, np.zeros(num_docs, bool))
    keep, lines = lines_to_keep(batch, step, np.concatenate(lost) if lost else np.empty(0, np.uint64))
    found = drop_lines(text, ~keep)
    num_lines = np.bincount(lines.documents, minlength=num_docs)
    is_compared = np.bincount(lines.documents, weights=lines.is_compared, minlength=num_docs) > 0
    return _Edited(found.text, num_lines, np.asarray(found.num_lines), is_compared)


def _line_dedup(step: DedupStep) -> LineDedup:
    assert isinstance(step, LineDedup)
    return step


def _part_dedup(step: DedupStep) -> PartDedup:
    assert isinstance(step, LineDedup | PassageDedup)
    return step


class DedupLines(beam.PTransform):
    """Runs the line dedup on all documents. Takes the line hashes of batches. Outputs verdicts (which lines are
    removed) and counts.

    A verdict consists of the number of an output part (file), and of bytes: batch id, tag (the number of the dedup),
    bucket, and the hashes of the lines to remove. A worker holds one bucket in memory. A line takes 17
    bytes, and 68 bytes while the worker sorts the bucket. A bucket of 16 million lines or more is split into files on
    the worker's disk, and the worker holds one file at a time.
    """

    def __init__(self, job: SourceJob, global_step: GlobalStep) -> None:
        super().__init__()
        self._job, self._global_step = job, global_step

    def expand(self, inputs: tuple[Any]) -> tuple[list[Any], list[Any], dict[str, Any]]:
        (lines,) = inputs
        outcome = (
            lines
            | "group" >> GroupBytes(self._job.sizes.scale.num_line_buckets, self._job.places.shuffle)
            | "judge" >> beam.ParDo(_LostLines(self._job, self._global_step)).with_outputs(COUNTS, main="verdicts")
        )
        return [outcome.verdicts], [outcome[COUNTS]], {}


ParsedLines = tuple[bytes, np.ndarray, np.ndarray]
"""The parts of a payload: the batch id, the line hashes, and a value per hash (see :func:`line_payloads`)."""


class _LostLines(beam.DoFn):
    """Decides which lines of a bucket are removed.

    A bucket of ``max_lines`` lines or more is split into files on the worker's disk, to save memory.
    """

    def __init__(self, job: SourceJob, global_step: GlobalStep, max_lines: int = MAX_BUCKET_LINES) -> None:
        self._job, self._global_step, self._max_lines = job, global_step, max_lines

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        bucket, payloads = group
        step = _part_dedup(self._global_step.step)
        ledger = Ledger(self._job.source.name, 0)
        held: list[ParsedLines] = []
        num_lines = 0
        with contextlib.ExitStack() as stack:
            slices: _SlicesOnDisk | None = None
            for payload in payloads:
                held.append(parse_line_payload(payload, step.keep))
                num_lines += len(held[-1][1])
                if num_lines >= self._max_lines:
                    if slices is None:
                        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lines-"))
                        slices = _SlicesOnDisk(folder, self._job.sizes.scale.num_line_buckets, step.keep)
                    slices.write(held)
                    held, num_lines = [], 0
            if slices is None:
                yield from self._verdicts(bucket, held, ledger)
            else:
                if held:
                    slices.write(held)
                for lines in slices:
                    yield from self._verdicts(bucket, lines, ledger)
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _verdicts(self, bucket: int, parsed: list[ParsedLines], ledger: Ledger) -> Iterator[tuple[int, bytes]]:
        step = _part_dedup(self._global_step.step)
        lost = lost_lines([p[1] for p in parsed], [p[2] for p in parsed], step.keep)
        tag = bytes([self._global_step.tag])
        # The lines are counted in one call, because in the largest runs a payload has only a handful of lines.
        ledger.receive(f"{step.NAME} lines", sum(len(p[1]) for p in parsed))
        num_lost = 0
        for (batch_id, _, _), gone in zip(parsed, lost, strict=True):
            if len(gone):
                num_lost += len(gone)
                body = ROW.pack(bucket) + gone.astype("<u8").tobytes()
                yield part_of(batch_id, self._job.sizes.scale.num_parts), batch_id + tag + body
        ledger.send(f"{step.NAME} verdicts", num_lost)


class _SlicesOnDisk:
    """Splits the lines of a bucket into 64 files. The hash of a line decides the file, so equal lines get into the same
    file.

    The first bits of the hash are the number of the bucket. The next six bits are the number of the file.
    """

    _BITS = 6
    _HEAD = struct.Struct("<II")  # batches, lines

    def __init__(self, folder: str, num_buckets: int, keep: str) -> None:
        self._folder = folder
        self._shift = np.uint64(64 - (num_buckets.bit_length() - 1) - self._BITS)
        self._value_type = np.dtype("u1" if keep == "ccnet" else "<u8")

    def write(self, parsed: list[ParsedLines]) -> None:
        hashes = np.concatenate([p[1] for p in parsed])
        values = np.concatenate([p[2] for p in parsed])
        owners = np.repeat(np.arange(len(parsed), dtype="<u4"), [len(p[1]) for p in parsed])
        slices = ((hashes >> self._shift) & np.uint64((1 << self._BITS) - 1)).astype(np.uint8)
        order = np.argsort(slices, kind="stable")
        edges = np.searchsorted(slices[order], np.arange((1 << self._BITS) + 1))
        for number, (start, end) in enumerate(itertools.pairwise(edges.tolist())):
            rows = order[start:end]
            if not len(rows):
                continue
            used, local = np.unique(owners[rows], return_inverse=True)
            with open(os.path.join(self._folder, str(number)), "ab") as file:
                file.write(self._HEAD.pack(len(used), len(rows)))
                file.write(b"".join(parsed[owner][0] for owner in used.tolist()))
                file.write(local.astype("<u4").tobytes() + hashes[rows].astype("<u8").tobytes())
                file.write(values[rows].astype(self._value_type).tobytes())

    def __iter__(self) -> Iterator[list[ParsedLines]]:
        for number in range(1 << self._BITS):
            path = os.path.join(self._folder, str(number))
            if os.path.exists(path):
                yield list(self._read(path))

    def _read(self, path: str) -> Iterator[ParsedLines]:
        with open(path, "rb") as file:
            while head := file.read(self._HEAD.size):
                num_batches, num_lines = self._HEAD.unpack(head)
                ids = file.read(BATCH_ID.size * num_batches)
                owners = np.frombuffer(file.read(4 * num_lines), "<u4")
                hashes = np.frombuffer(file.read(8 * num_lines), "<u8")
                values = np.frombuffer(file.read(self._value_type.itemsize * num_lines), self._value_type)
                edges = np.searchsorted(owners, np.arange(num_batches + 1))  # the lines of a batch are adjacent
                for batch, (start, end) in enumerate(itertools.pairwise(edges.tolist())):
                    batch_id = ids[batch * BATCH_ID.size : (batch + 1) * BATCH_ID.size]
                    yield batch_id, hashes[start:end], values[start:end]
