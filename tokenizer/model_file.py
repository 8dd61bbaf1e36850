"""Reads a SentencePiece ``.model`` without protobuf.

A ``.model`` is a serialized ``ModelProto`` (``sentencepiece_model.proto``). SentencePiece's package can read it, but
needs a newer protobuf than Apache Beam allows for this. Programs that train on shards should not need protobuf at all.
This module reads only a few fields, and the format has not changed since 2018.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""The types of pieces (``ModelProto.SentencePiece.Type``)."""
UNIGRAM, BPE, WORD, CHAR = 1, 2, 3, 4
"""The types of models (``TrainerSpec.ModelType``)."""

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
Field = tuple[int, int, "int | bytes"]
"""A field of a protobuf message: field number, wire type, value."""


@dataclass(frozen=True, slots=True)
class VocabularyPiece:
    """Describes a piece of the vocabulary, as the model stores it. A space is stored as U+2581."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True, slots=True)
class ModelProto:
    """Holds the parts of a model that decide how it encodes. The fields have the names of
    ``sentencepiece_model.proto``.
    """

    pieces: tuple[VocabularyPiece, ...]
    model_type: int
    byte_fallback: bool
    treat_whitespace_as_suffix: bool
    charsmap: bytes
    """The rules for characters; empty if there are none."""
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool
    escape_whitespaces: bool


def parse(model: bytes) -> ModelProto:
    """Reads a serialized ``ModelProto``.

    Raises:
        ValueError: the bytes are not a serialized ``ModelProto``.
    """
    pieces: list[VocabularyPiece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for number, wire, value in fields(model):
        if wire != _LEN or not isinstance(value, bytes):
            continue
        if number == 1:
            pieces.append(_piece(value))
        elif number == 2:
            trainer = _last(value)
        elif number == 3:
            normalizer = _last(value)
    if not pieces:
        raise ValueError("no piece in it")
    return ModelProto(
        pieces=tuple(pieces),
        model_type=int(trainer.get(3, UNIGRAM)),
        byte_fallback=bool(trainer.get(35, 0)),
        treat_whitespace_as_suffix=bool(trainer.get(24, 0)),
        charsmap=_content(normalizer.get(2, b"")),
        add_dummy_prefix=bool(normalizer.get(3, 1)),
        remove_extra_whitespaces=bool(normalizer.get(4, 1)),
        escape_whitespaces=bool(normalizer.get(5, 1)),
    )


def _content(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else b""


def _piece(data: bytes) -> VocabularyPiece:
    got = _last(data)
    text, score = got.get(1, b""), got.get(2, b"\0\0\0\0")
    if not isinstance(text, bytes) or not isinstance(score, bytes):
        raise ValueError("a piece is not of the form of a piece")
    return VocabularyPiece(text.decode("utf-8"), struct.unpack("<f", score)[0], int(got.get(3, NORMAL)))


def _last(data: bytes) -> dict[int, int | bytes]:
    return {number: value for number, _, value in fields(data)}


def fields(data: bytes) -> Iterator[Field]:
    """Yields (number, wire type, value) for each field of a protobuf message, in order.

    In the example, field 1 has the wire type 0 (an integer) and the value 150.

    >>> list(fields(bytes([0x08, 0x96, 0x01])))
    [(1, 0, 150)]
    """
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise ValueError("field number 0")
        if wire == _VARINT:
            value, at = _read_varint(data, at)
            yield number, wire, value
            continue
        if wire == _LEN:
            size, at = _read_varint(data, at)
        elif wire in (_I32, _I64):
            size = 4 if wire == _I32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(data):
            raise ValueError("it ends inside a field")
        yield number, wire, data[at : at + size]
        at += size


def drop_fields(message: bytes, numbers: frozenset[int]) -> bytes:
    """Returns the message without the fields whose numbers are in ``numbers``. All other bytes stay the same.

    >>> drop_fields(bytes([0x08, 0x01, 0x10, 0x02]), frozenset({1})).hex()
    '1002'
    """
    return b"".join(encode_field(*f) for f in fields(message) if f[0] not in numbers)


def encode_field(number: int, wire: int, value: int | bytes) -> bytes:
    """Returns one field in protobuf's encoding."""
    key = _varint(number << 3 | wire)
    if isinstance(value, int):
        return key + _varint(value)
    return key + (_varint(len(value)) if wire == _LEN else b"") + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("it ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
