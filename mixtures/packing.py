"""Finds the tokens of sequences in the mapped shards, and the documents that the sequences contain.

Many sequences are looked up at once, so that one numpy call handles all sequences in a block (a record batch of a
shard), and one call copies the tokens of all sequences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from mixtures.stream import Block, PackedDocument, TokenStream
from tokenizer.encode import id_dtype

__all__ = ["PackedDocument", "PackedSegments", "documents_at", "find", "joined"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class PackedSegments:
    """Holds the tokens and segments of sequences. A segment is the part of one document that lies in one sequence."""

    tokens: Array
    """The tokens of each sequence, shape (sequences, seq_len + 1). They have the same type as in the shards."""
    begins: Array
    """The offset of each segment's first token in its sequence."""
    sources: Array
    """The source of each segment, as an index into ``TokenStream.source_names``."""
    ends: Array
    """Sequence i has the segments from index ``ends[i]`` to before ``ends[i + 1]``. ``ends[0]`` is 0."""


def joined(parts: Sequence[PackedSegments]) -> PackedSegments:
    """Returns the sequences of all parts, one part after another."""
    if len(parts) == 1:
        return parts[0]

    counts = np.concatenate([np.diff(part.ends) for part in parts])
    return PackedSegments(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.begins for part in parts]),
        np.concatenate([part.sources for part in parts]),
        np.concatenate([[0], np.cumsum(counts)]),
    )


def find(stream: TokenStream, starts: Array, width: int) -> PackedSegments:
    """Returns the sequences of ``width`` tokens that begin at the places ``starts`` in the stream."""
    found: list[_Pieces] = []
    rows, done = np.arange(len(starts)), np.zeros(len(starts), np.int64)
    while len(rows):  # once for all sequences, then for the rest of those that span several blocks
        order = np.argsort(starts[rows] + done, kind="stable")
        rows, done = rows[order], done[order]
        found.append(_Pieces.of(stream, starts[rows] + done, rows, done, width))
        done = done + found[-1].lengths
        rows, done = rows[done < width], done[done < width]
    tokens = np.empty((len(starts), width), id_dtype(int(stream.manifest["tokenizer"]["vocab_size"])))
    return _in_order(found, tokens)


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


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Holds pieces of sequences, with the segments of each piece. A piece is the part of a sequence that lies in one
    block (a record batch of a shard). So a sequence that spans several blocks has several pieces."""

    keys: Array
    """For each piece: (number of its sequence) * width + (number of tokens that precede the piece in its sequence)."""
    lengths: Array
    """The number of tokens of each piece."""
    counts: Array
    """The number of segments (parts of documents) in each piece."""
    begins: Array
    sources: Array
    tokens: list[Array]
    """The tokens of each piece, as a view of the mapped shard."""

    @classmethod
    def of(cls, stream: TokenStream, firsts: Array, rows: Array, done: Array, width: int) -> _Pieces:
        """Finds where the next piece of each sequence begins and ends, and views of its tokens.

        Args:
            firsts: for each piece, the place of its first token in the stream. Sorted.
            rows: for each piece, the number of its sequence.
            done: for each piece, the number of tokens that its sequence already has.
            width: the number of tokens of a sequence.
        """
        blocks, at, room = _located(stream, firsts)
        lengths = np.minimum(room, width - done)
        after, ends = (at + 1).astype(np.int32), (at + lengths).astype(np.int32)
        first, last = np.empty_like(at), np.empty_like(at)
        tokens: list[Array] = []
        for block, i, j in blocks:
            first[i:j], last[i:j] = block.offsets.searchsorted(after[i:j]), block.offsets.searchsorted(ends[i:j])
            tokens += [block.ids[k:m] for k, m in zip(at[i:j].tolist(), ends[i:j].tolist(), strict=True)]
        counts = last - first + 1
        borders = np.concatenate([[0], np.cumsum(counts)])
        index = np.arange(borders[-1]) + np.repeat(first - 1 - borders[:-1], counts)
        begins, sources = np.empty(len(index), np.int64), np.empty(len(index), np.int8)
        for block, i, j in blocks:
            part = slice(int(borders[i]), int(borders[j]))
            begins[part], sources[part] = block.offsets[index[part]], block.sources[index[part]]
        begins -= np.repeat(at - done, counts)
        begins[borders[:-1]] = done  # the document may have begun before the piece
        return cls(rows * width + done, lengths, counts, begins, sources, tokens)


def _located(stream: TokenStream, firsts: Array) -> tuple[list[tuple[Block, int, int]], Array, Array]:
    """Finds the block (a record batch of a shard) that contains each place in the stream. The places must be sorted.

    Returns:
        Three values: each block, with the range of ``firsts`` that lies in it; the index of each place in its
        block; the number of tokens from each place to the end of its block.
    """
    at, room = np.empty_like(firsts), np.empty_like(firsts)
    blocks: list[tuple[Block, int, int]] = []
    numbers = stream.shards_of(firsts)
    for i, j in _runs(numbers):
        shard, within = stream.open(int(numbers[i])), firsts[i:j] - stream.shard_begin(int(numbers[i]))
        index = shard.begins.searchsorted(within, "right") - 1
        at[i:j], room[i:j] = within - shard.begins[index], shard.begins[index + 1] - within
        blocks += [(shard.blocks[int(index[k])], i + k, i + m) for k, m in _runs(index)]
    return blocks, at, room


def _in_order(found: Sequence[_Pieces], tokens: Array) -> PackedSegments:
    """Joins pieces into sequences, and copies their tokens to ``tokens``. The pieces may be in any order."""
    keys, counts, begins, sources = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("keys", "counts", "begins", "sources")
    )
    order = np.argsort(keys)
    parts = [part for one in found for part in one.tokens]
    np.concatenate([parts[number] for number in order.tolist()], out=tokens.reshape(-1))
    firsts, counts = (np.cumsum(counts) - counts)[order], counts[order]
    ends = np.concatenate([[0], np.cumsum(counts)])
    index = np.arange(ends[-1]) + np.repeat(firsts - ends[:-1], counts)
    num_rows, width = tokens.shape
    pieces = keys[order].searchsorted(np.arange(num_rows + 1) * width)
    return PackedSegments(tokens, begins[index], sources[index], ends[pieces])


def _runs(numbers: Array) -> Iterator[tuple[int, int]]:
    """Yields the beginning and the end of each run of equal numbers."""
    borders = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
    return pairwise([0, *borders.tolist(), len(numbers)])
