"""Reads files on a web server as seekable streams. Waits if the server is busy, and resumes broken transfers.

CommonCrawl's server answers frequent requests with ``503 Slow Down``, and connections that last hours break. Neither
error means that the data are damaged, so this module tries again.
"""

from __future__ import annotations

import http.client
import io
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, BinaryIO, cast

MAX_TRIES = 10
"""Reading a file fails after this many consecutive tries that returned no bytes (our choice). The waits between the
tries add up to six minutes.
"""
_MAX_WAIT_SECONDS = 120.0
_TIMEOUT_SECONDS = 60.0
_BUFFER_BYTES = 1 << 20
_MAX_ERROR_BYTES = 2048
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that mean a temporary failure."""

Wait = Callable[[float], None]


class HttpFileError(OSError):
    """Raised if a file on a server cannot be read completely. The message says which file and why."""


def is_http(path: str) -> bool:
    """True if a path is the address of a file on a web server.

    >>> is_http("https://data.commoncrawl.org/x"), is_http("s3://commoncrawl/x")
    (True, False)
    """
    return path.startswith(("https://", "http://"))


def open_http(url: str, *, wait: Wait = time.sleep) -> BinaryIO:
    """Opens a file on a server for reading its stored bytes from any offset. Sends no request before the first read.

    Raises:
        HttpFileError: the file does not exist, the file was changed, or the server does not answer. The error is raised
            when the file is read, not when it is opened.
    """
    return cast(BinaryIO, io.BufferedReader(HttpFile(url, wait), _BUFFER_BYTES))


def size_of_http(url: str, *, wait: Wait = time.sleep) -> int:
    """Returns the number of stored bytes of a file, as the server reports it.

    Raises:
        HttpFileError: the file does not exist, or the server does not answer or does not report the size.
    """
    with HttpFile(url, wait) as file:
        return file.num_bytes()


class HttpFile(io.RawIOBase):
    """Reads one file on a server. Opens a connection at the first read, and a new connection whenever the read position
    jumps.
    """

    def __init__(self, url: str, wait: Wait = time.sleep) -> None:
        super().__init__()
        # A path can have characters that are not allowed in a URL (a space). Characters that are quoted stay as they
        # are.
        self._url = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")
        self._wait = wait
        self._at = 0
        self._response: Any = None
        self._response_at = 0
        self._length: int | None = None
        self._version = ""
        """The server's version of the file (``ETag`` or ``Last-Modified``). A resumed transfer must have the same
        version."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        self._at = (self.num_bytes() if base is None else base) + offset
        return self._at

    def num_bytes(self) -> int:
        """Returns the size of the file in bytes. Requests only the size, not the content."""
        if self._length is None:
            response = self._try(lambda: self._open(0, method="HEAD"))
            response.close()
            if self._length is None:
                raise HttpFileError(f"{self._url}: the server does not say how long it is")
        return self._length

    def readinto(self, buffer: Any) -> int:
        if self._length is not None and self._at >= self._length:
            return 0
        data = self._try(lambda: self._read(len(buffer)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _try(self, action: Callable[[], Any]) -> Any:
        """Runs ``action`` until it succeeds, at most ``MAX_TRIES`` times, with longer and longer waits.

        Returns the result of ``action``.
        """
        for number in range(1, MAX_TRIES + 1):
            seconds = min(0.5 * 2.0**number, _MAX_WAIT_SECONDS)
            try:
                return action()
            except urllib.error.HTTPError as error:
                failure, asked = _said(error), error.headers.get("Retry-After", "") if error.headers else ""
                if error.code not in BUSY:
                    raise HttpFileError(f"{self._url}: {failure}") from error
                if asked.isascii() and asked.isdigit():
                    seconds = min(max(seconds, float(asked)), _MAX_WAIT_SECONDS)
            except HttpFileError:
                raise
            except (OSError, http.client.HTTPException) as error:
                failure = str(error) or type(error).__name__
            self._drop()
            if number < MAX_TRIES:
                self._wait(seconds)
        raise HttpFileError(f"{self._url}: {failure}, {MAX_TRIES} times")

    def _read(self, num_bytes: int) -> bytes:
        if self._response is None or self._response_at != self._at:
            self._drop()
            self._response = self._open(self._at)
            if self._response is None:
                return b""
            self._response_at = self._at
        data: bytes = self._response.read1(num_bytes)
        if not data and self._length is not None and self._at < self._length:
            raise OSError(f"the transfer ended at byte {self._at} of {self._length}")
        self._response_at += len(data)
        return data

    def _open(self, offset: int, method: str = "GET") -> Any:
        """Requests the bytes of the file from ``offset`` on. Returns None if ``offset`` is the end of the file."""
        request = urllib.request.Request(self._url, method=method, headers={"Accept-Encoding": "identity"})
        if offset:
            request.add_header("Range", f"bytes={offset}-")
        try:
            response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code == 416 and offset:  # the file ends at this offset, and the reader looked for more
                return None
            raise
        try:
            self._check(response, offset)
        except OSError:
            response.close()
            raise
        return response

    def _check(self, response: Any, offset: int) -> None:
        headers = response.headers
        version = headers.get("ETag", "") or headers.get("Last-Modified", "")
        if self._version and version != self._version:
            raise HttpFileError(f"{self._url}: was changed on the server while it was read")
        self._version = version
        length = headers.get("Content-Length", "")
        begins = 0
        if response.status == 206:
            unit, _, said = headers.get("Content-Range", "").partition(" ")
            first, total = said.partition("-")[0], said.rpartition("/")[2]
            begins = int(first) if unit == "bytes" and first.isdigit() else -1
            if begins != offset:
                raise OSError(f"asked for bytes from {offset}, was given {said or 'no range'}")
            self._length = int(total) if total.isdigit() else self._length
        elif length.isdigit():
            self._length = int(length)
        if begins < offset:  # the server does not support ranges
            _skip(response, offset)


def _skip(response: Any, num_bytes: int) -> None:
    while num_bytes:
        data = response.read(min(num_bytes, _BUFFER_BYTES))
        if not data:
            raise OSError("the transfer ended before what was read already")
        num_bytes -= len(data)


def _said(error: urllib.error.HTTPError) -> str:
    """Returns the HTTP status of an error, as text for messages. If the server also sent the store's error code as XML
    (``SlowDown``, ``NoSuchKey``), the text contains this code too.
    """
    try:
        body = error.read(_MAX_ERROR_BYTES).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        body = ""
    code = body.partition("<Code>")[2].partition("</Code>")[0]
    return f"{error.code} {error.reason}" + (f" ({code[:60]})" if code else "")
