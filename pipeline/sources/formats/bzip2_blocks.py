"""Unpacks each block of a bzip2 file separately. So reading can start anywhere, and damage affects only one block.

A bzip2 stream consists of a header of four bytes, blocks of at most 900 kB each, and an end mark. Each block begins
with a mark of 48 bits (the digits of pi) and the block's checksum. A mark can begin at any bit, not only at the first
bit of a byte.

This module searches for the marks. From the bits between two marks, it makes a stream with one block: it shifts the
bits so that they begin at a byte, and adds a header and an end mark. This stream can be unpacked, because a block does
not depend on earlier blocks.

The bits of a mark can also occur inside a block by chance, once in 2^48 bits. So if a block does not unpack, the mark
at its end may be a chance mark. Then the bits up to the following mark are added, and the longer block is unpacked.

The checksum of every block is tested. The checksum of the whole stream is not tested, for two reasons. It covers only
bytes that the blocks' checksums also cover. And it cannot be computed if reading starts in the middle.
"""

from __future__ import annotations

import bz2
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO

import numpy as np

HEADER_BYTES = 4
MAX_BLOCK_BYTES = 2_400_000
"""The largest stored block in bytes: 900,000 symbols of 20 bits each, and under 20 kB of tables. Usually a stored block
of text has 0.2 MB.
"""
MAX_UNPACKED_BYTES = 900_000 // 5 * 259
"""The largest unpacked block in bytes. Four equal bytes and a count, five bytes in all, can represent 259 bytes.
Usually an unpacked block of text has 0.9 MB.
"""
MAX_FALSE_MARKS = 2
"""If a block does not unpack, the mark at its end may be a chance mark (bits inside the block that look like a mark).
At most this many marks are skipped for this reason. If the block still does not unpack, it is damaged. The probability
of two chance marks is 2^-96.
"""
READ_BYTES = 256 << 10

_HEADER = re.compile(rb"BZh[1-9]")
_MARK_BITS = 48
_END_BITS = 80  # bits of an end mark and its checksum; zeros follow up to the next byte
_END_MARK = 0x177245385090
_WINDOW_BYTES = 7
"""If a mark does not begin at the first bit of a byte, its 48 bits are in this many bytes. Only the five bytes in the
middle contain nothing but bits of the mark. So the search looks for these five bytes.
"""


class Kind(Enum):
    """The kind of mark with which a region begins."""

    HEAD = 0
    """The region begins with no mark. It has the bits before the first mark."""
    BLOCK = 0x314159265359
    END = _END_MARK


_NEEDLES = tuple(
    (kind, shift, (kind.value << (8 - shift)).to_bytes(_WINDOW_BYTES, "big")[1:-1])
    for kind in (Kind.BLOCK, Kind.END)
    for shift in range(8)
)


@dataclass(frozen=True, slots=True)
class Region:
    """Holds a region of a bzip2 file: the bits from one mark to the next mark, or to the end of the file. A mark is the
    beginning of a block, or the end of a stream.
    """

    kind: Kind
    bit: int
    """The offset of the region in the stored file, in bits."""
    num_bits: int
    data: bytes
    """The stored bytes that contain the region. The region begins at bit ``bit % 8`` of the first byte."""
    is_first: bool = False
    """True if the header of a stream is directly before the region."""
    is_last: bool = False
    """True if the file ends with the region."""
    is_cut: bool = False
    """True if the region is longer than any block can be. Then ``data`` has only the beginning of the region."""

    @property
    def offset(self) -> int:
        """The byte offset of the region in the file. If the region is the first block of a stream, this is the offset
        of the stream.

        The offset does not depend on where the reading of the file began.
        """
        return self.bit // 8 - HEADER_BYTES * self.is_first


def regions(file: BinaryIO, start: int) -> Iterator[Region]:
    """Splits a file at the marks (the beginnings of blocks, and the ends of streams), and yields the regions between
    the marks. Begins at the byte ``start``. The first region (kind ``HEAD``) has the bits before the first mark.
    """
    cutter = RegionCutter(start)
    file.seek(start)
    while data := file.read(READ_BYTES):
        yield from cutter.feed(data)
    yield from cutter.finish()


class RegionCutter:
    """Splits the stored bytes of a bzip2 file into regions, at the marks. The caller feeds the bytes piece by piece.
    Only one region and one piece are in memory.
    """

    __slots__ = ("_at", "_bit", "_buffer", "_is_first", "_is_passing", "_kind")

    def __init__(self, start: int = 0) -> None:
        """Creates a cutter. The first byte that the caller feeds is at the offset ``start`` in the file."""
        self._buffer = bytearray()
        self._at = start  # the offset in the file of the buffer's first byte
        self._kind, self._bit, self._is_first = Kind.HEAD, start * 8, False
        self._is_passing = False  # True while skipping the rest of a region that is too long

    def feed(self, data: bytes) -> list[Region]:
        """Takes the next stored bytes of the file. Returns the regions that are complete now."""
        from_byte = max(0, len(self._buffer) - _WINDOW_BYTES + 1)
        self._buffer += data
        found = []
        for position, shift, kind in _marks(self._buffer, from_byte):
            bit = (self._at + position) * 8 + shift
            if not self._is_passing:
                found.append(self._region(bit))
            before = self._buffer[max(0, position - HEADER_BYTES) : position]
            self._is_first = shift == 0 and _HEADER.fullmatch(before) is not None
            self._kind, self._bit, self._is_passing = kind, bit, False
        held_from = self._bit // 8 - self._at
        if self._is_passing or len(self._buffer) - held_from > MAX_BLOCK_BYTES:
            if not self._is_passing:
                found.append(self._region((self._at + len(self._buffer)) * 8, is_cut=True))
            self._is_passing = True
            held_from = max(0, len(self._buffer) - HEADER_BYTES - _WINDOW_BYTES)
        del self._buffer[:held_from]
        self._at += held_from
        return found

    def finish(self) -> list[Region]:
        """Returns the last region. The caller uses this method at the end of the file."""
        end = (self._at + len(self._buffer)) * 8
        return [] if self._is_passing or end <= self._bit else [self._region(end, is_last=True)]

    def _region(self, end: int, *, is_last: bool = False, is_cut: bool = False) -> Region:
        data = bytes(self._buffer[self._bit // 8 - self._at : -(-end // 8) - self._at])
        return Region(self._kind, self._bit, end - self._bit, data, self._is_first, is_last, is_cut)


def _marks(buffer: bytearray, from_byte: int) -> list[tuple[int, int, Kind]]:
    """Returns (byte, bit in the byte, kind) of the marks that begin at ``from_byte`` or later, in order."""
    found = []
    for kind, shift, needle in _NEEDLES:
        at = buffer.find(needle, from_byte + 1)
        while at >= 0:
            window = buffer[at - 1 : at - 1 + _WINDOW_BYTES]
            if len(window) == _WINDOW_BYTES:
                bits = int.from_bytes(window, "big") >> (8 - shift)
                if bits & ((1 << _MARK_BITS) - 1) == kind.value:
                    found.append((at - 1, shift, kind))
            at = buffer.find(needle, at + 1)
    return sorted(found, key=lambda mark: mark[:2])


def fault_behind(region: Region) -> str:
    """Returns a message about bytes in a region that belong to no bzip2 stream; an empty string if there are no such
    bytes. They can be before the first stream, between two streams, or at the end of the file.

    In the examples, ``BZh9`` is the header of a stream, and ``x`` belongs to no stream.

    >>> fault_behind(Region(Kind.HEAD, 0, 32, b"BZh9")), fault_behind(Region(Kind.HEAD, 0, 40, b"xBZh9"))
    ('', '1 bytes that are no bz2 stream')
    """
    if region.is_cut:
        return f"over {MAX_BLOCK_BYTES} bytes that are no bz2 stream"
    num_used = 0 if region.kind is Kind.HEAD else -(-(region.bit % 8 + _END_BITS) // 8)
    rest = region.data[num_used:]
    if region.is_last:
        return f"{len(rest)} bytes at the file's end that are no bz2 stream" if rest else ""
    ends_at_byte = (region.bit + region.num_bits) % 8 == 0
    if ends_at_byte and _HEADER.fullmatch(rest[-HEADER_BYTES:]):
        num_strays = len(rest) - HEADER_BYTES
        return f"{num_strays} bytes that are no bz2 stream" if num_strays else ""
    return f"{len(rest)} bytes that are no bz2 stream"


def behind_end(region: Region) -> int:
    """Returns the offset in the file at which the bytes after a stream begin.

    A region of the kind ``END`` begins with the end mark of a stream and a checksum. For such a region, returns the
    offset of the first byte after the checksum. A region of the kind ``HEAD`` comes after no stream. For such a region,
    returns the offset of its first byte.
    """
    return region.bit // 8 if region.kind is Kind.HEAD else -(-(region.bit + _END_BITS) // 8)


def is_whole_end(region: Region) -> bool:
    """True if a region of the kind ``END`` contains the whole checksum after the end mark. False if the file ends
    inside the checksum.
    """
    return region.num_bits >= _END_BITS


class BlockUnpacker:
    """Unpacks one block. :meth:`begin` returns the first bytes, and :meth:`rest` returns the remaining bytes."""

    __slots__ = ("_region", "_unpacker")

    def __init__(self, region: Region) -> None:
        self._region = region
        self._unpacker = bz2.BZ2Decompressor()

    def begin(self, max_bytes: int = MAX_UNPACKED_BYTES) -> bytes:
        """Returns the first bytes of the block, at most ``max_bytes``.

        Other threads can run meanwhile, because the interpreter's lock is released.

        Raises:
            OSError: the block is damaged.
        """
        data = self._unpacker.decompress(_as_stream(self._region), max_bytes)
        if not self._unpacker.eof and len(data) < max_bytes:
            raise OSError("the block does not end where the next begins")
        return data

    def rest(self) -> bytes:
        """Returns the bytes of the block that :meth:`begin` did not return. Usually there are none.

        Raises:
            OSError: the block is damaged.
        """
        if self._unpacker.eof:
            return b""
        data = self._unpacker.decompress(b"", MAX_UNPACKED_BYTES)
        if not self._unpacker.eof:
            raise OSError("the block does not end where the next begins")
        return data


def unpack_block(region: Region, following: Sequence[Region] = ()) -> tuple[bytes, int]:
    """Unpacks a block. Returns its bytes, and the number of regions in ``following`` that belong to the block. This
    number is nearly always 0. It is larger if bits inside the block look like a mark by chance.

    Raises:
        OSError: the block is damaged.
    """
    fault = None
    for num_joined in range(min(len(following), MAX_FALSE_MARKS) + 1):
        if num_joined:
            region = _joined(region, following[num_joined - 1])
        if region.is_cut or region.is_last or len(region.data) > MAX_BLOCK_BYTES:
            break
        unpacker = BlockUnpacker(region)
        try:
            return unpacker.begin() + unpacker.rest(), num_joined
        except OSError as error:
            fault = fault or error
    raise fault or OSError(f"a block of over {MAX_BLOCK_BYTES} bytes")


def unpack_last(region: Region) -> bytes:
    """Unpacks a block that has no mark after it, because the file ends there. If the block is incomplete, returns no
    bytes.

    Raises:
        OSError: the block is damaged.
    """
    return bz2.BZ2Decompressor().decompress(b"BZh9" + _shifted(region)[: region.num_bits // 8], MAX_UNPACKED_BYTES)


def _joined(first: Region, second: Region) -> Region:
    data = first.data[: second.bit // 8 - first.bit // 8] + second.data
    return Region(
        first.kind, first.bit, first.num_bits + second.num_bits, data, first.is_first, second.is_last, second.is_cut
    )


def _shifted(region: Region) -> bytes:
    """Returns the bits of the region, shifted so that they begin at the first bit of a byte.

    The last byte can also contain bits that come after the region.
    """
    shift = np.uint8(region.bit % 8)
    if not shift:
        return region.data
    stored = np.frombuffer(region.data, np.uint8)
    out = stored << shift
    out[:-1] |= stored[1:] >> np.uint8(8 - shift)
    return out.tobytes()


def _as_stream(region: Region) -> bytes:
    """Makes a bzip2 stream that contains only the block in a region. The checksum of a stream with one block equals the
    block's checksum.
    """
    data = _shifted(region)
    num_whole, num_over = divmod(region.num_bits, 8)
    over = data[num_whole] >> (8 - num_over) if num_over else 0
    tail = (over << _END_BITS) | (_END_MARK << 32) | int.from_bytes(data[6:10], "big")
    num_bits = num_over + _END_BITS
    tail <<= -num_bits % 8
    return b"".join((b"BZh9", data[:num_whole], tail.to_bytes(-(-num_bits // 8), "big")))
