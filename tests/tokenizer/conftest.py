"""Fixtures: a small tokenizer of LLaMA's kind, and models of other kinds. All are trained on the Python language
reference.
"""

from __future__ import annotations

import io
import pydoc_data.topics
import struct
from typing import Any

import pytest
import sentencepiece

from tokenizer import model_file as model_proto
from tokenizer.train.training import TrainSettings, train

_OTHER_MODELS: dict[str, dict[str, Any]] = {
    "unigram with bytes": {"model_type": "unigram", "byte_fallback": True, "normalization_rule_name": "identity"},
    "unigram": {"model_type": "unigram"},
    "bpe, nmt_nfkc": {"model_type": "bpe", "byte_fallback": True},
    "bpe without bytes": {"model_type": "bpe", "normalization_rule_name": "identity"},
    "bpe, user-defined symbols": {
        "model_type": "bpe",
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "user_defined_symbols": ["<sep>", "class Python", "e s"],
    },
    "bpe, spaces removed": {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity"},
    "bpe, suffix": {
        "model_type": "bpe",
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "treat_whitespace_as_suffix": True,
    },
    "char": {"model_type": "char"},
    "word": {"model_type": "word"},
}
_FAST_MODELS: dict[str, dict[str, Any]] = {
    "pieces across spaces": {"split_by_whitespace": False},
    "no space in front": {"add_dummy_prefix": False},
    "digits and scripts joined": {"split_digits": False, "split_by_number": False, "split_by_unicode_script": False},
    "few characters": {"character_coverage": 0.98},
}


@pytest.fixture(scope="session")
def topics() -> list[str]:
    """Returns the texts for training: 0.46 MB of English, with code and tables."""
    return list(pydoc_data.topics.topics.values())


@pytest.fixture(scope="session")
def model(topics: list[str]) -> bytes:
    """Returns a model with 2,000 pieces and LLaMA's settings."""
    return train(topics, None, TrainSettings(vocab_size=2000)).model


def _train(topics: list[str], **settings: Any) -> bytes:
    out = io.BytesIO()
    lines = [line for text in topics[::4] for line in text.split("\n") if line]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, **{"vocab_size": 700, "minloglevel": 2, **settings}
    )
    return out.getvalue()


@pytest.fixture(scope="session", params=sorted(_OTHER_MODELS))
def other_model(request: pytest.FixtureRequest, topics: list[str]) -> bytes:
    """Returns a model that the fast encoder does not support."""
    return _train(topics, **_OTHER_MODELS[request.param])


@pytest.fixture(scope="session", params=sorted(_FAST_MODELS))
def odd_fast_model(request: pytest.FixtureRequest, topics: list[str]) -> bytes:
    """Returns a model of LLaMA's kind with one different setting, which changes the places where a text can be
    split.
    """
    llama = {
        "model_type": "bpe",
        "byte_fallback": True,
        "split_digits": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
    }
    return _train(topics, **{**llama, **_FAST_MODELS[request.param]})


@pytest.fixture(scope="session", params=["spaces", "many"])
def tied_model(request: pytest.FixtureRequest, model: bytes) -> bytes:
    """Returns a model in which several pieces have equal scores: either all pieces of spaces, as in LLaMA's model, or a
    third of all pieces.
    """
    parts, number = [], 0
    for field, wire, value in model_proto.fields(model):
        if field == 1 and isinstance(value, bytes):
            piece = {n: v for n, _, v in model_proto.fields(value)}
            text, normal = bytes(piece[1]).decode(), 3 not in piece  # type: ignore[arg-type]
            tied = set(text) == {"\u2581"} if request.param == "spaces" else number % 3 == 0
            if normal and len(text) > 1 and tied:
                value = model_proto.drop_fields(value, frozenset({2}))
                value += model_proto.encode_field(2, 5, struct.pack("<f", -1e9 if request.param == "spaces" else -700))
            number += 1
        parts.append(model_proto.encode_field(field, wire, value))
    return b"".join(parts)
