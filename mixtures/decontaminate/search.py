"""Searches finished shards for the items of evaluation sets. Every row is decoded and searched. If the mixture repeats
a document, the document has one row per epoch, and each of these rows is searched.

    shards -> processes (each searches one shard at a time) -> a table of hits per shard -> one table, in shard order

All processes share one memory-mapped index, and each holds one batch of decoded text. So memory does not grow with the
shards. The result does not depend on the number of processes.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filters.decontaminate.index import Index
from filters.decontaminate.step import HITS_SCHEMA, hits_of, rows_of
from mixtures.decoder import load_decoder
from mixtures.decontaminate.table import open_table
from mixtures.inspect.documents import ShownDocument, Wanted, documents

SHARD_HITS_SCHEMA = pa.schema(
    [*HITS_SCHEMA, pa.field("shard", pa.string()), pa.field("row", pa.int64()), pa.field("epoch", pa.int64())]
)
"""The columns of a table of hits in shards. The clean phase's table has the same columns, except for the last three:
the shard, the document's row in the shard, and its epoch."""
_BATCH_CHARS = 1 << 20
_BATCH_DOCS = 1024
_READ_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class ShardTask:
    """Describes a shard to search, and the files that the search uses."""

    shard: str
    """The path of the shard."""
    name: str
    """The path of the shard as the table of hits and the certificate show it."""
    table: str
    """The path of the index of the evaluation sets."""
    tokenizer: str
    """The path of the tokenizer."""
    hits: str
    """The path of the Parquet file that gets the hits."""


@dataclass(frozen=True, slots=True)
class SearchedShard:
    """Holds the counts and the checksum of a shard that was searched to its end."""

    name: str
    sha256: str
    documents: int
    tokens: int
    sources: tuple[str, ...]
    hits: str


def search_shards(tasks: Sequence[ShardTask], num_processes: int) -> Iterator[SearchedShard]:
    """Searches shards, and yields the result of each in the order of ``tasks``.

    Raises:
        ValueError: a shard is damaged, or was not made with the given tokenizer.
    """
    if num_processes <= 1 or len(tasks) <= 1:
        yield from map(search_shard, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(num_processes, len(tasks)), mp_context=context) as pool:
        yield from pool.map(search_shard, tasks)


def search_shard(task: ShardTask) -> SearchedShard:
    """Searches one shard, writes its hits into the file ``task.hits``, and returns its counts.

    Raises:
        ValueError: the shard is damaged, or was not made with the given tokenizer.
    """
    index, encoder = open_table(task.table), load_decoder(task.tokenizer)
    num_docs = num_tokens = 0
    sources = set[str]()
    with pq.ParquetWriter(task.hits, SHARD_HITS_SCHEMA, compression="zstd", write_page_checksum=True) as writer:
        for batch in _batches(documents(Path(task.shard), encoder, Wanted())):
            num_docs += len(batch)
            num_tokens += sum(one.num_tokens for one in batch)
            sources.update(one.source for one in batch)
            rows = _rows(index, batch, task.name)
            if rows:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=SHARD_HITS_SCHEMA))
    return SearchedShard(task.name, _sha256(task.shard), num_docs, num_tokens, tuple(sorted(sources)), task.hits)


def _batches(found: Iterator[ShownDocument]) -> Iterator[list[ShownDocument]]:
    """Yields the documents in batches of bounded size. A document above the bound gets its own batch."""
    held: list[ShownDocument] = []
    num_chars = 0
    for one in found:
        if held and (num_chars + len(one.text) > _BATCH_CHARS or len(held) >= _BATCH_DOCS):
            yield held
            held, num_chars = [], 0
        held.append(one)
        num_chars += len(one.text)
    if held:
        yield held


def _rows(index: Index, batch: Sequence[ShownDocument], shard: str) -> list[dict[str, Any]]:
    found = []
    for one, hits in zip(batch, hits_of(index, [one.text for one in batch]), strict=True):
        place = {"shard": shard, "row": one.row, "epoch": one.epoch}
        rows = rows_of(index, hits, document=one.doc_id, source=one.source, text=one.text) if hits else []
        found += [{**row, **place} for row in rows]
    return found


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
