r"""Removes reference lists in LaTeX, AMSTeX and plain TeX, including lists typed without list commands.

The text after a heading "References" is judged. A list is removed, and prose with citations stays.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass

from filters.latex.groups import group_end, join_pieces, whole_lines
from filters.latex.reference_headings import CITES, ENTRY, STRONG_MARK, Named, headings_named, is_list

_LATEX_HEADING = (
    r"\\(?:(?:chapter|part|section|subsection|subsubsection|paragraph|subparagraph|addchap|addsec|minisec"
    r"|specialsection|unnumberedsection)\s*\*?\s*(?=[\[{])|beginsection(?![A-Za-z@])|heading\s*(?=\{)"
    r"|begin\s?\{(?:chapter|part|(?:sub){0,2}section|paragraph)\*?\}\s*(?=[\[{]))"
)
_PLAIN_HEADING = (
    r"|\\(?:(?:newsec|subsec|subsubsec|subheading)\s*(?=\{)"
    r"|(?:head|heading|subhead|subheading|specialhead)(?![A-Za-z@])(?=(?:(?!\\(?:sub|special)?head)[^\n]|\n(?!\n)){0,400}?"
    r"\\end(?:sub|special)?head))"
)
_LATEX_BIBLIOGRAPHY = (
    r"\\begin\s?\{(?P<environment>thebibliography|references|REFERENCES|mcitethebibliography|biblist\*?|bibdiv"
    r"|chapthebibliography|apjbibliography)\}"
    r"|\\(?P<command>(?:no)?bibliography[A-Za-z]*|printbibliography|printbibheading|putbib|nocite[a-z]*|addbibresource"
    r"|biboptions|bibpunct|bibsep|setcitestyle)(?![A-Za-z@])"
    r"|\\(?P<bibitem>bibitem)(?![A-Za-z@])"
)
_PLAIN_BIBLIOGRAPHY = (
    r"|\\(?P<prints>listrefs|listfigs|refout|figout|footatend)(?![A-Za-z@])"
    r"|\\(?P<opens>Refs|references|beginrefs|REFERENCES)(?![A-Za-z@])"
    r"|\\(?P<entry>ref)(?=\s*\\(?:key|no|by|manyby|paper|book|bysame)(?![A-Za-z@]))"
    r"|\\(?P<stored>[lnx]ref|REF|Ref)\s*\\[A-Za-z]+\s*(?=\{)|\\ref\s*\\[A-Za-z]+\s*(?P<inline>\{)"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Holds the patterns for the headings and lists of one kind of TeX."""

    heading: re.Pattern[str]
    """Matches a heading of any depth."""
    bibliography: re.Pattern[str]
    """Matches commands that begin, print or contain a list of references."""


LATEX = Dialect(re.compile(_LATEX_HEADING), re.compile(_LATEX_BIBLIOGRAPHY))
PLAIN = Dialect(re.compile(_LATEX_HEADING + _PLAIN_HEADING), re.compile(_LATEX_BIBLIOGRAPHY + _PLAIN_BIBLIOGRAPHY))
r"""The dialect of a source without ``\begin{document}``: the forms of LaTeX, AMSTeX, harvmac and phyzzx."""
_CLOSES = {
    "Refs": "\\endRefs",
    "references": "\\endreferences",
    "beginrefs": "\\endrefs",
    "REFERENCES": "\\endREFERENCES",
}
_STOPS = re.compile(
    r"\\(?:appendix(?![A-Za-z@])|(?:clear|new)page(?![A-Za-z@])|(?:vfill\s*)?\\?eject(?![A-Za-z@])"
    r"|begin\s?\{(?:figure|table|appendi|supplement|deluxetable)|end\s?\{document\})"
)
_HAND_STOPS = re.compile(
    r"^[ \t]*+(?:\\[A-Za-z]+\*?(?:\{[^{}\n]{0,40}\})?|[{}\[\] \t~])*+"
    r"(?:fig(?:ure)?s?\.?[ \t~]*(?:captions?|legends?|\d{1,3}[^\d\n,;])"
    r"|tables?\.?[ \t~]*(?:captions?|[\dIVX]{1,4}[.:)}])"
    r"|(?:list[ \t]+of[ \t]+(?:figures|tables))|captions?\b|legends?\b|appendi(?:x|ces)\b|acknowledge?ments?\b)",
    re.IGNORECASE | re.MULTILINE,
)
r"""Matches a line at which a list without an end mark ends: the caption of a figure, or the heading of an appendix that
is made without a heading command.
"""
_ARGUMENT = re.compile(r"\*?[ \t]*\n?[ \t]*(?:\[[^\[\]]{0,500}\]\s{0,3})?(?:\{[^{}]{0,2000}\})?")
_LIST_ENVIRONMENT = re.compile(
    r"\\begin\s?\{(enumerate|itemize|description|list|trivlist|compactenum|bibliolist|reflist)\}"
)
_LAYOUT = re.compile(
    r"(?:\s+|\{|~|\\(?:begin\s?\{(?:multicols|small|footnotesize|scriptsize|tiny|spacing|singlespace|flushleft|sloppypar|raggedright"
    r"|minipage|adjustwidth|center)\*?\}(?:\s*[\[{][^\[\]{}\n]{0,60}[\]}])*"
    r"|(?:setlength|addtolength|addcontentsline|markboth|markright|setcounter|renewcommand)\*?(?:\s*\{[^{}\n]{0,200}\}){1,3}"
    r"|(?:label|vspace|vskip|hspace|baselineskip|parskip|parindent|itemsep|frenchspacing|small|footnotesize|scriptsize|tiny"
    r"|normalsize|noindent|par|sloppy|raggedright|bigskip|medskip|smallskip|nobreak|begingroup|bgroup|singlespacing"
    r"|doublespacing|setstretch|linespread|rm|it|hangindent|hangafter|raggedbottom|nonfrenchspacing|thispagestyle|pagestyle)"
    r"\*?(?![A-Za-z@])\s*(?:\{[^{}\n]{0,60}\}|=?\s*-?[\d.]+\s*(?:[a-z]{2}|\\[a-z]+)?)?))*+"
)
_CLOSER = re.compile(r"\s*(?:\}|\\end\s?\{([A-Za-z]+\*?)\}|\\endgroup(?![A-Za-z@])|\\egroup(?![A-Za-z@]))")
_ENVIRONMENT_ENDS = re.compile(
    r"\\(begin|end)\s?\{([A-Za-z]+\*?)\}|\\[{}]|[{}]|\\(begingroup|bgroup|endgroup|egroup)(?![A-Za-z@])"
)
MAX_ENTRY_CHARS = 4_000
r"""Longest AMSTeX entry ``\ref ... \endref``. Our choice: entries have up to ten lines."""
WORK_CHARS_BASE = 4_000_000
WORK_PER_CHAR = 20
"""Budget for finding the ends of lists: the number of characters that may be searched, per character of the body. Our
choice: a paper has one or two lists."""
_MAX_CONTENT_CHARS = 400_000
"""Number of characters examined after a heading. Our choice: the longest lists of references have 200,000
characters."""


def remove_bibliography(body: str, *, dialect: Dialect = PLAIN) -> str:
    r"""Removes lists of references and the commands that print them, anywhere in the body. Text after them stays.

    >>> remove_bibliography("a\n\\section*{References}\n\\begin{thebibliography}{}x\\end{thebibliography}\n\\appendix")
    'a\n\\appendix'
    """
    found = list(dialect.bibliography.finditer(body))
    named = list(headings_named(body, [match.start() for match in found if _is_list_start(match)]))
    if not named and not found:
        return body
    remover = _Remover(body, dialect, [heading.start for heading in named])
    regions = [region for heading in named if (region := remover.section(heading)) is not None]
    for match in found:
        end = remover.end(match)
        if end > match.start():
            start = match.start("inline") if match.lastgroup == "inline" else match.start()
            regions.append((start, whole_lines(body, start, end)))
    out: list[str] = []
    pos = 0
    for start, end in sorted(regions):
        if start > pos:
            out.append(body[pos:start])
        pos = max(pos, end)
    out.append(body[pos:])
    return join_pieces(out)


def _is_list_start(match: re.Match[str]) -> bool:
    kind = match.lastgroup
    return kind in ("environment", "opens") or match["command"] in ("bibliography", "printbibliography")


class _Remover:
    def __init__(self, body: str, dialect: Dialect, named_starts: list[int]) -> None:
        self.body = body
        self.dialect = dialect
        self.named_starts = named_starts
        self.unclosed: set[str] = set()
        self.work_left = WORK_CHARS_BASE + WORK_PER_CHAR * len(body)
        self._stops: list[int] | None = None

    def next_stop(self, pos: int) -> int:
        """Returns where a list without an end mark ends: at the next heading, figure, caption, page or appendix."""
        if self._stops is None:
            patterns = (self.dialect.heading, _STOPS, _HAND_STOPS)
            found = [match.start() for pattern in patterns for match in pattern.finditer(self.body)]
            self._stops = sorted(found + self.named_starts)
        index = bisect_left(self._stops, pos)
        return self._stops[index] if index < len(self._stops) else len(self.body)

    def end(self, match: re.Match[str]) -> int:
        """Returns the end of the list of references, the entry or the command that begins with ``match``.

        If the end mark of a list is missing, :meth:`next_stop` finds the end. If the end of an entry is not found,
        returns the start of ``match``, so that nothing is removed.
        """
        body, kind = self.body, match.lastgroup
        if kind == "environment":
            return self._closed(f"\\end{{{match[kind]}}}", match.end())
        if kind == "opens":
            return self._closed(_CLOSES[match[kind]], match.end())
        if kind == "bibitem":
            return self.next_stop(match.end())
        if kind == "entry":
            end = body.find("\\endref", match.end(), match.end() + MAX_ENTRY_CHARS)
            return end + len("\\endref") if end >= 0 else match.start()
        if kind in ("stored", "inline"):
            opens = match.start(kind) if kind == "inline" else match.end()
            end = group_end(body, opens, min(len(body), opens + MAX_ENTRY_CHARS))
            return end if end >= 0 else match.start()
        argument = _ARGUMENT.match(body, match.end())
        return match.end() if argument is None else argument.end()

    def _closed(self, mark: str, pos: int) -> int:
        end = -1 if mark in self.unclosed else self.body.find(mark, pos)
        if end >= 0:
            return end + len(mark)
        self.unclosed.add(mark)
        return self.next_stop(pos)

    def section(self, heading: Named) -> tuple[int, int] | None:
        """Returns the start of a heading and the end of its list. Returns None if prose follows the heading."""
        if self.work_left < 0:
            return None
        listed = self._listed_end(heading.end)
        if listed is not None:
            return heading.start, whole_lines(self.body, heading.start, listed)
        stop = self.next_stop(heading.end)
        content = self.body[heading.end : min(stop, heading.end + _MAX_CONTENT_CHARS)]
        self.work_left -= len(content)
        return (heading.start, stop) if is_list(content, heading) else None

    def _listed_end(self, pos: int) -> int | None:
        """Returns the end of the lists that directly follow a heading; None if no list follows directly."""
        body, end = self.body, None
        at = pos
        while True:
            layout = _LAYOUT.match(body, at)
            at = layout.end() if layout else at
            match = self.dialect.bibliography.match(body, at)
            if match is not None and match.lastgroup not in ("bibitem", "inline"):
                at = end = max(self.end(match), at + 1)
                continue
            listed = _LIST_ENVIRONMENT.match(body, at)
            close = -1 if listed is None or self.work_left < 0 else self._environment_end(listed)
            content = body[at:close] if close >= 0 else ""
            self.work_left -= len(content)
            if close < 0 or (CITES.search(content) and not STRONG_MARK.search(content)) or not ENTRY.search(content):
                break
            at = end = close
        return None if end is None else _with_closers(body, pos, end)

    def _environment_end(self, match: re.Match[str]) -> int:
        pattern = re.compile(rf"\\(begin|end)\s?\{{{re.escape(match[1])}\}}")
        depth = 0
        for mark in pattern.finditer(self.body, match.start(), match.start() + _MAX_CONTENT_CHARS):
            depth += 1 if mark[1] == "begin" else -1
            if depth == 0:
                return mark.end()
        self.work_left -= _MAX_CONTENT_CHARS
        return -1


def _with_closers(body: str, start: int, end: int) -> int:
    """Returns the position after the marks, such as ``}``, that follow ``end`` and close groups.

    Only groups count that are opened between ``start`` and ``end``. If no such marks follow, returns ``end``.
    """
    opened: list[str] = []
    for match in _ENVIRONMENT_ENDS.finditer(body, start, end):
        token = match[2] or match[3] or match[0]
        if match[1] == "begin" or token in ("{", "begingroup", "bgroup"):
            opened.append(token)
        elif (match[1] == "end" or token in ("}", "endgroup", "egroup")) and opened:
            opened.pop()
    while opened and (closer := _CLOSER.match(body, end)) is not None:
        opened.pop()
        end = closer.end()
    return end
