"""Converts a SentencePiece model to Hugging Face's ``tokenizer.json``, with the same ids.

Only models of LLaMA's kind (see :func:`tokenizer.fast_bpe.covers`) can be converted exactly, with or without
user-defined symbols. The result is a plain BPE tokenizer with byte fallback. It replaces every space by U+2581. If the
model puts a space before each text, so does the result. It has no special tokens, so text that spells ``<s>`` is
encoded as ordinary text, as in the files of token ids that the pipeline writes.

User-defined symbols become added tokens. Hugging Face's library first splits a text at them, and then puts a space
before every part. SentencePiece puts a space before the whole text only. So a model with user-defined symbols can be
converted exactly only if it puts no space before a text.

SentencePiece first merges the pair whose merged piece has the highest score. If scores are equal, it merges the
leftmost pair. A ``tokenizer.json`` has no scores. It ranks pairs by their order, so the pairs are listed in descending
order of their scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from tokenizer import model_file as model_proto
from tokenizer.fast_bpe import covers

_MARK = "\u2581"


def tokenizer_json(model: bytes) -> str | None:
    """Returns the text of ``tokenizer.json`` for a model, or None if the model cannot be converted exactly."""
    proto = model_proto.parse(model)
    symbols = [p.text for p in proto.pieces if p.kind == model_proto.USER_DEFINED]
    pieces = tuple(p for p in proto.pieces if p.kind != model_proto.USER_DEFINED)
    if not covers(replace(proto, pieces=pieces)) or (symbols and proto.add_dummy_prefix):
        return None
    if any(" " in text or _MARK in text for text in symbols):
        return None
    merges = _merges({p.text: p.score for p in proto.pieces if p.kind == model_proto.NORMAL})
    if merges is None:
        return None
    vocab = {piece.text: number for number, piece in enumerate(proto.pieces)}
    if len(vocab) != len(proto.pieces):
        return None
    unknown = next((p.text for p in proto.pieces if p.kind == model_proto.UNKNOWN), None)
    controls = [p.text for p in proto.pieces if p.kind == model_proto.CONTROL]
    bos = next((text for text in controls if text == "<s>"), None)
    found: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_symbol(text, vocab[text]) for text in symbols],
        "normalizer": _normalizer(proto.add_dummy_prefix),
        "pre_tokenizer": None,
        "post_processor": None if bos is None else _template(bos, vocab[bos]),
        "decoder": _decoder(proto.add_dummy_prefix),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges,
        },
    }
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def _symbol(text: str, number: int) -> dict[str, Any]:
    """Returns an added token for a user-defined symbol. The library finds added tokens in texts before it merges
    anything, as SentencePiece does with these symbols.
    """
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": number, "content": text, **flags}


def _merges(scores: Mapping[str, float]) -> list[list[str]] | None:
    """Returns the pairs of pieces that merge, in the order of their ranks; None if no ranks would give the same ids.

    If several pieces have equal scores, SentencePiece first makes the leftmost of them in the text. Ranks cannot
    express this, because each pair has a different rank. There is one exception: all these pieces repeat one character
    (as LLaMA's pieces of spaces do). Then SentencePiece extends a run of this character from the left, and so do ranks
    if longer pieces come first.
    """
    known = {*scores, *(char for piece in scores for char in piece)}
    merges: list[list[str]] = []
    for _, group in groupby(sorted(scores, key=lambda piece: -scores[piece]), key=lambda piece: scores[piece]):
        pieces = [piece for piece in group if len(piece) > 1]
        if len(pieces) > 1 and len({char for piece in pieces for char in piece}) > 1:
            return None
        for piece in sorted(pieces, key=len, reverse=True):
            splits = [[piece[:k], piece[k:]] for k in range(len(piece) - 1, 0, -1)]
            merges += [pair for pair in splits if pair[0] in known and pair[1] in known]
    return merges


def _normalizer(add_prefix: bool) -> dict[str, Any]:
    prefix = [{"type": "Prepend", "prepend": _MARK}] if add_prefix else []
    return {"type": "Sequence", "normalizers": [*prefix, _replace(" ", _MARK)]}


def _decoder(add_prefix: bool) -> dict[str, Any]:
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if add_prefix else []
    decoders = [_replace(_MARK, " "), {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]
    return {"type": "Sequence", "decoders": decoders}


def _replace(old: str, new: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def _template(bos: str, number: int) -> dict[str, Any]:
    """Returns the template that puts bos before a text. If two texts are encoded as a pair, bos is put before each of
    them.
    """
    first, second = ({"Sequence": {"id": name, "type_id": kind}} for name, kind in (("A", 0), ("B", 1)))
    marks = [{"SpecialToken": {"id": bos, "type_id": kind}} for kind in (0, 1)]
    return {
        "type": "TemplateProcessing",
        "single": [marks[0], first],
        "pair": [marks[0], first, marks[1], second],
        "special_tokens": {bos: {"id": bos, "ids": [number], "tokens": [bos]}},
    }
