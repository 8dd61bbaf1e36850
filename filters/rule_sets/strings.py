"""Numbers strings: equal strings get equal numbers. The strings are slices of an array of characters, so no Python
string is made.

The numbers are exact: two strings have the same number only if all of their characters are equal. Hashes are used only
to find strings quickly. A new string gets the next number, so the numbers do not depend on the hashes.
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
_SHORT = 8
"""A string of at most this many ASCII characters is its own key: the key contains the characters instead of a hash."""
_LOW, _LOW_FACTOR, _HIGH_FACTOR = (1 << 31) - 1, 0x9E3779B1, 0x85EBCA6B
_NUM_STRINGS, _SEED, _NEEDED = range(3)
SEED = 0x25_45F4_914F
"""The value with which the computation of every hash begins (our choice)."""


class Arrays(NamedTuple):
    """Holds numbered strings, and a hash table with which the number of a string is looked up."""

    codes: Codes
    """The characters of all strings, one string after another."""
    bounds: Ints
    """The start of the first string in ``codes``, then the end of each string."""
    keys: Ints
    """The key of each string. The key of a short ASCII string contains its characters, and is positive. The key of any
    other string is made from a hash, and is negative."""
    slots: Ints
    """The hash table, with two entries per slot: a key, and a string's number plus one. The number is 0 in a free slot.
    At least half of the slots are free."""
    state: Ints
    """Three numbers: the number of strings, the seed of the hashes, and the length in characters of the last string for
    which there was no room."""


class Strings:
    """Stores distinct strings. The number of a string is its position in the order in which the strings were added,
    from 0."""

    def __init__(self, num_strings: int = 1 << 16, num_chars: int = 1 << 19) -> None:
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
        """Returns the string with this number."""
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
        """Returns the numbers of the strings ``codes[starts[i]:ends[i]]``. Adds the strings that are new."""
        assert len(starts) == len(ends)
        assert not len(ends) or (starts.min() >= 0 and ends.max() <= len(codes))
        numbers, keys = np.empty(len(starts), np.int32), np.empty(len(starts), np.int64)
        write_keys(codes, starts, ends, SEED, keys)
        look_up(self.arrays, keys, numbers)
        check_long(self.arrays, codes, starts, ends, keys, numbers)
        done = number_strings(self.arrays, codes, starts, ends, keys, numbers, 0)
        while done < len(starts):
            self._grow()
            done = number_strings(self.arrays, codes, starts, ends, keys, numbers, done)
        return numbers

    def _grow(self) -> None:
        old, count, used = self.arrays, len(self), self.num_chars
        num_strings = max(len(old.keys), 2 * (count + 1))
        num_chars = max(len(old.codes), 2 * (used + int(old.state[_NEEDED])))
        self.arrays = _empty(num_strings, num_chars)
        self.arrays.codes[:used] = old.codes[:used]
        self.arrays.bounds[: count + 1] = old.bounds[: count + 1]
        self.arrays.keys[:count] = old.keys[:count]
        self.arrays.state[_NUM_STRINGS] = count
        fill_slots(self.arrays)


def codes_of(text: str) -> Codes:
    """Returns the code points of a text's characters.

    >>> codes_of("aé").tolist()
    [97, 233]
    """
    return np.frombuffer(text.encode("utf-32-le"), np.int32)


def _empty(num_strings: int, num_chars: int) -> Arrays:
    num_slots = 1 << max(num_strings * 2 - 1, 1).bit_length()
    return Arrays(
        codes=np.empty(num_chars, np.int32),
        bounds=np.zeros(num_strings + 1, np.int64),
        keys=np.empty(num_strings, np.int64),
        slots=np.zeros(2 * num_slots, np.int64),
        state=np.array([0, SEED, 0]),
    )


@kernel
def write_keys(codes: Codes, starts: Ints, ends: Ints, seed: int, keys: Ints) -> None:
    """Writes the key of each string into ``keys``. The hash table is searched for these keys (see :func:`key_of`)."""
    for index in range(len(starts)):
        keys[index] = key_of(codes, starts[index], ends[index], seed)


@kernel
def look_up(arrays: Arrays, keys: Ints, numbers: Codes) -> None:
    """For each key, writes the number of the first stored string with this key into ``numbers``. If no stored string
    has the key, writes -1."""
    slots, seed, mask = arrays.slots, arrays.state[_SEED], len(arrays.slots) // 2 - 1
    # This loop only looks up keys, so that the processor can wait for several places of the hash table at once.
    for index in range(len(keys)):
        key = keys[index]
        slot = first_slot(key, seed) & mask
        while slots[2 * slot + 1] > 0 and slots[2 * slot] != key:
            slot = (slot + 1) & mask
        numbers[index] = slots[2 * slot + 1] - 1


@kernel
def check_long(arrays: Arrays, codes: Codes, starts: Ints, ends: Ints, keys: Ints, numbers: Codes) -> None:
    """Corrects the numbers that :func:`look_up` wrote. If a key is made from a hash, the stored string with this key
    can be a different string. In this case, replaces its number in ``numbers`` by -1."""
    for index in range(len(keys)):
        number = numbers[index]
        if keys[index] < 0 and number >= 0 and not is_equal(arrays, number, codes, starts[index], ends[index]):
            numbers[index] = -1


@kernel
def number_strings(
    arrays: Arrays, codes: Codes, starts: Ints, ends: Ints, keys: Ints, numbers: npt.NDArray[np.int32], first: int
) -> int:
    """Finds the numbers of the strings whose number is still -1, from index ``first`` on. Adds the strings that are
    new. If there is no room for a new string, returns its index. Otherwise returns ``len(starts)``."""
    state, slots, bounds = arrays.state, arrays.slots, arrays.bounds
    seed, mask = state[_SEED], len(slots) // 2 - 1
    for index in range(first, len(starts)):
        if numbers[index] >= 0:
            continue
        key = keys[index]
        slot = first_slot(key, seed) & mask
        while slots[2 * slot + 1] > 0:
            other = slots[2 * slot + 1] - 1
            if slots[2 * slot] == key and (key > 0 or is_equal(arrays, other, codes, starts[index], ends[index])):
                break
            slot = (slot + 1) & mask
        if slots[2 * slot + 1] == 0:
            number, start, size = state[_NUM_STRINGS], starts[index], ends[index] - starts[index]
            begin = bounds[number]
            if number == len(arrays.keys) or begin + size > len(arrays.codes):
                state[_NEEDED] = size
                return index
            for at in range(size):
                arrays.codes[begin + at] = codes[start + at]
            bounds[number + 1] = begin + size
            arrays.keys[number] = key
            state[_NUM_STRINGS] = number + 1
            slots[2 * slot], slots[2 * slot + 1] = key, number + 1
        numbers[index] = slots[2 * slot + 1] - 1
    return len(starts)


@kernel
def key_of(codes: Codes, start: int, end: int, seed: int) -> int:
    """Returns the key of the string ``codes[start:end]``. For a short ASCII string, it is a positive number that
    contains all characters. For any other string, it is a negative number made from a hash."""
    key = 1
    if end - start <= _SHORT:
        at = start
        while at < end and codes[at] < 128:
            key = key << 7 | int(codes[at])
            at += 1
        if at == end:
            return key
    key = seed
    for at in range(start, end):
        key = ((key ^ int(codes[at])) * _FACTOR) & _MASK
    return -1 - key


@kernel
def first_slot(key: int, seed: int) -> int:
    """Returns a number whose lowest bits are the index of the slot at which the search for the key begins."""
    value = abs(key) ^ seed
    value = (value & _LOW) * _LOW_FACTOR ^ (value >> 31) * _HIGH_FACTOR
    return value ^ value >> 29


@kernel
def is_equal(arrays: Arrays, number: int, codes: Codes, start: int, end: int) -> bool:
    """Returns True if the stored string with this number is equal to ``codes[start:end]``."""
    begin = arrays.bounds[number]
    if arrays.bounds[number + 1] - begin != end - start:
        return False
    at = 0
    while at < end - start and arrays.codes[begin + at] == codes[start + at]:
        at += 1
    return at == end - start


@kernel
def fill_slots(arrays: Arrays) -> None:
    """Enters the keys and numbers of all strings into an empty hash table."""
    slots, mask = arrays.slots, len(arrays.slots) // 2 - 1
    for number in range(arrays.state[_NUM_STRINGS]):
        key = arrays.keys[number]
        slot = first_slot(key, arrays.state[_SEED]) & mask
        while slots[2 * slot + 1] > 0:
            slot = (slot + 1) & mask
        slots[2 * slot], slots[2 * slot + 1] = key, number + 1
