"""Contains two steps. The first drops the pages of Wikipedias that are not in a given list. The second drops pages
whose converted text has no prose.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.rules import Rule, first_broken
from filters.step import Models, Outcome, Step

LLAMA_WIKIS = (
    *("bg", "ca", "cs", "da", "de", "en", "es", "fr", "hr", "hu"),
    *("it", "nl", "pl", "pt", "ro", "ru", "sl", "sr", "sv", "uk"),
)
"""The twenty Wikipedias of "LLaMA: Open and Efficient Foundation Language Models", section 2.1."""

_LETTER = re.compile(r"[^\W\d_]")
_LETTERS_END = 0x34000
"""The code point of every letter is below this number."""
_CHARS_AT_ONCE = 1 << 18
"""Words are counted in blocks of about this many characters, because such a block fits into a processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WikiLanguages(Step):
    """Drops the pages of all Wikipedias except those in ``wikis``: by default, the twenty that the LLaMA paper names.

    The step reads the column ``_wiki``, which contains the wiki's code. (``simple`` and ``en`` are different wikis.)
    """

    NAME: ClassVar[str] = "wiki_languages"
    DATA_VERSION: ClassVar[int] = 1
    IS_BLIND_TO_CUTS: ClassVar[bool] = True
    NEEDS: ClassVar[tuple[str, ...]] = ("_wiki",)
    REASONS: ClassVar[tuple[str, ...]] = ("other_language",)
    CITE: ClassVar[str] = "the paper"

    wikis: tuple[str, ...] = LLAMA_WIKIS
    """Codes of the Wikipedias that are kept."""

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Drops the pages of wikis that are not in ``wikis``. Records the wiki's code for each dropped page."""
        wiki = batch.column("_wiki").cast(pa.string())
        is_other = pc.invert(pc.fill_null(pc.is_in(wiki, pa.array(self.wikis, pa.string())), False))
        nothing = pa.nulls(batch.num_rows, pa.string())
        return Outcome(
            verdict=pc.if_else(is_other, "other_language", nothing),
            detail=pc.if_else(is_other, pc.fill_null(wiki, "null"), nothing),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Article(Step):
    """Drops a page if nothing follows its title, or if no line has at least three words.

    Input columns: ``text`` (written by :class:`filters.wikitext.page.Wikitext`), ``title``, ``_is_disambiguation``.
    """

    NAME: ClassVar[str] = "article"
    DATA_VERSION: ClassVar[int] = 1
    NEEDS: ClassVar[tuple[str, ...]] = ("title", "_is_disambiguation")
    REASONS: ClassVar[tuple[str, ...]] = ("empty_article", "disambiguation", "no_prose")

    is_disambiguation_dropped: bool = False
    """If True, disambiguation pages are dropped, too. Off by default, because the LLaMA paper has no such rule."""
    min_body_words: int = 1
    """Fewest words after the title. Our choice: a page with nothing but its title has no content."""
    min_longest_line_words: int = 3
    """Fewest words in the longest line after the title. Our choice: a page with only shorter lines consists of headings
    and labels. The shortest known articles are one sentence of three words."""

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Judges every page by its words after the title."""
        titles = batch.column("title").to_pylist()
        flags = batch.column("_is_disambiguation").to_pylist()
        texts = batch.column("text").to_pylist()
        bodies = [body_of(text, title or "") for text, title in zip(texts, titles, strict=True)]
        num_words, longest = count_words(bodies)
        signals = {
            "body_words": pa.array(num_words, pa.float64()),
            "is_disambiguation": pa.array([float(bool(flag)) for flag in flags], pa.float64()),
            "longest_line_words": pa.array(longest, pa.float64()),
        }
        verdict, detail = first_broken(signals, self.rules())
        return Outcome(verdict=verdict, detail=detail, signals=signals)

    def rules(self) -> tuple[Rule, ...]:
        """Returns the rules that drop a page, in the order in which they are tested."""
        disambiguation = Rule("disambiguation", "is_disambiguation", ">", 0, "ours; off by default")
        return (
            Rule("empty_article", "body_words", "<", self.min_body_words, "ours"),
            *((disambiguation,) if self.is_disambiguation_dropped else ()),
            Rule("no_prose", "longest_line_words", "<", self.min_longest_line_words, "ours"),
        )


def count_words(texts: Sequence[str]) -> tuple[list[float], list[float]]:
    """Returns two numbers per text: its number of words, and the number of words in its longest line. A word has two
    letters or more.

    >>> count_words(["a bee or two\\nsix bees", ""])
    ([5.0, 0.0], [3.0, 0.0])
    """
    totals: list[float] = []
    longest: list[float] = []
    for some in _pieces(texts):
        codes = np.frombuffer("\n".join(some).encode("utf-32-le", "surrogatepass"), np.uint32)
        is_letter = np.zeros(len(codes) + 2, np.bool_)
        is_letter[1:-1] = _letters()[np.minimum(codes, _LETTERS_END)]
        word_starts = np.flatnonzero(is_letter[1:-1] & is_letter[2:] & ~is_letter[:-2])
        ends = np.searchsorted(word_starts, np.flatnonzero(codes == ord("\n")))
        by_line = np.diff(ends, prepend=0, append=len(word_starts))
        first_lines = np.cumsum([0, *(text.count("\n") + 1 for text in some[:-1])])
        totals += np.add.reduceat(by_line, first_lines).astype(np.float64).tolist()
        longest += np.maximum.reduceat(by_line, first_lines).astype(np.float64).tolist()
    return totals, longest


def _pieces(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yields the texts in groups, in order. A group ends as soon as it has :data:`_CHARS_AT_ONCE` characters."""
    held: list[str] = []
    num_chars = 0
    for text in texts:
        held.append(text)
        num_chars += len(text)
        if num_chars >= _CHARS_AT_ONCE:
            yield held
            held, num_chars = [], 0
    if held:
        yield held


@functools.cache
def _letters() -> npt.NDArray[np.bool_]:
    """Returns one boolean per code point up to :data:`_LETTERS_END`. The boolean is True if Python's ``re`` counts the
    code point as a letter."""
    every = "".join(map(chr, range(_LETTERS_END)))
    found = np.zeros(_LETTERS_END + 1, np.bool_)
    found[[match.start() for match in _LETTER.finditer(every)]] = True
    return found


def body_of(text: str, title: str) -> str:
    """Returns the text after the title.

    >>> body_of("Pear\\n\\nPears are fruits.", "Pear"), body_of("Pear", "Pear")
    ('Pears are fruits.', '')
    """
    if title and text.startswith(title) and text[len(title) : len(title) + 2] in ("", "\n\n"):
        return text[len(title) :].lstrip("\n")
    return text
