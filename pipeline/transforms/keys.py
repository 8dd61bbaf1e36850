"""The small things that travel in place of texts: keys of documents, hashes of lines. Byte layouts only, no Beam."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from filters.lines import LINE_HASHES, LineHashes
from pipeline.document import SIGNAL_PREFIX
from pipeline.plan import BATCH_ID
from pipeline.sources.base import ExactDedup, LineDedup

KEY_BYTES, ORDER_BYTES, TIE_BYTES = 16, 32, 24
ROW = struct.Struct(">I")
_PLACE_BYTES = BATCH_ID.size + ROW.size


class KeyRow(NamedTuple):
    """One document's place in the contest for one key. Bytes sort so that the winner of a key comes first."""

    key: bytes
    rank: bytes
    """Earliest or newest first (the bytes, inverted), then the smallest hash of the id, of the text, of the rest."""
    batch_id: bytes
    row: int
    carry: bytes
    """The keys of the contests that a winner enters next."""
    document_id: str

    @property
    def is_of_earlier_dump(self) -> bool:
        """Whether it stands for a document that an earlier dump keeps (:func:`earlier_payload`)."""
        return self.batch_id == _NO_BATCH


_NO_BATCH = bytes(BATCH_ID.size)
"""No batch is called so: their numbers begin at one."""


def _order_bytes(step: ExactDedup, value: str | None) -> bytes:
    """What sorts the documents of a key; a missing value sorts last."""
    if value is None:
        return b"\xff" * ORDER_BYTES
    data = value.encode()[:ORDER_BYTES].ljust(ORDER_BYTES, b"\0")
    return bytes(255 - b for b in data) if step.newest else data


def _order_column(column: pa.Array) -> list[str | None]:
    """A column whose text sorts as it is meant: whole numbers are padded, so that 10 comes behind 9."""
    if pa.types.is_integer(column.type):
        return [None if v is None else f"{v:020d}" for v in column.to_pylist()]
    return pc.cast(column, pa.string()).to_pylist()  # type: ignore[no-any-return]


def _rank_bytes(step: ExactDedup) -> int:
    return TIE_BYTES + (ORDER_BYTES if step.is_ordered else 0)


def _entry(step: ExactDedup, key: str | None, order: str | None) -> bytes:
    if key is None:
        return b"\0" + bytes(KEY_BYTES + (ORDER_BYTES if step.is_ordered else 0))
    return b"\1" + xxhash.xxh3_128_digest(key.encode()) + (_order_bytes(step, order) if step.is_ordered else b"")


def key_rows(
    batch: pa.RecordBatch, batch_id: bytes, steps: Sequence[ExactDedup], rows: np.ndarray | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yields (which step, payload) for every document that has a key for any of a chain of exact dedups.

    A document enters the contest of its first key; whoever wins goes on to the next (:func:`next_contest`). ``rows``
    are the documents' places in the batch as it was spilled, where some of it is gone since.
    """
    places = range(batch.num_rows) if rows is None else rows.tolist()
    keys = [pc.cast(batch.column(s.key), pa.string()).to_pylist() for s in steps]
    orders = [_order_column(batch.column(s.newest or s.earliest)) if s.is_ordered else None for s in steps]
    ids, texts, others = batch.column("id").to_pylist(), batch.column("text"), _other_columns(batch)
    for row, (document_id, text) in enumerate(zip(ids, texts, strict=True)):
        entries = [
            _entry(step, keys[i][row], values[row] if (values := orders[i]) else None) for i, step in enumerate(steps)
        ]
        tie = _tie(document_id, text.as_buffer(), repr(others[row]))
        place = batch_id + ROW.pack(places[row])
        start = _first_set(entries, 0)
        if start is not None:
            yield start, _payload(entries, start, tie, place, document_id.encode())


def _other_columns(batch: pa.RecordBatch) -> list[tuple[object, ...]]:
    """What else is written of each document: of two of one id and text the same must win wherever they were read."""
    names = [n for n in batch.schema.names if n not in ("id", "text") and not n.startswith(("_", SIGNAL_PREFIX))]
    columns = [batch.column(name).to_pylist() for name in names]
    return list(zip(*columns, strict=True)) if columns else [()] * batch.num_rows


def _tie(document_id: str, text: pa.Buffer, other: str) -> bytes:
    hashes = (xxhash.xxh3_64_digest(part) for part in (document_id.encode(), text, other.encode()))
    return b"".join(hashes)


def _first_set(entries: Sequence[bytes], start: int) -> int | None:
    return next((i for i in range(start, len(entries)) if entries[i][0]), None)


def _payload(entries: Sequence[bytes], index: int, tie: bytes, place: bytes, document_id: bytes) -> bytes:
    return entries[index][1:] + tie + place + b"".join(entries[index + 1 :]) + document_id


def _carry_sizes(steps: Sequence[ExactDedup], index: int) -> list[int]:
    return [1 + KEY_BYTES + (ORDER_BYTES if s.is_ordered else 0) for s in steps[index + 1 :]]


def parse_key_row(payload: bytes, steps: Sequence[ExactDedup], index: int) -> KeyRow:
    """Reads a payload of the contest ``index`` of a chain."""
    rank_end = KEY_BYTES + _rank_bytes(steps[index])
    place_end = rank_end + _PLACE_BYTES
    carry_end = place_end + sum(_carry_sizes(steps, index))
    return KeyRow(
        key=payload[:KEY_BYTES],
        rank=payload[KEY_BYTES:rank_end],
        batch_id=payload[rank_end : rank_end + BATCH_ID.size],
        row=ROW.unpack_from(payload, rank_end + BATCH_ID.size)[0],
        carry=payload[place_end:carry_end],
        document_id=payload[carry_end:].decode(),
    )


def next_contest(winner: KeyRow, steps: Sequence[ExactDedup], index: int) -> tuple[int, bytes] | None:
    """The next contest a winner enters, and its payload there; None if it has no key left."""
    entries, at = [b""] * (index + 1), 0
    for size in _carry_sizes(steps, index):
        entries.append(winner.carry[at : at + size])
        at += size
    following = _first_set(entries, index + 1)
    if following is None:
        return None
    place = winner.batch_id + ROW.pack(winner.row)
    return following, _payload(entries, following, winner.rank[-TIE_BYTES:], place, winner.document_id.encode())


def earlier_payload(key: bytes, document_id: str, steps: Sequence[ExactDedup], index: int) -> bytes:
    """A payload of the contest ``index`` that wins ``key`` for a document of an earlier dump, and enters no other.

    >>> steps = [ExactDedup(NAME="a", reason="a", key="id")]
    >>> row = parse_key_row(earlier_payload(b"k" * 16, "doc", steps, 0), steps, 0)
    >>> row.document_id, row.is_of_earlier_dump, next_contest(row, steps, 0)
    ('doc', True, None)
    """
    rest = bytes(_rank_bytes(steps[index]) + _PLACE_BYTES + sum(_carry_sizes(steps, index)))
    return key + rest + document_id.encode()


def bucket_of_key(payload: bytes, num_buckets: int) -> int:
    return int.from_bytes(payload[:8], "big") % num_buckets


LINE_HASHES_COLUMN = "_line_hashes"
"""Hashes that were taken when a batch was spilled: what is asked of a line and what is done to it need them both."""


def with_line_hashes(batch: pa.RecordBatch, step: LineDedup) -> pa.RecordBatch:
    """The batch with the hashes of its lines beside it."""
    found = LINE_HASHES[step.lines](batch.column("text"))
    column = pa.ListArray.from_arrays(pa.array(found.doc_offsets, pa.int32()), pa.array(found.hashes))
    return batch.append_column(LINE_HASHES_COLUMN, column)


def _hashes_of(batch: pa.RecordBatch, step: LineDedup) -> LineHashes:
    if LINE_HASHES_COLUMN not in batch.schema.names:
        return LINE_HASHES[step.lines](batch.column("text"))
    column = batch.column(LINE_HASHES_COLUMN)
    offsets = np.concatenate(([0], np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False), dtype=np.int64)))
    return LineHashes(column.flatten().to_numpy(), offsets)


def _scopes(batch: pa.RecordBatch, scope: str) -> list[str | None]:
    found: list[str | None] = batch.column(scope if scope in batch.schema.names else f"_{scope}").to_pylist()
    return found


class Lines(NamedTuple):
    """The lines of a batch that take part in a line dedup: their hash (scope mixed in), their document."""

    hashes: np.ndarray
    documents: np.ndarray
    takes_part: np.ndarray
    """bool, a line of the batch each; ``hashes`` and ``documents`` hold all lines."""


def lines_of(batch: pa.RecordBatch, step: LineDedup) -> Lines:
    """Hashes every line of a batch; a document whose scope column is null takes no part."""
    found = _hashes_of(batch, step)
    num_lines = np.diff(found.doc_offsets)
    documents = np.repeat(np.arange(batch.num_rows, dtype=np.uint32), num_lines)
    hashes = found.hashes
    takes_part = np.ones(len(hashes), dtype=bool)
    if step.scope not in ("all", "document"):
        scopes = _scopes(batch, step.scope)
        mix = np.array([xxhash.xxh3_64_intdigest((s or "").encode()) for s in scopes], dtype=np.uint64)
        # Another permutation of the hashes in every scope, so that equal lines of two scopes never meet.
        hashes = _mixed(hashes ^ np.repeat(mix, num_lines))
        takes_part = np.repeat(np.array([s is not None for s in scopes], dtype=bool), num_lines)
    return Lines(hashes, documents, takes_part)


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: a bijection that spreads every bit (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def document_ranks(batch: pa.RecordBatch, step: LineDedup) -> np.ndarray:
    """The first 64 bits of the MD5 of each document's ``rank`` column: who keeps a line under the rule ``first``.

    MD5, so that C4's choice is the original's to the line (c4_utils ``remove_duplicate_text``).
    """
    values = batch.column(step.rank).to_pylist()
    digests = (hashlib.md5((v or "").encode(), usedforsecurity=False).digest() for v in values)
    return np.frombuffer(b"".join(d[:8] for d in digests), ">u8").astype(np.uint64)


def line_payloads(
    batch: pa.RecordBatch, batch_id: bytes, step: LineDedup, num_buckets: int
) -> Iterator[tuple[int, bytes]]:
    """Yields (bucket, payload): the batch's distinct line hashes of that bucket, and what decides about them.

    Under ``ccnet`` that is a byte, 1 if the line stands in two documents of the batch itself; under ``first``
    the smallest rank of a document that holds it (8 bytes).
    """
    if step.scope == "document":
        return
    lines = lines_of(batch, step)
    hashes, documents = lines.hashes[lines.takes_part], lines.documents[lines.takes_part]
    if step.keep == "ccnet":
        order = np.lexsort((documents, hashes))
        hashes, documents = hashes[order], documents[order]
        is_pair = np.ones(len(hashes), dtype=bool)
        is_pair[1:] = (hashes[1:] != hashes[:-1]) | (documents[1:] != documents[:-1])
        distinct, num_docs = np.unique(hashes[is_pair], return_counts=True)
        deciding = (num_docs > 1).astype("u1")
    else:
        ranks = document_ranks(batch, step)[documents]
        order = np.lexsort((ranks, hashes))
        distinct, first = np.unique(hashes[order], return_index=True)
        deciding = ranks[order][first].astype("<u8")
    shift = np.uint64(64 - (num_buckets.bit_length() - 1))
    edges = np.searchsorted(distinct >> shift, np.arange(num_buckets + 1, dtype=np.uint64))
    for bucket, (start, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        if end > start:
            header = batch_id + ROW.pack(end - start)
            yield bucket, header + distinct[start:end].astype("<u8").tobytes() + deciding[start:end].tobytes()


def parse_line_payload(payload: bytes, keep: str) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Returns (batch id, hashes, what decides) of a payload of :func:`line_payloads`."""
    (num_lines,) = ROW.unpack_from(payload, BATCH_ID.size)
    start = BATCH_ID.size + ROW.size
    hashes = np.frombuffer(payload, "<u8", num_lines, start)
    deciding = np.frombuffer(payload, "u1" if keep == "ccnet" else "<u8", num_lines, start + 8 * num_lines)
    return payload[: BATCH_ID.size], hashes, deciding


def lost_lines(groups: Sequence[np.ndarray], deciding: Sequence[np.ndarray], keep: str) -> Iterator[np.ndarray]:
    """Yields for each batch of a bucket the (sorted) hashes it must drop everywhere.

    ``ccnet``: all that stand in two documents of the scope. ``first``: all but in the batch of the winner.
    """
    hashes = np.concatenate(groups)
    values = np.concatenate(deciding)
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
    for group in groups:  # one at a time: a bucket of the largest runs has a million of them
        yield group[lost[start : start + len(group)]]
        start += len(group)


def lines_to_keep(batch: pa.RecordBatch, step: LineDedup, lost: np.ndarray) -> tuple[np.ndarray, Lines]:
    """Which lines of a batch stay (bool, a line each): not among the lost, and the first of its kind in its document.

    Under ``first`` a line that several documents of the batch hold stays in the one of the smallest rank.
    """
    lines = lines_of(batch, step)
    hashes, documents = lines.hashes, lines.documents
    keep = ~np.isin(hashes, lost)
    order = np.lexsort((documents, hashes))  # stable: equal (hash, document) stay in the order of the text
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
    return keep | ~lines.takes_part, lines
