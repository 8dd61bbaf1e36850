"""Tests that the fast decoder gives the same text as SentencePiece, for any ids."""

from __future__ import annotations

import pydoc_data.topics

import numpy as np
import pyarrow as pa
import pytest

from tokenizer.encode import Encoder
from tokenizer.train.training import TrainSettings, train

TEXTS = [
    "",
    " ",
    "  two before",
    "a",
    "\u2581mark",
    "snow \u2603 and \U0001f600",
    "\ufffd",
    "x\n\ty  ",
    "<s> </s> <0x41>",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    texts = list(pydoc_data.topics.topics.values())[:20]
    return Encoder.load(train(texts, None, TrainSettings(vocab_size=500)).model)


def test_texts_come_back_as_the_reference_gives_them(encoder: Encoder) -> None:
    assert encoder.is_fast
    texts = [*TEXTS, *list(pydoc_data.topics.topics.values())[20:40]]
    ids = encoder.encode_batch(texts)
    assert encoder.decode_batch(ids) == [encoder.decode(one) for one in ids.to_pylist()]


def test_any_ids_are_decoded_as_the_reference_does(encoder: Encoder) -> None:
    generator = np.random.default_rng(4)
    lists = [generator.integers(0, encoder.vocab_size, generator.integers(0, 12)).tolist() for _ in range(3_000)]
    ids = pa.array(lists, pa.list_(pa.uint16()))
    assert encoder.decode_batch(ids) == [encoder.decode(one) for one in lists]
    assert encoder.decode_batch(ids[:0]) == []
