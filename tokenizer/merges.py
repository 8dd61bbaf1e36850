"""Byte-pair merging of many short texts at once, in numpy: the ids that SentencePiece gives, without a call a text.

SentencePiece's rule (``bpe_model.cc``): of all neighbouring symbols whose texts together are a piece, merge the pair whose
piece has the highest score, the leftmost of equal ones; repeat until there is none. Symbols that are no piece in
the end are spelled in bytes.

Here every text is a row and every round merges one pair in each row that still has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_NONE = np.int32(2**31 - 1)
"""No merge: greater than any symbol."""
_MAX_CODEPOINT = 0x110000
_HASH = np.uint64(0x9E3779B97F4A7C15)
_LIVE_SHARE = 0.6
"""Rows without a merge left are put away when fewer than this share of the rows still has one."""


class Merger:
    """The merges of one vocabulary.

    Symbols are numbered so that a lower number is merged first: the pieces of two or more characters by falling
    score, then every character that stands in a piece, then one symbol for all other characters.
    """

    def __init__(self, scores: Mapping[str, float]) -> None:
        """``scores``: of the normal pieces, by their text (a space for U+2581). Longer pieces' scores must differ."""
        long_pieces = sorted((p for p in scores if len(p) > 1), key=lambda p: -scores[p])
        chars = sorted({char for piece in scores for char in piece})
        self.symbols: list[str] = [*long_pieces, *chars]
        number = {text: i for i, text in enumerate(self.symbols)}
        self.unknown = len(self.symbols)
        self._end = self.unknown + 1
        """Stands behind a row's last symbol; merges with nothing."""
        self.char_symbol = np.full(_MAX_CODEPOINT, self.unknown, np.int32)
        for char in chars:
            self.char_symbol[ord(char)] = number[char]
        pairs = {
            number[piece[:k]] * (self._end + 1) + number[piece[k:]]: number[piece]
            for piece in long_pieces
            for k in range(1, len(piece))
            if piece[:k] in number and piece[k:] in number
        }
        self._table = _HashTable(np.fromiter(pairs, np.int64, len(pairs)), np.fromiter(pairs.values(), np.int32, len(pairs)))

    def merge(self, chars: Array, num_chars: Array) -> tuple[Array, Array]:
        """Merges rows of code points.

        Args:
            chars: code points of all rows, one after the other.
            num_chars: of each row, at least one.

        Returns:
            The symbols that are left, and where each begins (its index in ``chars``), in order.
        """
        starts = np.cumsum(num_chars) - num_chars
        left = np.full(len(chars), _NONE, np.int32)
        order = np.argsort(num_chars, kind="stable")
        sorted_lengths = num_chars[order]
        at = 0
        while at < len(order):
            width = _padded(int(sorted_lengths[at]))
            end = int(np.searchsorted(sorted_lengths, width, side="right"))
            self._merge_rows(chars, starts[order[at:end]], sorted_lengths[at:end], width, left)
            at = end
        begin = np.flatnonzero(left != _NONE)
        return left[begin], begin

    def _merge_rows(self, chars: Array, starts: Array, lengths: Array, width: int, left: Array) -> None:
        """Merges rows of at most ``width`` characters and writes each symbol left at its first character's place."""
        columns = np.arange(width + 1)
        inside = columns < lengths[:, None]
        place = np.minimum(starts[:, None] + columns, len(chars) - 1)
        symbols = np.where(inside, self.char_symbol[chars[place]], np.int32(self._end)).astype(np.int32)
        following = np.broadcast_to(np.minimum(columns + 1, width).astype(np.int32), symbols.shape).copy()
        before = np.broadcast_to((columns - 1).astype(np.int32), symbols.shape).copy()
        before[:, 0] = width
        best = np.full(symbols.shape, _NONE, np.int32)
        best[:, :-1] = self._lookup(symbols[:, :-1].ravel(), symbols[:, 1:].ravel()).reshape(-1, width)
        rows = np.arange(len(symbols))
        while True:
            column = best.argmin(axis=1)
            merged = best[np.arange(len(best)), column]
            live = np.flatnonzero(merged != _NONE)
            if len(live) < _LIVE_SHARE * len(best):
                done = np.flatnonzero(merged == _NONE)
                _put(symbols[done], starts[rows[done]], self._end, left)
                symbols, following, before, best, rows = (a[live] for a in (symbols, following, before, best, rows))
                column, merged = column[live], merged[live]
                live = np.arange(len(live))
                if not len(live):
                    return
            self._merge_once(symbols, following, before, best, live * (width + 1), column[live], merged[live])

    def _merge_once(
        self, symbols: Array, following: Array, before: Array, best: Array, base: Array, column: Array, merged: Array
    ) -> None:
        """In every row (beginning at ``base`` of the flat matrices) merges the symbol at ``column`` with the next."""
        flat_symbols, flat_following, flat_before, flat_best = (a.reshape(-1) for a in (symbols, following, before, best))
        at = base + column
        right = flat_following[at]
        after = flat_following[base + right]
        last = flat_before[at]
        flat_symbols[at] = merged
        flat_symbols[base + right] = self._end
        flat_best[base + right] = _NONE
        flat_following[at] = after
        # The last column stands for "nothing there": it holds the end symbol, and what is written to it is mended.
        width = symbols.shape[1] - 1
        flat_before[base + after] = column
        flat_best[at] = self._lookup(merged, flat_symbols[base + after])
        flat_best[base + last] = self._lookup(flat_symbols[base + last], merged)
        flat_best[base + width] = _NONE

    def _lookup(self, left: Array, right: Array) -> Array:
        return self._table.get(left.astype(np.int64) * (self._end + 1) + right)


def _padded(num_chars: int) -> int:
    """Rows of nearly equal length are merged together: the next even number, above 16 the next multiple of 8."""
    return num_chars + num_chars % 2 if num_chars <= 16 else -(-num_chars // 8) * 8


def _put(symbols: Array, starts: Array, end: int, left: Array) -> None:
    row, column = np.nonzero(symbols != end)
    left[starts[row] + column] = symbols[row, column]


class _HashTable:
    """From int64 keys to int32 values by open addressing; absent keys give ``_NONE``. Vectorised, made once."""

    def __init__(self, keys: Array, values: Array) -> None:
        bits = max(4, int(len(keys) * 4).bit_length())
        self._shift = np.uint64(64 - bits)
        self._mask = np.int64(2**bits - 1)
        self._keys = np.full(2**bits, -1, np.int64)
        self._values = np.full(2**bits, _NONE, np.int32)
        self._max_probes = 0
        waiting = np.arange(len(keys))
        slot = self._slot(keys)
        while len(waiting):
            self._max_probes += 1
            free = self._keys[slot] == -1
            # Of several that want one free slot numpy keeps the last; the others see it taken and go on.
            self._keys[slot[free]] = keys[waiting[free]]
            placed = self._keys[slot] == keys[waiting]
            self._values[slot[placed]] = values[waiting[placed]]
            waiting, slot = waiting[~placed], (slot[~placed] + 1) & self._mask

    def _slot(self, keys: Array) -> Array:
        return ((keys.astype(np.uint64) * _HASH) >> self._shift).astype(np.int64)

    def get(self, keys: Array) -> Array:
        slot = self._slot(keys)
        found = self._keys[slot]
        values = np.where(found == keys, self._values[slot], _NONE)
        open_ = np.flatnonzero((found != keys) & (found != -1))
        for _ in range(self._max_probes - 1):
            if not len(open_):
                break
            slot[open_] = (slot[open_] + 1) & self._mask
            found = self._keys[slot[open_]]
            hit = found == keys[open_]
            values[open_[hit]] = self._values[slot[open_[hit]]]
            open_ = open_[~hit & (found != -1)]
        return values


def code_points(texts: Sequence[bytes]) -> tuple[Array, Array]:
    """The code points of UTF-8 texts, one after the other, and how many each has."""
    joined = b"".join(texts).decode("utf-8")
    chars = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
    data = np.frombuffer(b"".join(texts), np.uint8)
    is_start = (data & 0xC0) != 0x80
    counts = np.concatenate([[0], np.cumsum(is_start)])
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    return chars, np.diff(counts[np.concatenate([[0], ends])])
