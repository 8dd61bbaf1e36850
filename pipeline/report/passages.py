"""Finds the passage that decided whether a document was dropped or kept. It is a line, a span of characters, or a
window (some lines) with the worst score of a model.

The drop reason decides what is searched for. Dropped and kept documents are searched in the same way, so that documents
on both sides of a limit can be compared. If the search finds no passage, the text is shown from its beginning.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from filters.c4.lines_and_pages import END_MARKS

Span = tuple[int, int]
"""The place of a passage: the index of its first character, and the index after its last."""
MAX_SPANS = 40
"""The largest number of passages that are marked in a text."""
_NGRAM_WORDS = 5
_WINDOW_CHARS = 240
_MAX_WINDOWS = 120
_SHORT_LINE_CHARS = 30
_MIN_LINE_WORDS = 5
_MIN_MARK_CHARS = 2
_WORD = re.compile(r"\w+")
_LINE = re.compile(r"[^\n]+")
_PARAGRAPH = re.compile(r"\S(?:.|\n(?!\s*\n))*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffd]+")
_BULLET = re.compile(r"^[ \t]*[•‣▶◀◦■□▪▫–\-*·●].*$", re.MULTILINE)
_ELLIPSIS = re.compile(r"\.\.\.|…")
_ELLIPSIS_LINE = re.compile(r"^.*(?:\.\.\.|…)[ \t]*$", re.MULTILINE)
_LOREM = re.compile(r"lorem ipsum", re.IGNORECASE)
_LONG_WORD = re.compile(r"\w{14,}")
_NO_LETTERS = re.compile(r"(?<!\w)[^\W_]*\d[\d.,:/%-]*|[^\w\s]{2,}")


@dataclass(frozen=True, slots=True)
class Passage:
    """Holds the parts of a text that made a step drop or keep the document."""

    spans: tuple[Span, ...] = ()
    """The marked parts, in the order of the text. The parts do not overlap."""
    says: str = ""
    """A few words about what is marked."""


Find = Callable[[str], Passage]
Score = Callable[[str], float | None]
"""The type of a function that scores a part of a text. It returns None if the part has no score."""


def _lines(text: str) -> Iterator[re.Match[str]]:
    return (line for line in _LINE.finditer(text) if not line[0].isspace())


def _matches(pattern: re.Pattern[str], says: str) -> Find:
    def find(text: str) -> Passage:
        spans = tuple(m.span() for m, _ in zip(pattern.finditer(text), range(MAX_SPANS), strict=False))
        return Passage(spans, says if spans else "")

    return find


def _lines_that(is_one: Callable[[str], bool], says: str) -> Find:
    def find(text: str) -> Passage:
        spans = tuple(line.span() for line in _lines(text) if is_one(line[0]))[:MAX_SPANS]
        return Passage(spans, says if spans else "")

    return find


def _line_with_most(value: Callable[[str], float], says: str) -> Find:
    def find(text: str) -> Passage:
        most = max(_lines(text), key=lambda line: value(line[0]), default=None)
        return Passage((most.span(),), says) if most else Passage()

    return find


def _repeated(pattern: re.Pattern[str], says: str) -> Find:
    def find(text: str) -> Passage:
        seen: set[str] = set()
        spans = []
        for part in pattern.finditer(text):
            key = part[0].strip()
            if key and key in seen:
                spans.append(part.span())
            seen.add(key)
        return Passage(tuple(spans[:MAX_SPANS]), says if spans else "")

    return find


def _repeated_words(number: int, *, only_top: bool) -> Find:
    """Returns a function that marks repeated phrases of ``number`` words in a text. With ``only_top``, only the most
    frequent phrase is marked.
    """

    def find(text: str) -> Passage:
        words = list(_WORD.finditer(text))
        grams = [" ".join(w[0].lower() for w in words[at : at + number]) for at in range(len(words) - number + 1)]
        counts = Counter(grams)
        top = counts.most_common(1)[0][0] if counts else ""
        at = [i for i, gram in enumerate(grams) if counts[gram] > 1 and (not only_top or gram == top)]
        spans = merged((words[i].start(), words[i + number - 1].end()) for i in at)
        return Passage(spans, f"repeated runs of {number} words" if spans else "")

    return find


def _share_without(pattern: str) -> Callable[[str], float]:
    """Returns a function that computes the score of a line. The score is the number of characters that do not match
    ``pattern``. Lines with fewer than 60 characters get a lower score.
    """
    compiled = re.compile(pattern)
    return lambda line: (len(line) - len(compiled.findall(line))) * min(1.0, len(line) / 60)


FINDERS: Mapping[str, Find] = {
    "lorem_ipsum": _matches(_LOREM, "the filler text"),
    "curly_bracket": _matches(re.compile(r"[^\n]*[{}][^\n]*"), "lines with curly brackets"),
    "binary_content": _matches(_CONTROL, "bytes that no text has"),
    "line_too_long": _line_with_most(len, "the longest line"),
    "mean_line_too_long": _lines_that(lambda line: len(line) > 100, "lines of over 100 characters"),
    "too_few_alphanumeric": _line_with_most(_share_without(r"[^\W_]"), "the line with fewest letters and digits"),
    "too_few_alphabetic_per_token": _line_with_most(_share_without(r"[^\W\d_]"), "the line with fewest letters"),
    "not_text": _line_with_most(_share_without(r"[^\W\d_]"), "the line with fewest letters"),
    "too_few_sentences": _lines_that(
        lambda line: line.rstrip().endswith(END_MARKS) and len(line.split()) >= _MIN_LINE_WORDS,
        "lines that count: they end a sentence and have five words",
    ),
    "too_few_lines_end_sentences": _lines_that(
        lambda line: line.rstrip().endswith(END_MARKS), "lines that end a sentence"
    ),
    "too_many_short_lines": _lines_that(
        lambda line: len(line) <= _SHORT_LINE_CHARS, f"lines of up to {_SHORT_LINE_CHARS} characters"
    ),
    "too_many_repeated_chars": _repeated(_LINE, "lines that were there before"),
    "repeated_lines": _repeated(_LINE, "lines that were there before"),
    "repeated_line_chars": _repeated(_LINE, "lines that were there before"),
    "repeated_paragraphs": _repeated(_PARAGRAPH, "paragraphs that were there before"),
    "repeated_paragraph_chars": _repeated(_PARAGRAPH, "paragraphs that were there before"),
    **{f"top_{n}_gram": _repeated_words(n, only_top=True) for n in (2, 3, 4)},
    **{f"repeated_{n}_grams": _repeated_words(n, only_top=False) for n in range(5, 11)},
    "too_many_hashes": _matches(re.compile(r"#+"), "hashes"),
    "too_many_ellipses": _matches(_ELLIPSIS, "ellipses"),
    "too_many_bullets": _matches(_BULLET, "lines that begin with a bullet"),
    "too_many_lines_end_in_ellipsis": _matches(_ELLIPSIS_LINE, "lines that end in an ellipsis"),
    "too_few_words_with_letters": _matches(_NO_LETTERS, "words without letters"),
    "words_too_long": _matches(_LONG_WORD, "long words"),
    "like_a_list": _lines_that(lambda line: len(line.split()) <= _MIN_LINE_WORDS - 1, "lines of few words"),
    "too_few_stop_words": _matches(
        re.compile(r"\b(?:the|be|to|of|and|that|have|with)\b", re.IGNORECASE), "stop words that were found"
    ),
}
"""Maps each drop reason to the function that finds the passage."""


def by_reason(reason: str, text: str, detail: str = "") -> Passage:
    """Finds the passage in a text that belongs to a drop reason, for example the line with a curly bracket.

    If :data:`FINDERS` has no function for the reason, ``detail`` is searched for in the text. The step that dropped the
    document wrote ``detail``, for example a word from a list.

    >>> by_reason("curly_bracket", "Text.\\nif (a) {").spans
    ((6, 14),)
    >>> by_reason("bad_word", "Such a word.", "word")
    Passage(spans=((7, 11),), says='"word"')
    """
    if reason in FINDERS:
        return FINDERS[reason](text)
    if len(detail) >= _MIN_MARK_CHARS and not detail.replace(".", "").isdigit():
        pattern = re.compile(re.escape(detail), re.IGNORECASE)
        return _matches(pattern, f'"{detail}"')(text)
    return Passage()


def shared(text: str, other: str) -> Passage:
    """Finds the runs of at least five words that both texts have. Returns their places in ``text``.

    >>> shared("One two three four five six.", "A one two three four five b.").spans
    ((0, 23),)
    """
    words = list(_WORD.finditer(text))
    others = [word.lower() for word in _WORD.findall(other)]
    known = {tuple(others[at : at + _NGRAM_WORDS]) for at in range(len(others) - _NGRAM_WORDS + 1)}
    lower = [word[0].lower() for word in words]
    at = (i for i in range(len(words) - _NGRAM_WORDS + 1) if tuple(lower[i : i + _NGRAM_WORDS]) in known)
    spans = merged((words[i].start(), words[i + _NGRAM_WORDS - 1].end()) for i in at)
    return Passage(spans, f"what both have, in runs of {_NGRAM_WORDS} words" if spans else "")


def merged(spans: Iterator[Span] | Sequence[Span]) -> tuple[Span, ...]:
    """Joins spans that touch or overlap. The spans must be sorted. At most ``MAX_SPANS`` joined spans are returned.

    >>> merged([(0, 5), (3, 9), (12, 14)])
    ((0, 9), (12, 14))
    """
    found: list[Span] = []
    for start, end in spans:
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        elif len(found) == MAX_SPANS:
            break
        else:
            found.append((start, end))
    return tuple(found)


def worst_window(text: str, score: Score, *, is_high_bad: bool, says: str) -> Passage:
    """Finds the part of a text that gets the worst score. The text is divided into windows: consecutive lines with
    about 240 characters in all. The result is empty if fewer than two windows have a score. In the example, the score
    of a window is the number of ``bad`` plus 0.5:

    >>> text = "good " * 60 + "\\n" + "bad " * 70
    >>> worst_window(text, lambda part: part.count("bad") + 0.5, is_high_bad=True, says="score").says
    'score 70.5 of these lines alone'
    """
    scored: list[tuple[float, Span]] = []
    for start, end in windows(text):
        value = score(text[start:end])
        if value is not None:
            scored.append((value if is_high_bad else -value, (start, end)))
    if len(scored) < 2:
        return Passage()
    worst, span = max(scored, key=lambda one: (one[0], -one[1][0]))
    return Passage((span,), f"{says} {abs(worst):,.4g} of these lines alone")


def windows(text: str) -> list[Span]:
    """Divides a text into windows (pieces of the text that are scored one by one). A window has about 240 characters or
    more, and ends at the end of a line. If it would get longer than 480 characters, it ends inside a line instead. At
    most 120 windows are returned, so the end of a very long text is in no window.

    >>> windows("a" * 300 + "\\n" + "b" * 100)
    [(0, 300), (301, 401)]
    """
    found: list[Span] = []
    start = 0
    while start < len(text) and len(found) < _MAX_WINDOWS:
        end = start + _WINDOW_CHARS
        line_end = text.find("\n", end - 1, end + _WINDOW_CHARS)
        if line_end < 0:
            space = text.find(" ", end, end + 40)
            line_end = space if space > 0 else end
        end = len(text) if line_end + _WINDOW_CHARS // 4 > len(text) else max(line_end, start + 1)
        found.append((start, min(end, len(text))))
        start = end
        while start < len(text) and text[start].isspace():
            start += 1
    return found


def scored_passage(reason: str, text: str, scores: Mapping[str, Any], language: str) -> Passage | None:
    """Returns the window (some lines of a text) to which a model gives the worst score. ``reason`` decides which model
    is used: for example, ``tail_perplexity`` stands for the perplexity model. Returns None if no model belongs to the
    reason, or if the model is not in ``scores``.

    Args:
        scores: the models of the run that are on this machine, by their key.
    """
    if reason in ("tail_perplexity", "middle_perplexity", "head_perplexity") and "perplexity" in scores:
        model = scores["perplexity"].get(language)
        is_high = reason != "head_perplexity"
        return worst_window(text, model.perplexity, is_high_bad=is_high, says="perplexity") if model else None
    if reason == "not_reference" and "reference" in scores:
        return worst_window(text, scores["reference"].score, is_high_bad=False, says="score")
    if reason in ("low_language_score", "low_score") and "language" in scores:
        detector = scores["language"]
        return worst_window(text, lambda part: detector.top(part)[1], is_high_bad=False, says="language score")
    return None
