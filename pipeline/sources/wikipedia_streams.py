"""A dump's bytes, unpacked: bz2 stream by stream from any place in the file, or plain XML from any place.

A multistream dump is many bz2 streams one behind another. Each begins at a byte with ``BZh1``..``BZh9`` and the
first block's magic (the digits of pi), so reading can start anywhere: at the next stream. What cannot be unpacked
is told with its place, and reading goes on at the next stream.
"""

from __future__ import annotations

import bz2
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO

STREAM_START = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
"""The second form is a stream without a block: of nothing."""
STREAM_START_BYTES = 10
BLOCK_BYTES = 900_000
"""A bz2 block holds so much at most (before runs of equal bytes are unfolded). Its checksum comes after it."""
_READ_BYTES = 256 << 10
_PIECE_BYTES = 4 << 10
"""Unpacked at a time: what a call had unpacked before it failed is lost with it. Costs 2 % against 1 MiB."""


class Event(Enum):
    """What a piece tells beside its bytes."""

    DATA = "data"
    STREAM_END = "stream_end"
    """The stream ended as it should: all its checksums are right."""
    DAMAGED = "damaged"
    """The stream could not be read further; what comes next is out of another stream."""
    GAP = "gap"
    """Bytes that belong to no stream: a stream whose beginning is destroyed, or something else."""
    TRUNCATED = "truncated"
    """The file ended inside the stream; its whole blocks were given, and their checksums are right."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a dump, or the end of a stream."""

    event: Event
    offset: int
    """In the stored file: of the stream that the bytes come from, or (plain XML) of the bytes themselves."""
    data: bytes = b""
    detail: str = ""


def read_plain(file: BinaryIO, start: int) -> Iterator[Piece]:
    """The bytes of an unpacked file from ``start`` on."""
    file.seek(start)
    offset = start
    while data := file.read(_READ_BYTES):
        yield Piece(Event.DATA, offset, data)
        offset += len(data)


def read_bz2(file: BinaryIO, start: int) -> Iterator[Piece]:
    """Unpacks the streams that begin at ``start`` or behind it, in order, to the end of the file.

    Never raises on what the file holds: damage becomes a piece, and the next stream is looked for behind the damaged
    one's first bytes.
    """
    expected = start if start == 0 else None
    offset = find_stream(file, start)
    while offset is not None:
        if expected is not None and offset > expected:
            yield Piece(Event.GAP, expected, detail=f"{offset - expected} bytes that are no bz2 stream")
        file.seek(offset)
        is_whole, behind = yield from _read_stream(file, offset)
        expected = behind if is_whole else None
        offset = find_stream(file, behind)
    if expected is not None:
        file.seek(expected)
        if file.read(1):
            yield Piece(Event.GAP, expected, detail="bytes at the file's end that are no bz2 stream")


def _read_stream(file: BinaryIO, offset: int) -> Generator[Piece, None, tuple[bool, int]]:
    """Unpacks one stream; returns whether it was whole, and from where the next is to be looked for."""
    unpacker = bz2.BZ2Decompressor()
    position = offset
    try:
        while not unpacker.eof:
            packed = b""
            if unpacker.needs_input:
                packed = file.read(_READ_BYTES)
                position += len(packed)
                if not packed:
                    yield Piece(Event.TRUNCATED, offset, detail=f"the file ends at byte {position}")
                    return False, position
            data = unpacker.decompress(packed, _PIECE_BYTES)
            if data:
                yield Piece(Event.DATA, offset, data)
    except OSError as error:
        yield Piece(Event.DAMAGED, offset, detail=str(error))
        return False, offset + STREAM_START_BYTES
    yield Piece(Event.STREAM_END, offset)
    return True, position - len(unpacker.unused_data)


def find_stream(file: BinaryIO, start: int, end: int | None = None) -> int | None:
    """Where the first bz2 stream begins at ``start`` or behind it (before ``end``), or None."""
    file.seek(start)
    position, tail = start, b""
    while data := file.read(_READ_BYTES):
        window = tail + data
        match = STREAM_START.search(window)
        if match:
            found = position - len(tail) + match.start()
            return found if end is None or found < end else None
        position += len(data)
        tail = window[1 - STREAM_START_BYTES :]
        if end is not None and position - len(tail) >= end:
            return None
    return None


def is_multistream(file: BinaryIO, within_bytes: int) -> bool:
    """Whether a second stream begins in the first ``within_bytes``: a multistream dump's first is its header."""
    first = find_stream(file, 0, 1)
    return first is not None and find_stream(file, STREAM_START_BYTES, within_bytes) is not None
