"""Folds the characters of many texts by a table: lower-cases letters, removes accents, and replaces other signs by
spaces. The result is the same as that of :func:`filters.books.overlap.normalise`, which folds one text at a time.

The folding of a character does not depend on its neighbours, so the table has one entry per character. The Greek
capital sigma is an exception: its lower case depends on its place in the word. So texts with a capital sigma are folded
one at a time, before the table is used.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.books.overlap import ASCII_TABLE, folded

SIGMAS = "\u03a3\U0001d6ba\U0001d6f4\U0001d72e\U0001d768\U0001d7a2"
"""The capital sigma, and all characters whose Unicode decomposition is a capital sigma."""
_NUM_CODES = 0x110000
_PAGE_BITS = 8
"""Characters are grouped into pages of 2 to the power of this number. A page of the table is filled when a text has a
character of this page for the first time. Texts need few pages, and filling all pages would take two seconds."""


class FoldTable(NamedTuple):
    """Maps each character to the bytes that replace it. The arrays are never changed, so threads can share them."""

    entries: npt.NDArray[np.int32]
    """For each code point, the index in ``pool`` at which its entry begins; 0 if the entry is not filled in yet."""
    pool: npt.NDArray[np.uint8]
    """The entries, one after another: a number of bytes, then these bytes. The first 256 values are no entries. They
    are the replacements of the bytes 0 to 255: of the ASCII characters, and of the bytes from 128 on, which stay
    unchanged."""


_filling = threading.Lock()
_table = FoldTable(np.zeros(0, np.int32), np.zeros(0, np.uint8))


def fold_table(texts: Iterable[str] = ()) -> FoldTable:
    """Returns a table that has entries for all characters of ``texts``, and for those of earlier calls in this process.

    >>> table = fold_table(["\u00c9"])
    >>> start = int(table.entries[0xC9])
    >>> table.pool[start + 1 : start + 1 + int(table.pool[start])].tobytes()
    b'e'
    """
    global _table
    pages = set()
    for text in texts:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        pages.update(np.unique(codes >> np.uint32(_PAGE_BITS)).tolist())
    with _filling:
        if not _table.pool.size:
            _table = FoldTable(np.zeros(_NUM_CODES, np.int32), np.frombuffer(ASCII_TABLE, np.uint8))
        missing = [page for page in sorted(pages) if not _table.entries[page << _PAGE_BITS]]
        if missing:
            _table = _with_pages(_table, missing)
        return _table


def _with_pages(table: FoldTable, pages: Iterable[int]) -> FoldTable:
    entries, added, size = table.entries.copy(), bytearray(), table.pool.size
    for page in pages:
        for code in range(page << _PAGE_BITS, (page + 1) << _PAGE_BITS):
            entries[code] = size + len(added)
            left = folded(chr(code), {}).translate(ASCII_TABLE)
            added += bytes([len(left)]) + left
    return FoldTable(entries, np.concatenate([table.pool, np.frombuffer(bytes(added), np.uint8)]))


def has_sigma(text: str) -> bool:
    """Returns True if a text must be folded by :func:`filters.books.overlap.folded`, because it has a capital sigma.

    >>> has_sigma("\u039f\u0394\u039f\u03a3"), has_sigma("Caf\u00e9")
    (True, False)
    """
    return not text.isascii() and any(sigma in text for sigma in SIGMAS)
