r"""Separates LaTeX code from comments and from verbatim text, before all other passes.

One pass over the source removes comments. Some text must not be read as LaTeX (``verbatim``, listings, ``\verb``, a URL
with a percent sign). The pass seals such text: it replaces the text by a placeholder. So every later pass sees only
code. TeX's own rules apply: ``\%`` does not begin a comment, and a ``%`` inside sealed text does not either. The time
is linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from filters.latex.groups import join_pieces, whole_lines
from filters.latex.verbatim import SHORT_VERB, Verbatim, declared_verbatim, inline_end, mark_end

_PARAMETER = re.compile(r"#[1-9]")
_MAX_FAILURES = 1000
r"""After this many ``\url{`` without a closing brace, further occurrences are not examined, so that the time stays
linear on hostile lines.
"""

SEAL = re.compile(r"\x00(\d+)\x00")
"""Matches the placeholder of text that was set aside. TeX ignores NUL, and normalised sources contain no NUL."""


@dataclass(slots=True)
class Code:
    """Holds LaTeX without comments. ``NUL i NUL`` in the text is the placeholder of ``sealed[i]``."""

    text: str
    sealed: list[str] = field(default_factory=list)
    num_comments: int = 0

    def unseal(self, text: str) -> str:
        """Replaces each placeholder in a text by its verbatim text. A placeholder can occur several times or not at
        all, because the expansion of macros copies and drops text.
        """
        if "\x00" not in text:
            return text
        return SEAL.sub(lambda match: self.sealed[int(match[1])], text)


def token_pattern(verbatim: Verbatim) -> re.Pattern[str]:
    r"""Returns a pattern that matches escaped characters, and the beginnings of comments and of verbatim text.

    Groups: ``environment``, ``command``, ``comment`` (a bare ``\comment``), ``short`` (``\DefineShortVerb`` and
    similar) and ``mark`` (a character that the source makes a delimiter).
    """
    commands = "|".join(sorted(map(re.escape, verbatim.commands | verbatim.urls), key=len, reverse=True))
    marks = "".join(re.escape(mark) for mark in sorted(verbatim.marks))
    short = r"(?P<short>(?:Define|Make|MakeSpecial|lstMake|Undefine|Delete|lstDelete)Short)|" if marks else ""
    return re.compile(
        r"%|\\(?:begin\s?\{\s*(?P<environment>[A-Za-z]+\*?)\s*\}"
        rf"|{short}(?P<command>{commands})(?![A-Za-z@])|(?P<comment>comment)(?![A-Za-z@])|[^A-Za-z])"
        + (rf"|(?P<mark>[{marks}])" if marks else ""),
        re.DOTALL,
    )


def strip_comments(text: str) -> Code:
    r"""Removes every comment and seals verbatim text.

    A comment on a line of its own is removed with its line. A comment after code is removed from the ``%`` on. The
    line's end stays if the comment has words. After a bare ``%`` (a comment without words), the line's end and the next
    line's indentation are removed, as in TeX. There is one exception: if this would join two words, the line's end
    stays (TeX would join the words).

    >>> strip_comments("50\\% of it % no\n  % gone\nis \\verb|%| a%\n  \\b").text
    '50\\% of it \nis \x000\x00 a\\b'
    """
    return _Stripper(text).run()


class _Stripper:
    def __init__(self, text: str) -> None:
        self.text = text
        self.code = Code("")
        self.out: list[str] = []
        self.verbatim = declared_verbatim(text)
        self.own_commands = self.verbatim.own_commands
        self.active_marks: set[str] = set()
        self.unclosed: set[str] = set()
        self.num_failures = 0

    def run(self) -> Code:
        text, out, pos = self.text, self.out, 0
        search = token_pattern(self.verbatim).search
        special = self.verbatim.environments | self.verbatim.removed
        match = search(text, 0)
        while match is not None:
            start, go_on = match.span()
            kind = match.lastgroup
            if kind is not None:
                is_plain = kind == "environment" and match[kind] not in special
                next_pos = -1 if is_plain else self._verbatim(kind, pos, match)
            else:
                next_pos = self._comment(pos, start) if text[start] == "%" else -1
            if next_pos >= 0:
                pos = go_on = next_pos
            match = search(text, go_on)
        out.append(text[pos:])
        self.code.text = join_pieces(out)
        return self.code

    def _verbatim(self, kind: str, pos: int, match: re.Match[str]) -> int:
        """Removes the text that begins at ``match``, seals it (puts a placeholder in its place), or leaves it.

        Returns the end of the text that was removed or sealed; -1 if it was left.
        """
        if kind == "environment":
            return self._environment(match[kind], pos, match)
        if kind == "command":
            return self._inline(match[kind], pos, match)
        if kind == "comment":
            return self._comment_command(pos, match)
        if kind == "short":
            return self._set_mark(pos, match.start())
        return self._mark(pos, match.start())

    def _seal(self, piece: str) -> None:
        self.out.append(f"\x00{len(self.code.sealed)}\x00")
        self.code.sealed.append(piece)

    def _environment(self, name: str, pos: int, match: re.Match[str]) -> int:
        is_removed = name in self.verbatim.removed
        if not (is_removed or name in self.verbatim.environments) or name in self.unclosed:
            return -1
        end_mark = f"\\end{{{name}}}"
        end = self.text.find(end_mark, match.end())
        if end < 0:
            self.unclosed.add(name)
            return -1
        if self.text[end - 1] == "{" or self.text.startswith("}", match.end()):
            return -1  # inside the begin or end text of another environment's definition
        end += len(end_mark)
        start = match.start()
        self.out.append(self.text[pos:start])
        if not is_removed:
            self._seal(self.text[start:end])
            return end
        self.code.num_comments += 1
        return whole_lines(self.text, start, end)

    def _comment_command(self, pos: int, match: re.Match[str]) -> int:
        r"""Removes a bare ``\comment ... \endcomment``, as in plain TeX and AMSTeX. Returns the position where the text
        continues, or -1 if the comment stays."""
        text, start, end = self.text, *match.span()
        if "comment" in self.unclosed or "comment" not in self.verbatim.removed:
            return -1
        ahead = text[end : end + 20].lstrip()[:1]
        if ahead in ("{", "}", "[") or text[start - 1 : start] == "{":
            return -1  # the author's own macro, or a definition
        close = text.find("\\endcomment", end)
        if close < 0:
            self.unclosed.add("comment")
            return -1
        self.out.append(text[pos:start])
        self.code.num_comments += 1
        return whole_lines(text, start, close + len("\\endcomment"))

    def _inline(self, command: str, pos: int, match: re.Match[str]) -> int:
        if self.num_failures > _MAX_FAILURES:
            return -1
        end = inline_end(self.text, command, match.end())
        if end < 0:
            self.num_failures += 1
            return -1
        start = match.end() if command in self.own_commands else match.start()
        if command in self.verbatim.urls and "%" not in self.text[start:end]:
            return -1  # a URL without % needs no seal
        if "#" in self.text[start:end] and _PARAMETER.search(self.text, start, end):
            return -1  # the text of a macro, which contains a parameter
        self.out.append(self.text[pos:start])
        self._seal(self.text[start:end])
        return end

    def _set_mark(self, pos: int, start: int) -> int:
        match = SHORT_VERB.match(self.text, start)
        if match is None:
            return -1
        if match[1].startswith(("Undefine", "Delete", "lstDelete")):
            self.active_marks.discard(match[2])
        else:
            self.active_marks.add(match[2])
        self.out.append(self.text[pos : match.end()])
        return match.end()

    def _mark(self, pos: int, start: int) -> int:
        end = mark_end(self.text, start) if self.text[start] in self.active_marks else -1
        if end < 0:
            return -1
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
        """Returns the position where the text continues after a bare ``%`` (a comment without words). A bare ``%``
        removes the line's end.

        The line's end stays in two cases: if a paragraph ends there, or if two words would be joined.
        """
        text = self.text
        next_pos = line_end + 1
        while next_pos < len(text) and text[next_pos] in " \t":
            next_pos += 1
        if next_pos >= len(text) or text[next_pos] == "\n":
            return line_end
        before, after = text[start - 1], text[next_pos]
        if after.isalnum() and (before.isalnum() or before in ".,;:!?)}*"):
            return line_end
        return next_pos
