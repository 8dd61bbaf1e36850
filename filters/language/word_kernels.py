"""Adds up the vectors of the words of texts in machine code, for :mod:`filters.language.compiled_sums`.

Each word of a text is copied, as ``<word>``, into a block of memory that fits into the processor's cache. All n-grams
of a block are hashed at once, one length after another. The compiler turns these loops into vector instructions. The
sums of words are not kept for the next batch, because looking them up in a table would take as long as adding them up
again.

The results are those of :meth:`filters.language.word_sums.WordSums.sum_texts`. The sums of words are exactly equal,
because the vectors are added in the same order. The sums of texts may differ in the last bits.
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
    """Holds the tables of a model, as arrays that compiled loops can read."""

    vectors: npt.NDArray[np.float32]
    """The vectors of the words and n-grams, one per row."""
    row_of_bucket: Numbers
    """For each bucket of hashes, the row in ``vectors`` of the bucket's n-grams. -1 if they were pruned (left out)."""
    is_kept: Bytes
    """One bit per bucket, the lowest bit of a byte first. A bit is 1 if the bucket has a row. After the last bucket
    comes one more bit, which is 0: it is for n-grams that extend over two words. These bits fit into the cache, but
    ``row_of_bucket`` does not."""
    inverse: float
    """One divided by the number of buckets, rounded up to the next float."""
    slots: Ints
    """The hash table of the model's words, with two entries per slot: a word's hash and its row. The row is -1 in a
    free slot. At least half of the slots are free."""
    known: Bytes
    """The model's words, one after another."""
    known_bounds: Ints
    """Offsets in ``known``: the start of the first word, then the end of each word."""
    label_prefix: Bytes
    end_of_line: Bytes
    min_chars: int
    max_chars: int
    max_rows: int
    """If more than this number of vectors are added up for one word, fastText itself scores the text."""


class Block(NamedTuple):
    """Holds words of a text, and the arrays for their hashes and sums."""

    codes: Bytes
    """The bytes of ``<word>`` for each word, one word after another."""
    firsts: Hashes
    """The first byte of each character. It is extended to 32 bits as a signed number, because fastText hashes it in
    this form."""
    word_of: Numbers
    """The number of the word to which each character belongs."""
    wide: Numbers
    """For each character of several bytes, its index (first row) and the index of its second byte (second row)."""
    starts: Ints
    """For each word, the index of its first character (first row) and of its first byte (second row). After the last
    word, one more column contains the ends."""
    word_hashes: Ints
    hashes: Hashes
    """The hash of the n-gram that begins at each character."""
    ngrams: Ints
    """For the n-gram that begins at each character: the number of its word times 2**32, plus its bucket."""
    rows: Ints
    """For each n-gram or word with a vector: the number of the word times 2**32, plus the vector's row."""
    sums: Floats
    """For each word, the sum of its vectors. The shape is (words, dimensions)."""
    counts: Ints
    """For each word, the number of vectors in its sum."""


@kernel
def sum_texts(
    codes: Bytes, bounds: Numbers, tables: Tables, block: Block, sums: Floats, passed: Floats, totals: Ints,
    is_asked: Bools,
) -> None:  # fmt: skip
    """Adds up the vectors of each text: those of its words, and those of the n-grams of its words.

    Text ``i`` is ``codes[bounds[i]:bounds[i + 1]]``. The results are written into arrays with one entry per text:

    - ``sums``: the sum of the vectors.
    - ``passed``: the sum of the absolute values of the words' sums. It is used to bound the rounding error.
    - ``totals``: the number of vectors.
    - ``is_asked``: True if fastText itself must score the text, for example because a word does not fit into a block.
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
    """Copies words of a text into a block, until the block is full or the text ends. Returns three numbers: the index
    in ``texts`` at which to continue, the number of copied words, and the number of their characters that have several
    bytes.

    If not even the first word fits into the block, the number of words is 0, and the returned index is below ``end``.
    """
    # Unsigned indices: for signed ones, the compiler would add a test for negative numbers to every access.
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
    """Extends the n-grams by one character. ``hashes`` contains the hashes of the n-grams of ``length`` - 1 characters.
    They are replaced by the hashes of the n-grams of ``length`` characters."""
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
    """Looks up the n-grams in the model, and writes one entry into ``rows`` for each n-gram that has a vector. N-grams
    that extend over two words are ignored. Returns the number of entries.
    """
    num_buckets, count = np.uint32(len(row_of_bucket)), num_chars - length + 1
    last_words = word_of[length - 1 :]
    # The hash is divided by the number of buckets: it is multiplied by ``inverse``. The whole part of the quotient is
    # exact, because ``inverse`` is rounded up and its error is too small to reach the next whole number. N-grams that
    # extend over two words get one more bucket after the model's last bucket. This bucket has no vector.
    for index in range(count):
        quotient = np.uint32(np.float64(hashes[index]) * inverse)
        bucket = np.uint32(hashes[index] - np.uint32(quotient * num_buckets))
        bucket = bucket if word_of[index] == last_words[index] else num_buckets
        ngrams[index] = np.int64(word_of[index]) << 32 | np.int64(bucket)
    num_rows = np.uint64(0)
    # The loop has no branches: it writes every n-gram, but the next n-gram overwrites an n-gram without a vector.
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
    """Looks up the words in the model, and writes one entry into ``rows`` for each word that has a vector. Returns the
    number of entries."""
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
    """Adds vectors to the sums of their words. Each entry of ``rows`` has the number of a word in the high 32 bits,
    and the number of a row of ``vectors`` in the low 32 bits."""
    # If the number of dimensions were a constant, the compiler would not use vector instructions.
    for index in range(num_rows):
        row, word = np.uint32(rows[index]), np.uint32(rows[index] >> 32)
        counts[word] += 1
        for dimension in range(vectors.shape[1]):
            sums[word, dimension] += vectors[row, dimension]


@kernel
def add_words(sums: Floats, counts: Ints, num_words: int, text_sums: Floats, passed: Floats, total: Ints) -> None:
    """Adds the sums of the words in a block to ``text_sums``, the sum of their text. Adds the absolute values of the
    words' sums to ``passed``, and the words' numbers of vectors to ``total``."""
    for word in range(num_words):
        total[0] += counts[word]
        for dimension in range(len(text_sums)):
            text_sums[dimension] += sums[word, dimension]
            passed[dimension] += abs(sums[word, dimension])


@kernel
def has_mark(label_prefix: Bytes, end_of_line: Bytes, codes: Bytes, starts: Ints, num_words: int) -> bool:
    """Returns True if fastText would treat one of the words as a label or as the end of a line."""
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
