"""Tests the removal of documents whose owners ask for it. A listed id, url or host removes its documents, and nothing
else does.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.exclude import Excluded, host_of, matched, parse_exclusions


@pytest.mark.parametrize(
    ("document_id", "url", "line", "is_out"),
    [
        ("doc-1", None, "doc-1", True),
        ("doc-1", None, " doc-1 \t", True),
        ("doc-1", None, "doc-11", False),
        ("doc-11", None, "doc-1", False),
        ("Doc-1", None, "doc-1", False),
        ("x", "https://example.com/a", "https://example.com/a", True),
        ("x", "https://example.com/a", "https://example.com/", False),
        ("x", "https://example.com/a", "https://example.com/a  # by mail, 3 May", True),
        ("x", "https://example.com/a#b", "https://example.com/a#b", True),
        ("x", "https://example.com/a", "http://example.com/a", True),
        ("x", "https://example.com/a", "HTTPS://Example.com/a/", True),
        ("x", "https://example.com/a/", "https://example.com/a", True),
        ("x", "https://example.com/A", "https://example.com/a", False),
        ("x", "https://example.com/", "https://example.com", True),
        ("x", "https://example.com/ab", "https://example.com/a", False),
        ("x", "https://example.com/a", "example.com", True),
        ("x", "https://news.example.com:8080/a?b#c", "example.com", True),
        ("x", "https://NEWS.Example.COM/a", "Example.com", True),
        ("x", "https://notexample.com/a", "example.com", False),
        ("x", "https://example.com.evil.org/a", "example.com", False),
        ("x", "https://example.org/example.com", "example.com", False),
        ("x", "https://user:pass@example.com/", "example.com", True),
        ("x", "https://news.example.com/", "com", True),
        ("x", "http://[::1]/a", "::1", True),
        ("x", "http://[broken", "broken", False),
        ("x", "not a url", "url", False),
        ("x", "", "example.com", False),
        ("x", None, "example.com", False),
    ],
)
def test_who_is_named(document_id: str, url: str | None, line: str, is_out: bool) -> None:
    assert (matched(document_id, url, parse_exclusions([line])) is not None) is is_out


def test_comments_and_empty_lines_name_nobody() -> None:
    assert parse_exclusions(["", "  ", "# doc-1", "  # doc-2"]) == frozenset()


def test_a_url_s_path_keeps_its_letters_a_host_does_not() -> None:
    entries = parse_exclusions(["https://Example.com/Path", "Example.com"])
    assert entries == {"https://Example.com/Path", "//example.com/Path", "Example.com", "example.com"}


@given(st.text(max_size=30))
def test_any_url_has_a_host_or_none(url: str) -> None:
    host = host_of(url)
    assert host == host.lower()


LABELS = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4)


@given(LABELS, LABELS)
def test_a_host_stands_for_itself_and_all_below_it(host: list[str], entry: list[str]) -> None:
    url = f"https://{'.'.join(host)}/x"
    is_below = host[-len(entry) :] == entry
    assert (matched("id", url, parse_exclusions([".".join(entry)])) is not None) is is_below


def batch(**columns: list[Any]) -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(values, pa.string()) for name, values in columns.items()})


def test_the_step_tells_which_entry_it_was() -> None:
    rows = batch(id=["a", "b", "c"], text=["", "", ""], url=["https://x.example.com/", None, "https://example.org/"])
    outcome = Excluded().apply(rows, {"exclude": parse_exclusions(["example.com", "b"])})
    assert outcome.verdict.to_pylist() == ["excluded", "excluded", None]
    assert outcome.detail is not None
    assert outcome.detail.to_pylist() == ["example.com", "b", None]


def test_a_source_without_urls_goes_by_ids() -> None:
    outcome = Excluded().apply(batch(id=["a", "b"], text=["", ""]), {"exclude": frozenset({"a"})})
    assert outcome.verdict.to_pylist() == ["excluded", None]


def test_without_a_list_nobody_is_out() -> None:
    assert Excluded().apply(batch(id=["a"], text=[""]), {}).verdict.to_pylist() == [None]
