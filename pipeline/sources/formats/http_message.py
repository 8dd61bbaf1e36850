"""Reads the HTTP response in a WARC record: parses its header and unpacks its body.

A body can be sent in chunks and packed with gzip or similar. Crawlers store such bodies in two forms. CommonCrawl
unpacks a body before it stores it. Wget and Heritrix store a body as it was sent. The header does not show which form
was stored, so the bytes of the body decide (:mod:`pipeline.sources.formats.http_body`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.sources.formats.http_body import HttpError, decoded_body

_MAX_CHUNK_LINE_BYTES = 1024
"""The largest length in bytes of the line before a chunk (our choice). The line contains only the chunk's size."""
_MAX_HEADS = 8
"""The largest number of responses before the final one (our choice): interim responses, proxy answers and redirects."""
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)[^\r\n]*(?:\r?\n|\Z)", re.IGNORECASE)
_NUMBER_OF_LINE = re.compile(r"HTTP/\S*\s+(\d{1,9})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Holds an HTTP response. Its body is unpacked: its chunks are joined, and codings such as gzip are undone."""

    status: int
    headers: dict[str, str]
    """The headers by lower-case name. The values of a repeated header are joined by commas."""
    body: bytes


def parse_http_response(block: bytes, *, max_body_bytes: int) -> HttpResponse:
    """Parses the HTTP response in a WARC record. Returns its status, its headers and its unpacked body.

    A record can contain several responses, but only the last response has a body. The earlier responses are skipped,
    for example ``100 Continue`` or a proxy's ``200 Connection established``. A response is skipped if its header is
    directly followed by the status line of another response.

    Raises:
        HttpError: ``bad_http`` if there is no status line. ``http_body_too_large`` if the body unpacks to more than
            ``max_body_bytes``. ``bad_http_body`` if the body does not unpack.

    >>> head = b"HTTP/1.1 100 Continue\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
    >>> parse_http_response(head + b"2\\r\\nab\\r\\n0\\r\\n\\r\\n", max_body_bytes=9).body
    b'ab'
    """
    head, body = _parted(block)
    for _ in range(_MAX_HEADS):
        following = body.lstrip(b"\r\n")
        if not _STATUS_LINE.match(following):
            break
        head, body = _parted(following)
    lines = head.decode("latin-1").split("\n")
    status = _NUMBER_OF_LINE.match(lines[0].strip())
    if not status:
        raise HttpError("bad_http", f"{lines[0][:80]!r} is not a status line")
    headers = _headers(lines[1:])
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    codings = f"{headers.get('content-encoding', '')},{headers.get('transfer-encoding', '')}"
    return HttpResponse(int(status[1]), headers, decoded_body(body, codings, max_bytes=max_body_bytes))


def _parted(block: bytes) -> tuple[bytes, bytes]:
    """Splits a response into header and body, at the empty line between them.

    If there is no body, the empty line can be missing.
    """
    end = block.find(b"\r\n\r\n")
    bare_end = block.find(b"\n\n", 0, len(block) if end < 0 else end)
    if bare_end >= 0:
        return block[:bare_end], block[bare_end + 2 :]
    return (block[:end], block[end + 4 :]) if end >= 0 else (block, b"")


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t") and name:  # continues the value of the line before
            headers[name] = f"{headers[name]} {line.strip()}".strip()
            continue
        before, colon, value = line.partition(":")
        if not colon:  # some servers send lines that are not headers; browsers skip them
            continue
        name, value = before.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if headers.get(name) and value else headers.get(name) or value
    return headers


def _unchunked(body: bytes) -> bytes:
    """Joins the chunks of a body that was sent with the transfer coding ``chunked``.

    If the chunks are already joined, returns the body unchanged. If the body is truncated, returns the bytes that are
    there.
    """
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
