"""Finds where templates and tables begin and end. The time is linear in the page's length."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import attrgetter

_MARK = re.compile(r"\{(?:\{++|\|)|\}\}++|\|\}(?=(?:\}\})*+(?!\}))")
"""Matches runs of braces and the marks of a table. ``|}`` can end a table only if no brace or an even number of braces
follows, so only then is it matched. In ``{{name|}}``, an odd number follows: both braces end the template, whose last
argument is empty. Every alternative begins with a plain character, which makes the search fast."""
_MAX_INDENT_CHARS = 16
_MAX_BRACES = 3
_UNCLOSED_TABLE = re.compile(r"\n[ \t]*\n(?![ \t]*[|!{])|\n=")
_TABLE = 0
"""The entry for a table in :attr:`_OpenMarks.counts`. The other entries are numbers of braces."""


@dataclass(slots=True)
class Span:
    """Describes where a template, a parameter (``{{{1}}}``) or a table begins and ends. Its opening and closing marks
    are inside the span."""

    start: int
    end: int
    is_table: bool
    next_outside: int = 0
    """Index of the first span that begins after the end of this span."""


def find_spans(text: str) -> list[Span]:
    """Returns all templates, parameters and tables in the order in which they open.

    Braces are paired as in MediaWiki's preprocessor. Closing braces close the innermost open braces first, three or two
    at a time, and then the open braces around these. If a table ends, templates that are still open inside it are
    discarded. If a template ends, tables that are still open inside it are discarded. A template that is never closed
    is left out. A table that is never closed ends before the next paragraph or heading.
    """
    marks = _OpenMarks([], [], 0, [])
    starts, counts, found = marks.starts, marks.counts, marks.found
    done = 0
    for match in _MARK.finditer(text):
        mark = match[0]
        if mark[:2] == "{{":
            starts.append(match.start())
            counts.append(len(mark))
        elif mark[:2] == "}}":
            if match.start() < done or not counts:
                continue
            if counts[-1] == 2 and mark == "}}":
                counts.pop()
                found.append(Span(starts.pop(), match.end(), False))
            else:
                marks.close_braces(match.start(), match.end())
        elif not _opens_line(text, match.start()):
            if mark == "|}" and text.startswith("}", match.end()):  # {{{1|}}}: all braces belong to one run
                done = _end_of_run(text, match.end())
                marks.close_braces(match.start() + 1, done)
        elif mark == "{|":
            starts.append(match.start())
            counts.append(_TABLE)
            marks.num_tables += 1
        elif marks.num_tables:
            marks.close_table(match.end())
    marks.close_tables_before_prose(text)
    return _ordered(found)


@dataclass(slots=True)
class _OpenMarks:
    """Holds the opening marks for which no closing mark was found yet. One run of braces can open several templates."""

    starts: list[int]
    counts: list[int]
    """For each run of opening braces, the number of braces that are not closed yet. For a table, ``_TABLE``."""
    num_tables: int
    found: list[Span]

    def close_braces(self, position: int, end: int) -> None:
        """Closes the templates that the run of closing braces from ``position`` to ``end`` can close."""
        starts, counts = self.starts, self.counts
        while end - position >= 2 and len(counts) > self.num_tables:
            while counts[-1] == _TABLE:
                starts.pop()
                counts.pop()
                self.num_tables -= 1
            num_braces = min(_MAX_BRACES, counts[-1], end - position)
            position += num_braces
            counts[-1] -= num_braces
            self.found.append(Span(starts[-1] + counts[-1], position, False))
            if counts[-1] < 2:
                starts.pop()
                counts.pop()

    def close_table(self, end: int) -> None:
        """Closes the nearest open table."""
        while self.counts.pop() != _TABLE:
            self.starts.pop()
        self.num_tables -= 1
        self.found.append(Span(self.starts.pop(), end, True))

    def close_tables_before_prose(self, text: str) -> None:
        """Closes all tables that have no closing mark. Each of them ends before the next paragraph or heading."""
        table_end = -1
        for start, count in zip(self.starts, self.counts, strict=True):
            if count != _TABLE:
                continue
            if table_end <= start:
                prose = _UNCLOSED_TABLE.search(text, start)
                table_end = prose.start() if prose else len(text)
            self.found.append(Span(start, table_end, True))


def _end_of_run(text: str, position: int) -> int:
    while text.startswith("}", position):
        position += 1
    return position


def _opens_line(text: str, position: int) -> bool:
    """Returns True if only indentation or list marks are before ``position`` on its line."""
    before = text[max(0, position - _MAX_INDENT_CHARS) : position]
    line_start = before.rfind("\n") + 1
    return (line_start > 0 or position <= _MAX_INDENT_CHARS) and not before[line_start:].strip(" \t:*#")


def _ordered(found: list[Span]) -> list[Span]:
    """Sorts the spans by ``start``, and sets ``next_outside``. Shortens a span that ends after the span around it."""
    found.sort(key=attrgetter("start"))
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
