"""Samples pieces of a text. The sample of a string is part of the sample of every text that contains the string.

The method is winnowing (Schleimer, Wilkerson and Aiken 2003, "Winnowing: local algorithms for document
fingerprinting"). A piece is 12 bytes long. From every window of 9 neighbouring pieces, the piece with the smallest hash
is kept. So about every fifth piece is kept. A window is 20 bytes long, so every string of at least 20 bytes contains a
whole window, regardless of the text around it.

Pieces have levels: a common piece is kept only if its window has no piece of a lower level.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from mixtures.find.limits import GRAIN_BYTES, GRAM_BYTES

Array = np.ndarray[Any, Any]

SEPARATOR = b"\xff"
"""Separates documents that are sampled together. This byte does not occur in UTF-8."""

HASH_BITS = 30
"""Number of bits of a piece's hash."""
MAX_LEVEL = 3
"""The level of the most common pieces."""

_FACTORS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9], np.uint64)
_CHUNK_BYTES = 1 << 20


class Levels(Protocol):
    """Knows how common each piece is in a shard. `common.CommonPieces` and `common.LevelTable` are such classes."""

    def levels(self, pieces: Array) -> Array:
        """Returns the level of each piece, from 0 (rare) to `MAX_LEVEL`: uint32. ``pieces`` are results of
        :func:`hashes`.
        """


def hashes(data: bytes) -> Array:
    """Returns the hash (30 bits, uint32) of the piece that begins at each byte of a text. Needs memory of about 20
    bytes per byte of the text.

    >>> hashes(b"twelve bytes").size, hashes(b"eleven byte").size
    (1, 0)
    """
    shape = (max(0, len(data) - GRAM_BYTES + 1),)
    if not shape[0]:
        return np.empty(0, np.uint32)
    grams = np.ndarray(shape, "<u8", data, strides=(1,)) * _FACTORS[0]
    grams ^= np.ndarray(shape, "<u4", data, offset=8, strides=(1,)) * _FACTORS[1]
    grams ^= grams >> np.uint64(29)
    grams *= _FACTORS[0]
    return np.asarray((grams >> np.uint64(64 - HASH_BITS)).astype(np.uint32))


def minima(data: bytes, common: Levels) -> Array:
    """Returns the sampled pieces of a text as numbers (uint32, sorted, distinct). A text of fewer than 20 bytes has
    none. ``common`` gives the level of each piece, and pieces of lower levels are preferred.
    """
    found = [
        _of_chunk(data[first : first + _CHUNK_BYTES + GRAIN_BYTES - 1], common)
        for first in range(0, max(0, len(data) - GRAIN_BYTES + 1), _CHUNK_BYTES)
    ]
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.uint32)


def _of_chunk(data: bytes, common: Levels) -> Array:
    smallest = hashes(data)
    smallest |= common.levels(smallest) << np.uint32(HASH_BITS)
    for step in (1, 2, 4, 1):  # windows of 2, 4, 8 and 9
        smallest = np.minimum(smallest[:-step], smallest[step:])
    return _mixed(smallest[np.diff(smallest, prepend=~smallest[:1]) != 0])


def _mixed(numbers: Array) -> Array:
    """Mixes the bits of each 32-bit number. The upper bits of the result depend on all bits of the number. Different
    numbers give different results.
    """
    mixed = numbers.copy()
    for factor in (0x85EBCA6B, 0xC2B2AE35):  # the finaliser of MurmurHash3
        mixed ^= mixed >> np.uint32(15)
        mixed *= np.uint32(factor)
    return np.asarray(mixed ^ mixed >> np.uint32(16))
