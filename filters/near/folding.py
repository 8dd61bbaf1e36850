"""Folds the characters outside ASCII of many texts at once: lower-cases letters, removes accents, and replaces other
signs by spaces. The result is the same as that of :func:`filters.books.overlap.folded`, which folds one text at a time.

The folding of a character does not depend on its neighbours, with one exception: the lower case of a Greek capital
sigma depends on its place in the word. So each distinct character is folded once, and numpy copies the result to all
places of the character. Texts with a capital sigma are folded one at a time.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np

from filters.books.overlap import folded

SIGMAS = "\u03a3\U0001d6ba\U0001d6f4\U0001d72e\U0001d768\U0001d7a2"
"""The capital sigma, and all characters whose Unicode decomposition is a capital sigma."""
_NUM_CODES = 0x110000


@functools.lru_cache(maxsize=1 << 16)
def _folded_character(code: int) -> bytes:
    return folded(chr(code), {})


def folded_texts(texts: Sequence[str]) -> list[bytes]:
    """Returns each text as bytes, with the characters outside ASCII folded.

    >>> folded_texts(["Caf\u00e9 \u2014 A\u00dfe", "plain"])
    [b'Cafe   Asse', b'plain']
    """
    found = [b""] * len(texts)
    together = []
    for number, text in enumerate(texts):
        if text.isascii():
            found[number] = text.encode()
        elif any(sigma in text for sigma in SIGMAS):
            found[number] = folded(text, {})
        else:
            together.append(number)
    for number, data in zip(together, _folded_together([texts[number] for number in together]), strict=True):
        found[number] = data
    return found


def _folded_together(texts: Sequence[str]) -> list[bytes]:
    if not texts:
        return []
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    places = np.flatnonzero(codes >= 128)
    wide = codes[places]
    is_there = np.zeros(_NUM_CODES, np.bool_)
    is_there[wide] = True
    distinct = np.flatnonzero(is_there)
    characters = [_folded_character(code) for code in distinct.tolist()]
    number_of = np.zeros(_NUM_CODES, np.int32)
    number_of[distinct] = np.arange(distinct.size)
    numbers = number_of[wide]
    lengths = np.array([len(one) for one in characters])
    longest = int(lengths.max())
    table = np.frombuffer(b"".join(one.ljust(longest, b"\0") for one in characters), np.uint8)
    table = table.reshape(len(characters), longest)
    sizes = np.ones(codes.size, np.int64)
    sizes[places] = lengths[numbers]
    data = np.repeat(codes.astype(np.uint8), sizes)
    growth = np.concatenate([[0], np.cumsum(lengths[numbers] - 1)])  # bytes beyond one per character so far
    starts = places + growth[:-1]
    for byte in range(longest):
        has_byte = lengths[numbers] > byte
        data[starts[has_byte] + byte] = table[numbers[has_byte], byte]
    ends = np.cumsum([0, *(len(text) for text in texts)])
    cuts = (ends + growth[np.searchsorted(places, ends)]).tolist()
    whole = data.tobytes()
    return [whole[first:last] for first, last in itertools.pairwise(cuts)]
