"""Tests that word counts computed with arrays equal those of Python's own functions, for any text."""

from __future__ import annotations

import re
import sys

from hypothesis import example, given
from hypothesis import strategies as st

from filters.books import quality
from filters.wikitext import article

WORD = re.compile(r"[^\W\d_]{2,}")
TEXTS = st.lists(
    st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from("ab_1 \n\u2028\xa0é中²")), max_size=40),
    max_size=8,
)
LISTED = st.sampled_from([
    "-rw-rw-r--  1 10", "total 12", "Directory of x", "12-03-99 10:20 a", "a.txt", " b.ZIP ", "  yabcdef.xxx]",
    "jan 1999 a 3A]", "title   123B", "http://a", "drwxrwxrwx ", "\u017frwxrwxrwx ",
    "\u0663\u0664/\u0663/\u0663\u0664 a",
    "He had read it. ", " ",
])  # fmt: skip


@given(TEXTS)
@example(["a bee", "", "x" * article._CHARS_AT_ONCE, "two words\nsix more bees"])
def test_words_of_articles(texts: list[str]) -> None:
    by_line = [[len(WORD.findall(line)) for line in text.split("\n")] for text in texts]
    assert article.count_words(texts) == ([float(sum(n)) for n in by_line], [float(max(n)) for n in by_line])


def test_no_letter_or_blank_is_beyond_the_tables() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1)]
    assert max(ord(c) for c in every if article._LETTER.match(c)) < article._LETTERS_END
    assert max(ord(c) for c in every if c.isspace()) < quality._SPACES_END


@given(TEXTS)
@example(
    [
        "é" * (quality._CHARS_AT_ONCE - 1) + " y z",
        "x" * quality._CHARS_AT_ONCE + " y",
        " " * quality._CHARS_AT_ONCE + "y",
    ]
)
def test_words_of_books(texts: list[str]) -> None:
    assert [quality._num_spaced(text) for text in texts] == [len(text.split()) for text in texts]


@given(st.lists(LISTED, max_size=4).map("".join))
def test_every_line_of_a_listing_is_searched(line: str) -> None:
    if quality._LISTING_LINE.match(line):
        assert quality._MAY_LIST.search(line)
