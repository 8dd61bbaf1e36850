r"""Resolves conditionals if the source itself decides their outcome: ``\iffalse``, ``\iftrue`` and switches of
``\newif``.

Authors put old text, referees' remarks and the long version of a paper into such conditionals. The branch that TeX
would skip is removed. The commands of the conditional itself are also removed. All other conditionals stay unchanged.
The time is linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from filters.latex.groups import join_pieces, whole_lines, words
from filters.latex.settled_tests import Constants, is_test, settle

PRIMITIVE_CONDITIONALS = words(
    "if ifcat ifx ifnum ifdim ifodd ifvmode ifhmode ifmmode ifinner ifvoid ifhbox ifvbox ifeof ifcase iftrue iffalse"
    " ifdefined ifcsname iffontchar ifpdf ifxetex ifluatex iftutex"
)
r"""Conditionals that end with ``\fi``. (``\iff``, ``\ifthenelse``, ``\ifstrempty`` and similar commands do not.)"""

_DECLARED = re.compile(
    r"\\newif\s*\{?\s*\\if([A-Za-z@]+)|\\let\s*\\if([A-Za-z@]+)\s*=?\s*\\if(?:true|false)(?![A-Za-z@])"
    r"|\\(?:def|(?:re)?newcommand\*?)\s*\{?\s*\\if([A-Za-z@]+)\s*\}?\s*\{\s*\\if(?:true|false)\s*\}"
)
_DEFINES_NEXT = re.compile(
    r"\\(?:newif|let|g?def|(?:re)?newcommand\*?)\s*\{?\s*$|\\(?:let|expandafter|string)\s*\\[A-Za-z@]+\s*=?\s*$"
)


_SWITCH_NAME = re.compile(r"\\if([A-Za-z@]+)")
_CLASS_SWITCHES = ("ifCLASS", "ifHy@")
r"""The first characters of the names of switches that well-known classes and packages declare. For example, the class
IEEEtran declares ``\ifCLASSOPTIONjournal``.
"""
_MAY_SETTLE = re.compile(
    r"\\(?:iffalse|iftrue|newif)(?![A-Za-z@])"
    r"|\\if(?:num|odd)?(?![A-Za-z@])\s*(?:-?\d|[A-Za-z]|\\[A-Za-z@]+\s*(?:-?[\dA-Za-z<=>]|\\if|\\[A-Za-z]+\s*[<=>]))"
    r"|\\ifx\s*(?:\d\d|\\(?!undefined|relax|@?empty)[A-Za-z@]+\s*\\(?!undefined|@undefined|relax|@?empty)[A-Za-z@]+)"
)
"""A fast pattern. It matches in every text that contains a conditional with a known outcome. All other texts need not
be searched further.
"""


@dataclass(slots=True)
class _Open:
    start: int
    outcome: bool | None
    body: int
    otherwise: tuple[int, int] | None = None


@dataclass(slots=True)
class _Switch:
    r"""Describes a switch that ``\newif`` (or ``\let\ifx\iftrue``) declares, and the positions at which the source sets
    the switch.

    ``is_plain`` is False if the source sets the switch inside a macro's text or inside a group. The state of the switch
    is then unknown.
    """

    is_plain: bool = True
    settings: list[tuple[int, bool]] = field(default_factory=list)

    def state(self, pos: int, body_start: int) -> bool:
        """Returns the state of the switch at ``pos``: the last value that the source sets before ``pos``, or False.

        If ``pos`` is in the preamble, returns the last value that the preamble sets. This is right for macros that the
        preamble defines, because they are used after TeX has read the whole preamble.
        """
        until = max(pos, body_start)
        return next((value for place, value in reversed(self.settings) if place < until), False)


def resolve_conditionals(text: str) -> tuple[str, int]:
    r"""Removes the branches that TeX would skip. Returns the remaining text, and the number of conditionals that were
    resolved.

    In the first example, ``\iff`` stays because it is not a conditional.

    >>> resolve_conditionals(r"a\iffalse b \ifx\x\y c\fi\else d\fi e \iff f")
    ('a d e \\iff f', 1)
    >>> resolve_conditionals(r"\newif\iflong\longtrue\begin{document}\iflong A\else B\fi")
    ('\\begin{document} A', 1)
    """
    if ("\\if" not in text and "\\newif" not in text) or _MAY_SETTLE.search(text) is None:
        return text, 0
    switches = {match[match.lastindex or 1]: _Switch() for match in _DECLARED.finditer(text)}
    body_start = max(text.find("\\begin{document}"), 0)
    hidden = _Resolver(text, switches, body_start).hidden()
    out: list[str] = []
    pos = num_settled = 0
    for start, end, settles in sorted(hidden):
        num_settled += settles
        if end <= pos:
            continue
        if start > pos:
            out.append(text[pos:start])
        pos = whole_lines(text, start, end)
    out.append(text[pos:])
    return join_pieces(out), num_settled


class _Resolver:
    def __init__(self, text: str, switches: dict[str, _Switch], body_start: int) -> None:
        self.text = text
        self.switches = switches
        self.body_start = body_start
        self.constants = Constants(text)
        names = "|".join(sorted(map(re.escape, switches), key=len, reverse=True))
        setters = rf"|(?:{names})(?:true|false)" if names else ""
        braces = "[{}]|" if names else ""
        lets = rf"|let\s*\\if(?:{names})\s*=?\s*\\if(?:true|false)(?![A-Za-z@])" if names else ""
        defs = (
            rf"|(?:def|(?:re)?newcommand\*?)\s*\{{?\s*\\if(?:{names})\s*\}}?\s*\{{\s*\\if(?:true|false)\s*\}}"
            if names
            else ""
        )
        self.token = re.compile(
            rf"{braces}\\(?:(newif\s*\{{?\s*\\if[A-Za-z@]+\}}?{lets}{defs})"
            rf"|(if[A-Za-z@]*|else|fi{setters})(?![A-Za-z@])|[^A-Za-z])",
            re.DOTALL,
        )

    def hidden(self) -> list[tuple[int, int, bool]]:
        """Returns the parts of the text that must be removed, as (start, end, counts). ``counts`` is True for exactly
        one part of each resolved conditional. So the number of True values is the number of conditionals.
        """
        self._find_settings()
        regions: list[tuple[int, int, bool]] = []
        opened: list[_Open] = []
        for match in self.token.finditer(self.text):
            name = match[2]
            if match[1]:
                regions.append((match.start(), match.end(), False))
            elif name is None:
                continue
            elif name == "fi":
                if opened:
                    regions.extend(self._settled(opened.pop(), match))
            elif name == "else":
                if opened and opened[-1].otherwise is None:
                    opened[-1].otherwise = match.span()
            elif not name.startswith("if"):
                if self.switches[name.removesuffix("true").removesuffix("false")].is_plain:
                    regions.append((match.start(), match.end(), False))
            elif self._is_conditional(name, match):
                outcome, body = self._outcome(name, match)
                opened.append(_Open(match.start(), outcome, body))
        return regions

    def _find_settings(self) -> None:
        if not self.switches:
            return
        depth = 0
        for match in self.token.finditer(self.text):
            name = match[2]
            if match[1]:
                if not match[1].startswith("newif"):
                    name = _SWITCH_NAME.search(match[1])
                    self._set(name[1] if name else "", match.start(), "iftrue" in match[1], depth)
            elif match[0] == "{":
                depth += 1
            elif match[0] == "}":
                depth = max(depth - 1, 0)
            elif name and not name.startswith("if") and name not in ("else", "fi"):
                value = name.endswith("true")
                self._set(name.removesuffix("true" if value else "false"), match.start(), value, depth)

    def _set(self, name: str, start: int, value: bool, depth: int) -> None:
        switch = self.switches[name]
        switch.is_plain &= depth == 0
        switch.settings.append((start, value))

    def _is_conditional(self, name: str, match: re.Match[str]) -> bool:
        is_known = name in PRIMITIVE_CONDITIONALS or name.removeprefix("if") in self.switches
        if not is_known and "@" not in name and not name.startswith(_CLASS_SWITCHES):
            return False
        if self.text.startswith("}", match.end()):
            return False  # part of a macro's text
        start = match.start()
        return _DEFINES_NEXT.search(self.text, max(0, start - 80), start) is None

    def _outcome(self, name: str, match: re.Match[str]) -> tuple[bool | None, int]:
        """Returns two values: the outcome of a conditional (None if it is unknown), and the position where its first
        branch begins.
        """
        start, end = match.span()
        if name in ("iffalse", "iftrue"):
            return name == "iftrue", end
        if is_test(name):
            return settle(name, self.text, end, self.constants)
        switch = self.switches.get(name.removeprefix("if"))
        return (switch.state(start, self.body_start) if switch is not None and switch.is_plain else None), end

    @staticmethod
    def _settled(conditional: _Open, fi: re.Match[str]) -> list[tuple[int, int, bool]]:
        if conditional.outcome is None:
            return []
        otherwise = conditional.otherwise
        if conditional.outcome:
            words = [(conditional.start, conditional.body, True)]
            return [*words, (otherwise[0] if otherwise else fi.start(), fi.end(), False)]
        if otherwise is None:
            return [(conditional.start, fi.end(), True)]
        return [(conditional.start, otherwise[1], True), (*fi.span(), False)]
