r"""What a macro is, and how its definition is read: LaTeX's ``\newcommand`` family, TeX's ``\def``, xparse, amsmath.

Every form becomes the same thing: a tuple of :class:`Parameter` and a body cut at its ``#1``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from filters.latex_lexer import group_end, words

PROTECTED = words(
    "begin end document documentclass documentstyle usepackage par item input include chapter part section subsection"
    " subsubsection paragraph subparagraph addchap addsec minisec appendix bibliography bibliographystyle"
    " printbibliography bibitem maketitle title author date abstract endabstract verb relax fi else or"
)
"""Names that keep their standard meaning though a source defines them anew: structure, which is what papers share and
what the later cuts go by. A journal's own drawing of a heading is no user's shorthand."""
PROTECTED_ENVIRONMENTS = words(
    "document abstract thebibliography verbatim lstlisting figure figure* table table* equation equation* align align*"
    " itemize enumerate description tabular array center quote quotation proof appendix appendices"
)
"""Environments that keep their standard meaning likewise."""

MAX_BODY_CHARS = 100_000
"""A definition longer than this is not a shorthand; ours: the longest body on the real papers has under 2,000."""
NO_VALUE = "-NoValue-"
"""xparse's own mark for an optional argument that was not given."""
_PARAMETER = re.compile(r"\\.|##|#([1-9])", re.DOTALL)
_NAME = re.compile(r"\s*(?:\\([A-Za-z@]+|[^A-Za-z\s])|\{\s*\\([A-Za-z@]+|[^A-Za-z\s])\s*\})", re.DOTALL)
_CSNAME = re.compile(r"\s*\\csname\s*([^\\{}#]{1,60}?)\s*\\endcsname")
_COUNT = re.compile(r"\s*\[\s*(\d)\s*\]")
_ENDS_IN_WORD = re.compile(r"\\[A-Za-z@]+\Z")
_LET = re.compile(r"\s*\\([A-Za-z@]+|[^A-Za-z\s])\s*=?\s*(?:\\([A-Za-z@]+|[^A-Za-z])|([^\s{}\\#%]))")
_ANY_TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|.", re.DOTALL)
_WHITESPACE = " \t\n"


@dataclass(frozen=True, slots=True)
class Parameter:
    """How one argument is read.

    ``kind``: ``m`` a group or token; ``o`` optional between ``opens`` and ``closes``; ``s`` an optional token;
    ``u`` all before a delimiter; ``l`` a literal that must stand there and gives no argument.
    """

    kind: str
    opens: str = ""
    closes: str = ""
    default: str = NO_VALUE


@dataclass(frozen=True, slots=True)
class Macro:
    """A definition that can be expanded.

    ``body`` alternates text and parameter numbers. ``is_primitive``: made by ``\\let`` from what no source defined,
    so that its body is not looked up again. ``has_at``: written where ``@`` was a letter.
    """

    parameters: tuple[Parameter, ...] = ()
    body: tuple[str | int, ...] = ()
    is_primitive: bool = False
    has_at: bool = False
    is_new: bool = False
    r"""Made by ``\newcommand``: the name had no other meaning, so it outlives the group that it was defined in."""

    def fill(self, arguments: list[str]) -> str:
        r"""The body with its arguments in place; a space goes in where a command's name would grow into the argument.

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
    """A user's environment: what it opens with (and its parameters), and what it closes with."""

    begins: Macro
    ends: Macro


@dataclass(frozen=True, slots=True)
class Definition:
    """One definition as read: what it defines and where it ends."""

    name: str
    end: int
    meaning: Macro | Environment | None
    """``None``: a definition that was read but must not be used (``\\providecommand`` of structure, an alias)."""
    alias_of: str = ""
    r"""``\\let\a\b``: the other name."""


def ends_in_word(text: str) -> bool:
    r"""Whether the text ends in a command's name, so that a letter behind it would change it.

    >>> ends_in_word(r"a\beta"), ends_in_word(r"\beta{}")
    (True, False)
    """
    return _ENDS_IN_WORD.search(text[-40:]) is not None


def cut_body(body: str) -> tuple[str | int, ...]:
    r"""Cuts a definition's body at its parameters; ``##`` is the ``#`` of a definition inside.

    >>> cut_body(r"\frac{#1}{#2} \# ##1")
    ('\\frac{', 1, '}{', 2, '} \\# #1')
    """
    if "\n" in body:  # TeX sees spaces there; at the ends they are the source's layout
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
    r"""Reads ``\name``, ``{\name}`` or ``\csname name\endcsname``; returns (name, end)."""
    match = _CSNAME.match(text, pos)
    if match is not None:
        return match[1], match.end()
    match = _NAME.match(text, pos)
    return None if match is None else (match[1] or match[2], match.end())


def read_group(text: str, pos: int) -> tuple[str, int] | None:
    """Reads ``{...}`` behind white space, of at most ``MAX_BODY_CHARS``; returns (what is in it, end)."""
    pos = skip_space(text, pos)
    if not text.startswith("{", pos):
        return None
    end = group_end(text, pos, pos + MAX_BODY_CHARS)
    return None if end < 0 else (text[pos + 1 : end - 1], end)


def read_bracket(text: str, pos: int, opens: str = "[", closes: str = "]") -> tuple[str, int] | None:
    """Reads ``[...]`` behind white space, its closing mark outside of braces; returns (what is in it, end)."""
    pos = skip_space(text, pos)
    if not text.startswith(opens, pos):
        return None
    found = find_outside_groups(text, closes, pos + len(opens), pos + MAX_BODY_CHARS)
    return None if found < 0 else (text[pos + len(opens) : found], found + len(closes))


def find_outside_groups(text: str, mark: str, pos: int, limit: int) -> int:
    r"""Returns where ``mark`` first stands outside of braces and not behind a backslash, or -1.

    >>> find_outside_groups(r"a{]}\]]", "]", 0, 99)
    6
    """
    depth = 0
    for match in re.compile(rf"{re.escape(mark)}|[{{}}]|\\.", re.DOTALL).finditer(text, pos, min(limit, len(text))):
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


def skip_space(text: str, pos: int) -> int:
    """Returns the next place that is not white space; an empty line ends a paragraph and is not skipped."""
    newlines = 0
    start = pos
    while pos < len(text) and text[pos] in _WHITESPACE:
        if text[pos] == "\n":
            newlines += 1
            if newlines > 1:
                return start
        pos += 1
    return pos


def read_newcommand(text: str, pos: int, *, has_at: bool = False) -> Definition | None:
    r"""Reads behind ``\newcommand``, ``\renewcommand``, ``\providecommand``, ``\DeclareRobustCommand`` and their like.

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
    parameters, pos = _latex_parameters(text, pos)
    body = _read_body(text, pos)
    if body is None:
        return None
    return Definition(name, body[1], Macro(parameters, cut_body(body[0]), has_at=has_at))


def _latex_parameters(text: str, pos: int) -> tuple[tuple[Parameter, ...], int]:
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
    match = _ANY_TOKEN.match(text, pos)  # a body of one token: \newcommand\a\b
    return None if match is None else (match[0], match.end())


def read_def(text: str, pos: int, *, has_at: bool = False) -> Definition | None:
    r"""Reads behind ``\def``: a name, parameters that may be delimited, a body.

    >>> definition = read_def(r"\at#1,#2;{(#1|#2)}", 0)
    >>> [(p.kind, p.closes) for p in definition.meaning.parameters], definition.meaning.fill(["a", "b"])
    ([('u', ','), ('u', ';')], '(a|b)')
    """
    named = _CSNAME.match(text, pos) or _NAME.match(text, pos)
    if named is None or "{" in named[0]:
        return None
    name = named[1] or named[2]
    opens = text.find("{", named.end(), named.end() + 200)
    if opens < 0:
        return None
    parameters = _tex_parameters(text[named.end() : opens].strip())
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
    r"""Reads behind ``\let``: ``\a\b`` or ``\a=\b``; ``\let\a=x`` makes the character.

    >>> read_let(r"\eps=\varepsilon x", 0).alias_of
    'varepsilon'
    """
    match = re.compile(r"\s*\\([A-Za-z@]+|[^A-Za-z\s])\s*=?\s*(?:\\([A-Za-z@]+|[^A-Za-z])|([^\s{}\\#%]))").match(
        text, pos
    )
    if match is None:
        return None
    if match[3]:
        return Definition(match[1], match.end(), Macro((), (match[3],), is_primitive=True))
    return Definition(match[1], match.end(), None, alias_of=match[2])


def read_operator(text: str, pos: int) -> Definition | None:
    r"""Reads behind ``\DeclareMathOperator``.

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
    r"""Reads behind mathtools' ``\DeclarePairedDelimiter``; its star and size become plain ``\left``, ``\right``.

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
    r"""Reads behind xparse's ``\NewDocumentCommand`` and its three sisters.

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
            return None  # forms of no use in papers: verbatim, processors, embellishments
        if letter in "ODRG":
            group = read_group(spec, pos)
            if group is None:
                return None
            default, pos = group
        parameters.append(Parameter("s" if letter == "t" else "o", opens, closes, default))
    return tuple(parameters)


def read_environment(text: str, pos: int, *, is_xparse: bool = False, has_at: bool = False) -> Definition | None:
    r"""Reads behind ``\newenvironment``, ``\renewenvironment`` and ``\NewDocumentEnvironment``.

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
        parameters, pos = _latex_parameters(text, named[1])
    begins = None if parameters is None else read_group(text, pos)
    ends = None if begins is None else read_group(text, begins[1])
    if parameters is None or begins is None or ends is None:
        return None
    first = Macro(parameters, cut_body(begins[0]), has_at=has_at)
    return Definition(named[0].strip(), ends[1], Environment(first, replace(first, body=cut_body(ends[0]))))
