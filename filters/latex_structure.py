r"""A paper's parts: title, front matter, headings, bibliography, appendix; and the cuts that the paper names.

Works on code with macros expanded and verbatim sealed, so that a heading is a heading. Linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from filters.latex_lexer import group_end, whole_lines
from filters.latex_macros import read_bracket, read_group, skip_space

MIN_LEAD_CHARS = 3840
"""How much text in front of the first heading can be the paper's own text; ours: twice the longest abstract that arXiv
takes (1,920 characters)."""
MAX_HEADING_CHARS = 2000
"""How long a heading's or a bibliography command's argument may be; ours."""

_HEADING = re.compile(
    r"\\(?:(?:chapter|part|section|subsection|subsubsection|paragraph|subparagraph|addchap|addsec|minisec"
    r"|specialsection|unnumberedsection)\s*(\*?)\s*(?=[\[{])|beginsection(?![A-Za-z@])|heading\s*(?=\{))"
)
_FRONT_MARK = re.compile(
    r"\\(?:maketitle|tableofcontents|endabstract|endfrontmatter|printAffiliationsAndNotice|end\s?\{(?:abstract|frontmatter"
    r"|titlepage|keywords?|IEEEkeywords|opening|CCSXML|sciabstract|abstract\*)\})(?![A-Za-z@])"
    r"|\\(?:abstract|keywords|pacs|received|ccsdesc|email|subjclass|date|author|title)\s*(?:\[[^\[\]]*\])?\s*(?=\{)"
)
_BIBLIOGRAPHY = re.compile(
    r"\\begin\s?\{(thebibliography|references|REFERENCES|mcitethebibliography|biblist\*?|bibdiv|chapthebibliography|refsection"
    r"|apjbibliography)\}"
    r"|\\(?:(?:no)?bibliography[A-Za-z]*|printbibliography|printbibheading|putbib|nocite[a-z]*|addbibresource|biboptions"
    r"|bibpunct|bibsep|setcitestyle)(?![A-Za-z@])"
    r"|\\(bibitem)(?![A-Za-z@])"
)
_REFERENCES = re.compile(
    r"[\s\\a-z{}~]*(?:\d+\.?\s*)?(?:references?(?:\s+(?:and|\\&)\s+notes)?|bibliography|literature(?:\s+cited)?|r\s?e\s?f\s?e\s?r\s?e"
    r"\s?n\s?c\s?e\s?s)[\s}.:]*\Z",
    re.IGNORECASE,
)
_STOPS_REFERENCES = re.compile(
    r"\\(?:appendix(?![A-Za-z@])|(?:clear|new)page(?![A-Za-z@])|begin\s?\{(?:figure|table|appendi|supplement|deluxetable)|end\s?\{document\})"
)
_APPENDIX = re.compile(r"\\(?:appendix|appendices)(?![A-Za-z@])|\\begin\s?\{(?:appendix|appendices|subappendices)\}")
_TITLE = re.compile(r"\\(?:icmltitle|title|Title|TITLE)(?![A-Za-z@])\s*(?=[\[{])")
_NOTE = re.compile(
    r"\\(?:thanks|footnote|footnotemark|footnotetext|titlenote|tnoteref|corref|label|note)\s*(?:\[[^\]]*\])?(?=\{)"
)
_LAYOUT = re.compile(
    r"\\(?:\\(?:\[[^\]]*\])?|newline(?![A-Za-z])"
    r"|(?:[Ll]arge|LARGE|huge|bf|bfseries|centering|boldmath|sc|sffamily)(?![A-Za-z])\s*)"
)
_ABSTRACT = re.compile(r"\\begin\s?\{(abstract\*?|sciabstract)\}|\\abstract\s*(?=\{)")
_END_DOCUMENT = re.compile(r"\\end\s?\{document\}|\\(?:bye|endinput)(?![A-Za-z@])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A paper's body. ``num_headings``: of any depth, in the body; 0 is a paper without sections."""

    text: str
    title: str | None
    num_headings: int
    num_lead_chars: int
    """Text kept in front of the first heading; 0 where the body begins with the heading."""


def cut_paper(text: str, *, keep_abstract: bool = False, drop_appendix: bool = False) -> Cut:
    r"""Cuts everything before the first section, and the bibliography, and what follows ``\end{document}``.

    Without any heading the body begins behind the front matter. So it does where more text stands before the first
    heading than behind it: a letter whose one heading is "Acknowledgements" has its text in front.

    >>> cut_paper(r"\title{T}\begin{document}\maketitle x \section{One} a \bibliography{b}\end{document} z").text
    '\\section{One} a '
    >>> cut_paper(r"\begin{document}\maketitle We show.\end{document}").text
    ' We show.'
    """
    title = find_title(text)
    begin = text.find("\\begin{document}")
    begin = 0 if begin < 0 else begin + len("\\begin{document}")
    end = _END_DOCUMENT.search(text, begin)
    preamble, body = text[:begin], text[begin : end.start() if end else len(text)]
    body = remove_bibliography(body)
    if drop_appendix and (appendix := _APPENDIX.search(body)) is not None:
        body = body[: appendix.start()]
    headings = [match.start() for match in _HEADING.finditer(body)]
    start, lead = _body_start(body, headings)
    kept = body[start:]
    if keep_abstract:
        kept = _front(title, _abstract(preamble + body[:start]), kept)
    return Cut(text=kept, title=title, num_headings=len(headings), num_lead_chars=lead)


def _front(title: str | None, abstract: str | None, body: str) -> str:
    parts = [f"\\title{{{title}}}" if title else "", abstract or "", body]
    return "\n\n".join(part for part in parts if part)


def _body_start(body: str, headings: list[int]) -> tuple[int, int]:
    first = headings[0] if headings else len(body)
    front = _front_end(body, first)
    lead = len(body[front:first].strip())
    if not headings:
        return (front if lead * 5 >= len(body.strip()) else 0), lead
    if lead >= MIN_LEAD_CHARS and lead > len(body) - first:
        return front, lead
    return first, 0


def _front_end(body: str, limit: int) -> int:
    """Where the front matter ends: behind its last mark before the first heading."""
    front = 0
    for match in _FRONT_MARK.finditer(body, 0, limit):
        end = match.end()
        if body.startswith("{", end):
            end = group_end(body, end, limit)
        front = max(front, end)
    return front


def _abstract(front: str) -> str | None:
    match = _ABSTRACT.search(front)
    if match is None:
        return None
    if match[1]:
        end = front.find(f"\\end{{{match[1]}}}", match.end())
        return None if end < 0 else f"\\begin{{abstract}}{front[match.end() : end]}\\end{{abstract}}"
    group = read_group(front, match.end())
    return None if group is None else f"\\begin{{abstract}}\n{group[0].strip()}\n\\end{{abstract}}"


def find_title(text: str) -> str | None:
    r"""Returns the paper's title on one line, without its notes; None where there is none.

    >>> find_title(r"\title[Short]{On \\ {\bf things}\thanks{To all}}")
    'On {things}'
    """
    for match in _TITLE.finditer(text):
        short = read_bracket(text, match.end())
        group = read_group(text, match.end() if short is None else short[1])
        if group is None or not group[0].strip() or len(group[0]) > MAX_HEADING_CHARS:
            continue
        title = group[0]
        while (note := _NOTE.search(title)) is not None and (end := group_end(title, note.end())) > 0:
            title = title[: note.start()] + title[end:]
        title = " ".join(_LAYOUT.sub(" ", title).replace("{ ", "{").split())
        if title:
            return title
    return None


def remove_bibliography(body: str) -> str:
    r"""Removes lists of references and the commands that print them, wherever they stand; what follows them stays.

    >>> remove_bibliography("a\n\\section*{References}\n\\begin{thebibliography}{}x\\end{thebibliography}\n\\appendix")
    'a\n\\appendix'
    """
    regions = _reference_sections(body)
    for match in _BIBLIOGRAPHY.finditer(body):
        end = _bibliography_end(body, match)
        regions.append((match.start(), whole_lines(body, match.start(), end)))
    if not regions:
        return body
    out: list[str] = []
    pos = 0
    for start, end in sorted(regions):
        if start > pos:
            out.append(body[pos:start])
        pos = max(pos, end)
    out.append(body[pos:])
    return "".join(out)


def _bibliography_end(body: str, match: re.Match[str]) -> int:
    if match[1]:
        end_mark = f"\\end{{{match[1]}}}"
        end = body.find(end_mark, match.end())
        if end >= 0:
            return end + len(end_mark)
        return _next_stop(body, match.end())
    if match[2]:
        return _next_stop(body, match.end())
    pos = match.end() + body.startswith("*", match.end())
    bracket = read_bracket(body, pos) if body.startswith("[", skip_space(body, pos)) else None
    pos = bracket[1] if bracket is not None else pos
    group_start = skip_space(body, pos)
    if body.startswith("{", group_start):
        end = group_end(body, group_start, group_start + MAX_HEADING_CHARS)
        return end if end > 0 else pos
    return pos


def _next_stop(body: str, pos: int) -> int:
    """Where a list without an end of its own ends: at the next heading, figure, page or appendix."""
    stop = _STOPS_REFERENCES.search(body, pos)
    heading = _HEADING.search(body, pos, stop.start() if stop else len(body))
    found = heading or stop
    return found.start() if found else len(body)


def _reference_sections(body: str) -> list[tuple[int, int]]:
    """Sections called "References": heading, and the list that somebody wrote by hand."""
    regions = []
    for match in _HEADING.finditer(body):
        bracket = read_bracket(body, match.end()) if body.startswith("[", match.end()) else None
        pos = bracket[1] if bracket else match.end()
        end = group_end(body, pos, pos + 200) if body.startswith("{", pos) else -1
        if end > 0 and _REFERENCES.match(body[pos + 1 : end - 1]):
            regions.append((match.start(), _next_stop(body, end)))
    return regions
