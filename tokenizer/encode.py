"""Encodes text with the ids of SentencePiece, several times faster where the model allows it.

SentencePiece is the reference. :mod:`tokenizer.fast_bpe` encodes for the models it covers (BPE with byte fallback and
identity normalisation, LLaMA's kind); every other model is encoded by SentencePiece itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import sentencepiece

from tokenizer import model_file as model_proto
from tokenizer.decode import FastDecoder
from tokenizer.fast_bpe import FastBpe, covers

_MAX_LIST_TOKENS = 2**31 - 1
"""Limit of an Arrow list array, whose offsets are int32."""
_MAX_UINT16_PIECES = 65_536

Fast = Literal["auto", "off"]


class Encoder:
    """A SentencePiece model that encodes batches of documents. Pickles as its model's bytes.

    Use :meth:`load`. ``bos`` and ``eos`` put these ids around every document; text that spells ``<s>``, ``</s>`` or
    ``<0x0A>`` is encoded as that text.
    """

    def __init__(self, model: bytes, *, bos: bool = True, eos: bool = True, fast: Fast = "auto") -> None:
        self._settings = (model, bos, eos, fast)
        try:
            proto = model_proto.parse(model)
            self._reference: Any = sentencepiece.SentencePieceProcessor(model_proto=model)
        except (ValueError, RuntimeError, UnicodeDecodeError) as error:
            raise ValueError(f"the tokenizer is not a SentencePiece model ({error})") from error
        self.sha256: str = hashlib.sha256(model).hexdigest()
        self.vocab_size: int = len(proto.pieces)
        self.bos_id: int = self._reference.bos_id()
        self.eos_id: int = self._reference.eos_id()
        self.dtype: np.dtype[Any] = id_dtype(self.vocab_size)
        for name, wanted, token_id in (("bos", bos, self.bos_id), ("eos", eos, self.eos_id)):
            if wanted and token_id < 0:
                raise ValueError(f"the tokenizer has no {name} piece: switch {name} off for it")
        self._bos, self._eos = bos, eos
        self._fast = FastBpe.of(proto, model, self.dtype) if fast == "auto" else None
        self._decoder = FastDecoder(proto, self._reference) if covers(proto) else None

    @classmethod
    def load(cls, model: str | Path | bytes, *, bos: bool = True, eos: bool = True, fast: Fast = "auto") -> Encoder:
        """Reads a ``.model`` file (or takes its bytes).

        Raises:
            ValueError: it is not there, is not a SentencePiece model, or lacks the bos or eos that was asked for.
        """
        if isinstance(model, bytes):
            return cls(model, bos=bos, eos=eos, fast=fast)
        try:
            data = Path(model).read_bytes()
        except OSError as error:
            raise ValueError(f"cannot read the tokenizer {model}: {error.strerror}") from error
        try:
            return cls(data, bos=bos, eos=eos, fast=fast)
        except ValueError as error:
            raise ValueError(f"{model}: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        model, bos, eos, fast = self._settings
        return _from_settings, (model, bos, eos, fast)

    @property
    def model(self) -> bytes:
        """The model's bytes, as they are written to ``tokenizer.model``."""
        return self._settings[0]

    @property
    def is_fast(self) -> bool:
        """True if the fast encoder covers this model."""
        return self._fast is not None

    def encode_batch(self, texts: Sequence[str] | pa.Array) -> pa.ListArray:
        """Returns the ids of every text: ``list<uint16>`` (``uint32`` above 65,536 pieces), with bos and eos as set.

        Memory grows with the batch (about ten bytes per byte of text), not with the batches before it.

        Raises:
            ValueError: a text is null, holds a lone surrogate or bytes that are not UTF-8 (its place is named),
                or the batch has 2**31 ids or more.
        """
        array = _checked(texts)
        if self._fast is not None:
            ids, num_ids = self._fast.encode(array)
        else:
            ids, num_ids = self._slow(array)
        return self._framed(ids, num_ids)

    def decode(self, ids: Sequence[int] | np.ndarray[Any, Any]) -> str:
        """Returns the text of a document's ids, without bos and eos. Bytes that are not UTF-8 give U+FFFD."""
        return str(self._reference.decode([int(i) for i in ids]))

    def decode_batch(self, ids: pa.ListArray) -> list[str]:
        """Returns the text of every document of a batch, as `decode` does one by one, and several times faster."""
        flat, ends = ids.flatten().to_numpy(zero_copy_only=False).tolist(), np.diff(ids.offsets.to_numpy()).cumsum()
        lists = [flat[begin:end] for begin, end in pairwise([0, *ends.tolist()])]
        if self._decoder is not None:
            return list(map(self._decoder.decode, lists))
        return [str(text) for text in self._reference.decode(lists)] if lists else []

    def _slow(self, array: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        encoded = [np.asarray(self._reference.encode(text), dtype=self.dtype) for text in array.to_pylist()]
        flat = np.concatenate(encoded) if encoded else np.empty(0, self.dtype)
        return flat, np.fromiter(map(len, encoded), np.int64, len(encoded))

    def _framed(self, ids: np.ndarray[Any, Any], num_ids: np.ndarray[Any, Any]) -> pa.ListArray:
        """Puts bos and eos around documents of ``num_ids`` ids each."""
        lengths = num_ids + (self._bos + self._eos)
        ends = np.cumsum(lengths)
        if len(ends) and ends[-1] > _MAX_LIST_TOKENS:
            raise ValueError(f"a batch of {ends[-1]} ids is too large for an Arrow list array: give smaller batches")
        offsets = np.zeros(len(ends) + 1, np.int32)
        offsets[1:] = ends
        if self._bos or self._eos:
            framed = np.empty(int(offsets[-1]), self.dtype)
            is_text = np.ones(len(framed), bool)
            if self._bos:
                framed[offsets[:-1]] = self.bos_id
                is_text[offsets[:-1]] = False
            if self._eos:
                framed[offsets[1:] - 1] = self.eos_id
                is_text[offsets[1:] - 1] = False
            framed[is_text] = ids
            ids = framed
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids))


def id_dtype(vocab_size: int) -> np.dtype[Any]:
    """Returns uint16 if every id fits, else uint32.

    >>> id_dtype(32_000), id_dtype(65_536), id_dtype(65_537)
    (dtype('uint16'), dtype('uint16'), dtype('uint32'))
    """
    return np.dtype(np.uint16 if vocab_size <= _MAX_UINT16_PIECES else np.uint32)


def _from_settings(model: bytes, bos: bool, eos: bool, fast: Fast) -> Encoder:
    return Encoder(model, bos=bos, eos=eos, fast=fast)


def _checked(texts: Sequence[str] | pa.Array) -> pa.Array:
    """Returns the texts as a large_string array; raises ValueError for nulls and for anything that is not UTF-8."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if not isinstance(texts, pa.Array):
        texts = _column(texts)
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise ValueError(f"texts must be a column of strings, not of {texts.type}")
    if texts.null_count:
        raise ValueError(f"text {texts.is_null().index(True).as_py()} of the batch is null")
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid as error:
        raise ValueError(f"a text of the batch is not UTF-8: {error}") from error
    return texts.cast(pa.large_string())


def _column(texts: Sequence[str]) -> pa.Array:
    try:
        return pa.array(texts, pa.large_string())
    except (UnicodeEncodeError, pa.ArrowTypeError, pa.ArrowInvalid) as error:
        for at, text in enumerate(texts):
            if text is not None and not isinstance(text, str):
                raise ValueError(f"text {at} of the batch is not text but {type(text).__name__}") from error
            if text and _has_surrogate(text):
                said = f"text {at} of the batch holds a lone surrogate, which no UTF-8 text can hold"
                raise ValueError(said) from error
        raise


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
