r"""Contains small functions for LaTeX source. They find brace groups, whole lines and matches outside of comments, and
join pieces of text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_BRACE = re.compile(r"[{}]|\\[^A-Za-z]", re.DOTALL)
_PERCENT = re.compile(r"(?<!\\)(?:\\\\)*%")
_ENDS_IN_WORD = re.compile(r"(?<!\\)(?:\\\\)*\\[A-Za-z@]+\Z")
_TAIL_CHARS = 60
"""Number of characters searched backwards for a command's name. Our choice: the longest names in LaTeX have under
30."""


def words(names: str) -> frozenset[str]:
    """Returns the set of the names in a space-separated list."""
    return frozenset(names.split())


def normalise_source(text: str) -> str:
    r"""Returns the text with ``\n`` line ends and without NULs and byte order marks.

    Files from old Macs have only ``\r`` at line ends. A comment ends at ``\n``, so without this function the first
    comment would hide the rest of such a file.

    >>> normalise_source("a\r\nb\rc\x00d")
    'a\nb\ncd'
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\x00", "").removeprefix("\ufeff")


def group_end(text: str, pos: int, limit: int | None = None) -> int:
    r"""Returns the position after the ``}`` that closes the group opened at ``pos``, or -1 if the group is not closed.

    >>> group_end(r"{a\}{b}}c", 0)
    8
    """
    limit = len(text) if limit is None else limit
    depth, start = 0, pos
    while (end := text.find("}", start, limit)) >= 0:
        if text[end - 1] == "\\" or text.find("\\{", start, end) >= 0:
            return _group_end_with_escapes(text, start, limit, depth)
        depth += text.count("{", start, end) - 1
        start = end + 1
        if depth <= 0:
            return start
    return -1


def _group_end_with_escapes(text: str, pos: int, limit: int, depth: int) -> int:
    for match in _BRACE.finditer(text, pos, limit):
        brace = match[0]
        if brace == "{":
            depth += 1
        elif brace == "}":
            depth -= 1
            if depth <= 0:
                return match.end()
    return -1


def whole_lines(text: str, start: int, end: int) -> int:
    r"""Returns the position where the text continues after the part from ``start`` to ``end`` is removed.

    If the part fills whole lines, the text continues at the start of the next line, because an empty line would begin a
    new paragraph in TeX. In all other cases it continues at ``end``.

    >>> whole_lines("a\n  CUT \nb", 4, 7), whole_lines("a CUT\nb", 2, 5)
    (9, 5)
    """
    pos = end
    while pos < len(text) and text[pos] in " \t":
        pos += 1
    if pos >= len(text) or text[pos] != "\n":
        return end
    before = start
    while before > 0 and text[before - 1] in " \t":
        before -= 1
    return pos + 1 if before == 0 or text[before - 1] == "\n" else end


def ends_in_word(text: str) -> bool:
    r"""Returns True if the text ends in a command's name. A letter after the text would then change the name.

    >>> ends_in_word(r"a\beta"), ends_in_word(r"\beta{}"), ends_in_word(r"\\beta")
    (True, False, False)
    """
    return _ENDS_IN_WORD.search(text[-_TAIL_CHARS:]) is not None


def would_glue(before: str, after: str) -> bool:
    r"""Returns True if ``before`` ends in a command's name and ``after`` begins with a letter. If the two were
    joined directly, the letter would become a part of the name.

    >>> would_glue(r"{\small", "note"), would_glue("small", "note"), would_glue(r"\small", "1")
    (True, False, False)
    """
    first, last = after[:1], before[-1:]
    return first.isalpha() and first.isascii() and last.isalpha() and ends_in_word(before)


def join_pieces(pieces: Iterable[str]) -> str:
    r"""Joins pieces of a source that were not adjacent in it. Adds a space between two pieces if the second begins with
    a letter that would extend a command's name at the end of the first.

    Each command's name must be inside one piece.

    >>> join_pieces([r"{\small", "note}"])
    '{\\small note}'
    """
    out: list[str] = []
    for piece in pieces:
        if not piece:
            continue
        if out and piece[0].isalpha() and out[-1][-1].isalpha() and would_glue(out[-1], piece):
            out.append(" ")
        out.append(piece)
    return "".join(out)


def in_code(pattern: re.Pattern[str], text: str, pos: int = 0) -> Iterator[re.Match[str]]:
    r"""Yields the matches of ``pattern`` that are outside of comments, in linear time.

    The search begins at ``pos``, which must not be in a comment. Every match must begin with a backslash.
    """
    is_comment = False
    for match in pattern.finditer(text, pos):
        start = match.start()
        newline = text.rfind("\n", pos, start)
        if newline >= 0:
            is_comment, pos = False, newline + 1
        is_comment = is_comment or _PERCENT.search(text, pos, start) is not None
        pos = start
        if not is_comment:
            yield match
