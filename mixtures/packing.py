"""Finds the tokens of sequences in the mapped shards, and the documents that the sequences contain.

Many sequences are looked up at once, so that one numpy call handles all sequences in a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtures.stream import Block, PackedDocument, TokenStream

__all__ = ["PackedDocument", "PackedSegments", "documents_at", "find"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class PackedSegments:
    """Holds the tokens of each sequence, and the segments of all sequences in order."""

    tokens: list[Array]
    """One array per sequence, a view of the mapped shard where possible."""
    begins: Array
    """The offset of each segment's first token in its sequence."""
    sources: Array
    """The source of each segment, as an index into ``TokenStream.source_names``."""
    ends: Array
    """Where the segments of each sequence end, as an index into `begins`. The first value is 0, before the end of the
    first sequence.
    """


def find(stream: TokenStream, starts: Array, width: int) -> PackedSegments:
    """Returns the sequences of ``width`` tokens that begin at the places ``starts`` in the stream."""
    tokens: list[Array] = [np.empty(0, np.uint16)] * len(starts)
    segments = _Segments()
    shards = stream.shards_of(starts)
    order = np.argsort(starts, kind="stable")
    borders = np.flatnonzero(np.diff(shards[order], prepend=-1))
    for begin, end in zip(borders.tolist(), [*borders[1:].tolist(), len(order)], strict=True):
        rows = order[begin:end]
        number = int(shards[rows[0]])
        shard = stream.open(number)
        within = starts[rows] - stream.shard_begin(number)
        blocks = shard.begins.searchsorted(within, "right") - 1
        inside = within + width <= shard.begins[blocks + 1]
        for row in rows[~inside].tolist():
            tokens[row] = _across(stream, int(starts[row]), width, row, segments)
        rows, within, blocks = rows[inside], within[inside], blocks[inside]
        if not len(rows):
            continue
        first_rows = np.flatnonzero(np.diff(blocks, prepend=-1))
        for i, j in zip(first_rows.tolist(), [*first_rows[1:].tolist(), len(rows)], strict=True):
            at = within[i:j] - shard.begins[blocks[i]]
            block = shard.blocks[int(blocks[i])]
            for row, place in zip(rows[i:j].tolist(), at.tolist(), strict=True):
                tokens[row] = block.ids[place : place + width]
            segments.add(rows[i:j], at, width, block)
    return segments.found(tokens)


def documents_at(stream: TokenStream, start: int, width: int) -> list[PackedDocument]:
    """Returns the pieces of documents in a part of the stream: the ``width`` tokens from the place ``start`` on."""
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


def _across(stream: TokenStream, start: int, width: int, row: int, segments: _Segments) -> Array:
    """Returns a copy of the tokens of one sequence that spans several blocks or shards, and adds the segments of this
    sequence.
    """
    out = np.empty(width, np.uint32)
    number = int(stream.shards_of(np.array([start]))[0])
    within = start - stream.shard_begin(number)
    done = 0
    while done < width:
        shard = stream.open(number)
        index = int(shard.begins.searchsorted(within, "right")) - 1
        if index >= len(shard.blocks):
            number, within = number + 1, 0
            continue
        at = within - int(shard.begins[index])
        block = shard.blocks[index]
        take = min(width - done, len(block.ids) - at)
        out[done : done + take] = block.ids[at : at + take]
        segments.add(np.array([row]), np.array([at]), take, block, done)
        done += take
        within += take
    return out


class _Segments:
    """Collects segments. The sequences may be found in any order."""

    def __init__(self) -> None:
        self._rows: list[Array] = []
        self._begins: list[Array] = []
        self._sources: list[Array] = []

    def add(self, rows: Array, at: Array, width: int, block: Block, done: int = 0) -> None:
        """Adds segments of a block. ``at`` lists places in the block. At each place, the next ``width`` tokens are
        searched.

        For each place, ``rows`` has the number of the sequence that contains these tokens. In this sequence, ``done``
        tokens come before them.
        """
        first = block.offsets.searchsorted((at + 1).astype(np.int32)) - 1
        counts = block.offsets.searchsorted((at + width).astype(np.int32)) - first
        ends = np.cumsum(counts)
        index = np.repeat(first - ends + counts, counts) + np.arange(ends[-1])
        begins = block.offsets[index] - np.repeat(at, counts)
        np.maximum(begins, 0, out=begins)  # a document that began before the sequence
        self._rows.append(np.repeat(rows, counts))
        self._begins.append(begins + done)
        self._sources.append(block.sources[index])

    def found(self, tokens: list[Array]) -> PackedSegments:
        """Returns the collected segments, sorted by sequence and place, with the tokens of the sequences."""
        rows, begins, sources = (np.concatenate(a) for a in (self._rows, self._begins, self._sources))
        order = np.lexsort((begins, rows))
        ends = np.cumsum(np.bincount(rows, minlength=len(tokens)))
        return PackedSegments(tokens, begins[order], sources[order], np.concatenate([[0], ends]))
