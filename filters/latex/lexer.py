r"""The lowest layer of LaTeX: what is code, what is a comment, and what TeX would not read at all.

One pass over the source takes comments out and puts what must not be read as LaTeX (``verbatim``, listings,
``\verb``, a URL with a percent sign) behind a *seal*, so that every later pass sees plain code and need not ask again.
TeX's own rules for catcodes hold: ``\%`` is no comment, nor is a ``%`` inside a seal. Linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


def words(names: str) -> frozenset[str]:
    """The set of names that a list with spaces between holds."""
    return frozenset(names.split())


VERBATIM_ENVIRONMENTS = words(
    "verbatim verbatim* Verbatim Verbatim* BVerbatim LVerbatim SaveVerbatim VerbatimOut lstlisting lstlisting* minted"
    " alltt spverbatim verbatimtab listing* tcblisting pyverbatim pycode pyblock luacode luacode* sageblock sagesilent"
    " Sinput Soutput Scode CodeInput CodeOutput asy gnuplot rawhtml boxedverbatim"
)
"""Environments whose body is not LaTeX: LaTeX's own, fancyvrb, listings, minted, the journals' for code."""
REMOVED_ENVIRONMENTS = frozenset({"comment", "filecontents", "filecontents*"})
"""Environments that never reach the page: the comment package's, and files shipped inside the source."""

_INLINE = frozenset({"verb", "lstinline", "mintinline", "url", "path", "nolinkurl", "href"})
_TOKEN = re.compile(
    r"%|\\(?:begin\s?\{\s*([A-Za-z]+\*?)\s*\}|(verb|lstinline|mintinline|url|path|nolinkurl|href)(?![A-Za-z@])|[^A-Za-z])",
    re.DOTALL,
)
_BRACE = re.compile(r"[{}]|\\[^A-Za-z]", re.DOTALL)
_DECLARES_VERBATIM = re.compile(
    r"\\(?:lstnewenvironment|(?:Define|Recustom)VerbatimEnvironment|(?:new|renew|Declare)tcblisting|DeclareTCBListing"
    r"|newverbatim|excludecomment)\s*(?:\[[^\]]{0,100}\])?\s*\{\s*([A-Za-z]+\*?)\s*\}"
    r"|\\newminted(?:\[([A-Za-z]+)\])?\{([A-Za-z]+)\}"
)
_PARAMETER = re.compile(r"#[1-9]")
_MAX_INLINE_CHARS = 4096
r"""How far the end of a ``\verb`` or ``\url`` is sought; TeX ends ``\verb`` at the line, a URL is under 2,048."""
_MAX_FAILURES = 1000
r"""Unclosed ``\url{`` after which no more are looked at: keeps a hostile line linear."""

SEAL = re.compile(r"\x00(\d+)\x00")
"""What stands in the text for a sealed piece; NUL is a character that TeX ignores, so sources have none left."""


@dataclass(slots=True)
class Code:
    """LaTeX without comments; ``sealed[i]`` stands in the text as ``NUL i NUL``."""

    text: str
    sealed: list[str] = field(default_factory=list)
    num_comments: int = 0

    def unseal(self, text: str) -> str:
        """Puts the sealed pieces back; a seal may have been copied or dropped by an expansion."""
        if "\x00" not in text:
            return text
        return SEAL.sub(lambda match: self.sealed[int(match[1])], text)


def normalise_source(text: str) -> str:
    r"""One kind of line end (old Macs wrote ``\r`` alone: one comment would be the whole file), no NUL, no BOM.

    >>> normalise_source("a\r\nb\rc\x00d")
    'a\nb\ncd'
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\x00", "").removeprefix("\ufeff")


def group_end(text: str, pos: int, limit: int | None = None) -> int:
    r"""Returns the place behind the ``}`` that closes the group opened at ``pos``, or -1 if there is none before limit.

    >>> group_end(r"{a\}{b}}c", 0)
    8
    """
    limit = len(text) if limit is None else limit
    depth, start = 0, pos
    while (end := text.find("}", start, limit)) >= 0:
        if text[end - 1] == "\\" or text.find("\\{", start, end) >= 0:
            return _group_end_with_escapes(text, start, limit, depth)
        depth += text.count("{", start, end) - 1
        start = end + 1
        if depth <= 0:
            return start
    return -1


def _group_end_with_escapes(text: str, pos: int, limit: int, depth: int) -> int:
    for match in _BRACE.finditer(text, pos, limit):
        brace = match[0]
        if brace == "{":
            depth += 1
        elif brace == "}":
            depth -= 1
            if depth <= 0:
                return match.end()
    return -1


def whole_lines(text: str, start: int, end: int) -> int:
    r"""Returns ``end``, or the place behind its line's end where what is cut had its lines to itself.

    Otherwise the cut would leave an empty line, which to TeX is a new paragraph.

    >>> whole_lines("a\n  CUT \nb", 4, 7), whole_lines("a CUT\nb", 2, 5)
    (9, 5)
    """
    pos = end
    while pos < len(text) and text[pos] in " \t":
        pos += 1
    if pos >= len(text) or text[pos] != "\n":
        return end
    before = start
    while before > 0 and text[before - 1] in " \t":
        before -= 1
    return pos + 1 if before == 0 or text[before - 1] == "\n" else end


def inline_end(text: str, command: str, pos: int) -> int:
    r"""Returns the end of a ``\verb|..|``, ``\lstinline..`` or ``\url{..}`` with arguments from ``pos``; -1 if none.

    All of them end on their own line, as TeX demands of ``\verb``.
    """
    limit = text.find("\n", pos, pos + _MAX_INLINE_CHARS)
    if limit < 0:
        limit = min(len(text), pos + _MAX_INLINE_CHARS)
    if command not in ("verb",):
        while pos < limit and text[pos] in " \t":
            pos += 1
    if command in ("lstinline", "mintinline", "path") and pos < limit and text[pos] == "[":
        pos = text.find("]", pos, limit) + 1
        if pos == 0:
            return -1
    if command == "mintinline":
        pos = group_end(text, pos, limit) if text.startswith("{", pos) else -1
        if pos < 0:
            return -1
    if command == "verb" and text.startswith("*", pos):
        pos += 1
    if pos >= limit:
        return -1
    if text[pos] == "{" and command != "verb":
        return group_end(text, pos, limit)
    if command in ("url", "nolinkurl", "href") or text[pos].isalpha() or text[pos].isspace():
        return -1
    return text.find(text[pos], pos + 1, limit) + 1 or -1


def declared_verbatim(text: str) -> tuple[frozenset[str], frozenset[str]]:
    r"""Returns (verbatim, removed) environments: the well-known ones and those that the source itself declares.

    >>> sorted(declared_verbatim(r"\lstnewenvironment{code}{}{} \excludecomment{long}")[0] - VERBATIM_ENVIRONMENTS)
    ['code']
    """
    verbatim, removed = set(VERBATIM_ENVIRONMENTS), set(REMOVED_ENVIRONMENTS)
    for match in _DECLARES_VERBATIM.finditer(text):
        if match[0].startswith("\\excludecomment"):
            removed.add(match[1])
        else:
            verbatim.add(match[1] or match[2] or f"{match[3]}code")
    return frozenset(verbatim), frozenset(removed)


def strip_comments(text: str) -> Code:
    r"""Removes every comment and seals what is verbatim.

    A comment on a line of its own goes with its line. A comment behind text goes from the ``%`` on; the line's end
    stays where there was anything after the ``%``, and goes, with the next line's indentation, where the ``%`` was
    bare, as in TeX; but never so that two words grow into one (TeX would: its authors then write a space first).

    >>> strip_comments("50\\% of it % no\n  % gone\nis \\verb|%| a%\n  \\b").text
    '50\\% of it \nis \x000\x00 a\\b'
    """
    return _Stripper(text).run()


class _Stripper:
    def __init__(self, text: str) -> None:
        self.text = text
        self.code = Code("")
        self.out: list[str] = []
        self.verbatim, self.removed = declared_verbatim(text)
        self.unclosed: set[str] = set()
        self.failures = 0

    def run(self) -> Code:
        text, out, pos = self.text, self.out, 0
        search = _TOKEN.search
        match = search(text, 0)
        while match is not None:
            environment, command = match.group(1, 2)
            start = match.start()
            if environment is not None:
                next_pos = self._environment(environment, pos, match)
            elif command is not None:
                next_pos = self._inline(command, pos, match)
            elif text[start] == "%":
                next_pos = self._comment(pos, start)
            else:
                next_pos = -1
            if next_pos < 0:  # nothing special: the token stays
                match = search(text, match.end())
                continue
            pos = next_pos
            match = search(text, pos)
        out.append(text[pos:])
        self.code.text = "".join(out)
        return self.code

    def _seal(self, piece: str) -> None:
        self.out.append(f"\x00{len(self.code.sealed)}\x00")
        self.code.sealed.append(piece)

    def _environment(self, name: str, pos: int, match: re.Match[str]) -> int:
        is_removed = name in self.removed
        if not (is_removed or name in self.verbatim) or name in self.unclosed:
            return -1
        end_mark = f"\\end{{{name}}}"
        end = self.text.find(end_mark, match.end())
        if end < 0:
            self.unclosed.add(name)
            return -1
        end += len(end_mark)
        start = match.start()
        self.out.append(self.text[pos:start])
        if not is_removed:
            self._seal(self.text[start:end])
            return end
        self.code.num_comments += 1
        return whole_lines(self.text, start, end)

    def _inline(self, command: str, pos: int, match: re.Match[str]) -> int:
        if self.failures > _MAX_FAILURES:
            return -1
        end = inline_end(self.text, command, match.end())
        if end < 0:
            self.failures += 1
            return -1
        start = match.start()
        if command in ("url", "nolinkurl", "href", "path") and "%" not in self.text[start:end]:
            return -1  # nothing in it that anyone could misread
        if "#" in self.text[start:end] and _PARAMETER.search(self.text, start, end):
            return -1  # the body of a macro, whose argument goes here
        self.out.append(self.text[pos:start])
        self._seal(self.text[start:end])
        return end

    def _comment(self, pos: int, start: int) -> int:
        text = self.text
        self.code.num_comments += 1
        line_end = text.find("\n", start)
        if line_end < 0:
            line_end = len(text)
        line_start = max(text.rfind("\n", 0, start) + 1, pos)
        before = text[line_start:start]
        if not before.strip() and (line_start == 0 or text[line_start - 1] == "\n"):
            self.out.append(text[pos:line_start])
            return min(line_end + 1, len(text))
        self.out.append(text[pos:start])
        if text[start + 1 : line_end].strip():
            return line_end
        return self._bare_end(start, line_end)

    def _bare_end(self, start: int, line_end: int) -> int:
        """A ``%`` with nothing behind it hides the line's end, unless a paragraph ends there or words would meet."""
        text = self.text
        next_pos = line_end + 1
        while next_pos < len(text) and text[next_pos] in " \t":
            next_pos += 1
        if next_pos >= len(text) or text[next_pos] == "\n":
            return line_end
        before, behind = text[start - 1], text[next_pos]
        if behind.isalnum() and (before.isalnum() or before in ".,;:!?)}*"):
            return line_end
        return next_pos
