"""Tests that the ids are the same as SentencePiece's, for every text and every model."""

from __future__ import annotations

import json
import pickle
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tokenizer.fast_bpe
from tokenizer.encode import Encoder
from tokenizer.merges import Merger, num_symbols
from tokenizer.model_file import parse

CASES = json.loads((Path(__file__).parents[1] / "cases/tokenizer/texts.json").read_text(encoding="utf-8"))
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
WORDS = st.lists(
    st.sampled_from(
        ["the", "class", "Class", " ", "  ", "\n", "\t", "é", "12", "9", "...", "self.x", "<s>", "</s>", "<0x0A>", "▁",
         "好", "\x00", "😀", "object", "a" * 40, "==", "ing"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


def reference_ids(model: bytes, texts: Sequence[str]) -> list[list[int]]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.encode(text) for text in texts]


@pytest.fixture(params=["merged by SentencePiece", "merged by us", "small windows"])
def encoder(request: pytest.FixtureRequest, model: bytes, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """Returns the fast encoder without bos and eos, in each of its modes."""
    if request.param != "merged by SentencePiece":
        monkeypatch.setattr(tokenizer.fast_bpe, "_MIN_MERGER_PARTS", 0)
    if request.param == "small windows":
        monkeypatch.setattr(tokenizer.fast_bpe, "_WINDOW_BYTES", 16)
    made = Encoder.load(model, bos=False, eos=False)
    assert made.is_fast
    return made


@pytest.mark.parametrize("name", CASES)
def test_case_has_the_reference_ids(encoder: Encoder, model: bytes, name: str) -> None:
    texts = [CASES[name]]
    for _ in range(2):  # the second time from the cache
        assert encoder.encode_batch(texts).to_pylist() == reference_ids(model, texts)


def test_all_cases_in_one_batch(encoder: Encoder, model: bytes) -> None:
    texts = [*CASES.values(), *reversed(CASES.values()), "", ""]
    assert encoder.encode_batch(texts).to_pylist() == reference_ids(model, texts)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.one_of(ANY_TEXT, WORDS), max_size=6))
def test_any_text_has_the_reference_ids(encoder: Encoder, model: bytes, texts: list[str]) -> None:
    assert encoder.encode_batch(texts).to_pylist() == reference_ids(model, texts)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.one_of(ANY_TEXT, WORDS), max_size=4))
def test_other_places_to_cut(odd_fast_model: bytes, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer.fast_bpe, "_MIN_MERGER_PARTS", 0)
    made = Encoder.load(odd_fast_model, bos=False, eos=False)
    assert made.is_fast
    assert made.encode_batch(texts).to_pylist() == reference_ids(odd_fast_model, texts)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.one_of(ANY_TEXT, WORDS, st.text(" a\n", max_size=60)), max_size=4))
def test_pieces_of_equal_score(tied_model: bytes, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer.fast_bpe, "_MIN_MERGER_PARTS", 0)
    made = Encoder.load(tied_model, bos=False, eos=False)
    assert made.is_fast
    texts = [*texts, *CASES.values()]
    assert made.encode_batch(texts).to_pylist() == reference_ids(tied_model, texts)


@pytest.mark.parametrize("min_merger_parts", [0, 10**9])
def test_every_code_point(model: bytes, monkeypatch: pytest.MonkeyPatch, min_merger_parts: int) -> None:
    monkeypatch.setattr(tokenizer.fast_bpe, "_MIN_MERGER_PARTS", min_merger_parts)
    monkeypatch.setattr(tokenizer.fast_bpe, "_WINDOW_BYTES", 100_000)
    made = Encoder.load(model, bos=False, eos=False)
    chars = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    chars = chars[:0x3000] + chars[0x3000::7]
    texts = ["".join(chars[i : i + 500]) for i in range(0, len(chars), 500)]
    texts += [" ".join(chars[i : i + 500]) for i in range(0, 0x800, 500)]
    assert made.encode_batch(texts).to_pylist() == reference_ids(model, texts)


def test_models_that_are_not_covered_are_the_reference(other_model: bytes) -> None:
    made = Encoder.load(other_model, bos=False, eos=False)
    assert not made.is_fast
    texts = list(CASES.values())
    assert made.encode_batch(texts).to_pylist() == reference_ids(other_model, texts)


def test_a_vocabulary_of_more_symbols_than_can_be_numbered_is_the_reference(
    model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [p.text for p in parse(model).pieces if p.kind == 1]
    limit = num_symbols(pieces)
    assert len(Merger(dict.fromkeys(pieces, 0.0)).symbols) + 2 == limit
    texts = list(CASES.values())
    for max_symbols, is_fast in ((limit, True), (limit - 1, False)):
        monkeypatch.setattr(tokenizer.fast_bpe, "MAX_SYMBOLS", max_symbols)
        made = Encoder.load(model, bos=False, eos=False)
        assert made.is_fast is is_fast
        assert made.encode_batch(texts).to_pylist() == reference_ids(model, texts)


def test_the_cache_keeps_its_size_and_its_answers(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenizer.id_cache._SLOTS_BITS", 6)  # 64 slots: nearly every part pushes another out
    made = Encoder.load(model, bos=False, eos=False)
    generator = random.Random(7)
    words = [
        "".join(generator.choices("abcdefghij éß好.,<>0123456789_", k=generator.randint(1, 40))) for _ in range(900)
    ]
    for begin in range(0, 900, 30):
        texts = [" ".join(generator.choices(words[begin : begin + 60], k=40)) for _ in range(8)]
        assert made.encode_batch(texts).to_pylist() == reference_ids(model, texts)


def test_bos_and_eos(model: bytes) -> None:
    texts = ["a text", "", "</s> spelled <s>"]
    bare = reference_ids(model, texts)
    for bos in (False, True):
        for eos in (False, True):
            ids = Encoder.load(model, bos=bos, eos=eos).encode_batch(texts)
            assert ids.type == pa.list_(pa.uint16())
            assert ids.to_pylist() == [[1] * bos + one + [2] * eos for one in bare]
    assert not {1, 2} & {i for one in bare for i in one}


def test_columns_are_taken_as_lists_are(model: bytes) -> None:
    made, texts = Encoder.load(model), ["one", "zwei", "", "好"]
    expected = made.encode_batch(texts)
    column = pa.array(["before", *texts, "after"])
    assert made.encode_batch(column.slice(1, 4)) == expected
    assert made.encode_batch(column.cast(pa.large_string()).slice(1, 4)) == expected
    assert made.encode_batch(pa.chunked_array([texts[:1], texts[1:]])) == expected
    assert made.encode_batch(tuple(texts)) == expected
    assert made.encode_batch(pa.array([], pa.string())).to_pylist() == []


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["fine", "a \ud800 b"], "text 1 of the batch holds a lone surrogate"),
        (["fine", None], "text 1 of the batch is null"),
        (pa.array(["fine", None, "x"]), "text 1 of the batch is null"),
        (pa.array([1, 2]), "not of int64"),
        (["fine", 7], "text 1 of the batch is not text"),
        (pa.array([b"fine", b"\xff\xfe"]).view(pa.string()), "not UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(model: bytes, texts: Sequence[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Encoder.load(model).encode_batch(texts)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"\x00\x01\x02", b"not a model at all", b"\x0a\x03\x0a\x01\xff"):
        path = tmp_path / "x.model"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"x\.model.*not a SentencePiece model"):
            Encoder.load(path)
    path.write_bytes(b'{"model": {"type": "BPE"}}')
    with pytest.raises(ValueError, match=r"x\.model: the tokenizer's model BPE cannot be read"):
        Encoder.load(path)
    with pytest.raises(ValueError, match="No such file"):
        Encoder.load(tmp_path / "absent.model")


def test_a_model_without_bos_says_so(topics: list[str]) -> None:
    import io

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter("\n".join(topics[:9]).split("\n")), model_writer=out, vocab_size=200, bos_id=-1,
        minloglevel=2,
    )  # fmt: skip
    with pytest.raises(ValueError, match="no bos piece: switch bos off"):
        Encoder.load(out.getvalue())
    assert Encoder.load(out.getvalue(), bos=False).bos_id == -1


def test_pickles_as_its_model(model: bytes) -> None:
    made = Encoder.load(model, bos=False)
    data = pickle.dumps(made)
    assert len(data) < len(model) + 1000
    again = pickle.loads(data)
    assert again.encode_batch(["a b"]) == made.encode_batch(["a b"])
    assert (again.sha256, again.vocab_size, again.dtype) == (made.sha256, 2000, np.dtype(np.uint16))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.one_of(ANY_TEXT, WORDS), max_size=4))
def test_decode_gives_the_text_back(encoder: Encoder, texts: list[str]) -> None:
    for text, ids in zip(texts, encoder.encode_batch(texts), strict=True):
        assert encoder.decode(ids.values.to_numpy()) == text.replace("▁", " ")


@pytest.mark.slow
def test_a_long_document_costs_no_more_a_byte(model: bytes, topics: list[str]) -> None:
    made = Encoder.load(model, bos=False, eos=False)
    made.encode_batch(topics)
    text = "\n".join(topics)

    def seconds(texts: list[str]) -> float:
        begin = time.process_time()
        made.encode_batch(texts)
        return time.process_time() - begin

    short = min(seconds([text[i : i + 5_000] for i in range(0, len(text), 5_000)] * 40) for _ in range(3))
    long = min(seconds([text * 40]) for _ in range(3))
    assert long < 2 * short


@pytest.mark.slow
@pytest.mark.real
def test_real_text_in_every_language(corpus_data: Path, model: bytes) -> None:
    import zipfile

    made, num_docs = Encoder.load(model, bos=False, eos=False), 0
    with zipfile.ZipFile(next(corpus_data.rglob("udhr2.zip"))) as archive:
        texts = [archive.read(n).decode("utf-8", "replace") for n in archive.namelist() if n.endswith(".txt")]
    for path in sorted(corpus_data.glob("books/*/*.txt"))[:3]:
        texts.append(path.read_bytes().decode("utf-8", "replace")[:300_000])
    for begin in range(0, len(texts), 50):
        batch = texts[begin : begin + 50]
        assert made.encode_batch(batch).to_pylist() == reference_ids(model, batch)
        num_docs += len(batch)
    assert num_docs > 300
