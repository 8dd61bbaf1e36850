"""Defines the keys that documents send to an exact dedup instead of their texts. It has only byte layouts, no Beam.

An exact dedup keeps one document per key: the winner. Several exact dedups in a row form a chain.

A payload is: key, rank, address of the document, keys for the later dedups of the chain, id of the document. Payloads
are sorted as bytes, so the winner of a key comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.clean.batch_address import ADDRESS_BYTES, BATCH_ID, ROW
from pipeline.clean.batches import SIGNAL_PREFIX
from pipeline.sources.dedup_steps import ExactDedup

KEY_BYTES, ORDER_BYTES, TIE_BYTES = 16, 32, 24


class KeyRow(NamedTuple):
    """A parsed payload, which contains everything that an exact dedup knows about a document."""

    key: bytes
    rank: bytes
    """The documents of a key are sorted by this value, and the first is kept. It starts with the value of the
    ``earliest`` or ``newest`` column (bytes inverted for ``newest``), followed by the hashes of the id, the text and
    the other columns."""
    batch_id: bytes
    row: int
    carry: bytes
    """The document's keys for the later dedups of the chain. They are used if the document is kept for this key."""
    document_id: str

    @property
    def is_of_earlier_dump(self) -> bool:
        """True if the document is from an earlier dump, which keeps it (see :func:`earlier_payload`)."""
        return self.batch_id == _NO_BATCH


_NO_BATCH = bytes(BATCH_ID.size)
"""The batch id of documents of earlier dumps. No real batch has it, because batches are numbered from 1."""


def _order_bytes(step: ExactDedup, value: str | None) -> bytes:
    """Returns the bytes by which the documents of a key are sorted. A missing value sorts last."""
    if value is None:
        return b"\xff" * ORDER_BYTES
    data = value.encode()[:ORDER_BYTES].ljust(ORDER_BYTES, b"\0")
    return bytes(255 - b for b in data) if step.newest else data


def _order_column(column: pa.Array) -> list[str | None]:
    """Returns a column as text that sorts like its values: whole numbers are padded, so that 10 comes after 9."""
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
    batch: pa.RecordBatch, batch_id: bytes, steps: Sequence[ExactDedup], rows: np.ndarray
) -> Iterator[tuple[int, bytes]]:
    """Yields (index of the step in the chain, payload) for each document that has a key for any step of the chain.

    The payload has the key for the first of these steps. If that dedup keeps the document, :func:`next_contest` makes
    the payload for the next one. ``rows`` are the documents' row numbers in the batch that was written to disk.
    """
    row_numbers = rows.tolist()
    keys = [pc.cast(batch.column(s.key), pa.string()).to_pylist() for s in steps]
    orders = [_order_column(batch.column(s.newest or s.earliest)) if s.is_ordered else None for s in steps]
    ids, texts, others = batch.column("id").to_pylist(), batch.column("text"), other_columns(batch)
    for row, (document_id, text) in enumerate(zip(ids, texts, strict=True)):
        entries = [
            _entry(step, keys[i][row], values[row] if (values := orders[i]) else None) for i, step in enumerate(steps)
        ]
        tie = _tie(document_id, text.as_buffer(), repr(others[row]))
        address = batch_id + ROW.pack(row_numbers[row])
        start = _first_set(entries, 0)
        if start is not None:
            yield start, _payload(entries, start, tie, address, document_id.encode())


def other_columns(batch: pa.RecordBatch) -> list[tuple[object, ...]]:
    """Returns, for each document, the values of its columns other than id and text.

    If two documents have equal ids and texts, these values decide which one is kept. So the choice does not depend on
    where the documents were read.
    """
    names = [n for n in batch.schema.names if n not in ("id", "text") and not n.startswith(("_", SIGNAL_PREFIX))]
    columns = [batch.column(name).to_pylist() for name in names]
    return list(zip(*columns, strict=True)) if columns else [()] * batch.num_rows


def _tie(document_id: str, text: pa.Buffer, other: str) -> bytes:
    hashes = (xxhash.xxh3_64_digest(value) for value in (document_id.encode(), text, other.encode()))
    return b"".join(hashes)


def _first_set(entries: Sequence[bytes], start: int) -> int | None:
    return next((i for i in range(start, len(entries)) if entries[i][0]), None)


def _payload(entries: Sequence[bytes], index: int, tie: bytes, address: bytes, document_id: bytes) -> bytes:
    return entries[index][1:] + tie + address + b"".join(entries[index + 1 :]) + document_id


def _carry_sizes(steps: Sequence[ExactDedup], index: int) -> list[int]:
    return [1 + KEY_BYTES + (ORDER_BYTES if s.is_ordered else 0) for s in steps[index + 1 :]]


def parse_key_row(payload: bytes, steps: Sequence[ExactDedup], index: int) -> KeyRow:
    """Parses a payload for the step ``index`` of a chain."""
    rank_end = KEY_BYTES + _rank_bytes(steps[index])
    address_end = rank_end + ADDRESS_BYTES
    carry_end = address_end + sum(_carry_sizes(steps, index))
    return KeyRow(
        key=payload[:KEY_BYTES],
        rank=payload[KEY_BYTES:rank_end],
        batch_id=payload[rank_end : rank_end + BATCH_ID.size],
        row=ROW.unpack_from(payload, rank_end + BATCH_ID.size)[0],
        carry=payload[address_end:carry_end],
        document_id=payload[carry_end:].decode(),
    )


def next_contest(winner: KeyRow, steps: Sequence[ExactDedup], index: int) -> tuple[int, bytes] | None:
    """Returns (index, payload) for the next step of the chain for which the winner has a key; None if there is none."""
    entries, at = [b""] * (index + 1), 0
    for size in _carry_sizes(steps, index):
        entries.append(winner.carry[at : at + size])
        at += size
    following = _first_set(entries, index + 1)
    if following is None:
        return None
    address = winner.batch_id + ROW.pack(winner.row)
    return following, _payload(entries, following, winner.rank[-TIE_BYTES:], address, winner.document_id.encode())


def earlier_payload(key: bytes, document_id: str, steps: Sequence[ExactDedup], index: int) -> bytes:
    """Returns a payload by which a document of an earlier dump is the winner of ``key`` in step ``index``.

    The payload has no keys for later steps.

    >>> steps = [ExactDedup(NAME="a", reason="a", key="id")]
    >>> row = parse_key_row(earlier_payload(b"k" * 16, "doc", steps, 0), steps, 0)
    >>> row.document_id, row.is_of_earlier_dump, next_contest(row, steps, 0)
    ('doc', True, None)
    """
    rest = bytes(_rank_bytes(steps[index]) + ADDRESS_BYTES + sum(_carry_sizes(steps, index)))
    return key + rest + document_id.encode()


def bucket_of_key(payload: bytes, num_buckets: int) -> int:
    """Returns the number of the bucket that a payload goes to. All payloads with the same key go to the same bucket."""
    return int.from_bytes(payload[:8], "big") % num_buckets
