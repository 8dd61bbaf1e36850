"""Tests that compiled loops give exactly the perplexities of the packages SentencePiece and KenLM, for any text.

``four.arpa.bin`` and ``two.arpa.bin`` are 4-grams and 2-grams of the first essays of the sample, made with ``lmplz
--discount_fallback`` and ``build_binary``. The hash tables of the 2-grams are almost full (``-p 1.001``).
"""

from __future__ import annotations

import functools
import io
import random
import shutil
import struct
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kenlm
import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from filters.ccnet.charsmap import continuations
from filters.ccnet.compiled_perplexity import CompiledPerplexityModel
from filters.ccnet.kenlm_tables import open_tables, words_in
from filters.ccnet.one_pass import OnePassNormalizer
from filters.ccnet.perplexity import Cutoffs, PerplexityModel, normalize
from pipeline.models.compiled_scorer import compiled_scorer
from pipeline.models.find import find_models
from pipeline.models.load import load, loaded_models
from pipeline.sources.common_crawl import Perplexity
from tokenizer.model_file import NORMAL, UNUSED, parse

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
    "word " * 60_000,
    "".join(random.Random(0).choices("aeiotnsrhdl ", k=250_000)),  # SentencePiece subtracts from sums this large
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


def trained(**options: object) -> bytes:
    """Returns a small SentencePiece model of the essays."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*ESSAYS.splitlines()[:200], *KOREAN]), model_writer=made, minloglevel=2,
        **{"vocab_size": 400, "model_type": "unigram", "hard_vocab_limit": False, **options},
    )  # fmt: skip
    return made.getvalue()


KOREAN = ["한국어 사전 하나 가", "ㄱㅏ ㅎㅏ 하 오 가오 ㅇㅗ"] * 10


@functools.cache
def normalizer_of(rule: str) -> OnePassNormalizer:
    proto = trained(normalization_rule_name=rule)
    return OnePassNormalizer(sentencepiece.SentencePieceProcessor(model_proto=proto), parse(proto).charsmap)


def by_both(normalizer: OnePassNormalizer, text: str) -> bytes:
    normalized: bytes = normalizer._pieces.normalize(normalize(text).encode())
    return normalized.replace("▁".encode(), b" ")


RULES = ["nmt_nfkc", "nmt_nfkc_cf", "nfkc", "nfkc_cf", "identity"]
SOME_SLOW = [pytest.param(rule, marks=[] if rule == "nmt_nfkc" else pytest.mark.slow) for rule in RULES]


@pytest.mark.parametrize("rule", SOME_SLOW)
def test_every_character_has_its_normal_form(rule: str) -> None:
    """Compares the table with the two normalisers, for every character alone, doubled, and between others."""
    normalizer = normalizer_of(rule)
    codes = (code for code in range(0x30000) if not 0xD800 <= code < 0xE000)
    texts = [form for char in map(chr, codes) for form in (f"x{char}{char} {char}e", char)]
    assert not [text for text in texts if bytes(normalizer.normalize(text)) != by_both(normalizer, text)]


@pytest.mark.parametrize("rule", RULES)
@given(text=st.text(st.sampled_from(CHARS), max_size=80) | st.text(max_size=60))
def test_the_normal_form_of_a_text_is_that_of_both_normalizers(rule: str, text: str) -> None:
    normalizer = normalizer_of(rule)
    assert bytes(normalizer.normalize(text)) == by_both(normalizer, text)


def test_no_two_characters_of_the_table_are_joined() -> None:
    """Tries every character that is joined to another one behind every kind of character, and pairs of Hangul parts."""
    normalizer = normalizer_of("nfkc")
    joined = sorted(continuations(parse(trained(normalization_rule_name="nfkc")).charsmap))
    assert {"\u0301", "\u1161", "\u11a8", "ㅏ", "ﾞ"} <= {*joined}
    assert not {"a", "é", "ᄀ", "か", "1"} & {*joined}, "these are only the first of such rules"
    hangul = [chr(code) for code in (*range(0x1100, 0x1200), *range(0x3131, 0x318F), *range(0xFFA0, 0xFFDD))]
    texts = [f"{a}{b}" for a in ["a", "é", "ㅎ", "カ", "ﾊ", "α", "й", "가", "한", "ﬁ", " "] for b in joined]
    texts += [f"{a}{b}" for a in hangul for b in hangul]
    assert not [text for text in texts if bytes(normalizer.normalize(text)) != by_both(normalizer, text)]


@pytest.mark.parametrize("rule", RULES)
def test_marks_that_change_places_are_left_to_the_normalizers(rule: str) -> None:
    normalizer, text = normalizer_of(rule), "x\U0001d16d\U0001d165y"  # two marks that no rule deletes
    assert unicodedata.normalize("NFD", text) != text
    assert bytes(normalizer.normalize(text)) == by_both(normalizer, text)


@pytest.mark.parametrize("rule", RULES)
def test_models_with_other_rules_give_the_same_perplexity(rule: str) -> None:
    model = scorer(CASES / "two.arpa.bin", trained(normalization_rule_name=rule))
    compiled = compiled_scorer(model)
    assert isinstance(compiled, CompiledPerplexityModel)
    for text in (*KOREAN[:2], "a\u00a0b", "x\u2003y\u3000z", "ﬁne ①²", ESSAYS[:2000], "ㅎㅏ ㄱㅏ ㅇㅗ"):
        assert compiled.perplexity(text) == model.perplexity(text), text


def test_rules_of_users_are_kept_whatever_their_name_is() -> None:
    rules = sentencepiece.SentencePieceNormalizer(norm_map=[("ab", "x"), ("th", "q"), ("w", "  ")])
    proto = trained(normalizer=rules)
    assert {"b", "h"} <= continuations(parse(proto).charsmap)
    model = scorer(CASES / "two.arpa.bin", proto)
    compiled = compiled_scorer(model)
    for text in ("table above the", "ab", "w a w", "aw", ESSAYS[:2000]):
        assert compiled.perplexity(text) == model.perplexity(text), text


def test_a_damaged_charsmap_is_refused() -> None:
    whole = parse(trained()).charsmap
    cycle = struct.pack("<I", 1024) + struct.pack("<I", 1 << 10 | 1 << 9) * 256
    for charsmap in (b"\1", whole[:1000], struct.pack("<I", 3) + bytes(8)):
        with pytest.raises(ValueError, match="precompiled_charsmap is damaged"):
            continuations(charsmap)
    assert isinstance(continuations(cycle), frozenset)  # ends
    assert continuations(b"") == frozenset()


def piece(text: bytes, kind: int, score: float = -0.5) -> bytes:
    """Returns a piece as an additional field of a serialized model."""
    inner = b"\x0a" + bytes((len(text),)) + text + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes((kind,))
    return b"\x0a" + bytes((len(inner),)) + inner


def test_unused_pieces_are_not_used() -> None:
    proto = (SAMPLE / "en.sp.model").read_bytes() + piece("▁lobster▁is".encode(), UNUSED)
    model = scorer(CASES / "four.arpa.bin", proto)
    compiled = compiled_scorer(model)
    assert isinstance(compiled, CompiledPerplexityModel)
    text = "the lobster is red and the lobster is blue"
    used = scorer(CASES / "four.arpa.bin", proto[:-1] + bytes((NORMAL,)))
    assert compiled.perplexity(text) == model.perplexity(text) != used.perplexity(text)
    assert compiled_scorer(used).perplexity(text) == used.perplexity(text)


def test_of_two_equal_ways_the_one_that_was_found_first_is_taken() -> None:
    more = [piece(text.encode(), NORMAL, score) for text, score in (("ǁ", -1.0), ("ǂ", -1.0), ("ǁǂ", -2.0))]
    model = scorer(CASES / "four.arpa.bin", (SAMPLE / "en.sp.model").read_bytes() + b"".join(more))
    compiled = compiled_scorer(model)
    assert isinstance(compiled, CompiledPerplexityModel)
    assert model.pieces.encode("ǁǂ", out_type=str) == ["▁", "ǁǂ"]
    for text in ("ǁǂ", "ǁ ǂ", "the ǁǂǁǂ is ǂǁǂ"):
        assert compiled.perplexity(text) == model.perplexity(text), text


@pytest.mark.parametrize("more", [
    piece(b"\xff\xfe", NORMAL), piece(b"a b", NORMAL), piece(b"a\x01", NORMAL), b"\x1a\x02\x28\x00",
], ids=["not UTF-8", "space", "control character", "spaces are not escaped"])  # fmt: skip
def test_strange_pieces_are_left_to_the_package(more: bytes) -> None:
    model = scorer(CASES / "two.arpa.bin", (SAMPLE / "en.sp.model").read_bytes() + more)
    assert compiled_scorer(model) is model


def test_a_file_that_was_replaced_is_left_to_the_package(tmp_path: Path) -> None:
    path = tmp_path / "en.arpa.bin"
    shutil.copy(CASES / "four.arpa.bin", path)
    model = scorer(path)
    assert isinstance(compiled_scorer(model), CompiledPerplexityModel)
    path.unlink()
    assert compiled_scorer(model) is model
    shutil.copy(CASES / "two.arpa.bin", path)
    assert compiled_scorer(model) is model


def test_threads_share_a_model(forms: Forms) -> None:
    model, _ = forms
    compiled = compiled_scorer(model)
    texts = [ESSAYS[at : at + 300] + CHARS[at % 90 :] for at in range(0, 20_000, 300)]
    expected = [model.perplexity(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(compiled.perplexity, texts)) == expected


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
    number_of_a_word = 8 * 17 + 8  # behind the header of 2-grams and that of the vocabulary
    changed = {
        "cut": whole[:20_000],
        "order": whole[:88] + struct.pack("<B", 40) + whole[89:],
        "kind": whole[:96] + struct.pack("<I", 1) + whole[100:],
        "version": whole[:104] + struct.pack("<I", 1) + whole[108:],
        "other machine": whole[:56] + bytes(4) * 2 + whole[64:],
        "word": whole[:number_of_a_word] + b"\xff" * 12 * 20 + whole[number_of_a_word + 12 * 20 :],
    }
    for name, content in changed.items():
        (tmp_path / name).write_bytes(content)
        assert open_tables(str(tmp_path / name)) is None, name
    assert open_tables(str(tmp_path / "none")) is None


@pytest.mark.parametrize("options", [
    {"model_type": "bpe"}, {"byte_fallback": True}, {"user_defined_symbols": ["lobster"]}, {"add_dummy_prefix": False},
    {"remove_extra_whitespaces": False}, {"treat_whitespace_as_suffix": True},
])  # fmt: skip
def test_other_pieces_are_split_by_the_package(options: dict[str, object]) -> None:
    model = scorer(CASES / "two.arpa.bin", trained(**options))
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
