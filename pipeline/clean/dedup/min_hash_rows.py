"""Defines the rows of pairs in the near dedup, and what a worker holds of one slice of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from filters.near.resolve import RANK_BYTES

PAIR_ROW = np.dtype([("removed", ">u8", 2), ("kept", ">u8", 2), ("bands", "<u2"), ("sampled", "<u2")])
"""Two ranks, and the numbers of bands and sampled n-grams that the documents share in one bucket of keys. The rows sort
as bytes: by the removed document, then by the kept one."""


class Ranks:
    """Holds different ranks in order. They are taken in order, while other ranks may be asked for in between."""

    def __init__(self, ranks: bytes) -> None:
        self._ranks, self._start = ranks, 0

    def take(self, rank: bytes) -> int | None:
        """Returns the position of a rank if it is the next one, and goes on to the one after it."""
        start, end = self._start, self._start + RANK_BYTES
        if self._ranks[start:end] != rank:
            return None
        self._start = end
        return start // RANK_BYTES

    @property
    def is_empty(self) -> bool:
        """Returns True if all ranks were taken."""
        return self._start == len(self._ranks)


class Pairs(NamedTuple):
    """Holds the candidates of a slice."""

    removed: Ranks
    """The documents that would be removed in some pair."""
    bounds: np.ndarray
    """The position of each document's first pair, and the number of pairs."""
    kept: bytes
    """The rank of the document of each pair that would be kept."""


def joined(blocks: list[bytes]) -> bytearray:
    """Returns the bytes of the blocks, and removes the blocks one by one."""
    end = sum(map(len, blocks))
    found = bytearray(end)
    while blocks:
        block = blocks.pop()
        found[end - len(block) : end] = block
        end -= len(block)
    return found


def different(ranks: bytearray) -> bytes:
    """Returns the different ranks in order. Sorts the ranks in place."""
    np.frombuffer(ranks, f"S{RANK_BYTES}").sort()
    rows = np.frombuffer(ranks, ">u8").reshape(-1, 2)
    return bytes(rows[differs(rows)].tobytes())


def differs(ranks: np.ndarray) -> np.ndarray:
    """Returns True for each rank that differs from the one before it."""
    found = np.ones(len(ranks), np.bool_)
    found[1:] = (ranks[1:, 0] != ranks[:-1, 0]) | (ranks[1:, 1] != ranks[:-1, 1])
    return found
