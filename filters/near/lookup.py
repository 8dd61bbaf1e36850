"""Finds candidate pairs between new documents and stored documents that are already kept.

A new document is compared only with kept documents. It is never compared with another new document. Two documents
become a candidate pair if they share a key (a band of a signature or a sampled n-gram). The time is linear in the
number of keys of all documents, even if many documents share a key.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from filters.books.overlap import Hashes
from filters.near.nominate import MAX_DOCUMENTS_PER_KEY, NUM_LEADERS, NUM_NEIGHBOURS, Nominated, Numbers, counted

_MAX_PAIRS = 1 << 21
"""About this many pairs are counted at once. They take about 130 MB while they are sorted."""


def nominate_kept(
    kept_keys: Hashes, kept: Numbers, kept_lengths: Numbers, new_keys: Hashes, new: Numbers, new_lengths: Numbers
) -> Iterator[Nominated]:
    """Yields the pairs of a kept and a new document that share keys, in blocks of about two million pairs.

    All pairs of a new document are in one block. The blocks limit the memory, because one key that a million new
    documents have can make 64 million pairs.

    If at most 64 kept documents have a key, a new document with this key is paired with all of them. If more than 64
    have the key, the new document is paired with the eight longest of them, and with the eight whose lengths are
    nearest to its own length. Each block says how many pairs are left out.

    Args:
        kept_keys: the keys of kept documents. ``kept[i]`` is the number of the document that has ``kept_keys[i]``. Kept
            documents are numbered by their length, the longest first.
        kept_lengths: the length of each kept document, by number.
        new_keys: the keys of new documents. ``new[i]`` is the number of the document that has ``new_keys[i]``.
        new_lengths: the length of each new document, by number.

    In the example, kept document 1 and both new documents have the key 7:

    >>> def array(*values): return np.array(values)
    >>> (found,) = nominate_kept(
    ...     array(5, 7), array(0, 1), array(90, 80), array(7, 8, 7), array(0, 0, 1), array(70, 60)
    ... )
    >>> found.pairs.tolist(), found.counts.tolist()
    ([[1, 0], [1, 1]], [1, 1])
    """
    order = np.lexsort((kept, kept_keys))
    kept_keys, kept = kept_keys[order], kept[order]
    by_new = np.lexsort((new_keys, new))
    new_keys, new = new_keys[by_new], new[by_new]
    starts = np.searchsorted(kept_keys, new_keys, side="left")
    sizes = np.searchsorted(kept_keys, new_keys, side="right") - starts
    is_shared = sizes > 0
    new, starts, sizes = new[is_shared], starts[is_shared], sizes[is_shared]
    is_common = sizes > MAX_DOCUMENTS_PER_KEY
    num_near = 2 * NUM_NEIGHBOURS
    nearest = _nearest(kept, starts, sizes, is_common, np.searchsorted(-kept_lengths, -new_lengths[new], side="right"))
    taken = np.where(is_common, NUM_LEADERS + num_near, sizes)
    for first, last in _blocks(new, taken):
        owners = np.repeat(np.arange(first, last), taken[first:last])
        within = np.arange(owners.size) - np.repeat(np.cumsum(taken[first:last]) - taken[first:last], taken[first:last])
        is_near = is_common[owners] & (within >= NUM_LEADERS)
        places = np.where(is_near, nearest[owners] + within - NUM_LEADERS, starts[owners] + within)
        found = np.stack([kept[places], new[owners]], axis=1)
        found, weights = counted(found, np.ones(len(found), np.int64))
        yield Nominated(found, weights, int((sizes - taken)[first:last].sum()))


def _nearest(kept: Numbers, starts: Numbers, sizes: Numbers, is_common: np.ndarray, bounds: Numbers) -> Numbers:
    """Finds, for each entry with a common key, the eight kept documents whose lengths are nearest to the length of the
    entry's document.

    An entry is a key of a new document. A key is common if more than 64 kept documents have it. These documents are
    sorted by length, so the eight are neighbours in ``kept``. The result has one index per entry: the index of the
    first of the eight. ``bounds`` has one number per entry: how many kept documents are at least as long as the entry's
    document.
    """
    found = np.zeros_like(starts)
    common = np.flatnonzero(is_common)
    common = common[np.argsort(starts[common], kind="stable")]
    edges = np.flatnonzero(np.diff(starts[common], prepend=-1))
    for first, last in zip(edges.tolist(), [*edges[1:].tolist(), common.size], strict=False):
        entries = common[first:last]
        start, size = int(starts[entries[0]]), int(sizes[entries[0]])
        place = start + np.searchsorted(kept[start : start + size], bounds[entries], side="left")
        found[entries] = np.clip(place - NUM_NEIGHBOURS, start + NUM_LEADERS, start + size - 2 * NUM_NEIGHBOURS)
    return found


def _blocks(new: Numbers, taken: Numbers) -> list[tuple[int, int]]:
    """Cuts the entries (keys of new documents) into blocks of about ``_MAX_PAIRS`` pairs. All entries of a document are
    in the same block."""
    if not new.size:
        return []
    firsts = np.flatnonzero(np.diff(new, prepend=-1))
    totals = np.add.reduceat(taken, firsts)
    blocks = (np.cumsum(totals) - totals) // _MAX_PAIRS
    cuts = firsts[np.flatnonzero(np.diff(blocks, prepend=-1))].tolist()
    return list(zip(cuts, [*cuts[1:], new.size], strict=True))
