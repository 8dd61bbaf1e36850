"""Reads files in a cloud's store. Readers can distinguish an error of the store from a damaged file.

Readers report damaged data as rejected records. Some errors of a store look like damage: both a timeout and a broken
bzip2 block raise OSError. So every error while a store's file is read is raised as StoreError, which is not an OSError.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, BinaryIO, cast

_BUFFER_BYTES = 1 << 16
"""The number of bytes that are buffered per file. It is small, because the stores' clients have larger buffers."""


class StoreError(Exception):
    """Raised if a store does not answer while a file is read. The message says which file and why."""

    def __init__(self, url: str, error: object) -> None:
        self._given = url, " ".join(str(error).split()) or type(error).__name__
        why = self._given[1]
        super().__init__(f"{url}: the store did not answer as it should ({why}); run the same command again")

    def __reduce__(self) -> tuple[Any, ...]:
        return StoreError, self._given


def open_store(url: str, opener: Callable[[], Any]) -> BinaryIO:
    """Opens a file in a store for reading. ``opener`` returns the file that the store's client makes.

    Raises:
        FileNotFoundError: the store has no such file.
        StoreError: the store does not answer, now or while the file is read. Other errors of opening are raised as the
            client raises them.
    """
    try:
        file = opener()
    except (TimeoutError, ConnectionError) as error:
        raise StoreError(url, error) from error
    except Exception as error:
        if getattr(error, "code", None) == HTTPStatus.NOT_FOUND:  # google.api_core's error is no OSError
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", url) from error
        raise
    return cast(BinaryIO, io.BufferedReader(_StoreFile(url, file), _BUFFER_BYTES))


class _StoreFile(io.RawIOBase):
    """Passes everything on to the client's file. Any error while reading is an error of the store, because the bytes
    are not interpreted here.
    """

    def __init__(self, url: str, file: Any) -> None:
        self._url, self._file = url, file

    def _try(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:
            raise StoreError(self._url, error) from error

    def readinto(self, buffer: Any) -> int:
        data = self._try(lambda: self._file.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._try(lambda: self._file.seek(offset, whence))
        return cast(int, self._file.tell())

    def tell(self) -> int:
        return cast(int, self._file.tell())

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
