"""Defines the interface that every kind of tokenizer file implements: encode texts, decode ids, and encode with the
reference library for a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]

MODEL, JSON, RANKS = "tokenizer.model", "tokenizer.json", "tokenizer.tiktoken"
FILE_NAMES = (MODEL, JSON, RANKS)
"""The file names of the three kinds of tokenizers in an output folder. If a folder has both ``tokenizer.model`` and
``tokenizer.json``, the ``.json`` is a conversion of the ``.model``."""


class Codec(Protocol):
    """Represents a loaded tokenizer file."""

    file_name: str
    """The name of the file in an output folder."""
    library: str
    """The name and version of the reference library."""
    vocab_size: int
    """The largest id, plus one."""

    @property
    def control(self) -> Mapping[str, int]:
        """Returns the control tokens and their ids. No text may be encoded to one of these ids."""

    @property
    def accelerator(self) -> str:
        """The name of the encoder that is used instead of the reference library. Empty if the reference library itself
        encodes.
        """

    def border(self, kind: str) -> int | None:
        """Returns the id of the file's bos or eos. Returns None if the file defines none. ``kind`` is ``bos`` or
        ``eos``.
        """

    def encode(self, texts: pa.Array) -> tuple[Array, Array]:
        """Returns two arrays: the ids of all texts, concatenated, and the number of ids of each text. ``texts`` is
        large_string without nulls.
        """

    def reference(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text. The reference library always computes these ids."""

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text that these ids encode. Control tokens are left out."""

    def decode_batch(self, lists: Sequence[Sequence[int]]) -> list[str]:
        """Returns the text of every list of ids. The result is the same as if :meth:`decode` were called for each
        list.
        """


def flat(encoded: Sequence[Sequence[int]], dtype: Any) -> tuple[Array, Array]:
    """Returns two arrays: the ids of all lists, concatenated, and the length of each list.

    >>> flat([[1, 2], [], [3]], np.uint16)
    (array([1, 2, 3], dtype=uint16), array([2, 0, 1]))
    """
    arrays = [np.asarray(ids, dtype=dtype) for ids in encoded]
    joined = np.concatenate(arrays) if arrays else np.empty(0, dtype)
    return joined, np.fromiter(map(len, encoded), np.int64, len(encoded))


def id_dtype(vocab_size: int) -> np.dtype[Any]:
    """Returns uint16 if all ids of the vocabulary fit into it, else uint32.

    >>> id_dtype(32_000), id_dtype(65_536), id_dtype(65_537)
    (dtype('uint16'), dtype('uint16'), dtype('uint32'))
    """
    return np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)
