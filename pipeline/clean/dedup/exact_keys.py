"""The small things that travel in place of texts: keys of documents, hashes of lines. Byte layouts only, no Beam."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.clean.batch_address import BATCH_ID, ROW
from pipeline.clean.batches import SIGNAL_PREFIX
from pipeline.sources.dedup_steps import ExactDedup

KEY_BYTES, ORDER_BYTES, TIE_BYTES = 16, 32, 24
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
    batch: pa.RecordBatch, batch_id: bytes, steps: Sequence[ExactDedup], rows: np.ndarray
) -> Iterator[tuple[int, bytes]]:
    """Yields (which step, payload) for every document that has a key for any of a chain of exact dedups.

    A document enters the contest of its first key; whoever wins goes on to the next (:func:`next_contest`). ``rows``
    are the documents' row numbers in the batch as it was spilled.
    """
    places = rows.tolist()
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
