r"""Handles the commands that the expansion itself carries out: definitions, groups and environments. Definitions are
removed from the text.

If a macro's text needs programming commands that only TeX can execute, the macro call is given up. The output then
contains the unchanged call, not an incomplete expansion.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from filters.latex.branches import TESTS
from filters.latex.definitions import (
    read_def,
    read_document_command,
    read_environment,
    read_let,
    read_newcommand,
    read_operator,
    read_paired_delimiter,
)
from filters.latex.expand import Expanded, Expander, Handler, leave_macro
from filters.latex.groups import whole_lines
from filters.latex.loops import LOOPS
from filters.latex.macros import (
    PROTECTED,
    PROTECTED_ENVIRONMENTS,
    Definition,
    Environment,
    Macro,
    Parameter,
    read_group,
    read_name,
)
from filters.latex.package_definitions import (
    read_copy,
    read_named,
    read_named_let,
    read_paired_delimiter_x,
    read_twoopt,
    read_undefine,
    read_xargs,
)
from filters.latex.scopes import Meaning

_DEFINITION = re.compile(
    r"\\(?:[gex]?def|let|global|long|(?:new|renew|provide)command|DeclareRobustCommand|DeclareMathOperator"
    r"|(?:new|renew)environment|(?:New|Renew|Provide|Declare)Document(?:Command|Environment))(?![A-Za-z])"
)
_PREFIXED = re.compile(
    r"\s*\\(?:global|long|outer|protected|expandafter|[gex]?def|let|newcommand|renewcommand|providecommand)(?![A-Za-z@])"
)
_LAST_COMMAND = re.compile(r"\s*\\[A-Za-z@]+\s*\Z")
_FREES = frozenset({"relax", "undefined", "@undefined"})
_NOEXPAND = re.compile(r"\\noexpand(?![A-Za-z@])\s*")
_ENVIRONMENT_NAME = re.compile(r"\s?\{\s*([^{}\\\s]{1,60})\s*\}")
Reader = Callable[[str, int], Definition | None]


def expand_macros(text: str) -> Expanded:
    r"""Expands the macros that the source defines, and removes the definitions.

    ``text`` must not contain comments. Some macro calls stay unchanged, for example calls whose expansion would never
    end (second example), and calls that need programming commands that only TeX can execute.

    >>> expand_macros(r"\newcommand{\R}[1][n]{\mathbb{R}^{#1}}\def\x{\R}in $\x$ and $\x[m]$").text
    'in $\\mathbb{R}^{n}$ and $\\mathbb{R}^{m}$'
    >>> expanded = expand_macros(r"\def\a{\b\b}\def\b{\a}x \a y")
    >>> expanded.text, expanded.num_left
    ('x \\a y', 1)
    """
    return Expander(text, HANDLERS, tracks_groups=_defines_in_groups(text)).run()


def _defines_in_groups(text: str) -> bool:
    """Returns True if the document's body has a definition inside braces or inside an environment. Only then must
    groups be tracked.
    """
    pos = max(text.find("\\begin{document}"), 0) + len("\\begin{document}")
    depth = 0
    for match in _DEFINITION.finditer(text, pos):
        start = match.start()
        for opens, closes in (("{", "}"), ("\\}", "\\{"), ("\\begin{", "\\end{")):
            depth += text.count(opens, pos, start) - text.count(closes, pos, start)
        if depth > 0:
            return True
        pos = start
    return False


# Definitions --------------------------------------------------------------------------------------------------


def _defines(reader: Callable[[str, int, bool], Definition | None], kind: str = "") -> Handler:
    def handle(expander: Expander, start: int) -> bool:
        if expander.work_left < 0:
            return False
        definition = reader(expander.text, expander.pos, expander.has_at)
        if definition is None:
            expander.charge_scan(expander.pos)
            unread = read_name(expander.text, expander.pos)
            if unread is not None:
                expander.own_names.add(unread[0])
            return False
        expander.work_left -= definition.end - start
        _remember(expander, definition, kind)
        expander.pos = whole_lines(expander.text, start, definition.end)
        return True

    return handle


def _remember(expander: Expander, definition: Definition, kind: str) -> None:
    name, meaning = definition.name, definition.meaning
    if isinstance(meaning, Environment):
        if name not in PROTECTED_ENVIRONMENTS:
            expander.environments[name] = meaning
        return
    is_global = kind == "global" or expander.is_global
    expander.is_global = False
    if name in PROTECTED or (kind == "provide" and name in expander.meanings):
        return
    expander.own_names.add(name)
    if definition.alias_of:
        _alias(expander, definition, is_global=is_global)
        return
    if isinstance(meaning, Macro) and kind == "new" and name not in expander.meanings:
        meaning = replace(meaning, is_new=True)
    if kind == "edef" and isinstance(meaning, Macro) and _names_itself(name, meaning):
        meaning = _unfolded(expander, name, meaning)
    if kind == "edef" and isinstance(meaning, Macro):
        meaning = replace(meaning, body=tuple(_NOEXPAND.sub("", p) if isinstance(p, str) else p for p in meaning.body))
    expander.define(name, meaning, is_global=is_global)


def _names_itself(name: str, macro: Macro) -> bool:
    return any(isinstance(part, str) and re.search(rf"\\{re.escape(name)}(?![A-Za-z@])", part) for part in macro.body)


def _unfolded(expander: Expander, name: str, macro: Macro) -> Macro:
    r"""Returns a macro whose text does not contain the macro's own name. For example, ``\edef\a{\a x}`` adds ``x`` to
    the text of ``\a``. So the old text of ``\a`` is inserted for ``\a`` in the new text. The old text itself is not
    expanded.
    """
    old = expander.meanings.get(name)
    old_text = old.fill([]) if isinstance(old, Macro) and not old.parameters else ""
    pattern = re.compile(rf"\\{re.escape(name)}(?![A-Za-z@])\s*")
    body = (pattern.sub(lambda _: old_text, part) if isinstance(part, str) else part for part in macro.body)
    return replace(macro, body=tuple(body))


def _alias(expander: Expander, definition: Definition, *, is_global: bool) -> None:
    r"""Gives the name of a definition the meaning of another command, as ``\let`` does.

    The line ``\let\x\relax`` has two uses. If the source loads a package after this line, the package may define ``\x``
    anew, so later calls of ``\x`` stay. Otherwise the line switches off a macro ``\x`` that the source has defined, so
    later calls of ``\x`` are removed.
    """
    name, target = definition.name, definition.alias_of
    if target in _FREES:
        is_own = isinstance(expander.meanings.get(name), Macro)
        is_off = target == "relax" and is_own and not expander.loads_after(definition.end)
        expander.define(name, Macro() if is_off else None, is_global=is_global)
        if not is_off:
            expander.saved_names.add(name)
        return
    meaning = _aliased(expander, target)
    if meaning is None or (isinstance(meaning, Macro) and meaning.is_primitive):
        expander.saved_names.add(target)
    expander.define(name, meaning, is_global=is_global)


def _aliased(expander: Expander, name: str) -> Meaning | None:
    meaning = expander.meanings.get(name)
    if meaning is not None:
        return meaning
    if name in ("empty", "@empty"):
        return Macro()
    if name == "@gobble":
        return Macro((Parameter("m"),), ())
    if "@" in name:
        return leave_macro
    return Macro((), ("\\" + name,), is_primitive=True)


_READERS: dict[str, Callable[[str, int, bool], Definition | None]] = {}
_KINDS: dict[str, str] = {}


def _register(names: str, reader: Callable[[str, int, bool], Definition | None], kind: str = "") -> None:
    for name in names.split():
        _READERS[name] = reader
        _KINDS[name] = kind


_register("newcommand newrobustcmd", lambda t, p, at: read_newcommand(t, p, has_at=at), "new")
_register(
    "renewcommand DeclareRobustCommand renewrobustcmd",
    lambda t, p, at: read_newcommand(t, p, has_at=at),
)
_register("providecommand providerobustcmd", lambda t, p, at: read_newcommand(t, p, has_at=at), "provide")
_register("def define redefine", lambda t, p, at: read_def(t, p, has_at=at))
_register("gdef", lambda t, p, at: read_def(t, p, has_at=at), "global")
_register("edef xdef", lambda t, p, at: read_def(t, p, has_at=at), "edef")
_register("let", lambda t, p, at: read_let(t, p))
_register("LetLtxMacro GlobalLetLtxMacro NewCommandCopy RenewCommandCopy predefine", lambda t, p, at: read_copy(t, p))
_register("undef", lambda t, p, at: read_undefine(t, p))
_register("cslet", lambda t, p, at: read_named_let(t, p))
_register("@namedef csdef", lambda t, p, at: read_named(t, p, has_at=at))
_register("csgdef", lambda t, p, at: read_named(t, p, has_at=at), "global")
_register("csedef csxdef", lambda t, p, at: read_named(t, p, has_at=at), "edef")
_register("newcommandx renewcommandx", lambda t, p, at: read_xargs(t, p, has_at=at))
_register("providecommandx", lambda t, p, at: read_xargs(t, p, has_at=at), "provide")
_register("newcommandtwoopt renewcommandtwoopt", lambda t, p, at: read_twoopt(t, p, has_at=at))
_register("DeclarePairedDelimiterX", lambda t, p, at: read_paired_delimiter_x(t, p))
_register("DeclarePairedDelimiterXPP", lambda t, p, at: read_paired_delimiter_x(t, p, has_hooks=True))
_register("DeclareMathOperator", lambda t, p, at: read_operator(t, p))
_register("DeclarePairedDelimiter", lambda t, p, at: read_paired_delimiter(t, p))
_register(
    "NewDocumentCommand RenewDocumentCommand DeclareDocumentCommand NewExpandableDocumentCommand",
    lambda t, p, at: read_document_command(t, p, has_at=at),
)
_register("ProvideDocumentCommand", lambda t, p, at: read_document_command(t, p, has_at=at), "provide")
_register("newenvironment renewenvironment", lambda t, p, at: read_environment(t, p, has_at=at))
_register(
    "NewDocumentEnvironment RenewDocumentEnvironment DeclareDocumentEnvironment",
    lambda t, p, at: read_environment(t, p, is_xparse=True, has_at=at),
)


def _prefix(expander: Expander, start: int) -> bool:
    r"""Removes ``\global``, ``\long``, ``\outer``, ``\protected`` and ``\expandafter`` before a definition."""
    if not _PREFIXED.match(expander.text, expander.pos):
        if expander.stack and expander.text.startswith("\\expandafter", start):
            if _LAST_COMMAND.match(expander.text, expander.pos):
                return True  # \expandafter only jumps over the \fi of a branch that was chosen already
            expander.give_up()
            return True
        return False
    expander.is_global |= expander.text.startswith("\\global", start)
    return True


def _skip_arguments(num_arguments: int) -> Handler:
    r"""Returns a handler that removes a command and its arguments. It is used for commands that print nothing, such as
    ``\DeclareOption``."""

    def handle(expander: Expander, start: int) -> bool:
        pos = expander.pos + expander.text.startswith("*", expander.pos)
        num_groups = num_arguments - (pos != expander.pos)
        for _ in range(num_groups):
            group = read_group(expander.text, pos)
            if group is None:
                return False
            pos = group[1]
        expander.pos = whole_lines(expander.text, start, pos)
        return True

    return handle


# Groups and environments --------------------------------------------------------------------------------------


def _begin(expander: Expander, start: int) -> bool:
    match = _ENVIRONMENT_NAME.match(expander.text, expander.pos)
    if match is None:
        return False
    name = match[1]
    environment = expander.environments.get(name)
    if environment is None:
        if name == "document":
            expander.set_at_letter(False)
        else:
            expander.open_group()
        return False
    return expander.call_environment(name, environment, match.end())


def _end(expander: Expander, start: int) -> bool:
    match = _ENVIRONMENT_NAME.match(expander.text, expander.pos)
    if match is None:
        return False
    environment = expander.environments.get(match[1])
    if environment is None or not expander.environment_arguments.get(match[1]):
        if expander.tracks_groups and match[1] != "document":
            expander.close_group()
        return False
    return expander.end_environment(match[1], environment, match.end())


def _open_group(expander: Expander, start: int) -> bool:
    expander.open_group()
    return False


def _close_group(expander: Expander, start: int) -> bool:
    if expander.tracks_groups:
        expander.close_group()
    return False


def _make_at(is_letter: bool) -> Handler:
    def handle(expander: Expander, start: int) -> bool:
        expander.set_at_letter(is_letter)
        expander.pos = whole_lines(expander.text, start, expander.pos)
        return True

    return handle


HANDLERS: dict[str, Handler] = {
    **TESTS,
    **LOOPS,
    **{name: _defines(reader, _KINDS[name]) for name, reader in _READERS.items()},
    **dict.fromkeys(("global", "long", "outer", "protected", "expandafter"), _prefix),
    **dict.fromkeys(("begingroup", "bgroup"), _open_group),
    **dict.fromkeys(("endgroup", "egroup"), _close_group),
    "DeclareOption": _skip_arguments(2),
    "begin": _begin,
    "end": _end,
    "makeatletter": _make_at(True),
    "makeatother": _make_at(False),
}
