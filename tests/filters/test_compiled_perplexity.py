"""Tests that compiled loops give exactly the perplexities of the packages SentencePiece and KenLM, for any text.

``four.arpa.bin`` and ``two.arpa.bin`` are 4-grams and 2-grams of the first essays of the sample, made with ``lmplz
--discount_fallback`` and ``build_binary``. The hash tables of the 2-grams are almost full (``-p 1.001``).
"""

from __future__ import annotations

import io
import random
import shutil
import struct
from pathlib import Path

import kenlm
import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from filters.ccnet.compiled_perplexity import CompiledPerplexityModel
from filters.ccnet.kenlm_tables import open_tables, words_in
from filters.ccnet.one_pass import OnePassNormalizer
from filters.ccnet.perplexity import Cutoffs, PerplexityModel, normalize
from pipeline.models.compiled_scorer import compiled_scorer
from pipeline.models.find import find_models
from pipeline.models.load import load, loaded_models
from pipeline.sources.common_crawl import Perplexity

CASES = Path(__file__).parents[1] / "cases" / "perplexity"
SAMPLE = Path(__file__).parents[2] / "samples" / "models"
ESSAYS = (SAMPLE.parent / "material" / "web" / "essays" / "essays.txt").read_text("utf-8")
CHARS = (
    "aeinorst ETA.,\n\t0123456789٣４'\"“”‘’«»—–…-•·©®™½№éÉüßæøñçŁžåäΣσςΑβЖйёІ漢字かがパヷﾊﾟ한국어각สवักि عربي"
    "\u00a0\u2003\u3000\u2028\u200b\u200d\ufeff\u0301\u0308\u0327\u1680\u0085\x1f\x00▁ﬁﷺ😀👍🏽🇩🇪\U00020000"
)


def scorer(lm: str | Path, pieces: bytes | None = None) -> PerplexityModel:
    proto = (SAMPLE / "en.sp.model").read_bytes() if pieces is None else pieces
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    return PerplexityModel(processor, kenlm.Model(str(lm)), Cutoffs(300, 600))


@pytest.fixture(scope="module", params=["four", "two"])
def forms(request: pytest.FixtureRequest) -> tuple[PerplexityModel, PerplexityModel]:
    model = scorer(CASES / f"{request.param}.arpa.bin")
    compiled = compiled_scorer(model)
    assert isinstance(compiled, CompiledPerplexityModel)
    return model, compiled


Forms = tuple[PerplexityModel, PerplexityModel]


@given(text=st.text(st.sampled_from(CHARS), max_size=60) | st.text(max_size=40))
def test_every_text_has_the_same_perplexity(forms: Forms, text: str) -> None:
    model, compiled = forms
    assert compiled.perplexity(text) == model.perplexity(text)


@given(seed=st.integers(0, 2**32), num_words=st.integers(1, 200), share=st.sampled_from([0.0, 0.02, 0.3]))
def test_texts_of_words_have_the_same_perplexity(forms: Forms, seed: int, num_words: int, share: float) -> None:
    model, compiled = forms
    drawn, words = random.Random(seed), ESSAYS.split()
    first = drawn.randrange(len(words) - num_words)
    text = "".join(drawn.choice(CHARS) if drawn.random() < share else c for c in " ".join(words[first:][:num_words]))
    assert compiled.perplexity(text) == model.perplexity(text)


def test_known_scores(forms: Forms) -> None:
    _, compiled = forms
    is_four = len(compiled.ngrams.firsts) == 5  # type: ignore[attr-defined]
    found = [compiled.perplexity(text) for text in ("", " \n\u00a0", "The lobster is red.", "zzzz 漢字 zzzz")]
    assert found == KNOWN["four" if is_four else "two"]


KNOWN = {"four": [None, None, 172.7, 1272.7], "two": [None, None, 176.2, 1302.2]}


@pytest.mark.parametrize("text", [
    "word " * 60_000,  # SentencePiece subtracts from its sums when they become large
    "漢" * 50_000,  # one unknown piece
    "a\u0301" * 5000,
    "é" * 5000,
    "x" * 100_000,
    " ".join(chr(code) for code in range(0x20, 0x3000) if not 0xD800 <= code < 0xE000),
    "".join(f"a{chr(code)}" for code in range(0x3000, 0x20000) if not 0xD800 <= code < 0xE000),
])  # fmt: skip
def test_long_and_strange_texts_have_the_same_perplexity(forms: Forms, text: str) -> None:
    model, compiled = forms
    assert compiled.perplexity(text) == model.perplexity(text)


def test_every_character_has_its_normal_form() -> None:
    """Compares the table with the two normalisers, for every character alone, doubled, and between others."""
    normalizer, pieces = NORMALIZER, NORMALIZER._pieces
    texts = [
        form
        for code in range(0x30000)
        if not 0xD800 <= code < 0xE000
        for c in [chr(code)]
        for form in (f"x{c}{c} {c}e", c)
    ]
    wrong = [
        text
        for text in texts
        if bytes(normalizer.normalize(text)) != pieces.normalize(normalize(text).encode()).replace("▁".encode(), b" ")
    ]
    assert not wrong


@given(text=st.text(st.sampled_from(CHARS), max_size=80) | st.text(max_size=60))
def test_the_normal_form_of_a_text_is_that_of_both_normalizers(text: str) -> None:
    normalizer = NORMALIZER
    expected = normalizer._pieces.normalize(normalize(text).encode()).replace("▁".encode(), b" ")
    assert bytes(normalizer.normalize(text)) == expected


NORMALIZER = OnePassNormalizer(sentencepiece.SentencePieceProcessor(model_file=str(SAMPLE / "en.sp.model")))


def test_words_have_the_numbers_that_kenlm_gives_them() -> None:
    tables = open_tables(str(CASES / "four.arpa.bin"))
    assert tables is not None
    lm = kenlm.Model(str(CASES / "four.arpa.bin"))
    words = ["▁the", "a", "<unk>", "<s>", "</s>", "no-such-word", "", "▁"]
    found = words_in(tables, [word.encode() for word in words])
    assert [number > 0 for number in found.tolist()] == [word in lm for word in words]
    assert (tables.begin, tables.end) == (found[3], found[4])


def test_other_models_are_scored_by_the_packages(tmp_path: Path) -> None:
    arpa = Path(__file__).parents[1] / "cases" / "common_crawl" / "tiny.arpa"
    for lm in (SAMPLE / "en.arpa.bin", arpa):  # a trie, and a text file
        model = scorer(lm)
        assert open_tables(str(lm)) is None
        assert compiled_scorer(model) is model
    whole = (CASES / "two.arpa.bin").read_bytes()
    for name, content in {"cut": whole[:20_000], "other": whole[:88] + struct.pack("<B", 40) + whole[89:]}.items():
        (tmp_path / name).write_bytes(content)
        assert open_tables(str(tmp_path / name)) is None


@pytest.mark.parametrize("options", [
    {"model_type": "bpe"}, {"byte_fallback": True}, {"user_defined_symbols": ["lobster"]}, {"add_dummy_prefix": False},
    {"remove_extra_whitespaces": False}, {"treat_whitespace_as_suffix": True},
    {"normalization_rule_tsv": "rules.tsv"},
])  # fmt: skip
def test_other_pieces_are_split_by_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rules.tsv").write_text("61 62\t78\n")
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(ESSAYS.splitlines()[:200]), model_writer=made, minloglevel=2,
        **{"vocab_size": 400, "model_type": "unigram", "hard_vocab_limit": False, **options},
    )  # fmt: skip
    model = scorer(CASES / "two.arpa.bin", made.getvalue())
    assert compiled_scorer(model) is model


def test_a_run_gets_the_form_that_it_asks_for(tmp_path: Path) -> None:
    for name in ("cutoff.csv", "en.sp.model"):
        shutil.copy(SAMPLE / name, tmp_path)
    shutil.copy(CASES / "four.arpa.bin", tmp_path / "en.arpa.bin")
    paths = find_models(str(tmp_path))
    plain, compiled = (
        loaded_models([Perplexity()], paths, is_compiled=is_compiled)["perplexity"]["en"]
        for is_compiled in (False, True)
    )
    assert [type(plain), type(compiled)] == [PerplexityModel, CompiledPerplexityModel]
    assert load("perplexity", paths["perplexity"])["en"] is plain
    assert loaded_models([Perplexity()], paths, is_compiled=True)["perplexity"]["en"] is compiled
    text = ESSAYS[:3000]
    assert compiled.perplexity(text) == plain.perplexity(text)
    assert np.shares_memory(compiled.ngrams.numbers, compiled.ngrams.floats)
