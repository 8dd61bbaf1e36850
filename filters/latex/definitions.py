r"""Reads definitions of macros. These are ``\newcommand`` and similar commands of LaTeX, ``\def`` and ``\let`` of TeX,
and the defining commands of the packages xparse, amsmath and mathtools.

Every reader begins at ``pos``, directly after the defining command (for example after ``\def``). It returns a
:class:`~filters.latex.macros.Definition`, or None if the definition cannot be read.
"""

from __future__ import annotations

import re
from dataclasses import replace

from filters.latex.macros import (
    NO_VALUE,
    Definition,
    Environment,
    Macro,
    Parameter,
    cut_body,
    read_bracket,
    read_group,
    read_name,
    skip_space,
)

_COUNT = re.compile(r"\s*\[\s*(\d)\s*\]")
_ANY_TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|\x00\d+\x00|.", re.DOTALL)
_LET_NAME = re.compile(
    r"\s*(?:\\expandafter\s*)*\\(?:csname\s*([^\\{}#]{1,60}?)\s*\\(?:expandafter\s*\\)?endcsname(?![A-Za-z@])"
    r"|([A-Za-z@]+|[^A-Za-z\s]))\s*=?[ \t]*"
)
_LET_VALUE = re.compile(
    r"\s*\\(?:csname\s*([^\\{}#]{1,60}?)\s*\\endcsname(?![A-Za-z@])|([A-Za-z@]+|[^A-Za-z]))|\s*([^\s{}\\#%\x00])"
)


def read_newcommand(text: str, pos: int, *, has_at: bool = False) -> Definition | None:
    r"""Reads a definition by ``\newcommand``, ``\renewcommand``, ``\providecommand``, ``\DeclareRobustCommand`` etc.

    >>> read_newcommand(r"*\p[2][x]{#1 of #2}", 0).meaning.fill(["a", "b"])
    'a of b'
    """
    pos = skip_space(text, pos)
    if text.startswith("*", pos):
        pos += 1
    named = read_name(text, pos)
    if named is None:
        return None
    name, pos = named
    parameters, pos = latex_parameters(text, pos)
    body = _read_body(text, pos)
    if body is None:
        return None
    return Definition(name, body[1], Macro(parameters, cut_body(body[0]), has_at=has_at))


def latex_parameters(text: str, pos: int) -> tuple[tuple[Parameter, ...], int]:
    count = _COUNT.match(text, pos)
    if count is None:
        return (), pos
    parameters = [Parameter("m")] * int(count[1])
    pos = count.end()
    default = read_bracket(text, pos) if parameters else None
    if default is not None:
        parameters[0] = Parameter("o", "[", "]", default[0])
        pos = default[1]
    return tuple(parameters), pos


def _read_body(text: str, pos: int) -> tuple[str, int] | None:
    group = read_group(text, pos)
    if group is not None:
        return group
    pos = skip_space(text, pos)
    if pos >= len(text) or text[pos] in "{}[]":
        return None
    match = _ANY_TOKEN.match(text, pos)  # the body is one token without braces, as in \newcommand\a\b
    return None if match is None else (match[0], match.end())


def read_def(text: str, pos: int, *, has_at: bool = False) -> Definition | None:
    r"""Reads a definition by ``\def``: a name, parameters with or without delimiters, and a body. In the example, the
    kind ``u`` means that a parameter ends at a delimiter.

    >>> definition = read_def(r"\at#1,#2;{(#1|#2)}", 0)
    >>> [(p.kind, p.closes) for p in definition.meaning.parameters], definition.meaning.fill(["a", "b"])
    ([('u', ','), ('u', ';')], '(a|b)')
    """
    named = None if text.startswith("{", skip_space(text, pos)) else read_name(text, pos)
    if named is None:
        return None
    name, start = named
    opens = text.find("{", start, start + 200)
    if opens < 0:
        return None
    parameters = _tex_parameters(text[start:opens].strip())
    body = read_group(text, opens)
    if parameters is None or body is None:
        return None
    return Definition(name, body[1], Macro(parameters, cut_body(body[0]), has_at=has_at))


def _tex_parameters(source: str) -> tuple[Parameter, ...] | None:
    if not source:
        return ()
    if "\n\n" in source or source.endswith("#"):
        return None
    pieces = re.split(r"#([1-9])", source)
    if pieces[1::2] != [str(number) for number in range(1, len(pieces) // 2 + 1)]:
        return None
    parameters = [Parameter("l", pieces[0])] if pieces[0].strip() else []
    for delimiter in pieces[2::2]:
        parameters.append(Parameter("u", closes=delimiter) if delimiter.strip() else Parameter("m"))
    return tuple(parameters)


def read_let(text: str, pos: int) -> Definition | None:
    r"""Reads a definition by ``\let``. After ``\let`` comes ``\a\b`` or ``\a=\b``. Each of the two names can also be
    written with ``\csname``.

    ``\let\a=x`` defines ``\a`` as the character ``x``.

    >>> read_let(r"\eps=\varepsilon x", 0).alias_of, read_let(r"\a\csname b\endcsname", 0).alias_of
    ('varepsilon', 'b')
    """
    named = _LET_NAME.match(text, pos)
    value = None if named is None else _LET_VALUE.match(text, named.end())
    if named is None or value is None:
        return None
    name = named[1] or named[2]
    if value[3]:
        return Definition(name, value.end(), Macro((), (value[3],), is_primitive=True))
    return Definition(name, value.end(), None, alias_of=value[1] or value[2])


def read_operator(text: str, pos: int) -> Definition | None:
    r"""Reads a definition by ``\DeclareMathOperator``.

    >>> read_operator(r"*{\argmax}{arg\,max}", 0).meaning.fill([])
    '\\operatorname*{arg\\,max}'
    """
    star = "*" if text.startswith("*", skip_space(text, pos)) else ""
    named = read_name(text, skip_space(text, pos) + len(star))
    body = None if named is None else read_group(text, named[1])
    if named is None or body is None:
        return None
    return Definition(named[0], body[1], Macro((), (f"\\operatorname{star}{{{body[0]}}}",)))


def read_paired_delimiter(text: str, pos: int) -> Definition | None:
    r"""Reads a definition by mathtools' ``\DeclarePairedDelimiter``. A starred call gets ``\left`` and ``\right``.

    >>> read_paired_delimiter(r"{\abs}{\lvert}{\rvert}", 0).name
    'abs'
    """
    named = read_name(text, pos)
    left = None if named is None else read_group(text, named[1])
    right = None if left is None else read_group(text, left[1])
    if named is None or left is None or right is None:
        return None
    parameters = (Parameter("s", "*"), Parameter("o", "[", "]", ""), Parameter("m"))
    tall = (r"}{\left", left[0], " ", 3, r"\right", right[0])
    body = (r"\IfBooleanTF{", 1, *tall, "}{", 2, left[0], " ", 3, 2, right[0], "}")
    return Definition(named[0], right[1], Macro(parameters, body))


def read_document_command(text: str, pos: int, *, has_at: bool = False) -> Definition | None:
    r"""Reads a definition by xparse's ``\NewDocumentCommand`` or its Renew, Provide and Declare variants.

    >>> read_document_command(r"\p{s O{x} m}{#2-#3}", 0).meaning.fill(["", "y", "z"])
    'y-z'
    """
    named = read_name(text, pos)
    spec = None if named is None else read_group(text, named[1])
    body = None if spec is None else read_group(text, spec[1])
    if named is None or spec is None or body is None:
        return None
    parameters = _xparse_parameters(spec[0])
    if parameters is None:
        return None
    return Definition(named[0], body[1], Macro(parameters, cut_body(body[0]), has_at=has_at))


def _xparse_parameters(spec: str) -> tuple[Parameter, ...] | None:
    parameters: list[Parameter] = []
    pos = 0
    if "\x00" in spec:
        return None
    while pos < len(spec):
        letter, pos = spec[pos], pos + 1
        if letter in " \t\n+!":
            continue
        if letter in "ms":
            parameters.append(Parameter(letter, "*" if letter == "s" else ""))
            continue
        opens, closes, default = "[", "]", NO_VALUE
        if letter in "dDrR":
            opens, closes, pos = spec[pos : pos + 1], spec[pos + 1 : pos + 2], pos + 2
        elif letter in "gG":
            opens, closes = "{", "}"
        elif letter == "t":
            opens, pos = spec[pos : pos + 1], pos + 1
        elif letter not in "oO":
            return None  # forms that papers do not use: verbatim, processors, embellishments
        if letter in "ODRG":
            group = read_group(spec, pos)
            if group is None:
                return None
            default, pos = group
        parameters.append(Parameter("s" if letter == "t" else "o", opens, closes, default))
    return tuple(parameters)


def read_environment(text: str, pos: int, *, is_xparse: bool = False, has_at: bool = False) -> Definition | None:
    r"""Reads a definition by ``\newenvironment``, ``\renewenvironment`` or ``\NewDocumentEnvironment``.

    >>> read_environment(r"{claim}[1]{\begin{quote}#1}{\end{quote}}", 0).meaning.begins.fill(["a"])
    '\\begin{quote}a'
    """
    pos = skip_space(text, pos)
    if text.startswith("*", pos):
        pos += 1
    named = read_group(text, pos)
    if named is None:
        return None
    parameters: tuple[Parameter, ...] | None
    if is_xparse:
        spec = read_group(text, named[1])
        parameters, pos = (None, pos) if spec is None else (_xparse_parameters(spec[0]), spec[1])
    else:
        parameters, pos = latex_parameters(text, named[1])
    begins = None if parameters is None else read_group(text, pos)
    ends = None if begins is None else read_group(text, begins[1])
    if parameters is None or begins is None or ends is None:
        return None
    first = Macro(parameters, cut_body(begins[0]), has_at=has_at)
    return Definition(named[0].strip(), ends[1], Environment(first, replace(first, body=cut_body(ends[0]))))
