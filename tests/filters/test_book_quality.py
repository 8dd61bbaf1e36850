"""Tests the quality rules of books: listings, indexes and stubs are dropped, each with its reason. Books of all kinds
are kept.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from filters.books.quality import BookQuality, listing_share, num_words
from filters.step import Outcome

_CASES = json.loads((Path(__file__).parents[1] / "cases" / "books" / "listings.json").read_text("utf-8"))


def _judge(*texts: str) -> Outcome:
    return BookQuality().apply(pa.record_batch({"text": pa.array(texts, pa.string())}), {})


@pytest.mark.parametrize("case", _CASES, ids=[case["name"] for case in _CASES])
def test_what_is_no_book(case: dict[str, object]) -> None:
    lines = case["lines"]
    assert isinstance(lines, list)
    text = "\n".join(lines * 600)
    assert _judge(text).verdict.to_pylist() == [case["reason"]]


@pytest.mark.parametrize(("count", "reason"), [(0, "too_few_words"), (999, "too_few_words"), (1000, None)])
def test_a_book_has_a_thousand_words(count: int, reason: str | None) -> None:
    outcome = _judge("word " * count)
    assert outcome.verdict.to_pylist() == [reason]
    assert outcome.detail is not None
    assert outcome.detail.to_pylist() == [None if reason is None else str(count)]
    assert outcome.columns["num_words"].to_pylist() == [count]


def test_a_short_listing_is_told_as_a_listing() -> None:
    assert _judge("total 1\n-rw-rw-r--  1 10  10  123 Feb  4  2001 a.txt\n").verdict.to_pylist() == ["not_a_book"]


def test_a_blank_text_and_an_empty_batch() -> None:
    assert _judge(" \n\n ").verdict.to_pylist() == ["too_few_words"]
    assert len(_judge().verdict) == 0


def test_a_verdict_does_not_depend_on_its_neighbours() -> None:
    texts = ["\n".join(case["lines"] * 600) for case in _CASES]
    together = _judge(*texts)
    for index, text in enumerate(texts):
        alone = _judge(text)
        assert alone.verdict[0] == together.verdict[index]
        assert {name: values[0] for name, values in alone.signals.items()} == {
            name: values[index] for name, values in together.signals.items()
        }


def test_the_settings_move_the_limits() -> None:
    batch = pa.record_batch({"text": ["word " * 10]})
    assert BookQuality(min_num_words=10).apply(batch, {}).verdict.to_pylist() == [None]
    assert BookQuality(min_num_words=11).apply(batch, {}).verdict.to_pylist() == ["too_few_words"]


def test_long_lines_cost_no_more() -> None:
    assert listing_share("a " * 2_000_000) == 0.0
    assert num_words("x" * 4_000_000) == 1


@pytest.mark.real
def test_the_real_listing_goes_and_every_real_book_stays(corpus_data: Path) -> None:
    paths = sorted((corpus_data / "books").rglob("*.txt"))
    outcome = _judge(*(path.read_text("latin-1") for path in paths))
    dropped = [path.name for path, reason in zip(paths, outcome.verdict.to_pylist(), strict=True) if reason is not None]
    assert len(paths) == 30
    assert dropped == ["pandp09.txt"]
    assert [reason for reason in outcome.verdict.to_pylist() if reason] == ["not_a_book"]
