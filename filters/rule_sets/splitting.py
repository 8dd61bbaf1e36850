"""Splits runs of characters without spaces into words, many at once, exactly as ``english_words.split`` does.

The kernels (compiled functions) follow the steps of ``english_words``: exceptions, then marks at both ends, then marks
inside. They leave a run to ``english_words`` in three cases: it is long, it can be a URL of an unusual form, or
neighbouring words in it can form an exception. This is less than one percent of the different runs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.compiled import kernel
from filters.rule_sets.texts import Codes, Ints

MAX_CHARS = 1_000
"""Longer runs are left to ``english_words`` (our choice), so that the kernels need only a fixed scratch space."""
LEFT = -1
"""Stored instead of the number of words for a run that is left to ``english_words``."""

ALPHA, PREFIX, SUFFIX, ICON, LOWER, UPPER = (1 << bit for bit in range(6))
QUOTE, LETTER, BEFORE_DOT, DIGIT, INFIX = (1 << bit for bit in range(6, 11))
EXCEPTION, PAIR, UNIT = 1, 2, 4
_HYPHEN, _DOT, _DASH, _LONG_DASH, _ELLIPSIS, _DEGREE = 0x2D, 0x2E, 0x2013, 0x2014, 0x2026, 0xB0
_APOSTROPHE, _ROUND_APOSTROPHE, _COMMA, _PLUS, _DOLLAR, _SLASH = 0x27, 0x2019, 0x2C, 0x2B, 0x24, 0x2F
_MAX_LABEL = 63
"""Longest label of a URL's host in characters (``example`` is a label of ``example.com``). URLs with a longer label are
left to ``english_words``, which accepts labels of up to 63 or 64 characters."""

Kinds = npt.NDArray[np.uint16]


class Known(NamedTuple):
    """Holds the strings that the kernels search for, in a hash table. A string can be an exception (a run that the
    general rules split into wrong words), a pair (the first two of these wrong words, joined), or a unit such as
    ``km``."""

    codes: Codes
    bounds: Ints
    """The start of the first string in ``codes``, then the end of each string."""
    slots: Codes
    """The hash table: in each slot, a string's number plus one. Free slots are 0."""
    uses: npt.NDArray[np.uint8]
    """For each string, its uses as bits: ``EXCEPTION``, ``PAIR``, ``UNIT``, or several of them."""
    part_bounds: Ints
    """The index in ``parts`` of each string's first word, then the length of ``parts``."""
    parts: Ints
    """The lengths of the words of all exceptions, in characters."""
    filters: npt.NDArray[np.uint8]
    """Two tables that exclude most strings quickly. ``filters[0, length, bits]`` has the uses of the known strings with
    this length whose first character ends in these six bits. ``filters[1]`` has the same for the last character."""


@kernel
def split_strings(codes: Codes, bounds: Ints, kinds: Kinds, known: Known, ends: Ints, counts: Ints) -> int:
    """Splits strings into words. Writes the end of each word into ``ends``, and the number of words of each string into
    ``counts``. Returns the number of ends that were written.

    Strings that only ``english_words`` can split are skipped, and their number of words is ``LEFT``. ``ends`` must be
    at least as long as the number of characters of all strings.
    """
    scratch = np.empty(2 * MAX_CHARS, np.int64)
    used = 0
    for number in range(len(bounds) - 1):
        count = split_one(codes, bounds[number], bounds[number + 1], kinds, known, scratch)
        counts[number] = count
        for at in range(count):
            ends[used + at] = scratch[at]
        used += max(count, 0)
    return used


@kernel
def split_one(codes: Codes, start: int, end: int, kinds: Kinds, known: Known, ends: Ints) -> int:
    """Splits one string into words, and writes their ends into ``ends``. Returns the number of words. If only
    ``english_words`` can split the string, returns ``LEFT``."""
    if end - start > MAX_CHARS:
        return LEFT
    number = find(codes, start, end, known, EXCEPTION)
    if number >= 0:
        return add_parts(start, number, known, ends, 0)
    at = start
    while at < end and kinds[codes[at]] & ALPHA:
        at += 1
    if at == end:
        ends[0] = end
        return min(1, end - start)
    first, last, count, behind = start, end, 0, len(ends)
    while first < last and find(codes, first, last, known, EXCEPTION) < 0:
        before = prefix_size(codes, first, last, kinds)
        is_end = before > 0 and find(codes, first + before, last, known, EXCEPTION) >= 0
        after = 0 if is_end else suffix_size(codes, first + before, last, kinds, known)
        if after > 0 and find(codes, first, last - after, known, EXCEPTION) >= 0:
            is_end, before = True, 0
        if before + after == 0:
            break
        if before > 0:
            first += before
            ends[count] = first
            count += 1
        if after > 0:
            behind -= 1  # marks at the end are noted from the end of the scratch space on
            ends[behind] = last
            last -= after
        if is_end:
            break
    number = find(codes, first, last, known, EXCEPTION)
    if number >= 0:
        count = add_parts(first, number, known, ends, count)
    elif is_plain_address(codes, first, last):
        ends[count] = last
        count += 1
    elif can_be_address(codes, first, last, kinds):
        return LEFT
    else:
        count = split_inside(codes, first, last, kinds, ends, count)
    for place in range(behind, len(ends)):
        ends[count] = ends[place]
        count += 1
    for place in range(1, count):
        first = start if place == 1 else ends[place - 2]
        if find(codes, first, ends[place], known, PAIR) >= 0:
            return LEFT
    return count


@kernel
def hash_of(codes: Codes, start: int, end: int) -> int:
    value = int(end - start)
    for at in range(start, end):
        value = ((value ^ int(codes[at])) * 0x1000193) & 0xFFFFFFFF
    return value ^ value >> 15


@kernel
def find(codes: Codes, start: int, end: int, known: Known, use: int) -> int:
    """Returns the number of the known string that is equal to ``codes[start:end]``. If there is none with this use
    (``EXCEPTION``, ``PAIR`` or ``UNIT``), returns -1."""
    size = end - start
    if size <= 0 or size >= known.filters.shape[1]:
        return -1
    if not known.filters[0, size, codes[start] & 63] & known.filters[1, size, codes[end - 1] & 63] & use:
        return -1
    mask = len(known.slots) - 1
    slot = hash_of(codes, start, end) & mask
    while known.slots[slot] > 0:
        number = known.slots[slot] - 1
        begin = known.bounds[number]
        if known.bounds[number + 1] - begin == end - start:
            at = 0
            while at < end - start and known.codes[begin + at] == codes[start + at]:
                at += 1
            if at == end - start:
                return number if known.uses[number] & use else -1
        slot = (slot + 1) & mask
    return -1


@kernel
def add_parts(start: int, number: int, known: Known, ends: Ints, count: int) -> int:
    """Writes the ends of an exception's words into ``ends``, from index ``count`` on. Returns the new number of ends.

    ``number`` is the number of the exception, and ``start`` is where it begins in the text.
    """
    for part in range(known.part_bounds[number], known.part_bounds[number + 1]):
        start += known.parts[part]
        ends[count] = start
        count += 1
    return count


@kernel
def prefix_size(codes: Codes, start: int, end: int, kinds: Kinds) -> int:
    """Returns the length of the mark at the start of ``codes[start:end]``, or 0 if there is none."""
    code = codes[start]
    if kinds[code] & PREFIX:
        return 1
    if code == _DOT:
        at = start
        while at < end and codes[at] == _DOT:
            at += 1
        return at - start if at - start > 1 else 0
    if code == _PLUS:
        return 0 if start + 1 < end and kinds[codes[start + 1]] & DIGIT else 1
    if code == 0x55:  # US$
        return 3 if start + 2 < end and codes[start + 1] == 0x53 and codes[start + 2] == _DOLLAR else 0
    if code == 0x41 or code == 0x43:  # A$, C$
        return 2 if start + 1 < end and codes[start + 1] == _DOLLAR else 0
    return 0


@kernel
def suffix_size(codes: Codes, start: int, end: int, kinds: Kinds, known: Known) -> int:
    """Returns the length of the longest mark or unit at the end of ``codes[start:end]``, or 0 if there is none."""
    if start >= end:
        return 0
    code, before = codes[end - 1], codes[end - 2] if end - 2 >= start else 0
    if code == _DOT:
        at = end
        while at > start and codes[at - 1] == _DOT:
            at -= 1
        if end - at > 1:
            return end - at
        is_upper = end - 3 >= start and kinds[before] & UPPER and kinds[codes[end - 3]] & UPPER
        is_degree = end - 3 >= start and codes[end - 3] == _DEGREE and before in (0x43, 0x46, 0x4B, 0x63, 0x66, 0x6B)
        return 1 if kinds[before] & BEFORE_DOT or is_upper or is_degree else 0
    if code in (0x53, 0x73) and before in (_APOSTROPHE, _ROUND_APOSTROPHE):  # 's
        return 2
    if kinds[code] & SUFFIX:
        return 2 if code == _ELLIPSIS and before == _ELLIPSIS else 1
    for at in range(max(start + 1, end - known.filters.shape[1]), end):
        if kinds[codes[at - 1]] & DIGIT and find(codes, at, end, known, UNIT) >= 0:
            return end - at
    return 1 if kinds[code] & ICON else 0


@kernel
def is_plain_address(codes: Codes, start: int, end: int) -> bool:
    """Returns True if the string is a URL of a simple form. ``english_words`` recognises each such string as a URL. The
    form is: an optional ``https://`` or similar; labels of ASCII letters and digits with full stops between them; a
    last label of lower-case letters; and an optional path."""
    at, label, num_labels, is_small = start, start, 0, True
    while at < end:
        code = codes[at]
        is_letter = 0x61 <= code <= 0x7A
        if not is_letter and not (0x30 <= code <= 0x39 or 0x41 <= code <= 0x5A):
            if code == 0x3A and num_labels == 0 and at - label > 1 and at + 2 < end:  # https://
                if codes[at + 1] != _SLASH or codes[at + 2] != _SLASH or label > start:
                    return False
                at += 2
                label = at + 1
            elif code == _DOT and 0 < at - label <= _MAX_LABEL:
                num_labels += 1
                label = at + 1
            elif code != _SLASH:
                return False
            else:
                break
            is_small = True
        else:
            is_small = is_small and is_letter
        at += 1
    return num_labels > 0 and is_small and 2 <= at - label <= _MAX_LABEL


@kernel
def can_be_address(codes: Codes, start: int, end: int, kinds: Kinds) -> bool:
    """Returns False if ``english_words`` cannot recognise the string as a URL. This is the case if the string has fewer
    than three full stops, and none of them is followed by two lower-case letters."""
    num_dots = 0
    for at in range(start, end):
        if codes[at] == _DOT:
            num_dots += 1
            if num_dots == 3 or (at + 2 < end and kinds[codes[at + 1]] & LOWER and kinds[codes[at + 2]] & LOWER):
                return True
    return False


@kernel
def split_inside(codes: Codes, start: int, end: int, kinds: Kinds, ends: Ints, count: int) -> int:
    """Splits ``codes[start:end]`` at the marks between letters and digits. Writes the ends of the words into ``ends``,
    from index ``count`` on. Returns the new number of ends."""
    word, at = start, start
    while at < end:
        size = infix_size(codes, start, at, end, kinds) if kinds[codes[at]] & INFIX else 0
        if size == 0 or at == start:  # a mark at the start is part of a word
            at += max(size, 1)
            continue
        if at > word:
            ends[count] = at
            count += 1
        at += size
        ends[count] = word = at
        count += 1
    if word < end:
        ends[count] = end
        count += 1
    return count


@kernel
def infix_size(codes: Codes, start: int, at: int, end: int, kinds: Kinds) -> int:
    """Returns the length of the mark at ``at`` if it separates two words, else 0."""
    code = codes[at]
    before = kinds[codes[at - 1]] if at > start else 0
    after = kinds[codes[at + 1]] if at + 1 < end else 0
    if code == _ELLIPSIS or kinds[code] & ICON:
        return 1
    size = 1
    while at + size < end and codes[at + size] == code:
        size += 1
    if code == _DOT:
        if size > 1:
            return size
        return 1 if before & (LOWER | QUOTE) and after & (UPPER | QUOTE) else 0
    if (
        code in (_PLUS, _HYPHEN, 0x2A, 0x5E)
        and before & DIGIT
        and (after & DIGIT or (at + 1 < end and codes[at + 1] == _HYPHEN))
    ):
        return 1
    if code == _COMMA:
        return 1 if before & LETTER and after & LETTER else 0
    if code in (_PLUS, 0x2A, 0x5E) or not before & (LETTER | DIGIT):
        return 0
    longest = 3 if code == _HYPHEN else 2 if code == _LONG_DASH else 1
    return size if size <= longest and at + size < end and kinds[codes[at + size]] & LETTER else 0
