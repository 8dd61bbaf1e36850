"""Decides which perplexity models have a compiled form, and makes it."""

from __future__ import annotations

import os

from filters.ccnet.charsmap import continuations
from filters.ccnet.compiled_perplexity import compiled
from filters.ccnet.perplexity import PerplexityModel
from tokenizer.model_file import CONTROL, NORMAL, UNIGRAM, UNKNOWN, UNUSED, parse


def compiled_scorer(model: PerplexityModel) -> PerplexityModel:
    """Returns a perplexity model in its compiled form. If it has none, returns the model itself.

    Models like CCNet's have a compiled form. The SentencePiece model is of the type unigram, with the default options.
    The KenLM model is a binary file with hash tables.
    """
    try:
        proto = parse(model.pieces.serialized_model_proto())
        continuations(proto.charsmap)
    except ValueError:  # SentencePiece accepts pieces that are not UTF-8, and rules of any length
        return model
    others = {piece.kind for piece in proto.pieces} - {NORMAL, UNKNOWN, CONTROL, UNUSED}
    is_default = proto.add_dummy_prefix and proto.remove_extra_whitespaces and proto.escape_whitespaces
    if (
        others
        or not is_default
        or proto.model_type != UNIGRAM
        or proto.byte_fallback
        or proto.treat_whitespace_as_suffix
    ):
        return model
    scores = {piece.text: piece.score for piece in proto.pieces if piece.kind == NORMAL}
    return compiled(model, os.fsdecode(model.lm.path), scores, proto.charsmap)
