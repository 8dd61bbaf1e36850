"""The limits of a source's steps on what they measure: drawn into the distributions, and what ``--set`` moves.

A step that has a table of :class:`filters.rules.Rule` in its ``rules`` is known by it; the others stand here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from filters.c4.english import DEFAULT_MIN_SCORE, C4English
from filters.c4.lines_and_pages import C4Lines, C4SentencesAfterDedup, C4TooLong
from filters.ccnet.perplexity import Perplexity
from filters.language.detect import Language
from filters.rules import Rule
from pipeline.sources.dedup_steps import NearDedup
from pipeline.sources.source import AnyStep

OVERLAP = NearDedup.SIGNAL

_TITLES = {
    "num_chars": "characters a document",
    "num_chars_after_dedup": "characters a document, behind the line dedup",
    "duplicate_lines": "duplicate lines a document",
    "language_score": "language score",
    "perplexity": "perplexity",
    "reference_score": "reference score",
    "num_sentences": "sentences a document",
    "num_sentences_after_dedup": "sentences a document, behind the line dedup",
    OVERLAP: "overlap with a kept book",
    "text_bytes": "bytes of text a document",
    "num_tokens": "tokens a document",
    "bytes_per_token": "bytes a token",
    "alphanumeric_share": "share of letters and digits",
    "letter_share": "share of letters",
    "listing_share": "share of lines of a listing",
    "num_words": "words a document",
    "body_words": "words of the article's body",
    "longest_line_words": "words of the longest line",
    "is_disambiguation": "disambiguation pages",
    "mean_word_chars": "characters a word, on the average",
    "gutenberg_header_chars": "characters taken off as Gutenberg's header",
    "gutenberg_footer_chars": "characters taken off as Gutenberg's footer",
    "num_stripped_chars": "characters a file, header and margins off",
    "num_header_chars": "characters of the header taken off",
    "max_line_chars": "characters of the longest line",
    "mean_line_chars": "characters a line, on the average",
    "alphabetic_per_token": "letters a token",
    "num_comments": "comments taken off a paper",
    "num_macros_expanded": "macros expanded a paper",
    "num_macros_left": "macros left a paper",
    "num_headings": "headings a paper",
    "num_lead_chars": "characters taken off before the first section",
    "num_bad_words_found": "words of the list that were found",
}


def title_of(signal: str) -> str:
    """What a signal is called for people.

    >>> title_of("num_lines_no_end_mark"), title_of("perplexity")
    ('lines no end mark', 'perplexity')
    """
    return _TITLES.get(signal) or signal.removeprefix("num_").replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A document falls at ``stage`` for ``reason`` if ``signal op value`` holds."""

    stage: str
    reason: str
    signal: str
    op: str
    value: float
    cite: str = ""
    language: str | None = None
    """The language whose documents it is for; None: all."""
    counts_up_to: float | None = None
    """Where the step stops counting: a signal of this value means this many or more."""

    @property
    def label(self) -> str:
        """
        >>> Limit(stage="a", reason="too_short", signal="num_chars", op="<", value=300.0).label
        'too_short < 300'
        """
        where = f" ({self.language})" if self.language else ""
        return f"{self.reason} {self.brief}{where}"

    @property
    def brief(self) -> str:
        """
        >>> Limit(stage="a", reason="too_long", signal="num_chars", op=">", value=190000.0).brief
        '> 190,000'
        """
        return f"{self.op} {self.value:,.10g}"


def limits_of(step: AnyStep, cutoffs: Mapping[str, Sequence[float]]) -> tuple[Limit, ...]:
    """The limits of one step, in the order in which they decide; none of a step that judges by no number."""
    if isinstance(step, Perplexity):
        return tuple(_of_perplexity(step, cutoffs))
    if isinstance(step, NearDedup):
        cite = "LLaMA, section 2.1: over 90% of content"
        return (Limit(stage=step.NAME, reason=step.REASON, signal=OVERLAP, op=">", value=step.max_overlap, cite=cite),)
    return tuple(
        Limit(stage=step.NAME, reason=rule.reason, signal=rule.signal, op=rule.op, value=rule.limit, cite=rule.cite,
              counts_up_to=_counts_up_to(step))
        for rule in _rules(step)
    )  # fmt: skip


def _rules(step: AnyStep) -> Sequence[Rule]:
    if isinstance(step, Language):
        return (Rule("low_language_score", "language_score", "<", step.min_score, "CCNet, cc_net/mine.py"),)
    if isinstance(step, C4English):
        score = DEFAULT_MIN_SCORE[step.method] if step.min_score is None else step.min_score
        return (Rule("low_score", "language_score", "<", score, "c4_utils detect_english; ours for fastText"),)
    if isinstance(step, C4TooLong):
        return (Rule("too_long", "num_chars", ">", step.max_chars, "c4_utils is_valid_length"),)
    if isinstance(step, C4Lines):
        return (Rule("too_few_sentences", "num_sentences", "<", step.min_sentences, "c4_utils _MIN_NUM_SENTENCES"),)
    if isinstance(step, C4SentencesAfterDedup):
        reason, signal = "too_few_sentences_after_dedup", "num_sentences_after_dedup"
        return (Rule(reason, signal, "<", step.min_sentences, "c4_utils _MIN_NUM_SENTENCES"),)
    rules: Any = getattr(step, "rules", ())
    return tuple(rules() if callable(rules) else rules)


def _counts_up_to(step: AnyStep) -> float | None:
    if isinstance(step, C4Lines | C4SentencesAfterDedup) and not step.is_counted_whole:
        return float(step.min_sentences)
    return None


def _of_perplexity(step: Perplexity, cutoffs: Mapping[str, Sequence[float]]) -> list[Limit]:
    """Where a bucket that is kept ends, by language; what is not told is that buckets in the middle may be dropped."""
    found = []
    cite = "CCNet, cutoff.csv: the 30th and the 60th percentile"
    for language, (head, tail) in sorted(cutoffs.items()):
        for bucket, reason, op, value in (
            ("tail", "tail_perplexity", ">=", tail),
            ("middle", "middle_perplexity", ">=", head),
            ("head", "head_perplexity", "<", head),
        ):
            if bucket not in step.keep:
                found.append(Limit(stage=step.NAME, reason=reason, signal="perplexity", op=op, value=value, cite=cite,
                                   language=language))  # fmt: skip
    return found


def marks_of(step: AnyStep, cutoffs: Mapping[str, Sequence[float]]) -> tuple[tuple[str, float], ...]:
    """Places on a signal's axis that are no limit and yet worth a line: where the head ends."""
    if not isinstance(step, Perplexity):
        return ()
    return tuple(
        (f"head | middle {head:,.10g} ({language})", float(head)) for language, (head, _) in sorted(cutoffs.items())
    )
