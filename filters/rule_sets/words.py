"""Splits many documents into words at once, and represents words as numbers. Properties of a word, such as its length,
are computed only once.

When a run of characters without spaces occurs for the first time, it is split, and the result is stored in a table. If
the table is too large when a batch begins, it is replaced by an empty table. This limits the memory. No result depends
on the table's contents.
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
"""If a table has more different runs of characters than this, it is replaced before the next batch (our choice). A
table of this size takes about 150 MB."""
MAX_CHARS = 16 << 20
"""If the runs of a table have more characters than this together, it is replaced before the next batch (our choice)."""
_SPACE, _PUNCTUATION, _ALPHA = 1, 2, 4
_IS_WORD, _HAS_LETTER = 1, 2

Kinds = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Words:
    """Holds the words of a batch of documents, as numbers. Punctuation marks also count as words here."""

    ids: Codes
    """The number of each word. Equal words have equal numbers."""
    starts: Ints
    """The index in ``ids`` of each document's first word."""
    ends: Ints
    """The index in ``ids`` after each document's last word."""
    num_words: Ints
    """For each document, the number of words that do not consist only of punctuation marks."""
    num_chars: Ints
    """For each document, the number of characters in the words that ``num_words`` counts."""
    num_with_letter: Ints
    """For each document, the number of words that contain a letter."""
    table: _Table

    @property
    def num_all(self) -> Ints:
        """For each document, the number of words, including punctuation marks."""
        return self.ends - self.starts

    @property
    def bounds(self) -> Ints:
        """The offsets of the distinct words in their joined characters. For example, word 0 has ``bounds[1]``
        characters."""
        return self.table.words.bounds

    def take(self, rows: Ints) -> Words:
        """Returns the words of the documents with these row numbers."""
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
    """Stores the distinct runs of characters without spaces. For each run, stores the numbers of its words."""

    def __init__(self) -> None:
        self.chunks, self.words = Strings(), Strings()
        self._bounds, self._ids = np.zeros(1, np.int64), np.zeros(0, np.int32)
        """``_ids`` has the numbers of the words of all runs, one run after another. ``_bounds`` has the index in
        ``_ids`` of each run's first word. Both arrays have unused elements at their ends."""
        self._kinds = np.zeros(0, np.uint8)
        self._num_chunks, self._num_words = 0, 0

    @property
    def is_full(self) -> bool:
        """True if the table is too large, and should be replaced by an empty table."""
        return len(self.chunks) > MAX_CHUNKS or self.chunks.num_chars > MAX_CHARS

    def ids_of(self, texts: Texts) -> tuple[Codes, Ints]:
        """Returns two arrays: the numbers of all words of the documents, and the offsets of the documents. Document
        ``i`` has the words from ``offsets[i]`` to ``offsets[i + 1]``."""
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
        """Returns one row per document with three counts: words that are not only punctuation marks, characters of
        these words, and words that contain a letter."""
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
    """Returns the array if it has at least ``size`` elements. Otherwise returns a copy that is long enough, and at
    least twice as long as the array."""
    if size <= len(array):
        return array
    longer = np.zeros(max(size, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


_tables = threading.local()


def words_of(texts: pa.Array) -> Words:
    """Returns the words of documents. If the documents of the last call contained all these documents in the same
    order, the last result is used again.

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
    """Returns an array with one value per code point. Three bits of a value say whether the character is white space, a
    punctuation mark or a letter.

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
    """Finds the runs of characters without spaces. Writes their starts and ends into the two rows of ``places``.
    Returns the number of runs.

    Writes the offsets of the documents, counted in runs, into ``doc_bounds``. No run continues into the next document.
    ``places`` needs at least (number of characters + number of documents) / 2 columns.
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
    """Writes the numbers of all words of the documents into ``ids``, in the order of the text. For each document,
    writes the index after its last word in ``ids`` into ``bounds``. Returns the number of words.

    ``numbers`` has the number of each run of characters without spaces. ``table_ids`` and ``table_bounds`` have the
    words of each run.
    """
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
    """Writes the kinds of the words from number ``first`` on: whether a word is more than punctuation marks, and
    whether it contains a letter."""
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
    """Counts, for each document, the words that are not only punctuation marks, the characters of these words, and the
    words that contain a letter."""
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
    """Counts how many of the wanted words occur in each document, and writes the counts into ``found``.

    ``places`` has one value per word number. For a wanted word, the value is an index in ``last``. For any other word,
    it is -1. In ``last``, the function notes the last document in which each wanted word was counted. Before the call,
    ``last`` must contain only -1.
    """
    for document in range(len(starts)):
        for at in range(starts[document], ends[document]):
            place = places[ids[at]]
            if place >= 0 and last[place] != document:
                last[place] = document
                found[document] += 1
