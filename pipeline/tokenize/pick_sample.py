"""Picks the documents with the smallest hashes from clean files. The tokenizer's training sample is drawn from these
documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.exclude import naming_entries
from mixtures.parts import PartRule
from pipeline.files.checked import CheckedBatches, checked_batches, note_of
from pipeline.files.files import exists, join, written_whole
from pipeline.files.parquet_files import parquet_batches
from pipeline.models.load import load
from pipeline.tokenize.job import SampleJob
from pipeline.tokenize.part_column import columns_of, in_mixture
from tokenizer.train.sample import sample_hash

_SCHEMA = pa.schema({"id": pa.string(), "text": pa.string()})
_BATCH_DOCS = 64
_TEXT_BYTES = "text_bytes"
_REMEDY = "run the same command again: the sample is drawn again"


def exclusions_file(folder: str) -> str:
    """Returns the path of the file that lists the documents to exclude. The file exists only if the user gave such a
    list.
    """
    return join(folder, "exclude.txt")


def documents(path: str, excluded: frozenset[str], rule: PartRule | None = None) -> Iterator[pa.RecordBatch]:
    """Yields batches with the id and text of the documents in a clean file.

    Two kinds of documents are left out: those whose id or url is in ``excluded``, and those that ``rule`` leaves out of
    the mixture.
    """
    columns = dict.fromkeys((*_SCHEMA.names, "url", *columns_of(rule)))
    for batch in parquet_batches(path, list(columns), batch_size=_BATCH_DOCS):
        batch = in_mixture(batch, rule)
        if excluded:
            batch = batch.filter(pc.is_null(naming_entries(batch, excluded)))
        yield batch.select(_SCHEMA.names)


def sample_file(folder: str, source: str, clean_path: str) -> str:
    """Returns the path of the file to which the documents picked from a clean file are written.

    >>> sample_file("out/.work/sample", "c4", "out/clean/c4/part-00003-of-00004.parquet")
    'out/.work/sample/c4/part-00003-of-00004.arrow'
    """
    return join(folder, source, clean_path.rsplit("/", 1)[-1].removesuffix(".parquet") + ".arrow")


class PickSample(beam.PTransform):
    """Picks documents for the sample. Takes (source, clean file). Writes the picked documents to a file, and outputs
    their number.
    """

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
        below, num_docs, text_bytes = self._job.below[source], 0, 0
        listed = exclusions_file(self._job.folder)
        excluded: frozenset[str] = load("exclude", listed) if exists(listed) else frozenset()
        with written_whole(sample_file(self._job.folder, source, path)) as sink:
            writer = CheckedBatches(sink, _SCHEMA)
            for batch in documents(path, excluded, self._job.rules.get(source)):
                text_bytes += pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0
                chosen = np.array([sample_hash(doc_id) < below for doc_id in batch.column("id").to_pylist()], bool)
                if chosen.any():
                    some = batch.filter(pa.array(chosen))
                    writer.write(pa.record_batch([some.column(n) for n in _SCHEMA.names], schema=_SCHEMA))
                    num_docs += some.num_rows
            writer.close({_TEXT_BYTES: text_bytes})
        yield num_docs


def text_bytes_of(path: str) -> int:
    """Returns the size in bytes of all texts from which documents were picked. These are the texts of a clean file,
    without the documents that :func:`documents` leaves out.

    ``path`` is the file with the picked documents. This file also records the size.
    """
    return int(note_of(path, remedy=_REMEDY)[_TEXT_BYTES])


def picked(path: str) -> Iterator[tuple[str, str]]:
    """Yields (id, text) of the documents in a file of picked documents."""
    for batch in checked_batches(path, remedy=_REMEDY):
        yield from zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True)
