"""Applies the page and line rules of C4 (Raffel et al. 2020).

The rules, their order and their limits are those of TensorFlow Datasets' ``c4_utils`` (C4 3.1.0): five words per line,
three sentences per page. The paper has other limits, and so have later implementations. For each line, the first rule
that applies decides. Reasons in parentheses drop only the line. The other reasons drop the whole page:

=====================  =====  ==========================================================================
reason                 drops  rule
=====================  =====  ==========================================================================
too_long               page   over 190,000 characters
(too_long_word)        line   a word of over 1,000 characters
(no_end_mark)          line   does not end in ``. ? ! "``, or ends in ``...`` (``[1]``, ``[edit]`` and
                              ``[citation needed]`` are cut out before)
(too_few_words)        line   under 5 words
lorem_ipsum            page   a line contains "lorem ipsum"
(javascript)           line   contains "javascript"
curly_bracket          page   a line contains ``{``
(policy)               line   is about terms of use, privacy or cookies
too_few_sentences      page   under 3 sentences in the kept lines
=====================  =====  ==========================================================================

Signals (numbers stored with a page) report how many lines were kept and how many each rule dropped
(``num_lines_no_end_mark``, ...). They also report the number of sentences before and after the line dedup. The count of
sentences stops at the limit, because the rule needs no more. If ``is_counted_whole`` is set, all sentences are counted.
The documents of published C4 have already passed these rules, so they are kept unchanged, unless ``is_for_published``
is set. The column ``_form`` of these documents has a value other than ``wet``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from filters.c4.sentences import num_sentences
from filters.step import Models, Outcome, Step

END_MARKS = (".", "?", "!", '"')
ELLIPSIS = "..."
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
LINE_FATES = ("kept", "too_long_word", "no_end_mark", "too_few_words", "javascript", "policy")
"""The possible decisions about a line. The signals of a page count its lines by decision (``num_lines_kept``, ...)."""

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")


def is_judged(batch: pa.RecordBatch, *, is_for_published: bool) -> list[bool]:
    """Returns one boolean per document: True if C4's rules must be applied to the document. They are not applied to
    documents of published C4, unless ``is_for_published`` is true."""
    if is_for_published or "_form" not in batch.schema.names:
        return [True] * batch.num_rows
    judged: list[bool] = pc.fill_null(pc.equal(batch.column("_form"), "wet"), True).to_pylist()
    return judged


@dataclass(frozen=True, slots=True)
class CleanedPage:
    """Holds the result of the rules for one page: the remaining text, the reason to drop the page (or None), and counts
    of lines and sentences."""

    text: str
    reason: str | None
    detail: str | None
    num_lines: Mapping[str, int]
    """Number of lines by decision. ``too_long_word``, ``no_end_mark`` and ``too_few_words`` always count all lines of
    the page. The search for phrases comes after these three rules, and ends at a phrase that drops the page (such as
    "lorem ipsum"). Then ``kept``, ``javascript`` and ``policy`` count only the lines before that phrase."""
    num_sentences: int | None = None
    """Number of sentences. The count stops at the limit, unless ``is_counted_whole`` is set. None if a phrase caused
    the page to be dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class C4TooLong(Step):
    """Drops pages of over 190,000 characters, before any other rule."""

    NAME: ClassVar[str] = "c4_length"
    CITE: ClassVar[str] = "C4, c4_utils is_valid_length"
    DATA_VERSION: ClassVar[int] = 1
    REASONS: ClassVar[tuple[str, ...]] = ("too_long",)

    max_chars: int = 190_000
    is_for_published: bool = False

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Decides which pages are dropped, by the number of code points."""
        num_chars = pc.utf8_length(batch.column("text"))
        judged = pa.array(is_judged(batch, is_for_published=self.is_for_published), pa.bool_())
        is_dropped = pc.and_(judged, pc.greater(num_chars, self.max_chars))
        verdict = pc.if_else(is_dropped, "too_long", pa.scalar(None, pa.string()))
        detail = pc.if_else(is_dropped, pc.cast(num_chars, pa.string()), pa.scalar(None, pa.string()))
        return Outcome(verdict=verdict, detail=detail, signals={"num_chars": pc.cast(num_chars, pa.float64())})


@dataclass(frozen=True, slots=True, kw_only=True)
class C4Lines(Step):
    """Drops lines without an end mark, lines with too few words, and lines with boilerplate. Then drops pages with too
    few sentences.

    The step works like ``clean_page`` in c4_utils. It also removes citation marks from the lines that are kept. It
    writes the column ``_line_scope`` for the line dedup. The line dedup skips documents for which this column is null.
    These are the documents of published C4, which is already deduplicated.
    """

    NAME: ClassVar[str] = "c4_lines"
    CITE: ClassVar[str] = "C4, c4_utils clean_page"
    DATA_VERSION: ClassVar[int] = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"_line_scope": pa.string()}
    REASONS: ClassVar[tuple[str, ...]] = ("lorem_ipsum", "curly_bracket", "too_few_sentences")

    max_word_chars: int = 1_000  # c4_utils _MAX_WORD_LENGTH
    min_words_per_line: int = 5  # c4_utils _MIN_WORDS_PER_LINE; 3 in the paper's second version
    min_sentences: int = 3  # c4_utils _MIN_NUM_SENTENCES; 5 in the paper's first version
    is_counted_whole: bool = False
    """If True, all sentences of every kept page are counted. This takes ten times as long as all other rules together.
    """
    is_for_published: bool = False

    def __post_init__(self) -> None:
        if min(self.max_word_chars, self.min_words_per_line, self.min_sentences) < 1:
            raise ValueError("c4_lines: max_word_chars, min_words_per_line and min_sentences must be at least 1")

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Edits every page with :meth:`clean_page`, which also decides whether the page is dropped."""
        judged = is_judged(batch, is_for_published=self.is_for_published)
        if not any(judged):
            names = [*(f"num_lines_{fate}" for fate in LINE_FATES), "num_sentences"]
            scope = pa.nulls(batch.num_rows, pa.string())
            return _unjudged(batch.num_rows, names, {"text": batch.column("text"), "_line_scope": scope})
        texts: list[str] = batch.column("text").to_pylist()
        pages = [self.clean_page(text) if applies else None for text, applies in zip(texts, judged, strict=True)]
        signals = {
            f"num_lines_{fate}": pa.array([page and float(page.num_lines[fate]) for page in pages], pa.float64())
            for fate in LINE_FATES
        }
        signals["num_sentences"] = _doubles([None if page is None else page.num_sentences for page in pages])
        return Outcome(
            verdict=pa.array([page and page.reason for page in pages], pa.string()),
            detail=pa.array([page and page.detail for page in pages], pa.string()),
            columns={
                "text": pa.array(
                    [text if page is None else page.text for text, page in zip(texts, pages, strict=True)], pa.string()
                ),
                "_line_scope": pa.array(["c4" if applies else None for applies in judged], pa.string()),
            },
            signals=signals,
        )

    def clean_page(self, text: str) -> CleanedPage:
        """Applies the rules to one page. The result for a dropped page contains the original text.

        >>> page = C4Lines().clean_page("Menu\\nThis is a line of text.[1]\\nThis is one more of them. And one!")
        >>> page.text
        'This is a line of text.\\nThis is one more of them. And one!'
        >>> page.num_lines["no_end_mark"], page.reason
        (1, None)
        """
        num_lines = dict.fromkeys(LINE_FATES, 0)
        lines = self._whole_lines(text, num_lines)
        reason = None
        if not _is_clean("\n".join(lines)):
            lines, reason = _judge_phrases(lines, num_lines)
        num_lines["kept"] = len(lines)
        if reason is not None:
            return CleanedPage(text, reason, None, num_lines)
        num_found = self._num_sentences(lines)
        if num_found < self.min_sentences:
            return CleanedPage(text, "too_few_sentences", str(num_found), num_lines, num_found)
        return CleanedPage("\n".join(lines).strip(), None, None, num_lines, num_found)

    def _num_sentences(self, lines: list[str]) -> int:
        """Returns the number of sentences in the lines. Each line is split into sentences separately. Unless
        ``is_counted_whole`` is set, counting stops at ``min_sentences``.
        """
        if self.is_counted_whole:
            return sum(num_sentences(line) for line in lines)
        # A kept line is not empty, so it has at least one sentence.
        if len(lines) >= self.min_sentences:
            return self.min_sentences
        return min(self.min_sentences, sum(num_sentences(line, up_to=self.min_sentences) for line in lines))

    def _whole_lines(self, text: str, num_lines: dict[str, int]) -> list[str]:
        """Returns the lines that pass three rules: no word is too long, the line ends with an end mark, and the line
        has enough words.
        """
        lines = [line for line in map(str.strip, text.splitlines()) if line]
        num_left = len(lines)
        if num_left and max(map(len, lines)) > self.max_word_chars:
            lines = [line for line in lines if not self._has_too_long_word(line)]
            num_lines["too_long_word"] = num_left - len(lines)
            num_left = len(lines)
        if "[" in text:
            lines = [_CITATION.sub("", line) if "[" in line else line for line in lines]
        lines = [line for line in lines if line.endswith(END_MARKS) and not line.endswith(ELLIPSIS)]
        num_lines["no_end_mark"] = num_left - len(lines)
        num_left = len(lines)
        num_splits, min_words = self.min_words_per_line - 1, self.min_words_per_line
        lines = [line for line in lines if len(line.split(None, num_splits)) >= min_words]
        num_lines["too_few_words"] = num_left - len(lines)
        return lines

    def _has_too_long_word(self, line: str) -> bool:
        return len(line) > self.max_word_chars and max(map(len, line.split())) > self.max_word_chars


def _is_clean(text: str) -> bool:
    """Returns True if the text contains none of the phrases that :func:`_judge_phrases` searches for. Most pages
    contain none, so their lines need not be tested one by one.
    """
    if "{" in text:
        return False
    lower = text.lower()
    return not (
        "lorem ipsum" in lower
        or "javascript" in lower
        or "cookie" in lower  # part of four of the six phrases
        or "terms of use" in lower
        or "privacy policy" in lower
    )


def _judge_phrases(lines: list[str], num_lines: dict[str, int]) -> tuple[list[str], str | None]:
    """Applies the rules about phrases (lorem ipsum, javascript, ``{`` and policies) to the lines in order. Returns the
    kept lines, and the reason to drop the page or None.
    """
    kept: list[str] = []
    for line in lines:
        lower = line.lower()
        if "lorem ipsum" in lower:
            return kept, "lorem_ipsum"
        if "javascript" in lower:
            num_lines["javascript"] += 1
        elif "{" in line:
            return kept, "curly_bracket"
        elif any(phrase in lower for phrase in POLICY_PHRASES):
            num_lines["policy"] += 1
        else:
            kept.append(line)
    return kept, None


@dataclass(frozen=True, slots=True, kw_only=True)
class C4SentencesAfterDedup(Step):
    """Drops pages that have fewer than 3 sentences after the line dedup.

    At this point the original code does not split each line separately. It splits the whole page into sentences, so a
    sentence can continue after a line that ends with ``Inc.`` or ``"``.
    """

    NAME: ClassVar[str] = "c4_sentences"
    CITE: ClassVar[str] = "C4, c4_utils _remove_lines_from_text"
    DATA_VERSION: ClassVar[int] = 1
    IS_BLIND_TO_CUTS: ClassVar[bool] = True
    REASONS: ClassVar[tuple[str, ...]] = ("empty_after_dedup", "too_few_sentences_after_dedup")

    min_sentences: int = 3  # c4_utils _MIN_NUM_SENTENCES
    is_counted_whole: bool = False
    """The same as :attr:`C4Lines.is_counted_whole`."""
    is_for_published: bool = False

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Decides which pages are dropped, by the text that the line dedup left."""
        judged = is_judged(batch, is_for_published=self.is_for_published)
        if not any(judged):
            return _unjudged(batch.num_rows, ["num_sentences_after_dedup"])
        verdict: list[str | None] = []
        detail: list[str | None] = []
        counts: list[int | None] = []
        up_to = None if self.is_counted_whole else self.min_sentences
        for text, applies in zip(batch.column("text").to_pylist(), judged, strict=True):
            reason, found = None, None
            num_found = num_sentences(text, up_to=up_to) if applies else None
            if applies and not text:
                reason = "empty_after_dedup"
            elif num_found is not None and num_found < self.min_sentences:
                reason, found = "too_few_sentences_after_dedup", str(num_found)
            verdict.append(reason)
            detail.append(found)
            counts.append(num_found)
        return Outcome(
            verdict=pa.array(verdict, pa.string()),
            detail=pa.array(detail, pa.string()),
            signals={"num_sentences_after_dedup": _doubles(counts)},
        )


def _unjudged(num_docs: int, signals: Iterable[str], columns: Mapping[str, pa.Array] | None = None) -> Outcome:
    """Returns the outcome for documents that are all of published C4: they are kept, and nothing is measured. So their
    texts need not be decoded.
    """
    none = pa.nulls(num_docs, pa.string())
    return Outcome(
        verdict=none, detail=none, columns=columns or {}, signals={n: pa.nulls(num_docs, pa.float64()) for n in signals}
    )


def _doubles(values: list[int | None]) -> pa.Array:
    return pa.array([None if value is None else float(value) for value in values], pa.float64())
