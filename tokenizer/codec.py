"""Defines the interface to all kinds of tokenizer files. A class for each kind implements it.

The interface encodes texts and decodes ids. It also encodes with the reference library, so that the ids can be
compared.
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


_JOINED_IDS = 1 << 16
"""The bytes of this many ids are joined at once. With more ids, the bytes could exceed 2 GiB, the most that Arrow can
join at once."""


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
        """Returns the id of the token that begins a document (``kind`` is ``bos``) or ends it (``eos``). Returns None
        if the file defines no such token.
        """

    def encode(self, texts: pa.Array) -> tuple[Array, Array]:
        """Returns two arrays: the ids of all texts, concatenated, and the number of ids of each text. ``texts`` is an
        Arrow array of type large_string without nulls.
        """

    def reference(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text as the reference library computes them, even if :meth:`encode` uses a faster
        encoder.
        """

    def piece_bytes(self) -> pa.BinaryArray | None:
        """Returns the bytes of each id of the vocabulary. Returns None if a document cannot be decoded by joining the
        bytes of its ids.

        After the bytes are joined, some tokenizers also remove a space at the beginning. Bytes that are not UTF-8
        become replacement characters.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text that these ids encode. Control tokens are left out."""

    def decode_batch(self, lists: Sequence[Array]) -> list[str]:
        """Returns the text of every list of ids. The result is the same as if :meth:`decode` were called for each
        list.
        """


def joined_bytes(pieces: pa.BinaryArray, ids: Array) -> tuple[bytes, Array]:
    """Returns the bytes of all ids, joined, and the offsets at which the bytes of each id begin. One more offset, the
    last, is the end of the joined bytes.

    Args:
        pieces: the bytes of each id of the vocabulary. In the example, id 0 is ``a`` and id 1 is ``bc``.

    Raises:
        IndexError: ``pieces`` has no entry for an id.

    >>> joined_bytes(pa.array([b"a", b"bc"], pa.binary()), np.array([1, 0, 1]))
    (b'bcabc', array([0, 2, 3, 5]))
    """
    parts, lengths = [], [np.zeros(1, np.int64)]
    for at in range(0, len(ids), _JOINED_IDS):
        part = pieces.take(pa.array(ids[at : at + _JOINED_IDS]))
        offsets, data = np.frombuffer(part.buffers()[1], np.int32, len(part) + 1), part.buffers()[2]
        parts.append(data.slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes() if data else b"")
        lengths.append(np.diff(offsets))
    return b"".join(parts), np.cumsum(np.concatenate(lengths))


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
