r"""What is not LaTeX though it stands in the source: verbatim environments and commands, and hidden environments.

Next to the well-known names a source declares its own: ``\lstnewenvironment``, ``\DefineShortVerb``,
``\newcommand{\code}{\lstinline}``, ``\excludecomment``, ``\newenvironment{draft}{\comment}{\endcomment}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from filters.latex.groups import group_end, in_code, words

VERBATIM_ENVIRONMENTS = words(
    "verbatim verbatim* Verbatim Verbatim* BVerbatim LVerbatim SaveVerbatim VerbatimOut lstlisting lstlisting* minted"
    " alltt spverbatim verbatimtab listing* tcblisting pyverbatim pycode pyblock luacode luacode* sageblock sagesilent"
    " Sinput Soutput Scode CodeInput CodeOutput asy gnuplot rawhtml boxedverbatim"
)
"""Environments whose body is not LaTeX: LaTeX's own, fancyvrb, listings, minted, the journals' for code."""
REMOVED_ENVIRONMENTS = frozenset({"comment", "filecontents", "filecontents*"})
"""Environments that never reach the page: the comment package's, and files shipped inside the source."""
URL_COMMANDS = words("url path nolinkurl href")
_INLINE_COMMANDS = words(
    "verb Verb EscVerb spverb fverb SaveVerb lstinline mintinline mint pygmentize url path nolinkurl href"
)
_STRICT_COMMANDS = frozenset({"verb"})
r"""Commands whose delimiter must follow at once and may be a brace: LaTeX's ``\verb`` alone."""
_LANGUAGE_COMMANDS = words("mintinline mint SaveVerb")
"""Commands with an argument (a language, a name) before the verbatim text."""
_MAX_INLINE_CHARS = 4096
r"""How far the end of a ``\verb`` or ``\url`` is sought; TeX ends ``\verb`` at the line, a URL is under 2,048."""
_MAX_BODY_CHARS = 2000
"""How long an environment's definition may be to be looked into; ours: what hides text is one short line."""

_NAME = r"\s*\{{?\s*\\(?P<{}>[A-Za-z@]+)\s*\}}?\s*"
_DECLARES = re.compile(
    r"\\(?P<verbatim>lstnewenvironment|(?:Define|Recustom)VerbatimEnvironment|(?:new|renew|Declare)tcblisting"
    r"|DeclareTCBListing|newverbatim)\s*(?:\[[^\]]{0,100}\])?\s*\{\s*([A-Za-z]+\*?)\s*\}"
    r"|\\newminted(?:\[([A-Za-z]+)\])?\{([A-Za-z]+)\}"
    r"|\\(?P<hides>excludecomment|excludeversion|processcomment)\s*\{?\s*([A-Za-z]+\*?)\s*\}?"
    r"|\\(?P<shows>includecomment|includeversion|specialcomment|markversion|newtheorem\*?)\s*\{\s*([A-Za-z]+\*?)\s*\}"
    r"|\\(?P<defines>(?:re)?newenvironment\*?|NewEnviron|RenewEnviron|(?:New|Renew|Declare|Provide)DocumentEnvironment)"
    r"\s*\{\s*([A-Za-z]+\*?)\s*\}"
    rf"|\\(?:let{_NAME.format('let')}=?|def{_NAME.format('def')}\{{|(?:re)?newcommand\*?{_NAME.format('new')}\{{)\s*"
    r"\\(?P<target>comment|verb|Verb|spverb"
    r"|lstinline|mintinline|url|path|nolinkurl)(?![A-Za-z@])(?=\s*(?:\[[^\]\n]{0,200}\]\s*)?(?:\{[\w+-]{0,40}\})?(?:[\s}\\%]|\Z))"
    r"|\\(?P<inline>(?:New|Declare|Renew|Provide)DocumentCommand)\s*\{?\s*\\([A-Za-z@]+)\s*\}?\s*"
    r"\{\s*(?:[os]\s*|O\{[^{}]{0,40}\}\s*){0,5}v\s*\}"
    r"|\\(?P<custom>(?:Custom|Recustom)VerbatimCommand|newverbcommand)\s*\{?\s*\\([A-Za-z]+)\s*\}?"
    r"|\\(?P<mint>newmintinline|newmint)(?:\[([A-Za-z]+)\])?\{([A-Za-z]+)\}"
)
_HIDES = re.compile(r"\\comment(?![A-Za-z@])|\\begin\s*\{comment\}")
_BOXES = re.compile(r"\\(?:setbox|savebox|lrbox(?![A-Za-z])|begin\s*\{lrbox\})")
_SHOWS_BOX = re.compile(r"\\(?:usebox|box|copy|unvbox|unhbox|unvcopy|unhcopy)(?![A-Za-z])")
_IS_VERBATIM = re.compile(r"\\(?:VerbatimEnvironment|verbatim|Verbatim|lstlisting|alltt)(?![A-Za-z@])")
_OPTIONS = re.compile(r"\s*(?:\[[^\[\]]{0,200}\]\s*){0,3}")
SHORT_VERB = re.compile(
    r"\\(DefineShortVerb|MakeShortVerb|MakeSpecialShortVerb|lstMakeShortInline|UndefineShortVerb|DeleteShortVerb"
    r"|lstDeleteShortInline)\*?\s*(?:\[[^\]\n]{0,300}\])?\s*\{?\s*\\?([^\sA-Za-z0-9{}\\%])\}?"
)
"""Makes a character a verbatim mark, or ends that; group 2 is the character."""


@dataclass(slots=True)
class Verbatim:
    """The environments and commands of one source whose text is not LaTeX, and the environments that are hidden."""

    environments: set[str] = field(default_factory=lambda: set(VERBATIM_ENVIRONMENTS))
    removed: set[str] = field(default_factory=lambda: set(REMOVED_ENVIRONMENTS))
    commands: set[str] = field(default_factory=lambda: set(_INLINE_COMMANDS))
    urls: set[str] = field(default_factory=lambda: set(URL_COMMANDS))
    marks: set[str] = field(default_factory=set)
    r"""Characters that the source makes verbatim marks somewhere (``\DefineShortVerb``)."""

    @property
    def own_commands(self) -> set[str]:
        """Commands that the source itself declares; an expansion may still change their names."""
        return (self.commands | self.urls) - _INLINE_COMMANDS


def declared_verbatim(text: str, *, known: Verbatim | None = None) -> Verbatim:
    r"""Returns what is verbatim and what is hidden: the well-known names and those that the source declares.

    ``known``: what other files of the paper declare; it is added to.

    >>> found = declared_verbatim(r"\lstnewenvironment{code}{}{} \excludecomment{long} \let\c=\verb")
    >>> sorted(found.environments - VERBATIM_ENVIRONMENTS), sorted(found.removed - REMOVED_ENVIRONMENTS)
    (['code'], ['long'])
    >>> sorted(found.own_commands)
    ['c']
    """
    found = Verbatim() if known is None else known
    if "Short" in text:
        found.marks |= {match[2] for match in in_code(SHORT_VERB, text)}
    for match in in_code(_DECLARES, text):
        name = next(group for group in match.groups()[::-1] if group is not None)
        if match["verbatim"]:
            found.environments.add(name)
        elif match["hides"]:
            found.removed.add(name)
        elif match["shows"]:
            found.removed.discard(name)
        elif match["defines"]:
            _define_environment(found, name, text, match)
        elif match["target"]:
            _alias(found, match)
        elif match["inline"] or match["custom"]:
            found.commands.add(name)
        elif match["mint"]:
            alias, language = match.groups()[-2:]
            found.commands.add(alias or (f"{language}inline" if match["mint"] == "newmintinline" else language))
        else:
            alias, language = match[3], match[4]
            found.environments.add(alias or f"{language}code")
    return found


def _alias(found: Verbatim, match: re.Match[str]) -> None:
    name = match["let"] or match["def"] or match["new"]
    if match["target"] == "comment":
        found.removed.add(name)
    elif match["target"] in URL_COMMANDS:
        found.urls.add(name)
    else:
        found.commands.add(name)


def _define_environment(found: Verbatim, name: str, text: str, match: re.Match[str]) -> None:
    r"""Adds an environment that is ``\comment`` or ``\verbatim`` by definition, or whose text is lost in a box."""
    groups = _read_groups(text, match.end())
    found.removed.discard(name)
    if "Document" in match["defines"]:
        spec, *groups = groups or [""]
        if "b" in spec.split("{")[0] and groups and not re.search(r"#[1-9]", groups[0]):
            found.removed.add(name)
            return
    if not groups:
        return
    begins, ends = groups[0], groups[1] if len(groups) > 1 else ""
    is_boxed = _BOXES.search(begins) is not None and _SHOWS_BOX.search(ends) is None
    is_dropped = match["defines"].endswith("NewEnviron") and "\\BODY" not in begins
    if _HIDES.search(begins) or is_boxed or is_dropped:
        found.removed.add(name)
    elif _IS_VERBATIM.search(begins):
        found.environments.add(name)


def _read_groups(text: str, pos: int) -> list[str]:
    groups: list[str] = []
    limit = pos + _MAX_BODY_CHARS
    while len(groups) < 3:
        options = _OPTIONS.match(text, pos)
        pos = options.end() if options else pos
        if not text.startswith("{", pos):
            break
        end = group_end(text, pos, min(limit, len(text)))
        if end < 0:
            break
        groups.append(text[pos + 1 : end - 1])
        pos = end
    return groups


def inline_end(text: str, command: str, pos: int) -> int:
    r"""Returns the end of a ``\verb|..|``, ``\lstinline..`` or ``\url{..}`` with arguments from ``pos``; -1 if none.

    All of them end on their own line, as TeX requires of ``\verb``.

    >>> inline_end(r"\Verb[a=b]+100%+ x", "Verb", 5), inline_end(r"\verb x", "verb", 5)
    (16, -1)
    """
    limit = text.find("\n", pos, pos + _MAX_INLINE_CHARS)
    if limit < 0:
        limit = min(len(text), pos + _MAX_INLINE_CHARS)
    is_strict = command in _STRICT_COMMANDS
    if text.startswith("*", pos) and command not in URL_COMMANDS:
        pos += 1
    if not is_strict:
        pos = _skip_blanks(text, pos, limit)
        if command not in URL_COMMANDS and text.startswith("[", pos) and pos < limit:
            end = text.find("]", pos, limit) + 1
            if end == 0:
                return -1
            pos = _skip_blanks(text, end, limit)
    if command in _LANGUAGE_COMMANDS:
        pos = group_end(text, pos, limit) if text.startswith("{", pos) else -1
    if not 0 <= pos < limit:
        return -1
    if text[pos] == "{" and not is_strict:
        return group_end(text, pos, limit)
    if command in URL_COMMANDS - {"path"} or text[pos].isalpha() or text[pos].isspace() or text[pos] == "}":
        return -1
    if text[pos] == "\\" and not is_strict:
        return -1
    return text.find(text[pos], pos + 1, limit) + 1 or -1


def _skip_blanks(text: str, pos: int, limit: int) -> int:
    while pos < limit and text[pos] in " \t":
        pos += 1
    return pos


def mark_end(text: str, pos: int) -> int:
    """Returns the end of the short verbatim that opens at ``pos``, on the same line; -1 if none."""
    limit = text.find("\n", pos)
    return text.find(text[pos], pos + 1, limit if limit >= 0 else len(text)) + 1 or -1
