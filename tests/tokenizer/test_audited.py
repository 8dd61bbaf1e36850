"""Tests that gigatoken encodes with a .model only as long as the project's own encoder gives the same ids."""

from __future__ import annotations

import gc
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest

import tokenizer.accelerator
from tests.tokenizer.test_kinds import TOPICS
from tokenizer import audited, model_file
from tokenizer.accelerator import Gigatoken
from tokenizer.audited import AUDITED_TEXTS, Audited
from tokenizer.codec import id_dtype
from tokenizer.encode import Encoder
from tokenizer.encoder_settings import EncoderSettings, Fast
from tokenizer.fast_bpe import FastBpe
from tokenizer.proof import HOSTILE, proven


class Other:
    """Plays gigatoken. Returns the ids of another encoder, but wrong ids for one word."""

    name = "gigatoken 0"

    def __init__(self, right: FastBpe) -> None:
        self._right = right

    def encode(self, texts: Any) -> Any:
        ids, counts = self._right.encode(texts)
        is_wrong = np.repeat(["zyx" in text for text in texts.to_pylist()], counts)
        return np.where(is_wrong, 5, ids).astype(np.uint32), counts


def own_encoder(model: bytes) -> FastBpe:
    made = FastBpe.of(model_file.parse(model), model, np.dtype(np.uint16))
    assert made is not None
    return made


def large(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def encode_all(encoder: Audited, own: FastBpe, texts: list[str], sizes: list[int]) -> None:
    """Encodes the texts in batches of the given sizes, and compares the ids with those of the class ``Other``."""
    begin = 0
    for size in sizes:
        batch = large(texts[begin : begin + size])
        ids, counts = encoder.encode(batch)
        right = Other(own).encode(batch)
        assert (ids.dtype, ids.tolist(), counts.tolist()) == (np.uint16, *(one.tolist() for one in right))
        begin += size


@pytest.mark.parametrize("sizes", [[1] * 600, [256] * 3, [7, 0, 530, 63], [800]])
def test_one_text_in_256_is_compared_in_batches_of_any_size(model: bytes, sizes: list[int]) -> None:
    own = own_encoder(model)
    for wrong in (0, 1, 255, 256, 257, 512):
        texts = [f"text {number}, é" + " zyx" * (number == wrong) for number in range(sum(sizes))]
        encoder = Audited(Other(own), own, np.dtype(np.uint16))
        if wrong % AUDITED_TEXTS:
            encode_all(encoder, own, texts, sizes)
            continue
        with pytest.raises(ValueError, match=f"a text that begins 'text {wrong}, é zyx': .* set tokenizer.fast: own"):
            encode_all(encoder, own, texts, sizes)


def test_where_gigatoken_differs_the_own_encoder_encodes(model: bytes) -> None:
    own = own_encoder(model)
    one = Encoder.load(model)
    one.codec._fast = Audited(Other(own), own, np.dtype(np.uint16))  # type: ignore[attr-defined]
    found, line = proven(one, ["some text"])
    assert (found, "gigatoken 0 encodes" in line) == (one, True)
    found, line = proven(one, ["some text", "a zyx"])
    assert found.codec.accelerator == "tokenizer.fast_bpe"
    assert line.startswith("tokenizer.fast_bpe encodes, because gigatoken 0 differs from sentencepiece")
    assert found.encode("a zyx") == Encoder.load(model, fast="off").encode("a zyx")


@pytest.mark.parametrize("every", [1, 1 << 20])
@pytest.mark.parametrize("number", [0, 300])
def test_a_difference_before_the_run_is_no_error(
    model: bytes, number: int, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong text may be found by the proof or by the audit. In both cases, the project's own encoder is used
    instead.
    """
    monkeypatch.setattr(audited, "AUDITED_TEXTS", every)
    own = own_encoder(model)
    one = Encoder.load(model)
    one.codec._fast = Audited(Other(own), own, np.dtype(np.uint16))  # type: ignore[attr-defined]
    found, line = proven(one, ["some text"] * number + ["a zyx"] + ["more"] * 300)
    assert found.codec.accelerator == "tokenizer.fast_bpe"
    assert "because gigatoken 0 differs from" in line


def test_without_gigatoken_the_own_encoder_encodes(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer.accelerator, "_library", lambda: None)
    assert not Gigatoken.is_installed()
    encoders = [Encoder.load(model, settings=EncoderSettings(fast=fast)) for fast in get_args(Fast)]
    names = [one.codec.accelerator for one in encoders]
    assert names == ["tokenizer.fast_bpe", "tokenizer.fast_bpe", ""]


@pytest.mark.train
def test_gigatoken_gives_sentencepieces_ids(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gigatoken", reason="make test-train installs it")
    monkeypatch.setattr(audited, "AUDITED_TEXTS", 1)
    monkeypatch.setattr(tokenizer.accelerator, "RESTART_BYTES", 10_000)
    one, reference = Encoder.load(model), Encoder.load(model, fast="off")
    assert one.codec.accelerator == Gigatoken.name
    assert one.identity == reference.identity == Encoder.load(model, fast="own").identity
    texts = [*HOSTILE, *TOPICS, "<s> </s> <0x0A>"]
    assert one.encode_batch(texts).equals(reference.encode_batch(texts))
    assert proven(one, texts)[0] is one
    gc.collect()  # a library that crashes when it is deleted would do so here
    assert id_dtype(one.vocab_size) == one.dtype
