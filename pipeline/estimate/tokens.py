"""Counts tokens for an estimate. If the run has no tokenizer yet, the number of tokens is computed from two numbers:
the bytes of the text, and the size of the vocabulary that will be trained.
"""

from __future__ import annotations

import math

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clean.batches import text_bytes
from pipeline.estimate.read_unit import TokenCount
from pipeline.files.files import read_bytes
from pipeline.settings.settings import Settings
from tokenizer.encode import Encoder
from tokenizer.train.training import TrainSettings

_AT_2000, _PER_DOUBLING = 2.8, 0.35
"""The bytes per token for a vocabulary of 2,000 pieces, and the increase if the vocabulary is doubled. Both were
measured on English web text. With the sample's vocabulary of 2,000 pieces, a token has 2.8 bytes (1.39 MB of the
sample's pages). With LLaMA's 32,000 pieces, a token has 4.0 to 4.4 bytes, which is 0.35 more per doubling."""
_LEAST, _MOST = 1.0, 5.0


def bytes_per_token(vocab_size: int) -> float:
    """Returns the average number of bytes per token of English web text, for a trained vocabulary of this size.

    Code and formulas have about a fifth fewer bytes per token.

    >>> [round(bytes_per_token(n), 1) for n in (300, 2_000, 32_000, 128_000)]
    [1.8, 2.8, 4.2, 4.9]
    """
    return min(_MOST, max(_LEAST, _AT_2000 + _PER_DOUBLING * math.log2(vocab_size / 2_000)))


def token_count(settings: Settings) -> tuple[TokenCount, str]:
    """Returns a function that counts the tokens of texts, and a text that describes how the function counts."""
    if settings.tokenizer:
        encoder = Encoder.load(read_bytes(settings.tokenizer), settings=settings.encoder)
        return (lambda texts: _num_ids(encoder, texts)), f"tokens counted with {settings.tokenizer}"
    vocab_size = TrainSettings.of(settings.recipe.tokenizer).vocab_size
    ratio = bytes_per_token(vocab_size)
    words = f"tokens: {ratio:.1f} bytes each, as a trained vocabulary of {vocab_size:,} pieces has on English web "
    words += "text; code, formulas and other languages have a fifth fewer; --tokenizer FILE counts exactly"
    return (lambda texts: text_bytes(texts) / ratio), words


def _num_ids(encoder: Encoder, texts: pa.Array) -> float:
    return float(pc.sum(pc.list_value_length(encoder.encode_batch(texts))).as_py() or 0)
