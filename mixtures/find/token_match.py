"""Finds where a string may begin in an array of ids, without decoding the ids.

An occurrence of the string lies inside one token. Or it begins in one token, continues with whole tokens, and ends in
a last token. So three questions about each id are answered before the search:

- If the string begins in this token, at which places of the string can the next token begin?
- At which places does the string contain this whole token?
- Which rests of the string does this token begin with? A rest is named by the place at which it begins.

Each answer is a set of places in the string, and is stored as the bits of one number. The first pass over the array
only checks whether an id can begin an occurrence, and whether the next id can continue or end it. Only the few ids for
which both are true are examined further.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Array = np.ndarray[Any, Any]

_BEGINS, _FOLLOWS, _WHOLE = 1, 2, 4
_MAX_BYTES = 32
"""If a string is longer than this, only this many of its first bytes are searched for."""


class TokenMatch:
    """Finds one string in arrays of ids. It stores which ids can begin, continue and end the string.

    In the example, the tokens ``a``, ``bc`` and ``a`` make the string ``abca`` from index 5 on.

    >>> pieces = pa.array([b"", b"a", b"bc", b"cab"], pa.binary())
    >>> TokenMatch(pieces, b"abca").places(np.array([2, 1, 2, 3, 0, 1, 2, 1]))
    array([5])
    """

    def __init__(self, pieces: pa.BinaryArray, wanted: bytes) -> None:
        """Compares the string with the bytes of all ids."""
        wanted = wanted[:_MAX_BYTES]
        size = len(wanted)
        self._lengths = pc.binary_length(pieces).to_numpy().astype(np.uint64)
        self._whole = pc.match_substring(pieces, wanted).to_numpy(zero_copy_only=False)
        longest = int(self._lengths.max(initial=0))
        self._begins = _bits(
            pieces, {end: (pc.ends_with, wanted[:end]) for end in range(1, min(size - 1, longest) + 1)}
        )
        first = max(1, size - longest)
        self._ends = _bits(pieces, {begin: (pc.starts_with, wanted[begin:]) for begin in range(first, size)})
        self._inside = _inside(pieces, wanted)
        can_follow = (self._inside | self._ends) != 0
        self._flags = _padded((self._begins != 0) * _BEGINS + can_follow * _FOLLOWS + self._whole * _WHOLE)

    def places(self, ids: Array) -> Array:
        """Returns the indices of the ids in which the string may begin. No occurrence is missing.

        Raises:
            IndexError: the tokenizer lacks one of the ids.
        """
        at = self._possible(ids)
        is_whole = self._whole[ids[at]]
        found = [at[is_whole]]
        origin, place, states = at, at + 1, self._begins[ids[at]]
        while True:
            is_left = (states != 0) & (place < len(ids))
            origin, place, states = origin[is_left], place[is_left], states[is_left]
            if not len(origin):
                return np.unique(np.concatenate(found))
            next_ids = ids[place]
            found.append(origin[(states & self._ends[next_ids]) != 0])
            states = (states & self._inside[next_ids]) << self._lengths[next_ids]
            place = place + 1

    def _possible(self, ids: Array) -> Array:
        """Returns the indices of ids that contain the string, or that can begin it and are followed by a fitting id."""
        if ids.max(initial=0) >= len(self._whole):
            raise IndexError("the tokenizer lacks an id")
        flags = pc.take(self._flags, pa.array(ids), boundscheck=False).to_numpy()
        found = flags // _WHOLE
        found[:-1] |= flags[:-1] & flags[1:] // _FOLLOWS & _BEGINS
        return np.flatnonzero(found.view(bool))


def _padded(flags: Array) -> pa.Array:
    """Returns an Arrow array (uint8) with one value for each id. It is padded to at least 65,536 values. So every
    16-bit id has a value, and can be looked up without a check of the table's length, which is much faster.
    """
    table = np.zeros(max(len(flags), 1 << 16), np.uint8)
    table[: len(flags)] = flags
    return pa.array(table)


def _bits(pieces: pa.BinaryArray, tests: dict[int, tuple[Any, bytes]]) -> Array:
    """Returns one number per id. Its bit n is set if the bytes of the id pass ``tests[n]``."""
    found = np.zeros(len(pieces), np.uint64)
    for number, (test, part) in tests.items():
        found |= test(pieces, part).to_numpy(zero_copy_only=False).astype(np.uint64) << np.uint64(number)
    return found


def _inside(pieces: pa.BinaryArray, wanted: bytes) -> Array:
    """Returns one number per token. Bit n is set if the wanted string has the token's bytes at place n."""
    parts: dict[bytes, int] = {b"": 2 ** (len(wanted) + 1) - 1}
    for begin in range(len(wanted)):
        for end in range(begin + 1, len(wanted) + 1):
            parts[wanted[begin:end]] = parts.get(wanted[begin:end], 0) | 1 << begin
    number = pc.index_in(pieces, pa.array(list(parts), pa.binary())).fill_null(len(parts)).to_numpy()
    return np.asarray(np.array([*parts.values(), 0], np.uint64)[number])
