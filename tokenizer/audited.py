"""Encodes with gigatoken. As long as the run lasts, also encodes every 256th text with this project's own encoder, and
compares the ids.

The comparison before a run (:mod:`tokenizer.proof`) covers a megabyte of text. A run encodes a million times as much.
Both encoders are much faster than SentencePiece, so there is time to encode every 256th text twice.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from tokenizer.accelerator import Gigatoken
from tokenizer.codec import Array
from tokenizer.fast_bpe import FastBpe
from tokenizer.hugging_face import tokenizer_json

AUDITED_TEXTS = 256
"""One in this many texts is encoded by both encoders."""


class WrongIds(ValueError):  # noqa: N818 - the name says what was found
    """Raised if gigatoken and this project's encoder give different ids. ``what`` says for which text."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: other texts of this run may have wrong ids too; set tokenizer.fast: own, and run again into a "
            "new output folder"
        )
        self.what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return WrongIds, (self.what,)


class Audited:
    """Encodes batches of texts with gigatoken, and checks some of the ids with this project's encoder. Use
    :meth:`of` to make one.
    """

    def __init__(self, gigatoken: Any, own: FastBpe, dtype: np.dtype[Any]) -> None:
        self._gigatoken, self._own, self._dtype = gigatoken, own, dtype
        self._num_texts = 0
        self.name: str = gigatoken.name

    @classmethod
    def of(cls, model: bytes, own: FastBpe, dtype: np.dtype[Any]) -> Audited | None:
        """Returns the encoder for a ``.model``. Returns None if gigatoken is not installed, or if it cannot encode this
        model.

        Args:
            model: the bytes of the file.
            own: the project's own encoder of the same file.
            dtype: the type of the ids.
        """
        if not Gigatoken.is_installed():
            return None
        converted = tokenizer_json(model)
        if converted is None:
            return None
        content = json.loads(converted) | {"post_processor": None}  # bos is put before a text by the encoder
        gigatoken = Gigatoken.of_json(json.dumps(content))
        return cls(gigatoken, own, dtype) if gigatoken is not None else None

    def encode(self, texts: pa.Array) -> tuple[Array, Array]:
        """Returns two arrays: the ids of all texts, concatenated, and the number of ids of each text. ``texts`` is an
        Arrow array of type large_string without nulls.

        Raises:
            WrongIds: gigatoken and this project's encoder give different ids for a text.
        """
        ids, counts = self._gigatoken.encode(texts)
        audited = np.arange(-self._num_texts % AUDITED_TEXTS, len(texts), AUDITED_TEXTS)
        self._num_texts += len(texts)
        if len(audited):
            self._compare(texts, ids, np.cumsum(counts), audited)
        return ids.astype(self._dtype), counts

    def _compare(self, texts: pa.Array, ids: Array, ends: Array, audited: Array) -> None:
        wanted, counts = self._own.encode(texts.take(pa.array(audited)))
        begin = 0
        for number, count in zip(audited.tolist(), counts.tolist(), strict=True):
            first = int(ends[number - 1]) if number else 0
            if not np.array_equal(ids[first : int(ends[number])], wanted[begin : begin + count]):
                text = texts[number].as_py()[:40]
                raise WrongIds(f"{self.name} differs from tokenizer.fast_bpe on a text that begins {text!r}")
            begin += count
