"""Tests Wikipedia's steps: columns, verdicts and details. Each document is judged independently of the others."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

from filters.step import Step
from filters.wikitext.article import LLAMA_WIKIS, Article, WikiLanguages, body_of
from filters.wikitext.page import MAX_UNKNOWN_NAMES, Wikitext

PAGES = pa.RecordBatch.from_pydict(
    {
        "text": [
            "'''Birnen''' wachsen auf [[Baum|Bäumen]] in ganz Europa.[[Datei:A.jpg|mini|B]]",
            "{{Infobox}}",
            "'''A''' may be any one of these:\n* [[B]]\n{{disambig}}",
            "== One ==\n* [[Two]]\n* Three four",
            "x" * 5000,
            "Text [[Fails:a.jpg|b]] with more than five words in it.",
        ],
        "title": ["Birne", "Empty", "A", "List", "Long", "Other"],
        "language": ["de", "en", "en", "en", "en", "ltg"],
        "_namespaces": ["", "", "", "", "", "6:Fails"],
        "_wiki": ["de", "simple", "en", "en", "en", "ltg"],
    }
)
TEXTS = [
    "Birne\n\nBirnen wachsen auf Bäumen in ganz Europa.",
    "Empty",
    "A\n\nA may be any one of these:\n- B",
    "List\n\nOne\n\n- Two\n- Three four",
    "Long",
    "Other\n\nText with more than five words in it.",
]
CONVERTED = PAGES.set_column(0, "text", pa.array(TEXTS)).append_column(
    "_is_disambiguation", pa.array([False, False, True, False, False, False])
)
STEPS = [
    (Wikitext(max_wikitext_chars=4000), PAGES),
    (Article(is_disambiguation_dropped=True), CONVERTED),
    (WikiLanguages(), PAGES),
]


def test_wikitext() -> None:
    outcome = Wikitext(max_wikitext_chars=4000).apply(PAGES, {})
    assert outcome.columns["text"].to_pylist() == TEXTS
    assert outcome.columns["_is_disambiguation"].to_pylist() == [False, False, True, False, False, False]
    assert outcome.verdict.to_pylist() == [None, None, None, None, "page_too_long", None]
    assert outcome.detail is not None
    assert outcome.detail.to_pylist() == [None, None, None, None, "5000", None]


def test_unknown_templates_in_sentences_are_counted() -> None:
    wikitext = "He {{xyz|saw}} it {{Xyz|then}} and {{abc d|more}} left.{{sfn|A}} {{convert|5|km}} on.\n{{Box|a}}\n"
    batch = pa.RecordBatch.from_pydict({"text": [wikitext, "No."], "title": ["A", "B"], "language": ["en"] * 2})
    outcome = Wikitext().apply(batch, {})
    assert outcome.columns["unknown_templates"].to_pylist() == [["xyz", "Xyz", "abc d"], []]
    assert outcome.signals["num_unknown_templates"].to_pylist() == [3, 0]
    many = " ".join(f"word {{{{name{chr(97 + n)}|x}}}} word" for n in range(26))
    batch = pa.RecordBatch.from_pydict({"text": [many], "title": ["A"], "language": ["en"]})
    outcome = Wikitext().apply(batch, {})
    assert len(outcome.columns["unknown_templates"][0]) == MAX_UNKNOWN_NAMES
    assert outcome.signals["num_unknown_templates"].to_pylist() == [26]


def test_cited_addresses_are_listed_on_request() -> None:
    texts = ["A.<ref>{{cite web|url=http://a.org/1}}</ref> [https://b.org B] http://a.org/1", "none", "x" * 5000]
    batch = pa.RecordBatch.from_pydict({"text": texts, "title": ["A", "B", "C"], "language": ["en"] * 3})
    step = Wikitext(is_citing=True, max_wikitext_chars=4000)
    assert step.apply(batch, {}).columns["cited_urls"].to_pylist() == [["http://a.org/1", "https://b.org"], [], None]
    assert Wikitext().apply(batch, {}).columns["cited_urls"].null_count == 3


@pytest.mark.parametrize(
    ("is_dropped", "third"), [(False, None), (True, "disambiguation")], ids=["kept", "disambiguation dropped"]
)
def test_article(is_dropped: bool, third: str | None) -> None:
    outcome = Article(is_disambiguation_dropped=is_dropped).apply(CONVERTED, {})
    assert outcome.verdict.to_pylist() == [None, "empty_article", third, "no_prose", "empty_article", None]
    assert outcome.signals["body_words"].to_pylist() == [7, 0, 6, 4, 0, 8]
    assert outcome.signals["longest_line_words"].to_pylist() == [7, 0, 6, 2, 0, 8]


def test_wiki_languages() -> None:
    outcome = WikiLanguages().apply(PAGES, {})
    assert outcome.verdict.to_pylist() == [None, "other_language", None, None, None, "other_language"]
    assert outcome.detail is not None
    assert outcome.detail.to_pylist() == [None, "simple", None, None, None, "ltg"]
    assert len(LLAMA_WIKIS) == len(set(LLAMA_WIKIS)) == 20


@pytest.mark.parametrize(("step", "batch"), STEPS, ids=lambda value: getattr(value, "NAME", ""))
def test_step_contract(step: Step, batch: pa.RecordBatch) -> None:
    assert isinstance(step, Step)
    assert pickle.loads(pickle.dumps(step)) == step
    whole = step.apply(batch, {})
    assert set(step.REASONS) == set(whole.verdict.to_pylist()) - {None}
    empty = step.apply(batch.slice(0, 0), {})
    assert len(empty.verdict) == 0
    assert all(len(column) == 0 for column in empty.columns.values())
    for row in range(batch.num_rows):
        alone = step.apply(batch.slice(row, 1), {})
        assert alone.verdict.to_pylist() == whole.verdict.slice(row, 1).to_pylist()
        for name, column in alone.columns.items():
            assert column.equals(whole.columns[name].slice(row, 1))
        for name, signal in alone.signals.items():
            assert signal.type == pa.float64()
            assert signal.equals(whole.signals[name].slice(row, 1))


def test_a_body_is_found_after_its_title_only() -> None:
    assert body_of("Pears are fruits.", "Pear") == "Pears are fruits."
    assert body_of("", "") == ""
