"""Undoes the content codings of an HTTP body, such as gzip. If the header and the first bytes of the body disagree
about the coding, the bytes decide.

gzip, Zstandard and bzip2 data begin with a mark (a few fixed bytes) that no text contains. So they are unpacked even if
no header names the coding. deflate and brotli have no mark. So they are tried only if a header names them.

A body that is readable text is not changed, even if a header names a coding. Such headers have two causes. Some
crawlers unpack the body and keep the header. Some servers write words such as ``none``, ``UTF-8`` or ``binary`` into
the header.

No unpacker returns more than about ``max_bytes``.
"""

from __future__ import annotations

import bz2
import io
import re
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import zstandard


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MAX_CODINGS = 4
"""The largest number of codings that were applied to a body one after the other (our choice). Usually a body has one
coding.
"""
_MAX_WINDOW_BYTES = 8 << 20
"""The largest window of Zstandard for HTTP, 8 MB (RFC 9659)."""
_TEXT_BYTES = 512
"""To decide whether a body is text, its first bytes are checked for control characters. This is the number of these
bytes. Our choice: the probability that so many bytes of packed data contain no control character is 10^-25.
"""
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")
_NAMES = {"deflate": "deflate", "zlib": "deflate", "br": "br", "brotli": "br", "x-br": "br"}
_NONE = _words(
    "identity none null chunked gzip x-gzip zstd bzip2 x-bzip2 binary plain text text/html 7bit 8bit ascii "
    "us-ascii utf-8 utf8 iso-8859-1 windows-1252"
) | {""}
"""Names in headers that are ignored. Some of them are no content codings. The others are codings such as gzip, whose
data are recognised by their first bytes and not by the header.
"""

Unpack = Callable[[bytes, int], tuple[bytes, bool]]
"""A function that unpacks a body. It takes the body and ``max_bytes``. It returns at most ``max_bytes + 1`` bytes, and
True if the packed data were complete. It raises :class:`HttpError`.
"""


class HttpError(Exception):
    """Raised if a response cannot be read. ``reason`` is the drop reason."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def decoded_body(body: bytes, codings: str, *, max_bytes: int) -> bytes:
    """Returns an HTTP body after its content codings (such as gzip) are undone.

    Args:
        body: the body as it was sent, with the chunks already joined.
        codings: the names of the codings from the headers, separated by commas.
        max_bytes: the largest number of bytes that a body can have after a coding is undone.

    Raises:
        HttpError: the reason is ``http_body_too_large``; or ``bad_http_body`` if the body does not unpack or its coding
            is unknown.

    >>> decoded_body(b"<p>One</p>", "UTF-8", max_bytes=99), decoded_body(zlib.compress(b"<p>"), "deflate", max_bytes=99)
    (b'<p>One</p>', b'<p>')
    """
    names = [name.partition(";")[0].strip().lower() for name in codings.split(",")]
    left = [name for name in names if name not in _NONE]
    for _ in range(_MAX_CODINGS):
        unpack = _by_mark(body)
        if unpack is None:
            if not left or (_is_text(body) and len(body) >= _TEXT_BYTES):
                break
            body = _by_name(body, left.pop(), max_bytes)
            continue
        body, _is_whole = unpack(body, max_bytes)
        if len(body) > max_bytes:
            raise HttpError("http_body_too_large", f"unpacks to more than {max_bytes} bytes")
    return body


def _by_mark(body: bytes) -> Unpack | None:
    if body.startswith(_GZIP):
        return _gunzipped
    if body.startswith(_ZSTD):
        return _unzstd
    return _unbzip2 if _BZIP2.match(body) else None


def _by_name(body: bytes, name: str, max_bytes: int) -> bytes:
    """Unpacks a body by the coding that a header names. This is for codings whose data begin with no mark, such as
    deflate.

    If the body does not unpack, but is text, returns the body unchanged. If it is not text either, raises HttpError.
    """
    coding = _NAMES.get(name)
    try:
        if coding is None:
            raise HttpError("bad_http_body", f"content coding {name[:40]!r} is not known")
        unpacked, is_whole = (_inflated if coding == "deflate" else _unbrotlied)(body, max_bytes)
    except HttpError:
        if _is_text(body):
            return body
        raise
    if not is_whole and _is_text(body):
        return body
    if len(unpacked) > max_bytes:
        raise HttpError("http_body_too_large", f"unpacks to more than {max_bytes} bytes")
    return unpacked


def _is_text(body: bytes) -> bool:
    return body.startswith(_BOMS) or not _CONTROLS.search(body, 0, _TEXT_BYTES)


def _gunzipped(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """Unpacks all gzip members.

    Bytes after the last member are ignored. If a member is truncated, its readable part is returned.
    """
    pieces: list[bytes] = []
    num_bytes = 0
    rest = body
    while rest.startswith(_GZIP) and num_bytes <= max_bytes:
        unpacker = zlib.decompressobj(31)
        try:
            piece = unpacker.decompress(rest, max_bytes + 1 - num_bytes)
        except zlib.error as error:
            if not pieces:
                raise HttpError("bad_http_body", "does not inflate") from error
            break
        pieces.append(piece)
        num_bytes += len(piece)
        if not unpacker.eof:
            return b"".join(pieces), False
        rest = unpacker.unused_data.lstrip(b"\0")
    return b"".join(pieces), True


def _inflated(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """Unpacks deflate data. By the standard, the data begin with zlib's header. Some servers send them without this
    header.
    """
    for wbits in (15, -15):
        unpacker = zlib.decompressobj(wbits)
        try:
            return unpacker.decompress(body, max_bytes + 1), unpacker.eof and not unpacker.unused_data
        except zlib.error:
            continue
    raise HttpError("bad_http_body", "does not inflate")


def _unbrotlied(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    unpacker = brotli.Decompressor()
    pieces: list[bytes] = []
    num_bytes, rest = 0, body
    try:
        # A call returns only a piece, mostly of 32 kB. An empty piece means that all packed data were used.
        while num_bytes <= max_bytes and not unpacker.is_finished():
            piece = unpacker.process(rest, output_buffer_limit=max_bytes + 1 - num_bytes)
            if not piece and not rest:
                break
            pieces.append(piece)
            num_bytes, rest = num_bytes + len(piece), b""
    except brotli.error as error:
        raise HttpError("bad_http_body", "does not decode as brotli") from error
    return b"".join(pieces), unpacker.is_finished()


def _unzstd(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    num_bytes = 0
    library = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    with library.stream_reader(io.BytesIO(body), read_across_frames=True) as reader:
        try:
            while num_bytes <= max_bytes and (piece := reader.read(min(1 << 20, max_bytes + 1 - num_bytes))):
                pieces.append(piece)
                num_bytes += len(piece)
        except zstandard.ZstdError as error:
            if not pieces:
                raise HttpError("bad_http_body", "does not decode as Zstandard") from error
    return b"".join(pieces), True


def _unbzip2(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    num_bytes = 0
    rest = body
    while _BZIP2.match(rest) and num_bytes <= max_bytes:
        unpacker = bz2.BZ2Decompressor()
        try:
            piece = unpacker.decompress(rest, max_bytes + 1 - num_bytes)
        except OSError as error:
            if not pieces:
                raise HttpError("bad_http_body", "does not decode as bzip2") from error
            break
        pieces.append(piece)
        num_bytes += len(piece)
        if not unpacker.eof:
            return b"".join(pieces), False
        rest = unpacker.unused_data
    return b"".join(pieces), True
