"""Provides unpackers for py7zr that return at most the requested number of bytes.

py7zr's own unpackers for zstd, deflate and deflate64 ignore the requested number. So 1 MB of an archive could unpack to
32 GB in memory. py7zr's unpacker for brotli fails if there are more bytes than requested. The unpackers in this module
return only the requested number of bytes, and keep the remaining packed bytes for the next call.
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

import brotli  # type: ignore[import-untyped]
from py7zr.compressor import BrotliDecompressor, Deflate64Decompressor, DeflateDecompressor, ZstdDecompressor

_SLICE_BYTES = 16 << 10
"""The number of packed bytes fed to the codec per call. With deflate64 this many bytes unpack to at most about 16
MB.
"""


class Unpacker(Protocol):
    """Defines the interface of py7zr's decompressors."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Takes packed bytes and returns at most ``max_length`` unpacked bytes (no limit if negative).

        ``data`` is empty if there are no more packed bytes.
        """


def bounded(unpacker: Any) -> Unpacker:
    """Returns an unpacker that never returns more than ``max_length`` bytes per call.

    This is the given unpacker, or a replacement if the given unpacker ignores ``max_length``. The given unpacker must
    not have been used yet.
    """
    if isinstance(unpacker, ZstdDecompressor):
        return _Zstd(type(unpacker.decompressor))
    if isinstance(unpacker, BrotliDecompressor):
        return _Brotli()
    if isinstance(unpacker, DeflateDecompressor):
        return _Deflate()
    if isinstance(unpacker, Deflate64Decompressor):
        return _Deflate64(unpacker)
    kept: Unpacker = unpacker
    return kept


class _Zstd:
    def __init__(self, factory: Any) -> None:
        self._factory = factory
        self._inner = factory()

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if self._inner.eof:  # a frame has ended, another may follow
            data = self._inner.unused_data + data
            if not data:
                return b""
            self._inner = self._factory()
        out: bytes = self._inner.decompress(bytes(data), max_length)
        return out


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._waiting = b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        self._waiting += bytes(data)
        fed = b""
        if self._inner.can_accept_more_data():
            fed, self._waiting = self._waiting, b""
        out: bytes = self._inner.process(fed, output_buffer_limit=max_length)
        return out


class _Deflate:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(-15)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + bytes(data), max(max_length, 0))


class _Deflate64:
    def __init__(self, inner: Unpacker) -> None:
        self._inner = inner
        self._waiting = bytearray()
        self._out = bytearray()
        self._is_flushed = False

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        self._waiting += data
        if not data and not self._waiting and not self._is_flushed:
            self._is_flushed = True
            self._out += self._inner.decompress(b"")
        while self._waiting and (max_length < 0 or len(self._out) < max_length):
            self._out += self._inner.decompress(bytes(self._waiting[:_SLICE_BYTES]))
            del self._waiting[:_SLICE_BYTES]
        size = len(self._out) if max_length < 0 else max_length
        out = bytes(self._out[:size])
        del self._out[:size]
        return out
