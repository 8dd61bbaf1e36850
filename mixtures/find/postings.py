"""Stores sorted distinct numbers in about ``2 + log2(range / count)`` bits each, and finds the numbers in a range.

The encoding is Elias-Fano (Vigna 2013, "Quasi-succinct indices"). The low bits of each number are stored unchanged. The
high bits form a unary bitmap, in which number i with high part h sets bit h + i. The place of every 512th zero is
stored too, so that a range is found without reading the bitmap before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtures.find.checked_file import CheckedArray

Array = np.ndarray[Any, Any]

_SAMPLE_ZEROS = 512
_SCAN_BYTES = 512
_PACK_NUMBERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Numbers:
    """Holds encoded numbers in three arrays, which may lie in a mapped file. ``low`` has their low bits (uint8).
    ``high`` is the bitmap of their high bits (uint8). ``samples`` has the place of every 512th zero of this bitmap
    (uint32)."""

    count: int
    low_bits: int
    low: Array | CheckedArray
    high: Array | CheckedArray
    samples: Array | CheckedArray

    def between(self, begin: int, end: int) -> Array:
        """Returns the numbers that are at least ``begin`` and less than ``end``.

        >>> numbers = encode(np.array([3, 4, 70, 71, 900]), 1000)
        >>> numbers.between(4, 900).tolist(), numbers.between(5, 70).tolist()
        ([4, 70, 71], [])
        """
        if not self.count or end <= begin:
            return np.empty(0, np.int64)
        first, last = begin >> self.low_bits, (end - 1) >> self.low_bits
        start = self._zero(first - 1) + 1 if first else 0
        stop = self._zero(last)
        bits = _unpacked(self.high, start, stop)
        ones = np.flatnonzero(bits)
        highs = first + ones - np.arange(len(ones))
        values = (highs.astype(np.int64) << self.low_bits) + self._lows(start - first, len(ones))
        return values[(values >= begin) & (values < end)]

    def _zero(self, number: int) -> int:
        """Returns the index of a zero bit in the bitmap of high bits. The zeros are numbered from 0."""
        place = int(self.samples[number // _SAMPLE_ZEROS])
        left = number % _SAMPLE_ZEROS
        while left:
            byte = (place + 1) // 8
            bits = np.unpackbits(self.high[byte : byte + _SCAN_BYTES], bitorder="little")
            skipped = place + 1 - 8 * byte
            zeros = np.flatnonzero(bits[skipped:] == 0)
            if len(zeros) >= left:
                return place + 1 + int(zeros[left - 1])
            assert len(bits), "the bitmap ends before its last zero"
            left -= len(zeros)
            place = 8 * byte + len(bits) - 1
        return place

    def _lows(self, first: int, count: int) -> Array:
        if not self.low_bits or not count:
            return np.zeros(count, np.int64)
        begin = first * self.low_bits
        bits = _unpacked(self.low, begin, begin + count * self.low_bits).reshape(count, self.low_bits)
        return np.asarray(bits.astype(np.int64) @ (1 << np.arange(self.low_bits, dtype=np.int64)))


def low_bits_of(count: int, limit: int) -> int:
    """Returns how many low bits of each number are stored unchanged when ``count`` numbers below ``limit`` are encoded.
    With this many low bits, the encoded numbers take the least space."""
    return max(0, (limit // max(1, count)).bit_length() - 1)


def encoded_bytes(count: int, limit: int) -> int:
    """Returns an upper bound, in bytes, for the size of the numbers that `encode` returns."""
    low_bits = low_bits_of(count, limit)
    zeros = (limit >> low_bits) + 1
    return -(-count * low_bits // 8) + (count + zeros) // 8 + 1 + 4 * (zeros // _SAMPLE_ZEROS + 1)


def encode(numbers: Array, limit: int) -> Numbers:
    """Returns sorted, distinct numbers in encoded form. All numbers must be below ``limit``."""
    low_bits = low_bits_of(len(numbers), limit)
    num_zeros = (limit >> low_bits) + 1
    bits = np.zeros(len(numbers) + num_zeros, np.bool_)
    for first in range(0, len(numbers), _PACK_NUMBERS):
        part = numbers[first : first + _PACK_NUMBERS]
        bits[(part >> low_bits) + np.arange(first, first + len(part))] = True
    sampled = np.arange(0, num_zeros, _SAMPLE_ZEROS)
    samples = sampled + np.searchsorted(numbers, sampled + 1 << low_bits)
    assert not len(samples) or samples[-1] < 2**32, "one shard holds at most four billion postings"
    return Numbers(
        len(numbers),
        low_bits,
        _packed(numbers, low_bits),
        np.packbits(bits, bitorder="little"),
        samples.astype("<u4"),
    )


def _packed(numbers: Array, low_bits: int) -> Array:
    if not low_bits:
        return np.empty(0, np.uint8)
    shifts = np.arange(low_bits, dtype=np.int64)
    parts = [
        np.packbits((numbers[first : first + _PACK_NUMBERS, None] >> shifts & 1).astype(np.bool_), bitorder="little")
        for first in range(0, len(numbers), _PACK_NUMBERS)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.uint8)


def _unpacked(data: Array | CheckedArray, begin: int, end: int) -> Array:
    """Returns the bits from ``begin`` to before ``end``."""
    first = begin // 8
    bits = np.unpackbits(data[first : -(-end // 8)], bitorder="little")
    return bits[begin - 8 * first : end - 8 * first]
