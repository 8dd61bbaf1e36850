"""The HTTP response inside a WARC record: its header read, its transfer and content coding undone.

Crawlers differ in what they store: CommonCrawl keeps the body unpacked, Wget and Heritrix as it came. Headers lie, so
a coding that the bytes do not have is taken for undone already.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import brotli  # type: ignore[import-untyped]

_MAX_CHUNK_LINE_BYTES = 1024
"""Ours: a chunk's size line holds a number; bounds the search for its end."""


class HttpError(Exception):
    """The response cannot be read; ``reason`` is a drop reason."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """``headers`` by lower-case name; ``body`` decoded."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_http_response(block: bytes, *, max_body_bytes: int) -> HttpResponse:
    """Parses a response as stored in a WARC record.

    Raises:
        HttpError: ``bad_http`` where there is no status line or header end, ``http_body_too_large`` where the
            body unpacks to more than ``max_body_bytes``, ``bad_http_body`` where it does not unpack.

    >>> head = b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
    >>> parse_http_response(head + b"2\\r\\nab\\r\\n0\\r\\n\\r\\n", max_body_bytes=9).body
    b'ab'
    """
    end = block.find(b"\r\n\r\n")
    bare_end = block.find(b"\n\n", 0, len(block) if end < 0 else end)
    head, body = (block[:bare_end], block[bare_end + 2 :]) if bare_end >= 0 else (block[:end], block[end + 4 :])
    if end < 0 and bare_end < 0:  # a response without a body may have no empty line
        head, body = block, b""
    lines = head.decode("latin-1").split("\n")
    status = lines[0].split()
    if (
        len(status) < 2
        or not status[0].upper().startswith("HTTP/")
        or not (status[1].isascii() and status[1].isdigit())
    ):
        raise HttpError("bad_http", f"{lines[0][:80]!r} is not a status line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:  # servers send lines that are no headers; browsers pass over them
            headers.setdefault(name.strip().lower(), value.strip())
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    codings = headers.get("content-encoding", "").lower()
    for coding in reversed([coding.strip() for coding in codings.split(",") if coding.strip()]):
        body = _decoded(body, coding, max_body_bytes)
    return HttpResponse(int(status[1][:9]), headers, body)


def _unchunked(body: bytes) -> bytes:
    """Joins chunks; a body that is not chunked comes back as it is, a cut one up to the cut."""
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        line_end = body.find(b"\r\n", at, at + _MAX_CHUNK_LINE_BYTES)
        size = body[at : max(line_end, at)].partition(b";")[0].strip()
        try:
            num_bytes = int(size, 16)
        except ValueError:
            num_bytes = -1
        if num_bytes < 0:
            return b"".join(pieces) + body[at:] if pieces else body
        if num_bytes == 0:
            break
        pieces.append(body[line_end + 2 : line_end + 2 + num_bytes])
        at = line_end + 2 + num_bytes
        at += 2 if body.startswith(b"\r\n", at) else 0
    return b"".join(pieces)


def _decoded(body: bytes, coding: str, max_body_bytes: int) -> bytes:
    if coding in ("gzip", "x-gzip"):
        return _inflated(body, (31,), max_body_bytes) if body.startswith(b"\x1f\x8b") else body
    if coding == "deflate":  # with zlib's frame as the standard says, or bare as some servers send it
        return _inflated(body, (15, -15), max_body_bytes)
    if coding == "br":
        return _unbrotlied(body, max_body_bytes)
    if coding == "identity":
        return body
    raise HttpError("bad_http_body", f"content coding {coding[:40]!r} is not known")


def _inflated(body: bytes, all_wbits: tuple[int, ...], max_body_bytes: int) -> bytes:
    for wbits in all_wbits:
        unpacker = zlib.decompressobj(wbits)
        try:
            out = unpacker.decompress(body, max_body_bytes + 1)
        except zlib.error:
            continue
        if len(out) > max_body_bytes:
            raise HttpError("http_body_too_large", f"unpacks to more than {max_body_bytes} bytes")
        return out
    if body.lstrip()[:1] == b"<":
        return body
    raise HttpError("bad_http_body", "does not inflate")


def _unbrotlied(body: bytes, max_body_bytes: int) -> bytes:
    unpacker = brotli.Decompressor()
    pieces: list[bytes] = []
    num_bytes = 0
    try:
        pieces.append(unpacker.process(body, output_buffer_limit=max_body_bytes + 1))
        num_bytes = len(pieces[-1])
        while num_bytes <= max_body_bytes and not unpacker.is_finished() and not unpacker.can_accept_more_data():
            pieces.append(unpacker.process(b"", output_buffer_limit=max_body_bytes + 1))
            num_bytes += len(pieces[-1])
    except brotli.error as error:
        if body.lstrip()[:1] == b"<":
            return body
        raise HttpError("bad_http_body", "does not decode as brotli") from error
    if num_bytes > max_body_bytes:
        raise HttpError("http_body_too_large", f"unpacks to more than {max_body_bytes} bytes")
    return b"".join(pieces)
