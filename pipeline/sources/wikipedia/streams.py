"""Reads a dump from any byte offset. A bz2 file is unpacked block by block.

In a bz2 file, reading begins at the first block at or after the given offset. If some bytes cannot be unpacked, they
are reported with their location, and reading continues at the next block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import BinaryIO

from pipeline.sources.formats.bzip2_blocks import (
    HEADER_BYTES,
    MAX_FALSE_MARKS,
    READ_BYTES,
    Kind,
    Region,
    behind_end,
    fault_behind,
    is_whole_end,
    regions,
    unpack_block,
    unpack_last,
)


class Event(Enum):
    """The kind of a :class:`StreamPiece`: bytes of the dump, or a fault."""

    DATA = "data"
    DAMAGED = "damaged"
    """A block could not be unpacked. The next piece is from a later block."""
    GAP = "gap"
    """Bytes that belong to no stream, such as a damaged header."""
    TRUNCATED = "truncated"
    """The file ended inside a stream. The complete blocks of this stream were already yielded."""


@dataclass(frozen=True, slots=True)
class StreamPiece:
    """Holds some bytes of a dump, or reports a fault in the dump."""

    event: Event
    offset: int
    """An offset in the stored file. In plain XML, it is the offset of ``data``. In bz2, it is the offset of the block
    from which ``data`` was unpacked, or which is damaged. (For the first block of a stream, it is the offset of the
    stream.) For a gap, it is the offset of the end mark before the gap; 0 for a gap at the beginning of the file.
    Several workers read units (parts) of one file. Only the worker whose unit contains this offset reports the gap.
    """
    data: bytes = b""
    detail: str = ""
    location: int | None = None
    """The offset of the fault; None if it is the same as ``offset``."""


def read_plain(file: BinaryIO, start: int) -> Iterator[StreamPiece]:
    """Yields the bytes of an unpacked file from ``start`` on."""
    file.seek(start)
    offset = start
    while data := file.read(READ_BYTES):
        yield StreamPiece(Event.DATA, offset, data)
        offset += len(data)


def read_bz2(file: BinaryIO, start: int) -> Iterator[StreamPiece]:
    """Yields the unpacked bytes of the blocks that begin at ``start`` or later, in order, to the end of the file.

    Damage raises no exception. It is reported by a :class:`StreamPiece`, and reading continues at the next block.

    In one very rare case, damage is reported although there is none. A block begins with a mark of 48 bits. By chance,
    the same bits can also occur inside a block (probability 2^-48 per bit). If reading starts inside such a block,
    before these bits, the bits are taken for the beginning of a block, and this block cannot be unpacked.
    """
    found = regions(file, max(0, start - HEADER_BYTES))
    coming = deque[Region]()
    while True:
        if not coming:
            coming.extend(islice(found, 1))
        if not coming:
            return
        region = coming.popleft()
        if region.offset < start:
            continue
        if region.kind is not Kind.BLOCK:
            yield from _between(region, is_start=start == 0)
            continue
        try:
            if region.is_last:
                data, num_used = unpack_last(region), 0
            else:
                data, num_used = _unpacked(region, coming, found)
        except OSError as error:
            yield StreamPiece(Event.DAMAGED, region.offset, detail=str(error))
            continue
        for _ in range(num_used):
            coming.popleft()
        for at in range(0, len(data), READ_BYTES):
            yield StreamPiece(Event.DATA, region.offset, data[at : at + READ_BYTES])
        if region.is_last:
            yield _truncated(region)


def _unpacked(region: Region, coming: deque[Region], found: Iterator[Region]) -> tuple[bytes, int]:
    try:
        return unpack_block(region)
    except OSError:
        coming.extend(islice(found, MAX_FALSE_MARKS - len(coming)))
        return unpack_block(region, list(coming))


def _between(region: Region, *, is_start: bool) -> Iterator[StreamPiece]:
    """Yields a fault if some bytes belong to no bzip2 stream. Such bytes can be before the first stream, or between two
    streams.
    """
    if region.kind is Kind.HEAD and not is_start:
        return
    if region.is_last and region.kind is Kind.END and not is_whole_end(region):
        yield _truncated(region)
        return
    fault = fault_behind(region)
    if fault:
        yield StreamPiece(Event.GAP, region.offset, detail=fault, location=behind_end(region))


def _truncated(region: Region) -> StreamPiece:
    return StreamPiece(
        Event.TRUNCATED, region.offset, detail=f"the file ends at byte {(region.bit + region.num_bits) // 8}"
    )
