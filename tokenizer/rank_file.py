"""Encodes with tiktoken's rank files. Uses the library tiktoken, or gigatoken if it gives the same ids.

A rank file has one line per token: its bytes in base64, and its rank. It does not contain the pattern that splits
texts, or the control tokens. So both are settings (:mod:`tokenizer.encoder_settings`). If the settings name no control
token, ``<|endoftext|>`` gets the first id after the ranks, as in GPT-2.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from importlib import metadata

import pyarrow as pa

from tokenizer.accelerator import Gigatoken, is_panic
from tokenizer.codec import RANKS, Array, flat, id_dtype, joined_bytes
from tokenizer.encoder_settings import EncoderSettings

_END = "<|endoftext|>"
_NAMED = {"bos": ("<|startoftext|>", "<|begin_of_text|>"), "eos": (_END, "<|end_of_text|>")}


def is_rank_file(data: bytes) -> bool:
    """Returns True if the first line consists of a token in base64 and a rank.

    >>> is_rank_file(b"IQ== 0"), is_rank_file(b"{}")
    (True, False)
    """
    fields = data[:4096].lstrip().split(b"\n", 1)[0].split()
    return len(fields) == 2 and fields[1].isdigit() and _decoded(fields[0]) is not None


def parse_ranks(data: bytes) -> dict[bytes, int]:
    """Returns the rank of each token of a rank file.

    Raises:
        ValueError: a line does not consist of a token and a rank, or a token or a rank occurs twice. The message names
            the line.

    >>> parse_ranks(b"IQ== 0")
    {b'!': 0}
    """
    ranks: dict[bytes, int] = {}
    taken: set[int] = set()
    for number, line in enumerate(data.splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        token = _decoded(fields[0])
        if len(fields) != 2 or not token or not fields[1].isdigit() or len(fields[1]) > 8:
            raise ValueError(f"the tokenizer is not a rank file: line {number} is not a token in base64 and a rank")
        rank = int(fields[1])
        if token in ranks or rank in taken:
            what = f"rank {rank}" if rank in taken else f"the token {token!r}"
            raise ValueError(f"the tokenizer's rank file has {what} twice, the second time in line {number}")
        ranks[token] = rank
        taken.add(rank)
    return ranks


class TiktokenCodec:
    """Encodes and decodes with a rank file."""

    file_name = RANKS

    def __init__(self, data: bytes, settings: EncoderSettings) -> None:
        """Loads the bytes of a rank file.

        Raises:
            ValueError: the bytes are not a rank file, ranks are missing, or the pattern is not a regular expression.
        """
        self.library = f"tiktoken {metadata.version('tiktoken')}"
        ranks = parse_ranks(data)
        largest = max(ranks.values(), default=-1)
        named = settings.special_tokens
        special = dict(named) if named is not None else {_END: largest + 1}
        _check_complete(ranks, special)
        self.control: Mapping[str, int] = special
        self.vocab_size = max(largest, *special.values()) + 1 if special else largest + 1
        self._dtype = id_dtype(self.vocab_size)
        self._bytes_of = {rank: token for token, rank in ranks.items()}
        self._pieces: pa.BinaryArray | None = None
        import tiktoken  # only for this kind of file

        pattern = settings.regex()
        try:
            self._reference = tiktoken.Encoding(
                "tokenizer", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special
            )
        except ValueError as error:
            raise ValueError(f"tokenizer.pattern {pattern!r} is no regular expression: {error}") from error
        self._fast = Gigatoken.of_ranks(data, pattern) if settings.fast == "auto" else None

    @property
    def accelerator(self) -> str:
        """The name and version of gigatoken. Empty if tiktoken itself encodes."""
        return self._fast.name if self._fast is not None else ""

    def border(self, kind: str) -> int | None:
        """Returns the id of the control token whose name is a usual name of a bos (or eos). Returns None if there is no
        such token.
        """
        return next((self.control[name] for name in _NAMED[kind] if name in self.control), None)

    def encode(self, texts: pa.Array) -> tuple[Array, Array]:
        """Returns two arrays: the ids of all texts, concatenated, and the number of ids of each text."""
        if self._fast is not None:
            ids, counts = self._fast.encode(texts)
            return ids.astype(self._dtype), counts
        return flat(self.reference(texts.to_pylist()), self._dtype)

    def reference(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns tiktoken's ids. A text that spells a control token is encoded as ordinary text."""
        return [self._encoded(number, text) for number, text in enumerate(texts)]

    def _encoded(self, number: int, text: str) -> list[int]:
        try:
            ids: list[int] = self._reference.encode_ordinary(text)
        except BaseException as error:  # a run of a million spaces overflows the stack of its regex engine
            if not is_panic(error) and not isinstance(error, ValueError):
                raise
            raise ValueError(f"text {number} of the batch: {self.library} cannot encode it ({error})") from error
        return ids

    def piece_bytes(self) -> pa.BinaryArray:
        """Returns the bytes of each id. Control tokens have no bytes."""
        if self._pieces is None:
            tokens = [self._bytes_of.get(rank, b"") for rank in range(self.vocab_size)]
            self._pieces = pa.array(tokens, pa.binary())
        return self._pieces

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids, without control tokens. Bytes that are not UTF-8 become U+FFFD."""
        parts = (self._bytes_of.get(int(i), b"") for i in ids)
        return b"".join(parts).decode("utf-8", "replace")

    def decode_batch(self, lists: Sequence[Array]) -> list[str]:
        """Returns the text of every list of ids. The result is the same as if :meth:`decode` were called for each
        list.
        """
        pieces = self.piece_bytes()
        known = (ids[ids < len(pieces)] for ids in lists)
        return [joined_bytes(pieces, ids)[0].decode("utf-8", "replace") for ids in known]


def _check_complete(ranks: Mapping[bytes, int], special: Mapping[str, int]) -> None:
    """Raises ValueError in three cases: one of the 256 bytes is not a token, a rank below the largest rank is missing,
    or two tokens have the same id.
    """
    if not ranks:
        raise ValueError("the tokenizer's rank file is empty")
    lacking = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if lacking:
        raise ValueError(
            f"the tokenizer's rank file lacks {len(lacking)} of the 256 single bytes, the first is 0x{lacking[0]:02X}: "
            "such text could not be encoded"
        )
    taken = set(ranks.values())
    doubled = next((text for text, number in special.items() if number in taken), None)
    if doubled is not None:
        raise ValueError(f"tokenizer.special_tokens gives {doubled} the id {special[doubled]}, which is a rank already")
    if len(set(special.values())) < len(special):
        raise ValueError("tokenizer.special_tokens gives two tokens the same id")
    holes = max(taken) + 1 - len(taken) - sum(number < max(taken) for number in special.values())
    if holes:
        first = next(rank for rank in range(max(taken)) if rank not in taken and rank not in set(special.values()))
        raise ValueError(
            f"the tokenizer's rank file has {holes} holes in its ranks, the first is {first}: the file is damaged, or "
            "a control token has that id (name it under tokenizer.special_tokens)"
        )


def _decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
