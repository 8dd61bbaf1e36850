"""Splits texts into the pieces of a SentencePiece model in machine code, for :mod:`filters.ccnet.compiled_perplexity`.

The pieces are exactly those of the package, because the sums of scores are rounded after the same additions in the same
order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.compiled import kernel

Codes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

UNIT = 4
"""The number of entries of a node in :attr:`Pieces.units`."""
ROOM = 256
"""The number of free nodes after the last node of a trie. So a child's index is always inside the array."""
UNKNOWN = -1
"""The number of a character that no piece contains."""
_RESET = np.float32(100000.0)


class Pieces(NamedTuple):
    """Holds the pieces of a SentencePiece model of the type unigram. The trie is a double array: the child of node
    ``n`` for byte ``b`` is ``base[n] + b``, if the node there has ``n`` as its parent."""

    units: Numbers
    """Four entries per node: base, parent, number of the piece that ends here (-1: none), and that piece's score. The
    parent of a free node is -1. Node 0 is the root."""
    scores: Floats
    """The same memory as ``units``, as floats."""
    unknown_score: np.float32
    """The score of a character that no piece contains."""


@kernel
def build_trie(codes: Codes, bounds: Ints, units: Numbers) -> int:
    """Builds the trie of :class:`Pieces` in ``units``, except for the scores. Returns the number of used nodes, or -1
    if ``units`` is too short.

    Piece ``i`` is ``codes[bounds[i]:bounds[i + 1]]``. The pieces are sorted and differ from each other, and none is
    empty. The parents of all nodes and the numbers of pieces are -1.
    """
    num_nodes = len(units) // UNIT - ROOM
    stack = np.empty((len(codes) + 1, 4), np.int64)  # first piece, end, number of equal bytes, node
    stack[0] = 0, len(bounds) - 1, 0, 0
    depth, used, free = 1, 1, 1
    units[1] = 0
    while depth:
        depth -= 1
        low, high, num_equal, node = stack[depth]
        if bounds[low + 1] - bounds[low] == num_equal:
            units[UNIT * node + 2] = low
            low += 1
        if low == high:
            continue
        while free < num_nodes and units[UNIT * free + 1] != -1:
            free += 1
        least = np.int64(codes[bounds[low] + num_equal])
        base = free - least
        if base < 0:
            base = np.int64(0)
        while True:  # the first place that is free for all children
            if base + ROOM > num_nodes:
                return -1
            is_free = True
            for piece in range(low, high):
                if units[UNIT * (base + codes[bounds[piece] + num_equal]) + 1] != -1:
                    is_free = False
                    break
            if is_free:
                break
            base += 1
        units[UNIT * node] = base
        first = low
        while first < high:
            code = codes[bounds[first] + num_equal]
            end = first + 1
            while end < high and codes[bounds[end] + num_equal] == code:
                end += 1
            child = base + code
            units[UNIT * child + 1] = node
            used = max(used, child + 1)
            stack[depth] = first, end, num_equal + 1, child
            depth += 1
            first = end
    return used


@kernel
def best_path(codes: Codes, units: Numbers, scores: Floats, unknown_score: np.float32, starts: Numbers,
              ids: Numbers) -> None:  # fmt: skip
    """Finds the most likely pieces of a text, as SentencePiece's ``unigram::Model::EncodeOptimized`` does.

    Writes for each end of a piece: where that piece starts (``starts``), and its number (``ids``; :data:`UNKNOWN` for a
    character that no piece contains). The last piece ends at the end of the text. Other ends have a start of -1.
    """
    size = len(codes)
    best = np.zeros(size + 1, np.float32)
    starts[: size + 1] = -1
    at, farthest = 0, 0
    while at < size:
        here = best[at]
        if here < -_RESET or here > _RESET:
            for end in range(at, farthest + 1):
                if end == at or starts[end] != -1:
                    best[end] -= here
            here = np.float32(0)
        code = codes[at]
        next_char = min(at + (1 if code < 0xC0 else 2 if code < 0xE0 else 3 if code < 0xF0 else 4), size)
        is_single = False
        node, end = 0, at
        while end < size:
            child = units[UNIT * node] + codes[end]
            if units[UNIT * child + 1] != node:
                break
            node = child
            end += 1
            piece = units[UNIT * node + 2]
            if piece < 0:
                continue
            farthest = max(farthest, end)
            score = scores[UNIT * node + 3] + here
            if starts[end] == -1 or score > best[end]:
                best[end], starts[end], ids[end] = score, at, piece
            is_single |= end == next_char
        if not is_single:
            farthest = max(farthest, next_char)
            score = unknown_score + here
            if starts[next_char] == -1 or score > best[next_char]:
                best[next_char], starts[next_char], ids[next_char] = score, at, UNKNOWN
        at = next_char


@kernel
def split_text(codes: Codes, pieces: Pieces, ends: Numbers, ids: Numbers) -> int:
    """Splits a text into its most likely pieces. Returns their number.

    Writes the end of each piece into ``ends``, and its number into ``ids``. Both have an entry per byte of the text.
    Unknown characters that follow each other are one piece, whose number is :data:`UNKNOWN`.
    """
    size = len(codes)
    starts, found = np.empty(size + 1, np.int32), np.empty(size + 1, np.int32)
    best_path(codes, pieces.units, pieces.scores, pieces.unknown_score, starts, found)
    num_pieces, end = 0, size
    while end > 0:
        ends[num_pieces], ids[num_pieces] = end, found[end]
        num_pieces += 1
        end = starts[end]
        if ids[num_pieces - 1] == UNKNOWN:
            while end > 0 and found[end] == UNKNOWN:
                end = starts[end]
    ends[:num_pieces] = ends[:num_pieces][::-1].copy()
    ids[:num_pieces] = ids[:num_pieces][::-1].copy()
    return num_pieces
