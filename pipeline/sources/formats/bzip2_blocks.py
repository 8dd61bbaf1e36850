"""The blocks of a bzip2 file, each unpacked alone: a file can be entered anywhere, and damage costs a block.

A bzip2 stream is a header of four bytes, blocks of at most 900 kB each, and an end mark. A block begins with a mark of
48 bits (the digits of pi) and its checksum, at any bit; nothing in it depends on another block. So a block is what
stands between two marks, shifted to a byte, with a header before it and an end mark behind it. The marks are found by
search: in a block's own bits one stands by chance once in 2^48, and a block that does not unpack is tried again
together with what follows such a mark.

Every block's own checksum is tested. That of a whole stream, which says nothing more of any byte, is not: who enters a
stream in its middle could not.
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
"""Of a block as stored, at most: 900,000 symbols of 20 bits each, and under 20 kB of tables. Of text it is 0.2 MB."""
MAX_UNPACKED_BYTES = 900_000 // 5 * 259
"""Out of one block, at most: four equal bytes and a count stand for 259. Of text it is 0.9 MB."""
MAX_FALSE_MARKS = 2
"""So many marks in a row are taken for chance before a block is given up: odds of 2^-96."""
READ_BYTES = 256 << 10

_HEADER = re.compile(rb"BZh[1-9]")
_MARK_BITS = 48
_END_BITS = 80  # an end mark and the checksum behind it; zeros follow up to the next byte
_END_MARK = 0x177245385090
_WINDOW_BYTES = 7
"""A mark fills so many bytes unless it begins at a byte; the five in the middle are the same for each bit it can begin
at, and are what is searched for."""


class Kind(Enum):
    """What a region begins with."""

    HEAD = 0
    """No mark: it is what stands before the first."""
    BLOCK = 0x314159265359
    END = _END_MARK


_NEEDLES = tuple(
    (kind, shift, (kind.value << (8 - shift)).to_bytes(_WINDOW_BYTES, "big")[1:-1])
    for kind in (Kind.BLOCK, Kind.END)
    for shift in range(8)
)


@dataclass(frozen=True, slots=True)
class Region:
    """The bits from one mark to the next, or to the file's end."""

    kind: Kind
    bit: int
    """Where it begins in the stored file."""
    num_bits: int
    data: bytes
    """The stored bytes that hold it: it begins at bit ``bit % 8`` of the first."""
    is_first: bool = False
    """A stream's header stands right before it."""
    is_last: bool = False
    """The file ends with it."""
    is_cut: bool = False
    """No mark was met for longer than a block can be: ``data`` is only its beginning."""

    @property
    def offset(self) -> int:
        """The byte at which it begins; of the first of a stream, the stream's. It follows from the bytes there alone:
        whoever meets this region, from wherever the reading began, says the same."""
        return self.bit // 8 - HEADER_BYTES * self.is_first


def regions(file: BinaryIO, start: int) -> Iterator[Region]:
    """The regions of a file from a byte on; the first is what stands before the first mark (a ``HEAD``)."""
    cutter = RegionCutter(start)
    file.seek(start)
    while data := file.read(READ_BYTES):
        yield from cutter.feed(data)
    yield from cutter.finish()


class RegionCutter:
    """Cuts stored bytes, which are fed piece by piece, at marks. Holds one region and a piece."""

    __slots__ = ("_at", "_bit", "_buffer", "_is_first", "_is_passing", "_kind")

    def __init__(self, start: int = 0) -> None:
        """``start``: the byte of the file that is fed first."""
        self._buffer = bytearray()
        self._at = start  # of the buffer's first byte in the file
        self._kind, self._bit, self._is_first = Kind.HEAD, start * 8, False
        self._is_passing = False  # over the rest of a region that was cut

    def feed(self, data: bytes) -> list[Region]:
        """Returns the regions whose ends were met."""
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
        """Returns the last region: the file ended."""
        end = (self._at + len(self._buffer)) * 8
        return [] if self._is_passing or end <= self._bit else [self._region(end, is_last=True)]

    def _region(self, end: int, *, is_last: bool = False, is_cut: bool = False) -> Region:
        data = bytes(self._buffer[self._bit // 8 - self._at : -(-end // 8) - self._at])
        return Region(self._kind, self._bit, end - self._bit, data, self._is_first, is_last, is_cut)


def _marks(buffer: bytearray, from_byte: int) -> list[tuple[int, int, Kind]]:
    """(byte, bit in it, kind) of the marks that begin at a byte or behind it, in order."""
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
    """What is wrong with what stands between the streams: nothing, if it is a header only (or the file's end).

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
    """The byte of the file that follows an end mark and its checksum; of a ``HEAD``, its first."""
    return region.bit // 8 if region.kind is Kind.HEAD else -(-(region.bit + _END_BITS) // 8)


def is_whole_end(region: Region) -> bool:
    """Whether the end mark has its checksum; if not, the file ends in it."""
    return region.num_bits >= _END_BITS


class BlockUnpacker:
    """Unpacks one block, in one call or in two."""

    __slots__ = ("_region", "_unpacker")

    def __init__(self, region: Region) -> None:
        self._region = region
        self._unpacker = bz2.BZ2Decompressor()

    def begin(self, max_bytes: int = MAX_UNPACKED_BYTES) -> bytes:
        """Returns the block's bytes, or the first ``max_bytes``: then :meth:`rest` is to be asked for the others.

        Raises OSError if the block is damaged. Gives the interpreter's lock away while it works.
        """
        data = self._unpacker.decompress(_as_stream(self._region), max_bytes)
        if not self._unpacker.eof and len(data) < max_bytes:
            raise OSError("the block does not end where the next begins")
        return data

    def rest(self) -> bytes:
        """What :meth:`begin` left; nothing, mostly. Raises OSError if the block is damaged."""
        if self._unpacker.eof:
            return b""
        data = self._unpacker.decompress(b"", MAX_UNPACKED_BYTES)
        if not self._unpacker.eof:
            raise OSError("the block does not end where the next begins")
        return data


def unpack_block(region: Region, following: Sequence[Region] = ()) -> tuple[bytes, int]:
    """A block's bytes, its checksum tested, and how many of the ``following`` regions belong to it (by chance none).

    Raises:
        OSError: it is damaged.
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
    """What a block gives behind which the file ends without an end mark: all of it or nothing.

    Raises:
        OSError: it is damaged.
    """
    return bz2.BZ2Decompressor().decompress(b"BZh9" + _shifted(region)[: region.num_bits // 8], MAX_UNPACKED_BYTES)


def _joined(first: Region, second: Region) -> Region:
    data = first.data[: second.bit // 8 - first.bit // 8] + second.data
    return Region(
        first.kind, first.bit, first.num_bits + second.num_bits, data, first.is_first, second.is_last, second.is_cut
    )


def _shifted(region: Region) -> bytes:
    """The region's bits from the first bit of a byte on; the last byte may hold bits that follow it."""
    shift = np.uint8(region.bit % 8)
    if not shift:
        return region.data
    stored = np.frombuffer(region.data, np.uint8)
    out = stored << shift
    out[:-1] |= stored[1:] >> np.uint8(8 - shift)
    return out.tobytes()


def _as_stream(region: Region) -> bytes:
    """A stream of this block alone; its checksum is the block's."""
    data = _shifted(region)
    num_whole, num_over = divmod(region.num_bits, 8)
    over = data[num_whole] >> (8 - num_over) if num_over else 0
    tail = (over << _END_BITS) | (_END_MARK << 32) | int.from_bytes(data[6:10], "big")
    num_bits = num_over + _END_BITS
    tail <<= -num_bits % 8
    return b"".join((b"BZh9", data[:num_whole], tail.to_bytes(-(-num_bits // 8), "big")))
