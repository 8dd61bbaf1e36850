"""Finds where templates and tables begin and end, in time linear in the page."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARK = re.compile(r"\{{2,}+|\}{2,}+|^[ \t:*#]{0,16}+(?:\{\||\|\}(?=(?:\}\})*+(?!\})))", re.MULTILINE)
"""Runs of braces; and, at the beginning of a line only, the marks of a table. ``|}`` before an odd number of further
braces is the end of a template whose last argument is empty."""
_MAX_BRACES = 3
_UNCLOSED_TABLE = re.compile(r"\n[ \t]*\n(?![ \t]*[|!{])|\n=")


@dataclass(slots=True)
class Span:
    """One template, parameter or table, from its first brace to the end of its last."""

    start: int
    end: int
    is_table: bool
    next_outside: int = 0
    """Index of the first span that begins after this one ends."""


@dataclass(slots=True)
class _Open:
    """A mark that waits for its closing one; a run of braces can open several templates."""

    start: int
    num_braces: int
    """0 for a table."""


def find_spans(text: str) -> list[Span]:
    """Returns all templates, parameters and tables in the order in which they open.

    Pairs runs of braces as MediaWiki's preprocessor does: a closing run closes three or two braces of the nearest open
    run, and what is left of it goes on to close the one around it. A closing mark gives up the marks of the other kind
    that were opened after its own. Templates that are never closed are left out. Tables that are never closed end
    before the next paragraph or heading.
    """
    found: list[Span] = []
    stack: list[_Open] = []
    num_open = [0, 0]
    for match in _MARK.finditer(text):
        mark = match[0]
        if mark[-1] == "{" and mark[0] == "{":
            stack.append(_Open(match.start(), len(mark)))
            num_open[False] += 1
        elif mark[-1] == "|":
            stack.append(_Open(match.end() - 2, 0))
            num_open[True] += 1
        elif mark[0] == "}":
            _close_braces(match.start(), match.end(), stack, num_open, found)
        elif num_open[True]:
            while (opened := stack.pop()).num_braces:
                num_open[False] -= 1
            num_open[True] -= 1
            found.append(Span(opened.start, match.end(), is_table=True))
    table_end = -1
    for opened in stack:
        if not opened.num_braces:
            if table_end <= opened.start:
                end = _UNCLOSED_TABLE.search(text, opened.start)
                table_end = end.start() if end else len(text)
            found.append(Span(opened.start, table_end, is_table=True))
    return _ordered(found)


def _close_braces(position: int, end: int, stack: list[_Open], num_open: list[int], found: list[Span]) -> None:
    while end - position >= 2 and num_open[False]:
        while not stack[-1].num_braces:
            stack.pop()
            num_open[True] -= 1
        opened = stack[-1]
        num_braces = min(_MAX_BRACES, opened.num_braces, end - position)
        position += num_braces
        opened.num_braces -= num_braces
        found.append(Span(opened.start + opened.num_braces, position, is_table=False))
        if opened.num_braces < 2:
            stack.pop()
            num_open[False] -= 1


def _ordered(found: list[Span]) -> list[Span]:
    """Sorts the spans, shortens those that reach out of the one around them, and fills in ``next_outside``."""
    found.sort(key=lambda span: span.start)
    open_spans: list[Span] = []
    for index, span in enumerate(found):
        while open_spans and open_spans[-1].end <= span.start:
            open_spans.pop().next_outside = index
        if open_spans and span.end > open_spans[-1].end:
            span.end = open_spans[-1].end
        open_spans.append(span)
    for span in open_spans:
        span.next_outside = len(found)
    return found
