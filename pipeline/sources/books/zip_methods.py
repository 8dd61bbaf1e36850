"""Unpacks a member of a zip by its compression method. Never returns more than a given number of bytes.

Python's ``zipfile`` has such a limit only for deflate. Without a limit, 2 kB of bzip2 can unpack to 6 GB.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from typing import IO, Protocol

_READ_BYTES = 64 << 10
_MAX_DICTIONARY_BYTES = 256 << 20
"""The largest LZMA dictionary in bytes. The dictionary is held in memory. Our choice: at its strongest level, 7-Zip
uses a dictionary of 64 MB.
"""
_NAMES = {1: "shrink", 6: "implode", 9: "deflate64", 93: "zstd", 95: "xz", 98: "ppmd"}


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool:
        """True after the end of the packed data."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Takes packed bytes. Returns at most ``max_length`` unpacked bytes."""


class _Deflate:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(-15)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def unpacked_member(packed: IO[bytes], method: int, max_bytes: int) -> bytes:
    """Unpacks a member of a zip. Returns the first ``max_bytes`` bytes of the unpacked data, or all data if it is
    shorter.

    Raises:
        NotImplementedError: the compression method is not supported. Supported are stored, deflate, bzip2 and LZMA.
        EOFError: data that is packed with deflate or bzip2 is truncated.
    """
    if method == zipfile.ZIP_STORED:
        return packed.read(max_bytes)
    unpacker = _unpacker(packed, method)
    pieces: list[bytes] = []
    num_left = max_bytes
    while num_left > 0 and not unpacker.eof:
        data = packed.read(_READ_BYTES)
        piece = unpacker.decompress(data, num_left)
        if not data and not piece:
            if method == zipfile.ZIP_LZMA:  # the end mark of LZMA is optional; the caller checks size and checksum
                break
            raise EOFError("the data ends before its end mark")
        pieces.append(piece)
        num_left -= len(piece)
    return b"".join(pieces)


def _unpacker(packed: IO[bytes], method: int) -> _Unpacker:
    if method == zipfile.ZIP_DEFLATED:
        return _Deflate()
    if method == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor()
    if method == zipfile.ZIP_LZMA:
        return _lzma(packed)
    raise NotImplementedError(f"compression method {method} ({_NAMES.get(method, 'unknown')}) is not read")


def _lzma(packed: IO[bytes]) -> lzma.LZMADecompressor:
    """Returns an unpacker for a member that is packed with LZMA. Reads the parameters of the compression, which are
    stored before the packed data (APPNOTE.TXT, 5.8.8).
    """
    head = packed.read(4)
    size = struct.unpack("<H", head[2:4])[0] if len(head) == 4 else 0
    properties = packed.read(size)
    if size < 5 or len(properties) < size:
        raise lzma.LZMAError("no properties of LZMA")
    packed_values, dictionary_bytes = struct.unpack("<BI", properties[:5])
    if packed_values >= 9 * 5 * 5 or dictionary_bytes > _MAX_DICTIONARY_BYTES:
        raise lzma.LZMAError("properties that are not LZMA's, or a dictionary that is too large")
    filters = [
        {
            "id": lzma.FILTER_LZMA1,
            "dict_size": max(dictionary_bytes, 4_096),
            "lc": packed_values % 9,
            "lp": packed_values // 9 % 5,
            "pb": packed_values // 45,
        }
    ]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
