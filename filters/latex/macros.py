r"""Contains the classes of macros and definitions, and functions that read the names and groups in a definition.

A macro has parameters, and a body that is cut into text and parameter numbers (``#1``).

:mod:`filters.latex.definitions` reads every form of definition into a :class:`Definition`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from filters.latex.groups import ends_in_word, group_end, words

PROTECTED = words(
    "begin end document documentclass documentstyle usepackage par item input include chapter part section subsection"
    " subsubsection paragraph subparagraph addchap addsec minisec appendix bibliography bibliographystyle"
    " printbibliography bibitem maketitle title author date abstract endabstract verb relax fi else or footnote caption"
    " label \\ left right middle tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge"
)
"""Names that keep their standard meaning even if a source redefines them. They mark the structure of a paper, which
later steps search for. If a source redefines ``\\section``, the new definition changes a journal's layout and is no
shorthand."""
PROTECTED_ENVIRONMENTS = words(
    "document abstract thebibliography verbatim lstlisting figure figure* table table* equation equation* align align*"
    " itemize enumerate description tabular array center quote quotation proof appendix appendices"
)
"""Environments that keep their standard meaning even if a source redefines them."""

MAX_BODY_CHARS = 100_000
"""Longest definition that is read. Our choice: the longest body in the real papers has under 2,000 characters."""
NO_VALUE = "-NoValue-"
"""The mark that xparse itself uses for a missing optional argument."""
_PARAMETER = re.compile(r"\\.|##|#([1-9])", re.DOTALL)
NAME = re.compile(r"\s*(?:\\([A-Za-z@]+|[^A-Za-z\s])|\{\s*\\([A-Za-z@]+|[^A-Za-z\s])\s*\})", re.DOTALL)
CSNAME = re.compile(
    r"\s*(?:\\expandafter\s*)?(?:\\csname\s*([^\\{}#]{1,60}?)\s*\\endcsname(?![A-Za-z@])"
    r"|\{\s*\\csname\s*([^\\{}#]{1,60}?)\s*\\endcsname\s*\})"
)
_WHITESPACE = " \t\n"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Describes how one argument of a macro is read.

    ``kind`` is a letter: ``m`` for a group or token; ``o`` for an optional argument between ``opens`` and ``closes``;
    ``s`` for an optional token; ``u`` for all text before a delimiter; ``l`` for a literal text that must follow and
    gives no argument.
    """

    kind: str
    opens: str = ""
    closes: str = ""
    default: str = NO_VALUE


@dataclass(frozen=True, slots=True)
class Macro:
    """Describes a macro that can be expanded.

    ``body`` contains text and parameter numbers in order. ``is_primitive`` is True if the macro is a copy, made by
    ``\\let``, of a command that the source does not define. Then ``body`` is the name of that command, and is not
    expanded again. ``has_at`` is True if ``@`` was a letter where the macro was defined.
    """

    parameters: tuple[Parameter, ...] = ()
    body: tuple[str | int, ...] = ()
    is_primitive: bool = False
    has_at: bool = False
    is_new: bool = False
    r"""True if ``\newcommand`` made the macro and the name had no meaning before. Then the end of the group has no
    older meaning to restore, so the macro stays defined."""

    def fill(self, arguments: list[str]) -> str:
        r"""Returns the body, filled with the arguments. Adds a space if an argument would otherwise extend a command's
        name.

        >>> Macro((Parameter("m"),), ("\\bf", 1, "x")).fill(["a"])
        '\\bf ax'
        """
        if len(self.body) == 1 and isinstance(self.body[0], str):
            return self.body[0]
        out: list[str] = []
        for part in self.body:
            piece = part if isinstance(part, str) else arguments[part - 1] if part <= len(arguments) else f"#{part}"
            if piece and out and piece[0].isalpha() and out[-1][-1].isalpha() and ends_in_word(out[-1]):
                out.append(" ")
            if piece:
                out.append(piece)
        return "".join(out)


@dataclass(frozen=True, slots=True)
class Environment:
    """Describes a user's environment as two macros. One is for its beginning and takes its arguments. The other is for
    its end.
    """

    begins: Macro
    ends: Macro


@dataclass(frozen=True, slots=True)
class Definition:
    """Describes a definition in the source: the name, its new meaning, and the position where the definition ends."""

    name: str
    end: int
    meaning: Macro | Environment | None
    """The new meaning of the name. None if the name gets the meaning of ``alias_of``."""
    alias_of: str = ""
    r"""The name ``b`` in ``\let\a\b`` or in a copy; ``undefined`` for ``\undef``; empty for all other definitions."""


def cut_body(body: str) -> tuple[str | int, ...]:
    r"""Splits the body of a definition at its parameters. ``##`` becomes ``#``: it marks a parameter of another
    definition that is inside the body.

    >>> cut_body(r"\frac{#1}{#2} \# ##1")
    ('\\frac{', 1, '}{', 2, '} \\# #1')
    """
    if "\n" in body:  # a line end is a space to TeX; at the ends of a body it is layout
        body = _trim(body)
    if "#" not in body:
        return (body,) if body else ()
    parts: list[str | int] = []
    text, pos = "", 0
    for match in _PARAMETER.finditer(body):
        if match[1]:
            text += body[pos : match.start()]
            if text:
                parts.append(text)
            parts.append(int(match[1]))
            text, pos = "", match.end()
        elif match[0] == "##":
            text += body[pos : match.start()] + "#"
            pos = match.end()
    text += body[pos:]
    return (*parts, text) if text else tuple(parts)


def _trim(body: str) -> str:
    stripped = body.lstrip()
    if "\n" in body[: len(body) - len(stripped)]:
        body = stripped
    stripped = body.rstrip()
    if "\n" in body[len(stripped) :]:
        body = stripped + (" " if stripped.endswith("\\") else "")
    return body


def read_name(text: str, pos: int) -> tuple[str, int] | None:
    r"""Reads a command's name, written as ``\name`` or ``\csname name\endcsname``, with or without braces around it.
    Returns (name, end) or None.

    >>> read_name(r"\expandafter{\csname a\endcsname}{b}", 0)
    ('a', 33)
    """
    match = CSNAME.match(text, pos)
    if match is not None:
        return match[1] or match[2], match.end()
    match = NAME.match(text, pos)
    return None if match is None else (match[1] or match[2], match.end())


def read_group(text: str, pos: int) -> tuple[str, int] | None:
    """Reads a group ``{...}`` at ``pos`` or after white space. Returns the group's content and the position after the
    group. Returns None if there is no group, or if the group is longer than ``MAX_BODY_CHARS``.
    """
    pos = skip_space(text, pos)
    if not text.startswith("{", pos):
        return None
    end = group_end(text, pos, pos + MAX_BODY_CHARS)
    return None if end < 0 else (text[pos + 1 : end - 1], end)


def read_bracket(text: str, pos: int, opens: str = "[", closes: str = "]") -> tuple[str, int] | None:
    """Reads ``[...]`` at ``pos`` or after white space. A ``]`` inside braces does not end it. Returns the content and
    the position after the ``]``. Returns None if there are no brackets, or more than ``MAX_BODY_CHARS``
    between them.
    """
    pos = skip_space(text, pos)
    if not text.startswith(opens, pos):
        return None
    found = find_outside_groups(text, closes, pos + len(opens), pos + MAX_BODY_CHARS)
    return None if found < 0 else (text[pos + len(opens) : found], found + len(closes))


def find_outside_groups(text: str, mark: str, pos: int, limit: int) -> int:
    r"""Returns the first position of ``mark`` that is outside of braces and not after a backslash, or -1.

    If ``mark`` ends in a command, only the command with exactly this name counts: ``\e`` is not found in ``\epsilon``.

    >>> find_outside_groups(r"a{]}\]]", "]", 0, 99), find_outside_groups(r"\epsilon\e", r"\e", 0, 99)
    (6, 8)
    """
    depth = 0
    for match in _mark_pattern(mark).finditer(text, pos, min(limit, len(text))):
        token = match[0]
        if token == mark and depth == 0:
            return match.start()
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            if depth < 0:
                return -1
    return -1


@functools.cache
def _mark_pattern(mark: str) -> re.Pattern[str]:
    ends = "(?![A-Za-z@])" if ends_in_word(mark) else ""
    return re.compile(rf"{re.escape(mark)}{ends}|[{{}}]|\\(?:[A-Za-z@]+|.)", re.DOTALL)


def starts_with_mark(text: str, mark: str, pos: int) -> bool:
    r"""Returns True if ``mark`` is at ``pos``.

    If ``mark`` ends in a command, only the command with exactly this name counts: ``\epsilon`` does not start with
    ``\e``.

    >>> starts_with_mark(r"\epsilon", r"\e", 0), starts_with_mark(r"\e psilon", r"\e", 0)
    (False, True)
    """
    if not text.startswith(mark, pos):
        return False
    after = text[pos + len(mark) : pos + len(mark) + 1]
    return not (after.isascii() and after.isalpha() and ends_in_word(mark))


def skip_space(text: str, pos: int, *, over_paragraphs: bool = False) -> int:
    """Returns the next position that is not white space.

    If an empty line (the end of a paragraph) is before that position, returns ``pos`` itself. Set ``over_paragraphs``
    to skip empty lines too.
    """
    newlines = 0
    start = pos
    while pos < len(text) and text[pos] in _WHITESPACE:
        if text[pos] == "\n":
            newlines += 1
            if newlines > 1 and not over_paragraphs:
                return start
        pos += 1
    return pos
