"""Applies byte-pair encoding to many short texts at once, in numpy. The ids are those of SentencePiece.

SentencePiece's rule (``bpe_model.cc``): look at all neighbouring symbols whose concatenation is a piece. Merge the pair
whose piece has the highest score; if scores are equal, merge the leftmost pair. Repeat until no pair of neighbours
forms a piece. At the end, each symbol that is not a piece is replaced by its bytes.

In this module every text is a row of a matrix. Every round merges one pair in each row that still has a pair to merge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_NONE = np.int32(2**31 - 1)
"""Marks a pair that does not merge. This number is greater than the number of any symbol."""
_MAX_CODEPOINT = 0x110000
_HASH = np.uint64(0x9E3779B97F4A7C15)
_VALUE_BITS = 20
_VALUE_MASK = np.int64(2**_VALUE_BITS - 1)
MAX_SYMBOLS = 2**_VALUE_BITS
"""The largest number of symbols. With more symbols, three numbers (a pair and the symbol that it merges to) would not
fit into 60 bits.
"""


def num_symbols(pieces: Iterable[str]) -> int:
    """Returns the number of symbols that a :class:`Merger` needs for these pieces.

    Each piece of two or more characters is a symbol, and so is each character in a piece. One more symbol stands for
    all other characters, and one for the end of a text. In the example these are 2 + 3 + 2.

    >>> num_symbols(["ab", "b", "abc"])
    7
    """
    distinct = set(pieces)
    return sum(len(piece) > 1 for piece in distinct) + len({char for piece in distinct for char in piece}) + 2


class Merger:
    """Merges neighbouring symbols (pieces or characters) to longer pieces of one vocabulary.

    Each symbol has a number. The first numbers are for the pieces of two or more characters, in descending order of
    score. The next numbers are for all characters that occur in a piece. One more number represents all other
    characters. The last number represents the end of a row (the symbols of one text).

    Of all possible merges in a row, the one that makes the piece with the highest score comes first. If scores are
    equal, the leftmost merge comes first.
    """

    def __init__(self, scores: Mapping[str, float]) -> None:
        """Makes a merger. ``scores`` maps each normal piece to its score. In the pieces, a space represents U+2581."""
        long_pieces = sorted((p for p in scores if len(p) > 1), key=lambda p: -scores[p])
        chars = sorted({char for piece in scores for char in piece})
        self.symbols: list[str] = [*long_pieces, *chars]
        number = {text: i for i, text in enumerate(self.symbols)}
        self.unknown = len(self.symbols)
        self._end = self.unknown + 1
        """The symbol for the end of a row. It never merges."""
        self.char_symbol = np.full(_MAX_CODEPOINT, self.unknown, np.int32)
        for char in chars:
            self.char_symbol[ord(char)] = number[char]
        pairs = {
            number[piece[:k]] * (self._end + 1) + number[piece[k:]]: number[piece]
            for piece in long_pieces
            for k in range(1, len(piece))
            if piece[:k] in number and piece[k:] in number
        }
        self._rank = _ranks([scores[piece] for piece in long_pieces])
        self._table = _HashTable(
            np.fromiter(pairs, np.int64, len(pairs)), np.fromiter(pairs.values(), np.int32, len(pairs))
        )

    def merge(self, chars: Array, num_chars: Array) -> tuple[Array, Array]:
        """Applies byte-pair encoding to each row. A row contains the code points of one text.

        Args:
            chars: the code points of all rows, one row after the other.
            num_chars: the number of characters of each row, at least one.

        Returns:
            The symbols that remain, in order, and the index in ``chars`` at which each symbol begins.
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
        """Merges rows of at most ``width`` characters. Writes each remaining symbol to ``left``, at the index of its
        first character.

        Matrices have one more column than there are characters. The last column contains the end symbol, which never
        merges.
        """
        columns = np.arange(width + 1, dtype=np.int32)
        place = np.minimum(starts[:, None] + columns, len(chars) - 1)
        symbols = self.char_symbol.take(chars.take(place))
        symbols[columns >= lengths[:, None]] = self._end
        best = np.full(symbols.shape, _NONE, np.int32)
        best[:, :-1] = self._priority(symbols[:, :-1], symbols[:, 1:])
        following = np.empty_like(symbols)
        following[:] = np.minimum(columns + 1, width)
        before = np.empty_like(symbols)
        before[:] = np.where(columns, columns - 1, width)
        flat = symbols.reshape(-1), following.reshape(-1), before.reshape(-1), best.reshape(-1)
        base = np.arange(len(symbols)) * (width + 1)
        while len(base):
            column = best.argmin(axis=1) if len(base) == len(best) else best[base // (width + 1)].argmin(axis=1)
            at = base + column
            merged = flat[3].take(at)
            live = merged != _NONE
            if not live.all():
                base, column, at, merged = base[live], column[live], at[live], merged[live]
            if self._rank is not None:
                merged = self._lookup(flat[0].take(at), flat[0].take(base + flat[1].take(at)))
            self._merge_once(flat, width, base, column, at, merged)
        row, column = np.nonzero(symbols != self._end)
        left[starts[row] + column] = symbols[row, column]

    def _merge_once(
        self, flat: tuple[Array, Array, Array, Array], width: int, base: Array, column: Array, at: Array, merged: Array
    ) -> None:
        """Merges the symbol at ``column`` with the symbol after it, in every row.

        The matrices are flattened: their rows follow each other in one array. ``base`` has the index at which each row
        begins.
        """
        symbols, following, before, best = flat
        right = base + following.take(at)
        after = following.take(right)
        last = base + before.take(at)
        symbols[at] = merged
        symbols[right] = self._end
        best[right] = _NONE
        following[at] = after
        after_at = base + after
        before[after_at] = column
        best[at] = self._priority(merged, symbols.take(after_at))
        best[last] = self._priority(symbols.take(last), merged)
        best[base + width] = _NONE

    def _priority(self, left: Array, right: Array) -> Array:
        """Returns the priority of each pair of symbols. In a row, the pair with the smallest value is merged first.

        The value is the number of the symbol that the pair makes. If some scores are equal, it is the rank of the
        score.
        """
        found = self._lookup(left, right)
        return found if self._rank is None else self._rank.take(found, mode="clip")

    def _lookup(self, left: Array, right: Array) -> Array:
        keys = left.astype(np.int64)
        keys *= self._end + 1
        keys += right
        return self._table.get(keys.reshape(-1)).reshape(keys.shape)


def _ranks(falling_scores: Sequence[float]) -> Array | None:
    """Returns the rank of each piece's score, with equal ranks for equal scores; None if all scores differ.

    After the ranks of the pieces comes one more entry, which stands for "no merge". In LLaMA's model, the pieces of
    spaces have equal scores.
    """
    if len(set(falling_scores)) == len(falling_scores):
        return None
    steps = np.diff(np.array(falling_scores), prepend=falling_scores[0]) != 0
    return np.append(np.cumsum(steps), _NONE).astype(np.int32)


def _padded(num_chars: int) -> int:
    """Rounds a length up: to an even number, or to a multiple of 8 if the length is above 16.

    So rows of nearly equal length get the same length, and are merged together.
    """
    return num_chars + num_chars % 2 if num_chars <= 16 else -(-num_chars // 8) * 8


class _HashTable:
    """Maps int64 keys to small int32 values by open addressing. Missing keys give ``_NONE``.

    The table is built once, and numpy looks up many keys at a time. A key and its value share one 64-bit word, so that
    a lookup reads memory once.
    """

    def __init__(self, keys: Array, values: Array) -> None:
        bits = max(4, int(len(keys) * 4).bit_length())
        self._shift = np.uint64(64 - bits)
        self._mask = np.int64(2**bits - 1)
        self._words = np.full(2**bits, -1, np.int64)
        self._max_probes = 0
        words = (keys << _VALUE_BITS) | values
        slot = self._slot(keys)
        while len(words):
            self._max_probes += 1
            free = self._words[slot] == -1
            # If several keys want one free slot, one gets it; the others find it taken and try the next.
            self._words[slot[free]] = words[free]
            waiting = self._words[slot] != words
            words, slot = words[waiting], (slot[waiting] + 1) & self._mask

    def _slot(self, keys: Array) -> Array:
        hashed = keys.view(np.uint64) * _HASH
        hashed >>= self._shift
        return hashed.view(np.int64)

    def get(self, keys: Array) -> Array:
        slot = self._slot(keys)
        found = self._words.take(slot)
        values = (found & _VALUE_MASK).astype(np.int32)
        found >>= _VALUE_BITS
        other = np.flatnonzero(found != keys)
        values[other] = _NONE
        other = other[found.take(other) != -1]
        slot, keys = slot.take(other), keys.take(other)
        for _ in range(self._max_probes - 1):
            if not len(other):
                break
            slot = (slot + 1) & self._mask
            word = self._words.take(slot)
            found = word >> _VALUE_BITS
            hit = found == keys
            values[other[hit]] = word[hit] & _VALUE_MASK
            going = ~hit & (found != -1)
            other, slot, keys = other[going], slot[going], keys[going]
        return values


def code_points(texts: Sequence[bytes]) -> tuple[Array, Array]:
    """Returns two arrays: the code points of all texts, concatenated, and the number of code points of each text. The
    texts are UTF-8.
    """
    joined = b"".join(texts).decode("utf-8")
    chars = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
    data = np.frombuffer(b"".join(texts), np.uint8)
    is_start = (data & 0xC0) != 0x80
    counts = np.concatenate([[0], np.cumsum(is_start)])
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    return chars, np.diff(counts[np.concatenate([[0], ends])])
