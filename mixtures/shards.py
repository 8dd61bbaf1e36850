"""Reads and writes shards. A shard is an uncompressed Arrow IPC file with one document per row.

An uncompressed file can be memory-mapped. A shard's bytes depend only on its rows and metadata, not on the batches in
which the rows arrive. For this, the rows are divided into new record batches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.encode import id_dtype

FORMAT = 1
"""Version of the file format. Increase it if older code would read new shards wrongly."""
MAX_BATCH_ROWS = 8_192
MAX_BATCH_TOKENS = 2**21
"""A record batch ends before it would exceed ``MAX_BATCH_ROWS`` or ``MAX_BATCH_TOKENS``. A document with more tokens
gets a batch of its own."""

SOURCE_TYPE = pa.dictionary(pa.int8(), pa.string())


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardMetadata:
    """Holds the metadata in a shard's schema, for example the recipe's name. All shards of a run have the same
    metadata.
    """

    recipe: str
    seed: int
    tokenizer_sha256: str
    vocab_size: int
    bos_id: int
    """The id of bos, or -1 if documents have no bos. In the same way, ``eos_id`` is -1 if they have no eos."""
    eos_id: int

    def as_bytes(self) -> dict[bytes, bytes]:
        """Returns the metadata in the form in which the schema stores it: names and values as text in UTF-8."""
        named = {"format": FORMAT, **{name: getattr(self, name) for name in self.__slots__}}
        return {name.encode(): str(value).encode() for name, value in named.items()}

    @classmethod
    def of(cls, schema: pa.Schema) -> ShardMetadata:
        """Returns the metadata in a schema. Raises ValueError if the schema is not that of a shard."""
        found = schema.metadata or {}
        try:
            if int(found[b"format"]) != FORMAT:
                raise ValueError(f"its format is {int(found[b'format'])}, this version reads {FORMAT}")
            text = {name: found[name.encode()].decode() for name in cls.__slots__}
        except KeyError as error:
            raise ValueError(f"it is not a shard of ours: its metadata lacks {error.args[0].decode()}") from None
        return cls(
            recipe=text["recipe"],
            seed=int(text["seed"]),
            tokenizer_sha256=text["tokenizer_sha256"],
            vocab_size=int(text["vocab_size"]),
            bos_id=int(text["bos_id"]),
            eos_id=int(text["eos_id"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardInfo:
    """Describes a shard, as the manifest lists it."""

    path: str
    """Path relative to the output folder, with ``/`` as the separator."""
    rows: int
    tokens: int
    bytes: int
    sha256: str
    sources: Mapping[str, int]
    """Number of tokens by source, only for sources that the shard contains."""

    def line(self) -> str:
        """Returns the manifest's entry about this shard as text, for messages.

        >>> ShardInfo(path="shards/a.arrow", rows=2, tokens=1_500, bytes=4_096, sha256="ab" * 32, sources={}).line()
        'manifest line: 2 rows, 1,500 tokens, 4,096 bytes, sha256 abababababab...'
        """
        counted = f"{self.rows:,} rows, {self.tokens:,} tokens, {self.bytes:,} bytes"
        return f"manifest line: {counted}, sha256 {self.sha256[:12]}..."


def shard_schema(vocab_size: int) -> pa.Schema:
    """Returns the schema of a shard. Token ids are uint16 if the vocabulary has at most 65,536 pieces, else uint32.

    >>> shard_schema(32_000).field("input_ids").type
    ListType(list<item: uint16>)
    """
    ids = pa.list_(pa.from_numpy_dtype(id_dtype(vocab_size)))
    return pa.schema(
        [
            pa.field("input_ids", ids, nullable=False),
            pa.field("source", SOURCE_TYPE, nullable=False),
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("epoch", pa.uint8(), nullable=False),
        ]
    )


def shard_name(kind: str, index: int, num_shards: int) -> str:
    """Returns the file name of a shard. ``kind`` is ``train``, or the name of a source for validation shards.

    >>> shard_name("train", 3, 8)
    'train-00003-of-00008.arrow'
    """
    return f"{kind}-{index:05d}-of-{num_shards:05d}.arrow"


def num_shards(total_tokens: int, dtype_bytes: int, target_bytes: int) -> int:
    """Returns how many shards are needed for all tokens, at least 1. A shard gets about ``target_bytes`` bytes of token
    ids.

    ``dtype_bytes`` is the size of one id. For example, 2 * 1,000,000,000 bytes need 8 shards of 256 MiB:

    >>> num_shards(1_000_000, 2, 256 * 2**20), num_shards(1_000_000_000, 2, 256 * 2**20)
    (1, 8)
    """
    return max(1, -(-total_tokens * dtype_bytes // target_bytes))


def read_batches(reader: Any) -> Iterator[pa.RecordBatch]:
    """Yields the record batches of an open shard.

    Each batch is checked before its memory is read, because a damaged batch may point outside the file.

    Raises:
        pyarrow.ArrowException: a batch is damaged.
    """
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        batch.validate()  # numpy trusts the lengths, so they must fit the buffers
        batch.column("source").validate(full=True)  # also checks the indices and names, one byte per row
        yield batch


def write_shard(
    sink: BinaryIO,
    batches: Iterable[pa.RecordBatch],
    *,
    path: str,
    sources: Sequence[str],
    metadata: ShardMetadata,
) -> ShardInfo:
    """Writes rows, in the given order, as one shard. Returns the shard's entry for the manifest.

    The caller opens ``sink`` under a temporary name and renames the file afterwards.

    Args:
        sink: the file that receives the bytes. It need not be seekable.
        batches: the rows, with the columns of :func:`shard_schema` in any order. Other columns are left out. ``source``
            may be text or a dictionary.
        path: the shard's path for the manifest.
        sources: all sources of the recipe. They become the dictionary of the column ``source``, so that this dictionary
            is the same in all shards of a run.
        metadata: the recipe, tokenizer and seed, to be stored in the schema.

    Raises:
        ValueError: a row has a source that is not among ``sources``, or an id is not below the vocabulary size.
    """
    names = sorted(sources)
    schema = shard_schema(metadata.vocab_size).with_metadata(metadata.as_bytes())
    hashing = _HashingSink(sink)
    rows, tokens = 0, np.zeros(len(names), np.int64)
    with pa.ipc.new_file(pa.PythonFile(hashing, mode="w"), schema) as writer:
        for batch in _split_by_size(_normal(batch, names, schema) for batch in batches):
            writer.write_batch(batch)
            lengths = pc.list_value_length(batch.column("input_ids")).to_numpy(zero_copy_only=False)
            np.add.at(tokens, batch.column("source").indices.to_numpy(), lengths.astype(np.int64))
            rows += len(batch)
    return ShardInfo(
        path=path,
        rows=rows,
        tokens=int(tokens.sum()),
        bytes=hashing.num_bytes,
        sha256=hashing.sha256.hexdigest(),
        sources={name: int(n) for name, n in zip(names, tokens, strict=True) if n},
    )


def _normal(batch: pa.RecordBatch, names: Sequence[str], schema: pa.Schema) -> pa.RecordBatch:
    """Returns the batch with the columns of the schema, and without other columns. The names of sources become indices
    into ``names``.
    """
    source = batch.column("source")
    text = source.cast(pa.string()) if pa.types.is_dictionary(source.type) else source
    indices = pc.index_in(text, pa.array(names, pa.string()))
    if indices.null_count:
        raise ValueError(f"a row is of source {text[indices.is_null().index(True).as_py()]}, which the recipe lacks")
    columns = {
        "input_ids": batch.column("input_ids").cast(schema.field("input_ids").type),
        "source": pa.DictionaryArray.from_arrays(indices.cast(pa.int8()), pa.array(names, pa.string())),
        "doc_id": batch.column("doc_id").cast(pa.string()),
        "epoch": batch.column("epoch").cast(pa.uint8()),
    }
    ids = columns["input_ids"].flatten()
    vocab_size = int(schema.metadata[b"vocab_size"])
    if len(ids) and pc.max(ids).as_py() >= vocab_size:
        raise ValueError(f"id {pc.max(ids).as_py()} is not below the vocabulary's {vocab_size}")
    return pa.record_batch([columns[field.name] for field in schema], schema=schema)


def _split_by_size(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Divides the rows into new batches of limited size. Where a batch ends depends only on the sizes of the rows."""
    held: list[pa.RecordBatch] = []
    held_rows = held_tokens = 0
    for batch in batches:
        lengths = pc.list_value_length(batch.column("input_ids")).to_pylist()
        start = 0
        for row, length in enumerate(lengths):
            full = held_rows + row - start >= MAX_BATCH_ROWS or held_tokens + length > MAX_BATCH_TOKENS
            if full and held_rows + row - start:
                yield _joined([*held, batch.slice(start, row - start)])
                held, held_rows, held_tokens, start = [], 0, 0, row
            held_tokens += length
        held.append(batch.slice(start))
        held_rows += len(batch) - start
    if held_rows:
        yield _joined(held)


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Joins batches into one batch by copying them. So the bytes of the result do not depend on how the batches were
    sliced.
    """
    table = pa.Table.from_batches(batches)
    columns = []
    for field in table.schema:
        chunks = [chunk for chunk in table.column(field.name).chunks if len(chunk)]
        columns.append(pa.concat_arrays(chunks))
    return pa.record_batch(columns, schema=table.schema)


class _HashingSink:
    """Writes data to a sink, and computes the checksum and size of this data."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self.sha256: Any = hashlib.sha256()
        self.num_bytes = 0
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.sha256.update(view)
        self._sink.write(view)
        self.num_bytes += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        self._sink.flush()

    def tell(self) -> int:
        return self.num_bytes

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """Does nothing: the caller closes the sink."""
        self.closed = True
