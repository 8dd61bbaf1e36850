"""Packs documents (dicts) into Arrow record batches. Defines the columns of the batches and their Beam coder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BASE_COLUMNS: Mapping[str, pa.DataType] = {
    "id": pa.string(),
    "text": pa.string(),
    "source": pa.string(),
    "language": pa.string(),
}
"""The columns that every source has, in the order of the output."""

SIGNAL_PREFIX = "signal:"
"""The prefix of column names that marks signals. A signal is a measurement by a step (float64). In the output, the
single column ``signals`` replaces these columns."""

MAX_BATCH_DOCS = 512
MAX_BATCH_BYTES = 8 << 20

SIGNALS_TYPE = pa.list_(pa.struct([pa.field("name", pa.string()), pa.field("value", pa.float64())]))
"""The type of the column ``signals``: a list of names and values. A map would fit better, but Hugging Face's
``datasets`` cannot read maps."""

DROPPED_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "source": pa.string(),
        "language": pa.string(),
        "stage": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
        "signals": SIGNALS_TYPE,
        "url": pa.string(),
        "title": pa.string(),
        "date": pa.string(),
        "text": pa.string(),
    }
)


class RecordBatchCoder(beam.coders.Coder):
    """Encodes batches as Arrow IPC.

    Without this coder, Beam would pickle the batches. The pickle of a slice contains the whole batch that the slice was
    cut from.
    """

    def encode(self, value: pa.RecordBatch) -> bytes:
        return batch_to_bytes(value)

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        return batch_from_bytes(encoded)

    def estimate_size(self, value: pa.RecordBatch) -> int:
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        return True


beam.coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)


def batch_to_bytes(batch: pa.RecordBatch) -> bytes:
    """Returns a batch as an Arrow IPC stream, compressed with LZ4.

    LZ4 is chosen because it is fast: spilled batches are read back soon.
    """
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def batch_from_bytes(data: bytes) -> pa.RecordBatch:
    """Returns the batch that :func:`batch_to_bytes` wrote."""
    with pa.ipc.open_stream(pa.BufferReader(data)) as reader:
        return reader.read_next_batch()


def reader_schema(source_columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """Returns the schema of a source's batches, before any step has run: the columns that every source has, and the
    columns of the source's reader.
    """
    return pa.schema([pa.field(n, t) for n, t in {**BASE_COLUMNS, **source_columns}.items()])


def batches(
    documents: Iterable[Mapping[str, Any] | None], *, source: str, columns: Mapping[str, pa.DataType]
) -> Iterator[pa.RecordBatch | None]:
    """Packs documents into batches. Yields batches of at most 512 documents and about 8 MB of text.

    If ``documents`` yields None, this function yields None too. So ``documents`` can ask the caller of this function to
    output what is held in memory, for example rows about dropped documents.
    """
    schema = reader_schema(columns)
    rows: list[Mapping[str, Any]] = []
    num_bytes = 0
    for document in documents:
        if document is None:
            yield None
            continue
        rows.append(document)
        num_bytes += len(document["text"])
        if len(rows) >= MAX_BATCH_DOCS or num_bytes >= MAX_BATCH_BYTES:
            yield _pack(rows, schema, source)
            rows, num_bytes = [], 0
    if rows:
        yield _pack(rows, schema, source)


def _pack(rows: list[Mapping[str, Any]], schema: pa.Schema, source: str) -> pa.RecordBatch:
    arrays = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name == "source":
            arrays.append(pa.array([source] * len(rows), kind))
        elif name == "language":
            arrays.append(pa.array([row.get(name) or "und" for row in rows], kind))
        else:
            arrays.append(pa.array([row.get(name) for row in rows], kind))
    batch = pa.record_batch(arrays, schema=schema)
    for name in ("id", "text"):
        assert batch.column(name).null_count == 0, f"{source}: a document without {name}"
    return batch


def set_columns(batch: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """Returns the batch with the given columns. A new column is added at the end, an existing one is replaced."""
    for name, array in columns.items():
        assert len(array) == batch.num_rows, (name, len(array), batch.num_rows)
        index = batch.schema.get_field_index(name)
        if index < 0:
            batch = batch.append_column(name, array)
        else:
            batch = batch.set_column(index, pa.field(name, array.type), array)
    return batch


def signals_list(batch: pa.RecordBatch) -> pa.Array:
    """Returns the signals of documents (measurements by steps) as one column of lists. A null signal is left out of its
    list.

    In this example, the second document has no signal ``a``:

    >>> signals_list(pa.record_batch({"signal:a": [1.0, None], "signal:b": [2.0, 3.0]})).to_pylist()[1]
    [{'name': 'b', 'value': 3.0}]
    """
    names = [n for n in batch.schema.names if n.startswith(SIGNAL_PREFIX)]
    num_docs = batch.num_rows
    if not names:
        return pa.array([[]] * num_docs, SIGNALS_TYPE)
    values = np.column_stack([batch.column(n).to_numpy(zero_copy_only=False) for n in names])
    is_set = np.column_stack([~np.asarray(batch.column(n).is_null()) for n in names])
    offsets = np.concatenate([[0], np.cumsum(is_set.sum(axis=1))]).astype(np.int32)
    keys = pa.array([n[len(SIGNAL_PREFIX) :] for n in names]).take(pa.array(np.nonzero(is_set)[1]))
    pairs = pa.StructArray.from_arrays([keys, pa.array(values[is_set], pa.float64())], ["name", "value"])
    return pa.ListArray.from_arrays(pa.array(offsets), pairs)


def text_bytes(text: pa.Array) -> int:
    """Returns the number of UTF-8 bytes in a column of texts.

    >>> text_bytes(pa.array(["abc", "é"]))
    5
    """
    return pc.sum(pc.binary_length(text)).as_py() or 0
