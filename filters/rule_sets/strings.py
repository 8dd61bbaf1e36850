"""Gives equal strings equal numbers. Strings are parts of an array of characters, so no Python string is made.

The numbers are exact: two strings have the same number only if all of their characters are equal. Hashes only say
where to search. They depend on Python's hash seed, so that nobody can write a text whose strings all have one hash. The
numbers do not depend on it: a new string gets the next number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.compiled import kernel
from filters.rule_sets.texts import Codes, Ints

_FACTOR = 0x1000193
_MASK = (1 << 38) - 1
"""Hashes have 38 bits, so that their products with the 25 bits of the factor fit into 63 bits."""
_NUM_STRINGS, _SEED, _NEEDED = range(3)
SEED = hash("strings of the rule sets") & _MASK


class Arrays(NamedTuple):
    """Holds the strings and the hash table of their numbers."""

    codes: Codes
    """The characters of all strings, one string after another."""
    bounds: Ints
    """The start of the first string in ``codes``, then the end of each string."""
    hashes: Codes
    """31 bits of each string's hash."""
    slots: Codes
    """The hash table: numbers of strings, plus one. Free slots are 0. At least half of them are free."""
    state: Ints
    """The number of strings, the seed of hashes, and the number of characters of a string that had no room."""


class Strings:
    """Holds different strings, and their numbers."""

    def __init__(self, num_strings: int = 1 << 12, num_chars: int = 1 << 15) -> None:
        self.arrays = _empty(num_strings, num_chars)

    def __len__(self) -> int:
        return int(self.arrays.state[_NUM_STRINGS])

    @property
    def num_chars(self) -> int:
        """The number of characters of all strings together."""
        return int(self.arrays.bounds[len(self)])

    @property
    def bounds(self) -> Ints:
        """The start of the first string in ``codes``, then the end of each string."""
        return self.arrays.bounds[: len(self) + 1]

    @property
    def codes(self) -> Codes:
        """The characters of all strings, one string after another."""
        return self.arrays.codes[: self.num_chars]

    def text(self, number: int) -> str:
        """Returns a string."""
        start, end = self.arrays.bounds[number : number + 2]
        return self.arrays.codes[start:end].tobytes().decode("utf-32-le")

    def number_of(self, text: str) -> int:
        """Returns the number of a string, and adds the string if it is new.

        >>> strings = Strings()
        >>> strings.number_of("one"), strings.number_of("two"), strings.number_of("one"), strings.text(1)
        (0, 1, 0, 'two')
        """
        codes = codes_of(text)
        return int(self.numbers(codes, np.zeros(1, np.int64), np.array([len(codes)]))[0])

    def numbers(self, codes: Codes, starts: Ints, ends: Ints) -> Codes:
        """Returns the numbers of the strings ``codes[start:end]``, and adds the new ones."""
        assert len(starts) == len(ends) and (not len(ends) or (ends.max() <= len(codes) and starts.min() >= 0))
        numbers = np.empty(len(starts), np.int32)
        done = number_strings(self.arrays, codes, starts, ends, numbers, 0)
        while done < len(starts):
            self._grow()
            done = number_strings(self.arrays, codes, starts, ends, numbers, done)
        return numbers

    def _grow(self) -> None:
        old, count, used = self.arrays, len(self), self.num_chars
        num_strings = max(len(old.hashes), 2 * (count + 1))
        num_chars = max(len(old.codes), 2 * (used + int(old.state[_NEEDED])))
        self.arrays = _empty(num_strings, num_chars)
        self.arrays.codes[:used] = old.codes[:used]
        self.arrays.bounds[: count + 1] = old.bounds[: count + 1]
        self.arrays.hashes[:count] = old.hashes[:count]
        self.arrays.state[_NUM_STRINGS] = count
        fill_slots(self.arrays)


def codes_of(text: str) -> Codes:
    """Returns the characters of a text as numbers.

    >>> codes_of("aé").tolist()
    [97, 233]
    """
    return np.frombuffer(text.encode("utf-32-le"), np.int32)


def _empty(num_strings: int, num_chars: int) -> Arrays:
    num_slots = 1 << max(num_strings * 2 - 1, 1).bit_length()
    return Arrays(
        codes=np.empty(num_chars, np.int32),
        bounds=np.zeros(num_strings + 1, np.int64),
        hashes=np.empty(num_strings, np.int32),
        slots=np.zeros(num_slots, np.int32),
        state=np.array([0, SEED, 0]),
    )


@kernel
def number_strings(
    arrays: Arrays, codes: Codes, starts: Ints, ends: Ints, numbers: npt.NDArray[np.int32], first: int
) -> int:
    """Writes the numbers of the strings from the ``first`` one on. Returns the index of the first string without a
    number. It is below ``len(starts)`` if there is no room for that string."""
    state, slots, bounds = arrays.state, arrays.slots, arrays.bounds
    mask = len(slots) - 1
    for index in range(first, len(starts)):
        start = starts[index]
        size = ends[index] - start
        value = state[_SEED]
        for at in range(start, start + size):
            value = ((value ^ int(codes[at])) * _FACTOR) & _MASK
        value = (value ^ (value >> 19)) & 0x7FFFFFFF
        slot = value & mask
        number = -1
        while slots[slot] > 0 and number < 0:
            other = slots[slot] - 1
            begin = bounds[other]
            if arrays.hashes[other] == value and bounds[other + 1] - begin == size:
                at = 0
                while at < size and arrays.codes[begin + at] == codes[start + at]:
                    at += 1
                if at == size:
                    number = other
            slot = (slot + 1) & mask
        if number < 0:
            number = state[_NUM_STRINGS]
            begin = bounds[number]
            if number == len(arrays.hashes) or begin + size > len(arrays.codes):
                state[_NEEDED] = size
                return index
            for at in range(size):
                arrays.codes[begin + at] = codes[start + at]
            bounds[number + 1] = begin + size
            arrays.hashes[number] = value
            state[_NUM_STRINGS] = number + 1
            slots[slot] = number + 1
        numbers[index] = number
    return len(starts)


@kernel
def fill_slots(arrays: Arrays) -> None:
    """Writes the numbers of all strings into an empty hash table."""
    mask = len(arrays.slots) - 1
    for number in range(arrays.state[_NUM_STRINGS]):
        slot = arrays.hashes[number] & mask
        while arrays.slots[slot] > 0:
            slot = (slot + 1) & mask
        arrays.slots[slot] = number + 1
