"""Lines: headings, lists, emphasis, apparatus sections, and how what is left is set out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from filters.wikitext.protected_text import HELD_OPEN

_QUOTES = re.compile(r"('{2,})")
_BULLETS = re.compile(r"[*#:;]+")
_ONLY_LINK = re.compile(r"(?:- |\d+\. )?(?:https?://|www\.)\S+\.?")
_ONLY_SIGNS = re.compile(r"[\W_]*")
_MAGIC = re.compile(r"__([^\W\d_]{2,40}(?:_[^\W\d_]{1,40}){0,4})__")
_EMPTY_BRACKETS = re.compile(r"\([\s,;:/–—-]{0,20}\)")
_AFTER_BRACKET = re.compile(r"\([\s,;:]++")
_BEFORE_BRACKET = re.compile(r"[ ,;:]{1,8}\)")
_REPEATED = re.compile(r"([,;])(?: ?[,;])++")
_SPACE_BEFORE = re.compile(r"(?<=\S) ([,.])(?=[\s)]|$)")
_MAX_LIST_DEPTH = 10
_MAX_HEADING_LEVEL = 6


def lay_out(text: str, apparatus_headings: frozenset[str]) -> str:
    """Lays the page's lines out as plain text.

    Headings stand between blank lines, those with nothing under them go, apparatus sections go whole. Lists keep
    a dash or a number. Paragraphs stay apart by one blank line.
    """
    if "__" in text:
        text = _MAGIC.sub(lambda match: "" if match[1].isupper() else match[0], text)
    out: list[str] = []
    pending: list[tuple[int, str]] = []
    skip_level = 0
    numbers: dict[str, int] = {}
    for raw in text.split("\n"):
        line = raw.strip()
        if not line:
            numbers.clear()
            if out and out[-1]:
                out.append("")
            continue
        first = line[0]
        if first == "=" and line[-1] == "=" and (parsed := _heading(line)):
            level, heading = parsed
            if skip_level and level > skip_level:
                continue
            is_apparatus = heading.casefold().strip(" .:") in apparatus_headings
            skip_level = level if is_apparatus else 0
            while pending and pending[-1][0] >= level:
                pending.pop()
            if heading and not is_apparatus:
                pending.append((level, heading))
            continue
        if skip_level:
            continue
        if first in "*#:;":
            line = _list_item(line, numbers)
        else:
            numbers.clear()
            if first in "|!" and _is_table_row(line):
                continue
            line = _plain(line)
        if _is_empty(line):
            continue
        if pending:
            for _, heading in pending:
                out += ["", heading, ""] if out and out[-1] else [heading, ""]
            pending.clear()
        elif len(out) > 1 and not out[-1] and _is_item(line) and _is_item(out[-2]):
            out.pop()  # what stood between two items was taken out
        out.append(line)
    return "\n".join(out).strip("\n")


def _is_item(line: str) -> bool:
    return line.lstrip(" ").startswith("- ")


def _is_table_row(line: str) -> bool:
    """A row that stands outside of any table, since a template opened it."""
    return line[0] == "|" or "!!" in line or "scope=" in line or line.startswith("! ")


def _is_empty(line: str) -> bool:
    """Nothing a reader reads: signs only, a rule, or an address alone."""
    if len(line) < 200 and HELD_OPEN not in line:
        return _ONLY_SIGNS.fullmatch(line) is not None or (
            ("://" in line or "www." in line) and _ONLY_LINK.fullmatch(line) is not None
        )
    return not line


def _list_item(line: str, numbers: dict[str, int]) -> str:
    match = _BULLETS.match(line)
    bullets = match[0] if match else ""
    words = line[len(bullets) :].strip()
    kind = bullets[-1]
    if kind != "#":
        for level in [level for level in numbers if len(level) >= len(bullets)]:
            del numbers[level]
    if kind == ";":
        term, colon, meaning = words.partition(" : ")
        return _plain(f"{term}: {meaning}" if colon else words)
    if kind == ":":
        return _plain(words)
    indent = "  " * min(len(bullets) - 1, _MAX_LIST_DEPTH)
    words = _plain(words)
    if not words or not words.strip(" -–—,.;:|*"):
        return ""
    if kind == "*":
        return f"{indent}- {words}"
    for level in [level for level in numbers if len(level) > len(bullets)]:
        del numbers[level]
    key = bullets[:_MAX_LIST_DEPTH]
    numbers[key] = numbers.get(key, 0) + 1
    return f"{indent}{numbers[key]}. {words}"


def _heading(line: str) -> tuple[int, str] | None:
    """Level and words of ``== words ==``; unequal signs count by the fewer, as in MediaWiki."""
    inner = line.strip("=")
    if not inner.strip():
        return None
    num_before = len(line) - len(line.lstrip("="))
    num_after = len(line) - len(line.rstrip("="))
    level = min(num_before, num_after, _MAX_HEADING_LEVEL)
    return level, _plain(line[level:-level])


def _plain(line: str) -> str:
    """Takes emphasis away and tidies what removed templates leave: empty brackets, doubled commas and spaces."""
    if "''" in line:
        line = _without_quotes(line)
    if "(" in line:
        line = _tidy_brackets(line)
    if "  " in line or "\t" in line:
        line = " ".join(line.split())
    if " ," in line or " ." in line:
        line = _SPACE_BEFORE.sub(r"\1", line)
    if ",," in line or ", ," in line or "; ;" in line or ", ;" in line:
        line = _REPEATED.sub(r"\1", line)
    return line.strip()


def _tidy_brackets(line: str) -> str:
    """What a removed template leaves: "Berlin (; born 1900)", "Pear ()".

    >>> _tidy_brackets("Berlin (, German: Berlin ) and a pear ()")
    'Berlin (German: Berlin) and a pear '
    """
    if "( " in line or "(," in line or "(;" in line or "(:" in line or "()" in line or "(/" in line or "(–" in line:
        line = _EMPTY_BRACKETS.sub("", line)
        line = _AFTER_BRACKET.sub("(", line)
    if " )" in line or ",)" in line or ";)" in line or ":)" in line:
        line = _BEFORE_BRACKET.sub(")", line)
    return line


def _without_quotes(line: str) -> str:
    """Removes ``''`` and ``'''``; an apostrophe beside them stays, by MediaWiki's own rule (``doQuotes``).

    >>> _without_quotes("l'''Équipe'' de '''France'''"), _without_quotes("''a'' '''''b'''''")
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
    """The ``'''`` that is an apostrophe and an opening ``''``: best behind a word of one letter (l'''Équipe'')."""

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
