"""Reads parts of a file in which every 64 KiB have a checksum. A part is compared with its checksums when it is used.

An index is too large to be read completely for each search. Without checksums, a flipped bit could silently hide rows.

Layout: the content; then the checksum of each 64 KiB of the content (xxh3, uint64, little-endian); then the checksum of
these checksums.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xxhash

Array = np.ndarray[Any, Any]

SEGMENT_BYTES = 1 << 16
_SUM_BYTES = 8


def with_checksums(content: bytes) -> bytes:
    """Returns the content followed by its checksums.

    In the example, 5 bytes of content get two checksums of 8 bytes each.

    >>> len(with_checksums(b"index"))
    21
    """
    sums = b"".join(_sum(content[at : at + SEGMENT_BYTES]) for at in range(0, len(content), SEGMENT_BYTES))
    return content + sums + _sum(sums)


def checksum_bytes(content_bytes: int) -> int:
    """Returns the total size in bytes of the checksums that :func:`with_checksums` adds to a content of this size."""
    return (-(-content_bytes // SEGMENT_BYTES) + 1) * _SUM_BYTES


class CheckedFile:
    """Maps a file that :func:`with_checksums` made."""

    def __init__(self, path: Path) -> None:
        """Opens the file. Reads and compares only the checksums themselves.

        Raises:
            ValueError: the file is too short, or its checksums are damaged.
        """
        self._path = path
        size = path.stat().st_size
        num_segments = -(-(size - _SUM_BYTES) // (SEGMENT_BYTES + _SUM_BYTES))
        self.num_bytes: int = size - (num_segments + 1) * _SUM_BYTES
        """The size of the content in bytes, without the checksums."""
        if self.num_bytes <= 0:
            raise self.damaged()
        self._data = np.memmap(path, np.uint8, "r")
        sums = self._data[self.num_bytes : size - _SUM_BYTES].tobytes()
        if self._data[size - _SUM_BYTES :].tobytes() != _sum(sums):
            raise self.damaged()
        self._sums = [sums[at : at + _SUM_BYTES] for at in range(0, len(sums), _SUM_BYTES)]
        self._is_right = bytearray(num_segments)

    def read(self, begin: int, end: int) -> Array:
        """Returns the bytes from ``begin`` to before ``end`` (uint8), as a view of the mapped file.

        Raises:
            ValueError: a checksum of these bytes is wrong.
        """
        for number in range(begin // SEGMENT_BYTES, -(-end // SEGMENT_BYTES)):
            if not self._is_right[number]:
                first = number * SEGMENT_BYTES
                if _sum(self._data[first : min(first + SEGMENT_BYTES, self.num_bytes)]) != self._sums[number]:
                    raise self.damaged()
                self._is_right[number] = 1
        return self._data[begin:end]

    def damaged(self) -> ValueError:
        """Returns the error to raise if this file is damaged."""
        return ValueError(f"{self._path} is damaged, or an index of another version: make it again with --make-index")


class CheckedArray:
    """Gives access to an array in a `CheckedFile`: to one element, or to a slice."""

    def __init__(self, file: CheckedFile, begin: int, end: int, dtype: str) -> None:
        """Describes the array that fills the bytes from ``begin`` to before ``end`` of the file's content."""
        self._file, self._begin, self._dtype = file, begin, np.dtype(dtype)
        self._length = (end - begin) // self._dtype.itemsize

    def __len__(self) -> int:
        """Returns the number of elements."""
        return self._length

    def __getitem__(self, key: int | slice) -> Any:
        """Returns one element, or the elements of a slice with step 1."""
        if isinstance(key, slice):
            first, end, _ = key.indices(self._length)
            return self._elements(first, max(first, end))
        if not 0 <= key < self._length:
            raise IndexError(key)
        return self._elements(key, key + 1)[0]

    def _elements(self, first: int, end: int) -> Array:
        size = self._dtype.itemsize
        data = self._file.read(self._begin + first * size, self._begin + end * size)
        return np.ndarray(end - first, self._dtype, data.tobytes() if self._begin % size else data)


def _sum(data: Any) -> bytes:
    return xxhash.xxh3_64_digest(data)[::-1]
