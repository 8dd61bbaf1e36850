"""Drops files that have the name of a book but are not books: listings, indexes, readmes, tables of digits, and short
texts.

Every other file is kept. No rule of this module looks at language, style or subject.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.rules import Rule, first_broken
from filters.step import Models, Outcome, Step

_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_SPACES_END = 0x3001
"""The code point of every blank (white space character) is below this number."""
_CHARS_AT_ONCE = 1 << 18
"""Words are counted in blocks of about this many characters, because such a block fits into a processor's cache."""
_FILE_NAME = (
    r"[\w.~+-]{1,60}\.(?:txt|zip|htm|html|tex|pdf|lit|prc|rtf|doc|xml|mp3|ogg|jpg|gif|png|gz|tar|epub|mobi|utf-8|iso)"
)
_LISTING_LINE = re.compile(
    rf"""^[ \t]*(?:
      [bcdlps-][rwxstST-]{{9}}[+.@]?\s.*                                  # ls -l
    | total\s+\d+\s*$ | [^\n]{{0,60}}\bdirectory\s+of\s.*                     # its first line; DOS
    | \d[\d/.-]{{5,9}}\s+\d\d?:\d\d(?:\s?[AaPp][Mm]?)?\s.*                    # DOS: date, hour, size, name
    | {_FILE_NAME}(?:[ \t|,;:*-].*)?$                                         # a file's name, and what is said of it
    | \S.{{0,90}}[ \t]{_FILE_NAME}[ \t]*$ | [^\n]*[ \t]\[?[\w.]{{5,12}}\.xxx\]?.*
    | (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+(?:19|20)\d\d\s+\S[^\n]*\d[a-z]?\]?\s*\d*[ABC]?$
    | [^\n]{{3,90}}[ \t]{{2,}}\d{{1,5}}[ABC]?[ \t]*$ | [\ *\#•-]*https?://\S+\s*$  # title and number; addresses
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_MAY_LIST = re.compile(r"\d|\.\w|://|directory\s+of|[rwxst-]{9}", re.IGNORECASE)
"""A fast pattern. Every line that matches the slow pattern ``_LISTING_LINE`` also matches this pattern. Most lines of
prose do not match, so they are not tested with the slow pattern."""
_VOWEL_SIGNS = "".join(
    chr(code) for code in (*range(0x300, 0x370), *range(0x900, 0x10A0)) if unicodedata.category(chr(code))[0] == "M"
)
_MARKS = re.compile(f"[{_VOWEL_SIGNS}]")  # parts of words that Python does not count as letters
_MAX_SAMPLED_LINES = 500
_MAX_LINE_CHARS = 200

MIN_NUM_WORDS = 1_000
MAX_LISTING_LINES = 0.5
MIN_LETTERS = 0.5
MAX_MEAN_WORD_CHARS = 25


def num_words(text: str) -> int:
    """Returns the number of words. In scripts without blanks between words, each character counts as a word.

    >>> num_words("one  two\\nthree"), num_words("我是一只猫")
    (3, 5)
    """
    count = _num_spaced(text)
    return count if text.isascii() else max(count, len(_UNSPACED.findall(text)))


def _num_spaced(text: str) -> int:
    """Returns ``len(text.split())``, without making the list of words."""
    count, is_after_space = 0, True
    for start in range(0, len(text), _CHARS_AT_ONCE):
        some = text[start : start + _CHARS_AT_ONCE]
        if some.isascii():
            codes: npt.NDArray[np.integer] = np.frombuffer(some.encode(), np.uint8)
        else:
            codes = np.minimum(np.frombuffer(some.encode("utf-32-le", "surrogatepass"), np.uint32), _SPACES_END)
        is_space = _spaces()[codes]
        count += int(np.count_nonzero(is_space[:-1] & ~is_space[1:])) + (is_after_space and not is_space[0])
        is_after_space = bool(is_space[-1])
    return count


@functools.cache
def _spaces() -> npt.NDArray[np.bool_]:
    """Returns one boolean per code point below :data:`_SPACES_END`. The boolean is True if the character separates
    words."""
    return np.array([chr(code).isspace() for code in range(_SPACES_END + 1)])


def listing_share(text: str) -> float:
    """Returns the share of a text's lines that look like an entry in a list of files or books. Returns 0 for a text
    without lines.

    Blank lines do not count. In a long text, only 500 evenly spread lines are examined. In the example, two of three
    lines look like entries.

    >>> listing_share("total 12\\n-rw-rw-r--  1 10  10  123 Feb  4  2001 a.txt\\n\\nHe had read it all.\\n")
    0.6666666666666666
    """
    lines = list(filter(str.strip, text.split("\n")))
    if not lines:
        return 0.0
    step = -(-len(lines) // _MAX_SAMPLED_LINES)
    looked_at = [line[:_MAX_LINE_CHARS] for line in lines[::step]]
    may_list = filter(_MAY_LIST.search, looked_at)
    return sum(_LISTING_LINE.match(line) is not None for line in may_list) / len(looked_at)


def letter_share(text: str) -> float:
    """Returns the share of letters (and their marks) among the characters that are not blank. Returns 0 for a blank
    text.

    In a long text, only about 16 evenly spread pieces of 1,000 characters are examined.

    >>> letter_share("3.14 ab"), letter_share(" ")
    (0.3333333333333333, 0.0)
    """
    step = max(1_000, len(text) // 16)
    words = "".join("".join(text[start : start + 1_000] for start in range(0, len(text), step)).split())
    if not words:
        return 0.0
    return (sum(map(str.isalpha, words)) + (0 if words.isascii() else len(_MARKS.findall(words)))) / len(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookQuality(Step):
    """Drops listings of files, texts of fewer than 1,000 words, texts with few letters, and texts without blanks (such
    as encoded files).
    """

    min_num_words: int = MIN_NUM_WORDS
    """Minimum number of words of a book. Our choice: a shorter text is a speech, poem, readme or stub. Gutenberg has
    several hundred such texts."""
    max_listing_share: float = MAX_LISTING_LINES
    """Maximum share of lines that look like list entries. Our choice: in a real listing that had the name of a book,
    the share is 1.0. In real books, including a dictionary and a primer, it is under 0.02."""
    min_letter_share: float = MIN_LETTERS
    """Minimum share of letters. Our choice: prose has over 0.9. Tables of logarithms and the digits of pi have under
    0.1."""
    max_mean_word_chars: float = MAX_MEAN_WORD_CHARS
    """Maximum mean length of a word, in characters. Our choice: German words have 5 to 6 characters on average. In
    scripts without blanks, a word has one character. In a genome or an encoded file, a whole line of 60 or more
    characters counts as one word."""

    NAME: ClassVar[str] = "book_quality"
    DATA_VERSION: ClassVar[int] = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"num_words": pa.int64()}
    REASONS: ClassVar[tuple[str, ...]] = ("not_a_book", "not_text", "too_few_words")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Returns the limits as rules. A text gets the reason of the first rule that it breaks. ``not_a_book`` comes
        first. So a short listing gets this reason and not ``too_few_words``.
        """
        return (
            Rule("not_a_book", "listing_share", ">", self.max_listing_share, "ours"),
            Rule("too_few_words", "num_words", "<", self.min_num_words, "ours"),
            Rule("not_text", "letter_share", "<", self.min_letter_share, "ours"),
            Rule("not_text", "mean_word_chars", ">", self.max_mean_word_chars, "ours"),
        )

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Decides which texts are dropped, and adds the column ``num_words``. The signals (numbers stored with a text)
        are the measured values. If the batch has a column ``encoding_certainty``, its values are signals too.
        """
        texts = batch.column("text").to_pylist()
        counts = [num_words(text) for text in texts]
        signals = {
            "num_words": pa.array(map(float, counts), pa.float64()),
            "listing_share": pa.array(map(listing_share, texts), pa.float64()),
            "letter_share": pa.array(map(letter_share, texts), pa.float64()),
            "mean_word_chars": pa.array(
                [len(text) / max(1, count) for text, count in zip(texts, counts, strict=True)], pa.float64()
            ),
        }
        if "encoding_certainty" in batch.schema.names:
            signals["encoding_certainty"] = batch.column("encoding_certainty")
        verdict, detail = first_broken(signals, self.rules)
        return Outcome(
            verdict=verdict, detail=detail, columns={"num_words": pa.array(counts, pa.int64())}, signals=signals
        )
