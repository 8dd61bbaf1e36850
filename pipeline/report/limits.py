"""Lists the limits that steps set for signals. A signal is a number that a step measures for each document.

The page of a run draws the limits into the charts of distributions. The flag ``--set`` of ``pipeline.report`` changes
them for an estimate.

Most steps have their limits in ``rules``, a table of :class:`filters.rules.Rule`. This module lists the limits of all
other steps itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from filters.c4.english import DEFAULT_MIN_SCORE, C4English
from filters.c4.lines_and_pages import C4Lines, C4SentencesAfterDedup, C4TooLong
from filters.ccnet.perplexity import Perplexity
from filters.language.detect import Language
from filters.rules import Rule
from pipeline.sources.source import AnyStep

TITLES = {
    "num_chars": "characters per document",
    "num_chars_after_dedup": "characters per document, after the line dedup",
    "duplicate_lines": "duplicate lines per document",
    "language_score": "language score",
    "perplexity": "perplexity",
    "reference_score": "reference score",
    "num_sentences": "sentences per document",
    "num_sentences_after_dedup": "sentences per document, after the line dedup",
    "overlap": "overlap with a kept document",
    "across_overlap": "overlap with a kept document of an earlier source",
    "text_bytes": "bytes of text per document",
    "num_tokens": "tokens per document",
    "bytes_per_token": "bytes per token",
    "alphanumeric_share": "share of letters and digits",
    "letter_share": "share of letters",
    "listing_share": "share of lines of a listing",
    "num_words": "words per document",
    "body_words": "words in the article's body",
    "longest_line_words": "words in the longest line",
    "is_disambiguation": "disambiguation pages",
    "mean_word_chars": "characters per word, on average",
    "gutenberg_header_chars": "characters removed as Gutenberg's header",
    "gutenberg_footer_chars": "characters removed as Gutenberg's footer",
    "num_stripped_chars": "characters per file, without header and margins",
    "num_header_chars": "characters of the removed header",
    "max_line_chars": "characters in the longest line",
    "mean_line_chars": "characters per line, on average",
    "alphabetic_per_token": "letters per token",
    "num_comments": "comments removed per paper",
    "num_macros_expanded": "macros expanded per paper",
    "num_macros_left": "macros left per paper",
    "num_headings": "headings per paper",
    "num_lead_chars": "characters kept before the first heading",
    "text_chars": "characters per document",
    "gopher_words": "words per document, without marks",
    "gopher_mean_word_chars": "characters per word, on average",
    "gopher_hashes_per_word": "hashes per word",
    "gopher_ellipses_per_word": "ellipses per word",
    "gopher_bullet_lines": "share of lines with a bullet",
    "gopher_ellipsis_lines": "share of lines that end in an ellipsis",
    "gopher_letter_words": "share of words with a letter",
    "gopher_stop_words": "different stop words",
    "fineweb_lines": "lines per document",
    "fineweb_ending_lines": "share of lines that end a sentence",
    "fineweb_short_lines": "share of short lines",
    "fineweb_repeated_chars": "share of characters in repeated lines",
    "fineweb_line_ends_per_word": "line ends per word",
    "repeated_paragraphs": "share of repeated paragraphs",
    "repeated_paragraph_chars": "share of characters in repeated paragraphs",
    "repeated_lines": "share of repeated lines",
    "repeated_line_chars": "share of characters in repeated lines",
    "num_bad_words_found": "pages with a word of the list",
    "encoding_certainty": "certainty of the guessed encoding",
    "num_unknown_templates": "unknown templates per article",
    "top_2_gram": "share of characters in the most common 2-gram of words",
    "top_3_gram": "share of characters in the most common 3-gram of words",
    "top_4_gram": "share of characters in the most common 4-gram of words",
    **{f"repeated_{n}_grams": f"share of characters in repeated {n}-grams of words" for n in range(5, 11)},
}
"""A few words about each signal, by its name. The same words are in charts, in sentences and in ``docs/formats.md``."""


def title_of(signal: str) -> str:
    """Returns the title of a signal (a number that a step measures), for charts and sentences.

    >>> title_of("num_lines_no_end_mark"), title_of("perplexity")
    ('lines no end mark', 'perplexity')
    """
    return TITLES.get(signal) or signal.removeprefix("num_").replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Describes a limit of a step. ``stage`` drops a document for ``reason`` if the comparison ``signal op value`` is
    true, for example ``num_chars < 300``.
    """

    stage: str
    reason: str
    signal: str
    op: str
    value: float
    cite: str = ""
    language: str | None = None
    """The language that the limit is for; None for all languages."""
    not_of: tuple[str, ...] = ()
    """Languages to which the limit does not apply, because they have separate limits."""
    counts_up_to: float | None = None
    """The number at which the step stops counting. A signal with this value means this many or more."""

    @property
    def label(self) -> str:
        """The text of the limit in charts: the reason, the comparison, and the language if there is one.

        >>> Limit(stage="a", reason="too_short", signal="num_chars", op="<", value=300.0).label
        'too_short < 300'
        """
        where = f" ({self.language})" if self.language else ""
        return f"{self.reason} {self.brief}{where}"

    @property
    def brief(self) -> str:
        """The comparison of the limit as a text, without the drop reason.

        >>> Limit(stage="a", reason="too_long", signal="num_chars", op=">", value=190000.0).brief
        '> 190,000'
        """
        return f"{self.op} {self.value:,.10g}"


def limits_of(step: AnyStep, cutoffs: Mapping[str, Sequence[float]]) -> tuple[Limit, ...]:
    """Returns the limits of a step, in the order in which the step applies them. The tuple is empty if the step
    compares no numbers.
    """
    if isinstance(step, Perplexity):
        return tuple(_of_perplexity(step, cutoffs))
    if isinstance(step, Language):
        return tuple(_of_language(step))
    return tuple(
        Limit(stage=step.NAME, reason=rule.reason, signal=rule.signal, op=rule.op, value=rule.limit, cite=rule.cite,
              counts_up_to=_counts_up_to(step))
        for rule in _rules(step)
    )  # fmt: skip


def _rules(step: AnyStep) -> Sequence[Rule]:
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


def _of_language(step: Language) -> Iterator[Limit]:
    """Yields limits of the language score. The first limit is for all languages without a limit of their own. After it,
    there is one limit for each language that has its own.
    """
    own = tuple(sorted(step.min_scores))
    every = Limit(stage=step.NAME, reason="low_language_score", signal="language_score", op="<", value=step.min_score,
                  cite="CCNet, cc_net/mine.py", not_of=own)  # fmt: skip
    yield every
    for language in own:
        yield replace(every, value=step.min_scores[language], cite="", language=language, not_of=())


def _of_perplexity(step: Perplexity, cutoffs: Mapping[str, Sequence[float]]) -> list[Limit]:
    """Returns one limit per language and per perplexity bucket (head, middle or tail) that the step drops.

    A setting ``keep`` that has the tail but not the middle is not supported.
    """
    found = []
    cite = "cutoff.csv among the run's models; CCNet takes the 30th and the 60th percentile of a language"
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
    """Returns lines to draw into the chart of a signal, as (name, position). The lines mark positions that are not
    limits, for example the perplexity at which the bucket ``head`` ends.
    """
    if not isinstance(step, Perplexity):
        return ()
    return tuple(
        (f"head | middle {head:,.10g} ({language})", float(head)) for language, (head, _) in sorted(cutoffs.items())
    )
