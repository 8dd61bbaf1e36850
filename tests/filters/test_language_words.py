"""Tests that the fast language detection, by sums over words, gives fastText's answers. Neither the text nor its
neighbours in the batch change this.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.language.compiled_sums import CompiledWordSums
from filters.language.detect import LanguageModel
from filters.language.word_sums import WordSums
from pipeline.models.fasttext_file import read_pruned_model
from pipeline.models.find import find_models
from pipeline.models.load import load
from pipeline.sources.formats.warc_pages import read_wet
from pipeline.sources.source import Rejected

CASES = Path(__file__).parents[1] / "cases/common_crawl"
SENTENCES: list[tuple[str, str]] = json.loads((CASES / "languages.json").read_text("utf-8"))
SEPARATORS = " \n\r\t\v\f\0"
NO_SEPARATORS = "\x1c\x1d\x1e\x1f\x85\xa0\u2028\u3000"
"""Characters that are spaces or line ends for Python, but letters for fastText."""


class Counted:
    """Wraps a fastText model, and counts its calls."""

    def __init__(self, model: Any) -> None:
        self.model, self.f, self.num_asked = model, self, 0

    def predict(self, *given: Any) -> Any:
        self.num_asked += 1
        return self.model.f.predict(*given)


@pytest.fixture(scope="module")
def packed() -> Any:
    """Returns the model ``lid.176.ftz``."""
    return fasttext.load_model(str(find_models(None)["language"]))


@pytest.fixture(scope="module", params=[WordSums, CompiledWordSums])
def sums(packed: Any, request: pytest.FixtureRequest) -> WordSums:
    parts = read_pruned_model(str(find_models(None)["language"]), packed)
    assert parts
    made: WordSums = request.param(parts)
    return made


def both(model: Any, sums: WordSums) -> tuple[LanguageModel, Counted]:
    counted = Counted(model)
    language = LanguageModel(counted, sums.model)
    return language.compiled if isinstance(sums, CompiledWordSums) else language, counted


def to_two_decimals(least: Any, most: Any) -> Any:
    return np.round(least, 2) == np.round(most, 2)


def agree(model: Any, sums: WordSums, texts: list[str], line_end: str = "") -> int:
    """Fails if a text gets another language than from fastText, or a score that differs in the first two decimals.
    Returns the number of texts that were left to fastText.
    """
    ours, counted = both(model, sums)
    languages, scores = ours.top_all(pa.array(texts, pa.string()), to_two_decimals, line_end)
    theirs = [LanguageModel(model).top(text, line_end) for text in texts]
    assert languages == [language for language, _ in theirs]
    assert np.round(scores, 2).tolist() == np.round([score for _, score in theirs], 2).tolist()
    return counted.num_asked


words = st.text(st.characters(exclude_characters=SEPARATORS, exclude_categories=["Cs"]), min_size=1, max_size=12)
texts = st.lists(st.one_of(words, st.sampled_from([*SEPARATORS, *NO_SEPARATORS, "</s>", "__label__en", "the"]))).map(
    lambda parts: "".join(part if part in SEPARATORS else part + " " for part in parts).removesuffix(" ")
)


@settings(max_examples=200, deadline=None)
@given(st.lists(words, min_size=1, max_size=20))
@example([word for _, text in SENTENCES for word in text.split()])
@example(["<", ">", "<>", "a", "é", "日", "😀", "\u0301", "</s", "x" * 300])
def test_a_words_rows_are_fasttexts(packed: Any, sums: WordSums, given_words: list[str]) -> None:
    total, num_rows = sums._sum_words(pa.array(given_words, pa.string()))
    for number, word in enumerate(given_words):
        rows = packed.get_subwords(word)[1]
        assert num_rows[number] == len(rows)
        assert total[:, number] == pytest.approx(sum((packed.get_input_vector(row) for row in rows), np.zeros(16)))


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=6))
@example(["", " ", "\n", "\0", "a\0b", "a\x1cb c\u3000d"])
@example(["the sea </s> und das Meer", "__label__en und das Meer", "__label__de", "</s>"])
def test_any_texts_have_fasttexts_answer(packed: Any, sums: WordSums, given_texts: list[str]) -> None:
    agree(packed, sums, given_texts)


@pytest.mark.parametrize("line_end", ["", " "])
def test_languages_are_told_as_fasttext_tells_them(packed: Any, sums: WordSums, line_end: str) -> None:
    """Also tests mixed texts. Their scores are low, and a second language has nearly the same score."""
    rng = random.Random(0)
    mixed = [" ".join(rng.choices([text for _, text in SENTENCES], k=rng.randint(1, 6))) for _ in range(400)]
    agree(packed, sums, [text for _, text in SENTENCES] + mixed, line_end)
    assert [LanguageModel(packed).top(text)[0] for _, text in SENTENCES] == [language for language, _ in SENTENCES]


@pytest.mark.parametrize("times", [1, 30, 1000, 30_000])
def test_a_float32_sum_of_one_word_over_and_over_is_fasttexts(packed: Any, sums: WordSums, times: int) -> None:
    """If a text repeats one word, all rounding errors of fastText's sum have the same direction. Our bound of the error
    includes this case.
    """
    rng = random.Random(times)
    all_words = [word for _, text in SENTENCES for word in text.split()]
    repeated = [" ".join(rng.choices(all_words, k=rng.choice([1, 1, 2, 5]))) + " " for _ in range(40)]
    given_texts = [text * times for text in repeated]
    agree(packed, sums, given_texts)
    guesses = sums.guess(pa.array(given_texts))
    theirs = np.array([LanguageModel(packed).top(text)[1] for text in given_texts])
    assert (np.abs(guesses.probabilities - theirs) <= guesses.errors).all()


def test_two_languages_as_likely_as_each_other_are_left_to_fasttext(packed: Any, sums: WordSums) -> None:
    """If two languages are equally likely, the rounding error of fastText's sum decides which one comes first. So such
    a text is left to fastText.
    """
    text = {language: text.replace("\n", " ") for language, text in SENTENCES}
    mixed = [f"{text['en']} " * 1000 + f"{text['pt']} " * (540 + number) for number in range(30)]
    guesses = sums.guess(pa.array(mixed))
    found = [LanguageModel(packed).predict(text, k=2)[1] for text in mixed]
    margins = [first - second for first, second in found]
    nearest = margins.index(min(margins))
    assert margins[nearest] < 0.002
    assert np.isinf(guesses.errors[nearest])
    assert not np.isinf(guesses.errors).all()


@pytest.mark.parametrize(
    "text",
    [
        "„Krisen " * 11627 + "and " * 122,
        "and " * 862 + "„Goat gell? " * 22757,
        "the " * 520 + "„Goat gell? " * 19701,
        *(f"{word} " * 40_000 for word in ("„Krisen", "„Kino", "理论达人", "„Goat gell?")),
        "理论达人" * 3000,
    ],
    ids=lambda text: text[:8] + str(len(text)),
)
def test_a_sum_that_fasttext_is_far_off_at(packed: Any, sums: WordSums, text: str) -> None:
    """The texts repeat words for which fastText's sum has the largest errors. Such errors matter most if two languages
    have nearly the same score.
    """
    agree(packed, sums, [text])
    guesses = sums.guess(pa.array([text]))
    assert np.abs(guesses.probabilities[0] - LanguageModel(packed).top(text)[1]) <= guesses.errors[0]


def test_a_word_of_many_ngrams_is_left_to_fasttext(packed: Any, sums: WordSums) -> None:
    guesses = sums.guess(pa.array(["и" * 300, "и и", "the sea " + "и" * 300]))
    assert np.isinf(guesses.errors).tolist() == [True, False, True]


def test_a_batch_of_many_words_is_cut_without_a_seam(
    packed: Any, sums: WordSums, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_texts = [text for _, text in SENTENCES] * 7
    whole = sums.guess(pa.array(given_texts))
    monkeypatch.setattr("filters.language.word_sums._WORDS_AT_ONCE", 7)
    monkeypatch.setattr("filters.language.word_sums._TEXTS_AT_ONCE", 3)
    cut = sums.guess(pa.array(given_texts))
    assert cut.labels == whole.labels
    assert cut.probabilities == pytest.approx(whole.probabilities, abs=1e-12)
    sliced = sums.guess(pa.array(["another", *given_texts, ""]).slice(1, len(given_texts)))
    assert sliced.probabilities == pytest.approx(whole.probabilities, abs=1e-12)


def test_fasttext_is_asked_of_few_texts(packed: Any, sums: WordSums) -> None:
    given_texts = [text for _, text in SENTENCES]
    assert agree(packed, sums, given_texts) < len(given_texts) / 4


def test_without_a_difference_to_make_fasttext_is_asked_of_none(packed: Any, sums: WordSums) -> None:
    ours, counted = both(packed, sums)
    given_texts = pa.array([text for _, text in SENTENCES])
    ours.top_all(given_texts, lambda least, most: np.ones(len(least), bool))
    assert counted.num_asked == 0
    ours.top_all(given_texts, lambda least, most: np.zeros(len(least), bool))
    assert counted.num_asked == len(given_texts)


@pytest.mark.real
def test_real_pages_have_fasttexts_answer(packed: Any, sums: WordSums, corpus_data: Path) -> None:
    pages = [
        record.text
        for path in sorted((corpus_data / "commoncrawl/wrapped/wet").glob("*.gz"))
        for record in read_wet(str(path), lambda path: open(path, "rb"))  # noqa: SIM115
        if not isinstance(record, Rejected)
    ]
    assert len(pages) > 400
    assert agree(packed, sums, pages) < len(pages) / 4


def train(folder: Path, num_other_labels: int = 0, **how: Any) -> Callable[..., Any]:
    """Trains a small classifier. Returns a function that quantizes it, stores it, and loads it again."""
    lines = [(lang, line) for lang, text in SENTENCES[:8] for line in text.split("\n") for _ in range(20)]
    # More labels than 255, or an output matrix cannot be quantized.
    lines += [(f"x{number}", f"no language {number}") for number in range(num_other_labels)]
    random.Random(0).shuffle(lines)
    (folder / "train.txt").write_text("".join(f"__label__{lang} {line}\n" for lang, line in lines), "utf-8")
    settings = {"dim": 4, "minn": 2, "maxn": 4, "bucket": 5000, "loss": "hs", "lr": 0.5, "thread": 1, "verbose": 0}
    model = fasttext.train_supervised(str(folder / "train.txt"), **settings | how)

    def stored(**quantized: Any) -> tuple[Any, str]:
        if quantized:
            model.quantize(input=str(folder / "train.txt"), thread=1, **quantized)
        model.save_model(str(folder / "model.ftz"))
        return fasttext.load_model(str(folder / "model.ftz")), str(folder / "model.ftz")

    return stored


@pytest.mark.parametrize("how", [{}, {"minn": 3, "maxn": 3}, {"dim": 7, "epoch": 1}, {"num_other_labels": 300}])
def test_other_models_of_the_kind(tmp_path: Path, how: dict[str, Any]) -> None:
    model, path = train(tmp_path, **how)(cutoff=400, qnorm=True)
    parts = read_pruned_model(path, model)
    assert parts
    assert len(parts.rows) <= 400
    for kind in (WordSums, CompiledWordSums):
        agree(model, kind(parts), [text for _, text in SENTENCES] * 3, " ")


@pytest.mark.parametrize(
    ("how", "quantized"),
    [
        ({}, {}),
        ({}, {"qnorm": True}),
        ({"num_other_labels": 300}, {"cutoff": 400, "qout": True}),
        ({"loss": "softmax"}, {"cutoff": 400}),
        ({"wordNgrams": 2}, {"cutoff": 400}),
        ({"minn": 1}, {"cutoff": 400}),
    ],
)
def test_models_of_another_kind_answer_for_themselves(
    tmp_path: Path, how: dict[str, Any], quantized: dict[str, Any]
) -> None:
    model, path = train(tmp_path, **how)(**quantized)
    assert read_pruned_model(path, model) is None
    languages, scores = LanguageModel(model).top_all(pa.array(["Der Hummer\nist rot"]), to_two_decimals, " ")
    assert (languages[0], scores[0]) == LanguageModel(model).top("Der Hummer\nist rot", " ")


def with_entries(folder: Path, change: Callable[[bytes], bytes]) -> tuple[Any, str]:
    """Trains a small model, and changes the bytes of its file. Returns the loaded model and its path."""
    _, path = train(folder)(cutoff=400)
    content = Path(path).read_bytes()
    changed = change(content)
    assert changed != content
    Path(path).write_bytes(changed)
    return fasttext.load_model(path), path


def first_key(content: bytes) -> int:
    """Returns the offset of the table of n-grams. The table follows the last entry. An entry is a name and 10 more
    bytes.
    """
    size = int.from_bytes(content[64:68], "little")
    at = 64 + 28
    for _ in range(size):
        at = content.index(b"\0", at) + 10
    return at


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"mange\0", b"mang\xff\0"),
        lambda content: content.replace(b"mange\0", b"leeft\0"),
        lambda content: content.replace(b"__label__en\0", b"__lable__en\0"),
        lambda content: content[: (at := first_key(content))] + (5005).to_bytes(4, "little") + content[at + 4 :],
    ],
    ids=["no UTF-8", "a word twice", "another prefix", "a hash beyond the table"],
)
def test_a_file_that_fasttext_did_not_write_so_is_left_to_it(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    model, path = with_entries(tmp_path, change)
    assert read_pruned_model(path, model) is None


@pytest.mark.parametrize("num_bytes", [0, 8, 63, 70, 91, 120, 400])
def test_a_file_that_ends_in_its_head_is_told(tmp_path: Path, num_bytes: int) -> None:
    model, path = train(tmp_path)(cutoff=400)
    Path(path).write_bytes(Path(path).read_bytes()[:num_bytes])
    with pytest.raises((ValueError, struct.error)):
        read_pruned_model(path, model)


def test_a_cut_model_is_named_when_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fastText reads uninitialised memory after the end of a truncated file, and may accept it."""
    model, path = train(tmp_path)(cutoff=400)
    monkeypatch.setattr("pipeline.models.load._load_fasttext", lambda path: model)
    Path(path).write_bytes(Path(path).read_bytes()[:100])
    with pytest.raises(ValueError, match=r"model\.ftz: not a fastText model, or a broken one"):
        load("language", path)
