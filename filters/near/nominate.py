"""Finds candidate pairs: documents that share a key. A key is a band of a signature or a sampled n-gram.

Documents are numbered in the order of their ranks (:mod:`filters.near.resolve`). Of a pair, only the document with the
larger number can be removed. The time is linear in the number of keys of all documents, even if many documents share a
key.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from filters.books.overlap import Hashes

Numbers = npt.NDArray[np.int64]

MAX_DOCUMENTS_PER_KEY = 64
"""A key that more documents than this share is called common. Our choice: a key that 64 documents share makes 2,016
pairs."""
NUM_LEADERS = 8
"""Each document with a common key is paired with this many documents that have the key: the documents with the first
ranks (our choice)."""
NUM_NEIGHBOURS = 4
"""Each document with a common key is also paired with this many documents directly before it in the order of ranks (our
choice). These documents have nearly the same length, as copies do."""
MIN_SAMPLED = 0.3
"""A candidate pair that shares no band must share at least this fraction of the expected number of sampled n-grams (our
choice). The expected number is the average for pairs that overlap just enough to be removed. For example, if a document
has 150 n-grams, one in 16 is sampled, and the limit is 0.8, then seven are expected, and a candidate pair must share
two."""
NUM_DEVIATIONS = 3.0
"""A candidate pair that shares no band must also share at least the expected number minus this many standard deviations
(the square root of the expected number). For long documents this bound is higher than the bound from
:data:`MIN_SAMPLED`. Our choice: of the pairs that overlap just enough to be removed, it misses one in 700. It misses
far fewer pairs with larger overlaps."""


class Nominated(NamedTuple):
    """Holds the pairs of documents that share keys."""

    pairs: Numbers
    """An array of shape (number of pairs, 2): first the document with the better rank, then its partner. The pairs are
    sorted and distinct."""
    counts: Numbers
    """The number of keys that nominated each pair."""
    num_not_compared: int
    """The number of pairs that share a common key but were not nominated by this key. Another key may still nominate
    them."""


def nominate(
    keys: Hashes,
    documents: Numbers,
    *,
    max_documents_per_key: int = MAX_DOCUMENTS_PER_KEY,
    num_leaders: int = NUM_LEADERS,
    num_neighbours: int = NUM_NEIGHBOURS,
) -> Nominated:
    """Returns the pairs of documents that share keys. ``documents[i]`` has the key ``keys[i]``; the entries may be in
    any order.

    If at most ``max_documents_per_key`` documents share a key, every two of them become a pair. If more documents share
    the key, each of them is paired only with the leaders (the documents with the first ranks) and with its neighbours
    (the documents just before it in the order of ranks). The pairs that are left out are counted.

    Raises:
        ValueError: the numbers of leaders and neighbours add up to ``max_documents_per_key`` or more.

    >>> keys, documents = np.array([5, 5, 5, 9], np.uint64), np.array([2, 0, 1, 1])
    >>> nominate(keys, documents).pairs.tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    if not 1 <= num_leaders + num_neighbours < max_documents_per_key:
        raise ValueError(f"num_leaders and num_neighbours must be fewer than {max_documents_per_key} together")
    order = np.lexsort((documents, keys))
    keys, documents = keys[order], documents[order]
    is_new = np.ones(keys.size, np.bool_)
    is_new[1:] = (keys[1:] != keys[:-1]) | (documents[1:] != documents[:-1])
    keys, documents = keys[is_new], documents[is_new]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if keys.size else np.empty(0, np.int64)
    sizes = np.diff(np.append(starts, keys.size))
    found, weights = [np.empty((0, 2), np.int64)], [np.empty(0, np.int64)]
    for size in np.unique(sizes[(sizes > 1) & (sizes <= max_documents_per_key)]):
        runs = documents[starts[sizes == size][:, None] + np.arange(size)]
        left, right = np.triu_indices(int(size), 1)
        found.append(np.stack([runs[:, left].ravel(), runs[:, right].ravel()], axis=1))
        weights.append(np.ones(len(found[-1]), np.int64))
    num_left_out = 0
    is_common = sizes > max_documents_per_key
    # Copies share all their keys, so keys that have the same documents are handled together.
    common: Counter[bytes] = Counter()
    first_start: dict[bytes, tuple[int, int]] = {}
    for start, size in zip(starts[is_common].tolist(), sizes[is_common].tolist(), strict=True):
        name = xxhash.xxh3_128_digest(documents[start : start + size].tobytes())
        common[name] += 1
        first_start.setdefault(name, (start, size))
    for name, (start, size) in first_start.items():
        pairs = _of_common(documents[start : start + size], num_leaders, num_neighbours)
        num_left_out += common[name] * (size * (size - 1) // 2 - len(pairs))
        found.append(pairs)
        weights.append(np.full(len(pairs), common[name], np.int64))
    pairs, counts = counted(np.concatenate(found), np.concatenate(weights))
    return Nominated(pairs, counts, num_left_out)


def _of_common(documents: Numbers, num_leaders: int, num_neighbours: int) -> Numbers:
    """Returns the pairs for a key that many documents share. Each document is paired with the leaders, and with the
    ``num_neighbours`` documents just before it."""
    leader, follower = np.triu_indices(num_leaders, 1, documents.size)
    found = [np.stack([documents[leader], documents[follower]], axis=1)]
    for distance in range(1, num_neighbours + 1):
        later = np.arange(num_leaders + distance, documents.size)  # the documents before this one are leaders
        found.append(np.stack([documents[later - distance], documents[later]], axis=1))
    return np.concatenate(found)


def counted(pairs: Numbers, weights: Numbers) -> tuple[Numbers, Numbers]:
    """Merges equal pairs, and adds up their weights. Returns the distinct pairs, sorted, and their weights."""
    if not len(pairs):
        return pairs, weights
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs, weights = pairs[order], weights[order]
    starts = np.flatnonzero(np.concatenate([[True], (pairs[1:] != pairs[:-1]).any(axis=1)]))
    return pairs[starts], np.add.reduceat(weights, starts)


def is_candidate(num_bands: int, num_sampled: int, num_expected: float) -> bool:
    """Returns True if a pair must be verified, because it shares a band or enough sampled n-grams.

    ``num_expected`` is the number of sampled n-grams that a pair shares on average if it overlaps just enough for a
    removal. :func:`least_sampled` computes from it how many sampled n-grams are enough.

    >>> is_candidate(1, 0, 25.0), is_candidate(0, 10, 25.0), is_candidate(0, 9, 25.0), is_candidate(0, 1, 1.5)
    (True, True, False, True)
    """
    return num_bands > 0 or num_sampled >= least_sampled(num_expected)


def least_sampled(num_expected: float) -> int:
    """Returns how many sampled n-grams a pair must share to be a candidate, if it shares no band.

    ``num_expected`` is explained in :func:`is_candidate`.
    """
    return int(max(1.0, MIN_SAMPLED * num_expected, num_expected - NUM_DEVIATIONS * num_expected**0.5))
