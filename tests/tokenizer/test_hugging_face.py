"""Tests that a converted tokenizer.json gives the same ids as the tokenizer.model. If this is impossible, no file is
written.
"""

from __future__ import annotations

import json
import pydoc_data.topics
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenizer.encode import Encoder
from tokenizer.hugging_face import tokenizer_json
from tokenizer.train.training import TrainSettings, train

HOSTILE = (
    "", " ", "  ", "a", " a", "a ", "a  b", "   a   b   ", "\n", "\n\n a", "\t\tx", "\r\n", "say <s> twice", "</s>",
    "<unk>", "<0x0A>", "<0x0A><0x0", "\u2581", "a\u2581b", "\u2581\u2581", "Zürich 中文 \U0001f600",
    "\U0001f468\u200d\U0001f469", "\x00", "a\x00b", "\ufeff", "\u00a0\u3000\u2028\u2029", "e\u0301 é ﬁ ½",
    "0123456789", "3.14159e-10", "'" * 50, " " * 70,
    "=" * 33, "ab" * 40, "\U0010ffff", "\ufffd", "    return x  # ok", "aaaaaaaaaaaaaaaab", "ﷺ", "ಠ_ಠ",
)  # fmt: skip


def the_ids(encoder: Encoder, text: str) -> list[int]:
    found: list[int] = encoder.encode_batch([text])[0].as_py()
    return found


@pytest.fixture(scope="session")
def readers() -> Any:
    return pytest.importorskip("tokenizers", reason="make test-train installs it")


@pytest.fixture(scope="session")
def periodic_model() -> bytes:
    """Returns a model of repeated patterns. Many of its pieces overlap with themselves."""
    rng = random.Random(3)
    texts = ["".join(rng.choice(["aaa", "ab", "aba", "b", " a", "  ", "aab"]) for _ in range(40)) for _ in range(400)]
    return train(texts, None, TrainSettings(vocab_size=400, lower_vocab_size=True)).model


def pair(model: bytes, readers: Any) -> tuple[Encoder, Any]:
    text = tokenizer_json(model)
    assert text is not None
    return Encoder.load(model, eos=False), readers.Tokenizer.from_str(text)


def check(model: bytes, readers: Any, texts: Any) -> None:
    ours, theirs = pair(model, readers)
    for text in texts:
        wanted = the_ids(ours, text)
        assert theirs.encode(text).ids == wanted, text
        assert theirs.encode(text, add_special_tokens=False).ids == wanted[1:], text
        assert theirs.decode(wanted[1:], skip_special_tokens=False) == ours.decode(wanted), text


@pytest.mark.train
def test_hostile_strings_and_real_text(model: bytes, readers: Any) -> None:
    check(model, readers, [*HOSTILE, *list(pydoc_data.topics.topics.values())[::7]])


@pytest.mark.train
def test_odd_models_of_the_kind(odd_fast_model: bytes, readers: Any) -> None:
    check(odd_fast_model, readers, [*HOSTILE, *list(pydoc_data.topics.topics.values())[:3]])


@pytest.mark.slow
@pytest.mark.train
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("ab \n<s>é\u2581"), max_size=60) | st.text(max_size=30))
def test_any_text(model: bytes, periodic_model: bytes, readers: Any, text: str) -> None:
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode()
    check(model, readers, [text])
    check(periodic_model, readers, [text])


@pytest.mark.slow
@pytest.mark.train
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["a", "aa", "ab", "ba", "aba", "abab", " ", "b"]), max_size=30).map("".join))
def test_pieces_that_overlap_themselves(periodic_model: bytes, readers: Any, text: str) -> None:
    check(periodic_model, readers, [text])


@pytest.mark.train
def test_transformers_reads_it(model: bytes, readers: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="make test-train installs it")
    (tmp_path / "tokenizer.json").write_text(str(tokenizer_json(model)), encoding="utf-8")
    loaded = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    encoder = Encoder.load(model, eos=False)
    for text in HOSTILE:
        assert loaded(text)["input_ids"] == the_ids(encoder, text), text


@pytest.mark.train
def test_runs_of_spaces_with_equal_scores(tied_model: bytes, readers: Any, topics: list[str]) -> None:
    """In LLaMA's model, only the pieces of spaces have equal scores. If other pieces have equal scores, there is no
    tokenizer.json.
    """
    if tokenizer_json(tied_model) is None:
        return
    check(tied_model, readers, [*HOSTILE, *(" " * n + "x" + " " * (40 - n) for n in range(40)), *topics[:5]])


def test_equal_scores_of_unlike_pieces_have_none(request: pytest.FixtureRequest, tied_model: bytes) -> None:
    is_of_spaces = "spaces" in request.node.callspec.id
    assert (tokenizer_json(tied_model) is not None) == is_of_spaces


def test_models_of_other_kinds_have_none(other_model: bytes) -> None:
    assert tokenizer_json(other_model) is None


def test_the_vocabulary_is_the_models(model: bytes) -> None:
    written = json.loads(str(tokenizer_json(model)))
    assert written["model"]["vocab"]["<s>"] == 1
    assert written["added_tokens"] == []
    assert len(written["model"]["vocab"]) == Encoder.load(model).vocab_size


def test_training_writes_it_beside_the_model(tmp_path: Path, topics: list[str]) -> None:
    trained = train(topics[:20], tmp_path / "own", TrainSettings(vocab_size=500))
    assert (tmp_path / "own.tokenizer.json").read_text(encoding="utf-8") == tokenizer_json(trained.model)
