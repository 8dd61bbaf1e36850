"""Contains the compiled loops of the near dedup. They hash word n-grams, remove repetitions, compute signatures, and
count the n-grams that two documents share. Numba compiles them when they are first called (:mod:`filters.compiled`).

:mod:`filters.books.overlap` and :mod:`filters.near.minhash` explain what each result means. The callers check the sizes
of all arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.compiled import kernel

Hashes = npt.NDArray[np.uint64]
Ends = npt.NDArray[np.int64]

_BLOCK_BYTES = 1 << 18
_BASE = np.uint64(0xD6E8FEB86659FD93)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_0, _1, _27, _30, _31 = np.uint64(0), np.uint64(1), np.uint64(27), np.uint64(30), np.uint64(31)
_FMIX_1, _FMIX_2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_13, _16 = np.uint32(13), np.uint32(16)
_A, _E, _O, _U, _SPACE = 97, 101, 111, 117, 32

DONE, FULL, UNKNOWN = 0, 1, 2
"""The reasons for which :func:`hash_ngrams` returns: all texts are hashed, ``grams`` is full, or the table has no entry
for a character."""
_FEW = 16
"""If one array is more than this many times as long as the other, each number of the shorter array is searched for in
the longer array. Otherwise, both arrays are read from start to end."""


class Texts(NamedTuple):
    """Holds many texts, one after another."""

    data: npt.NDArray[np.uint8]
    """The texts as valid UTF-8. Surrogates are encoded like other characters."""
    ends: Ends
    """Text ``i`` is ``data[ends[i]:ends[i + 1]]``."""
    is_folded: npt.NDArray[np.bool_]
    """True for texts that were folded before, except for their ASCII characters."""


class Tables(NamedTuple):
    """Holds the tables of :func:`filters.near.folding.fold_table`, and a random number for each byte."""

    entries: npt.NDArray[np.int32]
    pool: npt.NDArray[np.uint8]
    byte_values: Hashes


class Found(NamedTuple):
    """Holds the n-grams that :func:`hash_ngrams` has found so far."""

    grams: Hashes
    ends: Ends
    """The n-grams of text ``i`` are ``grams[ends[i]:ends[i + 1]]``. The caller sets ``ends[0]`` to 0."""
    ring: Hashes
    """Scratch space for the hashes of the words of one n-gram."""


@kernel
def hash_ngrams(texts: Texts, tables: Tables, found: Found, first: int) -> tuple[int, int]:
    """Hashes the word n-grams of texts in one pass, from text number ``first`` on.

    Returns the number of the text with which the next call must begin, and the reason for returning: ``DONE`` (all
    texts are hashed), ``FULL`` (``found.grams`` is full) or ``UNKNOWN`` (the tables have no entry for a character).
    """
    data, text_ends, is_folded = texts
    entries, pool, byte_values = tables
    grams, ends, ring = found
    width = ring.size
    leaving = _1  # the power by which the oldest word of an n-gram is multiplied when the next word comes
    for _ in range(width):
        leaving = leaving * _MULTIPLIER
    for text in range(first, text_ends.size - 1):
        at, end, folded = text_ends[text], text_ends[text + 1], is_folded[text]
        count, num_words, slot, gram = ends[text], 0, 0, _0
        value, power, length, limit = _0, _1, 0, _BLOCK_BYTES - 1
        before: Any = _SPACE
        byte: Any = 0
        place: Any = 0  # the bytes from here to ``stop`` are left of a character outside ASCII
        stop: Any = 0
        while at <= end or place < stop:
            if place < stop:
                byte = np.int64(pool[place])
                place += 1
            elif at == end:
                byte = _SPACE  # ends the last word
                at += 1
            else:
                code = np.int64(data[at])
                if code < 128 or folded:
                    byte = np.int64(pool[code])
                    at += 1
                else:
                    num_bytes = 2 if code < 0xE0 else 3 if code < 0xF0 else 4
                    code &= 0xFF >> (num_bytes + 1)
                    for further in range(at + 1, at + num_bytes):
                        code = code << 6 | np.int64(data[further]) & 0x3F
                    at += num_bytes
                    place = np.int64(entries[code])
                    if place == 0:
                        return text, UNKNOWN
                    stop = place + 1 + np.int64(pool[place])
                    place += 1
                    continue
            if byte == _SPACE or length == limit:
                if length > 0:
                    value = (value ^ (value >> _30)) * _MIX_1
                    value = (value ^ (value >> _27)) * _MIX_2
                    value ^= value >> _31
                    gram = gram * _MULTIPLIER + value
                    if num_words >= width:
                        gram -= ring[slot] * leaving
                    ring[slot] = value
                    slot = slot + 1 if slot + 1 < width else 0
                    num_words += 1
                    if num_words >= width:
                        if count == grams.size:
                            return text, FULL
                        mixed = (gram ^ (gram >> _30)) * _MIX_1
                        mixed = (mixed ^ (mixed >> _27)) * _MIX_2
                        grams[count] = mixed ^ (mixed >> _31)
                        count += 1
                    value, power, length = _0, _1, 0
                # A word that does not fit a block after its space counts as several words.
                limit = _BLOCK_BYTES - 1 if byte == _SPACE else _BLOCK_BYTES
            # Without short circuits, this is one branch, which is rarely taken.
            is_dropped = (byte == _E) & ((before == _A) | (before == _O) | (before == _U))
            before = byte
            if not ((byte == _SPACE) | is_dropped):
                value += byte_values[byte] * power
                power *= _BASE
                length += 1
        ends[text + 1] = count
    return text_ends.size - 1, DONE


@kernel
def drop_repetitions(grams: Hashes, ends: Ends) -> None:
    """Removes repeated n-grams from the sorted n-grams of each text. Moves the n-grams that stay to the beginning of
    ``grams``, and changes ``ends`` accordingly.
    """
    count, start = 0, ends[0]
    for text in range(ends.size - 1):
        end, first = ends[text + 1], count
        for place in range(start, end):
            gram = grams[place]
            if count == first or grams[count - 1] != gram:
                grams[count] = gram
                count += 1
        start = end
        ends[text + 1] = count


@kernel
def lowest_permuted(
    hashes: npt.NDArray[np.uint32], ends: Ends, factors: npt.NDArray[np.uint32], summands: npt.NDArray[np.uint32],
    signatures: npt.NDArray[np.uint32],
) -> None:  # fmt: skip
    """Computes each document's signature. Number ``i`` of a signature is the smallest value that permutation ``i``
    gives for a hash of the document. Before the call, all bits of ``signatures`` must be 1.

    Before the permutations, the bits of each hash are mixed by the 32-bit finaliser of MurmurHash3, as in datasketch.
    """
    for document in range(ends.size - 1):
        signature = signatures[document]
        for place in range(ends[document], ends[document + 1]):
            mixed = np.uint32(hashes[place])
            mixed = np.uint32(np.uint32(mixed ^ (mixed >> _16)) * _FMIX_1)
            mixed = np.uint32(np.uint32(mixed ^ (mixed >> _13)) * _FMIX_2)
            mixed = np.uint32(mixed ^ (mixed >> _16))
            for number in range(factors.size):
                permuted = np.uint32(np.uint32(factors[number] * mixed) + summands[number])
                signature[number] = min(signature[number], permuted)


@kernel
def count_shared(one: Hashes, other: Hashes) -> int:
    """Returns how many numbers two arrays share. Both arrays must be sorted and without repetitions."""
    small, large = (one, other) if one.size <= other.size else (other, one)
    shared, place = 0, 0
    if large.size > _FEW * small.size:
        for number in small:
            low, high = place, large.size
            while low < high:
                middle = (low + high) // 2
                if large[middle] < number:
                    low = middle + 1
                else:
                    high = middle
            place = low
            if place < large.size and large[place] == number:
                shared += 1
        return shared
    at = 0
    while at < small.size and place < large.size:
        left, right = small[at], large[place]
        shared += left == right
        at += left <= right
        place += right <= left
    return shared
