"""Finds the tokens of sequences in the mapped shards, and the documents that the sequences contain.

No token is copied here. A sequence is found by three binary searches (shard, block, document), and its tokens and
segments are slices of the mapped shard. So the time per sequence does not depend on the number of shards.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtures.stream import OpenShard, PackedDocument, TokenStream

__all__ = ["PackedDocument", "PackedSegments", "documents_at", "find", "joined"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class PackedSegments:
    """Holds the tokens of each sequence, and the segments of all sequences in order."""

    tokens: list[Array]
    """Slices of mapped shards. Joined, they are the tokens of all sequences, in order."""
    token_ends: Array
    """A leading 0, then the end of each sequence as an index into `tokens`."""
    begins: Array
    """The offset of each segment's first token in its sequence."""
    sources: Array
    """The source of each segment, as an index into ``TokenStream.source_names``."""
    ends: Array
    """A leading 0, then the end of each sequence's segments as an index into `begins`."""


def joined(parts: Sequence[PackedSegments]) -> PackedSegments:
    """Returns the sequences of all parts, one part after another."""
    if len(parts) == 1:
        return parts[0]

    def ends(arrays: Sequence[Array]) -> Array:
        firsts = np.cumsum([0, *(int(array[-1]) for array in arrays)])
        return np.concatenate([[0], *(array[1:] + first for array, first in zip(arrays, firsts, strict=False))])

    return PackedSegments(
        [piece for part in parts for piece in part.tokens],
        ends([part.token_ends for part in parts]),
        np.concatenate([part.begins for part in parts]),
        np.concatenate([part.sources for part in parts]),
        ends([part.ends for part in parts]),
    )


def find(stream: TokenStream, starts: Array, width: int) -> PackedSegments:
    """Returns the sequences of ``width`` tokens that begin at the stream's tokens ``starts``."""
    numbers = stream.shards_of(starts)
    opened = {number: stream.open(number) for number in np.unique(numbers).tolist()}
    pieces = _Pieces(stream, opened)
    within = starts - stream.shard_begins(numbers)
    for number, begin in zip(numbers.tolist(), within.tolist(), strict=True):
        pieces.add(number, begin, width)
    return pieces.found()


def documents_at(stream: TokenStream, start: int, width: int) -> list[PackedDocument]:
    """Returns the pieces of documents in the ``width`` tokens of the stream that begin at token ``start``."""
    found: list[PackedDocument] = []
    number = int(stream.shards_of(np.array([start]))[0])
    within, done = start - stream.shard_begin(number), 0
    while done < width:
        ends = np.cumsum(stream.document_lengths(number))
        document = int(ends.searchsorted(within, "right"))
        if document >= len(ends):
            number, within = number + 1, 0
            continue
        begin = within - (int(ends[document - 1]) if document else 0)
        take = min(width - done, int(ends[document]) - within)
        found.append(stream.packed_document(number, document, at=done, begin=begin, num_tokens=take))
        done, within = done + take, within + take
    return found


class _Pieces:
    """Collects the pieces of sequences. A piece lies in one block. A sequence has one piece, or more if it spans
    several blocks or shards."""

    def __init__(self, stream: TokenStream, opened: dict[int, OpenShard]) -> None:
        self._stream, self._opened = stream, opened
        self._tokens: list[Array] = []
        self._offsets: list[Array] = []
        self._sources: list[Array] = []
        self._places: list[int] = []
        """The place in its block of each piece's first token."""
        self._done: list[int] = []
        """The number of tokens in the sequence before each piece."""
        self._ends = [0]

    def add(self, number: int, within: int, width: int) -> None:
        """Adds the ``width`` tokens that begin at token ``within`` of a shard."""
        done = 0
        while done < width:
            shard = self._opened.get(number) or self._stream.open(number)
            index = bisect_right(shard.begins, within) - 1
            if index == len(shard.blocks):
                number, within = number + 1, 0
                continue
            block, at = shard.blocks[index], within - shard.begins[index]
            end = min(at + width - done, len(block.ids))
            first = bisect_right(block.bounds, at) - 1
            last = bisect_left(block.bounds, end, first + 1)
            self._tokens.append(block.ids[at:end])
            self._offsets.append(block.offsets[first:last])
            self._sources.append(block.sources[first:last])
            self._places.append(at)
            self._done.append(done)
            done += end - at
            within += end - at
        self._ends.append(len(self._tokens))

    def found(self) -> PackedSegments:
        """Returns the collected sequences."""
        counts = np.fromiter(map(len, self._offsets), np.int64, len(self._offsets))
        ends, done = np.concatenate([[0], np.cumsum(counts)]), np.array(self._done)
        begins = np.concatenate(self._offsets) - np.repeat(np.array(self._places) - done, counts)
        begins[ends[:-1]] = done  # its document may have begun before the piece
        token_ends = np.array(self._ends)
        return PackedSegments(self._tokens, token_ends, begins, np.concatenate(self._sources), ends[token_ends])
