"""Picking the documents of the smallest hashes out of clean files: what a tokenizer's sample is drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipeline.clean_files import clean_batches
from pipeline.files import join, written_whole
from pipeline.mixing import SampleJob
from tokenizer.sample import sample_hash

_SCHEMA = pa.schema({"id": pa.string(), "text": pa.string()})
_BATCH_DOCS = 64


def sample_file(folder: str, source: str, clean_path: str) -> str:
    """
    >>> sample_file("out/.work/sample", "c4", "out/clean/c4/part-00003-of-00004.parquet")
    'out/.work/sample/c4/part-00003-of-00004.arrow'
    """
    return join(folder, source, clean_path.rsplit("/", 1)[-1].removesuffix(".parquet") + ".arrow")


class PickSample(beam.PTransform):
    """(source, clean file) -> how many documents were picked of it, when its file of them is written."""

    def __init__(self, job: SampleJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, parts: Any) -> Any:
        return parts | "pick" >> beam.ParDo(_PickPart(self._job))


class _PickPart(beam.DoFn):
    def __init__(self, job: SampleJob) -> None:
        self._job = job

    def process(self, part: tuple[str, str]) -> Iterator[int]:
        source, path = part
        below, num_docs = self._job.below[source], 0
        with (
            written_whole(sample_file(self._job.folder, source, path)) as sink,
            pa.ipc.new_stream(sink, _SCHEMA) as writer,
        ):
            for batch in clean_batches(path, ("id", "text"), batch_size=_BATCH_DOCS):
                ids = batch.column("id").to_pylist()
                chosen = np.array([sample_hash(doc_id) < below for doc_id in ids], bool)
                if chosen.any():
                    picked = batch.filter(pa.array(chosen))
                    writer.write_batch(pa.record_batch([picked.column(n) for n in _SCHEMA.names], schema=_SCHEMA))
                    num_docs += picked.num_rows
        yield num_docs
