"""Counts the lines and paragraphs of texts, the copies of earlier lines and paragraphs, and marks such as bullets.

There are three definitions of a line. Gopher's quality rules count the lines that ``str.splitlines`` returns. Gopher's
repetition rules split a text at runs of newlines, so a text that begins with a newline has an empty first line.
FineWeb's rules count the lines that contain more than white space.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.compiled import kernel
from filters.rule_sets.marks import TERMINAL_MARKS
from filters.rule_sets.texts import MAX_CODE, Codes, Ints, groups_of, remembered

_SPACE, _BREAK, _END = 1, 2, 4
_NEWLINE, _RETURN, _HASH, _DOT, _ELLIPSIS, _HYPHEN, _BULLET = 0x0A, 0x0D, 0x23, 0x2E, 0x2026, 0x2D, 0x2022
_FACTOR, _MASK = 0x1000193, (1 << 38) - 1
_LOW, _LOW_FACTORS, _HIGH_FACTORS = (1 << 31) - 1, (0x9E3779B1, 0xC2B2AE3D), (0x85EBCA6B, 0x27D4EB2F)
"""The constants of :func:`last_mix`. They are small enough that all of its products have at most 63 bits."""
_PROBES = 16
"""The search for copies stops using the hash table if it has looked at more than this many slots per part of the text.
Usually, it looks at about two."""

Kinds = npt.NDArray[np.uint8]


class Counts(NamedTuple):
    """Holds arrays with one count per document."""

    chars: Ints
    hashes: Ints
    ellipses: Ints
    split_lines: Ints
    """Lines of ``str.splitlines``."""
    bullet_lines: Ints
    """Lines of ``str.splitlines`` that begin with a bullet."""
    ellipsis_lines: Ints
    """Lines of ``str.splitlines`` that end with an ellipsis."""
    paragraphs: Ints
    """Parts of the stripped text between runs of two or more newlines."""
    repeated_paragraphs: Ints
    """Paragraphs that are equal to an earlier paragraph of the same text."""
    repeated_paragraph_chars: Ints
    lines: Ints
    """Parts of the text between runs of newlines."""
    repeated_lines: Ints
    repeated_line_chars: Ints
    full_lines: Ints
    """Lines that contain more than white space."""
    ending_lines: Ints
    """Lines with more than white space whose last character is a mark that ends sentences."""
    short_lines: Ints
    repeated_full_line_chars: Ints
    newlines: Ints


def counts_of(texts: pa.Array, *, short_chars: int = 30) -> Counts:
    """Returns the counts of each document. A line is short if it has at most ``short_chars`` characters.

    >>> found = counts_of(pa.array(["- one\\n\\n- one\\n\\nTwo.", ""]))
    >>> found.bullet_lines.tolist(), found.repeated_lines.tolist(), found.paragraphs.tolist(), found.chars.tolist()
    ([2, 0], [1, 0], [3, 1], [18, 0])
    """
    found = remembered(f"lines {short_chars}", texts, lambda one: _measured(one, short_chars), _rows)
    return Counts(*found.T)


def _measured(texts: pa.Array, short_chars: int) -> Ints:
    rows = [np.zeros((0, len(Counts._fields)), np.int64)]
    for group in groups_of(texts):
        counts = np.zeros((len(group.starts) - 1, len(Counts._fields)), np.int64)
        count_texts(group.codes, group.starts, kinds(), short_chars, counts)
        rows.append(counts)
    return np.concatenate(rows)


def _rows(counts: Ints, rows: Ints) -> Ints:
    return counts[rows]


@cache
def kinds() -> Kinds:
    """Returns an array with one value per code point. Three bits of a value say whether the character is white space,
    ends a line, or is a mark that ends sentences.

    >>> np.flatnonzero(kinds()[:128] & _BREAK).tolist(), bool(kinds()[ord(".")] & _END)
    ([10, 11, 12, 13, 28, 29, 30], True)
    """
    found = np.zeros(MAX_CODE + 1, np.uint8)
    for code in range(1 << 16):  # all white space is in the first plane
        character = chr(code)
        if character.isspace():
            found[code] |= _SPACE | (_BREAK if len(f"a{character}b".splitlines()) > 1 else 0)
    found[[ord(mark) for mark in TERMINAL_MARKS]] |= _END
    return found


@kernel
def count_texts(codes: Codes, starts: Ints, kinds: Kinds, short_chars: int, counts: Ints) -> None:
    """Writes the counts of each text into its row of ``counts``. The columns have the order of the fields of
    ``Counts``."""
    for document in range(len(starts) - 1):
        start, end = starts[document], starts[document + 1]
        row = counts[document]
        num_newlines = 0
        for at in range(start, end):
            num_newlines += codes[at] == _NEWLINE
        row[0], row[16] = end - start, num_newlines
        parts = np.empty((3, num_newlines + 1), np.int64)
        count = read_lines(codes, start, end, kinds, parts, row)
        num_empty = 0  # an empty line before the first newlines, and one after the last
        if end > start:
            num_empty = (codes[start] == _NEWLINE) + (codes[end - 1] == _NEWLINE)
        row[9] = max(count + num_empty, 1)
        count_copies(codes, parts[:, :count], row, 10)
        row[10] += num_empty == 2
        count_full_lines(codes, kinds, short_chars, parts[:, :count], row)
        row[6] = 1
        if num_newlines >= 2:
            count_paragraphs(codes, start, end, kinds, parts, row)


@kernel
def read_lines(codes: Codes, start: int, end: int, kinds: Kinds, parts: Ints, row: Ints) -> int:
    """Writes the start, the end and a hash of each line that is not empty into ``parts``. Returns the number of these
    lines.

    Also counts hash signs, ellipses, and the lines of ``str.splitlines``. Three full stops are an ellipsis.
    """
    hashes, ellipses, count, at = 0, 0, 0, start
    while at < end:
        if codes[at] == _NEWLINE:  # an empty line
            row[3] += 1
            at += 1
            continue
        first, value, seen, dots = at, 0, 0, 0
        while at < end and codes[at] != _NEWLINE:
            code = codes[at]
            value = ((value ^ int(code)) * _FACTOR) & _MASK
            seen |= kinds[code]
            hashes += code == _HASH
            ellipses += code == _ELLIPSIS
            dots = dots + 1 if code == _DOT else 0
            if dots == 3:
                ellipses += 1
                dots = 0
            at += 1
        parts[0, count], parts[1, count], parts[2, count] = first, at, last_mix(value)
        count += 1
        at = min(at + 1, end)
        count_split_lines(codes, first, at, kinds, seen & _BREAK > 0, row)
    row[1], row[2] = hashes, ellipses
    return count


@kernel
def count_split_lines(codes: Codes, start: int, end: int, kinds: Kinds, has_breaks: bool, row: Ints) -> None:
    """Counts the lines of ``str.splitlines``, the lines that begin with a bullet, and the lines that end with an
    ellipsis.

    If ``has_breaks`` is False, the text is one line, with or without a newline at its end.
    """
    at = start
    while at < end:
        first = at
        if has_breaks:
            while at < end and not kinds[codes[at]] & _BREAK:
                at += 1
        else:
            at = end
        last = at - 1
        while first <= last and kinds[codes[first]] & _SPACE:
            first += 1
        while last > first and kinds[codes[last]] & _SPACE:
            last -= 1
        row[3] += 1
        if first <= last:
            row[4] += codes[first] == _BULLET or codes[first] == _HYPHEN
            is_dots = last - first > 1 and codes[last] == _DOT and codes[last - 1] == _DOT and codes[last - 2] == _DOT
            row[5] += is_dots or codes[last] == _ELLIPSIS
        is_pair = at + 1 < end and codes[at] == _RETURN and codes[at + 1] == _NEWLINE
        at += 2 if is_pair else 1


@kernel
def count_full_lines(codes: Codes, kinds: Kinds, short_chars: int, parts: Ints, row: Ints) -> None:
    """Counts the lines that contain more than white space. In ``parts``, the end of a line is negative if the line is a
    copy of an earlier line."""
    for number in range(parts.shape[1]):
        start, end = parts[0, number], abs(parts[1, number])
        at = start
        while at < end and kinds[codes[at]] & _SPACE:
            at += 1
        if at < end:
            row[12] += 1
            row[13] += (kinds[codes[end - 1]] & _END) > 0
            row[14] += end - start <= short_chars
            if parts[1, number] < 0:
                row[15] += end - start


@kernel
def count_paragraphs(codes: Codes, start: int, end: int, kinds: Kinds, parts: Ints, row: Ints) -> None:
    """Counts the paragraphs of a text, and the copies of earlier paragraphs. A paragraph ends before two or more
    newlines. White space at both ends of the text is ignored. ``parts`` is overwritten."""
    while start < end and kinds[codes[start]] & _SPACE:
        start += 1
    while end > start and kinds[codes[end - 1]] & _SPACE:
        end -= 1
    count, first, at, value = 0, start, start, 0
    while at < end:
        if codes[at] != _NEWLINE or codes[at + 1] != _NEWLINE:  # the last character is not a newline
            value = ((value ^ int(codes[at])) * _FACTOR) & _MASK
            at += 1
            continue
        parts[0, count], parts[1, count], parts[2, count] = first, at, last_mix(value)
        count += 1
        while codes[at] == _NEWLINE:
            at += 1
        first, value = at, 0
    parts[0, count], parts[1, count], parts[2, count] = first, end, last_mix(value)
    row[6] = count + 1
    count_copies(codes, parts[:, : count + 1], row, 7)


@kernel
def last_mix(value: int) -> int:
    """Mixes a value: returns a hash in which every bit depends on all bits of the value."""
    value = (value & _LOW) * _LOW_FACTORS[0] ^ (value >> 31) * _HIGH_FACTORS[0]
    value ^= value >> 32
    value = (value & _LOW) * _LOW_FACTORS[1] ^ (value >> 31) * _HIGH_FACTORS[1]
    return value ^ value >> 29


@kernel
def count_copies(codes: Codes, parts: Ints, row: Ints, column: int) -> None:
    """Counts the copies among the parts of a text (lines or paragraphs), and the characters of the copies. A copy is a
    part that is equal to an earlier part. Makes the end of each copy in ``parts`` negative.

    The rows of ``parts`` are starts, ends and hashes. Parts with equal hashes are compared character by character. If a
    malicious text contains many different parts with equal hashes, the parts are sorted instead, so the time never
    becomes quadratic.
    """
    count = parts.shape[1]
    if count < 2:
        return
    if find_copies(codes, parts) < 0:
        sort_copies(codes, parts)
    for number in range(count):
        if parts[1, number] < 0:
            row[column] += 1
            row[column + 1] -= parts[1, number] + parts[0, number]


@kernel
def find_copies(codes: Codes, parts: Ints) -> int:
    """Finds the copies (see :func:`count_copies`) with a hash table, and makes the end of each copy negative. Returns
    the number of slots that were looked at, or -1 if there were too many.

    If two different parts have the same hash, each character of the later part also counts as a slot.
    """
    count, size, probes = parts.shape[1], 4, 0
    while size < 2 * count:
        size *= 2
    slots = np.zeros(size, np.int32)
    for number in range(count):
        slot = parts[2, number] & (size - 1)
        while slots[slot] > 0:
            other = slots[slot] - 1
            if parts[2, other] == parts[2, number]:
                if difference(codes, parts, other, number) == 0:
                    parts[1, number] = -parts[1, number]
                    break
                probes += parts[1, number] - parts[0, number]
            slot = (slot + 1) & (size - 1)
            probes += 1
            if probes > _PROBES * (count + 4):
                return -1
        else:
            slots[slot] = number + 1
    return int(probes + count)


@kernel
def sort_copies(codes: Codes, parts: Ints) -> None:
    """Finds the copies (see :func:`count_copies`) by sorting the parts, and makes the end of each copy negative."""
    # A merge sort keeps equal parts in the order of the text, so the first of them is not marked as a copy.
    count, width = parts.shape[1], 1
    order, merged = np.empty(count, np.int64), np.empty(count, np.int64)
    for number in range(count):
        parts[1, number] = abs(parts[1, number])
        order[number] = number
    while width < count:
        for start in range(0, count, 2 * width):
            middle, end = min(start + width, count), min(start + 2 * width, count)
            left, right = start, middle
            for at in range(start, end):
                if right == end or (left < middle and difference(codes, parts, order[left], order[right]) <= 0):
                    merged[at] = order[left]
                    left += 1
                else:
                    merged[at] = order[right]
                    right += 1
        order, merged = merged, order
        width *= 2
    for at in range(count - 1, 0, -1):
        if difference(codes, parts, order[at - 1], order[at]) == 0:
            parts[1, order[at]] = -parts[1, order[at]]


@kernel
def difference(codes: Codes, parts: Ints, one: int, two: int) -> int:
    """Compares two parts of a text (lines or paragraphs). Returns 0 if they are equal, a negative number if part
    ``one`` sorts first, and a positive number if part ``two`` sorts first."""
    start, ahead = parts[0, one], parts[0, two] - parts[0, one]
    size = parts[1, one] - start
    if parts[1, two] - parts[0, two] != size:
        return int(size - parts[1, two] + parts[0, two])
    for at in range(start, start + size):
        if codes[at] != codes[at + ahead]:
            return int(codes[at]) - int(codes[at + ahead])
    return 0
