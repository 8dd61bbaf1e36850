"""Computes the hashes of lines for the line dedup, packs them by bucket, and determines which lines are removed.

The dedup of passages uses the same functions. For it, a "line" is a window: a part of a text with a fixed length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from filters.ccnet.line_hashes import LineHashes
from pipeline.clean.batch_address import BATCH_ID, ROW
from pipeline.sources.dedup_steps import LineDedup
from pipeline.sources.passage_step import PassageDedup

PartDedup = LineDedup | PassageDedup
"""The dedups that compare parts of texts: lines, or windows of a fixed length."""

LINE_HASHES_COLUMN = "_line_hashes"
"""The name of the column of line hashes. The column is spilled with the texts, because it is used twice: the keys are
made from it, and lines are removed by it."""


def with_line_hashes(batch: pa.RecordBatch, step: LineDedup) -> pa.RecordBatch:
    """Returns the batch with a column of line hashes. If the line dedup compares no document of the batch, returns the
    batch unchanged.
    """
    if not any_compared(batch, step):
        return batch
    found = step.hashed(batch.column("text"))
    return hashes_column(batch, found.hashes, found.doc_offsets)


def hashes_column(batch: pa.RecordBatch, hashes: np.ndarray, doc_offsets: np.ndarray) -> pa.RecordBatch:
    """Returns the batch with a column of hashes. The hashes of document ``i`` are ``hashes[doc_offsets[i]:doc_offsets[i
    + 1]]``."""
    column = pa.ListArray.from_arrays(pa.array(doc_offsets, pa.int32()), pa.array(hashes))
    return batch.append_column(LINE_HASHES_COLUMN, column)


def _hashes_of(batch: pa.RecordBatch, step: PartDedup) -> LineHashes:
    if LINE_HASHES_COLUMN not in batch.schema.names:
        return step.hashed(batch.column("text"))
    column = batch.column(LINE_HASHES_COLUMN)
    offsets = np.concatenate(([0], np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False), dtype=np.int64)))
    return LineHashes(column.flatten().to_numpy(), offsets)


def scopes_of(batch: pa.RecordBatch, scope: str) -> list[str | None]:
    """Returns the scope of each document. Only documents with the same scope are compared, for example the documents of
    one dump.

    The argument ``scope`` is the name of a column, and a document's scope is its value in this column. If there is no
    such column, the column with an underscore before the name is used. A document without a value gets None.
    """
    return [None if value is None else str(value) for value in _scope_column(batch, scope).to_pylist()]


def any_compared(batch: pa.RecordBatch, step: PartDedup) -> bool:
    """True if any document of a batch takes part in the line dedup. Otherwise the batch's lines need no hashes.

    In this example, no document has a value in the column ``_scope``. So no document takes part in a line dedup with
    this scope. But a line dedup without a scope compares all documents:

    >>> published = pa.record_batch({"text": ["a", "b"], "_scope": pa.nulls(2, pa.string())})
    >>> any_compared(published, LineDedup(scope="scope")), any_compared(published, LineDedup())
    (False, True)
    """
    if step.scope in ("all", "document"):
        return bool(batch.num_rows)
    return bool(_scope_column(batch, step.scope).null_count < batch.num_rows)


def _scope_column(batch: pa.RecordBatch, scope: str) -> pa.Array:
    return batch.column(scope if scope in batch.schema.names else f"_{scope}")


class Lines(NamedTuple):
    """Holds all lines of a batch, in order. Each array has one value per line."""

    hashes: np.ndarray
    """The hash of each line. Two hashes are equal only if the lines are equal and their documents have the same scope
    (``LineDedup.scope``)."""
    documents: np.ndarray
    """For each line, the row number of its document."""
    is_compared: np.ndarray
    """False for lines of documents that are not compared, because their scope column is null. Such lines are never
    removed."""


def lines_of(batch: pa.RecordBatch, step: PartDedup) -> Lines:
    """Returns the lines of a batch as hashes. The lines of documents whose scope column is null are marked as not
    compared."""
    if not any_compared(batch, step):
        return _uncompared(batch, step)
    found = _hashes_of(batch, step)
    num_lines = np.diff(found.doc_offsets)
    documents = np.repeat(np.arange(batch.num_rows, dtype=np.uint32), num_lines)
    hashes = found.hashes
    is_compared = np.ones(len(hashes), dtype=bool)
    if step.scope not in ("all", "document"):
        scopes = scopes_of(batch, step.scope)
        mix = np.array([xxhash.xxh3_64_intdigest((s or "").encode()) for s in scopes], dtype=np.uint64)
        # Each scope permutes the hashes differently, so that equal lines of two scopes have different hashes.
        hashes = _mixed(hashes ^ np.repeat(mix, num_lines))
        is_compared = np.repeat(np.array([s is not None for s in scopes], dtype=bool), num_lines)
    return Lines(hashes, documents, is_compared)


def _uncompared(batch: pa.RecordBatch, step: PartDedup) -> Lines:
    """Returns the lines of a batch in which no document is compared. No hashes are computed; the hash of each line is
    0."""
    num_lines = step.num_hashes(batch.column("text")).to_numpy()
    documents = np.repeat(np.arange(batch.num_rows, dtype=np.uint32), num_lines)
    return Lines(np.zeros(len(documents), np.uint64), documents, np.zeros(len(documents), bool))


def _mixed(values: np.ndarray) -> np.ndarray:
    """Returns each value with its bits mixed, by the last step (finaliser) of SplitMix64 (Steele et al. 2014).
    Different values stay different.
    """
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def document_ranks(batch: pa.RecordBatch, step: PartDedup) -> np.ndarray:
    """Returns the rank of each document for ``keep="first"``: the document with the lowest rank keeps a shared line.

    The rank is the first 64 bits of the MD5 of the document's ``rank`` column. MD5 is used so that, for C4, the same
    document keeps a line as in the original (c4_utils ``remove_duplicate_text``). If a document has no value in this
    column, the MD5 of its id is used. If two documents of a batch had the same rank, both would keep a shared line.
    """
    values = pc.coalesce(batch.column(step.rank), batch.column("id")).to_pylist()
    digests = (hashlib.md5(v.encode(), usedforsecurity=False).digest() for v in values)
    return np.frombuffer(b"".join(d[:8] for d in digests), ">u8").astype(np.uint64)


def line_payloads(
    batch: pa.RecordBatch, batch_id: bytes, step: PartDedup, num_buckets: int
) -> Iterator[tuple[int, bytes]]:
    """Yields one (bucket, payload) for each bucket that gets lines of the batch.

    The payload has the id of the batch, and the distinct hashes of the batch's compared lines in this bucket. Each hash
    has a value. With ``keep="ccnet"`` the value is one byte: 1 if at least two documents of the batch contain the line,
    else 0. With ``keep="first"`` the value has 8 bytes: the smallest rank of the documents that contain the line.
    """
    if step.scope == "document" or not any_compared(batch, step):
        return
    lines = lines_of(batch, step)
    hashes, documents = lines.hashes[lines.is_compared], lines.documents[lines.is_compared]
    if step.keep == "ccnet":
        order = np.lexsort((documents, hashes))
        hashes, documents = hashes[order], documents[order]
        is_pair = np.ones(len(hashes), dtype=bool)
        is_pair[1:] = (hashes[1:] != hashes[:-1]) | (documents[1:] != documents[:-1])
        distinct, num_docs = np.unique(hashes[is_pair], return_counts=True)
        values = (num_docs > 1).astype("u1")
    else:
        ranks = document_ranks(batch, step)[documents]
        order = np.lexsort((ranks, hashes))
        distinct, first = np.unique(hashes[order], return_index=True)
        values = ranks[order][first].astype("<u8")
    shift = np.uint64(64 - (num_buckets.bit_length() - 1))
    edges = np.searchsorted(distinct >> shift, np.arange(num_buckets + 1, dtype=np.uint64))
    for bucket, (start, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        if end > start:
            header = batch_id + ROW.pack(end - start)
            yield bucket, header + distinct[start:end].astype("<u8").tobytes() + values[start:end].tobytes()


def parse_line_payload(payload: bytes, keep: str) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Returns (batch id, hashes, values) from a payload of :func:`line_payloads`."""
    (num_lines,) = ROW.unpack_from(payload, BATCH_ID.size)
    start = BATCH_ID.size + ROW.size
    hashes = np.frombuffer(payload, "<u8", num_lines, start)
    values = np.frombuffer(payload, "u1" if keep == "ccnet" else "<u8", num_lines, start + 8 * num_lines)
    return payload[: BATCH_ID.size], hashes, values


def lost_lines(groups: Sequence[np.ndarray], group_values: Sequence[np.ndarray], keep: str) -> Iterator[np.ndarray]:
    """Decides which lines of a bucket are removed. Yields one array per batch: the hashes of the lines to remove from
    all documents of the batch.

    With ``keep="ccnet"``, a line is removed if at least two of the compared documents contain it. With
    ``keep="first"``, a line stays only in one batch: the batch of the document with the smallest rank among the
    documents that contain the line.

    ``groups`` has one sorted array of line hashes per batch. ``group_values`` has the values of these hashes
    (:func:`line_payloads`).
    """
    hashes = np.concatenate(groups)
    values = np.concatenate(group_values)
    if keep == "first":
        owners = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
        order = np.lexsort((owners, values, hashes))
        del owners
    else:
        order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(starts, len(ordered)))
    lost = np.empty(len(hashes), dtype=bool)
    if keep == "ccnet":
        is_repeated = (sizes > 1) | (np.maximum.reduceat(values[order], starts) > 0)
        lost[order] = np.repeat(is_repeated, sizes)
    else:
        lost[order] = True
        lost[order[starts]] = False
    del hashes, values, order, ordered, starts, sizes
    start = 0
    for group in groups:  # one at a time, because a bucket of the largest runs has a million groups
        yield group[lost[start : start + len(group)]]
        start += len(group)


def lines_to_keep(batch: pa.RecordBatch, step: PartDedup, lost: np.ndarray) -> tuple[np.ndarray, Lines]:
    """Returns a mask that is True for the lines to keep, and all lines of the batch.

    A line is kept if its hash is not in ``lost`` and if it does not repeat an earlier line of the same document. With
    ``keep="first"`` there is a further condition: if several documents of the batch contain a line, only the document
    with the smallest rank keeps it. The lines of documents that are not compared are always kept.
    """
    lines = lines_of(batch, step)
    hashes, documents = lines.hashes, lines.documents
    if not lines.is_compared.any():
        return np.ones(len(hashes), bool), lines
    keep = ~np.isin(hashes, lost)
    order = np.lexsort((documents, hashes))  # stable: equal lines of a document stay in the order of the text
    repeated = np.zeros(len(hashes), dtype=bool)
    same = (hashes[order][1:] == hashes[order][:-1]) & (documents[order][1:] == documents[order][:-1])
    repeated[order[1:]] = same
    keep &= ~repeated
    if step.keep == "first" and step.scope != "document":
        ranks = document_ranks(batch, step)[documents]
        order = np.lexsort((ranks, hashes))
        starts = np.concatenate([[True], hashes[order][1:] != hashes[order][:-1]])
        best = np.empty(len(hashes), dtype=np.uint64)
        best[order] = (
            ranks[order][np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))] if len(order) else 0
        )
        keep &= ranks == best
    return keep | ~lines.is_compared, lines
