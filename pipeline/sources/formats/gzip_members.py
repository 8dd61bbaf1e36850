"""Reads gzip files member by member, and continues after a member that is damaged or truncated.

A gzip file can consist of several members, which can be unpacked separately. CommonCrawl stores each record in its own
member. Common readers stop at the first damaged member, or return a part of its record. This reader returns the data of
a member only if its checksum is right. It reports damaged members and continues after them. To find the next member
after damage, it searches for a gzip header, and checks that the data after this header unpack to the expected first
bytes (such as ``WARC/``).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from isal import isal_zlib

from pipeline.sources.formats.gzip_unpacker import GZIP_WBITS

MAGIC = b"\x1f\x8b\x08"
_BLOCK_BYTES = 1 << 20
_PIECE_BYTES = 1 << 14
"""The number of bytes fed to zlib per call, about the size of a small member. More bytes would be slower: at the end of
a member, zlib copies all bytes that it did not use.
"""
_STREAM_PIECE_BYTES = 1 << 18
_PROBE_BYTES = 4096
_MAX_OVERLAPPING_TRIES = 64
"""After damage, the next member is searched for. A damaged member may be found inside bytes that were unpacked before,
and these bytes are unpacked again. This may happen at most this many times in a row (our choice). Then the search goes
on after these bytes. The limit keeps the time linear for crafted files.
"""


class StoredBytes:
    """Reads a stored file at any offset. One block is cached, so reading is fast if the offsets increase."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._block = b""
        self._block_start = 0
        self._file_pos: int | None = None

    def read_at(self, offset: int, num_bytes: int) -> bytes:
        """Returns some bytes from ``offset`` on, at most ``num_bytes``. The result is empty only at the end of the
        file.
        """
        at = offset - self._block_start
        if at < 0 or at >= len(self._block):
            if self._file_pos != offset:
                self._file.seek(offset)
            self._block = self._file.read(_BLOCK_BYTES)
            self._block_start = offset
            self._file_pos = offset + len(self._block)
            at = 0
        return self._block[at : at + num_bytes]

    def read_across(self, offset: int, num_bytes: int) -> bytes:
        """Returns exactly ``num_bytes`` stored bytes from ``offset`` on, across blocks. The result is shorter only at
        the end of the stored file.
        """
        pieces: list[bytes] = []
        while num_bytes and (piece := self.read_at(offset, num_bytes)):
            pieces.append(piece)
            offset += len(piece)
            num_bytes -= len(piece)
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class GzipMember:
    """Describes a gzip member. If ``is_gap`` is True, it describes bytes that belong to no readable member."""

    start: int
    end: int
    data: bytes | None
    """The unpacked bytes; None if the member is damaged or too large. Then :class:`UnpackedChunks` can read it piece by
    piece.
    """
    fault: str = ""
    """``truncated_gzip`` (the file ends inside the member), ``damaged_gzip`` (wrong data or checksum), or empty."""
    is_gap: bool = False


def gzip_members(stored: StoredBytes, *, max_bytes: int, starts_with: bytes) -> Iterator[GzipMember]:
    """Yields every member in order, including damaged members.

    Args:
        stored: the file.
        max_bytes: the largest number of unpacked bytes to hold in memory. If a member is larger, its ``data`` is None,
            but its checksum is tested.
        starts_with: the bytes with which every unpacked member begins. After damage the next member is recognised by
            these bytes.
    """
    offset, high, num_overlapping = 0, 0, 0
    while stored.read_at(offset, 1):
        head = stored.read_across(offset, len(MAGIC))
        if head != MAGIC:
            after = _next_member(stored, offset + 1, starts_with)
            fault = "truncated_gzip" if MAGIC.startswith(head) else "damaged_gzip"
            yield GzipMember(offset, after, None, fault, is_gap=True)
            offset = after
            continue
        member = _unpack(stored, offset, max_bytes)
        if not member.fault:
            yield member
            offset = member.end
            continue
        num_overlapping = num_overlapping + 1 if offset < high else 0
        high = max(high, member.end)
        search_from = high if num_overlapping > _MAX_OVERLAPPING_TRIES else offset + 1
        after = _next_member(stored, search_from, starts_with)
        # Damage can hide the end of a member, so that the file seems to end inside it.
        fault = member.fault if not stored.read_at(after, 1) else "damaged_gzip"
        yield GzipMember(offset, after, None, fault)
        offset = after


class UnpackedChunks:
    """Yields the unpacked bytes of one gzip member piece by piece. The member begins at the offset ``start``. Stops at
    the end of the member, at the first damaged byte, or at the end of the file.
    """

    def __init__(self, stored: StoredBytes, start: int) -> None:
        self._stored = stored
        self.offset = start
        """The offset of the first stored byte that was not used yet."""

    def __iter__(self) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(GZIP_WBITS)
        while not unpacker.eof:
            piece = self._stored.read_at(self.offset, _STREAM_PIECE_BYTES)
            if not piece:
                return
            while piece and not unpacker.eof:
                before = unpacker.copy()
                try:
                    out = unpacker.decompress(piece, _BLOCK_BYTES)
                except zlib.error:  # the output of the failed call is lost, so the piece is unpacked again byte by byte
                    yield from self._byte_by_byte(before, piece)
                    return
                self.offset += len(piece) - len(unpacker.unconsumed_tail) - len(unpacker.unused_data)
                piece = unpacker.unconsumed_tail
                if out:
                    yield out

    def _byte_by_byte(self, unpacker: zlib._Decompress, piece: bytes) -> Iterator[bytes]:
        try:
            for at in range(len(piece)):
                self.offset += 1
                out = unpacker.decompress(piece[at : at + 1])
                if out:
                    yield out
        except zlib.error:
            return


def _unpack(stored: StoredBytes, start: int, max_bytes: int) -> GzipMember:
    """Unpacks a whole member and tests its checksum. Keeps its data unless it has more than ``max_bytes``."""
    member = _unpack_with(isal_zlib, stored, start, max_bytes)
    if member.fault:  # zlib decides which members are damaged
        return _unpack_with(zlib, stored, start, max_bytes)
    return member


def _unpack_with(library: Any, stored: StoredBytes, start: int, max_bytes: int) -> GzipMember:
    unpacker = library.decompressobj(GZIP_WBITS)
    offset, num_bytes = start, 0
    chunks: list[bytes] = []
    while not unpacker.eof:
        piece = stored.read_at(offset, _PIECE_BYTES)
        if not piece:
            return GzipMember(start, offset, None, "truncated_gzip")
        offset += len(piece)
        while piece and not unpacker.eof:
            try:
                out = unpacker.decompress(piece, _BLOCK_BYTES)
            except library.error:
                return GzipMember(start, offset, None, "damaged_gzip")
            num_bytes += len(out)
            if num_bytes <= max_bytes:
                chunks.append(out)
            else:
                chunks.clear()
            piece = unpacker.unconsumed_tail
    data = b"".join(chunks) if num_bytes <= max_bytes else None
    return GzipMember(start, offset - len(unpacker.unused_data), data)


def _next_member(stored: StoredBytes, offset: int, starts_with: bytes) -> int:
    """Searches for the next member whose data begin with ``starts_with``. Returns the member's offset. If there is no
    such member, returns the end of the file.
    """
    while True:
        window = stored.read_across(offset, _BLOCK_BYTES)
        at = window.find(MAGIC)
        while at >= 0:
            if _begins(stored, offset + at, starts_with):
                return offset + at
            at = window.find(MAGIC, at + 1)
        if len(window) < _BLOCK_BYTES:
            return offset + len(window)
        offset += len(window) - len(MAGIC) + 1


def _begins(stored: StoredBytes, offset: int, starts_with: bytes) -> bool:
    head = stored.read_across(offset, _PROBE_BYTES)
    if not head.startswith(MAGIC) or head[3:4] > b"\x1f":  # reserved flags
        return False
    unpacker = zlib.decompressobj(GZIP_WBITS)
    try:
        return unpacker.decompress(head, len(starts_with)) == starts_with
    except zlib.error:
        return False
