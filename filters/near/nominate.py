"""Finds candidate pairs: documents that share a key, which is a band of their signatures or a sampled n-gram.

Documents are numbers here, ordered by rank (:mod:`filters.near.resolve`): a document with a smaller number is kept
first. The work is linear in the number of entries, however many documents share a key.
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
"""A key that more documents share is called common. Ours: a key that is not common makes at most 2,016 pairs."""
NUM_LEADERS = 8
"""Each document with a common key is paired with this many documents of the first ranks. Ours."""
NUM_NEIGHBOURS = 4
"""It is also paired with this many documents just before it. They have nearly its length, as copies do. Ours."""
MIN_SAMPLED = 0.3
"""A pair is a candidate if it shares at least this part of the expected number of sampled n-grams. Expected is the
average number for a pair that overlaps just enough to be removed. Ours. For example, a document has 150 n-grams, one in
16 is sampled, and the limit is 0.8. Then seven are expected, and a candidate must share two."""
NUM_DEVIATIONS = 3.0
"""A candidate must also share at least the expected number minus this many standard deviations (the square root of the
expected number). This bound is the higher one for long documents. Ours: of the pairs just above the limit one in 700 is
missed, and far fewer of the pairs with larger overlaps."""


class Nominated(NamedTuple):
    """The pairs of documents that share keys."""

    pairs: Numbers
    """An array of shape (number of pairs, 2): the document of the first rank, and the other. Sorted and distinct."""
    counts: Numbers
    """The number of keys that nominated each pair."""
    num_not_compared: int
    """The number of pairs that share a common key and that this key did not nominate. Another key may nominate them."""


def nominate(
    keys: Hashes,
    documents: Numbers,
    *,
    max_documents_per_key: int = MAX_DOCUMENTS_PER_KEY,
    num_leaders: int = NUM_LEADERS,
    num_neighbours: int = NUM_NEIGHBOURS,
) -> Nominated:
    """Returns the pairs of documents that share keys. ``documents[i]`` has the key ``keys[i]``, in any order.

    If at most ``max_documents_per_key`` documents share a key, all of them are paired. Otherwise each is paired only
    with the leaders and with its neighbours, and the other pairs are counted.

    Raises:
        ValueError: leaders and neighbours together are not fewer than ``max_documents_per_key``.

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
    # Copies share all their keys. Keys with the same documents are handled once.
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
    pairs, counts = _counted(np.concatenate(found), np.concatenate(weights))
    return Nominated(pairs, counts, num_left_out)


def _of_common(documents: Numbers, num_leaders: int, num_neighbours: int) -> Numbers:
    """Returns the pairs of each document with the leaders and with its neighbours, without repetition."""
    leader, follower = np.triu_indices(num_leaders, 1, documents.size)
    found = [np.stack([documents[leader], documents[follower]], axis=1)]
    for distance in range(1, num_neighbours + 1):
        later = np.arange(num_leaders + distance, documents.size)  # earlier ones are paired with leaders
        found.append(np.stack([documents[later - distance], documents[later]], axis=1))
    return np.concatenate(found)


def _counted(pairs: Numbers, weights: Numbers) -> tuple[Numbers, Numbers]:
    """Returns the distinct pairs, sorted, and the sum of the weights of each."""
    if not len(pairs):
        return pairs, weights
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs, weights = pairs[order], weights[order]
    starts = np.flatnonzero(np.concatenate([[True], (pairs[1:] != pairs[:-1]).any(axis=1)]))
    return pairs[starts], np.add.reduceat(weights, starts)


def is_candidate(num_bands: int, num_sampled: int, num_expected: float) -> bool:
    """True if a pair must be verified, because it shares a band or enough sampled n-grams.

    ``num_expected`` is the average number of shared sampled n-grams of a pair that overlaps just enough to be removed.

    >>> is_candidate(1, 0, 25.0), is_candidate(0, 10, 25.0), is_candidate(0, 9, 25.0), is_candidate(0, 1, 1.5)
    (True, True, False, True)
    """
    least = max(1.0, MIN_SAMPLED * num_expected, num_expected - NUM_DEVIATIONS * num_expected**0.5)
    return num_bands > 0 or num_sampled >= int(least)
