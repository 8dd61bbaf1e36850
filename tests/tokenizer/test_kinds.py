"""Tests tokenizer.json and rank files. Ids are the same as the reference library's, control tokens in texts are
ordinary text, and a bad file gives a message of one line.
"""

from __future__ import annotations

import base64
import functools
import inspect
import json
import pickle
import pydoc_data.topics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiktoken
import tokenizers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import tokenizer.accelerator
from tokenizer.codec import JSON, RANKS
from tokenizer.encode import Encoder
from tokenizer.encoder_settings import PATTERNS, EncoderSettings
from tokenizer.proof import HOSTILE, prove, proven

TOPICS = list(pydoc_data.topics.topics.values())
CONTROLS = ("<|begin_of_text|>", "<|end_of_text|>", "<|endoftext|>", "<s>", "</s>", "[MASK]")
TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.lists(
        st.sampled_from(
            [*CONTROLS, "the", " ", "\n", "  ", "'s", "12", "345", "é", "好", "\x00", "<tool>", "ing", "\r\n"]
        ),
        max_size=20,
    ).map("".join),
    max_size=5,
)
PROPERTY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def byte_level(vocab_size: int, *, split: str | None, special: Sequence[str], **model: Any) -> Any:
    """Trains a byte-level BPE tokenizer: of LLaMA 3's kind if `split` is given, else of GPT-2's kind."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(**model))
    if split is None:
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        made.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(split), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(special), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(TOPICS, trainer)
    return made


LLAMA_3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def llama_3() -> str:
    """Returns a tokenizer.json of LLaMA 3's kind: with its pattern, control tokens, an added token that is not a
    control token, and words that are looked up before any merge.
    """
    made = byte_level(1500, split=LLAMA_3_SPLIT, special=CONTROLS[:2], ignore_merges=True)
    made.add_tokens([tokenizers.AddedToken("<tool>", special=False)])
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]
    )
    return str(made.to_str())


def gpt_2() -> str:
    """Returns a tokenizer.json of GPT-2's kind, with one control token."""
    return str(byte_level(1200, split=None, special=["<|endoftext|>"]).to_str())


def metaspace() -> str:
    """Returns a tokenizer.json of a unigram model with a normaliser that changes text, a metaspace and `<unk>`."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=600, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    made.train_from_iterator(TOPICS[:40], trainer)
    made.add_special_tokens(["<s>", "</s>"])
    return str(made.to_str())


@pytest.fixture(scope="session")
def made() -> dict[str, str]:
    return {"LLaMA 3": llama_3(), "GPT-2": gpt_2(), "metaspace": metaspace()}


@pytest.fixture(params=["LLaMA 3", "GPT-2", "metaspace"])
def json_text(request: pytest.FixtureRequest, made: dict[str, str]) -> str:
    return made[request.param]


@pytest.fixture(scope="session")
def ranks(made: dict[str, str]) -> bytes:
    """Returns a rank file like GPT-2's: first all bytes, then the merged tokens."""
    alphabet = byte_alphabet()
    vocab = json.loads(made["LLaMA 3"])["model"]["vocab"]
    tokens = [bytes([b]) for b in range(256)]
    ordered = sorted(vocab.items(), key=lambda item: item[1])
    found = (text for text, _ in ordered if text not in CONTROLS and all(char in alphabet for char in text))
    words = (bytes(alphabet[char] for char in text) for text in found)
    tokens += [word for word in words if len(word) > 1]
    return rank_lines(tokens)


def rank_lines(tokens: Sequence[bytes]) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


def byte_alphabet() -> dict[str, int]:
    """Returns a dict from GPT-2's character for each byte to the byte (``bytes_to_unicode`` in its encoder.py)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(other)}


@functools.lru_cache
def reader_of(text: str) -> Any:
    reader = tokenizers.Tokenizer.from_str(text)
    reader.encode_special_tokens = True
    return reader


def library_ids(text: str, texts: Sequence[str]) -> list[list[int]]:
    return [reader_of(text).encode(one, add_special_tokens=False).ids for one in texts]


@functools.lru_cache
def tiktoken_reader(data: bytes, pattern: str) -> Any:
    lines = (line.split() for line in data.splitlines())
    known = {base64.b64decode(token): int(rank) for token, rank in lines}
    end = {"<|endoftext|>": len(known)}
    return tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=known, special_tokens=end)


def tiktoken_ids(data: bytes, pattern: str, texts: Sequence[str]) -> list[list[int]]:
    reader = tiktoken_reader(data, pattern)
    return [reader.encode_ordinary(one) for one in texts]


@functools.lru_cache
def encoder_of(data: bytes, pattern: str | None = None) -> Encoder:
    return Encoder.load(data, settings=EncoderSettings(bos=False, eos=False, pattern=pattern))


def encode(data: bytes, texts: Sequence[str], pattern: str | None = None) -> list[list[int]]:
    found: list[list[int]] = encoder_of(data, pattern).encode_batch(texts).to_pylist()
    return found


def test_json_hostile_strings_and_real_text(json_text: str) -> None:
    texts = [*HOSTILE, *CONTROLS, *TOPICS[::5], "".join(TOPICS)]
    assert encode(json_text.encode(), texts) == library_ids(json_text, texts)


@PROPERTY
@given(texts=TEXTS)
@example(texts=["a<|begin_of_text|>b", "<tool><tool>", ""])
def test_json_any_text(json_text: str, texts: list[str]) -> None:
    assert encode(json_text.encode(), texts) == library_ids(json_text, texts)


@pytest.mark.parametrize("pattern", [*PATTERNS, r"\p{L}+|\s+|."])
def test_ranks_hostile_strings_and_real_text(ranks: bytes, pattern: str) -> None:
    texts = [*HOSTILE, *CONTROLS, *TOPICS[::5], "".join(TOPICS)]
    assert encode(ranks, texts, pattern=pattern) == tiktoken_ids(ranks, PATTERNS.get(pattern, pattern), texts)


@PROPERTY
@given(texts=TEXTS)
def test_ranks_any_text(ranks: bytes, texts: list[str]) -> None:
    for pattern in PATTERNS:
        assert encode(ranks, texts, pattern=pattern) == tiktoken_ids(ranks, PATTERNS[pattern], texts)


def test_the_patterns_are_tiktokens_own() -> None:
    from tiktoken_ext import openai_public

    source = inspect.getsource(openai_public)
    assert PATTERNS["r50k_base"] == openai_public.r50k_pat_str
    assert f'r"""{PATTERNS["cl100k_base"]}"""' in source
    o200k = [line.strip() for line in source.splitlines() if line.strip().startswith('r"""')]
    assert "|".join(line.removeprefix('r"""').removesuffix('""",') for line in o200k[-7:]) == PATTERNS["o200k_base"]


def test_what_spells_a_control_token_is_text(made: dict[str, str], ranks: bytes) -> None:
    for data in (*(text.encode() for text in made.values()), ranks):
        one = Encoder.load(data, settings=EncoderSettings())
        assert one.codec.control
        for token, number in one.codec.control.items():
            for text in (token, f"x{token}y", f" {token} {token}"):
                ids = one.encode(text)
                assert number not in ids
                if one.file_name == RANKS:
                    assert one.decode([number, *ids, number]) == text


@PROPERTY
@given(lists=st.lists(st.lists(st.integers(0, 1_499), max_size=12), max_size=6))
def test_a_batch_is_decoded_as_one_by_one(made: dict[str, str], ranks: bytes, lists: list[list[int]]) -> None:
    for data in (*(text.encode() for text in made.values()), ranks):
        one = encoder_of(data)
        known = [[i % one.vocab_size for i in ids] for ids in lists]
        array = pa.array(known, pa.list_(pa.from_numpy_dtype(one.dtype)))
        assert one.decode_batch(array) == [one.decode(ids) for ids in known]
        assert one.decode_batch(array[1:]) == [one.decode(ids) for ids in known[1:]]


def test_texts_come_back(made: dict[str, str], ranks: bytes) -> None:
    for data in (made["LLaMA 3"].encode(), made["GPT-2"].encode(), ranks):
        one = Encoder.load(data, settings=EncoderSettings())
        texts = [*HOSTILE, *CONTROLS, *TOPICS[::9]]
        assert one.decode_batch(one.encode_batch(texts)) == texts


def test_bos_and_eos(made: dict[str, str], ranks: bytes) -> None:
    def borders(data: bytes, **said: Any) -> tuple[int, int, list[int]]:
        one = Encoder.load(data, settings=EncoderSettings(**said))
        inner = one.encode("a b")
        ids = one.encode_batch(["a b", ""]).to_pylist()
        framed = [[one.bos_id] * (one.bos_id >= 0), [one.eos_id] * (one.eos_id >= 0)]
        assert ids == [framed[0] + inner + framed[1], framed[0] + framed[1]]
        return one.bos_id, one.eos_id, ids[1]

    llama, gpt = made["LLaMA 3"].encode(), made["GPT-2"].encode()
    assert borders(llama) == (0, 1, [0, 1])
    assert borders(llama, bos=False) == (-1, 1, [1])
    assert borders(llama, eos="<|begin_of_text|>", bos=False) == (-1, 0, [0])
    assert borders(llama, eos=False) == (0, -1, [0])
    assert borders(gpt) == (-1, 0, [0])
    end = len(ranks.splitlines())
    assert borders(ranks) == (-1, end, [end])
    assert borders(ranks, special_tokens=(("<b>", end + 5), ("<e>", end)), bos="<b>", eos="<e>")[:2] == (end + 5, end)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"bos": True}, r"no bos piece: name it, or set tokenizer\.bos: false .its control tokens are <.endoftext"),
        ({"eos": "<nope>"}, "no control token <nope>.* be its eos"),
    ],
)
def test_a_border_that_is_not_there_is_said(made: dict[str, str], said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Encoder.load(made["GPT-2"].encode(), settings=EncoderSettings(**said))


def test_ids_are_as_wide_as_the_vocabulary(made: dict[str, str]) -> None:
    for size, kind in ((65_536, np.uint16), (65_537, np.uint32), (70_000, np.uint32), (200_000, np.uint32)):
        content = json.loads(made["GPT-2"])
        vocab = content["model"]["vocab"]
        for number in range(len(vocab), size):
            vocab[f"filler{number}"] = number
        one = Encoder.load(json.dumps(content).encode(), settings=EncoderSettings())
        assert (one.vocab_size, one.dtype) == (size, kind)
        assert one.encode_batch(["the tide"]).values.to_numpy().dtype == kind


def test_pickles_with_its_settings(made: dict[str, str], ranks: bytes) -> None:
    for data, said in ((made["LLaMA 3"].encode(), {"bos": False}), (ranks, {"pattern": "o200k_base"})):
        one = Encoder.load(data, settings=EncoderSettings(**said))  # type: ignore[arg-type]
        other = pickle.loads(pickle.dumps(one))
        assert other.encode_batch(["It's 12345 x"]) == one.encode_batch(["It's 12345 x"])
        assert (other.identity, other.sha256) == (one.identity, one.sha256)


def test_identity_is_that_of_the_ids(made: dict[str, str], ranks: bytes, model: bytes) -> None:
    def identity(data: bytes, **said: Any) -> str:
        return Encoder.load(data, settings=EncoderSettings(**said)).identity

    assert identity(model) == identity(model, bos=True, eos=True) == Encoder.load(model).sha256
    assert identity(model, bos=False) != identity(model)
    assert len({identity(ranks, pattern=pattern) for pattern in PATTERNS}) == len(PATTERNS)
    assert identity(ranks, fast="off") == identity(ranks)


def changed(text: str, **parts: Any) -> bytes:
    return json.dumps({**json.loads(text), **parts}).encode()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"normalizer": {"type": "Magic"}}, "normaliser Magic is not supported"),
        ({"pre_tokenizer": {"type": "Magic"}}, "pre-tokeniser Magic is not supported"),
        (
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "Odd"}]}},
            "pre-tokeniser Odd is not supported",
        ),
        ({"decoder": {"type": "Magic"}}, "decoder Magic is not supported"),
        ({"model": {"type": "Magic"}}, "model Magic cannot be read"),
        ({"model": None}, "no model"),
        ({"model": {"type": "BPE", "dropout": 0.1, "vocab": {}, "merges": []}}, "at random.*dropout is 0.1"),
        ({"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": []}, "empty vocabulary"),
    ],
)
def test_a_part_that_is_not_supported_is_named(made: dict[str, str], parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Encoder.load(changed(made["GPT-2"], **parts), settings=EncoderSettings())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [*lines[:300], *lines[301:]], "1 holes in its ranks, the first is 300"),
        (lambda lines: [*lines[:3], *lines[4:]], "lacks 1 of the 256 single bytes, the first is 0x03"),
        (lambda lines: [*lines, lines[-1]], "twice"),
        (lambda lines: [*lines, b"!!! 99999"], "is not a token in base64"),
        (lambda lines: [*lines, b"YWJjZGVmZ2hpag== x"], "is not a token in base64 and a rank"),
        (lambda lines: [*lines, b"YWJjZGVmZ2hpag== 99999999999"], "is not a token in base64 and a rank"),
    ],
)
def test_a_damaged_rank_file_is_one_line(
    ranks: bytes, damage: Callable[[list[bytes]], list[bytes]], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Encoder.load(b"\n".join(damage(ranks.splitlines())), settings=EncoderSettings())
    assert "\n" not in str(caught.value)


def test_a_hole_that_a_control_token_fills(ranks: bytes) -> None:
    lines = ranks.splitlines()
    data = b"\n".join([*lines[:300], *lines[301:]])
    one = Encoder.load(data, settings=EncoderSettings(special_tokens=(("<|endoftext|>", 300),)))
    assert (one.eos_id, one.vocab_size) == (300, len(lines))
    with pytest.raises(ValueError, match="the id 299, which is a rank already"):
        Encoder.load(data, settings=EncoderSettings(special_tokens=(("a", 300), ("b", 299))))


def test_a_word_that_no_merges_make_is_still_tiktokens(ranks: bytes) -> None:
    lines = [base64.b64decode(line.split()[0]) for line in ranks.splitlines()]
    data = rank_lines([*lines, b" qxqxqzv"])  # gigatoken does not take such a file
    texts = ["a qxqxqzv", " qxqxqzv qxqxqzvx", *TOPICS[:9]]
    for pattern in PATTERNS:
        assert encode(data, texts, pattern=pattern) == tiktoken_ids(data, PATTERNS[pattern], texts)


def test_a_pattern_that_is_none(ranks: bytes) -> None:
    with pytest.raises(ValueError, match="is no regular expression"):
        Encoder.load(ranks, settings=EncoderSettings(pattern="(?P<"))


def test_a_file_that_gives_control_tokens_for_text_is_refused(made: dict[str, str]) -> None:
    content = json.loads(made["GPT-2"])
    content["model"]["vocab"]["<|endoftext|>"] = 0
    content["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    content["model"]["ignore_merges"] = True  # the word <|endoftext|> is looked up whole
    one = Encoder.load(json.dumps(content).encode(), settings=EncoderSettings())
    with pytest.raises(ValueError, match="control token for text that spells one"):
        prove(one, [])


class Wrong:
    """Plays gigatoken. Returns wrong ids for one word."""

    name = "gigatoken 0"

    def __init__(self, right: Any) -> None:
        self._right = right

    def encode(self, texts: Any) -> Any:
        ids, counts = self._right.encode(texts)
        return np.where(np.repeat(["zyx" in t for t in texts.to_pylist()], counts), 5, ids), counts


def test_the_proof_finds_one_wrong_text_of_the_run(made: dict[str, str]) -> None:
    data = made["GPT-2"].encode()
    reference = Encoder.load(data, settings=EncoderSettings(fast="off"))
    one = Encoder.load(data, settings=EncoderSettings(fast="off"))
    one.codec._fast = Wrong(reference.codec)  # type: ignore[attr-defined]
    assert prove(one, ["some", "other texts"]) is None
    assert "text of this run that begins 'a zyx'" in str(prove(one, ["some", "a zyx"]))
    found, line = proven(one, ["a zyx"])
    assert not found.is_fast
    assert line.startswith("tokenizers")
    assert "because gigatoken 0 differs" in line
    assert found.encode("a zyx") == reference.encode("a zyx")


def test_our_own_encoder_that_is_wrong_stops_the_run(model: bytes) -> None:
    one = Encoder.load(model)
    wrong = Wrong(Encoder.load(model, fast="off").codec)
    wrong.name = "tokenizer.fast_bpe"
    one.codec._fast = wrong  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"differs from sentencepiece.*tokenizer\.fast: off"):
        proven(one, ["a zyx"])


@pytest.mark.train
def test_gigatoken_gives_equal_ids_and_is_restarted(json_text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gigatoken", reason="make test-train installs it")
    one = Encoder.load(json_text.encode(), settings=EncoderSettings())
    if "Unigram" in json_text:
        assert not one.is_fast  # gigatoken reads byte-level BPE and SentencePiece's BPE
        return
    assert one.is_fast
    monkeypatch.setattr(tokenizer.accelerator, "RESTART_BYTES", 10_000)
    loads: list[int] = []
    load = one.codec._fast._load  # type: ignore[attr-defined]
    monkeypatch.setattr(one.codec._fast, "_load", lambda: loads.append(1) or load())  # type: ignore[attr-defined]
    for text in TOPICS:
        assert one.encode(text) == library_ids(json_text, [text])[0]
    assert len(loads) > 10


def test_the_kinds_have_their_names(made: dict[str, str], ranks: bytes) -> None:
    named = EncoderSettings()
    assert Encoder.load(made["GPT-2"].encode(), settings=named).file_name == JSON
    assert Encoder.load(b" \n" + made["GPT-2"].encode(), settings=named).file_name == JSON
    assert Encoder.load(ranks, settings=named).file_name == RANKS
