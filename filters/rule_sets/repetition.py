"""Counts the repeated parts of texts (lines, paragraphs, and runs of words), and the characters in these parts.

A run of n words can be repeated only where a run of n - 1 words is repeated. So repeated runs of n words are searched
for only at these places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from filters.rule_sets.words import Floats, Ints, Words

_SLOTS_BITS = 22
"""Number of bits of a slot's number. Pairs of words are counted in slots, to rule out most of the pairs that occur only
once. If two pairs have the same slot, the result is the same, but it takes longer."""


def duplicates(parts: Sequence[str]) -> tuple[int, int]:
    """Counts the parts that are copies of earlier parts, and the characters in these copies (datatrove
    ``find_duplicates``).

    >>> duplicates(["ab", "c", "ab", "ab"])
    (2, 4)
    """
    different = set(parts)
    if len(different) == len(parts):
        return 0, 0
    return len(parts) - len(different), sum(map(len, parts)) - sum(map(len, different))


class Runs:
    """Finds the repeated runs of words in documents. `grow` moves from runs of n words to runs of n + 1."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._end_of = np.repeat(words.starts[1:], np.diff(words.starts))
        self._total_chars = np.concatenate([[0], np.cumsum(words.num_chars, dtype=np.int64)])
        self.length = 1
        self._at: Ints = np.zeros(0, np.int64)
        """Places in ascending order. At each place, a run begins that occurs several times in its document."""
        self._group: Ints = np.zeros(0, np.int64)
        """For each place, the number of its group of equal runs."""

    def grow(self) -> None:
        """Replaces the repeated runs of n words by the repeated runs of n + 1 words."""
        self.length += 1
        places, keys = self._pairs() if self.length == 2 else self._longer()
        _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
        is_repeated = counts[group] > 1
        self._at, kept = places[is_repeated], group[is_repeated]
        self._group = np.unique(kept, return_inverse=True)[1].astype(np.int64)

    def _pairs(self) -> tuple[Ints, Ints]:
        ids = self._words.ids
        at = np.flatnonzero(np.arange(1, len(ids) + 1) < self._end_of) if len(ids) else np.zeros(0, np.int64)
        _, number = np.unique(ids, return_inverse=True) if len(ids) else (ids, ids)
        documents = np.repeat(np.arange(len(self._words.starts) - 1), np.diff(self._words.starts))
        num_words = int(number.max(initial=0)) + 1
        keys = (documents[at] * num_words + number[at]) * num_words + number[at + 1]
        slots = (keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _SLOTS_BITS)
        slots = slots.astype(np.int64)
        is_shared = np.bincount(slots, minlength=1 << _SLOTS_BITS)[slots] > 1
        return at[is_shared], keys[is_shared]

    def _longer(self) -> tuple[Ints, Ints]:
        """Finds the places where a repeated run begins and another repeated run begins one word later.

        Returns these places, and for each place a key. The two runs together make a run that is one word longer. Equal
        keys mean that these longer runs are equal.
        """
        follows = np.flatnonzero(np.diff(self._at) == 1)
        at = self._at[follows]
        is_inside = at + self.length <= self._end_of[at]
        follows, at = follows[is_inside], at[is_inside]
        num_groups = int(self._group.max(initial=0)) + 1
        return at, self._group[follows] * num_groups + self._group[follows + 1]

    def _chars(self, at: Ints) -> Ints:
        """Returns the number of characters, without spaces, of each run of ``length`` words that begins at a word in
        ``at``.
        """
        chars: Ints = self._total_chars[at + self.length] - self._total_chars[at]
        return chars

    def top_chars(self) -> Floats:
        """Returns the number of characters, with spaces, in all copies of each document's most frequent run.

        If several runs are equally frequent, the first one counts (datatrove ``find_top_duplicate``). The result is NaN
        for documents with too few words.
        """
        starts = self._words.starts
        top = np.full(len(starts) - 1, np.nan)
        is_long = np.diff(starts) >= self.length
        top[is_long] = self._chars(starts[:-1][is_long]) + self.length - 1  # the first run, once
        if len(self._at):
            _, first, counts = np.unique(self._group, return_index=True, return_counts=True)
            places = self._at[first]
            documents = np.searchsorted(starts, places, side="right") - 1
            order = np.lexsort((places, -counts, documents))
            best = order[np.concatenate([[True], np.diff(documents[order]) > 0])]
            chars = (self._chars(places[best]) + self.length - 1) * counts[best]
            top[documents[best]] = chars
        return top

    def repeated_chars(self) -> Ints:
        """Returns the number of characters in runs that occurred before (datatrove ``find_all_duplicate``). No
        character counts twice.

        A document is read from its start. After a repeated run, reading continues at the word after the run.
        """
        starts = self._words.starts
        found = np.zeros(len(starts) - 1, np.int64)
        if not len(self._at):
            return found
        documents = np.searchsorted(starts, self._at, side="right") - 1
        chars = self._chars(self._at)
        seen: set[int] = set()
        behind = 0
        rows: Iterable[tuple[int, int, int, int]] = zip(
            documents.tolist(), self._at.tolist(), self._group.tolist(), chars.tolist(), strict=True
        )
        for document, place, group, num_chars in rows:
            if place < behind:
                continue
            if group in seen:
                found[document] += num_chars
                behind = place + self.length
            else:
                seen.add(group)
        return found
