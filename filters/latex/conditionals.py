r"""Conditionals whose outcome the source itself settles: ``\iffalse``, ``\iftrue`` and the switches of ``\newif``.

Authors put old text, referees' remarks and the long version of a paper there. What the outcome hides never reached
the page, so it goes; the words of the conditional go with it. Every other conditional is left as it stands. Linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from filters.latex.lexer import whole_lines, words

PRIMITIVE_CONDITIONALS = words(
    "if ifcat ifx ifnum ifdim ifodd ifvmode ifhmode ifmmode ifinner ifvoid ifhbox ifvbox ifeof ifcase iftrue iffalse"
    " ifdefined ifcsname iffontchar ifpdf ifxetex ifluatex iftutex"
)
r"""Names that a ``\fi`` closes. ``\iff``, ``\ifthenelse``, ``\ifstrempty`` and their like are not among them."""

_DECLARED = re.compile(r"\\newif\s*\{?\s*\\if([A-Za-z@]+)")
_DEFINES_NEXT = re.compile(
    r"\\(?:newif|let|g?def|(?:re)?newcommand\*?)\s*\{?\s*$|\\(?:let|expandafter|string)\s*\\[A-Za-z@]+\s*=?\s*$"
)


@dataclass(slots=True)
class _Open:
    start: int
    outcome: bool | None
    body: int
    otherwise: tuple[int, int] | None = None


@dataclass(slots=True)
class _Switch:
    """A ``\\newif`` and where it is set; ``is_plain`` is false where a macro or a group sets it: then nobody knows."""

    is_plain: bool = True
    settings: list[tuple[int, bool]] = field(default_factory=list)

    def state(self, pos: int, body_start: int) -> bool:
        """The preamble is read before any of its macros is used: all of it sees the preamble's last setting."""
        until = max(pos, body_start)
        return next((value for place, value in reversed(self.settings) if place < until), False)


def resolve_conditionals(text: str) -> tuple[str, int]:
    r"""Removes what settled conditionals hide; returns (text, how many conditionals were settled).

    >>> resolve_conditionals(r"a\iffalse b \ifx\x\y c\fi\else d\fi e \iff f")
    ('a d e \\iff f', 1)
    >>> resolve_conditionals(r"\newif\iflong\longtrue\begin{document}\iflong A\else B\fi")
    ('\\begin{document} A', 1)
    """
    if "\\iffalse" not in text and "\\iftrue" not in text and "\\newif" not in text:
        return text, 0
    switches = {name: _Switch() for name in _DECLARED.findall(text)}
    body_start = max(text.find("\\begin{document}"), 0)
    hidden = _Resolver(text, switches, body_start).hidden()
    out, pos = [], 0
    num_settled = 0
    for start, end, settles in sorted(hidden):
        num_settled += settles
        if end <= pos:
            continue
        if start > pos:
            out.append(text[pos:start])
        pos = whole_lines(text, start, end)
    out.append(text[pos:])
    return "".join(out), num_settled


class _Resolver:
    def __init__(self, text: str, switches: dict[str, _Switch], body_start: int) -> None:
        self.text = text
        self.switches = switches
        self.body_start = body_start
        names = "|".join(sorted(map(re.escape, switches), key=len, reverse=True))
        setters = rf"|(?:{names})(?:true|false)" if names else ""
        braces = "[{}]|" if names else ""
        self.token = re.compile(
            rf"{braces}\\(?:(?:(newif)\s*\{{?\s*\\if[A-Za-z@]+\}}?|(if[A-Za-z@]*|else|fi{setters})(?![A-Za-z@]))|[^A-Za-z])",
            re.DOTALL,
        )

    def hidden(self) -> list[tuple[int, int, bool]]:
        """Returns the stretches that go: (start, end, whether it is the one that counts for its conditional)."""
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
            elif self._is_conditional(name, match.start()):
                opened.append(_Open(match.start(), self._outcome(name, match.start()), match.end()))
        return regions

    def _find_settings(self) -> None:
        if not self.switches:
            return
        depth = 0
        for match in self.token.finditer(self.text):
            name = match[2]
            if match[0] == "{":
                depth += 1
            elif match[0] == "}":
                depth = max(depth - 1, 0)
            elif name and not name.startswith("if") and name not in ("else", "fi"):
                value = name.endswith("true")
                switch = self.switches[name.removesuffix("true" if value else "false")]
                switch.is_plain &= depth == 0
                switch.settings.append((match.start(), value))

    def _is_conditional(self, name: str, start: int) -> bool:
        if name not in PRIMITIVE_CONDITIONALS and name.removeprefix("if") not in self.switches:
            return False
        return _DEFINES_NEXT.search(self.text, max(0, start - 80), start) is None

    def _outcome(self, name: str, start: int) -> bool | None:
        if name in ("iffalse", "iftrue"):
            return name == "iftrue"
        switch = self.switches.get(name.removeprefix("if"))
        return switch.state(start, self.body_start) if switch is not None and switch.is_plain else None

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
