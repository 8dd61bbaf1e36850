"""An index of the items of evaluation sets: plain arrays, so that all processes of a machine can map one file.

A *piece* is the text of one part of an item (its question, passage or code), as normalised words. Items of a set that
have the same text share a piece. A *seed* is an n-gram of a piece by which the piece is found.

For 20 million seeds the arrays that a match touches have 285 MB: a Bloom filter of 32 MB, a table of 34 MB that says
where the seeds of a hash begin, and for each seed a check of 2 bytes, a place of 4 bytes, a word of 4 bytes, and the
word's weight of 1 byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.decontaminate.items import SetRules
from filters.decontaminate.words import I64, U32, U64

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]

SEED_WORDS = 6
"""Words of a seed."""
STRIDE = 3
"""Every third n-gram of a document is looked up, counted from the document's first word. So every run of 8 words that a
document shares with a piece has one that is looked up."""
SHORT_SEED_WORDS = 3
"""Words of the seed of a short piece. Every such n-gram of a document is looked up."""
MIN_WORDS = SEED_WORDS + STRIDE - 1
"""Words from which a question is long enough to be found without its answer."""

FINDABLE, NEEDS_ANSWER, TOO_SHORT, TOO_COMMON = 0, 1, 2, 3
STATES = ("findable", "needs_answer", "too_short", "too_common")
"""What a piece's state says: it is found alone; only with its answer near; never, because it has too few words or a
short question has no answer; never, because its words are too common."""

FULL_WEIGHT = 255
"""The weight of a word that no other item has."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """A hash table from n-grams to places in the words of the pieces."""

    num_words: int
    """Words of an n-gram."""
    bloom: U64
    starts: U32
    """The seeds of bucket ``b`` are those from ``starts[b]`` to ``starts[b + 1]``."""
    checks: U16
    places: U32

    def look_up(self, hashes: U64) -> tuple[I64, I64]:
        """Returns pairs: numbers of the given hashes, and places where a piece probably has that n-gram."""
        bits = np.uint64(1) << (hashes & np.uint64(63))
        bits |= np.uint64(1) << ((hashes >> np.uint64(6)) & np.uint64(63))
        found = np.flatnonzero((self.bloom.take(_high_bits(hashes, len(self.bloom))) & bits) == bits)
        if not len(found):
            return found, found
        hashes = hashes[found]
        buckets = _high_bits(hashes, len(self.starts) - 1)
        first = self.starts[buckets].astype(np.int64)
        counts = self.starts[buckets + 1] - first
        which, entries = ragged(first, counts)
        same = self.checks[entries] == _check_of(hashes)[which]
        return found[which[same]], self.places[entries[same]].astype(np.int64)


def _high_bits(hashes: U64, size: int) -> I64:
    """Returns a number below ``size``, a power of two, for each hash."""
    return (
        (hashes >> np.uint64(64 - (size.bit_length() - 1))).astype(np.int64)
        if size > 1
        else np.zeros(len(hashes), np.int64)
    )


def _check_of(hashes: U64) -> U16:
    return (hashes >> np.uint64(12)).astype(np.uint16)


def ragged(first: I64, counts: I64) -> tuple[I64, I64]:
    """Returns the numbers of ranges and the values in them, one pair per value.

    >>> which, values = ragged(np.array([10, 20]), np.array([2, 1]))
    >>> which.tolist(), values.tolist()
    ([0, 0, 1], [10, 11, 20])
    """
    which = np.repeat(np.arange(len(first), dtype=np.int64), counts)
    before = np.cumsum(counts) - counts
    return which, np.arange(len(which), dtype=np.int64) + np.repeat(first - before, counts)


def ngram_hashes(words: U64, places: I64, num_words: int) -> U64:
    """Returns a hash of the n-gram that begins at each place."""
    hashes = words.take(places)
    for offset in range(1, num_words):
        hashes *= np.uint64(0xC2B2AE3D27D4EB4F)
        hashes ^= hashes >> np.uint64(29)
        hashes += words.take(places + offset)
    hashes *= np.uint64(0x9E3779B97F4A7C15)
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(0xD6E8FEB86659FD93)
    return hashes


def make_seeds(hashes: U64, places: I64, num_words: int) -> Seeds:
    """Builds the hash table of n-grams at the given places."""
    order = np.lexsort((places, hashes))
    hashes, places = hashes[order], places[order]
    num_buckets = 1 << max(0, int(len(hashes) - 1).bit_length() - 2)
    starts = np.searchsorted(_high_bits(hashes, num_buckets), np.arange(num_buckets + 1)).astype(np.uint32)
    num_bloom = 1 << max(0, int(len(hashes) - 1).bit_length() - 3)
    bloom = np.zeros(num_bloom, dtype=np.uint64)
    at = _high_bits(hashes, num_bloom)
    bits = (np.uint64(1) << (hashes & np.uint64(63))) | (np.uint64(1) << ((hashes >> np.uint64(6)) & np.uint64(63)))
    if len(at):
        first = np.flatnonzero(np.concatenate([[True], at[1:] != at[:-1]]))
        bloom[at[first]] = np.bitwise_or.reduceat(bits, first)
    return Seeds(num_words, bloom, starts, _check_of(hashes), places.astype(np.uint32))


@dataclass(frozen=True, slots=True)
class Index:
    """The pieces of all items of all sets."""

    sets: tuple[SetRules, ...]
    words: U32
    """The words of all pieces, one piece after the other."""
    weights: U8
    """How rare each of them is: 255 for a word that no other item has."""
    piece_starts: I64
    """Piece ``i`` has the words from ``piece_starts[i]`` to ``piece_starts[i + 1]``."""
    piece_sets: U16
    piece_parts: U8
    piece_states: U8
    piece_weights: U32
    """The sum of the weights of a piece."""
    answer_starts: I64
    answers: U32
    """The words of the pieces' answers, one after the other."""
    item_starts: I64
    """The items of piece ``i`` are those from ``item_starts[i]`` to ``item_starts[i + 1]`` in ``piece_items``."""
    piece_items: U32
    item_sets: U16
    text_starts: I64
    """Item ``i`` has its id and its texts (JSON) at ``text_starts[i]``."""
    texts: U8
    seeds: Seeds
    short_seeds: Seeds

    @property
    def num_pieces(self) -> int:
        return len(self.piece_sets)

    @property
    def num_items(self) -> int:
        return len(self.item_sets)

    @property
    def matching_bytes(self) -> int:
        """Returns the bytes of the arrays that a match touches: all but the items' texts."""
        return sum(array.nbytes for name, array in self.arrays().items() if name not in ("texts", "text_starts"))

    def arrays(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """Returns all arrays by name, for a file."""
        own = {name: getattr(self, name) for name in ARRAYS}
        for kind, seeds in (("seeds", self.seeds), ("short_seeds", self.short_seeds)):
            own |= {f"{kind}.{name}": getattr(seeds, name) for name in SEED_ARRAYS}
        return own


ARRAYS = (
    "words", "weights", "piece_starts", "piece_sets", "piece_parts", "piece_states", "piece_weights", "answer_starts",
    "answers", "item_starts", "piece_items", "item_sets", "text_starts", "texts",
)  # fmt: skip
SEED_ARRAYS = ("bloom", "starts", "checks", "places")


def index_of(sets: tuple[SetRules, ...], arrays: Mapping[str, npt.NDArray[np.generic]]) -> Index:
    """Returns the index with these arrays, the opposite of :meth:`Index.arrays`."""
    own = {name: arrays[name] for name in ARRAYS}
    seeds, short_seeds = (
        Seeds(num_words, **{name: arrays[f"{kind}.{name}"] for name in SEED_ARRAYS})  # type: ignore[arg-type]
        for kind, num_words in (("seeds", SEED_WORDS), ("short_seeds", SHORT_SEED_WORDS))
    )
    return Index(sets=sets, seeds=seeds, short_seeds=short_seeds, **own)  # type: ignore[arg-type]
