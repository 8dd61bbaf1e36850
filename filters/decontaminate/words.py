r"""Splits texts into normalised words. Returns numpy arrays with a hash of each word and its place in the text.

If two spellings of a text differ only in case, punctuation, white space, accents, the width of characters, invisible
characters, or HTML entities, they have the same words. In scripts that are written without spaces (Chinese, Japanese,
Thai, Lao, Khmer, Burmese), each character is a word.

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

NORMALISATION_VERSION = 1
"""Version of the normalisation. Increase it when a text would be split into different words, so that stored tables are
rebuilt.
"""

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]

_CHUNK_CHARS = 1 << 16
_BASE = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SEPARATOR, _LETTER, _SINGLE, _IGNORED = 0, 1, 2, 3
_NUM_CODE_POINTS = 0x110000
_LAST_NAMED = 0x20000
"""All code points above this one are ideographs or unassigned."""

_IGNORED_RANGES = ((0x300, 0x36F), (0xAD, 0xAD), (0x200C, 0x200D), (0x2060, 0x2060), (0xFEFF, 0xFEFF),
                   (0xFE00, 0xFE0F), (0x640, 0x640), (0x64B, 0x652))  # fmt: skip
"""Characters that are ignored, because the same text occurs with and without them: combining accents, soft hyphens,
joiners, byte order marks, variation selectors, and the vowel marks of Arabic."""
_SINGLE_RANGES = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF),
                  (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF))  # fmt: skip
"""The scripts in which each character is a word: Thai and Lao, Burmese, Khmer, Japanese, Chinese."""

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


@dataclass(frozen=True, slots=True)
class HashedWords:
    """Holds the words of several texts, one text after another."""

    hashes: U64
    starts: I64
    """The place of each word's first character in its text."""
    ends: I64
    """The place after each word's last character."""
    offsets: I64
    """Text ``i`` has the words from ``offsets[i]`` to ``offsets[i + 1]``."""


@functools.cache
def _tables() -> tuple[U32, npt.NDArray[np.uint8], bytes, bytes]:
    """Returns two tables that are indexed by code point: the folded character (lower case, no accents), and its class.
    Also returns the two tables for ASCII alone, as bytes.

    The class says whether a character is a letter of a longer word, a word by itself (single), ignored, or a separator.
    """
    folded = np.arange(_NUM_CODE_POINTS, dtype=np.uint32)
    classes = np.zeros(_NUM_CODE_POINTS, dtype=np.uint8)
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
    ascii_folded = bytes(int(folded[code]) if code < 128 else 0 for code in range(256))
    ascii_classes = bytes(int(classes[code]) if code < 128 else 0 for code in range(256))
    return folded, classes, ascii_folded, ascii_classes


@functools.cache
def _powers() -> tuple[U64, U64]:
    """Returns two arrays of powers modulo 2**64: those of ``_BASE`` (the base of the words' hash), and those of its
    inverse."""

    def powers_of(base: int) -> U64:
        return np.cumprod(np.array([1] + [base] * _CHUNK_CHARS, dtype=np.uint64), dtype=np.uint64)

    return powers_of(_BASE), powers_of(pow(_BASE, -1, 1 << 64))


def split_words(texts: Sequence[str]) -> HashedWords:
    """Returns the words of several texts. The words of a text do not depend on the other texts."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    firsts = np.concatenate([[0], np.cumsum(lengths + 1)])[: len(texts)].astype(np.int64)
    joined = "\n".join(texts)
    found = [_words_of_chunk(joined, start, end) for start, end in _chunks(joined)]
    hashes, starts, ends = (
        (np.concatenate([one[i] for one in found]) for i in range(3))
        if found
        else (np.zeros(0, np.uint64), *_no_places())
    )
    offsets = np.append(np.searchsorted(starts, firsts), len(starts)).astype(np.int64)
    shifts = np.repeat(firsts, np.diff(offsets))
    return HashedWords(hashes, starts - shifts, ends - shifts, offsets)


def _no_places() -> tuple[I64, I64]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def _chunks(text: str) -> list[tuple[int, int]]:
    """Splits a text into chunks of at most 65,536 characters, and returns their starts and ends.

    A chunk ends at white space if there is any in its second half. Otherwise it ends after 65,536 characters.
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


def _words_of_chunk(text: str, start: int, end: int) -> tuple[U64, I64, I64]:
    text = text[start:end]
    values, classes, places = _normalised(text)
    is_word = classes != _SEPARATOR
    singles = classes == _SINGLE
    if singles.any():
        before = np.concatenate([[True], ~is_word[:-1] | singles[:-1]])
        after = np.concatenate([~is_word[1:] | singles[1:], [True]])
        first = np.flatnonzero(is_word & (singles | before))
        last = np.flatnonzero(is_word & (singles | after))
    else:
        padded = np.zeros(len(is_word) + 2, dtype=np.bool_)
        padded[1:-1] = is_word
        edges = np.flatnonzero(padded[1:] != padded[:-1])
        first, last = edges[::2], edges[1::2] - 1
    powers, inverses = _powers()
    sums = np.empty(len(values) + 1, dtype=np.uint64)
    sums[0] = 0
    np.multiply(values, powers[: len(values)], out=sums[1:])
    np.cumsum(sums, out=sums)
    hashes = (sums[last + 1] - sums[first]) * inverses[first]
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(32)
    hashes *= _MIX
    hashes >>= np.uint64(32)  # an index stores 32 bits of each word
    if places is None:
        return hashes, first + start, last + (start + 1)
    return hashes, places[0][first] + start, places[1][last] + start


def _normalised(text: str) -> tuple[npt.NDArray[np.unsignedinteger], npt.NDArray[np.uint8], tuple[I64, I64] | None]:
    """Returns the folded characters of a text, their classes, and their places in the text (begins and ends).

    If no character was left out, None is returned instead of the places, because these are then just 0, 1, 2, and so
    on.
    """
    folded, class_of, ascii_folded, ascii_classes = _tables()
    is_ascii = text.isascii()
    raw = text.encode("ascii", "replace")
    values: npt.NDArray[np.unsignedinteger] = np.frombuffer(raw.translate(ascii_folded), dtype=np.uint8)
    classes = np.frombuffer(raw.translate(ascii_classes), dtype=np.uint8)
    has_entities = "&" in text and _ENTITY.search(text) is not None
    if is_ascii and not has_entities:
        return values, classes, None
    values, classes = values.astype(np.uint32), classes.copy()
    if not is_ascii:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        others = np.flatnonzero(codes > 127)
        values[others] = folded[codes[others]]
        classes[others] = class_of[codes[others]]
    begins = np.arange(len(values), dtype=np.int64)
    ends = begins + 1
    for entity in _ENTITY.finditer(text) if has_entities else ():
        meant = html.unescape(entity[0])
        if len(meant) == 1:
            at = entity.start()
            values[at], classes[at], ends[at] = folded[ord(meant)], class_of[ord(meant)], entity.end()
            classes[at + 1 : entity.end()] = _IGNORED
    kept = classes != _IGNORED
    if kept.all():
        return values, classes, None
    return values[kept], classes[kept], (begins[kept], ends[kept])


@functools.cache
def _single_hashes() -> U32:
    """Returns the sorted hashes of all words that consist of one character of a script without spaces."""
    classes = _tables()[1]
    characters = [chr(code) for code in np.flatnonzero(classes[:_LAST_NAMED] == _SINGLE).tolist()]
    return np.unique(split_words([" ".join(characters)]).hashes.astype(np.uint32))


def is_single(hashes: U32) -> npt.NDArray[np.bool_]:
    """Returns a mask. It is True for words that consist of one character of a script without spaces.

    >>> is_single(split_words(["word 中"]).hashes.astype(np.uint32)).tolist()
    [False, True]
    """
    return np.isin(hashes, _single_hashes())
