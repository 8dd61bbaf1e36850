"""Evaluates a fastText model on texts as :mod:`filters.language.word_sums` does, with compiled loops.

The compiled loops are two to three times as fast as NumPy. But in each process the compiler takes a second and 180 MB
of memory. So the compiled loops are useful only for large inputs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.language.word_kernels import Block, Tables, sum_texts
from filters.language.word_sums import END_OF_LINE, LONGEST_WORD_BYTES, MANY_ROWS, PrunedModel, TextSums, WordSums

BLOCK_BYTES = LONGEST_WORD_BYTES + 3
"""Number of bytes of a block, which contains the words that are processed at once. The words, their hashes and their
sums fit into the processor's cache. If a text contains a word that does not fit into a block, fastText itself scores
the text. :class:`WordSums` leaves the same texts to fastText (``LONGEST_WORD_BYTES``)."""


class CompiledWordSums(WordSums):
    """Evaluates a fastText model on texts with compiled loops. The results are those of :class:`WordSums`."""

    def __init__(self, model: PrunedModel) -> None:
        super().__init__(model)
        self._tables = _tables_of(model)

    def sum_texts(self, texts: pa.Array) -> TextSums:
        num_dimensions = self.model.rows.shape[1]
        sums, passed = np.zeros((2, len(texts), num_dimensions))
        num_rows, is_asked = np.zeros(len(texts), np.int64), np.zeros(len(texts), bool)
        texts = texts.fill_null("")
        _, offsets, content = texts.buffers()
        bounds = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset)
        codes = np.frombuffer(content or b"", np.uint8)
        for array in (bounds, codes):  # machine code is compiled for arrays of one kind
            array.flags.writeable = False
        sum_texts(codes, bounds, self._tables, _block(num_dimensions), sums, passed, num_rows, is_asked)
        return TextSums(sums.T, passed.T, num_rows, is_asked)


def _block(num_dimensions: int) -> Block:
    max_words = BLOCK_BYTES // 3 + 1
    return Block(
        codes=np.zeros(BLOCK_BYTES, np.uint8),
        firsts=np.zeros(BLOCK_BYTES, np.uint32),
        word_of=np.zeros(BLOCK_BYTES, np.int32),
        wide=np.zeros((2, BLOCK_BYTES), np.int32),
        starts=np.zeros((2, max_words + 1), np.int64),
        word_hashes=np.zeros(max_words, np.int64),
        hashes=np.zeros(BLOCK_BYTES, np.uint32),
        ngrams=np.zeros(BLOCK_BYTES, np.int64),
        rows=np.zeros(BLOCK_BYTES, np.int64),
        sums=np.zeros((max_words, num_dimensions)),
        counts=np.zeros(max_words, np.int64),
    )


def _tables_of(model: PrunedModel) -> Tables:
    words = [word.encode() for word in model.words]
    num_slots = 1 << (2 * len(words)).bit_length()
    slots = np.full((num_slots, 2), -1, np.int64)
    for row, word in enumerate(words):
        hashed = _hash_of(word)
        slot = hashed % num_slots
        while slots[slot, 1] >= 0:
            slot = (slot + 1) % num_slots
        slots[slot] = hashed, row
    return Tables(
        vectors=np.require(model.rows, np.float32, ["C", "W"]),
        row_of_bucket=np.require(model.row_of_bucket, np.int32, ["C", "W"]),
        is_kept=np.packbits(np.append(model.row_of_bucket >= 0, False), bitorder="little"),
        inverse=float(np.nextafter(1 / len(model.row_of_bucket), 1)),
        slots=slots.ravel(),
        known=_bytes_of(b"".join(words)),
        known_bounds=np.cumsum([0, *map(len, words)]),
        label_prefix=_bytes_of(model.label_prefix.encode()),
        end_of_line=_bytes_of(END_OF_LINE.encode()),
        min_chars=model.min_chars,
        max_chars=model.max_chars,
        max_rows=MANY_ROWS,
    )


def _bytes_of(content: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8).copy()


def _hash_of(word: bytes) -> int:
    """Returns fastText's hash of a word.

    >>> _hash_of(b"the"), _hash_of("é".encode())
    (3020861980, 1023043777)
    """
    found = 2166136261
    for code in word:
        found = (found ^ (code if code < 128 else code | 0xFFFFFF00)) * 16777619 & 0xFFFFFFFF
    return found
