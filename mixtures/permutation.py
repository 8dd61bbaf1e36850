"""Shuffles the numbers 0..n-1 without storing them. Each value of the permutation is computed separately.

The method is a Feistel network over the next power of four, applied again until the result is below n (Black and
Rogaway 2002, "Ciphers with arbitrary finite domains"). So the order of a trillion tokens is a function of a seed, and
any place in the order can be looked up directly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xxhash

_ROUNDS = 6
"""Number of rounds. Four rounds of a good function give a pseudo-random permutation (Luby and Rackoff 1988). Our
choice: for small n, two more rounds mix better."""
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9], np.uint64)

Places = np.ndarray[Any, np.dtype[np.int64]]


class Permutation:
    """A shuffled order of the numbers below ``size``. Maps each place in the order to the number at that place. The
    order depends on the key.

    >>> shuffled = Permutation(10, key=7)
    >>> sorted(shuffled(np.arange(10)).tolist()) == list(range(10))
    True
    """

    def __init__(self, size: int, *, key: int) -> None:
        if size < 1:
            raise ValueError(f"nothing to permute: size {size}")
        self.size = size
        self._half_bits = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
        self._half_mask = np.uint64((1 << int(self._half_bits)) - 1)
        digests = (xxhash.xxh3_64_intdigest(bytes([turn]), seed=key & (2**64 - 1)) for turn in range(_ROUNDS))
        self._keys = np.fromiter(digests, np.uint64, _ROUNDS)

    def __call__(self, places: Places) -> Places:
        """Returns the numbers at the given places. A place is from 0 to ``size - 1``."""
        numbers = self._once(np.asarray(places, np.int64).astype(np.uint64))
        while True:
            outside = np.flatnonzero(numbers >= np.uint64(self.size))
            if not len(outside):
                return numbers.astype(np.int64)
            numbers[outside] = self._once(numbers[outside])

    def _once(self, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        left, right = numbers >> self._half_bits, numbers & self._half_mask
        for key in self._keys:
            mixed = (right ^ key) * _FACTORS[0]
            mixed ^= mixed >> np.uint64(32)
            mixed *= _FACTORS[1]
            mixed ^= mixed >> np.uint64(29)
            left, right = right, left ^ (mixed & self._half_mask)
        return np.asarray((left << self._half_bits) | right)
