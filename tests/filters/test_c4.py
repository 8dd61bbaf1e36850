"""Tests C4's rules: one case per reason, comparisons with the way in which the original code works, and real pages."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.c4.bad_words import BadWords
from filters.c4.english import C4English
from filters.c4.lines_and_pages import LINE_FATES, C4Lines, C4SentencesAfterDedup, C4TooLong
from filters.c4.sentences import _splitter, num_sentences
from filters.language.detect import LanguageModel
from pipeline.models.find import find_models
from pipeline.models.load import load

CASES = json.loads((Path(__file__).parents[1] / "cases" / "c4" / "pages.json").read_text(encoding="utf-8"))


def batch(texts, **columns):
    arrays = {"id": [str(row) for row in range(len(texts))], "text": texts, "language": ["und"] * len(texts), **columns}
    return pa.record_batch({name: pa.array(values, pa.string()) for name, values in arrays.items()})


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_page(case):
    outcome = C4Lines().apply(batch([case["page"]]), {})
    fates = {fate: outcome.signals[f"num_lines_{fate}"][0].as_py() for fate in LINE_FATES}
    assert outcome.columns["text"].to_pylist() == [case.get("kept", case["page"])]
    assert outcome.verdict.to_pylist() == [case.get("reason")]
    assert outcome.detail.to_pylist() == [case.get("detail")]
    assert {fate: number for fate, number in fates.items() if number} == case["lines"]


def test_sentences_before_and_after_the_dedup_are_told():
    texts = [
        "One is here now. Two are here now. Three are. Four are it.\nFive is on a line.",
        "Only one is here now.",
        "a {b c d e.",
    ]
    lines = C4Lines().apply(batch(texts), {})
    assert lines.signals["num_sentences"].to_pylist() == [3.0, 1.0, None]
    whole = C4Lines(is_counted_whole=True).apply(batch(texts), {})
    assert whole.signals["num_sentences"].to_pylist() == [5.0, 1.0, None]
    assert whole.verdict == lines.verdict
    left = batch([*texts[:2], ""], _form=["wet", "wet", "json"])
    after = C4SentencesAfterDedup().apply(left, {})
    assert after.signals["num_sentences_after_dedup"].to_pylist() == [3.0, 1.0, None]
    assert after.verdict.to_pylist() == [None, "too_few_sentences_after_dedup", None]
    assert (
        C4SentencesAfterDedup(is_counted_whole=True).apply(left, {}).signals["num_sentences_after_dedup"][0].as_py()
        == 5.0
    )


@pytest.mark.parametrize("step", [C4Lines(), C4SentencesAfterDedup(), C4English()], ids=lambda step: step.NAME)
def test_published_pages_are_left_alike_with_and_without_other_pages(step):
    published, page = ["menu", "", "One {", "a b."], "This is one of four. Here are five words. And this is it."
    model = {"language": load("language", find_models("samples/models")["language"])}
    both = step.apply(batch([*published, page], _form=[*["json"] * 4, "wet"]), model)
    alone = batch(published, _form=["json"] * 4)
    found = step.apply(alone, model)
    for name, values in {"verdict": found.verdict, "detail": found.detail, **found.signals}.items():
        beside = {"verdict": both.verdict, "detail": both.detail, **both.signals}[name]
        assert (values.type, values.to_pylist()) == (beside.type, beside.to_pylist()[:4]) == (beside.type, [None] * 4)
    assert found.signals.keys() == both.signals.keys()
    for name, values in both.columns.items():
        beside = found.columns.get(name, alone.column(name) if name in alone.schema.names else None)
        assert (beside.type, beside.to_pylist()) == (values.type, values.to_pylist()[:4])


def test_every_reason_of_the_lines_has_a_case():
    assert {case.get("reason") for case in CASES} == {None, *C4Lines.REASONS}
    assert {fate for case in CASES for fate in case["lines"]} | {"too_long_word"} == set(LINE_FATES)


@pytest.mark.parametrize(("num_chars", "is_kept"), [(1000, True), (1001, False)])
def test_a_word_of_over_a_thousand_characters(num_chars, is_kept):
    line = "four more words and " + "x" * (num_chars - 1) + "."
    page = C4Lines().clean_page(f"{line}\nOne is here now. Two are here now. Three.")
    assert (page.num_lines["too_long_word"], line in page.text) == ((0, True) if is_kept else (1, False))


def test_a_long_line_of_short_words_stays():
    page = C4Lines().clean_page("word " * 500 + "end. One. Two.")
    assert page.reason is None


@pytest.mark.parametrize(("num_chars", "verdict"), [(190_000, None), (190_001, "too_long")])
def test_length_counts_characters(num_chars, verdict):
    outcome = C4TooLong().apply(batch(["ü" * num_chars]), {})
    assert outcome.verdict.to_pylist() == [verdict]
    assert outcome.detail.to_pylist() == [verdict and str(num_chars)]


def test_published_pages_pass_as_they_are():
    text = "no end mark {\x0b"
    columns = {"_form": ["json", "wet", None]}
    outcome = C4Lines().apply(batch([text] * 3, **columns), {})
    assert outcome.verdict.to_pylist() == [None, "too_few_sentences", "too_few_sentences"]
    assert outcome.columns["text"][0].as_py() == text
    assert outcome.columns["_line_scope"].to_pylist() == [None, "c4", "c4"]
    assert outcome.signals["num_lines_kept"].to_pylist() == [None, 0.0, 0.0]
    again = C4Lines(is_for_published=True).apply(batch([text] * 3, **columns), {})
    assert again.verdict.to_pylist() == ["too_few_sentences"] * 3


@pytest.mark.parametrize(
    ("text", "verdict", "detail"),
    [
        ("It is so now.\nIt was so then.\nIt will be so.", None, None),
        ("It is so now.\nIt was so then.", "too_few_sentences_after_dedup", "2"),
        ("", "empty_after_dedup", None),
        # Lines joined: a quotation mark without a period is no border, nor is an abbreviation before a small letter.
        ('He called it "the end"\nshe said it was not.\nThey left.', "too_few_sentences_after_dedup", "2"),
        ("She works at Smith Inc.\nand he does not.\nThat is it.", "too_few_sentences_after_dedup", "2"),
    ],
)
def test_sentences_after_dedup(text, verdict, detail):
    outcome = C4SentencesAfterDedup().apply(batch([text]), {})
    assert (outcome.verdict.to_pylist(), outcome.detail.to_pylist()) == ([verdict], [detail])


WORDS = ["Inc.", "foo.", "bar!", "what?", '"x."', "he", "He", "...", "etc.", "3.", "A.", "b.", "U.S.", "well-inc.",
         'end."', "co", '"', ")", "?", "(", "ok!!", "—", "foo…", "é.", '"ok!', "--", "rel.“", "«so!»"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join), min_size=1, max_size=5))
def test_counting_up_to_a_limit_is_nltks_count(lines):
    text = "\n".join(lines)
    num_found = len(_splitter().tokenize(text))
    for limit in (1, 2, 3, 5):
        assert num_sentences(text, up_to=limit) == min(num_found, limit)


LINES = st.sampled_from(
    ["A line of five words.", "Is it one of these?", "javascript is on this line.", "too few.", "no end mark at all",
     "has a { in its middle.", "Lorem ipsum stands in it.", "It uses cookies, so it goes.", "Mr. A. met Mrs. B. there.",
     "cites [1] it and ends.[2]", "ends in a cite. [3]", "[4]", "", "   ", "x" * 1001 + " a b c d.", "so it goes on..."]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(LINES, max_size=8))
def test_the_rules_hold_line_by_line(lines):
    """Compares our rules with the original's order of work. The original applies all rules to one line, then to the
    next line. Ours applies one rule to all lines, then the next rule.
    """
    kept, reason, num_found = [], None, 0
    for line in map(str.strip, lines):
        if any(len(word) > 1000 for word in line.split()):
            continue
        line = re.sub(r"\[\d*\]|\[edit\]|\[citation needed\]", "", line)
        if not line.endswith((".", "?", "!", '"')) or line.endswith("...") or len(line.split()) < 5:
            continue
        lower = line.lower()
        if "lorem ipsum" in lower:
            reason = "lorem_ipsum"
            break
        if "javascript" in lower:
            continue
        if "{" in line:
            reason = "curly_bracket"
            break
        if "uses cookies" in lower:
            continue
        num_found += len(_splitter().tokenize(line))
        kept.append(line)
    if reason is None and num_found < 3:
        reason = "too_few_sentences"
    page = C4Lines().clean_page("\n".join(lines))
    assert page.reason == reason
    if reason is None:
        assert page.text == "\n".join(kept).strip()


@settings(max_examples=100, deadline=None)
@given(st.lists(LINES, max_size=8).map("\n".join))
def test_cleaning_a_clean_page_changes_nothing(text):
    once = C4Lines().clean_page(text)
    if once.reason is None and "[" not in text:
        assert C4Lines().clean_page(once.text) == type(once)(once.text, None, None, {
            **dict.fromkeys(LINE_FATES, 0), "kept": once.num_lines["kept"]}, once.num_sentences)  # fmt: skip


def test_bad_words_are_found_between_other_characters_only():
    models = {"bad_words": ("spam", "eggs and ham", "ñandú", "a.b")}
    texts = ["All of it is SPAM!", "spammers send it", "eggs and ham", "ein Ñandú.", "axb a_a.b", "(a.b)", "éspam", ""]
    outcome = BadWords().apply(batch(texts), models)
    found = ["spam", None, "eggs and ham", "ñandú", None, "a.b", None, None]
    assert outcome.detail.to_pylist() == found
    assert outcome.verdict.to_pylist() == [word and "bad_word" for word in found]


def test_without_a_list_no_page_is_judged():
    outcome = BadWords().apply(batch(["spam"]), {})
    assert (outcome.verdict.to_pylist(), dict(outcome.signals)) == ([None], {})


def test_a_share_of_the_pages_with_bad_words_stays():
    texts = ["spam"] * 2000
    outcome = BadWords(drop_share=0.25).apply(batch(texts), {"bad_words": ("spam",)})
    num_dropped = 2000 - outcome.verdict.null_count
    assert 420 < num_dropped < 580  # four standard deviations round 500
    with pytest.raises(ValueError, match="drop_share"):
        BadWords(drop_share=1.5)


class OneGuess:
    """Replaces fastText's model. It always gives the same label and score."""

    def __init__(self, label, score):
        self.answer = [(score, label)]
        self.f = self

    def predict(self, text, k, threshold, errors):
        assert (text, k) == ("Some text. More.\n", 1)
        return self.answer


@pytest.mark.parametrize(
    ("label", "score", "verdict", "detail"),
    [
        ("__label__en", 0.5, None, None),
        ("__label__en", 0.49, "low_score", "en 0.4900"),
        ("__label__en", 0.499999, "low_score", "en 0.5000"),
        ("__label__de", 0.99, "other_language", "de 0.9900"),
    ],
)
def test_english_by_fasttext(label, score, verdict, detail):
    outcome = C4English().apply(batch(["Some text.\nMore."]), {"language": LanguageModel(OneGuess(label, score))})
    assert (outcome.verdict.to_pylist(), outcome.detail.to_pylist()) == ([verdict], [detail])
    assert outcome.columns["language"].to_pylist() == [label[-2:]]


def test_english_at_the_very_limit_is_as_fasttext_says():
    """Our score may differ from fastText's score in the last bit. If this bit decides, fastText's score is used."""
    model = load("language", find_models(None)["language"])
    cases = json.loads((Path(__file__).parents[1] / "cases/common_crawl/languages.json").read_text("utf-8"))
    english = next(text for language, text in cases if language == "en")
    texts = [f"{english} " * times + text for _, text in cases for times in (2, 4)]
    scores = {text: model.top(text, " ") for text in texts}
    num_judged = 0
    for text, (language, score) in scores.items():
        if language == "en":
            for limit, verdict in ((score, None), (math.nextafter(score, 1), "low_score")):
                outcome = C4English(min_score=limit).apply(batch([text]), {"language": model})
                assert outcome.verdict.to_pylist() == [verdict]
                num_judged += 1
    assert num_judged >= 20


def test_english_by_langdetect_is_deterministic():
    texts = [
        "The committee met on Tuesday, and nobody could remember why it had been called.",
        "Der Ausschuss tagte am Dienstag, und niemand wusste mehr, warum er einberufen worden war.",
        "12345 67890",
    ]
    first = C4English(method="langdetect").apply(batch(texts), {})
    assert first.verdict.to_pylist() == [None, "other_language", "no_language"]
    assert first.columns["language"].to_pylist() == ["en", "de", "und"]
    assert (
        C4English(method="langdetect").apply(batch(texts[::-1]), {}).detail.to_pylist()
        == first.detail.to_pylist()[::-1]
    )


def test_published_pages_keep_their_language():
    outcome = C4English().apply(batch(["Ein Satz."], _form=["json"]), {})
    assert (outcome.verdict.to_pylist(), outcome.columns["language"].to_pylist()) == ([None], ["und"])


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="fasttext"):
        C4English(method="cld3")
    with pytest.raises(ValueError, match="at least 1"):
        C4Lines(min_sentences=0)


@pytest.mark.real
def test_published_c4_passes_its_own_rules(corpus_data):
    """More than 95 % of the pages of published C4 pass. The others are continuations that a model wrote or that were
    truncated.
    """
    reasons = Counter()
    for path in sorted((corpus_data / "c4" / "wrapped").glob("*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            reasons.update(C4Lines().clean_page(json.loads(line)["text"]).reason for line in lines)
    assert reasons.total() > 500
    assert reasons[None] / reasons.total() > 0.95
