"""Folds the characters of many texts by a table: lower-cases letters, removes accents, and replaces other signs by
spaces. The result is the same as that of :func:`filters.books.overlap.normalise`, which folds one text at a time.

The folding of a character does not depend on its neighbours, with one exception: the lower case of a Greek capital
sigma depends on its place in the word. So the table has one entry per character, and texts with a capital sigma are
folded one at a time, before the table is used.
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
"""The table is filled in pages of 256 characters, when a text first has a character of a page. A text has characters of
few pages, and all pages together take two seconds."""


class FoldTable(NamedTuple):
    """Maps each character to the bytes that remain of it. The arrays are never changed, so threads can share them."""

    entries: npt.NDArray[np.int32]
    """The place in ``pool`` at which the entry of a character begins; 0 if its page is not filled yet."""
    pool: npt.NDArray[np.uint8]
    """The entries: the number of bytes, then the bytes. The first 256 places have the bytes of ASCII characters, and
    each byte from 128 to 255 as it is, for texts that were folded before."""


_filling = threading.Lock()
_table = FoldTable(np.zeros(0, np.int32), np.zeros(0, np.uint8))


def fold_table(texts: Iterable[str] = ()) -> FoldTable:
    """Returns the table of this process. The characters of ``texts`` have entries.

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
    """True if a text must be folded by :func:`filters.books.overlap.folded`, because it has a capital sigma.

    >>> has_sigma("\u039f\u0394\u039f\u03a3"), has_sigma("Caf\u00e9")
    (True, False)
    """
    return not text.isascii() and any(sigma in text for sigma in SIGMAS)
