r"""Finds the environments and commands whose text is not LaTeX (verbatim), or whose text TeX does not print (hidden).

Besides the well-known environments and commands, a source can declare its own with
``\lstnewenvironment``, ``\DefineShortVerb``, ``\newcommand{\code}{\lstinline}``, ``\excludecomment`` or
``\newenvironment{draft}{\comment}{\endcomment}``.
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
"""Environments whose body is not LaTeX. They are from LaTeX, fancyvrb, listings and minted, and from the styles that
journals provide for code."""
REMOVED_ENVIRONMENTS = frozenset({"comment", "filecontents", "filecontents*"})
"""Environments that TeX does not print: ``comment`` of the package ``comment``, and files shipped inside the source."""
URL_COMMANDS = words("url path nolinkurl href")
_INLINE_COMMANDS = words(
    "verb Verb EscVerb spverb fverb SaveVerb lstinline mintinline mint pygmentize url path nolinkurl href"
)
_STRICT_COMMANDS = frozenset({"verb"})
r"""Commands whose delimiter must directly follow the name and can be a brace. LaTeX's ``\verb`` is the only one."""
_LANGUAGE_COMMANDS = words("mintinline mint SaveVerb")
"""Commands with an argument (a language, a name) before the verbatim text."""
_MAX_INLINE_CHARS = 4096
r"""Number of characters searched for the end of ``\verb`` or ``\url``. TeX ends ``\verb`` at the end of the line. URLs
have under 2,048 characters."""
_MAX_UNREAD = 200
"""After this many unreadable definitions of environments, no further definitions are read, so that the time stays
linear."""
_MAX_BODY_CHARS = 2000
"""Longest definition of an environment that is read. Our choice: definitions that hide text are one short line."""

_ALIAS_TARGETS = ("comment", "verb", "Verb", "spverb", "lstinline", "mintinline", "url", "path", "nolinkurl")
_DECLARES = (
    (
        ("lstnewenvironment", "VerbatimEnvironment", "tcblisting", "TCBListing", "newverbatim"),
        re.compile(
            r"\\(?P<verbatim>lstnewenvironment|(?:Define|Recustom)VerbatimEnvironment|(?:new|renew|Declare)tcblisting"
            r"|DeclareTCBListing|newverbatim)\s*(?:\[[^\]]{0,100}\])?\s*\{\s*(?P<name>[A-Za-z]+\*?)\s*\}"
        ),
    ),
    (
        ("newmint",),
        re.compile(
            r"\\(?P<mint>newminted|newmintinline|newmint)(?:\[(?P<name>[A-Za-z]+)\])?\{(?P<language>[A-Za-z]+)\}"
        ),
    ),
    (
        ("excludecomment", "excludeversion", "processcomment"),
        re.compile(r"\\(?P<hides>excludecomment|excludeversion|processcomment)\s*\{?\s*(?P<name>[A-Za-z]+\*?)\s*\}?"),
    ),
    (
        ("includecomment", "includeversion", "specialcomment", "markversion", "m{comment}", "m*{comment}"),
        re.compile(
            r"\\(?P<shows>includecomment|includeversion|specialcomment|markversion|newtheorem\*?)"
            r"\s*\{\s*(?P<name>[A-Za-z]+\*?)\s*\}"
        ),
    ),
    (
        ("newenvironment", "NewEnviron", "RenewEnviron", "DocumentEnvironment"),
        re.compile(
            r"\\(?P<defines>(?:re)?newenvironment\*?|NewEnviron|RenewEnviron"
            r"|(?:New|Renew|Declare|Provide)DocumentEnvironment)\s*\{\s*(?P<name>[A-Za-z]+\*?)\s*\}"
        ),
    ),
    (
        ("\\let",),
        re.compile(
            r"\\let\s*\\(?P<name>[A-Za-z@]+)\s*=?\s*"
            rf"\\(?P<target>{'|'.join(_ALIAS_TARGETS)})(?![A-Za-z@])"
        ),
    ),
    (
        (*(f"{{\\{target}" for target in _ALIAS_TARGETS[:6]), *(f"{{\\{target}}}" for target in _ALIAS_TARGETS[6:])),
        re.compile(
            r"\\(?:def\s*|(?:re)?newcommand\*?\s*\{?\s*)\\(?P<name>[A-Za-z@]+)\s*\}?\s*\{"
            rf"\\(?P<target>{'|'.join(_ALIAS_TARGETS)})(?![A-Za-z@])"
            r"(?=\s*(?:\[[^\]\n]{0,200}\]\s*)?(?:\{[\w+-]{0,40}\})?[\s}\\%])"
        ),
    ),
    (
        ("DocumentCommand",),
        re.compile(
            r"\\(?P<inline>(?:New|Declare|Renew|Provide)DocumentCommand)\s*\{?\s*\\(?P<name>[A-Za-z@]+)\s*\}?\s*"
            r"\{\s*(?:[os]\s*|O\{[^{}]{0,40}\}\s*){0,5}v\s*\}"
        ),
    ),
    (
        ("VerbatimCommand", "newverbcommand"),
        re.compile(
            r"\\(?P<inline>(?:Custom|Recustom)VerbatimCommand|newverbcommand)\s*\{?\s*\\(?P<name>[A-Za-z]+)\s*\}?"
        ),
    ),
)
"""Declarations as pairs (words, pattern). Each text that matches the pattern contains at least one of the words, so
other texts need not be searched."""
_DECLARED_IN_BODY = ("newenvironment{", "\\exclude", "\\newminted")
"""If the text after the preamble contains one of these words, the whole text is searched for declarations. Otherwise
only the preamble is searched."""
_HIDES = re.compile(r"\\comment(?![A-Za-z@])|\\begin\s*\{comment\}")
_BOXES = re.compile(r"\\(?:setbox|savebox|lrbox(?![A-Za-z])|begin\s*\{lrbox\})")
_SHOWS_BOX = re.compile(r"\\(?:usebox|box|copy|unvbox|unhbox|unvcopy|unhcopy)(?![A-Za-z])")
_IS_VERBATIM = re.compile(r"\\(?:VerbatimEnvironment|verbatim|Verbatim|lstlisting|alltt)(?![A-Za-z@])")
_OPTIONS = re.compile(r"\s*(?:\[[^\[\]]{0,200}\]\s*){0,3}")
SHORT_VERB = re.compile(
    r"\\(DefineShortVerb|MakeShortVerb|MakeSpecialShortVerb|lstMakeShortInline|UndefineShortVerb|DeleteShortVerb"
    r"|lstDeleteShortInline)\*?\s*(?:\[[^\]\n]{0,300}\])?\s*\{?\s*\\?([^\sA-Za-z0-9{}\\%])\}?"
)
"""Matches commands that turn a character into a delimiter of verbatim text, or back into an ordinary character. Group 2
is the character.
"""


@dataclass(slots=True)
class Verbatim:
    """Holds the names of one source's verbatim environments and commands, and of its hidden environments
    (``removed``).
    """

    environments: set[str] = field(default_factory=lambda: set(VERBATIM_ENVIRONMENTS))
    removed: set[str] = field(default_factory=lambda: set(REMOVED_ENVIRONMENTS))
    commands: set[str] = field(default_factory=lambda: set(_INLINE_COMMANDS))
    urls: set[str] = field(default_factory=lambda: set(URL_COMMANDS))
    marks: set[str] = field(default_factory=set)
    r"""Characters that the source makes delimiters of verbatim text somewhere (``\DefineShortVerb``)."""

    num_unread: int = 0
    """Number of definitions of environments that could not be read."""

    @property
    def own_commands(self) -> set[str]:
        r"""Returns the verbatim commands that the source itself declares, for example ``\code``.

        Only the verbatim text after such a command is sealed (replaced by a placeholder). The command's name is not, so
        that the expansion can replace it, for example ``\code`` by ``\lstinline``.
        """
        return (self.commands | self.urls) - _INLINE_COMMANDS


def declared_verbatim(text: str, *, known: Verbatim | None = None) -> Verbatim:
    r"""Returns the names of verbatim environments and commands, and of hidden environments. These are well-known names,
    and names that ``text`` declares.

    ``known`` contains the names from other files of the same paper. If it is given, the names that ``text`` declares
    are added to it, and it is returned.

    >>> found = declared_verbatim(r"\lstnewenvironment{code}{}{} \excludecomment{long} \let\c=\verb")
    >>> sorted(found.environments - VERBATIM_ENVIRONMENTS), sorted(found.removed - REMOVED_ENVIRONMENTS)
    (['code'], ['long'])
    >>> sorted(found.own_commands)
    ['c']
    """
    found = Verbatim() if known is None else known
    if "Short" in text:
        found.marks |= {match[2] for match in in_code(SHORT_VERB, text)}
    begin = text.find("\\begin{document}")
    is_whole = begin < 0 or any(text.find(word, begin) >= 0 for word in _DECLARED_IN_BODY)
    source = text if is_whole else text[:begin]
    matches: list[re.Match[str]] = []
    for words_of_form, pattern in _DECLARES:
        if any(word in source for word in words_of_form):
            matches += in_code(pattern, source)
    for match in sorted(matches, key=re.Match.start):
        _declare(found, text, match)
    return found


def _declare(found: Verbatim, text: str, match: re.Match[str]) -> None:
    form = match.groupdict()
    name = form.get("name") or ""
    if "verbatim" in form:
        found.environments.add(name)
    elif "mint" in form:
        kind, language = form["mint"], form["language"]
        if kind == "newminted":
            found.environments.add(name or f"{language}code")
        else:
            found.commands.add(name or (f"{language}inline" if kind == "newmintinline" else language))
    elif "hides" in form:
        found.removed.add(name)
    elif "shows" in form:
        found.removed.discard(name)
    elif "defines" in form:
        _define_environment(found, name, text, match)
    elif "inline" in form:
        found.commands.add(name)
    elif form["target"] == "comment":
        found.removed.add(name)
    elif form["target"] in URL_COMMANDS:
        found.urls.add(name)
    else:
        found.commands.add(name)


def _define_environment(found: Verbatim, name: str, text: str, match: re.Match[str]) -> None:
    r"""Adds a defined environment to ``found`` if its definition makes it verbatim or hidden.

    The environment is hidden if it is defined by ``\comment`` or if its text goes into a box that is not printed.
    """
    found.removed.discard(name)
    if found.num_unread > _MAX_UNREAD:
        return
    groups = _read_groups(text, match.end())
    found.num_unread += not groups
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
    r"""Returns the end of a ``\verb|..|``, ``\lstinline..`` or ``\url{..}``. ``command`` is the command's name, and
    ``pos`` is the position after the name.

    Returns -1 if no verbatim text follows the name, or if the verbatim text does not end on the same line. (TeX also
    requires ``\verb`` to end on its line.)

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
    """Returns the end of the verbatim text whose delimiter is at ``pos``. Returns -1 if the text does not end on the
    same line.
    """
    limit = text.find("\n", pos, pos + _MAX_INLINE_CHARS)
    return text.find(text[pos], pos + 1, limit if limit >= 0 else pos + _MAX_INLINE_CHARS) + 1 or -1
