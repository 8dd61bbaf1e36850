"""Samples pieces of a text. The sample of a string is part of the sample of every text that contains the string.

The method is winnowing (Schleimer, Wilkerson and Aiken 2003, "Winnowing: local algorithms for document
fingerprinting"). A piece is 12 bytes long. From every window of 9 neighbouring pieces, the piece with the smallest hash
is kept. So about every fifth piece is kept. A window is 20 bytes long, so every string of at least 20 bytes contains a
whole window, regardless of the text around it.

A plain piece is one with many repeated bytes, such as a run of spaces. In some sources, almost every text contains such
a piece. It is kept only if no piece in its window is less plain.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtures.find.limits import GRAIN_BYTES, GRAM_BYTES

Array = np.ndarray[Any, Any]

SEPARATOR = b"\xff"
"""Separates documents that are sampled together. This byte does not occur in UTF-8."""

_FACTORS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9], np.uint64)
_CHUNK_BYTES = 1 << 20


def minima(data: bytes) -> Array:
    """Returns the hashes of a text's sampled pieces (uint32, sorted, distinct). A text of fewer than 20 bytes has none.

    >>> minima(b"too short").tolist(), len(minima(b"abcdefgh" * 1000))
    ([], 1)
    """
    found = [
        _of_chunk(data[first : first + _CHUNK_BYTES + GRAIN_BYTES - 1])
        for first in range(0, max(0, len(data) - GRAIN_BYTES + 1), _CHUNK_BYTES)
    ]
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.uint32)


def _of_chunk(data: bytes) -> Array:
    shape = (len(data) - GRAM_BYTES + 1,)
    grams = np.ndarray(shape, "<u8", data, strides=(1,)) * _FACTORS[0]
    grams ^= np.ndarray(shape, "<u4", data, offset=8, strides=(1,)) * _FACTORS[1]
    grams ^= grams >> np.uint64(29)
    grams *= _FACTORS[0]
    smallest = (grams >> np.uint64(34)).astype(np.uint32)
    smallest |= _plainness(data)[: len(smallest)].astype(np.uint32) << np.uint32(30)
    for step in (1, 2, 4, 1):  # windows of 2, 4, 8 and 9
        smallest = np.minimum(smallest[:-step], smallest[step:])
    return _mixed(smallest[np.diff(smallest, prepend=~smallest[:1]) != 0])


def _plainness(data: bytes) -> Array:
    """Returns one number per byte, from 0 to 3: how plain the piece is that begins there. The number is a third of the
    count of bytes in the piece that are equal to the byte before them.
    """
    text = np.frombuffer(data, np.uint8)
    one = (text[1:] == text[:-1]).astype(np.uint8)
    two = one[:-1] + one[1:]
    four = two[:-2] + two[2:]
    eight = four[:-4] + four[4:]
    repeated = eight[: len(data) - GRAM_BYTES + 1] + two[8 : len(data) - GRAM_BYTES + 9] + one[10:]
    return np.asarray(repeated // 3).clip(0, 3)


def _mixed(numbers: Array) -> Array:
    """Mixes 32-bit numbers, so that the upper bits of a result depend on all bits of its number. Different numbers have
    different results.
    """
    mixed = numbers.copy()
    for factor in (0x85EBCA6B, 0xC2B2AE35):  # the finaliser of MurmurHash3
        mixed ^= mixed >> np.uint32(15)
        mixed *= np.uint32(factor)
    return np.asarray(mixed ^ mixed >> np.uint32(16))
