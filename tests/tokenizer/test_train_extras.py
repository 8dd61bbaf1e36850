"""Tests reserved ids, a pad token and user-defined symbols in the model, and in a tokenizer.json with the same ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenizer.encode import Encoder
from tokenizer.hugging_face import tokenizer_json
from tokenizer.proof import HOSTILE, prove
from tokenizer.train.__main__ import main
from tokenizer.train.training import TrainSettings, train

SYMBOLS = ("<sep>", "<sep><sep>", "[/INST]", "ing!")
TEXTS = st.lists(
    st.sampled_from(
        [*SYMBOLS, "<pad>", "<reserved_0>", "<s>", "<", "sep>", "the", " ", "  ", "\n", "ing", "é", "好", "1"]
    ),
    max_size=20,
).map("".join)


@pytest.fixture(scope="module")
def extra_model(topics: list[str]) -> bytes:
    settings = TrainSettings(
        vocab_size=900, pad=True, reserve=5, user_defined_symbols=SYMBOLS, add_dummy_prefix=False, lower_vocab_size=True
    )
    return train(topics[::3], None, settings).model


def test_the_ids_are_where_they_were_asked_for(extra_model: bytes) -> None:
    one = sentencepiece.SentencePieceProcessor(model_proto=extra_model)
    names = [one.id_to_piece(i) for i in range(14)]
    assert names[:9] == ["<unk>", "<s>", "</s>", "<pad>", *(f"<reserved_{i}>" for i in range(5))]
    assert names[9:13] == list(SYMBOLS)
    assert names[13] == "<0x00>"
    assert one.pad_id() == 3
    encoder = Encoder.load(extra_model)
    assert {"<pad>", "<reserved_4>"} <= set(encoder.codec.control)
    assert prove(encoder, []) is None
    assert encoder.encode("<pad><reserved_0>").count(3) == 0
    assert encoder.encode("a<sep>b<sep><sep>")[1] == 9


def test_a_tokenizer_json_has_equal_ids(extra_model: bytes, topics: list[str]) -> None:
    text = tokenizer_json(extra_model)
    assert text is not None
    theirs = tokenizers.Tokenizer.from_str(text)
    ours = Encoder.load(extra_model, bos=False, eos=False)
    texts = [*HOSTILE, *topics[::11], *SYMBOLS, "a<sep> <sep><sep><sep>x", "<pad><s>", "[/INST]ing!ing"]
    for one in texts:
        assert theirs.encode(one, add_special_tokens=False).ids == ours.encode(one), one


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_any_text_has_equal_ids(extra_model: bytes, text: str) -> None:
    theirs = tokenizers.Tokenizer.from_str(tokenizer_json(extra_model))
    assert theirs.encode(text, add_special_tokens=False).ids == Encoder.load(extra_model).encode(text)


def test_pad_and_reserved_ids_keep_the_fast_encoder(topics: list[str]) -> None:
    made = train(topics[::5], None, TrainSettings(vocab_size=600, pad=True, reserve=3, lower_vocab_size=True)).model
    assert Encoder.load(made).is_fast
    assert tokenizer_json(made) is not None


def test_symbols_behind_a_dummy_prefix_have_no_tokenizer_json(topics: list[str]) -> None:
    wanted = TrainSettings(vocab_size=600, user_defined_symbols=("<sep>",), lower_vocab_size=True)
    assert tokenizer_json(train(topics[::5], None, wanted).model) is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"vocab_size": 262, "pad": True, "reserve": 2}, "259, and pad, reserve and user_defined_symbols 3"),
        ({"reserve": -1}, "reserve -1"),
        ({"user_defined_symbols": ["a b"]}, "'a b' is none"),
        ({"user_defined_symbols": ["a,b"]}, "'a,b' is none"),
        ({"user_defined_symbols": ["x"]}, "'x' is none"),
        ({"user_defined_symbols": ["xx", "xx"]}, "one is named twice"),
        ({"user_defined_symbols": "xx"}, "not of type tuple"),
        ({"pad": 1}, "not of type bool"),
    ],
)
def test_wrong_settings_are_one_line(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainSettings.of(said)


def test_the_command_writes_both_files(topics: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(topics[::7]), encoding="utf-8")
    argv = ["--input", str(tmp_path / "*.txt"), "--output", str(tmp_path / "t"), "--vocab-size", "500", "--pad"]
    argv += ["--reserve", "2", "--user-defined-symbols", "<a>", "<b>", "--no-dummy-prefix", "--lower-vocab-size"]
    assert main(argv) == 0
    one = Encoder.load(tmp_path / "t.model")
    assert one.encode("<a>x<b>")[0] == 6
    text = tokenizer_json(one.model)
    assert text is not None
    assert (tmp_path / "t.tokenizer.json").read_text(encoding="utf-8") == text
