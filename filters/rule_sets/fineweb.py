"""Applies FineWeb's own rules for web pages (Penedo et al. 2024, arXiv:2406.17557, section 3), as datatrove does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from filters.rule_sets.gopher import judged, share
from filters.rule_sets.lines import counts_of
from filters.rule_sets.words import words_of
from filters.rules import Rule
from filters.step import Models, Outcome, Step

_PAPER = "FineWeb, arXiv:2406.17557, section 3"
_CODE = "datatrove `FineWebQualityFilter`"


@dataclass(frozen=True, slots=True, kw_only=True)
class FineWebQuality(Step):
    """Drops pages for one of four reasons: too few lines end like a sentence, too many lines are short, too many
    characters are in repeated lines, or there are too many line ends per word (as in a list). Blank lines are not
    counted.
    """

    HAS_KERNELS: ClassVar[bool] = True
    NAME: ClassVar[str] = "fineweb_quality"
    CITE: ClassVar[str] = f"{_PAPER}; {_CODE}"
    DATA_VERSION: ClassVar[int] = 1
    REASONS: ClassVar[tuple[str, ...]] = (
        "no_lines",
        "too_few_lines_end_sentences",
        "too_many_short_lines",
        "too_many_repeated_chars",
        "like_a_list",
    )

    min_ending_lines: float = 0.12
    """Smallest share of lines whose last character ends a sentence, such as a full stop."""
    max_short_lines: float = 0.67
    """Largest share of short lines."""
    short_line_chars: int = 30
    """A line is short if it has at most this many characters."""
    max_repeated_chars: float = 0.01
    """Largest share of a page's characters that may be in lines that occurred before on the page. The value is from
    FineWeb's code; the paper says 0.1."""
    max_line_ends_per_word: float = 0.3
    """Largest number of line ends per word. This rule is in FineWeb's code, but not in the paper."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Returns the limits as rules, in the order in which they are applied."""
        return (
            Rule("no_lines", "fineweb_lines", "<", 1, "ours: nothing to measure"),
            Rule("too_few_lines_end_sentences", "fineweb_ending_lines", "<", self.min_ending_lines, _PAPER),
            Rule("too_many_short_lines", "fineweb_short_lines", ">", self.max_short_lines, _PAPER),
            Rule("too_many_repeated_chars", "fineweb_repeated_chars", ">", self.max_repeated_chars, _PAPER),
            Rule("like_a_list", "fineweb_line_ends_per_word", ">", self.max_line_ends_per_word, _CODE),
        )

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Returns the signals and the verdict of every page."""
        texts = batch.column("text")
        lines = counts_of(texts, short_chars=self.short_line_chars)
        signals = {
            "fineweb_lines": lines.full_lines.astype(np.float64),
            "fineweb_ending_lines": share(lines.ending_lines, lines.full_lines),
            "fineweb_short_lines": share(lines.short_lines, lines.full_lines),
            "fineweb_repeated_chars": share(lines.repeated_full_line_chars, lines.chars - lines.newlines),
            "fineweb_line_ends_per_word": share(lines.newlines, words_of(texts).num_all),
        }
        return judged(signals, self.rules)
