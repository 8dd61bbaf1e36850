"""Encodes text to the same ids as a tokenizer's reference library. For many tokenizer files, this module is several
times faster than the library.

A tokenizer's file is a SentencePiece ``.model``, a Hugging Face ``tokenizer.json`` or a tiktoken rank file. The kind is
recognised by the content of the file. :mod:`tokenizer.codec` defines what each kind provides. This module puts bos and
eos around each document, and converts ids to Arrow lists of uint16 or uint32.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tokenizer.codec import FILE_NAMES, MODEL, Codec, id_dtype
from tokenizer.encoder_settings import EncoderSettings, Fast, Mark
from tokenizer.json_file import HuggingFaceCodec
from tokenizer.rank_file import TiktokenCodec, is_rank_file
from tokenizer.sentence_piece import SentencePieceCodec

__all__ = ["FILE_NAMES", "Encoder", "Fast", "id_dtype"]

_MAX_LIST_TOKENS = 2**31 - 1
"""The largest number of ids in one Arrow list array. The offsets of such an array are int32."""


class Encoder:
    """Encodes and decodes batches of documents with one tokenizer. If an encoder is pickled, the pickle contains the
    file's bytes and the settings.

    Use :meth:`load` to make one. The ids ``bos_id`` and ``eos_id`` are put around every document. Text that spells
    ``<s>``, ``</s>`` or ``<0x0A>`` is encoded as ordinary text, not as a control token.
    """

    def __init__(self, data: bytes, settings: EncoderSettings) -> None:
        self._data = data
        self.settings = settings
        self.codec: Codec = _codec(data, settings)
        self.sha256: str = hashlib.sha256(data).hexdigest()
        """The checksum of the file's bytes."""
        self.vocab_size: int = self.codec.vocab_size
        self.dtype: np.dtype[Any] = id_dtype(self.vocab_size)
        self.bos_id: int = self._border("bos", settings.bos)
        """The id that is put before each document; -1 if documents get no bos. ``eos_id`` is put after each
        document."""
        self.eos_id: int = self._border("eos", settings.eos)

    @classmethod
    def load(cls, model: str | Path | bytes, *, bos: Mark = True, eos: Mark = True, fast: Fast = "auto",
             settings: EncoderSettings | None = None) -> Encoder:  # fmt: skip
        """Loads a tokenizer from its file, or from the bytes of the file.

        Args:
            model: the path of the file, or its bytes.
            bos: True puts a bos (a token that marks the beginning) before each document. False puts none. A text names
                the token that serves as bos. None puts a bos only if the file defines one.
            eos: the same for the eos at the end of each document, except that None means the same as True.
            fast: the encoder that may replace the reference library: gigatoken or this project's own encoder
                (``auto``), only this project's own (``own``), or none (``off``).
            settings: replaces ``bos``, ``eos`` and ``fast``. The settings also contain the pattern and the control
                tokens of a rank file.

        Raises:
            ValueError: the file does not exist, is not a tokenizer, or lacks the requested bos or eos.
        """
        settings = settings or EncoderSettings(bos=bos, eos=eos, fast=fast)
        if isinstance(model, bytes):
            return cls(model, settings)
        try:
            data = Path(model).read_bytes()
        except OSError as error:
            raise ValueError(f"cannot read the tokenizer {model}: {error.strerror}") from error
        try:
            return cls(data, settings.for_file(str(model)))
        except ValueError as error:
            raise ValueError(f"{model}: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return Encoder, (self._data, self.settings)

    @property
    def model(self) -> bytes:
        """The bytes of the file. A run writes them to :attr:`file_name` in its output folder."""
        return self._data

    @property
    def file_name(self) -> str:
        """The name that the file gets in an output folder. Each kind of file has its own name."""
        return self.codec.file_name

    @property
    def identity(self) -> str:
        """A checksum of the file and the settings, which together determine a document's ids.

        If the file is a ``.model``, and documents get the model's own bos and eos, the result is the checksum of the
        file alone.
        """
        is_plain = self.file_name == MODEL and self.bos_id >= 0 and self.eos_id >= 0 and not self._names_borders()
        if is_plain:
            return self.sha256
        said = {**self.settings.said(), "bos": self.bos_id, "eos": self.eos_id}
        return hashlib.sha256(json.dumps([self.sha256, said], sort_keys=True).encode()).hexdigest()

    @property
    def is_fast(self) -> bool:
        """True if a faster encoder replaces the reference library."""
        return bool(self.codec.accelerator)

    def encode(self, text: str) -> list[int]:
        """Returns the ids of one text, without bos and eos."""
        return [int(i) for i in self.codec.encode(_checked([text]))[0]]

    def encode_batch(self, texts: Sequence[str] | pa.Array) -> pa.ListArray:
        """Returns the ids of every text, with bos and eos as the settings require. The type is ``list<uint16>``, or
        ``list<uint32>`` if the vocabulary has more than 65,536 pieces.

        A batch needs about ten bytes of memory per byte of text (more for a ``tokenizer.json`` without gigatoken).
        Memory does not grow with the number of batches.

        Raises:
            ValueError: a text is null, or it contains a lone surrogate or bytes that are not UTF-8 (the message says
                which text), or the batch has 2**31 ids or more.
        """
        ids, num_ids = self.codec.encode(_checked(texts))
        return self._framed(ids, num_ids)

    def decode(self, ids: Sequence[int] | np.ndarray[Any, Any]) -> str:
        """Returns the text of a document's ids, without bos and eos. Bytes that are not UTF-8 become U+FFFD."""
        return self.codec.decode([int(i) for i in ids])

    def decode_batch(self, ids: pa.ListArray) -> list[str]:
        """Returns the text of every document of a batch. The texts are the same as those of `decode`.

        For models of LLaMA's kind (BPE with byte fallback), this is several times faster than a call of `decode` for
        each document.
        """
        flat, ends = ids.flatten().to_numpy(zero_copy_only=False), np.diff(ids.offsets.to_numpy()).cumsum()
        return self.codec.decode_batch([flat[begin:end] for begin, end in pairwise([0, *ends.tolist()])])

    def _names_borders(self) -> bool:
        return isinstance(self.settings.bos, str) or isinstance(self.settings.eos, str)

    def _border(self, kind: str, wanted: Mark) -> int:
        """Returns the id of the bos (or eos) that the settings request. Returns -1 if they request none."""
        if wanted is False:
            return -1
        control = self.codec.control
        if isinstance(wanted, str):
            if wanted not in control:
                raise ValueError(
                    f"the tokenizer has no control token {wanted}, which is to be its {kind}{_among(control)}"
                )
            return control[wanted]
        found = self.codec.border(kind)
        if found is None and (wanted or kind == "eos"):
            way = f"switch {kind} off for it" if self.file_name == MODEL else f"name it, or set tokenizer.{kind}: false"
            raise ValueError(f"the tokenizer has no {kind} piece: {way}{_among(control)}")
        return -1 if found is None else found

    def _framed(self, ids: np.ndarray[Any, Any], num_ids: np.ndarray[Any, Any]) -> pa.ListArray:
        """Puts bos and eos around each document. ``num_ids`` contains the number of ids of each document."""
        has_bos, has_eos = self.bos_id >= 0, self.eos_id >= 0
        lengths = num_ids + (has_bos + has_eos)
        ends = np.cumsum(lengths)
        if len(ends) and ends[-1] > _MAX_LIST_TOKENS:
            raise ValueError(f"a batch of {ends[-1]} ids is too large for an Arrow list array: give smaller batches")
        offsets = np.zeros(len(ends) + 1, np.int32)
        offsets[1:] = ends
        if has_bos or has_eos:
            framed = np.empty(int(offsets[-1]), self.dtype)
            is_text = np.ones(len(framed), bool)
            if has_bos:
                framed[offsets[:-1]] = self.bos_id
                is_text[offsets[:-1]] = False
            if has_eos:
                framed[offsets[1:] - 1] = self.eos_id
                is_text[offsets[1:] - 1] = False
            framed[is_text] = ids
            ids = framed
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids))


def _codec(data: bytes, settings: EncoderSettings) -> Codec:
    """Loads a tokenizer's file. The content of the file decides which kind it is."""
    if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return HuggingFaceCodec(data, is_fast=settings.fast == "auto")
    if is_rank_file(data):
        return TiktokenCodec(data, settings)
    return SentencePieceCodec(data, fast=settings.fast)


def _among(control: Any) -> str:
    """Returns the end of an error message: a list of the file's control tokens."""
    names = list(control)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f" (its control tokens are {', '.join(names[:8])}{more})" if names else " (it has no control token)"


def _checked(texts: Sequence[str] | pa.Array) -> pa.Array:
    """Returns the texts as a large_string array. Raises ValueError if a text is null or is not valid UTF-8."""
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
