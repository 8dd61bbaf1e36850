"""Splits many documents into words at once, and represents words as numbers. Properties of a word are looked up only
once.

When a run of characters without spaces occurs for the first time, it is split, and the result is stored in a table. If
the table is too large before a batch, an empty table replaces it, so that memory is bounded. No result depends on the
table's contents.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.compiled import kernel
from filters.rule_sets import known_words
from filters.rule_sets.marks import PUNCTUATION
from filters.rule_sets.splitting import ALPHA
from filters.rule_sets.strings import Strings
from filters.rule_sets.texts import MAX_CODE, Codes, Ints, Texts, groups_of, remembered

MAX_CHUNKS = 1 << 20
"""The largest number of different runs of characters in a table (our choice). So many runs take about 150 MB."""
MAX_CHARS = 16 << 20
"""The largest number of characters in all runs of a table together (our choice)."""
_SPACE, _PUNCTUATION, _ALPHA = 1, 2, 4
_IS_WORD, _HAS_LETTER = 1, 2

Kinds = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Words:
    """Holds the words and marks of a batch."""

    ids: Codes
    """The number of each word. Equal words have equal numbers."""
    starts: Ints
    """The index in ``ids`` of each document's first word."""
    ends: Ints
    """The index in ``ids`` behind each document's last word."""
    num_words: Ints
    """For each document, the number of words that do not consist of punctuation marks."""
    num_chars: Ints
    """For each document, the number of characters in these words."""
    num_with_letter: Ints
    """For each document, the number of words that contain a letter."""
    table: _Table

    @property
    def num_all(self) -> Ints:
        """The number of words and marks of each document."""
        return self.ends - self.starts

    @property
    def bounds(self) -> Ints:
        """The start of the first word in the characters of all words, then the end of each word."""
        return self.table.words.bounds

    def take(self, rows: Ints) -> Words:
        """Returns the words of some documents."""
        starts, ends = self.starts[rows], self.ends[rows]
        num_words, num_chars = self.num_words[rows], self.num_chars[rows]
        return replace(self, starts=starts, ends=ends, num_words=num_words, num_chars=num_chars,
                       num_with_letter=self.num_with_letter[rows])  # fmt: skip

    def num_different(self, wanted: Collection[str]) -> Ints:
        """Returns how many of the wanted words occur in each document.

        >>> words_of(pa.array(["the cat and the dog", "a cat"])).num_different({"the", "and"}).tolist()
        [2, 0]
        """
        places = np.full(len(self.table.words) + len(wanted), -1, np.int32)
        numbers = [self.table.words.number_of(word) for word in dict.fromkeys(wanted) if word]
        places[numbers] = np.arange(len(numbers))
        found = np.zeros(len(self.starts), np.int64)
        count_different(self.ids, self.starts, self.ends, places, np.full(len(numbers), -1), found)
        return found


class _Table:
    """Numbers the runs of characters without spaces, and stores the numbers of the words of each run."""

    def __init__(self) -> None:
        self.chunks, self.words = Strings(), Strings()
        self._bounds, self._ids = np.zeros(1, np.int64), np.zeros(0, np.int32)
        """Of each run, the index of its first word in ``_ids``; and the numbers of the words of all runs. The arrays
        have free places at their ends."""
        self._kinds = np.zeros(0, np.uint8)
        self._num_chunks, self._num_words = 0, 0

    @property
    def is_full(self) -> bool:
        """True if the table should be replaced by an empty one."""
        return len(self.chunks) > MAX_CHUNKS or self.chunks.num_chars > MAX_CHARS

    def ids_of(self, texts: Texts) -> tuple[Codes, Ints]:
        """Returns the numbers of the words of documents. Also returns the index of each document's first word, and
        then the end of the last document."""
        num_chars, num_docs = len(texts.codes), len(texts.starts) - 1
        places = np.empty((2, (num_chars + num_docs) // 2 + 1), np.int64)
        doc_bounds = np.zeros(num_docs + 1, np.int64)
        count = find_chunks(texts.codes, texts.starts, kinds(), places, doc_bounds)
        numbers = self.chunks.numbers(texts.codes, places[0, :count], places[1, :count])
        if len(self.chunks) > self._num_chunks:
            self._split_new()
        ids = np.empty(num_chars, np.int32)  # a word has at least one character
        bounds = np.zeros(num_docs + 1, np.int64)
        used = copy_ids(self._ids, self._bounds, numbers, doc_bounds, ids, bounds)
        return ids[:used].copy(), bounds

    def counts_of(self, ids: Codes, bounds: Ints) -> Ints:
        """Returns three counts of each document: words, characters of words, and words and marks with a letter."""
        counts = np.zeros((len(bounds) - 1, 3), np.int64)
        count_words(ids, bounds, self.words.bounds, self._kinds, counts)
        return counts

    def _split_new(self) -> None:
        """Splits the runs that are not split yet."""
        first, num_words = self._num_chunks, self._num_words
        ends, counts = known_words.split_all(self.chunks, first)
        starts = np.concatenate([self.chunks.bounds[first : first + 1], ends[:-1]])
        ids = self.words.numbers(self.chunks.codes, starts, ends)
        used = int(self._bounds[first])
        self._ids = _with_room(self._ids, used + len(ids))
        self._ids[used : used + len(ids)] = ids
        self._num_chunks, self._num_words = len(self.chunks), len(self.words)
        self._bounds = _with_room(self._bounds, self._num_chunks + 1)
        self._bounds[first + 1 : self._num_chunks + 1] = used + np.cumsum(counts)
        self._kinds = _with_room(self._kinds, self._num_words)
        classify_words(self.words.codes, self.words.bounds, kinds(), num_words, self._kinds)


_A = TypeVar("_A", Ints, Codes, Kinds)


def _with_room(array: _A, size: int) -> _A:
    """Returns the array, or a longer copy if it has fewer than ``size`` places. Its length doubles at least."""
    if size <= len(array):
        return array
    longer = np.zeros(max(size, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


_tables = threading.local()


def words_of(texts: pa.Array) -> Words:
    """Returns the words of documents. If the last documents contained these documents, the words are not counted again.

    >>> words = words_of(pa.array(["Don't stop.", "Stop"]))
    >>> words.num_all.tolist(), words.num_words.tolist(), words.num_chars.tolist()
    ([4, 1], [3, 1], [9, 4])
    """
    return remembered("words", texts, _words_of, Words.take)


def _words_of(texts: pa.Array) -> Words:
    table: _Table | None = getattr(_tables, "table", None)
    if table is None or table.is_full:
        table = _tables.table = _Table()
    all_ids, starts, ends, counts = [np.zeros(0, np.int32)], [], [], [np.zeros((0, 3), np.int64)]
    used = 0
    for group in groups_of(texts):
        ids, bounds = table.ids_of(group)
        all_ids.append(ids)
        starts.append(used + bounds[:-1])
        ends.append(used + bounds[1:])
        counts.append(table.counts_of(ids, bounds))
        used += len(ids)
    num_words, num_chars, num_with_letter = np.concatenate(counts).T
    nothing = [np.zeros(0, np.int64)]
    return Words(
        ids=np.concatenate(all_ids),
        starts=np.concatenate(nothing + starts),
        ends=np.concatenate(nothing + ends),
        num_words=num_words,
        num_chars=num_chars,
        num_with_letter=num_with_letter,
        table=table,
    )


@cache
def kinds() -> Kinds:
    """Returns the kinds of each character: white space, punctuation marks, letters.

    >>> bool(kinds()[ord("é")] & _ALPHA), bool(kinds()[ord("\u3000")] & _SPACE), bool(kinds()[ord("!")] & _PUNCTUATION)
    (True, True, True)
    """
    found = np.zeros(MAX_CODE + 1, np.uint8)
    found[(known_words.kinds() & ALPHA) > 0] = _ALPHA
    found[[code for code in range(1 << 16) if chr(code).isspace()]] |= _SPACE  # all white space is in the first plane
    found[[ord(mark) for mark in PUNCTUATION]] |= _PUNCTUATION
    return found


@kernel
def find_chunks(codes: Codes, starts: Ints, kinds: Kinds, places: Ints, doc_bounds: Ints) -> int:
    """Writes where the runs of characters without spaces begin and end. Returns their number.

    A run ends with its document. ``places`` needs (characters + documents) / 2 columns.
    """
    count = 0
    for document in range(len(starts) - 1):
        at, end = starts[document], starts[document + 1]
        while at < end:
            if kinds[codes[at]] & _SPACE:
                at += 1
                continue
            places[0, count] = at
            while at < end and not kinds[codes[at]] & _SPACE:
                at += 1
            places[1, count] = at
            count += 1
        doc_bounds[document + 1] = count
    return count


@kernel
def copy_ids(table_ids: Codes, table_bounds: Ints, numbers: Codes, doc_bounds: Ints, ids: Codes, bounds: Ints) -> int:
    """Writes the numbers of the words of each run, one run after another, and where each document ends. Returns the
    number of words."""
    used = 0
    for document in range(len(doc_bounds) - 1):
        for index in range(doc_bounds[document], doc_bounds[document + 1]):
            number = numbers[index]
            for at in range(table_bounds[number], table_bounds[number + 1]):
                ids[used] = table_ids[at]
                used += 1
        bounds[document + 1] = used
    return used


@kernel
def classify_words(codes: Codes, bounds: Ints, kinds: Kinds, first: int, word_kinds: Kinds) -> None:
    """Writes the kinds of the words from the number ``first`` on."""
    for number in range(first, len(bounds) - 1):
        kind = 0
        for at in range(bounds[number], bounds[number + 1]):
            if not kinds[codes[at]] & _PUNCTUATION:
                kind |= _IS_WORD
            if kinds[codes[at]] & _ALPHA:
                kind |= _HAS_LETTER
        word_kinds[number] = kind


@kernel
def count_words(ids: Codes, bounds: Ints, word_bounds: Ints, word_kinds: Kinds, counts: Ints) -> None:
    """Counts the words of each document, their characters, and the words and marks that contain a letter."""
    for document in range(len(bounds) - 1):
        num_words, num_chars, num_with_letter = 0, 0, 0
        for at in range(bounds[document], bounds[document + 1]):
            word = ids[at]
            if word_kinds[word] & _IS_WORD:
                num_words += 1
                num_chars += word_bounds[word + 1] - word_bounds[word]
            num_with_letter += (word_kinds[word] & _HAS_LETTER) > 0
        counts[document, 0], counts[document, 1], counts[document, 2] = num_words, num_chars, num_with_letter


@kernel
def count_different(ids: Codes, starts: Ints, ends: Ints, places: Codes, last: Ints, found: Ints) -> None:
    """Counts the different wanted words of each document. ``places`` has a place in ``last`` for each wanted word, and
    -1 for all other words."""
    for document in range(len(starts)):
        for at in range(starts[document], ends[document]):
            place = places[ids[at]]
            if place >= 0 and last[place] != document:
                last[place] = document
                found[document] += 1
