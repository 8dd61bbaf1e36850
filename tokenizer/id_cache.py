"""Caches the ids of short parts of text. The cache has a fixed size. numpy looks up many parts at once."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_SLOTS_BITS = 19
"""The cache has 2**19 slots of 33 bytes and 12 ids: 30 MB with uint16 ids, 43 MB with uint32 ids. It never grows,
because a newer part replaces an older part in the same slot."""
_MAX_PART_BYTES = 31
_MAX_IDS = 12
_WORDS = 4
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(8)] + [2**64 - 1], np.uint64)
_FACTORS = tuple(np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5))
_SIZE_SHIFT = np.uint64(56)


class Keys:
    """Holds a key for each of many parts of a text, and the slot (place in the cache) to which each key belongs.

    A key has four 64-bit words. The last byte of the second word contains the size of the part. The other 31 bytes
    contain the part itself, padded with zeros. So different parts have different keys. The third and fourth words are
    stored only for parts of more than 15 bytes. The slot is computed from a hash of the key.
    """

    __slots__ = ("first", "fits", "long_at", "long_words", "second", "slot")

    def __init__(
        self, words: tuple[Array, Array], long_at: Array, long_words: tuple[Array, Array], fits: Array
    ) -> None:
        self.first, self.second = words
        self.long_at, self.long_words = long_at, long_words
        self.fits = fits
        hashed = self.first * _FACTORS[0]
        hashed ^= self.second * _FACTORS[1]
        hashed[long_at] ^= long_words[0] * _FACTORS[2] ^ long_words[1] * _FACTORS[3]
        hashed *= _FACTORS[0]
        hashed >>= np.uint64(64 - _SLOTS_BITS)
        self.slot = hashed.view(np.int64)


class PartCache:
    """Caches the ids of short parts of text. A part has at most 31 bytes and 12 ids."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        slots = 2**_SLOTS_BITS
        self._words = tuple(np.zeros(slots, np.uint64) for _ in range(_WORDS))
        self._counts = np.zeros(slots, np.uint8)
        self._ids = np.zeros((_MAX_IDS, slots), dtype)
        self._dtype = dtype

    def keys(self, data: Array, begin: Array, size: Array) -> Keys:
        """Returns the keys of the parts of ``data`` that begin at ``begin`` and have ``size`` bytes."""
        if len(data) < _MAX_PART_BYTES + 1:
            data = np.concatenate([data, np.zeros(_MAX_PART_BYTES + 1, np.uint8)])
        view: Array = np.ndarray((len(data) - 7,), np.dtype("<u8"), buffer=data.data, strides=(1,))
        last = len(data) - 8
        first = _word(view, begin, np.minimum(size, 8), last)
        second = size.astype(np.uint64) << _SIZE_SHIFT
        some = np.flatnonzero(size > 8)
        second[some] |= _word(view, begin[some] + 8, np.minimum(size[some] - 8, 7), last)
        long_at = np.flatnonzero((size > 15) & (size <= _MAX_PART_BYTES))
        third = _word(view, begin[long_at] + 15, np.minimum(size[long_at] - 15, 8), last)
        fourth = _word(view, begin[long_at] + 23, np.clip(size[long_at] - 23, 0, 8), last)
        return Keys((first, second), long_at, (third, fourth), size <= _MAX_PART_BYTES)

    def counts(self, keys: Keys) -> tuple[Array, Array]:
        """Returns two arrays: the number of ids of each part, and the indices of the parts that are missing from the
        cache. Missing parts have the count 0.
        """
        known = self._words[0].take(keys.slot) == keys.first
        known &= self._words[1].take(keys.slot) == keys.second
        known &= keys.fits
        slot = keys.slot[keys.long_at]
        known[keys.long_at] &= self._words[2][slot] == keys.long_words[0]
        known[keys.long_at] &= self._words[3][slot] == keys.long_words[1]
        counts = self._counts.take(keys.slot).astype(np.int64)
        missing = np.flatnonzero(~known)
        counts[missing] = 0
        return counts, missing

    def gather(self, keys: Keys, counts: Array, skip: Array | None = None) -> Array:
        """Returns the ids of all parts, concatenated. ``counts`` contains the number of ids of each part.

        ``skip`` contains the indices of the parts that are not in the cache. The result has room for the ids of these
        parts, and the caller writes the ids there.
        """
        ends = np.cumsum(counts)
        flat = np.empty(int(ends[-1]) if len(ends) else 0, self._dtype)
        place = ends - counts
        if skip is None:
            slot, left = keys.slot, counts
        else:
            keep = np.ones(len(counts), bool)
            keep[skip] = False
            slot, left, place = keys.slot[keep], counts[keep], place[keep]
        for i in range(_MAX_IDS):
            flat[place + i] = self._ids[i].take(slot)
            more = np.flatnonzero(left > i + 1)
            if not len(more):
                break
            slot, left, place = slot[more], left[more], place[more]
        return flat

    def put(self, keys: Keys, parts: Array, ids: Array, counts: Array) -> None:
        """Adds some parts to the cache. ``parts`` contains the indices of these parts in ``keys``. ``ids`` contains the
        ids of these parts, concatenated. ``counts`` contains the number of ids of each of these parts.

        Parts that are too long for a slot are left out. If two parts have the same slot, the later part is kept.
        """
        begin = np.cumsum(counts) - counts
        fit = keys.fits[parts] & (counts <= _MAX_IDS)
        parts, begin, counts = parts[fit], begin[fit], counts[fit]
        slot = keys.slot[parts]
        # If several values are written to one place, numpy does not define which one stays. So one of them is chosen.
        slot, one = np.unique(slot[::-1], return_index=True)
        one = len(parts) - 1 - one
        parts, begin, counts = parts[one], begin[one], counts[one]
        self._words[0][slot], self._words[1][slot] = keys.first[parts], keys.second[parts]
        third, fourth = np.zeros(len(keys.first), np.uint64), np.zeros(len(keys.first), np.uint64)
        third[keys.long_at], fourth[keys.long_at] = keys.long_words
        self._words[2][slot], self._words[3][slot] = third[parts], fourth[parts]
        self._counts[slot] = counts
        for i in range(_MAX_IDS):
            has = counts > i
            self._ids[i, slot[has]] = ids[begin[has] + i]


def _word(view: Array, begin: Array, size: Array, last: int) -> Array:
    """Returns the ``size`` bytes (0 to 8) at ``begin`` as one little-endian number.

    ``last`` is the last offset at which eight bytes can be read.
    """
    late = np.flatnonzero(begin > last)
    if not len(late):
        word = view[begin]
    else:
        # A word that would extend beyond the data is read from an earlier place and shifted.
        at = np.minimum(begin, last)
        word = view[at] >> (np.minimum(begin - at, 7) * 8).astype(np.uint64)
    word &= _MASKS.take(size)
    return word
