"""Scores the pieces of texts with a KenLM model in machine code, for :mod:`filters.ccnet.compiled_perplexity`.

The scores are exactly those of the package, because the sums are rounded after the same additions in the same order.
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

VOCABULARY, UNIGRAMS = 0, 1
"""The positions of the first two tables in :attr:`Ngrams.firsts`. The tables of the 2-grams, 3-grams, ... follow."""
NO_EXTENSION = 0x80000000
"""The bits of the backoff of an n-gram that begins no longer n-gram. As a float it is -0.0."""
SPACE = 32
UNKNOWN = -1
"""The number of a piece that is not in the SentencePiece model."""


class Ngrams(NamedTuple):
    """Holds the tables of a KenLM model with hash tables (``probing``), as they are in its binary file."""

    numbers: npt.NDArray[np.uint32]
    """The content of the file."""
    floats: Floats
    """The same memory as ``numbers``, as floats."""
    firsts: Ints
    """For each table, the index in ``numbers`` of its first entry."""
    slots: Ints
    """For each table, its number of entries. Some entries of hash tables are free."""
    begin: int
    """The number of the word ``<s>``."""
    end: int
    """The number of the word ``</s>``."""


@kernel
def hash_of(codes: Codes, start: int, end: int) -> np.uint64:
    """Returns the hash of a word in KenLM's vocabulary: MurmurHash64A with the seed 0."""
    factor = np.uint64(0xC6A4A7935BD1E995)
    found = np.uint64(end - start) * factor
    at = start
    while end - at >= 8:
        block = np.uint64(0)
        for byte in range(8):
            block |= np.uint64(codes[at + byte]) << np.uint64(8 * byte)
        block *= factor
        block ^= block >> np.uint64(47)
        found = (found ^ (block * factor)) * factor
        at += 8
    if at < end:
        for byte in range(end - at):
            found ^= np.uint64(codes[at + byte]) << np.uint64(8 * byte)
        found *= factor
    found ^= found >> np.uint64(47)
    found *= factor
    return found ^ (found >> np.uint64(47))


@kernel
def find(numbers: npt.NDArray[np.uint32], first: int, slots: int, width: int, place: int, key: np.uint64) -> int:
    """Searches for a key in a hash table with entries of ``width`` numbers. Returns the index of the entry; -1 if the
    key is not in the table. ``place`` is the index of the entry where the search begins. The first two numbers of an
    entry are the key, and a free entry has the key 0.
    """
    end = first + slots * width
    for _ in range(slots):
        got = np.uint64(numbers[place]) | (np.uint64(numbers[place + 1]) << np.uint64(32))
        if got == key:
            return place
        if got == np.uint64(0):
            return -1
        place += width
        if place == end:
            place = first
    return -1


@kernel
def word_of(numbers: npt.NDArray[np.uint32], firsts: Ints, slots: Ints, codes: Codes, start: int, end: int) -> int:
    """Returns the number of a word in the vocabulary of the n-grams; 0 if it is not in the vocabulary."""
    key, first, num_slots = hash_of(codes, start, end), firsts[VOCABULARY], slots[VOCABULARY]
    entry = find(numbers, first, num_slots, 3, first + 3 * np.int64(key % np.uint64(num_slots)), key)
    return int(numbers[entry + 2]) if entry >= 0 else 0


@kernel
def spelled(codes: Codes) -> Codes:
    """Returns a piece with U+2581 in place of spaces, as the vocabulary of the n-grams has it."""
    found = np.empty(3 * len(codes), np.uint8)
    length = 0
    for at in range(len(codes)):
        if codes[at] == SPACE:
            found[length], found[length + 1], found[length + 2] = 0xE2, 0x96, 0x81
            length += 3
        else:
            found[length] = codes[at]
            length += 1
    return found[:length]


@kernel
def words_of(
    numbers: npt.NDArray[np.uint32], firsts: Ints, slots: Ints, codes: Codes, bounds: Ints, found: Ints
) -> None:
    """Writes into ``found`` the number of each word in the vocabulary of the n-grams. Word ``i`` is
    ``codes[bounds[i]:bounds[i + 1]]``."""
    for word in range(len(found)):
        found[word] = word_of(numbers, firsts, slots, codes, bounds[word], bounds[word + 1])


@kernel
def score_words(numbers: npt.NDArray[np.uint32], floats: Floats, firsts: Ints, slots: Ints, words: Ints) -> np.float32:
    """Returns log10 of the probability of words, which follow the first of them. Each word is scored as KenLM's
    ``GenericModel::FullScore`` does.
    """
    order = len(firsts) - 1
    backoffs, next_backoffs = np.zeros(order, np.float32), np.zeros(order, np.float32)
    backoffs[0] = floats[firsts[UNIGRAMS] + 2 * words[0] + 1]
    length = 1  # the number of words before this word on which its probability depends
    total = np.float32(0)
    for at in range(1, len(words)):
        unigram = firsts[UNIGRAMS] + 2 * words[at]
        score = -abs(floats[unigram])  # the sign is not part of the number
        is_last = numbers[unigram] >= NO_EXTENSION  # no longer n-gram ends with these words
        next_backoffs[0] = floats[unigram + 1]
        next_length = 1 if numbers[unigram + 1] != NO_EXTENSION else 0
        num_matched = 1
        key = np.uint64(0)
        for previous in range(length):
            if is_last:
                break
            table = UNIGRAMS + 1 + previous
            if previous == 0:
                key = np.uint64(words[at])
            key = (key * np.uint64(8978948897894561157)) ^ (
                np.uint64(1 + words[at - 1 - previous]) * np.uint64(17894857484156487943)
            )
            width = 3 if table == order else 4
            place = firsts[table] + np.int64(key % np.uint64(slots[table])) * width
            entry = find(numbers, firsts[table], slots[table], width, place, key)
            if entry < 0:
                break
            num_matched = previous + 2
            if table == order:
                score = floats[entry + 2]
                break
            score = -abs(floats[entry + 2])
            is_last = numbers[entry + 2] >= NO_EXTENSION
            next_backoffs[previous + 1] = floats[entry + 3]
            if numbers[entry + 3] != NO_EXTENSION:
                next_length = num_matched
        for previous in range(num_matched - 1, length):
            score += backoffs[previous]
        total += score
        backoffs, next_backoffs = next_backoffs, backoffs
        length = next_length
    return total


@kernel
def score_pieces(codes: Codes, ends: Numbers, ids: Numbers, num_pieces: int, word_of_piece: Ints,
                 ngrams: Ngrams) -> np.float32:  # fmt: skip
    """Returns log10 of the probability of a text that was split into pieces.

    ``ends`` and ``ids`` come from :func:`filters.ccnet.piece_kernels.split_text`. ``word_of_piece`` has, for each piece
    of the SentencePiece model, its number in the vocabulary of the n-grams.
    """
    numbers, firsts, slots = ngrams.numbers, ngrams.firsts, ngrams.slots
    words = np.empty(num_pieces + 2, np.int64)
    words[0] = ngrams.begin
    words[num_pieces + 1] = ngrams.end
    start = 0
    for piece in range(num_pieces):
        end = ends[piece]
        if ids[piece] == UNKNOWN:
            spelling = spelled(codes[start:end])
            words[piece + 1] = word_of(numbers, firsts, slots, spelling, 0, len(spelling))
        else:
            words[piece + 1] = word_of_piece[ids[piece]]
        start = end
    return score_words(numbers, ngrams.floats, firsts, slots, words)
