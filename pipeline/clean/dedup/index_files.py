"""Writes and reads the index of a source: the keys of all documents that the source keeps.

The index has one Parquet file per file of clean documents. It has one row per document, in the same order as the clean
file. So the place of a row shows where the text of the document is. New documents are compared with the keys. Texts are
read only for candidates, which are pairs of documents that share enough keys.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipeline.clean.dedup.across_keys import DocumentKeys, kept_ranks, keys_of, records_of, text_keys
from pipeline.clean.job import KeptIndex, SourceJob
from pipeline.files.files import written_whole
from pipeline.files.parquet_files import parquet_batches
from pipeline.sources.across_step import AcrossDedup

INDEX_SCHEMA = pa.schema(
    {
        "text_hash": pa.binary(16),
        "tie": pa.uint64(),
        "num_ngrams": pa.int64(),
        "bands": pa.list_(pa.uint64()),
        "sampled": pa.list_(pa.uint64()),
    }
)
"""The columns of an index. ``tie`` is a hash of the id and the text. It decides between documents that have equally
many n-grams. A document with too few n-grams has no bands and no sampled n-grams."""

_ROWS_AT_ONCE = 4096
_FORM = {"compression": "zstd", "write_page_checksum": True, "use_dictionary": False}


class IndexWriter:
    """Writes the index file for one part (one file of clean documents). Writes nothing if the job has no index."""

    def __init__(self, step: AcrossDedup | None, path: str) -> None:
        self._step, self._path = step, path
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> IndexWriter:
        if self._step is not None:
            sink = self._stack.enter_context(written_whole(self._path))
            self._writer = self._stack.enter_context(pq.ParquetWriter(sink, INDEX_SCHEMA, **_FORM))
        return self

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds the documents of a batch."""
        if self._step is not None:
            ids, texts = batch.column("id").to_pylist(), batch.column("text").to_pylist()
            self._writer.write_batch(_rows(ids, keys_of(texts, self._step)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def index_file(job: SourceJob, part: int) -> IndexWriter:
    """Returns the writer of the index file for a part (one file of clean documents)."""
    path = "" if job.places.index_dir is None else job.part_path(job.places.index_dir, part)
    return IndexWriter(job.index_step if path else None, path)


def _rows(ids: list[str], keys: DocumentKeys) -> pa.RecordBatch:
    digest = xxhash.xxh3_64_intdigest
    ties = [digest(name.encode("utf-8", "replace") + text) for name, text in zip(ids, keys.hashes, strict=True)]
    num_bands = np.where(keys.is_compared, keys.bands.shape[1], 0)
    num_sampled = np.zeros(len(ids), np.int64)
    num_sampled[keys.is_compared] = [len(one) for one in keys.samples]
    lengths = [len(one) for one in keys.sets] or [0] * len(ids)
    columns = {
        "text_hash": pa.array(keys.hashes, pa.binary(16)),
        "tie": pa.array(np.array(ties, np.uint64)),
        "num_ngrams": pa.array(lengths, pa.int64()),
        "bands": _lists(num_bands, keys.bands.ravel()),
        "sampled": _lists(num_sampled, np.concatenate([*keys.samples, np.empty(0, np.uint64)])),
    }
    return pa.record_batch(columns, schema=INDEX_SCHEMA)


def _lists(sizes: np.ndarray, values: np.ndarray) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.uint64()))


def kept_records(kept: KeptIndex, number: int, part: int, *, exact: bool) -> Iterator[np.ndarray]:
    """Reads one file of an index. Yields the records of its documents, a few thousand documents at a time. A record is
    a key, and the rank of the document that has the key.

    Args:
        number: the number of the index among the indexes that new documents are compared with, from 0.
        exact: True if the records also include a key for each whole text.

    Raises:
        DamagedFile: the file is damaged or missing.
    """
    row = 0
    for batch in parquet_batches(kept.path(part), batch_size=_ROWS_AT_ONCE):
        if not batch.num_rows:
            continue
        hashes, ties = batch.column("text_hash").to_pylist(), batch.column("tie").to_numpy()
        ranks = kept_ranks(number, part, row, batch.column("num_ngrams").to_numpy(), ties)
        owners = tuple(
            np.repeat(np.arange(batch.num_rows), batch.column(name).value_lengths().to_numpy())
            for name in ("bands", "sampled")
        )
        bands, samples = (batch.column(name).flatten().to_numpy() for name in ("bands", "sampled"))
        texts = text_keys(hashes) if exact else np.empty(0, np.uint64)
        yield records_of(ranks, texts, bands, owners, samples)  # type: ignore[arg-type]
        row += batch.num_rows
