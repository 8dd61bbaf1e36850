"""Cleans one line: removes emphasis and the traces of removed templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from filters.wikitext.protected_text import HELD_OPEN

_QUOTES = re.compile(r"('{2,})")
MAX_EMPTY_CHARS = 200
"""Lines of at least this many characters never count as empty (ours)."""
_ONLY_LINK = re.compile(r"(?:- |\d+\. )?(?:https?://|www\.)\S+\.?")
_ONLY_SIGNS = re.compile(r"[\W_]*")
_EMPTY_BRACKETS = re.compile(r"(?<!\w)\([\s,;:/–—-]{0,20}\)|(?<=\w)\([\s,;:/–—-]{1,20}\)")
"""Matches empty brackets, except those after a function's name (``main()``)."""
_AFTER_BRACKET = re.compile(r"\([\s,;:]++(?!\))")
_BEFORE_BRACKET = re.compile(r"(?<!\()[ ,;:]{1,8}\)")
_REPEATED = re.compile(r"([,;])(?: ?[,;])++")
_SPACE_BEFORE = re.compile(r"(?<=\S) ([,.])(?=[\s)]|$)")
_SPACE_BEFORE_SEMICOLON = re.compile(r"(?<=\S) ;(?=\s|$)")
_LEADING = re.compile(r"(?:[,;](?=\s|$)\s*)+")


@dataclass(frozen=True, slots=True)
class TextRules:
    """Holds the punctuation rules that differ between languages."""

    is_semicolon_spaced: bool = False
    """True for French, which writes a space before ``;``. In all other languages, such a space is the trace of a
    removed template, and is removed."""


def plain(line: str, rules: TextRules) -> str:
    """Removes emphasis and traces of removed templates: empty brackets, doubled commas, spaces before commas.

    A space before a semicolon is such a trace, too, except in French (``is_semicolon_spaced``).

    >>> plain("'''A''' ( ; born 1900) , the (, ) pear ; x", TextRules()), plain(", dal 2001", TextRules())
    ('A (born 1900), the pear; x', 'dal 2001')
    >>> plain("main() is called ; oui", TextRules(is_semicolon_spaced=True))
    'main() is called ; oui'
    """
    if "''" in line:
        line = without_quotes(line)
    if "(" in line:
        line = _tidy_brackets(line)
    if "  " in line or "\t" in line:
        line = " ".join(line.split())
    if " ," in line or " ." in line:
        line = _SPACE_BEFORE.sub(r"\1", line)
    if ";" in line and " ;" in line:
        if not rules.is_semicolon_spaced:
            line = _SPACE_BEFORE_SEMICOLON.sub(";", line)
        line = _REPEATED.sub(r"\1", line)
    if ",," in line:
        line = _REPEATED.sub(r"\1", line)
    line = line.strip()
    return _LEADING.sub("", line, count=1) if line[:1] in (",", ";") and _LEADING.match(line) else line


def is_empty(line: str) -> bool:
    """Returns True if the line has no words: it is empty, or consists only of signs or of one URL."""
    if len(line) < MAX_EMPTY_CHARS and HELD_OPEN not in line:
        return _ONLY_SIGNS.fullmatch(line) is not None or (
            ("://" in line or "www." in line) and _ONLY_LINK.fullmatch(line) is not None
        )
    return not line


def _tidy_brackets(line: str) -> str:
    """Removes the traces of templates in brackets: "Berlin (; born 1900)", "Pear ()".

    >>> _tidy_brackets("Berlin (, German: Berlin ) and a pear ()")
    'Berlin (German: Berlin) and a pear '
    """
    if "( " in line or "(," in line or "(;" in line or "(:" in line or "()" in line or "(/" in line or "(–" in line:
        line = _EMPTY_BRACKETS.sub("", line)
        line = _AFTER_BRACKET.sub("(", line)
    if " )" in line or ",)" in line or ";)" in line or ":)" in line:
        line = _BEFORE_BRACKET.sub(")", line)
    return line


def without_quotes(line: str) -> str:
    """Removes ``''`` and ``'''``, the marks of italic and bold text, as MediaWiki does (``doQuotes``).

    Apostrophes next to these marks stay.

    >>> without_quotes("l'''Équipe'' de '''France'''"), without_quotes("''a'' '''''b'''''")
    ("l'Équipe de France", 'a b')
    """
    if "'''" not in line:
        return line.replace("''", "")
    pieces = _QUOTES.split(line)
    runs = [len(piece) for piece in pieces[1::2]]
    num_italic = sum(run == 2 or run >= 5 for run in runs)
    num_bold = sum(run >= 3 for run in runs)
    apostrophes = ["'" * (1 if run == 4 else max(0, run - 5)) for run in runs]
    if num_italic % 2 and num_bold % 2 and (index := _miscounted(pieces, runs)) is not None:
        apostrophes[index] = "'"
    pieces[1::2] = apostrophes
    return "".join(pieces)


def _miscounted(pieces: list[str], runs: list[int]) -> int | None:
    """Returns the index of the ``'''`` that is an apostrophe before an italic ``''``, as in ``l'''Équipe''``.

    This function is called for a line with an odd number of bold marks and an odd number of italic marks. In such a
    line, one ``'''`` is not a bold mark. A ``'''`` after a word of one letter is the first choice. Returns None if the
    line has no ``'''``.
    """

    def candidates() -> Iterator[tuple[int, int]]:
        for index, run in enumerate(runs):
            if run == 3:
                before = pieces[2 * index]
                if before.endswith(" "):
                    yield 2, index
                else:
                    yield (0 if before[-2:-1] == " " else 1), index

    best = min(candidates(), default=None)
    return best[1] if best else None
