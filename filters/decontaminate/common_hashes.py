"""Hashes the words that say little about a text: common words, single letters, and numbers of one or two digits."""

from __future__ import annotations

import functools

import numpy as np

from filters.decontaminate.common_words import COMMON_WORDS
from filters.decontaminate.words import U32, split_words


@functools.cache
def common_hashes(*, with_symbols: bool = True) -> U32:
    """Returns the sorted hashes of the common words. If ``with_symbols`` is true, the result includes single letters
    and the numbers below 100.

    >>> words = split_words(["x is 12 bolts"]).hashes.astype(np.uint32)
    >>> np.isin(words, common_hashes()).tolist(), np.isin(words, common_hashes(with_symbols=False)).tolist()
    ([True, True, True, False], [False, True, False, False])
    """
    numbers = [str(number) for number in range(100)]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*sorted(COMMON_WORDS), *(numbers + letters if with_symbols else [])]
    return np.unique(split_words([" ".join(words)]).hashes.astype(np.uint32))
