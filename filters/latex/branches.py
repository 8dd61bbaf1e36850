r"""Evaluates tests in a macro's text, and keeps one branch of each test. For example, a test checks whether an argument
is empty, or whether the text is inside a formula.

Some tests are also evaluated outside of a macro's text. For example, the test of a named switch is evaluated if an
earlier line declares the switch. (Named switches are variables of the packages etoolbox and ifthen that are true or
false.) If only TeX knows the outcome of a test in a macro's text, the macro call is given up: the output then contains
the call unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from filters.latex.conditionals import PRIMITIVE_CONDITIONALS
from filters.latex.expand import Expander, Handler
from filters.latex.groups import words
from filters.latex.macros import NO_VALUE, Macro, Parameter
from filters.latex.switches import SWITCHES

_NO_SPACE_BEFORE = re.compile(r"\\(?:footnote|footnotemark|xspace|end|par|item|label|index|[^A-Za-z])(?![a-z])")
_TESTS_EMPTY = re.compile(
    r"\s*\\relax\s*\\detokenize\s*\{([^{}]{0,2000})\}\s*\\relax(?![A-Za-z])\s?"
    r"|\s*(\\\\|\\(?:relax|empty|@empty|null)(?![A-Za-z])\s*|[&!|$@*.?])((?:(?!\2)[^\\]){0,2000}|\\[^\n]{0,200}?)\2\s?"
)
_TWO_TOKENS = re.compile(
    r"\s*(\\[A-Za-z@]+(?![A-Za-z@])\s*|\\[^A-Za-z]|[^\s{}#\\])\s*(\\[A-Za-z@]+(?![A-Za-z@])|\\[^A-Za-z]|[^\s{}#\\])"
)
_ENDS_TEST = frozenset({"\\else", "\\fi", "\\or"})
_EMPTY = frozenset({"\\empty", "\\@empty"})
_KNOWN_MEANINGS = _EMPTY | {"\\relax", "\\undefined", "\\@undefined"}
_CONDITIONAL = re.compile(r"\\(if[a-z]*|else|fi)(?![A-Za-z@])|\\[^A-Za-z]", re.DOTALL)
_TESTS_EQUAL = re.compile(r"\s*\\(equal|isempty)\s*")
_TESTS_SWITCH = re.compile(r"\s*(\\not\s*|\\NOT\s*)?\\boolean\s*\{\s*([^{}\\\s]{1,60})\s*\}\s*\Z")
_BY_NAME = re.compile(r"\s*([A-Za-z]{1,60})\s*\\endcsname(?![A-Za-z@])\s?")
_PROGRAMMING = words(
    "expandafter csname futurelet noexpand catcode afterassignment aftergroup ifcat ifnum ifdim ifodd ifcase loop"
    " advance meaning string lccode uccode scantokens write read openout immediate newcount newdimen"
)
r"""Commands that only TeX can execute. If a macro's text contains one of these commands, the macro call is given up."""


def _xspace(expander: Expander, start: int) -> bool:
    r"""Replaces ``\xspace`` by a space if the next character would otherwise be joined to the previous word. If not,
    removes ``\xspace``."""
    ahead = expander.peek()
    if ahead and (ahead[0].isalnum() or ahead[0] in "$(`" or (ahead[0] == "\\" and not _NO_SPACE_BEFORE.match(ahead))):
        expander.emit(" ")
    return True


def _if_argument(*, when: Callable[[str], bool], has_then: bool, has_else: bool) -> Handler:
    def handle(expander: Expander, start: int) -> bool:
        outside = expander.outside(start)
        arguments = expander.read_arguments((Parameter("m"),) * (1 + has_then + has_else))
        if arguments is None or expander.work_left < 0:
            return expander.unreadable(outside)
        holds = when(arguments[0].strip())
        chosen = arguments[1] if holds and has_then else arguments[-1] if not holds and has_else else ""
        expander.branch(chosen, has_at=expander.has_at, outside=outside)
        return True

    return handle


def _if_then_else(expander: Expander, start: int) -> bool:
    r"""Evaluates ``\ifthenelse`` if it tests a declared switch.

    In a macro's text, tests by ``\equal`` and ``\isempty`` are also evaluated. If a macro's text has any other test,
    the macro call is given up.
    """
    outside = expander.outside(start)
    if outside is not None and not expander.switches:
        return False
    arguments = expander.read_arguments((Parameter("m"),) * 3)
    switch = None if arguments is None else _TESTS_SWITCH.match(arguments[0])
    if arguments is not None and switch is not None and switch[2] in expander.switches and expander.work_left >= 0:
        holds = expander.switches[switch[2]] != bool(switch[1])
        expander.branch(arguments[1] if holds else arguments[2], has_at=expander.has_at, outside=outside)
        return True
    if outside is not None:
        return False
    match = None if arguments is None else _TESTS_EQUAL.match(arguments[0])
    if arguments is None or match is None:
        return expander.unreadable()
    test = Expander(arguments[0][match.end() :], {}, tracks_groups=False)
    left = test.read_token_or_group()
    right = "" if match[1] == "isempty" else test.read_token_or_group()
    if left is None or right is None:
        return expander.unreadable()
    is_equal = left.strip() == right.strip()
    expander.branch(arguments[1] if is_equal else arguments[2], has_at=expander.has_at)
    return True


def _if_star(expander: Expander, start: int) -> bool:
    outside = expander.outside(start)
    arguments = expander.read_arguments((Parameter("m"), Parameter("m"), Parameter("s", "*")))
    if arguments is None:
        return expander.unreadable(outside)
    expander.branch(arguments[0] if arguments[2] == r"\BooleanTrue" else arguments[1], has_at=True, outside=outside)
    return True


def _if_next(expander: Expander, start: int) -> bool:
    outside = expander.outside(start)
    arguments = expander.read_arguments((Parameter("m"),) * 3)
    if arguments is None:
        return expander.unreadable(outside)
    is_next = expander.peek().lstrip().startswith(arguments[0])
    expander.branch(arguments[1] if is_next else arguments[2], has_at=True, outside=outside)
    return True


def _math_choice(expander: Expander, start: int) -> bool:
    r"""Replaces ``\mathchoice`` in a macro's text by its second argument, which is the variant for formulas in running
    text."""
    if not expander.stack:
        return False
    arguments = expander.read_arguments((Parameter("m"),) * 4)
    if arguments is None:
        return expander.unreadable()
    expander.branch(f"{{{arguments[1]}}}", has_at=expander.has_at)
    return True


def _ensure_math(expander: Expander, start: int) -> bool:
    r"""Replaces ``\ensuremath`` in a macro's text by its argument. Adds dollar signs around the argument, unless it is
    already inside a formula."""
    if not expander.stack:
        return False
    argument = expander.read_arguments((Parameter("m"),))
    if argument is None:
        return expander.unreadable()
    is_math = expander.math.holds(expander.out)
    expander.branch(argument[0] if is_math else f"${argument[0].strip()}$", has_at=expander.has_at)
    return True


def _math_palette(expander: Expander, start: int) -> bool:
    r"""Replaces ``\mathpalette\cmd{x}`` in a macro's text by ``\cmd\textstyle{x}``, which is the variant for formulas
    in running text."""
    if not expander.stack:
        return False
    arguments = expander.read_arguments((Parameter("m"),) * 2)
    if arguments is None:
        return expander.unreadable()
    expander.branch(f"{arguments[0]}\\textstyle{{{arguments[1]}}}", has_at=expander.has_at)
    return True


def _if_math(expander: Expander, start: int) -> bool:
    if not expander.stack:
        return False
    return _choose(expander, expander.pos, expander.math.holds(expander.out))


def _if_equal(expander: Expander, start: int) -> bool:
    r"""Evaluates ``\if`` and ``\ifx`` in a macro's text.

    For example, ``\ifx\relax#1\relax`` tests whether an argument is empty, and ``\ifx#1\end`` tests whether a list has
    ended. If only TeX knows whether the two sides are equal, the macro call is given up.
    """
    if not expander.stack:
        return False
    match = _TESTS_EMPTY.match(expander.text, expander.pos)
    if match is not None:
        content = match[1] if match[1] is not None else match[3]
        return _choose(expander, match.end(), not content.strip())
    match = _TWO_TOKENS.match(expander.text, expander.pos)
    holds = None if match is None else _is_same(expander, match[1].strip(), match[2])
    if match is None or holds is None:
        return _programming(expander, start)
    return _choose(expander, match.end(), holds)


def _is_same(expander: Expander, left: str, right: str) -> bool | None:
    """Returns True if two tokens have the same meaning, False if they do not, and None if only TeX knows."""
    if left == right:
        return True
    if left in _ENDS_TEST or right in _ENDS_TEST:
        return None
    if left[0] != "\\" and right[0] != "\\":
        return False
    meanings = [expander.meanings.get(token[1:]) if token[0] == "\\" else None for token in (left, right)]
    own = [meaning for meaning in meanings if isinstance(meaning, Macro)]
    if any(meaning.is_primitive for meaning in own):
        return None
    if left[0] != "\\" or right[0] != "\\":
        return False
    if len(own) == 2:
        return own[0] == own[1]
    other = {left, right} & _KNOWN_MEANINGS
    if len(own) == 1 and other:
        return other != {"\\relax"} and not own[0].body and not own[0].parameters and bool(other & _EMPTY)
    return None


def _choose(expander: Expander, pos: int, holds: bool) -> bool:
    """Continues with one branch of a conditional: the first branch if ``holds`` is true, else the second. The first
    branch begins at ``pos``.

    If no closing ``\\fi`` follows, the macro call is given up.
    """
    text, depth, otherwise = expander.text, 0, None
    expander.work_left -= len(text) - pos
    for match in _CONDITIONAL.finditer(text, pos):
        name = match[1]
        if name in PRIMITIVE_CONDITIONALS:
            depth += 1
        elif name == "else" and depth == 0:
            otherwise = match.span()
        elif name == "fi" and depth > 0:
            depth -= 1
        elif name == "fi":
            branch = text[pos : otherwise[0] if otherwise else match.start()]
            if not holds:
                branch = text[otherwise[1] : match.start()] if otherwise else ""
            expander.pos = match.end()
            expander.branch(branch.strip(" \n"), has_at=expander.has_at)
            return True
    expander.give_up()
    return True


def _call_by_name(expander: Expander, start: int) -> bool:
    r"""Replaces ``\csname name\endcsname`` by ``\name``."""
    match = _BY_NAME.match(expander.text, expander.pos)
    if match is None or not isinstance(expander.meanings.get(match[1]), Macro):
        return _programming(expander, start)
    outside = expander.outside(start)
    expander.pos = match.end()
    space = " " if expander.peek()[:1].isalpha() else ""
    expander.branch(f"\\{match[1]}{space}", has_at=False, outside=outside)
    return True


def _dropped(num_arguments: int) -> Handler:
    """Returns a handler that removes a command and its arguments from a macro's text. It is used for commands such as
    ``\\markright``, which defines a page header.
    """

    def handle(expander: Expander, start: int) -> bool:
        if not expander.stack:
            return False
        if expander.read_arguments((Parameter("m"),) * num_arguments) is None:
            return expander.unreadable()
        return True

    return handle


def _programming(expander: Expander, start: int) -> bool:
    if not expander.stack or expander.stands_in_argument(expander.text[start + 1 : expander.pos]):
        return False
    expander.give_up()
    return True


def _emptiness(command: str, when: Callable[[str], bool]) -> dict[str, Handler]:
    return {
        f"{command}TF": _if_argument(when=when, has_then=True, has_else=True),
        f"{command}T": _if_argument(when=when, has_then=True, has_else=False),
        f"{command}F": _if_argument(when=when, has_then=False, has_else=True),
    }


TESTS: dict[str, Handler] = {
    **dict.fromkeys(_PROGRAMMING, _programming),
    **_emptiness("IfNoValue", lambda argument: argument == NO_VALUE),
    **_emptiness("IfValue", lambda argument: argument != NO_VALUE),
    **_emptiness("IfBoolean", lambda argument: argument == r"\BooleanTrue"),
    **SWITCHES,
    "markright": _dropped(1),
    "markboth": _dropped(2),
    "addcontentsline": _dropped(3),
    "xspace": _xspace,
    "ifthenelse": _if_then_else,
    "csname": _call_by_name,
    "ensuremath": _ensure_math,
    "mathchoice": _math_choice,
    "mathpalette": _math_palette,
    "ifmmode": _if_math,
    "if": _if_equal,
    "ifx": _if_equal,
    "@ifstar": _if_star,
    "@ifnextchar": _if_next,
}
"""Maps names of commands to handlers. These are the commands that this module evaluates."""
