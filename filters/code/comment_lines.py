"""Splits a comment into lines, statements and sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass

from filters.code.licence_words import speaks

_MAX_LINE_CHARS = 2_000
"""Maximum length of a line that is searched, in characters. Our choice: longer lines contain data, not text."""
_MAX_STATEMENT_LINES = 60
_DIRECTIVE = re.compile(
    r"-\*-.*-\*-|\b(?:vim?|ex):\s*(?:set?\b|\w+=)|\bcoding[:=]\s*[-\w.]+|\blexical-binding:|"
    r"^\W{0,3}(?:frozen_string_literal|warn_indent|shareable_constant_value|typed|rbs_inline)[ \t]*:|"
    r"^//go:\w+|^//[ \t]*\+build\b|^//[ \t]*swift-tools-version|^///[ \t]*<(?:reference|amd)|"
    r"^//[ \t]*@(?:ts-|flow|jsx)|^#[ \t]*(?:syntax|escape)[ \t]*=|^%[ \t]*!?tex\b|"
    r"^\W{1,3}(?:pylint|flake8|mypy|ruff|noqa|yapf|isort|rubocop|shellcheck|eslint|jshint|jslint|globals?|prettier|"
    r"istanbul|pyright|type|fmt|cython|distutils|nolint|spdx-package\w*)[ \t]*:|"
    r"^\W{1,3}(?:eslint|jshint|prettier|pyre|pylint|ktlint)-\w+|"
    r"^\W{1,3}(?:@nolint|NOLINT|@(?:no)?flow|@format|@jest)\b",
    re.IGNORECASE,
)
"""Matches lines that are written for tools, such as editor settings. These lines stay, even inside a licence notice."""
DECORATION = " \t\r*/#;%!|-=~_+.:<>'\"(){}[]\\@^"
_PREFIX = re.compile(
    r"[ \t]*(?:['\"][ \t]*)?(?:(?:--+|//+|/?\*+|#+|;+|%+|!+|::|\||\.\.|>|(?:rem|dnl|c)(?=\s))[ \t]*)*"
    r"(?:[!|^]|[<>](?=[ \t]|\Z))?[ \t]*",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"(?:[@\\:][A-Za-z]+\b|[A-Z][\w/-]*(?: [\w/-]+){0,2}[ \t]*::?(?:\s|$)|</?\w|[*•-][ \t]|\(?\d{1,2}[.)][ \t]"
    r"|(?:See|Based on|Created|Written|Author|Maintain|Requires|Usage|Original|Distributed|Licensed|Released|Permission"
    r"|Redistribution|Questions|This (?:software|program|file|code|library|module|source|work|project))\b|https?://)"
)
_COPYRIGHT_LINE = re.compile(r"\W*(?:copyrights?\b|\(c\)|©|portions\s+copyright|spdx-)", re.IGNORECASE)
_COULD_BEGIN = re.compile(r"\w+[./_-]\S+\s+(?:is|are|was)\b|[A-Z(@]")
_SHORT_CHARS = 40
_URL_END = re.compile(r"https?://\S+\s*\Z")
_CONTINUED = re.compile(
    r"(?:[,&]|\b(?:and|by|the|of|or|from|with|to|for|under|is|are|a|an|in|on|at|as|that|this|which|be"
    r"|not|any|no|its|all|see|contract))\s*\Z",
    re.IGNORECASE,
)
_GRANT = re.compile(r"(?:licensed|distributed|released|the\s+\w+\s+licenses)\b", re.IGNORECASE)
_GRANT_ENDS = re.compile(
    r"(?:licen[sc]es?|terms|copying|mit|x11|bsd|[al]?gpl|apache|mpl|isc|boost|zlib|v?[\d.]+)\W*\Z", re.IGNORECASE
)
_REST_OF_NAME = re.compile(r"Licen[sc]e(?:[,.;)\"']|\s+(?:for|at|version|as|and|\(|v\d))", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!Questions\?)[\"')\]]*(?:[ \t]+|\n)(?=[\"'(\[]?[A-Z@<])")
_ABBREVIATION = re.compile(
    r"(?:\b|\A)(?:\d{1,2}|inc|ltd|corp|co|no|st|mr|dr|vs|v|cf|e\.g|i\.e|al|[A-Z])\.\Z", re.IGNORECASE
)
_REGION_LINE = re.compile(
    r"\W*(?:end[ _]?region|region|</?editor-fold|[{}]{3})\W.*|\W*(?:region|end[ _]?region)\W*", re.IGNORECASE
)


@dataclass(slots=True)
class Line:
    """Holds a line of a comment in three parts. ``prefix`` contains the comment marks and indentation at the line's
    start. ``suffix`` contains the mark ``*/`` at the line's end, with the stars and slashes before it. ``content``
    contains the text between them, which can be edited.
    """

    prefix: str
    content: str
    suffix: str = ""
    is_removed: bool = False

    @property
    def is_blank(self) -> bool:
        return not self.content.strip(DECORATION)


def closes_region(line: Line) -> bool:
    return "end" in line.content.lower() or "</" in line.content or "}}}" in line.content


def line_of(line: str) -> Line:
    match = _PREFIX.match(line)
    begin, end = match.end() if match else 0, len(line)
    if line.rstrip().endswith("*/"):
        end = max(begin, len(line.rstrip(" \t\r*/")))
    return Line(line[:begin], line[begin:end], line[end:])


def _is_directive(line: Line) -> bool:
    return _DIRECTIVE.search((line.prefix + line.content).strip()[:300]) is not None


def is_region(line: Line) -> bool:
    return _REGION_LINE.fullmatch(line.content[:200].rstrip()) is not None


def statements_of(lines: list[Line]) -> list[list[Line]]:
    """Groups the lines of a comment into statements, and returns the lines of each statement. A statement is a sentence
    over several lines, a paragraph, or a single line such as ``@author A``.
    """
    statements: list[list[Line]] = []
    previous: Line | None = None
    for line in lines:
        if (
            line.is_removed
            or line.is_blank
            or _is_directive(line)
            or is_region(line)
            or len(line.content) > _MAX_LINE_CHARS
        ):
            previous = None
            continue
        if previous is None or len(statements[-1]) >= _MAX_STATEMENT_LINES or _begins_anew(line, previous):
            statements.append([])
        statements[-1].append(line)
        previous = line
    return statements


def _is_continued(content: str) -> bool:
    """Returns True if the sentence at the end of a line continues on the next line. Such a line ends with a comma,
    ``and`` or ``as``, for example.

    A last word in capitals is ignored, because it is probably part of a name: ``Copyright 2015 Opera Software AS``. It
    is not ignored if the whole line is in capitals.
    """
    match = _CONTINUED.search(content)
    return match is not None and (not match.group().strip().isupper() or content.isupper())


def _begins_anew(line: Line, previous: Line) -> bool:
    if line.prefix.strip() != previous.prefix.strip() and not line.prefix.strip().startswith(("*", "/*")):
        return True
    if _KEY.match(line.content):
        return True
    is_notice = not _is_continued(previous.content) and speaks(_first_sentence(line))
    if is_notice and _COPYRIGHT_LINE.match(line.content):
        return True
    end = previous.content.rstrip()
    is_within = _is_within(end, line.content)
    if is_notice and _COULD_BEGIN.match(line.content) and not is_within:
        return True
    is_ended = end.endswith(".") and not _ABBREVIATION.search(end)
    if is_ended and len(line.content) < _SHORT_CHARS and not line.content.rstrip().endswith((".", ",", ";")):
        return True
    if _URL_END.search(previous.content) and line.content[:1].isupper():
        return True
    if previous.content.rstrip().endswith((".", "!", "?", ":", ">")) and not _ABBREVIATION.search(
        previous.content.rstrip()
    ):
        return line.content[:1].isupper() or not line.content[:1].isalnum()
    if _COPYRIGHT_LINE.match(previous.content) or _KEY.match(previous.content):
        is_wrapped = is_within or line.content[:1].islower() or line.prefix[-3:] == "   "
        return not (is_wrapped or _is_continued(previous.content) or line.content.lower().startswith("all rights"))
    return False


def _is_within(end: str, content: str) -> bool:
    """Returns True if the line ``content`` continues a licence sentence of the previous line ``end``.

    This is the case if both lines are in capitals, if ``content`` begins with the rest of a licence's name, or if
    ``end`` begins to grant a licence and does not complete the grant. It is never the case if ``end`` ends a sentence.
    """
    if end.endswith((".", "!", ":")) and not _ABBREVIATION.search(end):
        return False
    if end.isupper() and content.isupper():
        return True
    if _REST_OF_NAME.match(content):
        return True
    return _GRANT.match(end) is not None and not _GRANT_ENDS.search(end)


def _first_sentence(line: Line) -> str:
    """Returns the first sentence of a line: ``ARE DISCLAIMED.`` for ``ARE DISCLAIMED. IN NO EVENT SHALL THE OWNER``."""
    return line.content[: sentences_of(line.content)[0][1]]


def sentences_of(text: str) -> list[tuple[int, int]]:
    """Returns the start and end of each sentence of a text. White space after a sentence belongs to the sentence."""
    ends = [
        m.end()
        for m in _SENTENCE_END.finditer(text)
        if not _ABBREVIATION.search(text[max(0, m.start() - 8) : m.start()])
    ]
    return list(zip([0, *ends], [*ends, len(text)], strict=True))


def remove_ranges(statement: list[Line], ranges: list[tuple[int, int]]) -> None:
    offset = 0
    for line in statement:
        kept: list[str] = []
        at = offset
        end = offset + len(line.content)
        for first, last in ranges:
            if last <= offset or first >= end + 1:
                continue
            kept.append(line.content[at - offset : max(first, at) - offset])
            at = max(at, min(last, end))
        offset = end + 1
        if kept:
            content = "".join(kept) + line.content[at - (offset - 1 - len(line.content)) :]
            line.is_removed = not content.strip(DECORATION)
            line.content = line.content if line.is_removed else content.rstrip()
