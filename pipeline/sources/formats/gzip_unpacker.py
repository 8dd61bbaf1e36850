"""Unpacks gzip members with isal, which is about twice as fast as zlib, or with zlib.

If a header has several optional fields and ends in a later piece of the file, isal 1.9 may take a part of the header
for packed data. It also does not refuse reserved flags. So isal is used only for the two headers that programs usually
write: without optional fields, and with the name of the file. One difference remains: isal accepts a block with an
incomplete set of distance codes, which zlib refuses. The checksum of such a member is tested too.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple

from isal import isal_zlib

GZIP_ERRORS: tuple[type[Exception], ...] = (zlib.error, isal_zlib.error)
"""The errors of both libraries about damaged data."""
GZIP_WBITS = 31
PIECE_BYTES = 1 << 18
"""The number of bytes that are read from a file at once."""
_MAX_OUT_BYTES = 1 << 20
_FLAGS = slice(3, 4)
_FOR_ISAL = (b"\0", b"\x08")
"""The flags of a header without optional fields, and of one with only the name of the file."""


def is_for_isal(head: bytes) -> bool:
    r"""True if isal can unpack a gzip member. ``head`` are the first bytes of the member, as far as they were read.

    >>> is_for_isal(b"\x1f\x8b\x08\x08name\0"), is_for_isal(b"\x1f\x8b\x08\x0c"), is_for_isal(b"\x1f\x8b\x08")
    (True, False, False)
    """
    return head[_FLAGS] in _FOR_ISAL


def new_unpacker(head: bytes) -> Any:
    """Returns an object with the method ``decompress`` for a gzip member that begins with the bytes ``head``.

    It raises one of :data:`GZIP_ERRORS` for damaged data.
    """
    return (isal_zlib if is_for_isal(head) else zlib).decompressobj(GZIP_WBITS)


class MemberEnd(NamedTuple):
    """Describes how a gzip member ended."""

    num_read: int
    """The number of bytes that were read from the file, from the member's first byte on."""
    unused: bytes = b""
    """The last of these bytes, if they come after the member."""
    reason: str = ""
    """Empty if the member is whole; otherwise ``truncated_gzip`` or ``damaged_gzip``."""
    detail: str = ""


def member_bytes(file: BinaryIO, start: int, held: bytes) -> Generator[bytes, None, MemberEnd]:
    """Yields the unpacked bytes of the gzip member at ``start``. ``held`` are its first bytes, which were already read.

    Isal unpacks most members, because it is faster than zlib. If it does not reach the end of a member, zlib unpacks
    the member again and decides what is wrong. The bytes that isal has unpacked are not yielded again.
    """
    unpacker, first = isal_zlib.decompressobj(GZIP_WBITS), held
    num_read = num_out = 0
    is_tried = is_for_isal(held)
    with suppress(isal_zlib.error):
        while is_tried and not unpacker.eof and (piece := held or file.read(PIECE_BYTES)):
            num_read, held = num_read + len(piece), b""
            while piece and not unpacker.eof:
                if out := unpacker.decompress(piece, _MAX_OUT_BYTES):
                    num_out += len(out)
                    yield out
                piece = unpacker.unconsumed_tail
    if unpacker.eof:
        return MemberEnd(num_read, unpacker.unused_data)
    if num_read > len(first):  # a store may answer each jump with a new request, so there is none without need
        file.seek(start)
        first = b""
    return (yield from _member_again(file, first, num_out))


def _member_again(file: BinaryIO, held: bytes, num_known: int) -> Generator[bytes, None, MemberEnd]:
    """Unpacks a gzip member with zlib. ``held`` are its first bytes, and the file is at the bytes after them. Yields
    the member's bytes without the first ``num_known`` bytes.
    """
    unpacker, num_read = zlib.decompressobj(GZIP_WBITS), 0
    while not unpacker.eof:
        piece, held = held or file.read(PIECE_BYTES), b""
        if not piece:
            with suppress(zlib.error):
                yield unpacker.flush()[num_known:]  # what did not fit into the last call's output
            return MemberEnd(num_read, reason="truncated_gzip")
        num_read += len(piece)
        while piece and not unpacker.eof:
            before = unpacker.copy()
            try:
                out, fault = unpacker.decompress(piece, _MAX_OUT_BYTES), ""
            except zlib.error as error:  # the output of the failed call is lost
                out, fault = _up_to_damage(before, piece), str(error)
            if num_known < len(out):
                yield out[num_known:]
            num_known = max(num_known - len(out), 0)
            if fault:
                return MemberEnd(num_read, reason="damaged_gzip", detail=fault)
            piece = unpacker.unconsumed_tail
    return MemberEnd(num_read, unpacker.unused_data)


def _up_to_damage(unpacker: zlib._Decompress, piece: bytes) -> bytes:
    """Returns the unpacked bytes of a piece of a gzip file up to the damage. They are at most ``_MAX_OUT_BYTES``,
    because zlib found the damage before it had unpacked more.
    """
    found = []
    with suppress(zlib.error):
        for at in range(len(piece)):  # a failed call loses its output, so the bytes before the damage come one by one
            found.append(unpacker.decompress(piece[at : at + 1]))
    return b"".join(found)
