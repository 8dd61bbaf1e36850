"""Defines the payloads that documents send to an exact dedup instead of their texts. The module contains only byte
layouts and does not use Beam.

An exact dedup keeps one document per key, which is called the winner. Several exact dedups that follow each other form
a chain.

A payload has five parts in this order: the key; the rank; the address of the document; the keys for the later dedups of
the chain; and the id of the document. Payloads are sorted as bytes, so the winner of a key comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    """Holds the parts of a document's payload that an exact dedup uses."""

    key: bytes
    rank: bytes
    """The documents with the same key are sorted by this value, and the first document is kept. The rank begins with
    the value of the ``earliest`` or ``newest`` column, if the dedup has one. For ``newest``, the bytes of the value are
    inverted, so that the newest document comes first. Then follow hashes of the id, the text and the other columns."""
    batch_id: bytes
    row: int
    document_id: str


_NO_BATCH = bytes(BATCH_ID.size)
"""The batch id in payloads of documents of earlier dumps. No batch has this id, because the number of a batch is at
least 1."""


_INVERTED = bytes(reversed(range(256)))


def _order_bytes(step: ExactDedup, value: str | None) -> bytes:
    """Returns bytes that sort like a value of the ``newest`` or ``earliest`` column. For ``newest``, the order is
    reversed. A missing value sorts last.
    """
    if value is None:
        return b"\xff" * ORDER_BYTES
    data = value.encode()[:ORDER_BYTES].ljust(ORDER_BYTES, b"\0")
    return data.translate(_INVERTED) if step.newest else data


def _order_column(column: pa.Array) -> list[str | None]:
    """Returns the values of a column as texts that sort like the values.

    Whole numbers are padded with zeros. Without them, the text "10" would come before the text "9".
    """
    if pa.types.is_integer(column.type):
        return [None if v is None else f"{v:020d}" for v in column.to_pylist()]
    return pc.cast(column, pa.string()).to_pylist()  # type: ignore[no-any-return]


def _rank_bytes(step: ExactDedup) -> int:
    return TIE_BYTES + (ORDER_BYTES if step.is_ordered else 0)


def _entries(step: ExactDedup, batch: pa.RecordBatch) -> list[bytes]:
    """Returns what each document of a batch sends to an exact dedup: a byte 1 and the key. If the dedup prefers the
    newest or the earliest document, the bytes that documents are sorted by follow. A document without a key sends only
    zeros.
    """
    keys = pc.cast(batch.column(step.key), pa.string()).to_pylist()
    digest = xxhash.xxh3_128_digest
    if not step.is_ordered:
        absent = bytes(1 + KEY_BYTES)
        return [absent if key is None else b"\1" + digest(key.encode()) for key in keys]
    absent = bytes(1 + KEY_BYTES + ORDER_BYTES)
    orders = _order_column(batch.column(step.newest or step.earliest))
    return [
        absent if key is None else b"\1" + digest(key.encode()) + _order_bytes(step, order)
        for key, order in zip(keys, orders, strict=True)
    ]


def key_rows(
    batch: pa.RecordBatch, batch_id: bytes, steps: Sequence[ExactDedup], rows: np.ndarray
) -> Iterator[tuple[int, bytes]]:
    """Yields the payload that each document sends to a chain of exact dedups, as (index of a dedup, payload).

    The payload goes to the first dedup for which the document has a key. If that dedup keeps the document,
    :func:`next_contest` makes the payload for the next dedup. A document that has no key for any dedup is left out.
    ``rows`` has the row number of each document in the spilled batch (on disk).
    """
    columns = zip(*(_entries(step, batch) for step in steps), strict=True)
    ids, texts, others = batch.column("id").to_pylist(), batch.column("text"), other_columns(batch)
    for row, entries, name, text, other in zip(rows.tolist(), columns, ids, texts, others, strict=True):
        start = next((index for index, entry in enumerate(entries) if entry[0]), None)
        if start is not None:
            document_id = name.encode()
            tie = _tie(document_id, text.as_buffer(), repr(other))
            yield start, _payload(entries, start, tie, batch_id + ROW.pack(row), document_id)


def other_columns(batch: pa.RecordBatch) -> list[tuple[object, ...]]:
    """Returns one tuple per document. It has the values of all columns except the id, the text, the signals and the
    internal columns.

    If two documents have equal ids and texts, these values decide which one is kept. So the choice does not depend on
    where the documents were read.
    """
    names = [n for n in batch.schema.names if n not in ("id", "text") and not n.startswith(("_", SIGNAL_PREFIX))]
    columns = [batch.column(name).to_pylist() for name in names]
    return list(zip(*columns, strict=True)) if columns else [()] * batch.num_rows


def _tie(document_id: bytes, text: pa.Buffer, other: str) -> bytes:
    digest = xxhash.xxh3_64_digest
    return digest(document_id) + digest(text) + digest(other.encode())


def _payload(entries: Sequence[bytes], index: int, tie: bytes, address: bytes, document_id: bytes) -> bytes:
    return b"".join((entries[index][1:], tie, address, *entries[index + 1 :], document_id))


@dataclass(frozen=True, slots=True)
class Layout:
    """Defines where the parts of a payload are. Each dedup of a chain has its own layout."""

    address: int
    """The position of the first byte of the document's address. The hashes that break ties are directly before it."""
    carried: tuple[tuple[int, int, int], ...]
    """The positions of the document's keys for the later dedups of the chain. Each entry has three numbers: the index
    of the later dedup, the position of the key's first byte, and the position after its last byte. A later dedup gets
    its key only if this dedup keeps the document.
    """
    document_id: int
    """The position of the first byte of the document's id. The id is the last part of the payload."""

    def is_of_earlier_dump(self, payload: bytes) -> bool:
        """True if the payload belongs to a document that was kept in an earlier dump (:func:`earlier_payload`)."""
        return payload.startswith(_NO_BATCH, self.address)


def layout_of(steps: Sequence[ExactDedup], index: int) -> Layout:
    """Returns the layout of the payloads for the exact dedup with the number ``index`` in ``steps``."""
    address = KEY_BYTES + _rank_bytes(steps[index])
    at = address + ADDRESS_BYTES
    carried = []
    for later in range(index + 1, len(steps)):
        size = 1 + KEY_BYTES + (ORDER_BYTES if steps[later].is_ordered else 0)
        carried.append((later, at, at + size))
        at += size
    return Layout(address, tuple(carried), at)


def parse_key_row(payload: bytes, layout: Layout) -> KeyRow:
    """Parses the payload of a document."""
    row = layout.address + BATCH_ID.size
    return KeyRow(
        key=payload[:KEY_BYTES],
        rank=payload[KEY_BYTES : layout.address],
        batch_id=payload[layout.address : row],
        row=ROW.unpack_from(payload, row)[0],
        document_id=payload[layout.document_id :].decode(),
    )


def next_contest(winner: bytes, layout: Layout) -> tuple[int, bytes] | None:
    """Returns the payload that a kept document sends to a later dedup of the chain, as (index of that dedup, payload).

    That dedup is the next one for which the document has a key. Returns None if there is none. ``winner`` is the
    payload that the document sent to the dedup that kept it, and ``layout`` is the layout of that payload.
    """
    for index, start, end in layout.carried:
        if winner[start]:
            address_end = layout.address + ADDRESS_BYTES
            tie_and_address = winner[layout.address - TIE_BYTES : address_end]
            return index, winner[start + 1 : end] + tie_and_address + winner[end:]
    return None


def earlier_payload(key: bytes, document_id: str, steps: Sequence[ExactDedup], index: int) -> bytes:
    """Returns a payload for a document that an earlier dump keeps. Among the payloads with the same key, it sorts
    first. So the documents of newer dumps with this key are dropped.

    The payload has no keys for later dedups of the chain. So nothing is sent to the next dedup:

    >>> steps = [ExactDedup(NAME="a", reason="a", key="id")]
    >>> layout, payload = layout_of(steps, 0), earlier_payload(b"k" * 16, "doc", steps, 0)
    >>> parse_key_row(payload, layout).document_id, layout.is_of_earlier_dump(payload), next_contest(payload, layout)
    ('doc', True, None)
    """
    return key + bytes(layout_of(steps, index).document_id - KEY_BYTES) + document_id.encode()


def bucket_of_key(payload: bytes, num_buckets: int) -> int:
    """Returns the number of the bucket that a payload goes to. All payloads with the same key go to the same bucket."""
    return int.from_bytes(payload[:8], "big") % num_buckets
