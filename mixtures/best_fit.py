"""Packs whole documents into rows of fixed length (best-fit packing), so that almost no document is cut.

The method is best-fit decreasing (Ding et al. 2024, arXiv:2404.10830, "Fewer Truncations Improve Language Modeling").
It packs the longest documents first, each document into the fullest row that still has room for it. This code packs
documents of equal length together, so the time grows with the number of different lengths, not with the number of
documents.

A document of more than seq_len + 1 tokens is split into pieces of seq_len + 1 tokens; the last piece holds the rest.
Neighbouring pieces share one token, so every token except the document's first is a label exactly once.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class RowPlan:
    """Lists which pieces of documents are in the rows of one shard, row by row."""

    documents: Array
    """int64: the index in the shard of each piece's document."""
    begins: Array
    """int64: the offset of each piece's first token in its document."""
    lengths: Array
    """int64: the number of tokens in each piece."""
    ends: Array
    """int64: row r has the pieces from index ``ends[r]`` to before ``ends[r + 1]``. ``ends[0]`` is 0."""

    @property
    def num_rows(self) -> int:
        return len(self.ends) - 1


def split_documents(lengths: Array, seq_len: int) -> tuple[Array, Array, Array]:
    """Splits documents that are longer than a row of seq_len + 1 tokens.

    Returns:
        The document index, first token and length of each piece, in document order. Empty documents have no piece.

    In the example, rows have 5 tokens. The document of 11 tokens is split into pieces of 5, 5 and 3 tokens.

    >>> [part.tolist() for part in split_documents(np.array([3, 11, 0]), 4)]
    [[0, 1, 1, 1], [0, 0, 4, 8], [3, 5, 5, 3]]
    """
    lengths = lengths.astype(np.int64)
    num_pieces = np.where(lengths > 0, np.maximum(1, -(-(lengths - 1) // seq_len)), 0)
    documents = np.repeat(np.arange(len(lengths)), num_pieces)
    number = np.arange(len(documents)) - np.repeat(np.cumsum(num_pieces) - num_pieces, num_pieces)
    begins = number * seq_len
    return documents, begins, np.minimum(seq_len + 1, lengths[documents] - begins)


def count_rows(lengths: Array, seq_len: int) -> int:
    """Returns the number of rows that `pack` would fill with documents of these lengths. Counting is much faster than
    packing.

    >>> count_rows(np.array([2, 3, 3, 2]), 4)
    2
    """
    _, _, sizes = split_documents(lengths, seq_len)
    return sum(one.num_rows for one in _fillings(sizes, seq_len + 1) if one.room == seq_len + 1)


def pack(lengths: Array, seq_len: int) -> RowPlan:
    """Packs the documents of a shard into rows of seq_len + 1 tokens.

    Rows are ordered by their first document in the shard. Within a row, pieces that begin a document come first, in the
    shard's order. Later pieces of split documents come after them. In the example, the documents 0 and 1 fill the first
    row of 5 tokens.

    >>> plan = pack(np.array([2, 3, 3, 2]), 4)
    >>> plan.documents.tolist(), plan.ends.tolist()
    ([0, 1, 2, 3], [0, 2, 4])
    """
    documents, begins, sizes = split_documents(lengths, seq_len)
    row = _assign(sizes, seq_len + 1)
    num_rows = int(row.max()) + 1 if len(row) else 0
    first = np.full(num_rows, len(row), np.int64)
    np.minimum.at(first, row, np.arange(len(row)))
    number = np.empty(num_rows, np.int64)
    number[np.argsort(first)] = np.arange(num_rows)
    row = number[row]
    order = np.lexsort((documents, begins > 0, row))
    ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=num_rows))]).astype(np.int64)
    return RowPlan(documents[order], begins[order], sizes[order], ends)


class _Filling(NamedTuple):
    """Describes one step of the packing. A step puts pieces of one size into several rows that have the same free
    room."""

    size: int
    room: int
    """Free tokens in each row of this step, before the step. In a new row, all tokens are free."""
    num_rows: int
    num_pieces: int

    @property
    def per_row(self) -> int:
        return self.room // self.size

    def rooms_left(self) -> list[tuple[int, int]]:
        """Returns two pairs (free tokens per row, number of rows) for the rows into which this step put pieces.

        The first pair is about the rows that got as many pieces as fit. The second pair is about the last row, if too
        few pieces were left to fill it. If enough were left, the second pair has 0 rows.
        """
        filled, rest = divmod(self.num_pieces, self.per_row)
        return [(self.room - self.per_row * self.size, filled), (self.room - rest * self.size, 1 if rest else 0)]


def _fillings(sizes: Array, capacity: int) -> Iterator[_Filling]:
    """Yields the steps of best-fit decreasing packing. The steps depend only on the number of pieces of each size."""
    counts = np.bincount(sizes, minlength=1)
    rooms: list[int] = []
    rows: dict[int, int] = {}
    for size in np.flatnonzero(counts)[::-1].tolist():
        waiting = int(counts[size])
        while waiting:
            at = bisect_left(rooms, size)
            room = rooms[at] if at < len(rooms) else capacity
            num_rows = -(-waiting // (room // size))
            if room != capacity:
                num_rows = min(num_rows, rows[room])
                rows[room] -= num_rows
                if not rows[room]:
                    del rows[room], rooms[at]
            one = _Filling(size, room, num_rows, min(waiting, num_rows * (room // size)))
            waiting -= one.num_pieces
            for left, many in one.rooms_left():
                if not left or not many:
                    continue
                if left not in rows:
                    insort(rooms, left)
                rows[left] = rows.get(left, 0) + many
            yield one


def _assign(sizes: Array, capacity: int) -> Array:
    """Returns the row of each piece. Among pieces of equal size, the first one is packed first. Among rows with equal
    room, the row that has had this room for the longest time is filled first."""
    row = np.empty(len(sizes), np.int64)
    by_size = np.argsort(-sizes, kind="stable")
    waiting: dict[int, deque[Array]] = {}
    start = num_rows = 0
    for one in _fillings(sizes, capacity):
        if one.room == capacity:
            rows = np.arange(num_rows, num_rows + one.num_rows)
            num_rows += one.num_rows
        else:
            rows = _take(waiting[one.room], one.num_rows)
        row[by_size[start : start + one.num_pieces]] = np.repeat(rows, one.per_row)[: one.num_pieces]
        start += one.num_pieces
        for room, many in one.rooms_left():
            if room and many:
                waiting.setdefault(room, deque()).append(rows[:many])
            rows = rows[many:]
    return row


def _take(waiting: deque[Array], num_rows: int) -> Array:
    """Removes the first `num_rows` rows from a queue, and returns them. The queue stores the rows in arrays."""
    taken = []
    while num_rows:
        rows = waiting.popleft()
        if len(rows) > num_rows:
            waiting.appendleft(rows[num_rows:])
            rows = rows[:num_rows]
        taken.append(rows)
        num_rows -= len(rows)
    return np.concatenate(taken)
