"""Finds sequences in the stream: where their tokens lie in the mapped shards, and which documents they hold.

Many sequences are looked up together, so numpy's cost per call is shared by those that lie in one block.
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
    """Sequences that were found: a view of each one's tokens, and the segments of all of them in order."""

    tokens: list[Array]
    begins: Array
    """The first token of each segment, counted in its sequence."""
    sources: Array
    ends: Array
    """The end of each sequence's segments, as an index into `begins`, after a leading 0."""


def find(stream: TokenStream, starts: Array, width: int) -> PackedSegments:
    """Finds the sequences of ``width`` tokens that begin at these tokens of the stream."""
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
    """Returns the pieces of documents in the ``width`` tokens from ``start`` of the stream."""
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
    """Copies the tokens of a sequence that lies in several blocks or shards."""
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
    """Gathers segments, whatever the order in which their sequences are found."""

    def __init__(self) -> None:
        self._rows: list[Array] = []
        self._begins: list[Array] = []
        self._sources: list[Array] = []

    def add(self, rows: Array, at: Array, width: int, block: Block, done: int = 0) -> None:
        """Adds the segments of ``width`` tokens from each ``at`` in the block, ``done`` tokens into the sequences."""
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
        rows, begins, sources = (np.concatenate(a) for a in (self._rows, self._begins, self._sources))
        order = np.lexsort((begins, rows))
        ends = np.cumsum(np.bincount(rows, minlength=len(tokens)))
        return PackedSegments(tokens, begins[order], sources[order], np.concatenate([[0], ends]))
