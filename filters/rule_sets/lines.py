"""Counts the lines and paragraphs of texts, those that are copies of earlier ones, and their marks.

There are three kinds of lines. Gopher's quality rules count those of ``str.splitlines``. Gopher's repetition rules split
at runs of newlines, so a text that begins with a newline has an empty first line. FineWeb's rules count the lines that
contain more than white space.
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

Kinds = npt.NDArray[np.uint8]


class Counts(NamedTuple):
    """Holds counts of each document."""

    chars: Ints
    hashes: Ints
    ellipses: Ints
    split_lines: Ints
    """Lines of ``str.splitlines``."""
    bullet_lines: Ints
    """Those that begin with a bullet."""
    ellipsis_lines: Ints
    """Those that end with an ellipsis."""
    paragraphs: Ints
    """Parts of the stripped text between runs of two or more newlines."""
    repeated_paragraphs: Ints
    """Those that are equal to an earlier paragraph."""
    repeated_paragraph_chars: Ints
    lines: Ints
    """Parts of the text between runs of newlines."""
    repeated_lines: Ints
    repeated_line_chars: Ints
    full_lines: Ints
    """Lines that contain more than white space."""
    ending_lines: Ints
    """Those whose last character is a mark that ends sentences."""
    short_lines: Ints
    repeated_full_line_chars: Ints
    newlines: Ints


def counts_of(texts: pa.Array, *, short_chars: int = 30) -> Counts:
    """Returns the counts of documents. Lines up to ``short_chars`` characters are short.

    >>> found = counts_of(pa.array(["- one\\\\n\\\\n- one\\\\n\\\\nTwo.", ""]))
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
    """Returns the kinds of each character: white space, ends of lines, marks that end sentences.

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
    """Writes the counts of each text, in the order of the fields of ``Counts``."""
    for document in range(len(starts) - 1):
        start, end = starts[document], starts[document + 1]
        row = counts[document]
        row[0] = end - start
        num_newlines = count_marks(codes, start, end, row)
        count_split_lines(codes, start, end, kinds, row)
        parts = np.empty((2, num_newlines + 1), np.int64)
        count_paragraphs(codes, start, end, kinds, parts, row)
        count_lines(codes, start, end, kinds, parts, row)
        count_full_lines(codes, kinds, short_chars, parts, row)
        row[16] = num_newlines


@kernel
def count_marks(codes: Codes, start: int, end: int, row: Ints) -> int:
    """Counts hash signs and ellipses. Three full stops are an ellipsis. Returns the number of newlines."""
    hashes, ellipses, num_newlines, dots = 0, 0, 0, 0
    for at in range(start, end):
        code = codes[at]
        hashes += code == _HASH
        num_newlines += code == _NEWLINE
        ellipses += code == _ELLIPSIS
        dots = dots + 1 if code == _DOT else 0
        if dots == 3:
            ellipses += 1
            dots = 0
    row[1], row[2] = hashes, ellipses
    return num_newlines


@kernel
def count_split_lines(codes: Codes, start: int, end: int, kinds: Kinds, row: Ints) -> None:
    """Counts lines as ``str.splitlines`` does, and those that begin with a bullet or end with an ellipsis."""
    num_lines, bullets, ellipses, at = 0, 0, 0, start
    while at < end:
        first, last = -1, -1
        kind = kinds[codes[at]]
        while not kind & _BREAK:
            if not kind & _SPACE:
                first = at if first < 0 else first
                last = at
            at += 1
            if at == end:
                break
            kind = kinds[codes[at]]
        num_lines += 1
        if first >= 0:
            bullets += codes[first] == _BULLET or codes[first] == _HYPHEN
            is_dots = last - first > 1 and codes[last] == _DOT and codes[last - 1] == _DOT and codes[last - 2] == _DOT
            ellipses += is_dots or codes[last] == _ELLIPSIS
        is_pair = at + 1 < end and codes[at] == _RETURN and codes[at + 1] == _NEWLINE
        at += 2 if is_pair else 1
    row[3], row[4], row[5] = num_lines, bullets, ellipses


@kernel
def count_paragraphs(codes: Codes, start: int, end: int, kinds: Kinds, parts: Ints, row: Ints) -> None:
    """Counts the parts of the stripped text between runs of two or more newlines."""
    while start < end and kinds[codes[start]] & _SPACE:
        start += 1
    while end > start and kinds[codes[end - 1]] & _SPACE:
        end -= 1
    count, first, at = 0, start, start
    while at < end:
        if codes[at] != _NEWLINE or codes[at + 1] != _NEWLINE:  # the last character is not a newline
            at += 1
            continue
        parts[0, count], parts[1, count] = first, at
        count += 1
        while codes[at] == _NEWLINE:
            at += 1
        first = at
    parts[0, count], parts[1, count] = first, end
    row[6] = count + 1
    if count > 0:
        count_copies(codes, parts, count + 1, row, 7)


@kernel
def count_lines(codes: Codes, start: int, end: int, kinds: Kinds, parts: Ints, row: Ints) -> None:
    """Counts the parts between runs of newlines. Writes where those that are not empty begin and end.

    The ends of those that are copies are written as negative numbers.
    """
    count, first = 0, start
    for at in range(start, end):
        if codes[at] == _NEWLINE:
            if at > first:
                parts[0, count], parts[1, count] = first, at
                count += 1
            first = at + 1
    if end > first:
        parts[0, count], parts[1, count] = first, end
        count += 1
    if count < parts.shape[1]:
        parts[0, count] = -1
    num_empty = 0  # an empty line before the first newlines, and one after the last
    if end > start:
        num_empty = (codes[start] == _NEWLINE) + (codes[end - 1] == _NEWLINE)
    row[9] = max(count + num_empty, 1)
    count_copies(codes, parts, count, row, 10)
    row[10] += num_empty == 2


@kernel
def count_full_lines(codes: Codes, kinds: Kinds, short_chars: int, parts: Ints, row: Ints) -> None:
    """Counts the lines that contain more than white space."""
    for number in range(parts.shape[1]):
        start, end = parts[0, number], abs(parts[1, number])
        if start < 0:
            break
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
def count_copies(codes: Codes, parts: Ints, count: int, row: Ints, column: int) -> None:
    """Counts the parts that are equal to earlier parts, and their characters. Makes the ends of these parts negative.

    Equal hashes only say which parts to compare.
    """
    if count < 2:
        return
    size = 4
    while size < 2 * count:
        size *= 2
    slots, hashes = np.zeros(size, np.int32), np.empty(count, np.int64)
    for number in range(count):
        start, end = parts[0, number], parts[1, number]
        value = int(end - start)
        for at in range(start, end):
            value = ((value ^ int(codes[at])) * _FACTOR) & _MASK
        value ^= value >> 19
        hashes[number] = value
        slot = value & (size - 1)
        while slots[slot] > 0:
            other = slots[slot] - 1
            begin = parts[0, other]
            if hashes[other] == value and parts[1, other] - begin == end - start:
                at = 0
                while at < end - start and codes[begin + at] == codes[start + at]:
                    at += 1
                if at == end - start:
                    row[column] += 1
                    row[column + 1] += end - start
                    parts[1, number] = -end
                    break
            slot = (slot + 1) & (size - 1)
        else:
            slots[slot] = number + 1
