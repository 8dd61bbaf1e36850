"""Defines the index of the items of evaluation sets. The index consists of plain arrays. So it can be stored in one
file, which all processes map into their memory.

A *piece* is the text of one part of an item (its question, passage or code), as normalised words. Items of a set that
have the same text and answer share a piece. A *seed* is an n-gram of a piece by which the piece is found.

With 20 million seeds, the arrays that matching needs take 285 MB. The Bloom filter (a quick test whether an n-gram is a
seed) takes 32 MB, and the starts of the hash table's buckets take 34 MB. Each seed takes 11 bytes: 2 for a check
(further bits of its hash), 4 for its place in the words of the pieces, 4 for the hash of the word at this place, and 1
for the weight of this word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.compiled import kernel
from filters.decontaminate.items import SetRules
from filters.decontaminate.words import I64, U32, U64

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]

SEED_WORDS = 6
"""Number of words in a seed (an n-gram by which a piece is found)."""
STRIDE = 3
"""Every third n-gram of a document is looked up, beginning with the n-gram at the document's first word. So if a
document and a piece share a run of 8 words, at least one n-gram of this run is looked up."""
SHORT_SEED_WORDS = 3
"""Number of words in the seed of a short piece. Every n-gram of this length in a document is looked up."""
MIN_WORDS = SEED_WORDS + STRIDE - 1
"""A question with fewer words than this is found only together with its answer. In scripts without spaces, a character
counts as half a word."""

FINDABLE, NEEDS_ANSWER, TOO_SHORT, TOO_COMMON = 0, 1, 2, 3
STATES = ("findable", "needs_answer", "too_short", "too_common")
"""The names of the states of a piece. A ``findable`` piece is found even without its answer. A piece that
``needs_answer`` is found only with its answer near it. A ``too_short`` or ``too_common`` piece is never found. A
``too_short`` piece has fewer than 3 words, or needs an answer but has none. The words or n-grams of a ``too_common``
piece are too common."""

_NGRAM_MIX, _MIX_BEFORE, _MIX_AFTER = 0xC2B2AE3D27D4EB4F, 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93

_NUM_RECENT, _MAX_REPEATS = 8, 16

FULL_WEIGHT = 255
"""Weights from 0 to 1 are stored as numbers from 0 to this number. A word that only one piece contains has the weight
1."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """A hash table that maps seeds (n-grams) to their places in ``Index.words``. A place is the index of a seed's first
    word."""

    num_words: int
    """Number of words in an n-gram."""
    bloom: U64
    """A Bloom filter of the n-grams' hashes."""
    starts: U32
    """Bucket ``b`` of the hash table contains the seeds ``starts[b]`` to ``starts[b + 1] - 1``."""
    checks: U16
    """Further bits of each seed's hash. A bucket contains several seeds, so a lookup compares these bits too."""
    places: U32
    """The place of each seed in ``Index.words``."""

    def look_up(self, words: U64, offsets: I64, stride: int) -> tuple[I64, I64]:
        """Looks up n-grams of documents. ``words`` contains the words of all documents. Document ``i`` has the words
        from ``offsets[i]`` to ``offsets[i + 1]``. In each document, the first n-gram and every ``stride``-th n-gram
        after it are looked up.

        Returns two arrays of equal length. The first contains the indices in ``words`` at which n-grams begin. The
        second contains places in ``Index.words`` where probably the same n-grams begin.
        """
        most = len(words) // stride + len(offsets)  # likely_ngrams writes at most one n-gram per step
        found, hashes = np.empty(most, np.int64), np.empty(most, np.uint64)
        count = likely_ngrams(words, offsets, self.num_words, stride, self.bloom, found, hashes)
        found, hashes = found[:count], hashes[:count]
        if not count:
            return found, found
        buckets = _high_bits(hashes, len(self.starts) - 1)
        first = self.starts[buckets].astype(np.int64)
        counts = self.starts[buckets + 1] - first
        which, entries = ragged(first, counts)
        same = self.checks[entries] == _check_of(hashes)[which]
        return found[which[same]], self.places[entries[same]].astype(np.int64)


def _high_bits(hashes: U64, size: int) -> I64:
    """Returns the high bits of each hash, as numbers below ``size``. ``size`` must be a power of two."""
    return (
        (hashes >> np.uint64(64 - (size.bit_length() - 1))).astype(np.int64)
        if size > 1
        else np.zeros(len(hashes), np.int64)
    )


def _check_of(hashes: U64) -> U16:
    return (hashes >> np.uint64(12)).astype(np.uint16)


def ragged(first: I64, counts: I64) -> tuple[I64, I64]:
    """Lists all numbers of several ranges. Range ``i`` begins at ``first[i]`` and has ``counts[i]`` numbers.

    Returns two arrays with one entry per listed number: the index of its range, and the number itself.

    >>> which, values = ragged(np.array([10, 20]), np.array([2, 1]))
    >>> which.tolist(), values.tolist()
    ([0, 0, 1], [10, 11, 20])
    """
    which = np.repeat(np.arange(len(first), dtype=np.int64), counts)
    before = np.cumsum(counts) - counts
    return which, np.arange(len(which), dtype=np.int64) + np.repeat(first - before, counts)


def ngram_hashes(words: U64, places: I64, num_words: int) -> U64:
    """Returns one hash per place (an index in ``words``): the hash of the ``num_words`` words that begin there."""
    hashes = words.take(places)
    for offset in range(1, num_words):
        hashes *= np.uint64(_NGRAM_MIX)
        hashes ^= hashes >> np.uint64(29)
        hashes += words.take(places + offset)
    hashes *= np.uint64(_MIX_BEFORE)
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(_MIX_AFTER)
    return hashes


@kernel
def likely_ngrams(
    words: U64, offsets: I64, num_words: int, stride: int, bloom: U64, places: I64, hashes: U64
) -> int:  # fmt: skip
    """Hashes n-grams of documents, as :func:`ngram_hashes` does, and looks up each hash in the Bloom filter. If the
    filter contains the n-gram, its place and hash are written into ``places`` and ``hashes``. Returns how many were
    written.

    In each document, the first n-gram and every ``stride``-th n-gram after it are looked up. The two arrays must have
    room for all these n-grams. The size of the filter must be a power of two.

    A text that repeats itself ("0 0 0 0", "la la la") has the same n-gram at very many places. Comparing each of these
    places with the pieces would take too long. So an n-gram counts as repeated if it equals one of the last few
    n-grams. After ``_MAX_REPEATS`` repeated n-grams in a row, further repeated n-grams are skipped.
    """
    one, low, six, half = np.uint64(1), np.uint64(63), np.uint64(6), np.uint64(32)
    shift, size = np.uint64(64), len(bloom)
    while size > 1:
        size >>= 1
        shift -= one
    count = 0
    recent = np.zeros(_NUM_RECENT, dtype=np.uint64)
    for document in range(len(offsets) - 1):
        repeats = 0
        for number, place in enumerate(range(offsets[document], offsets[document + 1] - num_words + 1, stride)):
            value = words[place]
            for offset in range(1, num_words):
                value *= np.uint64(_NGRAM_MIX)
                value ^= value >> np.uint64(29)
                value += words[place + offset]
            value *= np.uint64(_MIX_BEFORE)
            value ^= value >> half
            value *= np.uint64(_MIX_AFTER)
            bits = (one << (value & low)) | (one << ((value >> six) & low))
            at = value >> shift if shift < np.uint64(64) else np.uint64(0)
            is_repeated = False
            for slot in range(min(number, _NUM_RECENT)):
                is_repeated = is_repeated or recent[slot] == value
            recent[number % _NUM_RECENT] = value
            repeats = repeats + 1 if is_repeated else 0
            if repeats <= _MAX_REPEATS and bloom[at] & bits == bits:
                places[count], hashes[count] = place, value
                count += 1
    return count


@kernel
def matching_weights(
    documents: I64, pieces: I64, shifts: I64, words: U64, offsets: I64, piece_words: U32, weights: U8,
    piece_starts: I64, sums: I64,
) -> None:  # fmt: skip
    """Adds up the weights of the equal words of each alignment. Writes one sum per alignment into ``sums``.

    An alignment consists of a document, a piece, and a shift: the number of the document's word at which the piece
    would begin. The shift is negative if the document begins inside the piece.
    """
    for row in range(len(documents)):
        begin, end = offsets[documents[row]], offsets[documents[row] + 1]
        start = piece_starts[pieces[row]]
        length = piece_starts[pieces[row] + 1] - start
        shift = shifts[row]
        total = 0
        for at in range(max(0, -shift), min(length, end - begin - shift)):
            if np.uint64(piece_words[start + at]) == words[begin + shift + at]:
                total += weights[start + at]
        sums[row] = total


def make_seeds(hashes: U64, places: I64, num_words: int) -> Seeds:
    """Returns the hash table of n-grams. ``hashes`` has the hash of each n-gram, and ``places`` has the index of its
    first word in ``Index.words``."""
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
    """Holds the index of evaluation sets: pieces, items and answers, and the hash tables by which pieces are found."""

    sets: tuple[SetRules, ...]
    words: U32
    """The hashed words of all pieces, one piece after another."""
    weights: U8
    """The weight of each word in ``words``. The rarest words have the weight 255 (``FULL_WEIGHT``)."""
    piece_starts: I64
    """Piece ``i`` has the words from ``piece_starts[i]`` to ``piece_starts[i + 1]``."""
    piece_sets: U16
    """The set of each piece, as an index into ``sets``."""
    piece_parts: U8
    """For each piece, the part of the item that it comes from, as an index into ``PARTS``."""
    piece_states: U8
    """The state of each piece, as an index into ``STATES``."""
    piece_weights: U32
    """The sum of the weights of each piece's words."""
    answer_starts: I64
    """The answer of piece ``i`` has the words from ``answer_starts[i]`` to ``answer_starts[i + 1]`` in ``answers``."""
    answers: U32
    item_starts: I64
    """The items of piece ``i`` are those from ``item_starts[i]`` to ``item_starts[i + 1]`` in ``piece_items``."""
    piece_items: U32
    item_sets: U16
    """The set of each item, as an index into ``sets``."""
    text_starts: I64
    """The id and the texts of item ``i`` are stored as JSON in ``texts``, from ``text_starts[i]`` to
    ``text_starts[i + 1]``.
    """
    texts: U8
    seeds: Seeds
    near_seeds: Seeds
    """The seeds of pieces that could be missed if only every third n-gram of a document were looked up, because they
    have few seeds. Pieces with a seed in ``short_seeds`` are left out. Every n-gram of a document is looked up in this
    table."""
    short_seeds: Seeds
    """One seed for each piece that could be missed with ``seeds`` alone, such as a short piece: the rarest n-gram of
    the piece. A piece has no such seed if even this n-gram is too common. Every n-gram of a document is looked up in
    this table."""

    @property
    def num_pieces(self) -> int:
        return len(self.piece_sets)

    @property
    def num_items(self) -> int:
        return len(self.item_sets)

    @property
    def matching_bytes(self) -> int:
        """The size in bytes of the arrays that matching uses, which are all arrays except the items' texts."""
        return sum(array.nbytes for name, array in self.arrays().items() if name not in ("texts", "text_starts"))

    def arrays(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """Returns all arrays by name, for writing them to a file."""
        own = {name: getattr(self, name) for name in ARRAYS}
        for kind in SEED_KINDS:
            seeds = getattr(self, kind)
            own |= {f"{kind}.{name}": getattr(seeds, name) for name in SEED_ARRAYS}
        return own


ARRAYS = (
    "words", "weights", "piece_starts", "piece_sets", "piece_parts", "piece_states", "piece_weights", "answer_starts",
    "answers", "item_starts", "piece_items", "item_sets", "text_starts", "texts",
)  # fmt: skip
SEED_KINDS = {"seeds": SEED_WORDS, "near_seeds": SEED_WORDS, "short_seeds": SHORT_SEED_WORDS}
"""The kinds of seeds, with the number of words in a seed."""
SEED_ARRAYS = ("bloom", "starts", "checks", "places")


def index_of(sets: tuple[SetRules, ...], arrays: Mapping[str, npt.NDArray[np.generic]]) -> Index:
    """Returns the index with the given arrays. This is the inverse of :meth:`Index.arrays`."""
    own = {name: arrays[name] for name in ARRAYS}
    seeds = {
        kind: Seeds(num_words, **{name: arrays[f"{kind}.{name}"] for name in SEED_ARRAYS})  # type: ignore[arg-type]
        for kind, num_words in SEED_KINDS.items()
    }
    return Index(sets=sets, **seeds, **own)  # type: ignore[arg-type]
