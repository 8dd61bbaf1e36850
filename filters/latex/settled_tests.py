r"""Evaluates tests whose values are all in the source: ``\if0``, ``\if\draft1``, ``\ifnum0=1``, ``\ifodd1``,
``\ifx\a\b``.

Authors hide drafts with such tests. The value of a macro is known if the source defines the macro exactly once, as a
number or a word.
"""

from __future__ import annotations

import re

from filters.latex.groups import words

_TESTS = words("if ifnum ifodd ifx")
_DEFINED_WORD = re.compile(
    r"\\(?:def\s*\\([A-Za-z@]+)\s*|(?:re)?newcommand\*?\s*\{?\s*\\([A-Za-z@]+)\s*\}?\s*)\{\s*([0-9A-Za-z]{1,40})\s*\}"
    r"|\\chardef\s*\\([A-Za-z@]+)\s*=?\s*(\d{1,3})(?!\d)"
)
_DEFINED = re.compile(
    r"\\(?:[gex]?def|let|chardef|newif|(?:new|renew|provide)command\*?|DeclareRobustCommand\*?)\s*\{?\s*\\([A-Za-z@]+)"
)
_TOKEN = re.compile(r"\\([A-Za-z@]+)\s*|\\(.)|([^\\])", re.DOTALL)
_NUMBER = r"\s*(-?\d{1,9}|\\[A-Za-z@]+(?![A-Za-z@])\s?)\s*"
_IF_NUMBERS = re.compile(rf"{_NUMBER}([<=>]){_NUMBER[:-3]}\s?")
_IF_ODD = re.compile(rf"{_NUMBER[:-3]}\s?")
_IF_SAME = re.compile(r"\s*\\([A-Za-z@]+)(?![A-Za-z@])\s*\\([A-Za-z@]+)(?![A-Za-z@])\s?|\s*(\d)(\d)")
_NO_CHARACTERS = "{}#$&~\x00"
"""Characters that are not compared: braces, the parameter sign, and other characters with a special meaning in TeX."""


class Constants:
    """Holds the macros that a source defines once, as a number or a word. The source is searched at the first
    lookup."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[str, str] | None = None
        self._names: set[str] = set()

    def _read(self) -> dict[str, str]:
        if self._found is None:
            num_times: dict[str, int] = {}
            for match in _DEFINED.finditer(self._text):
                num_times[match[1]] = num_times.get(match[1], 0) + 1
            self._names = set(num_times)
            self._found = {}
            for match in _DEFINED_WORD.finditer(self._text):
                name, value = match[1] or match[2] or match[4], match[3] or match[5]
                if num_times.get(name) == 1:
                    self._found[name] = value
        return self._found

    def get(self, name: str) -> str | None:
        """Returns the value of a macro, or None if it is not known."""
        return self._read().get(name)

    def defines(self, name: str) -> bool:
        """Returns True if the source defines the name in any way, even if not as a number or a word."""
        self._read()
        return name in self._names


def is_test(name: str) -> bool:
    """Returns True for the names of conditionals that :func:`settle` can evaluate."""
    return name in _TESTS


def settle(name: str, text: str, pos: int, constants: Constants) -> tuple[bool | None, int]:
    r"""Evaluates the test after ``pos``. Returns its outcome (None if only TeX knows it), and the position where its
    first branch begins.

    >>> settle("if", "0 hidden", 0, Constants("")), settle("ifnum", r"\x=1 a", 0, Constants(r"\def\x{1}"))
    ((False, 1), (True, 5))
    """
    if name == "if":
        return _settle_characters(text, pos, constants)
    if name == "ifnum":
        return _settle_numbers(text, pos, constants)
    if name == "ifodd":
        match = _IF_ODD.match(text, pos)
        number = None if match is None else _number(match[1], constants)
        return (None, pos) if match is None or number is None else (number % 2 == 1, match.end())
    match = _IF_SAME.match(text, pos)
    if match is None:
        return None, pos
    if match[3]:
        return match[3] == match[4], match.end()
    left, right = constants.get(match[1]), constants.get(match[2])
    return (None, pos) if left is None or right is None else (left == right, match.end())


def _settle_numbers(text: str, pos: int, constants: Constants) -> tuple[bool | None, int]:
    match = _IF_NUMBERS.match(text, pos)
    if match is None:
        return None, pos
    left, right = _number(match[1], constants), _number(match[3], constants)
    if left is None or right is None:
        return None, pos
    return {"<": left < right, "=": left == right, ">": left > right}[match[2]], match.end()


def _number(source: str, constants: Constants) -> int | None:
    value = constants.get(source.strip()[1:]) if source.startswith("\\") else source
    return int(value) if value is not None and re.fullmatch(r"-?\d{1,9}", value) else None


def _settle_characters(text: str, pos: int, constants: Constants) -> tuple[bool | None, int]:
    r"""Evaluates ``\if``, which compares the next two characters after macros are replaced by their values.

    At the end of a line, ``\if0`` compares 0 with a space. A command that the source does not define is never equal to
    a digit.
    """
    first, pos = _character(text, _skip_blanks(text, pos), constants)
    if not first or first[0] == "\\":
        return None, pos
    if len(first) > 1:
        return (first[0] == first[1], pos) if len(first) == 2 else (None, pos)
    second, end = _character(text, pos, constants)
    if not second:
        return None, pos
    if second[0] == "\\":
        name = second[1:]
        return (None, pos) if constants.defines(name) or not first.isdigit() else (False, pos)
    if second[0].isspace():
        return first == " ", pos
    return first == second[0], end


def _character(text: str, pos: int, constants: Constants) -> tuple[str, int]:
    r"""Returns the next character at ``pos``, and the position where it ends. For a macro, returns its known value, or
    ``\name`` if its value is not known.

    The first result is empty if the next character cannot be compared.
    """
    match = _TOKEN.match(text, pos)
    if match is None or (match[3] and match[3] in _NO_CHARACTERS) or match[2]:
        return "", pos
    if match[3]:
        return match[3], match.end()
    value = constants.get(match[1])
    return (f"\\{match[1]}" if value is None else value), match.end()


def _skip_blanks(text: str, pos: int) -> int:
    while pos < len(text) and text[pos] in " \t\n":
        pos += 1
    return pos
