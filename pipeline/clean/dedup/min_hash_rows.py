"""Stores the pairs of documents that the near dedup compares, in little memory.

A pair contains the ranks of its two documents. A rank identifies a document. One of the two documents would be kept,
and the other one would be removed. The pairs are processed in slices (:mod:`pipeline.clean.dedup.min_hash_pairs`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from filters.near.resolve import RANK_BYTES

PAIR_ROW = np.dtype([("removed", ">u8", 2), ("kept", ">u8", 2), ("bands", "<u2"), ("sampled", "<u2")])
"""The NumPy type of a pair: the ranks of its two documents, and the numbers of bands and of sampled n-grams that the
documents share in one bucket of keys. Sorted as bytes, the pairs are in the order of the removed document, and then of
the kept document."""


class Ranks:
    """Holds distinct ranks in ascending order. The ranks can be taken one by one, in this order."""

    def __init__(self, ranks: bytes) -> None:
        self._ranks, self._start = ranks, 0

    def take(self, rank: bytes) -> int | None:
        """Takes ``rank`` if it is the next rank, and returns its position. Otherwise takes nothing, and returns
        None.
        """
        start, end = self._start, self._start + RANK_BYTES
        if self._ranks[start:end] != rank:
            return None
        self._start = end
        return start // RANK_BYTES

    @property
    def is_empty(self) -> bool:
        """True if all ranks were taken."""
        return self._start == len(self._ranks)


class Pairs(NamedTuple):
    """Holds the candidates of a slice: the pairs of documents that share enough keys, sorted by the removed
    document.
    """

    removed: Ranks
    """The ranks of the documents that would be removed in some pair."""
    bounds: np.ndarray
    """The pairs of document ``i`` in ``removed`` are those from ``bounds[i]`` to ``bounds[i + 1] - 1``."""
    kept: bytes
    """For each pair, the rank of the document that would be kept. The ranks are joined to one byte string."""


def joined(blocks: list[bytes]) -> bytearray:
    """Returns the bytes of all blocks in one array. Empties the list of blocks one by one, to save memory."""
    end = sum(map(len, blocks))
    found = bytearray(end)
    while blocks:
        block = blocks.pop()
        found[end - len(block) : end] = block
        end -= len(block)
    return found


def different(ranks: bytearray) -> bytes:
    """Returns the distinct ranks in ascending order. ``ranks`` is sorted in place."""
    np.frombuffer(ranks, f"S{RANK_BYTES}").sort()
    rows = np.frombuffer(ranks, ">u8").reshape(-1, 2)
    return bytes(rows[differs(rows)].tobytes())


def differs(ranks: np.ndarray) -> np.ndarray:
    """Returns a mask that is True for each rank that differs from the rank before it. It is also True for the first
    rank."""
    found = np.ones(len(ranks), np.bool_)
    found[1:] = (ranks[1:, 0] != ranks[:-1, 0]) | (ranks[1:, 1] != ranks[:-1, 1])
    return found
