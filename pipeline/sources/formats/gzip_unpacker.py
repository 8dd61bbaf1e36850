"""Chooses the library that unpacks a gzip member: isal, which is about twice as fast as zlib, or zlib.

If a header has several optional fields and ends in a later piece of the file, isal 1.9 may take a part of the header
for packed data. It also does not refuse reserved flags. So isal is used only for the two headers that programs usually
write: without optional fields, and with the name of the file. One difference remains: isal accepts a block with an
incomplete set of distance codes, which zlib refuses. The checksum of such a member is tested too.
"""

from __future__ import annotations

import zlib
from typing import Any

from isal import isal_zlib

GZIP_ERRORS: tuple[type[Exception], ...] = (zlib.error, isal_zlib.error)
"""The errors of both libraries about damaged data."""
GZIP_WBITS = 31
_FLAGS = slice(3, 4)
_HAS_NAME = b"\x08"
_HEADER_BYTES = 10


def is_for_isal(head: bytes) -> bool:
    r"""True if isal can unpack a gzip member. ``head`` are the first bytes of the member, as far as they were read.

    >>> header = b"\x1f\x8b\x08" + bytes(7)
    >>> is_for_isal(header), is_for_isal(header[:9]), is_for_isal(b"\x1f\x8b\x08\x0c" + bytes(6) + b"name\0")
    (True, False, False)
    """
    flags = head[_FLAGS]
    if flags == _HAS_NAME:  # the name ends with a zero byte
        return head.find(b"\0", _HEADER_BYTES) >= 0
    return flags == b"\0" and len(head) >= _HEADER_BYTES


def new_unpacker(head: bytes) -> Any:
    """Returns an object with the method ``decompress`` for a gzip member that begins with the bytes ``head``.

    It raises one of :data:`GZIP_ERRORS` for damaged data.
    """
    return (isal_zlib if is_for_isal(head) else zlib).decompressobj(GZIP_WBITS)
