"""Encodes with SentencePiece's ``.model`` files. With many models, this module is several times faster than
SentencePiece.

SentencePiece is the reference library. For models of LLaMA's kind (BPE with byte fallback, no normalisation),
:mod:`tokenizer.fast_bpe` encodes and :mod:`tokenizer.decode` decodes. If gigatoken is installed, it encodes these
models too, and fast_bpe checks it (:mod:`tokenizer.audited`). For every other model SentencePiece does everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import sentencepiece

from tokenizer import model_file as model_proto
from tokenizer.audited import Audited
from tokenizer.codec import MODEL, Array, flat, id_dtype
from tokenizer.decode import FastDecoder
from tokenizer.encoder_settings import Fast
from tokenizer.fast_bpe import FastBpe, covers


class SentencePieceCodec:
    """Encodes and decodes with a ``.model`` file."""

    file_name = MODEL
    library = f"sentencepiece {sentencepiece.__version__}"

    def __init__(self, data: bytes, *, fast: Fast) -> None:
        """Loads the bytes of a model. Raises ValueError if they are not a SentencePiece model."""
        try:
            proto = model_proto.parse(data)
            self._reference: Any = sentencepiece.SentencePieceProcessor(model_proto=data)
        except (ValueError, RuntimeError, UnicodeDecodeError) as error:
            raise ValueError(f"the tokenizer is not a SentencePiece model ({error})") from error
        self.vocab_size = len(proto.pieces)
        self._dtype = id_dtype(self.vocab_size)
        control = {p.text: i for i, p in enumerate(proto.pieces) if p.kind == model_proto.CONTROL}
        self.control: Mapping[str, int] = control
        own = FastBpe.of(proto, data, self._dtype) if fast != "off" else None
        audited = Audited.of(data, own, self._dtype) if fast == "auto" and own is not None else None
        self._fast: FastBpe | Audited | None = audited or own
        self._decoder = FastDecoder(proto, self._reference) if covers(proto) else None

    @property
    def accelerator(self) -> str:
        """The name of the fast encoder. Empty if SentencePiece itself encodes."""
        return self._fast.name if self._fast is not None else ""

    def border(self, kind: str) -> int | None:
        """Returns the id of the model's bos or eos; None if the model has none."""
        found = self._reference.bos_id() if kind == "bos" else self._reference.eos_id()
        return int(found) if found >= 0 else None

    def encode(self, texts: pa.Array) -> tuple[Array, Array]:
        """Returns two arrays: the ids of all texts, concatenated, and the number of ids of each text."""
        if self._fast is not None:
            return self._fast.encode(texts)
        return flat(self.reference(texts.to_pylist()), self._dtype)

    def reference(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns SentencePiece's ids."""
        return [self._reference.encode(text) for text in texts]

    def piece_bytes(self) -> pa.BinaryArray | None:
        """Returns the bytes of each piece. Returns None if the model is not of LLaMA's kind (see
        :func:`tokenizer.fast_bpe.covers`).
        """
        return self._decoder.pieces if self._decoder is not None else None

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids, without control pieces."""
        return str(self._reference.decode([int(i) for i in ids]))

    def decode_batch(self, lists: Sequence[Array]) -> list[str]:
        """Returns the text of every list of ids.

        With a model of LLaMA's kind (BPE with byte fallback), this is several times faster than a call of
        :meth:`decode` for each list.
        """
        if self._decoder is not None:
            return list(map(self._decoder.decode, lists))
        return [str(text) for text in self._reference.decode([ids.tolist() for ids in lists])] if lists else []
