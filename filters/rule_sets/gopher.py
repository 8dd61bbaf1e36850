"""Applies Gopher's rules for web pages (Rae et al. 2021, arXiv:2112.11446, section A1.1), as datatrove does.

The limits are from the paper. The definitions of a word, a line and a repeated run of words are datatrove's
(``gopher_quality_filter.py``, ``gopher_repetition_filter.py`` of version 0.10).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.rule_sets.lines import counts_of
from filters.rule_sets.repetition import REPEATED_LENGTHS, TOP_LENGTHS, chars_in_runs
from filters.rule_sets.words import words_of
from filters.rules import Rule, first_broken
from filters.step import Models, Outcome, Step

_PAPER = "Gopher, arXiv:2112.11446, section A1.1"
_TABLE = "Gopher, arXiv:2112.11446, table A1"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class GopherQuality(Step):
    """Drops pages with too few or too many words, and pages whose words are too short or too long on average. Also
    drops pages with too many symbols, bullets or ellipses, pages in which too few words contain a letter, and pages
    with too few stop words. For the number of symbols per word and the share of words with a letter, punctuation marks
    count as words by default.
    """

    HAS_KERNELS: ClassVar[bool] = True
    NAME: ClassVar[str] = "gopher_quality"
    CITE: ClassVar[str] = f"{_PAPER}; datatrove `GopherQualityFilter`"
    DATA_VERSION: ClassVar[int] = 1
    REASONS: ClassVar[tuple[str, ...]] = (
        "too_few_words",
        "too_many_words",
        "words_too_short",
        "words_too_long",
        "too_many_hashes",
        "too_many_ellipses",
        "too_many_bullets",
        "too_many_lines_end_in_ellipsis",
        "too_few_words_with_letters",
        "too_few_stop_words",
    )

    min_words: int = 50
    max_words: int = 100_000
    min_mean_word_chars: float = 3.0
    max_mean_word_chars: float = 10.0
    max_symbols_per_word: float = 0.1
    """Largest number of hash signs per word, and of ellipses per word."""
    max_bullet_lines: float = 0.9
    """Largest share of lines that begin with a bullet."""
    max_ellipsis_lines: float = 0.3
    """Largest share of lines that end with an ellipsis."""
    min_letter_words: float = 0.8
    """Smallest share of words that contain a letter."""
    min_stop_words: int = 2
    """Smallest number of different ``stop_words`` on a page."""
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    """The default is the paper's list. It fits only English."""
    are_marks_words: bool = True
    """If True, punctuation marks count as words in the shares of symbols and of words with a letter, as in datatrove.
    If False, they do not."""

    def __post_init__(self) -> None:
        if self.min_words < 1:
            raise ValueError("gopher_quality: min_words must be at least 1")
        if isinstance(self.stop_words, str):
            raise ValueError(f"gopher_quality: stop_words must be a list of words, not {self.stop_words!r}")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Returns the limits as rules, in the order in which they are applied."""
        return (
            Rule("too_few_words", "gopher_words", "<", self.min_words, _PAPER),
            Rule("too_many_words", "gopher_words", ">", self.max_words, _PAPER),
            Rule("words_too_short", "gopher_mean_word_chars", "<", self.min_mean_word_chars, _PAPER),
            Rule("words_too_long", "gopher_mean_word_chars", ">", self.max_mean_word_chars, _PAPER),
            Rule("too_many_hashes", "gopher_hashes_per_word", ">", self.max_symbols_per_word, _PAPER),
            Rule("too_many_ellipses", "gopher_ellipses_per_word", ">", self.max_symbols_per_word, _PAPER),
            Rule("too_many_bullets", "gopher_bullet_lines", ">", self.max_bullet_lines, _PAPER),
            Rule("too_many_lines_end_in_ellipsis", "gopher_ellipsis_lines", ">", self.max_ellipsis_lines, _PAPER),
            Rule("too_few_words_with_letters", "gopher_letter_words", "<", self.min_letter_words, _PAPER),
            Rule("too_few_stop_words", "gopher_stop_words", "<", self.min_stop_words, _PAPER),
        )

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Returns the signals and the verdict of every page."""
        texts = batch.column("text")
        words, lines = words_of(texts), counts_of(texts)
        num_words = words.num_all if self.are_marks_words else words.num_words
        signals = {
            "gopher_words": words.num_words.astype(np.float64),
            "gopher_mean_word_chars": share(words.num_chars, words.num_words),
            "gopher_hashes_per_word": share(lines.hashes, num_words),
            "gopher_ellipses_per_word": share(lines.ellipses, num_words),
            "gopher_bullet_lines": share(lines.bullet_lines, lines.split_lines),
            "gopher_ellipsis_lines": share(lines.ellipsis_lines, lines.split_lines),
            "gopher_letter_words": share(words.num_with_letter, num_words),
            "gopher_stop_words": words.num_different(self.stop_words).astype(np.float64),
        }
        return judged(signals, self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class GopherRepetition(Step):
    """Drops pages in which too many lines or paragraphs are repeated. Also drops pages in which repeated lines,
    paragraphs or runs of words contain too large a share of the characters.
    """

    HAS_KERNELS: ClassVar[bool] = True
    NAME: ClassVar[str] = "gopher_repetition"
    CITE: ClassVar[str] = f"{_TABLE}; datatrove `GopherRepetitionFilter`"
    DATA_VERSION: ClassVar[int] = 1
    REASONS: ClassVar[tuple[str, ...]] = (
        "empty",
        "repeated_paragraphs",
        "repeated_paragraph_chars",
        "repeated_lines",
        "repeated_line_chars",
        *(f"top_{n}_gram" for n in TOP_LENGTHS),
        *(f"repeated_{n}_grams" for n in REPEATED_LENGTHS),
    )

    max_repeated_paragraphs: float = 0.3
    """Largest share of paragraphs that occurred before on the page."""
    max_repeated_paragraph_chars: float = 0.2
    """Largest share of a page's characters that may be in paragraphs that occurred before on the page."""
    max_repeated_lines: float = 0.3
    """Largest share of lines that occurred before on the page."""
    max_repeated_line_chars: float = 0.2
    """Largest share of a page's characters that may be in lines that occurred before on the page."""
    max_top_ngrams: tuple[float, ...] = (0.20, 0.18, 0.16)
    """Limits for runs of 2, 3 and 4 words, in this order. Each is the largest share of a page's characters that all
    copies of the most frequent run of this length may have together."""
    max_repeated_ngrams: tuple[float, ...] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)
    """Limits for runs of 5, 6, 7, 8, 9 and 10 words, in this order. Each is the largest share of a page's characters
    that may be in runs of this length that occurred before on the page."""

    def __post_init__(self) -> None:
        if len(self.max_top_ngrams) != len(TOP_LENGTHS) or len(self.max_repeated_ngrams) != len(REPEATED_LENGTHS):
            raise ValueError(f"gopher_repetition: max_top_ngrams takes {len(TOP_LENGTHS)} limits, "
                             f"max_repeated_ngrams {len(REPEATED_LENGTHS)}")  # fmt: skip

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Returns the limits as rules, in the order in which they are applied."""
        top = zip(TOP_LENGTHS, self.max_top_ngrams, strict=True)
        repeated = zip(REPEATED_LENGTHS, self.max_repeated_ngrams, strict=True)
        return (
            Rule("empty", "text_chars", "<", 1, "ours: nothing to measure"),
            Rule("repeated_paragraphs", "repeated_paragraphs", ">", self.max_repeated_paragraphs, _TABLE),
            Rule(
                "repeated_paragraph_chars", "repeated_paragraph_chars", ">", self.max_repeated_paragraph_chars, _TABLE
            ),
            Rule("repeated_lines", "repeated_lines", ">", self.max_repeated_lines, _TABLE),
            Rule("repeated_line_chars", "repeated_line_chars", ">", self.max_repeated_line_chars, _TABLE),
            *(Rule(f"top_{n}_gram", f"top_{n}_gram", ">", limit, _TABLE) for n, limit in top),
            *(Rule(f"repeated_{n}_grams", f"repeated_{n}_grams", ">", limit, _TABLE) for n, limit in repeated),
        )

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Returns the signals and the verdict of every page."""
        texts = batch.column("text")
        lines = counts_of(texts)
        signals = {
            "text_chars": lines.chars.astype(np.float64),
            "repeated_paragraphs": share(lines.repeated_paragraphs, lines.paragraphs),
            "repeated_paragraph_chars": share(lines.repeated_paragraph_chars, lines.chars),
            "repeated_lines": share(lines.repeated_lines, lines.lines),
            "repeated_line_chars": share(lines.repeated_line_chars, lines.chars),
        }
        runs = chars_in_runs(words_of(texts)).T
        for length, chars in zip((*TOP_LENGTHS, *REPEATED_LENGTHS), runs, strict=True):
            name = f"top_{length}_gram" if length in TOP_LENGTHS else f"repeated_{length}_grams"
            signals[name] = share(chars, lines.chars)  # pages with too few words pass, as in datatrove
        return judged(signals, self.rules)


def share(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    """Returns ``part / whole`` for each document. The result is NaN where ``whole`` is 0.

    >>> share([1, 0], [4, 0]).tolist()
    [0.25, nan]
    """
    parts, wholes = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    shares: Floats = np.divide(parts, wholes, out=np.full(len(parts), np.nan), where=wholes > 0)
    return shares


def judged(signals: dict[str, Floats], rules: tuple[Rule, ...]) -> Outcome:
    """Returns the outcome of applying the rules to the signals. NaN becomes null in the signals."""
    columns = {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in signals.items()}
    verdict, detail = first_broken(columns, rules)
    return Outcome(verdict=verdict, detail=detail, signals=columns)
