r"""Reads a column of texts as bytes, and counts its line ends.

A line end is the byte ``\n``. In UTF-8, no other character contains this byte.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]

_PIECE_BYTES = 256 << 10
"""Line ends are searched in pieces of this many bytes. The marks of a piece then stay in the processor's cache."""
_LINE_END = ord("\n")


def bytes_of(column: pa.Array) -> tuple[npt.NDArray[np.uint8], Ints]:
    """Returns two arrays for a column of strings: its bytes, and the offsets of the strings. String ``i`` has the bytes
    from ``offsets[i]`` to ``offsets[i + 1]``. Only the offsets are copied.

    >>> data, starts = bytes_of(pa.array(["a", "", "é"]))
    >>> starts.tolist(), bytes(data[1:3]).decode()
    ([0, 1, 1, 3], 'é')
    """
    if not pa.types.is_large_string(column.type) and not pa.types.is_string(column.type):
        column = column.cast(pa.large_string())
    kind = np.int64 if pa.types.is_large_string(column.type) else np.int32
    _, offsets, values = column.buffers()
    if not len(column):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    starts = np.frombuffer(offsets, kind)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    return np.frombuffer(values or b"", np.uint8), starts


def num_line_ends(texts: pa.Array) -> Ints:
    r"""Returns the number of line ends in each text of a column without nulls.

    >>> num_line_ends(pa.array(["a\nb\n", "", "c"])).tolist()
    [2, 0, 0]
    """
    data, starts = bytes_of(texts)
    before, num_ends = np.zeros(len(starts), np.int64), 0
    for first, is_end in _pieces(data, starts):
        ends = np.flatnonzero(is_end)
        here = slice(*np.searchsorted(starts, (first, first + len(is_end))))
        before[here] = num_ends + np.searchsorted(ends, starts[here] - first)
        num_ends += len(ends)
    before[starts == starts[-1]] = num_ends
    counts: Ints = np.diff(before)
    return counts


def count_lines(texts: pa.Array) -> int:
    r"""Returns the number of lines in a column of texts without nulls.

    A last line without a line end is counted too. An empty text has no lines.

    >>> count_lines(pa.array(["a\nb", "a\nb\n", ""]))
    4
    """
    data, starts = bytes_of(texts)
    num_ends = sum(int(np.count_nonzero(is_end)) for _, is_end in _pieces(data, starts))
    ends = starts[1:][np.diff(starts) > 0]
    return num_ends + int(np.count_nonzero(data[ends - 1] != _LINE_END))


def _pieces(data: npt.NDArray[np.uint8], starts: Ints) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Yields (position of the first byte, marks of the line ends) for each piece of the texts' bytes."""
    end = int(starts[-1])
    for first in range(int(starts[0]), end, _PIECE_BYTES):
        yield first, data[first : min(first + _PIECE_BYTES, end)] == _LINE_END
