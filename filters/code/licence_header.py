"""Removing licence headers from source files (LLaMA 2.1: "boilerplate, such as headers, with regular expressions").

A comment at the head of a file goes if it speaks of copyright or licence; the others stay, as do shebangs, encoding and
editor lines, build tags and all code (``#include`` is no comment in C, nor is ``# Title`` in Markdown). Documentation
(docstrings, ``/** */``, ``///``) stays but for its paragraphs and lines on copyright and licence.
"""

from __future__ import annotations

import re

from filters.code.comments import Comment, head_comments

_LICENCES = (
    r"mit|bsd|gpl|lgpl|agpl|apache|mpl|isc|mozilla|zlib|boost|eclipse|artistic|cddl|epl|gnu|python|psf|w3c|ofl|"
    r"creative commons|cc0|cc-by\S*|wtfpl|public|open[- ]source|free software|proprietary|permissive|2-clause|3-clause"
)
_SPEAKS = re.compile(
    r"\bcopyrights?\b|copyleft|\u00a9|\(c\)[ \t]*(?:copyright|(?:19|20)\d\d)|\bcopr\.|spdx-license|all rights reserved|"
    r"\blicen[sc]ed[ \t]+(?:under|to|by|for|with|as|material)|\b@?licen[sc]es?[ \t]*[:=]|@licen[sc]e\b|\bunlicensed?\b|"
    rf"\b(?:{_LICENCES})\b[\w .,()/-]{{0,40}}\blicen[sc]|"
    r"\b(?:under|governed by|subject to|accordance with|compliance with|terms of|conditions of|copy of|see|read)\b"
    r"[^.;]{0,80}?\blicen[sc]e|"
    r"\blicen[sc]e[ \t]+(?:file|information|terms|agreement|text|notice|header|details|that can|at|version|v?\d)|"
    r"permission is hereby granted|permission to use, copy|redistribution and use|redistributions? (?:of|in) |"
    r"without (?:any )?warranty|warranties or conditions|provided [\"'`\u201c]{0,2}as[ -]is|"
    r"(?:placed|released|is) (?:in|into|to) the public domain|free software[;:,]|distributed under the",
    re.IGNORECASE,
)
"""What a comment on copyright or licence says; the bare word ``license`` (of a plate, of a key) is not enough."""
_SPEAKING_WORDS = (
    "copyright", "licen", "(c)", "\u00a9", "copr.", "copyleft", "rights reserved", "permission", "redistribution",
    "warrant", "provided", "public domain", "free software", "distributed under",
)  # fmt: skip
"""Every way to speak of it holds one of these; looked for first because it is ten times as fast."""
_SEARCHED_CHARS = 20_000
"""Ours: of one comment; the longest licences (the GPL has 35,000) name themselves in their first lines."""
_LEGAL = re.compile(
    r"\b(?:warrant(?:y|ies)|liab(?:le|ility)|merchantab|infring|redistribut|hereby|sublicen|endorse|trademark|"
    r"applicable law|above copyright|disclaimer|damages|as[ -]is)\b|\blicen[sc]e",
    re.IGNORECASE,
)
"""The words of a licence's further paragraphs."""
_DIRECTIVE = re.compile(
    r"-\*-.*-\*-|\b(?:vim?|ex):\s*(?:set?\b|\w+=)|\bcoding[:=]\s*[-\w.]+|\blexical-binding:|"
    r"^\W{0,3}(?:frozen_string_literal|warn_indent|shareable_constant_value|typed|rbs_inline)[ \t]*:|"
    r"^//go:\w+|^//[ \t]*\+build\b|^//[ \t]*swift-tools-version|^///[ \t]*<(?:reference|amd)|"
    r"^//[ \t]*@(?:ts-|flow|jsx)|^#[ \t]*(?:syntax|escape)[ \t]*=|^%[ \t]*!?tex\b|"
    r"^\W{1,3}(?:pylint|flake8|mypy|ruff|noqa|yapf|isort|rubocop|shellcheck|eslint|jshint|jslint|globals?|prettier|"
    r"istanbul|pyright|type)[ \t]*:|^\W{1,3}(?:eslint|jshint|prettier)-\w+",
    re.IGNORECASE,
)
"""Lines that tools read: they stay whatever stands around them."""
_DECORATION = " \t\r*/#;%!|-=~_+.:<>'\"(){}[]\\@^"


def remove_header(text: str, family: str) -> str:
    r"""Returns the text without the comments at its head that speak of copyright or licence.

    ``family`` names the comment syntax (``filters/data/code/comments.yaml``).

    >>> remove_header("/* Copyright 2020 A */\n#include <a.h>\n", "c")
    '#include <a.h>\n'
    >>> remove_header("#!/bin/sh\n# Copyright 2020 A\n\n# Starts it.\nrun\n", "hash")
    '#!/bin/sh\n# Starts it.\nrun\n'
    """
    kept: list[str] = []
    at = 0
    for comment in head_comments(text, family):
        body = text[comment.start : comment.end]
        if not _speaks_of_licence(body[:_SEARCHED_CHARS]):
            continue
        kept.append(text[at : comment.start])
        left = _documentation_left(body, comment) if comment.is_doc else _directives(body, comment)
        kept.append(left)
        at = comment.end if left else _end_of_gap(text, comment.end)
    if not at:
        return text
    kept.append(text[at:])
    return _without_leading_blank_lines("".join(kept))


def _speaks_of_licence(words: str) -> bool:
    lower = words.lower()
    return any(word in lower for word in _SPEAKING_WORDS) and _SPEAKS.search(words) is not None


def _end_of_gap(text: str, at: int) -> int:
    """Returns where the next line with anything on it begins, or what stands on the comment's own last line."""
    match = _GAP.match(text, at)
    assert match is not None, "the expression matches nothing too"
    return match.end()


_GAP = re.compile(r"[ \t\r]*(?:\n(?:[ \t\r]*\n)*)?")
_LEADING = re.compile(r"(\ufeff?)(?:[ \t\r]*\n)+")


def _without_leading_blank_lines(text: str) -> str:
    match = _LEADING.match(text)
    return text if match is None else match.group(1) + text[match.end() :]


def _directives(body: str, comment: Comment) -> str:
    """Returns the lines of a run of line comments that tools read."""
    if comment.closing:
        return ""
    return "\n".join(line.rstrip() for line in body.split("\n") if _DIRECTIVE.search(line.strip()[:300]))


def _documentation_left(body: str, comment: Comment) -> str:
    """Returns documentation without what it says of copyright and licence; nothing if that was all."""
    inner = body[len(comment.opening) : len(body) - len(comment.closing)]
    lines = inner.split("\n")
    kept: list[str] = []
    for paragraph in _paragraphs(lines):
        kept.extend(_paragraph_left(paragraph))
    if not any(line.strip(_DECORATION) for line in kept):
        return ""
    while len(kept) > 1 and not kept[-1].strip(_DECORATION):
        kept.pop()
    if comment.closing and not lines[-1].strip(_DECORATION) and len(lines) > 1:
        kept.append(lines[-1])  # the closing mark stands on a line of its own
    if kept and not kept[0].strip(_DECORATION) and lines[0].strip(_DECORATION):
        kept.pop(0)
    opening = comment.opening if comment.closing or kept[0] == lines[0] else ""
    return opening + "\n".join(kept) + comment.closing


def _paragraphs(lines: list[str]) -> list[list[str]]:
    """Groups lines; an empty one closes the paragraph that it stands behind."""
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        paragraphs[-1].append(line)
        if not line.strip(_DECORATION):
            paragraphs.append([])
    return paragraphs


def _paragraph_left(lines: list[str]) -> list[str]:
    words = "\n".join(lines)
    if not (_SPEAKS.search(words) or _LEGAL.search(words)):
        return lines
    first = lines[0]
    if _SPEAKS.search(first) or _LEGAL.search(first) or len(_LEGAL.findall(words)) > 1:
        return []
    return [line for line in lines if not _SPEAKS.search(line)]
