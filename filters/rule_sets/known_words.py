"""Prepares the tables that the kernels (compiled functions) of ``splitting`` need. Splits the runs of characters that
these kernels cannot split."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from filters.rule_sets import english_words
from filters.rule_sets.splitting import (
    ALPHA,
    BEFORE_DOT,
    DIGIT,
    EXCEPTION,
    ICON,
    INFIX,
    LEFT,
    LETTER,
    LOWER,
    PAIR,
    PREFIX,
    QUOTE,
    SUFFIX,
    UNIT,
    UPPER,
    Kinds,
    Known,
    hash_of,
    split_strings,
)  # fmt: skip
from filters.rule_sets.strings import Strings, codes_of
from filters.rule_sets.texts import MAX_CODE, Ints

_KINDS = {"prefix": PREFIX, "suffix": SUFFIX, "icon": ICON, "lower": LOWER, "upper": UPPER, "quote": QUOTE,
          "letter": LETTER, "before_dot": BEFORE_DOT, "digit": DIGIT, "infix": INFIX}  # fmt: skip


@cache
def known() -> Known:
    """Returns the table of the strings that the kernels search for."""
    exceptions, strings = english_words.exceptions(), Strings()
    uses: dict[str, int] = dict.fromkeys(exceptions, EXCEPTION)
    for first in english_words.first_pairs():
        uses[first] = uses.get(first, 0) | PAIR
    for unit in english_words.units():
        uses[unit] = uses.get(unit, 0) | UNIT
    sizes = [[len(part) for part in exceptions.get(text, ())] for text in uses]
    slots = np.zeros(1 << 13, np.int32)
    assert 2 * len(uses) <= len(slots)
    assert all("".join(parts) == text for text, parts in exceptions.items())
    filters = np.zeros((2, max(map(len, uses)) + 1, 64), np.uint8)
    for text, use in uses.items():
        number, codes = strings.number_of(text), codes_of(text)
        filters[0, len(codes), codes[0] & 63] |= use
        filters[1, len(codes), codes[-1] & 63] |= use
        slot = hash_of.python(codes, 0, len(codes)) & (len(slots) - 1)
        while slots[slot]:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = number + 1
    return Known(
        codes=strings.codes.copy(),
        bounds=strings.bounds.copy(),
        slots=slots,
        uses=np.array(list(uses.values()), np.uint8),
        part_bounds=np.cumsum([0, *map(len, sizes)], dtype=np.int64),
        parts=np.array([size for one in sizes for size in one], np.int64),
        filters=filters,
    )


@cache
def kinds() -> Kinds:
    """Returns an array with one value per code point. Each bit of a value stands for one kind of character, for example
    the marks that are split off at the start of a word (``PREFIX``). The kinds are the classes of characters in
    ``english_words``, and the letters (``ALPHA``, as in ``str.isalpha``).

    >>> bool(kinds()[ord("a")] & ALPHA), bool(kinds()[ord("(")] & PREFIX), bool(kinds()[ord("a")] & SUFFIX)
    (True, True, False)
    """
    found = np.zeros(MAX_CODE + 1, np.uint16)
    characters = "".join(map(chr, range(MAX_CODE + 1)))
    for kind, pattern in english_words.character_classes().items():
        for match in re.finditer(f"{pattern}+", characters):
            found[match.start() : match.end()] |= _KINDS[kind]
    for match in re.finditer(r"[^\W_]+", characters):  # letters and other characters of words
        if match[0].isalpha():
            found[match.start() : match.end()] |= ALPHA
        else:
            found[match.start() : match.end()] |= np.array([one.isalpha() for one in match[0]]) * np.uint16(ALPHA)
    return found


def split_all(strings: Strings, first: int) -> tuple[Ints, Ints]:
    """Splits the strings from number ``first`` on. Returns two arrays: the end of each word, as an index in
    ``strings.codes``, and the number of words of each string.

    >>> strings = Strings()
    >>> for text in ("don't", "example.com,"):
    ...     _ = strings.number_of(text)
    >>> ends, counts = split_all(strings, 0)
    >>> ends.tolist(), counts.tolist()
    ([2, 5, 16, 17], [2, 2])
    """
    bounds = strings.bounds[first:]
    ends = np.empty(int(bounds[-1] - bounds[0]), np.int64)
    counts = np.empty(len(bounds) - 1, np.int64)
    used = split_strings(strings.codes, bounds, kinds(), known(), ends, counts)
    ends = ends[:used]
    left = np.flatnonzero(counts == LEFT)
    if not len(left):
        return ends, counts
    places = np.cumsum(np.maximum(counts, 0))[left]
    more: list[Ints] = []
    for number in left.tolist():
        words = english_words.split(strings.text(first + number))
        more.append(bounds[number] + np.cumsum([len(word) for word in words], dtype=np.int64))
        counts[number] = len(words)
    return np.insert(ends, np.repeat(places, counts[left]), np.concatenate(more)), counts
