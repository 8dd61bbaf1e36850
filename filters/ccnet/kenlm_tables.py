"""Opens the tables of a binary KenLM model, for machine code. The file stays on disk and is mapped into memory, so all
processes of a machine share it with each other and with KenLM.

Only models with hash tables are opened. This kind (``probing``) is the default of ``build_binary``, and CCNet's
Makefile makes it. The layout of the file is that of KenLM's ``lm/binary_format.cc``, ``lm/vocab.cc`` and
``lm/search_hashed.cc``, format version 5.
"""

from __future__ import annotations

import os
import struct

import numpy as np
import numpy.typing as npt

from filters.ccnet.ngram_kernels import Ngrams, words_of

_MAGIC = b"mmap lm http://kheafield.com/code format version 5\n\0"
_REFERENCE_AT, _FIXED_AT, _COUNTS_AT = 56, 88, 108
_REFERENCE = struct.pack("<fffIIIQ", 0.0, 1.0, -0.5, 1, 2**32 - 1, 0, 1)
"""The values by which KenLM recognises a file of a machine with the same kinds of numbers."""
_PROBING = 0
_NUMBER_BYTES = 4
_VOCABULARY_HEADER_BYTES = 8
_MAX_ORDER = 16


def open_tables(path: str) -> Ngrams | None:
    """Returns the tables of a binary KenLM model.

    Returns None if the file is a model of another kind, for example ``trie`` or ARPA. Returns None also if the file is
    damaged or no longer there.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_COUNTS_AT + 8 * _MAX_ORDER)
    except OSError:
        return None
    if head[: len(_MAGIC)] != _MAGIC or head[_REFERENCE_AT:_FIXED_AT] != _REFERENCE:
        return None
    order, multiplier, kind, _, search_version = struct.unpack_from("<B3xfIB3xI", head, _FIXED_AT)
    if kind != _PROBING or search_version != 0 or not 2 <= order <= _MAX_ORDER:
        return None
    counts = struct.unpack_from(f"<{order}Q", head, _COUNTS_AT)
    slots = [_slots(counts[0], multiplier), counts[0] + 1, *(_slots(count, multiplier) for count in counts[1:])]
    widths = [3, 2, *(4 for _ in counts[1:-1]), 3]
    firsts = [(_aligned(_COUNTS_AT + 8 * order) + _VOCABULARY_HEADER_BYTES) // _NUMBER_BYTES]
    for width, number in zip(widths, slots, strict=True):
        firsts.append(firsts[-1] + width * number)
    if os.path.getsize(path) < _NUMBER_BYTES * firsts[-1]:
        return None
    numbers = np.memmap(path, np.uint32, "r", shape=(firsts[-1],)).view(np.ndarray)
    tables = Ngrams(
        numbers, numbers.view(np.float32), np.array(firsts[:-1], np.int64), np.array(slots, np.int64), begin=0, end=0
    )
    entries = numbers[firsts[0] : firsts[1]]
    if (entries[2::3] > counts[0]).any():  # machine code would read outside the next table
        return None
    begin, end = words_in(tables, [b"<s>", b"</s>"]).tolist()
    return tables._replace(begin=begin, end=end)


def words_in(tables: Ngrams, words: list[bytes]) -> npt.NDArray[np.int64]:
    """Returns the number of each word in the vocabulary of the n-grams; 0 if it is not in the vocabulary."""
    found = np.zeros(len(words), np.int64)
    codes = np.frombuffer(b"".join(words) + b"\0", np.uint8)
    bounds = np.cumsum([0, *map(len, words)], dtype=np.int64)
    words_of(tables.numbers, tables.firsts, tables.slots, codes, bounds, found)
    return found


def _slots(count: int, multiplier: float) -> int:
    """Returns the number of entries of a hash table (``ProbingHashTable::Size``). KenLM multiplies 32-bit floats."""
    return max(count + 1, int(np.float32(multiplier) * np.float32(count)))


def _aligned(num_bytes: int) -> int:
    return (num_bytes + 7) // 8 * 8
