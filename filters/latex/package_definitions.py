r"""Reads definitions made with the packages mathtools, xargs, twoopt and etoolbox, and with LaTeX's own ``\@namedef``.

As in :mod:`filters.latex.definitions`, every reader begins at ``pos``, directly after the defining command. It returns
a :class:`~filters.latex.macros.Definition`, or None if the definition cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from filters.latex.definitions import read_def
from filters.latex.groups import join_pieces
from filters.latex.macros import (
    Definition,
    Macro,
    Parameter,
    cut_body,
    read_bracket,
    read_group,
    read_name,
    skip_space,
)

_COUNT = re.compile(r"\s*\[\s*(\d)\s*\]")
_DEFAULT = re.compile(r"\s*([1-9])\s*=\s*(\{[^{}]*\}|[^,{}]*)\s*(?:,|\Z)")
_PLAIN_NAME = re.compile(r"\s*\{\s*([^\\{}#]{1,60}?)\s*\}")
_MAX_CHARS = 10_000
"""Longest definition by ``\\@namedef`` that is read. Our choice: such definitions are shorthands of one line."""
_DELIMITER_SIZE = re.compile(r"\\delimsize(?![A-Za-z@])")
_Defaults = Callable[[str, int], tuple[dict[int, str], int]]


def read_named(text: str, pos: int, *, has_at: bool = False) -> Definition | None:
    r"""Reads a definition by ``\@namedef`` or etoolbox's ``\csdef``: a name in braces, then the same as for ``\def``.

    >>> read_named(r"{bb A}#1{\mathbb{A}^#1}", 0).name
    'bb A'
    """
    named = _PLAIN_NAME.match(text, pos)
    if named is None:
        return None
    # parse the rest like text after \def, with a dummy name in place of the name in braces
    read = read_def("\\x" + text[named.end() : named.end() + _MAX_CHARS], 0, has_at=has_at)
    return None if read is None else Definition(named[1], named.end() + read.end - 2, read.meaning)


def read_named_let(text: str, pos: int) -> Definition | None:
    r"""Reads a definition by etoolbox's ``\cslet``: a name in braces, then the command whose meaning the name gets.

    >>> read_named_let(r"{a}\b", 0).alias_of
    'b'
    """
    named = _PLAIN_NAME.match(text, pos)
    target = None if named is None else read_name(text, named.end())
    if named is None or target is None:
        return None
    return Definition(named[1], target[1], None, alias_of=target[0])


def read_copy(text: str, pos: int) -> Definition | None:
    r"""Reads a definition by ``\NewCommandCopy`` or ``\LetLtxMacro``: two names, each with or without braces. The first
    name is that of the copy, and the second that of the command that is copied.

    >>> read_copy(r"{\copy}{\original}", 0).alias_of
    'original'
    """
    named = read_name(text, pos)
    target = None if named is None else read_name(text, named[1])
    return None if named is None or target is None else Definition(named[0], target[1], None, alias_of=target[0])


def read_undefine(text: str, pos: int) -> Definition | None:
    r"""Reads the name that etoolbox's ``\undef`` makes undefined."""
    named = read_name(text, pos)
    return None if named is None else Definition(named[0], named[1], None, alias_of="undefined")


def read_xargs(text: str, pos: int, *, has_at: bool = False) -> Definition | None:
    r"""Reads a definition by ``\newcommandx`` of the package xargs, in which any argument can have a default.

    >>> read_xargs(r"\p[2][1=a, 2=b]{#1-#2}", 0).meaning.parameters[1].default
    'b'
    """
    return _read_with_defaults(text, pos, _xargs_defaults, has_at=has_at)


def read_twoopt(text: str, pos: int, *, has_at: bool = False) -> Definition | None:
    r"""Reads a definition by ``\newcommandtwoopt`` of the package twoopt. The first two arguments of the new command
    are optional.

    >>> [p.default for p in read_twoopt(r"\p[3][a][b]{#1#2#3}", 0).meaning.parameters[:2]]
    ['a', 'b']
    """
    return _read_with_defaults(text, pos, _two_defaults, has_at=has_at)


def _read_with_defaults(text: str, pos: int, defaults: _Defaults, *, has_at: bool) -> Definition | None:
    pos = skip_space(text, pos)
    named = read_name(text, pos + text.startswith("*", pos))
    count = None if named is None else _COUNT.match(text, named[1])
    if named is None:
        return None
    parameters, end = [Parameter("m")] * int(count[1] if count else 0), count.end() if count else named[1]
    found, end = defaults(text, end)
    for number, default in found.items():
        if number <= len(parameters):
            parameters[number - 1] = Parameter("o", "[", "]", default)
    body = read_group(text, end)
    if body is None:
        return None
    return Definition(named[0], body[1], Macro(tuple(parameters), cut_body(body[0]), has_at=has_at))


def _xargs_defaults(text: str, pos: int) -> tuple[dict[int, str], int]:
    bracket = read_bracket(text, pos)
    if bracket is None:
        return {}, pos
    found = {
        int(match[1]): match[2].strip().removeprefix("{").removesuffix("}") for match in _DEFAULT.finditer(bracket[0])
    }
    return found, bracket[1]


def _two_defaults(text: str, pos: int) -> tuple[dict[int, str], int]:
    found: dict[int, str] = {}
    for number in (1, 2):
        bracket = read_bracket(text, pos)
        if bracket is None:
            break
        found[number], pos = bracket
    return found, pos


def read_paired_delimiter_x(text: str, pos: int, *, has_hooks: bool = False) -> Definition | None:
    r"""Reads a definition by mathtools' ``\DeclarePairedDelimiterX``.

    If ``has_hooks`` is true, reads a definition by ``\DeclarePairedDelimiterXPP``. Such a definition also has text
    before and after the delimiters.

    In the example, a call with a star gets ``\left`` and ``\right``. A call without a star gets the size from its
    optional argument, here ``\big``.

    >>> macro = read_paired_delimiter_x(r"\set[2]{\{}{\}}{#1 \delimsize| #2}", 0).meaning
    >>> macro.fill([r"\BooleanFalse", r"\big", "a", "b"])
    '\\IfBooleanTF{\\BooleanFalse}{\\left\\{a \\middle| b\\right\\}}{\\big\\{a \\big| b\\big\\}}'
    """
    named = read_name(text, pos)
    count = None if named is None else _COUNT.match(text, named[1])
    if named is None or count is None:
        return None
    groups: list[str] = []
    end = count.end()
    while len(groups) < (5 if has_hooks else 3):
        group = read_group(text, end)
        if group is None:
            return None
        groups.append(group[0])
        end = group[1]
    before, left, right, after, body = groups if has_hooks else ("", groups[0], groups[1], "", groups[2])

    def sized(opens: str, middle: str, closes: str) -> str:
        inner = re.sub(r"#(\d)", lambda match: f"#{int(match[1]) + 2}", body)
        inner = _DELIMITER_SIZE.sub(lambda _: middle, inner)
        return join_pieces([before, f"{opens}{left}", f"{inner}{closes}{right}", after])

    tall, plain = sized(r"\left", r"\middle", r"\right"), sized("#2", "#2", "#2")
    parameters = (Parameter("s", "*"), Parameter("o", "[", "]", ""), *[Parameter("m")] * int(count[1]))
    return Definition(named[0], end, Macro(parameters, cut_body(rf"\IfBooleanTF{{#1}}{{{tall}}}{{{plain}}}")))
