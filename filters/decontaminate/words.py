r"""Splits texts into normalised words. The result is numpy arrays with the hash and the position of each word.

Two texts have the same words if they differ only in case, punctuation, white space, accents, full-width characters,
invisible characters or HTML entities. In scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Khmer,
Burmese), each character is a word.

>>> a = split_words(["What's  the <b>capital</b> of FRANCE?"])
>>> b = split_words(["what&#39;s the\ncapital of france"])
>>> a.hashes.tolist()[:3] == b.hashes.tolist()[:3]
True
"""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.compiled import kernel

NORMALISATION_VERSION = 2
"""Version of the normalisation. Increase it if a change makes different words from the same text. Stored tables are
then built again.
"""

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]

_CHUNK_CHARS = 1 << 16
_BASE = 0x9E3779B97F4A7C15
_MIX = 0xD6E8FEB86659FD93
_SEPARATOR, _LETTER, _SINGLE, _IGNORED, _REST = 0, 1, 2, 3, 4
"""The classes of characters. `_REST` is the class of all characters of an HTML entity except its first."""
_CLASS_SHIFT, _CHARACTER_MASK = 24, (1 << 24) - 1
_NUM_CODE_POINTS = 0x110000
_REST_CODE = _NUM_CODE_POINTS
_LAST_NAMED = 0x20000
"""All code points from this one up are treated as ideographs or as unassigned."""

_IGNORED_RANGES = ((0x300, 0x36F), (0xAD, 0xAD), (0x200C, 0x200D), (0x2060, 0x2060), (0xFEFF, 0xFEFF),
                   (0xFE00, 0xFE0F), (0x640, 0x640), (0x64B, 0x652), (0x591, 0x5BD), (0x5BF, 0x5BF), (0x5C1, 0x5C2),
                   (0x5C4, 0x5C5), (0x5C7, 0x5C7), (0x200B, 0x200B), (0x200E, 0x200F), (0x202A, 0x202E),
                   (0x2061, 0x2064), (0x2066, 0x2069))  # fmt: skip
"""Characters that are ignored, because the same text occurs with and without them: combining accents, soft hyphens,
joiners, spaces without width, marks of direction, byte order marks, variation selectors, and the vowel marks of Arabic
and Hebrew."""
_SINGLE_RANGES = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF),
                  (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9D))  # fmt: skip
"""The code points of scripts in which each character is a word: Thai and Lao, Burmese, Khmer, Japanese, Chinese."""

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


@dataclass(frozen=True, slots=True)
class HashedWords:
    """Holds the words of several texts, one text after another."""

    hashes: U64
    starts: I64
    """The index of each word's first character in its text."""
    ends: I64
    """The index after each word's last character in its text."""
    offsets: I64
    """Text ``i`` has the words from ``offsets[i]`` to ``offsets[i + 1]``."""


@functools.cache
def _table() -> U32:
    """Returns a table with one 32-bit number per code point. The highest byte is the class of the character. The other
    bytes are the character in lower case and without accents.
    """
    folded = np.arange(_NUM_CODE_POINTS + 1, dtype=np.uint32)
    classes = np.zeros(_NUM_CODE_POINTS + 1, dtype=np.uint32)
    classes[_LAST_NAMED:0x40000] = _SINGLE
    for code in range(_LAST_NAMED):
        character = chr(code)
        if unicodedata.category(character)[0] in "LNM":
            classes[code] = _LETTER
            if not 0xAC00 <= code <= 0xD7A3:  # Korean syllables are not decomposed
                folded[code] = ord(unicodedata.normalize("NFKD", character.casefold())[0])
    for first, last in _SINGLE_RANGES:
        here = slice(first, last + 1)
        classes[here] = np.where(classes[here] == _LETTER, _SINGLE, classes[here])
    for first, last in _IGNORED_RANGES:
        classes[first : last + 1] = _IGNORED
    classes[_REST_CODE] = _REST
    return folded | classes << np.uint32(_CLASS_SHIFT)


def split_words(texts: Sequence[str]) -> HashedWords:
    """Returns the hashes and positions of the words of several texts. The words of a text do not depend on the other
    texts."""
    most = sum(map(len, texts))  # what is not written takes no memory
    hashes, starts, ends = np.empty(most, np.uint64), np.empty(most, np.int64), np.empty(most, np.int64)
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    count, table = 0, _table()
    for number, text in enumerate(texts):
        for start, end in _chunks(text):
            count = find_words(_codes(text[start:end]), table, start, count, hashes, starts, ends)
        offsets[number + 1] = count
    return HashedWords(hashes[:count], starts[:count], ends[:count], offsets)


def _chunks(text: str) -> list[tuple[int, int]]:
    """Splits a text into chunks of at most 65,536 characters. Returns the start and end of each chunk.

    A chunk ends before a space or a line end, unless its second half contains neither. So a word of more than 32,768
    characters may be cut.
    """
    chunks, start = [], 0
    while start < len(text):
        end = min(len(text), start + _CHUNK_CHARS)
        if end < len(text):
            cut = max(text.rfind("\n", start + _CHUNK_CHARS // 2, end), text.rfind(" ", start + _CHUNK_CHARS // 2, end))
            end = cut if cut > 0 else end
        chunks.append((start, end))
        start = end
    return chunks


def _codes(text: str) -> npt.NDArray[np.uint8] | U32:
    """Returns the code points of a text. An HTML entity is replaced: its first character by the character that the
    entity means, and each further character by `_REST_CODE`.
    """
    codes: npt.NDArray[np.uint8] | U32
    if text.isascii():
        codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    is_copy = False
    for entity in _ENTITY.finditer(text) if "&" in text else ():
        meant = html.unescape(entity[0])
        if len(meant) == 1:
            if not is_copy:
                codes, is_copy = codes.astype(np.uint32), True
            codes[entity.start()] = ord(meant)
            codes[entity.start() + 1 : entity.end()] = _REST_CODE
    return codes


@kernel
def find_words(
    codes: npt.NDArray[np.uint8] | U32, table: U32, shift: int, count: int, hashes: U64, starts: I64, ends: I64
) -> int:  # fmt: skip
    """Writes the hash, the start and the end of each word into ``hashes``, ``starts`` and ``ends``. These arrays
    already contain ``count`` words. Returns the new number of words.

    The arrays must have room for one more word per character. ``shift`` is added to all starts and ends. The hash is a
    polynomial of the characters in lower case and without accents. Its bits are mixed, and the 32 high bits are kept,
    because an index stores 32 bits.
    """
    base, mix, half = np.uint64(_BASE), np.uint64(_MIX), np.uint64(32)
    to_class, mask, one = np.uint64(_CLASS_SHIFT), np.uint64(_CHARACTER_MASK), np.uint64(1)
    letter, single, ignored, rest = np.uint64(_LETTER), np.uint64(_SINGLE), np.uint64(_IGNORED), np.uint64(_REST)
    first = np.uint64(shift)
    at, free, num_codes = np.uint64(0), np.uint64(count), np.uint64(len(codes))  # unsigned: never counted from the end
    while at < num_codes:
        value = np.uint64(table[codes[at]])
        kind = value >> to_class
        if kind != letter and kind != single:
            at += one
            continue
        word, power = value & mask, base
        starts[free] = first + at
        at += one
        end, is_kept = at, True  # whether the last character is a part of the word
        while at < num_codes:
            value = np.uint64(table[codes[at]])
            following = value >> to_class
            if following == letter and kind == letter:
                word += (value & mask) * power
                power *= base
                is_kept = True
            elif following == ignored and kind == letter:
                is_kept = False
            elif following != rest:
                break
            at += one
            if is_kept:
                end = at
        word *= mix
        word ^= word >> half
        word *= mix
        hashes[free], ends[free] = word >> half, first + end
        free += one
    return int(free)


@functools.cache
def _single_hashes() -> U32:
    """Returns the sorted hashes of all words that consist of one character of a script without spaces."""
    classes = _table()[:_LAST_NAMED] >> np.uint32(_CLASS_SHIFT)
    characters = [chr(code) for code in np.flatnonzero(classes == _SINGLE).tolist()]
    return np.unique(split_words([" ".join(characters)]).hashes.astype(np.uint32))


def is_single(hashes: U32) -> npt.NDArray[np.bool_]:
    """Returns a mask with one entry per word. An entry is True if the word is one character of a script without spaces.

    >>> is_single(split_words(["word 中"]).hashes.astype(np.uint32)).tolist()
    [False, True]
    """
    return np.isin(hashes, _single_hashes())
