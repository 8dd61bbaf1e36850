"""Reads the characters of a column of texts, and recognises texts that were measured before.

Several steps measure the same documents, one step after another. Between two steps, only some documents are dropped. So
the texts of a step are often a part of the previous step's texts, and their stored measurements are used again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.compiled import kernel
from filters.text_column import bytes_of

GROUP_BYTES = 1 << 18
"""Documents are measured in groups of at most this many bytes; a longer document is a group of its own (our choice).
The code points of such a group fit into the processor's cache."""
MAX_CODE = 0x10FFFF
"""The largest code point of Unicode."""
_REPLACEMENT = 0xFFFD
_BLOCK = 64

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Texts:
    """Holds the characters of consecutive documents as code points."""

    codes: Codes
    starts: Ints
    """The index in ``codes`` of each document's first character, then the index after the last document's last
    character."""


def groups_of(column: pa.Array) -> Iterator[Texts]:
    """Yields the characters of a column of strings, in groups of whole documents.

    >>> [(one.codes.tolist(), one.starts.tolist()) for one in groups_of(pa.array(["é!", ""]))]
    [([233, 33], [0, 2, 2])]
    """
    data, starts = bytes_of(column)
    first, last = 0, len(starts) - 1
    while first < last:
        end = int(np.searchsorted(starts, starts[first] + GROUP_BYTES, side="right")) - 1
        end = min(max(end, first + 1), last)
        bounds = starts[first : end + 1]
        codes = np.empty(int(bounds[-1] - bounds[0]), np.int32)
        code_starts = np.zeros(len(bounds), np.int64)
        used = decode(data, bounds, codes, code_starts)
        yield Texts(codes[:used], code_starts)
        first = end


@kernel
def decode(data: npt.NDArray[np.uint8], starts: Ints, codes: Codes, code_starts: Ints) -> int:
    """Decodes UTF-8 texts. Writes the code points into ``codes``, and the offsets of the texts in ``codes`` into
    ``code_starts``. Returns the number of characters.

    ``codes`` must be at least as long as the texts in bytes. ``code_starts`` must be as long as ``starts``, and begin
    with 0.
    """
    used = 0
    for document in range(len(starts) - 1):
        at, end = starts[document], starts[document + 1]
        while at < end:
            code = int(data[at])
            size = 1 if code < 0x80 else 2 if code < 0xE0 else 3 if code < 0xF0 else 4
            if at + size > end:
                code, size = _REPLACEMENT, end - at
            elif size == 2:
                code = (code & 0x1F) << 6 | data[at + 1] & 0x3F
            elif size == 3:
                code = (code & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | data[at + 2] & 0x3F
            elif size == 4:
                code = (code & 0x07) << 18 | (data[at + 1] & 0x3F) << 12 | (data[at + 2] & 0x3F) << 6
                code = min(code | data[at + 3] & 0x3F, MAX_CODE)
            codes[used] = code
            used += 1
            at += size
        code_starts[document + 1] = used
    return used


_last = threading.local()


def remembered(key: str, column: pa.Array, measure: Callable[[pa.Array], _T], take: Callable[[_T, Ints], _T]) -> _T:
    """Returns ``measure(column)``. For each key, the function stores the last column that was measured and its result.
    If all texts of the new column are in the stored column, in the same order, nothing is measured. Then the function
    selects rows of the stored result with ``take(result, rows)``.

    >>> column, calls = pa.array(["a", "b", "c"]), []
    >>> def lengths(texts):
    ...     calls.append(len(texts))
    ...     return np.array([len(text) for text in texts.to_pylist()])
    >>> results = [remembered("doctest", one, lengths, np.take) for one in (column, column.take(pa.array([0, 2])))]
    >>> [one.tolist() for one in results], calls
    ([[1, 1, 1], [1, 1]], [3])
    """
    last: tuple[pa.Array, _T] | None = _last.__dict__.get(key)
    if last is not None:
        old, found = last
        if column.equals(old):
            return found
        rows = np.zeros(len(column), np.int64)
        if len(column) <= len(old) and find_rows(*bytes_of(old), *bytes_of(column), rows):
            return take(found, rows)
    found = measure(column)
    _last.__dict__[key] = column, found
    return found


def forget() -> None:
    """Removes everything that :func:`remembered` stored in this thread."""
    _last.__dict__.clear()


@kernel
def find_rows(
    data: npt.NDArray[np.uint8], starts: Ints, wanted: npt.NDArray[np.uint8], wanted_starts: Ints, rows: Ints
) -> bool:
    """Finds each wanted text in a column of texts, and writes its row into ``rows``. Returns False if a wanted text is
    missing from the column, or if the wanted texts are in another order than in the column."""
    row, num_rows = 0, len(starts) - 1
    for number in range(len(rows)):
        first = wanted_starts[number]
        size = wanted_starts[number + 1] - first
        while row < num_rows:
            start = starts[row]
            row += 1
            is_equal = starts[row] - start == size
            at = 0
            while is_equal and at + _BLOCK <= size:  # the loop over a block has no exit, so it is vectorised
                difference = 0
                for place in range(at, at + _BLOCK):
                    difference |= data[start + place] ^ wanted[first + place]
                is_equal = difference == 0
                at += _BLOCK
            while is_equal and at < size:
                is_equal = data[start + at] == wanted[first + at]
                at += 1
            if is_equal:
                rows[number] = row - 1
                break
        else:
            return False
    return True
