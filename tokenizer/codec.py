"""What every kind of tokenizer file gives: ids of texts, the reference library's ids, and texts of ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]

MODEL, JSON, RANKS = "tokenizer.model", "tokenizer.json", "tokenizer.tiktoken"
FILE_NAMES = (MODEL, JSON, RANKS)
"""The names that the kinds of tokenizer have in an output folder. A ``tokenizer.json`` beside a ``tokenizer.model`` is
made from it."""


class Codec(Protocol):
    """A loaded tokenizer file."""

    file_name: str
    """Its name in an output folder."""
    library: str
    """The reference library and its version."""
    vocab_size: int
    """One more than the largest id."""

    @property
    def control(self) -> Mapping[str, int]:
        """The ids that no text may give, by the token's text."""

    @property
    def accelerator(self) -> str:
        """What encodes in place of the reference library; empty if nothing does."""

    def border(self, kind: str) -> int | None:
        """Returns the id that the file itself calls ``bos`` or ``eos``, if any."""

    def encode(self, texts: pa.Array) -> tuple[Array, Array]:
        """Returns the ids of all texts (large_string, no nulls), concatenated, and how many each text has."""

    def reference(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids that the reference library gives."""

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids, without control tokens."""


def flat(encoded: Sequence[Sequence[int]], dtype: Any) -> tuple[Array, Array]:
    """Returns lists of ids concatenated, and the length of each.

    >>> flat([[1, 2], [], [3]], np.uint16)
    (array([1, 2, 3], dtype=uint16), array([2, 0, 1]))
    """
    arrays = [np.asarray(ids, dtype=dtype) for ids in encoded]
    joined = np.concatenate(arrays) if arrays else np.empty(0, dtype)
    return joined, np.fromiter(map(len, encoded), np.int64, len(encoded))


def id_dtype(vocab_size: int) -> np.dtype[Any]:
    """Returns uint16 if every id fits, else uint32.

    >>> id_dtype(32_000), id_dtype(65_536), id_dtype(65_537)
    (dtype('uint16'), dtype('uint16'), dtype('uint32'))
    """
    return np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)
