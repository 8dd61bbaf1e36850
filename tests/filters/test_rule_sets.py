"""Compares the Gopher and FineWeb rules with a plain second implementation, and with datatrove's own filters."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.rule_sets import words as words_module
from filters.rule_sets.english_words import split
from filters.rule_sets.fineweb import FineWebQuality
from filters.rule_sets.gopher import GopherQuality, GopherRepetition
from filters.rule_sets.marks import PUNCTUATION, TERMINAL_MARKS
from filters.rule_sets.words import words_of

WORDS = st.sampled_from(
    ["a", "of", "the", "tide", "don't", "low.", "...", "7", "(sea)", "ab", "b", "\n", "\n\n", "- ", "#"]
)
TEXTS = st.lists(WORDS, max_size=60).map(" ".join)
ODD = st.text(
    st.sampled_from("aB.\n\n\r\x0b\x1c\x1f\x85\u2028\u3000 \t\x00\u200b#-•…é日\u0301\U0001f600'"), max_size=60
)  # breaks of lines, spaces and marks of all kinds
TEXTS |= ODD


def tokens_of(text: str) -> list[str]:
    return [word for chunk in text.split() for word in split(chunk)]


def signals_of(step: Any, text: str) -> dict[str, float | None]:
    return {name: array[0].as_py() for name, array in step.apply(pa.record_batch({"text": [text]}), {}).signals.items()}


@pytest.mark.parametrize(
    ("chunk", "parts"),
    [
        ("plain", ["plain"]), ("don't", ["do", "n't"]), ("DON'T", ["DON'T"]),
        ("I’m", ["I", "’m"]), ("cannot", ["can", "not"]),
        ("e.g.", ["e.g."]), ("U.S.,", ["U.S.", ","]), ("Mr.", ["Mr."]), ("end.", ["end", "."]), ("USA.", ["USA", "."]),
        ("A.", ["A."]), ("well-known", ["well", "-", "known"]), ("and/or", ["and/or"]), ("a/b", ["a", "/", "b"]),
        ("10km", ["10", "km"]), ("10am", ["10", "am"]), ("$5", ["$", "5"]),
        ("5%", ["5", "%"]), ("wait...", ["wait", "..."]),
        ("come--Mr.", ["come", "--", "Mr."]), ("better;)", ["better", ";)"]),
        ('("quoted")', ["(", '"', "quoted", '"', ")"]),
        ("https://www.example.com/a,b?c=1", ["https://www.example.com/a,b?c=1"]),
        ("example.com.", ["example.com", "."]),
        ("1,000", ["1,000"]), ("one,two", ["one", ",", "two"]), ("tide's", ["tide", "'s"]),
        ("日本語。", ["日本語", "。"]),
    ],
)  # fmt: skip
def test_words(chunk: str, parts: list[str]) -> None:
    assert list(split(chunk)) == parts


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=40).map(lambda text: "".join(text.split())).filter(bool))
def test_a_split_loses_nothing(chunk: str) -> None:
    assert "".join(split(chunk)) == chunk
    assert all(split(chunk))


def test_time_is_linear_in_marks_and_letters() -> None:
    for text in (
        "(" * 200_000,
        "a-" * 100_000,
        "." * 200_000,
        "a." * 100_000,
        "x@" * 2_000 + ".",
        "A" * 200_000 + "...",
    ):
        assert "".join(split(text)) == text


def test_a_full_table_is_begun_anew_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [[f"tide {n} rises, and falls again." for n in range(start, start + 20)] for start in range(0, 100, 20)]
    before = [GopherQuality(min_words=1).apply(pa.record_batch({"text": one}), {}).signals for one in texts]
    monkeypatch.setattr(words_module, "MAX_CHUNKS", 5)
    after = [GopherQuality(min_words=1).apply(pa.record_batch({"text": one}), {}).signals for one in texts]
    assert before == after
    table = words_of(pa.array(texts[0])).table
    assert words_of(pa.array(texts[1])).table is not table, "it was full"


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_repetition_by_a_second_count(text: str) -> None:
    found = signals_of(GopherRepetition(), text)
    tokens, length = tokens_of(text), len(text)
    if not text:
        assert found["text_chars"] == 0
        return
    for name, parts in (("paragraph", re.split(r"\n{2,}", text.strip())), ("line", re.split(r"\n+", text))):
        again = [part for number, part in enumerate(parts) if part in parts[:number]]
        assert found[f"repeated_{name}s"] == len(again) / len(parts)
        assert found[f"repeated_{name}_chars"] == sum(map(len, again)) / length
    for n in (2, 3, 4):
        runs = Counter(" ".join(tokens[at : at + n]) for at in range(len(tokens) - n + 1))
        (top, count), *_ = runs.most_common(1) or [("", 0)]
        assert found[f"top_{n}_gram"] == len(top) * count / length
    for n in range(5, 11):
        seen, chars, at = set(), 0, 0
        while at <= len(tokens) - n:
            run = tuple(tokens[at : at + n])
            chars += len("".join(run)) if run in seen else 0
            at += n if run in seen else 1
            seen.add(run)
        assert found[f"repeated_{n}_grams"] == chars / length


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_quality_by_a_second_count(text: str) -> None:
    found = signals_of(GopherQuality(), text)
    tokens = tokens_of(text)
    real = [token for token in tokens if any(char not in PUNCTUATION for char in token)]
    assert found["gopher_words"] == len(real)
    assert found["gopher_mean_word_chars"] == (sum(map(len, real)) / len(real) if real else None)
    assert found["gopher_stop_words"] == len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(tokens))
    if tokens:
        letters = sum(any(map(str.isalpha, token)) for token in tokens)
        assert found["gopher_letter_words"] == letters / len(tokens)
        assert found["gopher_hashes_per_word"] == text.count("#") / len(tokens)
        lines = text.splitlines()
        bullets = sum(line.lstrip().startswith(("-", "•")) for line in lines)
        assert found["gopher_bullet_lines"] == bullets / len(lines)
        ellipses = sum(line.rstrip().endswith(("...", "…")) for line in lines)
        assert found["gopher_ellipsis_lines"] == ellipses / len(lines)
        assert found["gopher_ellipses_per_word"] == (text.count("...") + text.count("…")) / len(tokens)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_quality_without_marks(text: str) -> None:
    found = signals_of(GopherQuality(are_marks_words=False), text)
    words = [token for token in tokens_of(text) if any(char not in PUNCTUATION for char in token)]
    if words:
        letters = sum(any(map(str.isalpha, word)) for word in words)
        assert found["gopher_letter_words"] == letters / len(words)
        assert found["gopher_hashes_per_word"] == text.count("#") / len(words)


def test_prose_with_many_marks() -> None:
    """Nearly every string between two spaces contains a letter. But if punctuation marks count as words, a fifth of the
    words have no letter.
    """
    prose = 'He said: "No (not now), Tom\'s here; yes - in 1990, too."\n'
    prose += "And that should be useful, with luck, to many. " * 5
    words = prose.split()
    assert len(words) > 50
    assert sum(any(map(str.isalpha, word)) for word in words) == len(words) - 2
    batch = pa.record_batch({"text": [prose]})
    outcomes = [GopherQuality(are_marks_words=one).apply(batch, {}) for one in (True, False)]
    assert [one.verdict.to_pylist() for one in outcomes] == [["too_few_words_with_letters"], [None]]


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_fineweb_by_a_second_count(text: str) -> None:
    found = signals_of(FineWebQuality(), text)
    lines = [line for line in text.split("\n") if line.strip()]
    assert found["fineweb_lines"] == len(lines)
    if lines:
        again = [line for number, line in enumerate(lines) if line in lines[:number]]
        assert found["fineweb_ending_lines"] == sum(line[-1] in TERMINAL_MARKS for line in lines) / len(lines)
        assert found["fineweb_short_lines"] == sum(len(line) <= 30 for line in lines) / len(lines)
        assert found["fineweb_repeated_chars"] == sum(map(len, again)) / len(text.replace("\n", ""))
        assert found["fineweb_line_ends_per_word"] == text.count("\n") / len(tokens_of(text))


@pytest.mark.real
@pytest.mark.slow
def test_verdicts_are_those_of_datatrove(corpus_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datatrove.pipeline.filters", reason="datatrove is needed, beside spaCy")
    pytest.importorskip("spacy", reason="spaCy is needed, beside datatrove")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import rule_sets
    from datatrove.data import Document

    texts = list(dict.fromkeys(text for text in rule_sets.pages_of([corpus_data / "c4"]) if text))[:300]
    assert len(texts) > 100
    for name, judge in rule_sets.peers().items():
        theirs = [rule_sets.verdict_of(judge(Document(text=text, id="")), text) for text in texts]
        (ours,), _ = rule_sets.ours([rule_sets.STEPS[name]], rule_sets.batches_of(texts))
        assert ours == theirs, name
        assert {None} < set(ours), f"{name}: some are kept and some are dropped"
