"""Adds up the vectors of the words of texts in machine code, for :mod:`filters.language.compiled_sums`.

The words of a text are copied into a block of memory that fits into the processor's cache, each as ``<word>``. All
n-grams of a block are hashed at once, one length after another, in loops that the compiler turns into vector
instructions. An earlier form kept the sums of words in a table from batch to batch. It was slower, because searching
and filling the table costs as much as adding up the rows again.

The results are those of :meth:`filters.language.word_sums.WordSums.sum_texts`. The sums of words are equal to the last
bit, because rows are added in the same order. The sums of texts may differ in the last bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.compiled import kernel

_FNV_BASIS, _FNV_PRIME = 2166136261, 16777619
_OPEN, _CLOSE = 60, 62
"""The characters ``<`` and ``>``."""

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Tables(NamedTuple):
    """Holds the tables of a model in the form that kernels read."""

    vectors: npt.NDArray[np.float32]
    """The vectors of the words and n-grams, one per row."""
    row_of_bucket: Numbers
    """Row of each n-gram by the bucket of its hash; -1 if the n-gram was pruned."""
    is_kept: Bytes
    """One bit per bucket, the lowest bit of a byte first. A bit is 1 if the bucket has a row. These bits fit into the
    cache, but ``row_of_bucket`` does not."""
    inverse: float
    """One divided by the number of buckets, rounded up."""
    slots: Ints
    """The hash table of the model's words, with two entries per slot: a word's hash and its row. The row is -1 in a
    free slot. At least half of the slots are free."""
    known: Bytes
    """The model's words, one after another."""
    known_bounds: Ints
    """The start of the first word in ``known``, then the end of each word."""
    label_prefix: Bytes
    end_of_line: Bytes
    min_chars: int
    max_chars: int
    max_rows: int
    """If a word has more rows, fastText itself scores the text."""


class Block(NamedTuple):
    """Holds the words of a part of a text, and room for what is computed from them."""

    codes: Bytes
    """The bytes of ``<word>`` for each word, one word after another."""
    firsts: Hashes
    """The first byte of each character, as fastText hashes it: a signed number."""
    word_of: Numbers
    """The word of each character."""
    wide: Numbers
    """Two rows: the index of each character of several bytes, and the index of its second byte."""
    starts: Ints
    """Two rows: the index of the first character and of the first byte of each word. One more column than words."""
    word_hashes: Ints
    hashes: Hashes
    """The hash of the n-gram that begins at each character."""
    ngrams: Ints
    """The n-gram that begins at each character: its word times 2**32, plus its bucket."""
    rows: Ints
    """The rows that were found for n-grams or words: the word times 2**32, plus the row."""
    sums: Floats
    """The sum of the rows of each word, of shape (words, dimensions)."""
    counts: Ints
    """The number of rows of each word."""


@kernel
def sum_texts(
    codes: Bytes, bounds: Numbers, tables: Tables, block: Block, sums: Floats, passed: Floats, totals: Ints,
    is_asked: Bools,
) -> None:  # fmt: skip
    """Adds to ``sums`` the sum of each text's words, to ``passed`` the absolute values of the words' sums, and to
    ``totals`` the number of rows. ``is_asked`` becomes True if fastText itself must score the text.

    Text ``i`` is ``codes[bounds[i]:bounds[i + 1]]``. A word that does not fit into a block is left to fastText.
    """
    for text in range(len(bounds) - 1):
        at, end = bounds[text], bounds[text + 1]
        while at < end:
            at, num_words, num_wide = copy_words(
                codes, at, end, block.codes, block.firsts, block.word_of, block.wide, block.starts, block.word_hashes
            )
            if num_words == 0:
                is_asked[text] |= at < end
                break
            num_chars = block.starts[0, num_words]
            block.sums[:num_words] = 0
            block.counts[:num_words] = 0
            for length in range(1, tables.max_chars + 1):
                extend_ngrams(block.codes, block.firsts, block.wide, num_wide, num_chars, length, block.hashes)
                if length >= tables.min_chars:
                    num_rows = find_ngrams(
                        block.hashes, num_chars, length, block.word_of, tables.inverse, tables.is_kept,
                        tables.row_of_bucket, block.ngrams, block.rows,
                    )  # fmt: skip
                    add_rows(tables.vectors, block.rows, num_rows, block.sums, block.counts)
            num_rows = find_words(
                tables.slots, tables.known, tables.known_bounds, block.codes, block.starts, block.word_hashes,
                num_words, block.rows,
            )  # fmt: skip
            add_rows(tables.vectors, block.rows, num_rows, block.sums, block.counts)
            add_words(block.sums, block.counts, num_words, sums[text], passed[text], totals[text : text + 1])
            is_asked[text] |= block.counts[:num_words].max() > tables.max_rows or has_mark(
                tables.label_prefix, tables.end_of_line, block.codes, block.starts, num_words
            )


@kernel
def copy_words(
    texts: Bytes, at: int, end: int, codes: Bytes, firsts: Hashes, word_of: Numbers, wide: Numbers, starts: Ints,
    word_hashes: Ints,
) -> tuple[int, int, int]:  # fmt: skip
    """Copies words of a text to a block, until the block is full or the text ends. Returns where the next word begins,
    the number of words, and the number of characters of several bytes.

    If not even the first word fits into the block, the number of words is 0, and the returned place is before ``end``.

    Indexes are unsigned here. The compiler would test at each access if a signed index is negative.
    """
    one, room = np.uint64(1), np.uint64(len(codes) - 1)  # a place for the end of the last word
    begin, stop = np.uint64(at), np.uint64(end)
    size, num_chars, num_words, num_wide = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    starts[:, 0] = 0
    while begin < stop and size < room:
        start, first_char, first_wide, place = size, num_chars, num_wide, begin
        codes[size], firsts[num_chars], word_of[num_chars] = _OPEN, _OPEN, num_words
        size += one
        num_chars += one
        hashed = np.uint32(_FNV_BASIS)
        while place < stop and size < room:
            code = texts[place]
            # fastText's words end at the six kinds of space in ASCII and at NUL.
            if code <= 32 and (code == 32 or code == 0 or 9 <= code <= 13):
                break
            value = np.uint32(np.int8(code))
            codes[size], firsts[num_chars], word_of[num_chars] = code, value, num_words
            if code & 0xC0 != 0x80:
                num_chars += one
            elif codes[size - one] & 0xC0 != 0x80:  # the second byte of a character
                wide[0, num_wide], wide[1, num_wide] = num_chars - one, size
                num_wide += one
            hashed = np.uint32(np.uint32(hashed ^ value) * np.uint32(_FNV_PRIME))
            size += one
            place += one
        is_ended = size < room
        if size == start + one or not is_ended:
            size, num_chars, num_wide = start, first_char, first_wide
            if not is_ended:
                break
        else:
            codes[size], firsts[num_chars], word_of[num_chars] = _CLOSE, _CLOSE, num_words
            size += one
            num_chars += one
            word_hashes[num_words] = hashed
            num_words += one
            starts[0, num_words], starts[1, num_words] = num_chars, size
        begin = place + one
    return np.int64(begin), np.int64(num_words), np.int64(num_wide)  # type: ignore[return-value]


@kernel
def extend_ngrams(
    codes: Bytes, firsts: Hashes, wide: Numbers, num_wide: int, num_chars: int, length: int, hashes: Hashes
) -> None:
    """Makes of the hashes of n-grams of ``length`` - 1 characters those of ``length`` characters."""
    prime, before = np.uint32(_FNV_PRIME), length - 1
    lasts = firsts[before:]
    if length == 1:
        hashes[:num_chars] = np.uint32(_FNV_BASIS)
    for index in range(num_chars - before):
        hashes[index] = np.uint32(np.uint32(hashes[index] ^ lasts[index]) * prime)
    for number in range(num_wide):
        index, at = wide[0, number] - before, wide[1, number]
        if index >= 0:
            hashed = hashes[index]
            while codes[at] & 0xC0 == 0x80:
                hashed = np.uint32(np.uint32(hashed ^ np.uint32(np.int8(codes[at]))) * prime)
                at += 1
            hashes[index] = hashed


@kernel
def find_ngrams(
    hashes: Hashes, num_chars: int, length: int, word_of: Numbers, inverse: float, is_kept: Bytes,
    row_of_bucket: Numbers, ngrams: Ints, rows: Ints,
) -> int:  # fmt: skip
    """Writes the rows and the words of all n-grams that have a row and lie in one word. Returns their number.

    The quotient of two numbers of 32 bits is exact: ``inverse`` is at least the true inverse, and too large by less
    than any quotient's distance to the next whole number. The bucket behind the last one is that of an n-gram which
    does not lie in one word; it has no row. The second loop has no branches: each n-gram is written, and the next one
    replaces it if it has no row.
    """
    num_buckets, count = np.uint32(len(row_of_bucket)), num_chars - length + 1
    last_words = word_of[length - 1 :]
    for index in range(count):
        quotient = np.uint32(np.float64(hashes[index]) * inverse)
        bucket = np.uint32(hashes[index] - np.uint32(quotient * num_buckets))
        bucket = bucket if word_of[index] == last_words[index] else num_buckets
        ngrams[index] = np.int64(word_of[index]) << 32 | np.int64(bucket)
    num_rows = np.uint64(0)
    for index in range(count):
        ngram = ngrams[index]
        rows[num_rows] = ngram
        bucket = np.uint32(ngram)
        num_rows += np.uint64(is_kept[bucket >> np.uint32(3)] >> np.uint8(bucket & np.uint32(7)) & 1)
    for index in range(num_rows):
        bucket = np.uint32(rows[index])
        rows[index] = (rows[index] ^ np.int64(bucket)) | np.int64(row_of_bucket[bucket])
    return np.int64(num_rows)  # type: ignore[return-value]


@kernel
def find_words(
    slots: Ints, known: Bytes, known_bounds: Ints, codes: Bytes, starts: Ints, word_hashes: Ints, num_words: int,
    rows: Ints,
) -> int:  # fmt: skip
    """Writes the rows of the words that the model knows, and their words. Returns their number."""
    mask, num_rows = np.int64(len(slots) // 2 - 1), 0
    for word in range(num_words):
        hashed, start, size = word_hashes[word], starts[1, word] + 1, starts[1, word + 1] - starts[1, word] - 2
        slot = hashed & mask
        while slots[2 * slot + 1] >= 0:
            row = slots[2 * slot + 1]
            begin = known_bounds[row]
            if slots[2 * slot] == hashed and known_bounds[row + 1] - begin == size:
                at = 0
                while at < size and known[begin + at] == codes[start + at]:
                    at += 1
                if at == size:
                    rows[num_rows] = word << 32 | row
                    num_rows += 1
                    break
            slot = (slot + 1) & mask
    return num_rows


@kernel
def add_rows(vectors: npt.NDArray[np.float32], rows: Ints, num_rows: int, sums: Floats, counts: Ints) -> None:
    """Adds found rows to the sums of their words. The number of dimensions is not a constant, because the compiler uses
    vector instructions only then."""
    for index in range(num_rows):
        row, word = np.uint32(rows[index]), np.uint32(rows[index] >> 32)
        counts[word] += 1
        for dimension in range(vectors.shape[1]):
            sums[word, dimension] += vectors[row, dimension]


@kernel
def add_words(sums: Floats, counts: Ints, num_words: int, text_sums: Floats, passed: Floats, total: Ints) -> None:
    """Adds the sums of words to those of their text."""
    for word in range(num_words):
        total[0] += counts[word]
        for dimension in range(len(text_sums)):
            text_sums[dimension] += sums[word, dimension]
            passed[dimension] += abs(sums[word, dimension])


@kernel
def has_mark(label_prefix: Bytes, end_of_line: Bytes, codes: Bytes, starts: Ints, num_words: int) -> bool:
    """Returns True if one of the words begins like a label or ends a line for fastText."""
    for word in range(num_words):
        start, end = starts[1, word] + 1, starts[1, word + 1] - 1
        at = 0
        while at < len(label_prefix) and start + at < end and label_prefix[at] == codes[start + at]:
            at += 1
        if at == len(label_prefix):
            return True
        if end - start == len(end_of_line):
            at = 0
            while start + at < end and end_of_line[at] == codes[start + at]:
                at += 1
            if start + at == end:
                return True
    return False
