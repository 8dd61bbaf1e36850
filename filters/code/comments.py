"""Finds the comments at the head of a source file, in the syntax of its language.

The head is everything before the first code: comments, blank lines, and the few things that must come first (a shebang,
``<?php``, a document type, an include guard). The head is read once from the start, so the time grows linearly with its
length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_DATA = Path(__file__).parents[1] / "data" / "code"
_MAX_COMMENTS = 200
"""Maximum number of comments that are searched. Our choice: a file with more comments before its first code contains
only comments."""
_SHEBANG = re.compile(r"\ufeff?#!(?!\[)[^\n]*\n?")
_BEFORE = {
    "guard": r"#[ \t]*pragma[ \t]+once\b[^\n]*\n?"
    r"|#[ \t]*ifndef[ \t]+(?P<guard>\w+)[ \t]*\r?\n[ \t]*#[ \t]*define[ \t]+(?P=guard)\b[^\n]*\n?",
    "strict": r"""(?:"use strict"|'use strict')[ \t]*;?""",
    "php": r"(?i:<\?php\b|<\?(?![\w=]))",
    "xml": r"(?i:<\?xml\b[^>]{0,500}>|<!DOCTYPE\b[^>\[]{0,500}>)",
    "html": r"(?i:<!DOCTYPE\b[^>]{0,500}>|<html\b[^>]{0,500}>|<%@[^>]{0,500}%>)",
    "pragma": r"\{-#(?:[^#]|#(?!-\})){0,2000}#-\}",
    "echo_off": r"(?i:@?echo[ \t]+off\b[^\n]*\n?)",
}
_IMPORTS = {
    "directive": (
        r"#[ \t]*(?:include|include_next|import|if|ifdef|ifndef|elif|else|endif|define|undef|pragma|error|warning"
        r"|nullable)\b(?:[^\n\\/]|/(?!\*)|\\\r?\n|\\.)*+\n?|extern[ \t]+\"C\"[ \t\r\n]*\{"
    ),
    "import": (
        r"import[ \t]*\([^()]{0,5000}\)|(?:package|import|using|namespace|use|require|declare|from|library)\b"
        r"(?:[^\n/;={}()\[\]]|/(?!\*)|=(?=[ \t]*\d)|\{[^{}\n]{0,500}\}|\([^()\n]{0,500}\)"
        r"|\[[^\[\]\n]{0,500}\])*+(?:;|\n|\Z)"
    ),
    "attribute": r"#!\[[^\n]{0,1000}\]",
    "module": r"-(?:module|behaviou?r|vsn|author)\([^()\n]{0,200}\)\.",
}
"""Patterns of lines that may come before a licence notice but are not comments. Such lines are imports or directives.
They do not count as code."""
_REGION = re.compile(r"#[ \t]*(end[ \t]*)?region\b[^\n]*|\{\$(end)?region\b[^\n}]*\}", re.IGNORECASE)
_DOCSTRING = re.compile(r"[rRuU]?(\"\"\"|''')")
_RST_COMMENT = re.compile(
    r"\.\.(?:[ \t]+(?![\w-]+::|_|\[|\|)[^\n]*)?(?:\n|\Z)(?:[ \t]+\S[^\n]*(?:\n|\Z)|[ \t]*\n(?=[ \t]+\S))*"
)


@dataclass(frozen=True, slots=True)
class CommentSyntax:
    """Holds the comment syntax of a family of languages (languages with the same kinds of comments). The families are
    in ``comments.yaml``.
    """

    line: tuple[str, ...] = ()
    block: tuple[tuple[str, str], ...] = ()
    doc: tuple[str, ...] = ()
    not_line: tuple[str, ...] = ()
    word: re.Pattern[str] | None = None
    before: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    nested: bool = False
    docstring: bool = False
    rst: bool = False
    regions: bool = False


@dataclass(frozen=True, slots=True)
class Comment:
    """Describes a comment at the head of a file. The comment is ``text[start:end]``, without the blanks and the line
    end after it.
    """

    start: int
    end: int
    opening: str
    closing: str
    """The closing mark. It is empty for line comments."""
    is_doc: bool
    is_behind_import: bool = False


@cache
def syntax(family: str) -> CommentSyntax:
    """Returns the comment syntax of a family of languages (languages with the same kinds of comments).

    >>> syntax("css").block
    (('/*', '*/'),)
    """
    raw: Mapping[str, Any] = _families()[family]
    words = "|".join(map(re.escape, raw.get("word", ())))
    return CommentSyntax(
        line=tuple(sorted(raw.get("line", ()), key=len, reverse=True)),
        block=tuple(sorted((tuple(pair) for pair in raw.get("block", ())), key=lambda pair: -len(pair[0]))),
        doc=tuple(raw.get("doc", ())),
        not_line=tuple(raw.get("not_line", ())),
        word=re.compile(rf"(?:{words})(?=[ \t\r\n*]|\Z)", re.IGNORECASE) if words else None,
        before=tuple(raw.get("before", ())),
        imports=tuple(raw.get("imports", ())),
        nested=raw.get("nested", False),
        docstring=raw.get("docstring", False),
        rst=raw.get("rst", False),
        regions=raw.get("regions", False),
    )


@cache
def _families() -> dict[str, dict[str, Any]]:
    families: dict[str, dict[str, Any]] = yaml.safe_load((_DATA / "comments.yaml").read_text(encoding="utf-8"))
    return families


def head_comments(text: str, family: str, *, has_imports: bool = False) -> Iterator[Comment]:
    r"""Yields the comments before the first code of a file. Line comments on successive lines are yielded as one
    comment.

    Args:
        has_imports: True if imports do not count as code (``#include <a.h>``, ``import a``). Comments after imports are
            then yielded too.

    >>> [c.opening for c in head_comments("#!/bin/sh\n# one\n# two\n\n# three\nls\n# four\n", "hash")]
    ['#', '#']
    """
    rules = syntax(family)
    shebang = _SHEBANG.match(text)
    at = shebang.end() if shebang else int(text.startswith("\ufeff"))
    has_docstring = False
    before, imports = (_what_stands_before(rules, has_imports=one) for one in (False, True))
    is_behind = False
    num_left = _MAX_COMMENTS
    while num_left:
        at = before.match(text, at).end()  # type: ignore[union-attr]
        if has_imports and (end := imports.match(text, at).end()) > at:  # type: ignore[union-attr]
            at, is_behind = end, True
        if at == len(text):
            return
        comment = (_region_at(text, at) if rules.regions else None) or _comment_at(text, at, rules)
        if comment is None and rules.docstring and not has_docstring:
            comment = _docstring_at(text, at)
            has_docstring = comment is not None
        if comment is None:
            return
        yield replace(comment, is_behind_import=True) if is_behind else comment
        at = comment.end
        num_left -= 1


@cache
def _what_stands_before(rules: CommentSyntax, *, has_imports: bool) -> re.Pattern[str]:
    """Returns a pattern that matches everything that may come before a comment at the head of a file. The pattern never
    backtracks.
    """
    names = [_BEFORE[name] for name in rules.before]
    names += [_IMPORTS[name] for name in rules.imports] if has_imports else []
    return re.compile("(?:" + "|".join([r"\s++", *names]) + ")*+")


def _comment_at(text: str, at: int, rules: CommentSyntax) -> Comment | None:
    if rules.rst:
        match = _RST_COMMENT.match(text, at)
        return Comment(at, at + len(match.group().rstrip()), "..", "", False) if match else None
    if rules.not_line and text.startswith(rules.not_line, at):
        return None
    for opening, closing in rules.block:
        if text.startswith(opening, at):
            end = _end_of_block(text, at, (opening, closing), is_nested=rules.nested)
            if end is None:
                return None
            is_empty = text.startswith("/**/", at)
            return Comment(at, end, opening, closing, not is_empty and _is_doc(text, at, rules))
    return _line_run(text, at, rules)


def _region_at(text: str, at: int) -> Comment | None:
    match = _REGION.match(text, at)
    if match is None:
        return None
    end = at + len(match.group().rstrip())
    return Comment(at, end, "#endregion" if match[1] or match[2] else "#region", "", False)


def _is_doc(text: str, at: int, rules: CommentSyntax) -> bool:
    """Returns True if the comment at ``at`` begins with a mark of documentation, such as ``/**`` or ``///``. The longer
    marks ``/***`` and ``////`` are decoration."""
    return any(text.startswith(mark, at) and not text.startswith(mark[-1], at + len(mark)) for mark in rules.doc)


def _line_run(text: str, at: int, rules: CommentSyntax) -> Comment | None:
    """Returns the line comments that begin at ``at`` as one comment, or None if no line comment begins there. Line
    comments are joined if they are on successive lines, and if either all or none of them are documentation.
    """
    for pattern, is_doc in _line_runs(rules):
        match = pattern.match(text, at)
        if match:
            run = match.group()
            return Comment(at, at + len(run.rstrip()), match.group(1), "", is_doc)
    return None


@cache
def _line_runs(rules: CommentSyntax) -> tuple[tuple[re.Pattern[str], bool], ...]:
    """Returns two patterns, each with a flag. The patterns match line comments on successive lines: the first (True) if
    they are documentation, the second (False) if they are not. The patterns never backtrack. If the language has no
    line comments, returns an empty tuple.
    """
    marks = "|".join(map(re.escape, rules.line))
    if rules.word:
        marks = "|".join(filter(None, (marks, rules.word.pattern)))
    if not marks:
        return ()
    # A longer mark (``////``) is decoration, not documentation.
    doc = "|".join(f"{re.escape(mark)}(?!{re.escape(mark[-1])})" for mark in rules.doc) or "(?!)"
    others = "|".join(map(re.escape, (*rules.not_line, *(opening for opening, _ in rules.block)))) or "(?!)"
    patterns = []
    for lookahead, is_doc in ((f"(?={doc})", True), (f"(?!{doc})", False)):
        line = rf"{lookahead}(?!{others})(?:{marks})[^\n]*+"
        first = rf"{lookahead}(?!{others})((?i:{marks}))[^\n]*+"
        patterns.append((re.compile(rf"{first}(?:\n[ \t]*+(?i:{line}))*+"), is_doc))
    return tuple(patterns)


def _end_of_block(text: str, at: int, marks: tuple[str, str], *, is_nested: bool) -> int | None:
    """Returns where the block comment that opens at ``at`` ends, or None if it is never closed."""
    opening, closing = marks
    if not is_nested or opening == closing:
        end = text.find(closing, at + len(opening))
        return None if end < 0 else end + len(closing)
    depth = 0
    for match in _nesting(opening, closing).finditer(text, at):
        depth += 1 if match.group() == opening else -1
        if depth == 0:
            return match.end()
    return None


@cache
def _nesting(opening: str, closing: str) -> re.Pattern[str]:
    return re.compile(f"{re.escape(opening)}|{re.escape(closing)}")


def _docstring_at(text: str, at: int) -> Comment | None:
    match = _DOCSTRING.match(text, at)
    if match is None:
        return None
    end = text.find(match.group(1), match.end())
    return None if end < 0 else Comment(at, end + 3, match.group(), match.group(1), True)
