"""Computes the sets of word n-grams of many texts at once, and the overlap of two sets.

:mod:`filters.books.overlap` defines what a word is, and computes the same sets for one text at a time. That is slow for
web pages: a page has only a few hundred words, and calling numpy takes longer than hashing so few words. So this module
hashes the words of all texts of a batch in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.books.overlap import Hashes, ngram_hashes, normalise_encoded, word_hashes
from filters.near.folding import folded_texts

_SEPARATOR = b" \xff "
_SEPARATOR_BYTE = 0xFF


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
    joined = normalise_encoded(_SEPARATOR + _SEPARATOR.join(folded_texts(texts)))
    words, places = word_hashes(joined)
    starts = np.flatnonzero(np.frombuffer(joined, np.uint8) == _SEPARATOR_BYTE)
    assert len(starts) == max(len(texts), 1), "a text has the byte that separates texts"
    first = np.searchsorted(places, starts).tolist() if words.size else [0] * len(starts)
    grams = ngram_hashes(words, ngram_words) if words.size >= ngram_words else words[:0]
    ends = [end - ngram_words + 1 for end in [*first[1:], words.size]]
    return _distinct_in(grams, first, ends)[: len(texts)]


def _distinct_in(grams: Hashes, starts: Sequence[int], ends: Sequence[int]) -> list[Hashes]:
    """Sorts each span of the array in place. Returns each span without repetitions. If the end of a span is before its
    start, the span is empty.
    """
    is_wanted = np.zeros(grams.size + 1, np.bool_)
    for start, end in zip(starts, ends, strict=True):
        if start < end:
            grams[start:end].sort()
            is_wanted[start:end] = True
    is_new = is_wanted[:-1]
    is_new[1:] &= grams[1:] != grams[:-1]
    firsts = [start for start, end in zip(starts, ends, strict=True) if start < end]
    is_new[firsts] = True
    kept, places = grams[is_new], np.concatenate([[0], np.cumsum(is_new)])
    bounds = zip(starts, (max(start, end) for start, end in zip(starts, ends, strict=True)), strict=True)
    return [kept[places[start] : places[end]] if start < end else kept[:0] for start, end in bounds]


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
    small, large = (inner, outer) if inner.size <= outer.size else (outer, inner)
    place: npt.NDArray[np.intp] = np.searchsorted(large, small)
    place[place == large.size] = 0
    num_shared = int(np.count_nonzero(large[place] == small))
    return Measured(num_shared, num_shared / inner.size, num_shared / (inner.size + outer.size - num_shared))
