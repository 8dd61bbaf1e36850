"""Computes the sets of word n-grams of many texts at once, and the overlap of two sets.

:mod:`filters.books.overlap` defines what a word is, and computes the same sets for one text at a time with numpy. That
is slow for web pages: a page has only a few hundred words, and calling numpy takes longer than hashing so few words. So
this module hashes the words of all texts of a batch in one pass of machine code (:mod:`filters.near.hashing`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from filters.books.overlap import Hashes, folded, hash_tables
from filters.near.folding import fold_table, has_sigma
from filters.near.hashing import DONE, FULL, Found, Tables, Texts, count_shared, drop_repetitions, hash_ngrams

_BYTES_PER_NGRAM = 4
"""The array of n-grams first has room for one n-gram per this many bytes of text. If the texts need more, the array is
enlarged."""


def ngram_sets(texts: Sequence[str], *, ngram_words: int) -> list[Hashes]:
    """Returns the set of word n-grams of each text, as sorted distinct 64-bit hashes.

    A text with fewer words than ``ngram_words`` has no n-gram. So it is not compared, and two short texts never match
    by accident. (:func:`filters.books.overlap.shingles` instead makes one n-gram of all words of such a text.)

    Raises:
        ValueError: ``ngram_words`` is less than 1.

    >>> [len(found) for found in ngram_sets(["a b c d e f", "a b", ""], ngram_words=5)]
    [2, 0, 0]
    """
    if ngram_words < 1:
        raise ValueError(f"ngram_words must be at least 1, not {ngram_words}")
    found = _hashed(texts, ngram_words)
    for start, end in itertools.pairwise(found.ends.tolist()):
        found.grams[start:end].sort()
    drop_repetitions(found.grams, found.ends)
    return [found.grams[start:end] for start, end in itertools.pairwise(found.ends.tolist())]


def _hashed(texts: Sequence[str], ngram_words: int) -> Found:
    """Returns the hashes of each text's n-grams, in the order in which they occur in the text."""
    is_folded = np.array([has_sigma(text) for text in texts], np.bool_)
    encoded = [
        folded(text, {}) if is_done else text.encode("utf-8", "surrogatepass")
        for text, is_done in zip(texts, is_folded.tolist(), strict=True)
    ]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    packed = Texts(np.frombuffer(b"".join(encoded), np.uint8), ends, is_folded)
    found = Found(
        np.empty(packed.data.size // _BYTES_PER_NGRAM + 1, np.uint64), np.zeros(ends.size, np.int64),
        np.empty(ngram_words, np.uint64),
    )  # fmt: skip
    table, byte_values, text, why = fold_table(), hash_tables()[0], 0, FULL
    while why != DONE:
        text, why = hash_ngrams(packed, Tables(table.entries, table.pool, byte_values), found, text)
        if why == FULL:
            found = found._replace(grams=np.concatenate([found.grams, np.empty_like(found.grams)]))
        elif why != DONE:
            table = fold_table([texts[text]])
    return found


class Measured(NamedTuple):
    """Holds the exact overlap of two documents."""

    num_shared: int
    """The number of distinct n-grams that both contain."""
    containment: float
    """The share of the first document's n-grams that the second contains."""
    jaccard: float
    """The number of shared n-grams divided by the number of n-grams in either document."""


def measured(inner: Hashes, outer: Hashes) -> Measured:
    """Measures how much of ``inner`` is in ``outer``. The hashes of each set must be sorted and distinct. An empty set
    overlaps no set.

    >>> measured(np.array([1, 2, 3, 4], np.uint64), np.array([2, 3, 4, 5, 6, 7], np.uint64))
    Measured(num_shared=3, containment=0.75, jaccard=0.42857142857142855)
    """
    if not inner.size or not outer.size:
        return Measured(0, 0.0, 0.0)
    num_shared = count_shared(inner, outer)
    return Measured(num_shared, num_shared / inner.size, num_shared / (inner.size + outer.size - num_shared))
