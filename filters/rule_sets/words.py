"""Splits many documents into words at once, and represents words as numbers. Properties of a word are looked up only
once.

When a run of characters without spaces occurs for the first time, it is split, and the result is stored in a table. If
the table is too large before a batch, an empty table replaces it, so that memory is bounded. No result depends on the
table's contents.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.rule_sets.english_words import split

MAX_CHUNKS = 1 << 20
"""The largest number of different runs of characters in a table (our choice). So many runs take about 200 MB."""
MAX_CHARS = 64 << 20
"""The largest number of characters in all runs of a table together (our choice)."""
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_PUNCTUATION_MARKS = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
_TERMINAL_RANGES = """
21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 17d4-17d6 17d9-17da
1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 2e53-2e54
3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f
ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239
1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7 11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c
11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f 16af5 16b37-16b38 16b44 16e98 1bc9f 1da88
"""


def _terminal_marks() -> frozenset[str]:
    ends = (one.partition("-") for one in _TERMINAL_RANGES.split())
    return frozenset(chr(c) for first, _, last in ends for c in range(int(first, 16), int(last or first, 16) + 1))


TERMINAL_MARKS = _terminal_marks()
"""Marks that end a sentence, from all scripts (datatrove, utils/text.py ``TERMINAL_PUNCTUATION``)."""
PUNCTUATION = frozenset(_PUNCTUATION_MARKS) | TERMINAL_MARKS | frozenset(
    chr(c) for first, end in ((0, 9), (11, 13), (13, 32), (127, 160)) for c in range(first, end)
)  # fmt: skip
"""Punctuation marks and control characters. A run of only these is not a word (datatrove, utils/text.py
``PUNCTUATION_SET``)."""


@dataclass(frozen=True, slots=True)
class Words:
    """Holds the words and marks of a batch, one document after another."""

    ids: Ints
    """The number of each word. Equal words have equal numbers."""
    starts: Ints
    """The index in ``ids`` of each document's first word, then the end of the last document."""
    num_chars: Ints
    """Number of characters of each word."""
    is_word: npt.NDArray[np.bool_]
    """False for words that consist of punctuation marks."""
    has_letter: npt.NDArray[np.bool_]
    """True for words that contain a letter."""
    table: _Table

    def sum_by_document(self, values: npt.NDArray[Any]) -> Ints:
        """Sums ``values`` over the words of each document. ``values`` has one entry per word.

        >>> words = words_of(["One two.", "", "Three"])
        >>> words.sum_by_document(words.is_word).tolist()
        [2, 0, 1]
        """
        total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
        sums: Ints = total[self.starts[1:]] - total[self.starts[:-1]]
        return sums

    def num_words(self) -> Ints:
        """Returns the number of words and marks of each document."""
        return np.diff(self.starts)

    def num_different(self, wanted: Collection[str]) -> Ints:
        """Returns how many of the wanted words occur in each document.

        >>> words_of(["the cat and the dog", "a cat"]).num_different({"the", "and"}).tolist()
        [2, 0]
        """
        found = np.zeros(len(self.starts) - 1, np.int64)
        known = [number for word in sorted(wanted) if (number := self.table.word_ids.get(word)) is not None]
        if not known:
            return found
        at = np.flatnonzero(np.isin(self.ids, known))
        documents = np.searchsorted(self.starts, at, side="right") - 1
        pairs = np.unique(documents * (1 << 32) + self.ids[at])
        np.add.at(found, pairs >> 32, 1)
        return found


class _Table(dict[str, int]):
    """Maps each run of characters to a number, and stores the words of the run. An unknown run is split and added."""

    def __init__(self) -> None:
        super().__init__()
        self.word_ids: dict[str, int] = {}
        self.num_chars, self.is_word, self.has_letter = array("i"), array("b"), array("b")
        self.first, self.count, self.words = array("q"), array("i"), array("i")
        self.total_chars = 0

    def __missing__(self, chunk: str) -> int:
        number = len(self.first)
        self.first.append(len(self.words))
        numbers = [self._number_of(word) for word in split(chunk)]
        self.count.append(len(numbers))
        self.words.extend(numbers)
        self[chunk] = number
        self.total_chars += len(chunk)
        return number

    def _number_of(self, word: str) -> int:
        number = self.word_ids.get(word)
        if number is None:
            number = self.word_ids[word] = len(self.word_ids)
            self.num_chars.append(len(word))
            self.is_word.append(any(char not in PUNCTUATION for char in word))
            self.has_letter.append(any(map(str.isalpha, word)))
        return number

    @property
    def is_full(self) -> bool:
        """True if the table should be replaced by an empty one."""
        return len(self.first) > MAX_CHUNKS or self.total_chars > MAX_CHARS


_tables = threading.local()


def words_of(texts: Sequence[str]) -> Words:
    """Returns the words of documents. The last result is cached, because the next step usually has the same documents.

    >>> words = words_of(["Don't stop.", "Stop"])
    >>> words.num_words().tolist(), words.num_chars.tolist(), words.is_word.tolist()
    ([4, 1], [2, 3, 4, 1, 4], [True, True, True, False, True])
    """
    last: tuple[Sequence[str], Words] | None = getattr(_tables, "last", None)
    if last is not None and last[0] == texts:
        return last[1]
    table: _Table | None = getattr(_tables, "table", None)
    if table is None or table.is_full:
        table = _tables.table = _Table()
    words = _words_of(texts, table)
    _tables.last = texts, words
    return words


def _words_of(texts: Sequence[str], table: _Table) -> Words:
    chunks = pc.utf8_split_whitespace(pa.array(texts, pa.string()))
    encoded = chunks.flatten().dictionary_encode()
    different = encoded.dictionary.to_pylist()  # Arrow yields an empty run at outer spaces; it has no words
    numbers = np.fromiter(map(table.__getitem__, different), np.int64, len(different))[encoded.indices.to_numpy()]
    total = len(numbers)
    counts = _view(table.count, np.int32)[numbers]
    ends = np.cumsum(counts, dtype=np.int64)
    at = np.arange(int(ends[-1]) if total else 0) + np.repeat(
        _view(table.first, np.int64)[numbers] - ends + counts, counts
    )
    ids = _view(table.words, np.int32)[at].astype(np.int64)
    starts = np.concatenate([[0], ends])[chunks.offsets.to_numpy()]
    return Words(
        ids=ids,
        starts=starts,
        num_chars=_view(table.num_chars, np.int32)[ids].astype(np.int64),
        is_word=_view(table.is_word, np.int8)[ids].astype(bool),
        has_letter=_view(table.has_letter, np.int8)[ids].astype(bool),
        table=table,
    )


def _view(values: array[int], kind: type[np.generic]) -> npt.NDArray[Any]:
    """Returns a numpy view of the memory of ``values``. The view must be deleted before ``values`` grows, because
    Python cannot resize an array with a view."""
    return np.frombuffer(values, kind) if len(values) else np.zeros(0, kind)
