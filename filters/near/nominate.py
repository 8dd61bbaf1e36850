"""The candidate pairs of documents that share a key: a band of their signatures, or a sampled n-gram.

Documents are numbers here, in the order in which they stay (:mod:`filters.near.resolve`): a smaller number stays before
a larger one. All work is linear in the entries, however many documents share a key.
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
"""A key that more documents share is common. Ours: at most 2,016 pairs per key."""
NUM_LEADERS = 8
"""Each document of a common key is paired with this many of those that stay first. Ours."""
NUM_NEIGHBOURS = 4
"""And with this many just before it in the order, which have nearly its length, as copies do. Ours."""
MIN_SAMPLED = 0.3
"""A pair is looked at if it shares this part of the sampled n-grams that it would share on average if it overlapped
just enough to be dropped. Ours: with 150 n-grams of which one in 16 is sampled, and an overlap of 0.8, seven are shared
on average and two must be."""
NUM_DEVIATIONS = 3.0
"""And if it shares at most so many standard deviations (the square root of that number) less. Ours: one pair in 700 is
missed just above the limit, and far fewer above it. Of long documents this asks for more."""


class Nominated(NamedTuple):
    """The pairs of documents that share keys."""

    pairs: Numbers
    """(number of pairs, 2): the document that stays first, and the other. Each pair once, sorted."""
    counts: Numbers
    """How many of the keys each pair shares, as far as it was seen to."""
    num_not_compared: int
    """The number of pairs that share a common key and were not nominated by it. Another key may nominate them."""


def nominate(
    keys: Hashes,
    documents: Numbers,
    *,
    max_documents_per_key: int = MAX_DOCUMENTS_PER_KEY,
    num_leaders: int = NUM_LEADERS,
    num_neighbours: int = NUM_NEIGHBOURS,
) -> Nominated:
    """Returns the pairs of documents that share keys. ``documents[i]`` has the key ``keys[i]``, in any order.

    All documents of a key are paired, unless they are more than ``max_documents_per_key``. Then each is paired with the
    leaders and with its neighbours only, and the pairs left out are counted.

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
    # Copies share all their keys: what has the same documents is paired once.
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
    """Returns the pairs with leaders and with neighbours, each once."""
    leader, follower = np.triu_indices(num_leaders, 1, documents.size)
    found = [np.stack([documents[leader], documents[follower]], axis=1)]
    for distance in range(1, num_neighbours + 1):
        later = np.arange(num_leaders + distance, documents.size)  # those before are paired with leaders
        found.append(np.stack([documents[later - distance], documents[later]], axis=1))
    return np.concatenate(found)


def _counted(pairs: Numbers, weights: Numbers) -> tuple[Numbers, Numbers]:
    """Returns the distinct pairs in order, and the sum of the weights of each."""
    if not len(pairs):
        return pairs, weights
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs, weights = pairs[order], weights[order]
    starts = np.flatnonzero(np.concatenate([[True], (pairs[1:] != pairs[:-1]).any(axis=1)]))
    return pairs[starts], np.add.reduceat(weights, starts)


def is_candidate(num_bands: int, num_sampled: int, num_wanted: float) -> bool:
    """True if a pair must be verified: it shares a band, or enough sampled n-grams.

    ``num_wanted`` is the number of sampled n-grams that two documents share on average if they overlap just enough.

    >>> is_candidate(1, 0, 25.0), is_candidate(0, 10, 25.0), is_candidate(0, 9, 25.0), is_candidate(0, 1, 1.5)
    (True, True, False, True)
    """
    least = max(1.0, MIN_SAMPLED * num_wanted, num_wanted - NUM_DEVIATIONS * num_wanted**0.5)
    return num_bands > 0 or num_sampled >= int(least)
