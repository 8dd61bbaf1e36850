"""Converts Posts.xml from UTF-16 to UTF-8. The dumps of March and April 2024 are in UTF-16."""

from __future__ import annotations

import codecs
import io
from typing import BinaryIO

_HEADS = (
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    ("<".encode("utf-16-le"), "utf-16-le"),
    ("<".encode("utf-16-be"), "utf-16-be"),
)
HEAD_BYTES = 2
_READ_BYTES = 1 << 20


def utf16_codec(head: bytes) -> str | None:
    """Returns the UTF-16 codec of an XML file that begins with these bytes; None if they are not UTF-16."""
    return next((codec for start, codec in _HEADS if head.startswith(start)), None)


class Utf8Stream(io.RawIOBase):
    """Converts a stream in UTF-16 to UTF-8. The stream is read from start to end. All offsets are offsets in the UTF-8
    bytes.

    A lone surrogate becomes U+FFFD, and so does a single byte at the end. A stream that is not UTF-16 is not changed.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._decoder: codecs.IncrementalDecoder | None = None
        self._waiting = b""
        self._is_begun = False

    def read(self, size: int = -1) -> bytes:
        """Returns ``size`` bytes, or fewer at the end of the stream. If ``size`` is negative, returns all bytes."""
        pieces = [self._waiting]
        num_bytes = len(self._waiting)
        self._waiting = b""
        while (size < 0 or num_bytes < size) and (piece := self._next()):
            pieces.append(piece)
            num_bytes += len(piece)
        data = b"".join(pieces)
        if size >= 0:
            data, self._waiting = data[:size], data[size:]
        return data

    def _next(self) -> bytes:
        data = self._stream.read(_READ_BYTES)
        if not self._is_begun:
            self._is_begun = True
            codec = utf16_codec(data[:HEAD_BYTES])
            if codec is not None:
                self._decoder = codecs.getincrementaldecoder(codec)("replace")
        if self._decoder is None:
            return data
        text = self._decoder.decode(data, final=not data)
        while data and not text:  # only one byte of two, or half of a surrogate pair, was read
            data = self._stream.read(_READ_BYTES)
            text = self._decoder.decode(data, final=not data)
        return text.encode("utf-8")

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Does nothing. Accepts only a seek to the start, before the first read."""
        if offset or whence or self._is_begun:
            raise io.UnsupportedOperation("a stream that is converted is read front to back")
        return 0
