r"""Finds headings such as "References", and decides what follows such a heading: a list of references, or prose with
citations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from filters.latex.accents import plain_accents

_NAMES = (
    r"(?:references?(?:\s+(?:and|\\?&)\s+(?:foot)?notes|\s+cited)?|bibliography|literature\s+cited"
    r"|r\s?e\s?f\s?e\s?r\s?e\s?n\s?c\s?e\s?s|bibliographie|r[ée]f[ée]rences(?:\s+bibliographiques)?|literaturverzeichnis"
    r"|bibliograf[ií]a|referencias(?:\s+bibliogr[aá]ficas)?|refer[êe]ncias(?:\s+bibliogr[aá]ficas)?|bibliografie"
    r"|riferimenti\s+bibliografici|referenzen|referenser|literatuur(?:lijst)?|referenties|bibliografia|literatura\s+cytowana"
    r"|список\s+литературы|библиография|参考文献|參考文獻|文献|(?P<review>literature|literatur|литература|literatura))"
)
_REFERENCES = re.compile(
    rf"(?:\\[a-z]+|[\s{{}}~])*(?:(?:\d+|[IVXivx]+)\.?\s+|\d+\.)?{_NAMES}[\s}}.:]*\Z", re.IGNORECASE
)
"""Matches titles of reference lists. The group ``review`` matches titles that sections of prose can also have."""
_STEMS = ("renc", "bibliogra", "literatu", "n c e s", "encias")
_STEMS_NOT_ASCII = ("rênc", "литератур", "библиогра", "文献", "文獻")
"""Lower-case parts of the names of reference lists that are not ASCII. Each such name contains one of these parts.
Lines that contain none of them, and none of ``_STEMS``, are skipped."""
_HAND_HEADING = re.compile(
    r"\\(?:centerline|leftline|line|bf|textbf|bfseries|sc|textsc|large|Large|LARGE|beginsection|begin\{center\}|underline"
    r"|underbar|it|em|sl|bigbf|section|heading|head|newsec|subhead|mainhead|sectionhead|chapter|noindent|bigskip)"
    r"(?![A-Za-z@])"
)
_LAYOUT_ARGUMENT = re.compile(
    r"\\(?:begin|end)\s?\{[A-Za-z]+\*?\}|\\[vh]space\*?\s*\{[^{}]*\}|\\[vh]?skip\s*-?[\d.]+\s*[a-z]{2}|\\end(?:sub)?head(?:ing)?"
    r"|\\(?:label|addcontentsline|hypertarget)\s*\{[^{}]*\}|\\[A-Za-z]+\*?|[{}~]|\$\\[a-z]+\$"
)
_SECTION_NAMED = re.compile(
    r"\\(?:begin\s?\{)?(?P<level>chapter|part|(?:sub){0,2}section|(?:sub)?paragraph|addchap|addsec|newsec|heading)\s*\*?\}?\s*"
    r"(?:\[[^\[\]\n]{0,200}\]\s*)?"
    r"\{(?P<title>(?:[^{}]|\{[^{}]{0,40}\}){0,80})\}"
)
STRONG_MARK = re.compile(
    r"\\bibitem(?![A-Za-z@])|\\begin\s?\{(?:thebibliography|references|REFERENCES|biblist|bibdiv)|\\bib\s?\{|\\refno(?![A-Za-z@])"
    r"|\\reference(?![A-Za-z@])|\\ref\s*\\(?:key|no|by)(?![A-Za-z@])|\\(?:item|itemitem|refitem)\s*\{?\[?\s*\d"
    r"|^[ \t]*(?:\\[A-Za-z]+\s*)?\{?(?:\\[a-z]+\s*)?(?:\[\s*[\w+.:-]{1,14}\s*\]|\(?\d{1,3}[.)][ \t~}])",
    re.MULTILINE,
)
ENTRY = re.compile(
    r"\b(?:1[89]|20)\d\d\b|arXiv|\bet al\b|\d\s*[,:(]\s*\d|\b(?:Phys|Rev|Lett|Math|Proc|Nucl|Ann|Trans|Journal|J|Press"
    r"|Springer|Wiley|Elsevier|preprint|Preprint|Vol|vol|pp|Univ)\b\.?"
)
_COMMAND_AND_ARGUMENTS = re.compile(
    r"\\[A-Za-z@]+\*?\s*(?:\[[^\[\]]{0,200}\]\s*)?(?:\{[^{}]{0,300}\}\s*){0,3}|\\.", re.DOTALL
)
_WORD = re.compile(r"[^\W\d_]{2}")
CITES = re.compile(r"\\[a-zA-Z]*cite[a-z]*(?![a-z])")
MAX_LINE_CHARS = 300
"""Longest line that can be a heading without a heading command. Our choice: such a line is one word with its layout."""
_MAX_BEFORE_CHARS = 600


@dataclass(frozen=True, slots=True)
class Named:
    """Describes a heading that means "References", in any form."""

    start: int
    end: int
    is_section: bool
    """True for the heading of a section. False for the heading of a paragraph, and for a heading made without a heading
    command."""
    is_review: bool


def headings_named(body: str, list_starts: list[int]) -> Iterator[Named]:
    """Yields the headings that mean "References".

    Headings made with a heading command are found in the whole body. Headings made by hand (such as a line in bold) are
    found only shortly before one of ``list_starts``, the positions where lists of references begin. If ``list_starts``
    is empty, headings made by hand are also found in the whole body.
    """
    section_starts = set()
    for match in _SECTION_NAMED.finditer(body):
        named = _REFERENCES.match(plain_accents(match["title"]))
        if named is not None:
            section_starts.add(body.rfind("\n", 0, match.start()) + 1)
            is_section = "paragraph" not in match["level"]
            yield Named(match.start(), match.end(), is_section, named["review"] is not None)
    seen = set(section_starts)
    ends = [0, *list_starts]
    stretches = [(max(last, end - _MAX_BEFORE_CHARS), end) for last, end in pairwise(ends)] or [(0, len(body))]
    for place in (place for start, end in stretches for place in _places_of_stems(body, start, end)):
        start = body.rfind("\n", max(0, place - MAX_LINE_CHARS), place) + 1
        end = body.find("\n", place, place + MAX_LINE_CHARS)
        end = min(len(body), place + MAX_LINE_CHARS) if end < 0 else end
        if start in seen or end - start > MAX_LINE_CHARS:
            continue
        seen.add(start)
        line = body[start:end]
        plain = " ".join(_LAYOUT_ARGUMENT.sub(" ", plain_accents(line)).split())
        named = _REFERENCES.match(plain)
        if named is not None and named["review"] is None and _is_heading_line(body, line, start, end):
            yield Named(start, end, is_section=False, is_review=False)


def _places_of_stems(body: str, start: int, end: int) -> Iterator[int]:
    lower = body[start:end].replace("\u0130", "I").lower()  # the lower case of U+0130 has two characters
    for stem in _STEMS if lower.isascii() else (*_STEMS, *_STEMS_NOT_ASCII):
        place = lower.find(stem)
        while place >= 0:
            yield start + place
            place = lower.find(stem, place + 1)


def _is_heading_line(body: str, line: str, start: int, end: int) -> bool:
    """Returns True if a line is formatted as a heading or is a paragraph by itself."""
    if _HAND_HEADING.search(line):
        return True
    is_alone = body[max(0, start - 2) : start].strip(" ") in ("\n\n", "\n", "") and body.startswith("\n", end)
    return is_alone and (line.strip().isupper() or body[end : end + 2] == "\n\n")


def is_list(content: str, heading: Named) -> bool:
    """Returns True if the text after a heading "References" is a list of references.

    Marks such as ``[1]``, years and names of journals are signs of a list. Citation commands are signs of prose.
    """
    if not _WORD.search(_COMMAND_AND_ARGUMENTS.sub(" ", content)):
        return heading.is_section
    cites = CITES.search(content) is not None
    if heading.is_review and cites:
        return False
    if STRONG_MARK.search(content):
        return True
    if cites:
        return False
    num_entries = sum(
        ENTRY.search(paragraph) is not None for paragraph in re.split(r"\n\s*\n|\\par(?![a-z])|\\item", content)
    )
    if heading.is_section and not heading.is_review:
        return num_entries >= 1
    return num_entries >= 2
