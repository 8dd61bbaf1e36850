r"""A paper's parts: title, front matter, headings, bibliography, appendix; and the cuts that the paper names.

Works on code with macros expanded and verbatim sealed, so that a heading is a heading. Linear.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import islice

from filters.latex.lexer import group_end, whole_lines
from filters.latex.macros import read_bracket, read_group

MIN_LEAD_CHARS = 3840
"""How much text in front of the first heading can be the paper's own text; ours: twice the longest abstract that arXiv
takes (1,920 characters)."""
MAX_HEADING_CHARS = 2000
"""How long a title may be, with its notes; ours: arXiv's longest titles have some 300 characters."""
MAX_FRONT_CHARS = 20_000
r"""How long an ``\abstract{...}`` may be; ours: ten times what arXiv takes."""
_MAX_FRONT_RATIO = 20
r"""A paper without headings whose front matter's last mark leaves less than this part behind it has the mark at its end
(some put ``\maketitle`` there); ours."""
_MAX_TRIES = 50
"""Titles and front matter's commands that are looked into; ours: keeps a hostile source linear."""

_HEADING = re.compile(
    r"\\(?:(?:chapter|part|section|subsection|subsubsection|paragraph|subparagraph|addchap|addsec|minisec"
    r"|specialsection|unnumberedsection)\s*\*?\s*(?=[\[{])|beginsection(?![A-Za-z@])|heading\s*(?=\{)"
    r"|begin\s?\{(?:chapter|part|(?:sub){0,2}section|paragraph)\*?\}\s*(?=[\[{]))"
)
_FRONT_MARK = re.compile(
    r"\\(?:maketitle|tableofcontents|endabstract|endfrontmatter|printAffiliationsAndNotice|end\s?\{(?:abstract|frontmatter"
    r"|titlepage|keywords?|IEEEkeywords|opening|CCSXML|sciabstract|abstract\*)\})(?![A-Za-z@])"
    r"|\\(?:abstract|keywords|pacs|received|ccsdesc|email|subjclass|date|author|title)\s*(?:\[[^\[\]]*\])?\s*(?=\{)"
)
_BIBLIOGRAPHY = re.compile(
    r"\\begin\s?\{(thebibliography|references|REFERENCES|mcitethebibliography|biblist\*?|bibdiv|chapthebibliography"
    r"|apjbibliography)\}"
    r"|\\(?:(?:no)?bibliography[A-Za-z]*|printbibliography|printbibheading|putbib|nocite[a-z]*|addbibresource|biboptions"
    r"|bibpunct|bibsep|setcitestyle)(?![A-Za-z@])"
    r"|\\(bibitem)(?![A-Za-z@])"
)
_BEFORE_NAME = r"(?:\\[a-z]+|[\s{}~])*(?:\d+\.?\s*)?"
_REFERENCES = re.compile(
    _BEFORE_NAME + r"(?:references?(?:\s+(?:and|\\&)\s+notes)?|bibliography|literature\s+cited"
    r"|r\s?e\s?f\s?e\s?r\s?e\s?n\s?c\s?e\s?s|bibliographie|r[ée]f[ée]rences|literaturverzeichnis|bibliograf[ií]a"
    r"|referencias|refer[êe]ncias|bibliografie"
    r"|список литературы|(literature|literatur|литература))[\s}.:]*\Z",
    re.IGNORECASE,
)
"""Headings of a list of references; group 1: names that a section of text has, too."""
_CITES = re.compile(r"\\[a-zA-Z]*cite[a-z]*(?![a-z])")
_STOPS_REFERENCES = re.compile(
    r"\\(?:appendix(?![A-Za-z@])|(?:clear|new)page(?![A-Za-z@])|begin\s?\{(?:figure|table|appendi|supplement|deluxetable)|end\s?\{document\})"
)
_BIBLIOGRAPHY_ARGUMENT = re.compile(r"\*?[ \t]*\n?[ \t]*(?:\[[^\[\]]{0,500}\]\s{0,3})?(?:\{[^{}]{0,2000}\})?")
_HEADING_NAMED = re.compile(
    r"\\(?:begin\s?\{)?(?:chapter|part|(?:sub){0,2}section|(?:sub)?paragraph|addchap|addsec)\s*\*?\}?\s*"
    r"(?:\[[^\[\]\n]{0,200}\]\s*)?"
    r"\{((?:[^{}]|\{[^{}]{0,40}\}){0,80})\}"
)
_APPENDIX = re.compile(r"\\(?:appendix|appendices)(?![A-Za-z@])|\\begin\s?\{(?:appendix|appendices|subappendices)\}")
_TITLE = re.compile(r"\\(?:icmltitle|title|Title|TITLE)(?![A-Za-z@])\s*(?=[\[{])")
_NOTE = re.compile(
    r"\\(?:thanks|footnote|footnotemark|footnotetext|titlenote|tnoteref|corref|label|note)\s*(?:\[[^\]]*\])?(?=\{)"
)
_LAYOUT = re.compile(
    r"\\(?:\\(?:\[[^\]]*\])?|newline(?![A-Za-z])"
    r"|[vh]space\*?\s*\{[^{}]*\}|fontsize\s*\{[^{}]*\}\s*\{[^{}]*\}"
    r"|(?:[Ll]arge|LARGE|[Hh]uge|HUGE|normalsize|small|bf|bfseries|centering|boldmath|sc|sffamily|selectfont|noindent"
    r"|onehalfspacing|singlespacing|doublespacing)(?![A-Za-z])\s*)"
)
_PDF_TITLE = re.compile(r"\bpdftitle\s*=\s*(?=\{)")
_ABSTRACT = re.compile(r"\\begin\s?\{(abstract\*?|sciabstract)\}|\\abstract\s*(?=\{)")
_END_DOCUMENT = re.compile(r"\\end\s?\{document\}|\\(?:bye|endinput)(?![A-Za-z@])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A paper's body. ``num_headings``: of any depth, in the body; 0 is a paper without sections."""

    text: str
    title: str | None
    num_headings: int
    num_lead_chars: int
    """Text kept in front of the first heading; 0 where the body begins with the heading."""


def cut_paper(text: str, *, keep_abstract: bool = False, drop_appendix: bool = False) -> Removal:
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
    return Removal(text=kept, title=title, num_headings=len(headings), num_lead_chars=lead)


def _front(title: str | None, abstract: str | None, body: str) -> str:
    parts = [f"\\title{{{title}}}" if title else "", abstract or "", body]
    return "\n\n".join(part for part in parts if part)


def _body_start(body: str, headings: list[int]) -> tuple[int, int]:
    first = headings[0] if headings else len(body)
    front = _front_end(body, first)
    lead = len(body[front:first].strip())
    if not headings:
        return (front if lead * _MAX_FRONT_RATIO >= len(body) else 0), lead
    if lead >= MIN_LEAD_CHARS and lead > len(body) - first:
        return front, lead
    return first, 0


def _front_end(body: str, limit: int) -> int:
    """Where the front matter ends: behind its last mark before the first heading."""
    front = num_tries = 0
    for match in _FRONT_MARK.finditer(body, 0, limit):
        end = match.end()
        if body.startswith("{", end):
            num_tries += 1
            end = group_end(body, end, min(limit, end + MAX_FRONT_CHARS)) if num_tries <= _MAX_TRIES else end
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
    for match in islice(_TITLE.finditer(text), _MAX_TRIES):
        near = text[match.end() : match.end() + MAX_HEADING_CHARS]
        short = read_bracket(near, 0)
        title = _plain_title(near, 0 if short is None else short[1])
        if title:
            return title
    pdf_title = _PDF_TITLE.search(text)
    return None if pdf_title is None else _plain_title(text[pdf_title.end() : pdf_title.end() + MAX_HEADING_CHARS], 0)


def _plain_title(text: str, pos: int) -> str | None:
    group = read_group(text, pos)
    if group is None:
        return None
    title = group[0]
    while (note := _NOTE.search(title)) is not None and (end := group_end(title, note.end())) > 0:
        title = title[: note.start()] + title[end:]
    title = " ".join(_LAYOUT.sub(" ", title).replace("{ ", "{").split())
    while title.startswith("{") and group_end(title, 0) == len(title):
        title = title[1:-1].strip()
    return title or None


def remove_bibliography(body: str) -> str:
    r"""Removes lists of references and the commands that print them, wherever they stand; what follows them stays.

    >>> remove_bibliography("a\n\\section*{References}\n\\begin{thebibliography}{}x\\end{thebibliography}\n\\appendix")
    'a\n\\appendix'
    """
    stops = sorted(match.start() for pattern in (_HEADING, _STOPS_REFERENCES) for match in pattern.finditer(body))
    regions = _reference_sections(body, stops)
    unclosed: set[str] = set()
    for match in _BIBLIOGRAPHY.finditer(body):
        end = _bibliography_end(body, match, stops, unclosed)
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


def _bibliography_end(body: str, match: re.Match[str], stops: list[int], unclosed: set[str]) -> int:
    if match[1]:
        end_mark = f"\\end{{{match[1]}}}"
        end = -1 if match[1] in unclosed else body.find(end_mark, match.end())
        if end >= 0:
            return end + len(end_mark)
        unclosed.add(match[1])
        return _next_stop(body, match.end(), stops)
    if match[2]:
        return _next_stop(body, match.end(), stops)
    argument = _BIBLIOGRAPHY_ARGUMENT.match(body, match.end())
    return match.end() if argument is None else argument.end()


def _next_stop(body: str, pos: int, stops: list[int]) -> int:
    """Where a list without an end of its own ends: at the next heading, figure, page or appendix."""
    index = bisect_left(stops, pos)
    return stops[index] if index < len(stops) else len(body)


def _reference_sections(body: str, stops: list[int]) -> list[tuple[int, int]]:
    """Sections called "References": heading, and the list that somebody wrote by hand."""
    found = []
    for match in _HEADING_NAMED.finditer(body):
        named = _REFERENCES.match(match[1])
        if named is None:
            continue
        end = _next_stop(body, match.end(), stops)
        if named[1] is None or _CITES.search(body, match.end(), end) is None:
            found.append((match.start(), end))
    return found
