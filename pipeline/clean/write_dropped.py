"""Writes rows about dropped documents. Among other columns, each row has the id, the stage and the reason. Only a
bounded sample of the rows also has the text.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.pvalue import AsDict

from pipeline.clean.batch_address import BATCH_ID
from pipeline.clean.batches import DROPPED_SCHEMA, batch_from_bytes
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import in_share, without_text_above
from pipeline.engine.group_bytes import GroupBytes
from pipeline.files.files import written_whole
from pipeline.files.spill import blob_from


class WriteDropped(beam.PTransform):
    """Writes the rows about dropped documents from all workers. Outputs (part, number of rows).

    Takes references to the rows, and the hashes of sampled documents. A document's hash is computed from its id.

    Only a sample of the rows keeps the text of the document: for each stage and reason, the rows with the smallest
    hashes. Each worker has chosen a sample of its own rows, so together the samples are too large. This transform
    combines the hashes of all samples, and computes the largest allowed hash per stage and reason. A row with a larger
    hash loses its text.
    """

    def __init__(self, job: SourceJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, inputs: tuple[tuple[Any, ...], tuple[Any, ...]]) -> Any:
        refs, samples = inputs
        limits = (
            samples
            | "flatten_samples" >> beam.Flatten()
            | "by_reason" >> beam.FlatMap(dict.items)
            | "smallest" >> beam.CombinePerKey(_Smallest(self._job.sizes.sample_docs))
            | "limit" >> beam.MapTuple(_last)
        )
        return (
            refs
            | "group" >> GroupBytes(self._job.sizes.scale.num_parts, self._job.places.shuffle)
            | "write" >> beam.ParDo(_Write(self._job), AsDict(limits))
        )


def _last(reason: tuple[str, str], hashes: list[int]) -> tuple[tuple[str, str], int]:
    return reason, max(hashes, default=-1)  # -1 if no text is kept


class _Smallest(beam.CombineFn):
    """Combines lists of numbers. Keeps the smallest ``size`` numbers."""

    def __init__(self, size: int) -> None:
        self._size = size

    def create_accumulator(self) -> list[int]:
        return []

    def add_input(self, accumulator: list[int], element: list[int]) -> list[int]:
        return heapq.nsmallest(self._size, accumulator + element)

    def merge_accumulators(self, accumulators: Iterable[list[int]]) -> list[int]:
        return heapq.nsmallest(self._size, [h for a in accumulators for h in a])

    def extract_output(self, accumulator: list[int]) -> list[int]:
        return accumulator


class _Write(beam.DoFn):
    def __init__(self, job: SourceJob) -> None:
        self._job = job

    def process(
        self, group: tuple[int, Iterable[bytes]], limits: dict[tuple[str, str], int]
    ) -> Iterator[tuple[int, int]]:
        part, payloads = group
        path = self._job.part_path(self._job.places.dropped_dir, part)
        num_rows = 0
        with (
            written_whole(path) as sink,
            pq.ParquetWriter(sink, DROPPED_SCHEMA, compression="zstd", write_page_checksum=True) as writer,
        ):
            for payload in payloads:
                rows = batch_from_bytes(blob_from(payload[BATCH_ID.size + 1 :]).read())
                num_rows += rows.num_rows
                rows = without_text_above(rows, limits)
                if self._job.sizes.dropped_share < 1.0:  # some rows were sent only for a worker's sample
                    is_record = pc.equal(rows.column("stage"), "records")
                    is_kept = pc.or_(pc.is_valid(rows.column("text")), in_share(rows, self._job.sizes.dropped_share))
                    rows = rows.filter(pc.or_(is_record, is_kept))
                writer.write_table(pa.Table.from_batches([rows]))
        yield part, num_rows
