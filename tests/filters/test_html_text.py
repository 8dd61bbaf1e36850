"""Tests the conversion of HTML to text: every rule of the table, both parsers give the same text, no text is lost, and
hostile pages do not take long.
"""

from __future__ import annotations

import json
import re
import time
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from filters.html import fragment as html_text
from filters.html.fragment import html_to_text
from filters.html.writer import TextWriter

CASES = json.loads((Path(__file__).parents[1] / "cases/stack_exchange/html.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, str]) -> None:
    assert html_to_text(case["html"]) == case["text"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case_by_way_of_the_browser_parser(case: dict[str, str]) -> None:
    """The text is the same if lexbor parses the HTML first. NUL is left out, because lexbor handles it differently."""
    assert _mended_text(case["html"].replace("\0", "").replace("\r\n", "\n")) == case["text"]


def test_image_text_where_asked_for() -> None:
    assert html_to_text('<p>a <img src="x" alt="b &amp; c">.</p>', image_alt=True) == "a b & c."


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Cn"]), min_size=1)
INLINE = st.recursive(
    WORDS.map(escape) | st.just("<br>") | st.just(" "),
    lambda inner: st.tuples(
        st.sampled_from(["b", "em", "code", "a", "sub", "sup", "del", "s", "q", "kbd", "ins"]), st.lists(inner)
    ).map(lambda t: f'<{t[0]} href="x>y">{"".join(t[1])}</{t[0]}>'),
    max_leaves=5,
)
LEAVES = st.tuples(st.sampled_from(["p", "h2", "pre"]), INLINE).map(lambda t: f"<{t[0]}>{t[1]}</{t[0]}>\n")
FRAGMENTS = st.recursive(
    LEAVES | INLINE,
    lambda inner: st.tuples(st.sampled_from(["blockquote", "ul", "ol", "div"]), st.lists(inner, max_size=4)).map(
        lambda t: f"<{t[0]}>" + "".join(f"<li>{i}</li>" if t[0] in ("ul", "ol") else i for i in t[1]) + f"</{t[0]}>"
    ),
    max_leaves=12,
)


class _Words(HTMLParser):
    """Collects the text of an HTML fragment with Python's own parser."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def _letters(text: str) -> str:
    return "".join(c for c in text if c.isalpha())


def _mended_text(fragment: str) -> str:
    return html_text._from_any(html_text._ANY_TAG.split(html_text._mended(fragment)), TextWriter())


@given(FRAGMENTS)
@settings(max_examples=150, deadline=None)
def test_both_ways_give_the_same_text(fragment: str) -> None:
    assert html_to_text(fragment) == _mended_text(fragment)


@given(FRAGMENTS)
@settings(max_examples=150, deadline=None)
def test_letters_are_preserved(fragment: str) -> None:
    parser = _Words()
    parser.feed(fragment)
    parser.close()
    assert _letters(html_to_text(fragment)) == _letters("".join(parser.found))


PIECES = (
    *("<p>", "</p>", "<li>", "<ul>", "</ul>", "<b>", "<td>", "</table>", "<", ">", "<!--", "x", '"', "'", "="),
    *("<a href=", "<sup>", "</sup>", "<del>", "</del>", "</sub>", "<script>", "</script", " ", "\n"),
)


@given(st.lists(st.sampled_from(PIECES)))
@settings(max_examples=300, deadline=None)
def test_no_tag_survives_a_broken_fragment(pieces: list[str]) -> None:
    text = html_to_text("".join(pieces))
    assert not re.search(r"</?(?:p|li|ul|b|td|table|a|sup|sub|del|script)[ >/]", text), text


OPENED = (
    *(
        "<blockquote>",
        "<ul><li>",
        "<div>",
        "<b>",
        "<p><b>",
        "<table><tr><td>",
        "<pre>",
        "<ol><li>x<p>y",
        "<sup>",
        "x<sup>",
        "<del>",
        "x<sup></sub>",
        "<kbd></kbd>",
        "</kbd><b>",
        "</p>",
    ),
    *("<a href='", '<a x="', "< ", "<!--", "<br>", "&lt;", "$", "\\begin{"),
)


@pytest.mark.parametrize("num_tags", [100, 100_000])
@pytest.mark.parametrize("opened", OPENED)
def test_hostile_nesting_neither_blows_the_stack_nor_takes_long(opened: str, num_tags: int) -> None:
    began = time.process_time()
    text = html_to_text(opened * num_tags + "the end")
    assert "<p" not in text
    assert len(text) < 200 * num_tags
    if opened not in ("<a href='", '<a x="', "<!--"):  # these open what only their own end would close
        assert text.rstrip("~").endswith("the end")
    assert time.process_time() - began < 5


def test_depth_closed_again_is_linear() -> None:
    text = html_to_text("<blockquote>" * 100_000 + "<p>x</p>" + "</blockquote>" * 100_000 + "<p>y</p>")
    assert text.startswith("> > > ")
    assert text.endswith("> x\n\ny")


@pytest.mark.real
def test_real_posts_read_the_same_both_ways(corpus_data: Path) -> None:
    num_posts = num_simple = 0
    for path in sorted(corpus_data.glob("stackexchange/coffee*/Posts.xml")):
        for row in etree.parse(path).getroot():
            body = str(row.get("Body"))
            simple = html_text._from_simple(html_text._simple_tokens(body), TextWriter())
            num_posts += 1
            if simple is not None:
                num_simple += 1
                assert simple == _mended_text(body)
    assert num_posts > 500
    assert num_simple > 0.98 * num_posts
