r"""Finds a paper's title, front matter, headings and appendix, and cuts the parts that the LLaMA paper removes.

The macros of the text must already be expanded, and its verbatim text must be sealed, so that every match is a real
heading. The time is linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from filters.latex.groups import group_end, join_pieces
from filters.latex.macros import read_bracket, read_group
from filters.latex.references import LATEX, PLAIN, remove_bibliography

MIN_LEAD_CHARS = 3840
"""If fewer characters than this are between the front matter and the first heading, they are always cut. If there are
more, they can be the paper's main text (see :func:`cut_paper`). Our choice: this is twice the length of the longest
abstract that arXiv accepts (1,920 characters)."""
MAX_HEADING_CHARS = 2000
"""Longest title, including its notes. Our choice: the longest titles on arXiv have about 300 characters."""
MAX_FRONT_CHARS = 20_000
r"""Longest ``\abstract{...}``. Our choice: ten times the length that arXiv accepts."""
_MAX_FRONT_RATIO = 20
r"""In a paper without headings, nothing is cut at the beginning if the text after the front matter is less than a
twentieth of the whole text. Our choice: some authors put ``\maketitle`` at the end, so the front matter seems to reach
to the end."""
_MAX_TRIES = 50
"""Maximum number of titles and front-matter commands examined. Our choice: keeps the time linear on hostile sources."""

_FRONT_MARK = re.compile(
    r"\\(?:maketitle|tableofcontents|endabstract|endfrontmatter|endtopmatter|endtitlepage|printAffiliationsAndNotice|end\s?\{(?:abstract|frontmatter"
    r"|titlepage|keywords?|IEEEkeywords|opening|CCSXML|sciabstract|abstract\*)\})(?![A-Za-z@])"
    r"|\\(?:abstract|keywords|pacs|received|ccsdesc|email|subjclass|date|Date|author|title)\s*(?:\[[^\[\]]*\])?\s*(?=\{)"
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
_END_DOCUMENT = re.compile(r"\\end\s?\{document\}|\\(?:bye|endinput|enddocument)(?![A-Za-z@])")
_END_PLAIN = re.compile(r"\\(?:bye|endinput|enddocument|end(?!\s?\{))(?![A-Za-z@])")
_BEGIN_AMSTEX = re.compile(r"\\document(?![A-Za-z@])")
_CLOSED_TITLE = re.compile(r"\\title(?![A-Za-z@])((?:(?!\\title(?![a-z])).){1,1000}?)\\endtitle", re.DOTALL)
_TITLE_BOX = re.compile(r"\\(?:vbox|hbox|centerline|leftline|line|titlefont|titlerm)(?![A-Za-z@])\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Holds the result of :func:`cut_paper`: the text that is kept, the title, and counts.

    ``num_headings`` counts headings of any depth; 0 means a paper without sections.
    """

    text: str
    title: str | None
    num_headings: int
    num_lead_chars: int
    """Number of characters between the front matter and the first heading, or the end of a paper without headings. 0 if
    the kept text begins with the heading."""


def cut_paper(text: str, *, keep_abstract: bool = False, drop_appendix: bool = False) -> Removal:
    r"""Cuts the bibliography, everything before the first section, and everything after ``\end{document}``.

    Some papers have their main text before the first heading, for example a long letter whose only heading is
    "Acknowledgements". In such a paper, the text between the front matter (title, authors, abstract) and the first
    heading stays. This text must have at least ``MIN_LEAD_CHARS`` characters, and be longer than the text from the
    heading on. If a paper has no headings, all text after the front matter stays (see also ``_MAX_FRONT_RATIO``).

    >>> cut_paper(r"\title{T}\begin{document}\maketitle x \section{One} a \bibliography{b}\end{document} z").text
    '\\section{One} a '
    >>> cut_paper(r"\begin{document}\maketitle We show.\end{document}").text
    ' We show.'
    """
    title = find_title(text)
    begin, end = _document_span(text)
    preamble, body = text[:begin], text[begin:end]
    dialect = LATEX if "\\begin{document}" in preamble else PLAIN
    body = remove_bibliography(body, dialect=dialect)
    if drop_appendix and (appendix := _APPENDIX.search(body)) is not None:
        body = body[: appendix.start()]
    headings = [match.start() for match in dialect.heading.finditer(body)]
    start, lead = _body_start(body, headings)
    kept = body[start:]
    if keep_abstract:
        kept = _front(title, _abstract(preamble + body[:start]), kept)
    return Removal(text=kept, title=title, num_headings=len(headings), num_lead_chars=lead)


def _document_span(text: str) -> tuple[int, int]:
    begin = text.find("\\begin{document}")
    ends = _END_DOCUMENT
    if begin >= 0:
        begin += len("\\begin{document}")
    else:
        amstex = _BEGIN_AMSTEX.search(text) if "\\topmatter" not in text else None  # \topmatter follows \document
        begin = amstex.end() if amstex else 0
        ends = _END_PLAIN
    end = ends.search(text, begin)
    return begin, end.start() if end else len(text)


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
    """Returns the position after the last command of the front matter, such as the title or abstract. Only commands
    before ``limit`` count.
    """
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
    r"""Returns the paper's title on one line and without its footnotes; None if there is no title.

    >>> find_title(r"\title[Short]{On \\ {\bf things}\thanks{To all}}")
    'On {things}'
    """
    for match in islice(_TITLE.finditer(text), _MAX_TRIES):
        near = text[match.end() : match.end() + MAX_HEADING_CHARS]
        short = read_bracket(near, 0)
        if match[0].startswith("\\Title") and (second := _second_group(near)) is not None:
            near = second  # harvmac's first argument is the preprint's number
        title = _plain_title(near, 0 if short is None else short[1])
        if title:
            return title
    closed = _CLOSED_TITLE.search(text)
    if closed is not None:
        return _plain_title(f"{{{closed[1]}}}", 0)
    pdf_title = _PDF_TITLE.search(text)
    return None if pdf_title is None else _plain_title(text[pdf_title.end() : pdf_title.end() + MAX_HEADING_CHARS], 0)


def _second_group(text: str) -> str | None:
    first = read_group(text, 0)
    second = None if first is None else read_group(text, first[1])
    return None if second is None else f"{{{_TITLE_BOX.sub('', second[0])}}}"


def _plain_title(text: str, pos: int) -> str | None:
    group = read_group(text, pos)
    if group is None:
        return None
    title = group[0]
    while (note := _NOTE.search(title)) is not None and (end := group_end(title, note.end())) > 0:
        title = join_pieces([title[: note.start()], title[end:]])
    title = " ".join(_LAYOUT.sub(" ", title).replace("{ ", "{").split())
    while title.startswith("{") and group_end(title, 0) == len(title):
        title = title[1:-1].strip()
    return title or None
