"""Finds the pieces of text that are common in a shard, so that searches can use rarer pieces.

A window is a part of a text that is 20 bytes long. A sample of a text has one piece from each window
(:mod:`mixtures.find.grams`). A string is looked up by the pieces in its sample. If the only piece of a short string
occurs in thousands of blocks, all of these blocks must be searched. So each piece has a level, from 0 (rare) to 3 (very
common), and the sample takes a piece with the lowest level in the window. To find the levels, the pieces are counted in
some blocks of the shard. The index stores the common pieces, because a search must take the same samples.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtures.find.checked_file import CheckedArray
from mixtures.find.grams import HASH_BITS, MAX_LEVEL, hashes

Array = np.ndarray[Any, Any]

COUNTED_BLOCKS = 2_048
"""Pieces are counted in about this many blocks of a shard, at regular distances."""

_KEY_BITS = 24
_LEVEL_BITS = 2
_KEY_SHIFT = np.uint32(HASH_BITS - _KEY_BITS)
_SHARES = (1 / 128, 1 / 32, 1 / 8)
"""The shares of the counted blocks that decide the level of a piece. A piece has level 1 if at least the first share of
the blocks contains it, level 2 from the second share on, and level 3 from the third share on."""
_MIN_BLOCKS = 16
"""A common piece occurs in at least this many of the counted blocks. Smaller counts mean nothing, because pieces that
have equal keys (parts of their hashes) are counted together."""


@dataclass(frozen=True, slots=True)
class CommonPieces:
    """Holds the common pieces of a shard and their levels. A piece is stored as its key: the upper 24 bits of its
    hash."""

    entries: Array | CheckedArray
    """uint32, sorted: the key of each common piece (24 bits), followed by its level (2 bits)."""

    def levels(self, pieces: Array) -> Array:
        """Returns how common each piece is, from 0 (rare) to 3: uint32. ``pieces`` are hashes of `grams.hashes`."""
        entries = self.entries[:]
        if not len(entries):
            return np.zeros(len(pieces), np.uint32)
        keys = pieces >> _KEY_SHIFT
        at = entries.searchsorted(keys << np.uint32(_LEVEL_BITS))
        found = entries[np.minimum(at, len(entries) - 1)]
        return np.where(found >> np.uint32(_LEVEL_BITS) == keys, found & np.uint32(MAX_LEVEL), np.uint32(0))

    def table(self) -> LevelTable:
        """Returns a table (16 MB) whose method `levels` gives the same results many times faster."""
        return LevelTable(self.entries[:])


class LevelTable:
    """Holds the level of every possible key of a piece (see `CommonPieces`) in one array, so that looking up levels is
    fast."""

    def __init__(self, entries: Array) -> None:
        self._levels = np.zeros(1 << _KEY_BITS, np.uint8)
        self._levels[entries >> np.uint32(_LEVEL_BITS)] = entries & np.uint32(MAX_LEVEL)

    def levels(self, pieces: Array) -> Array:
        """Returns how common each piece is, from 0 to 3: uint32."""
        return np.asarray(self._levels[pieces >> _KEY_SHIFT].astype(np.uint32))


def count_common(texts: Iterable[bytes], *, most_entries: int) -> CommonPieces:
    """Returns the pieces that are common in some texts.

    Args:
        texts: one text per block. A piece is common if many blocks contain it.
        most_entries: the largest number of pieces to return. If more pieces are common, the most common are returned.

    >>> texts = [b"import numpy as np # %d" % number for number in range(100)]
    >>> common = count_common(texts, most_entries=50)
    >>> common.levels(hashes(b"import numpy as np")).tolist(), common.levels(hashes(b"import pandas as pd")).tolist()
    ([3, 3, 3, 3, 3, 3, 3], [0, 0, 0, 0, 0, 0, 0, 0])
    """
    counts, num_texts = np.zeros(1 << _KEY_BITS, np.uint16), 0
    for text in texts:
        counts[np.unique(hashes(text) >> _KEY_SHIFT)] += 1
        num_texts += 1
    keys = np.flatnonzero(counts >= _least(num_texts, _SHARES[0]))
    if len(keys) > most_entries:
        keys = np.sort(keys[np.argsort(-counts[keys].astype(np.int64), kind="stable")[:most_entries]])
    levels = np.sum([counts[keys] >= _least(num_texts, share) for share in _SHARES], axis=0, dtype=np.uint32)
    return CommonPieces(keys.astype(np.uint32) << np.uint32(_LEVEL_BITS) | levels)


def _least(num_texts: int, share: float) -> int:
    return max(_MIN_BLOCKS, int(num_texts * share))
