r"""Reads the arguments of macros while macros are expanded.

When a macro is called, reading continues in the macro's text, which can call further macros. So the input is a stack of
frames. The lowest frame is the source, and each other frame is the text of a macro. When a frame ends, reading
continues in the frame below it. So the last command in a macro's text can take its argument from the text after the
call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from filters.latex.groups import group_end
from filters.latex.macros import (
    MAX_BODY_CHARS,
    Parameter,
    find_outside_groups,
    read_bracket,
    skip_space,
    starts_with_mark,
)

TOKEN = re.compile(r"\\([A-Za-z]+|[^A-Za-z])", re.DOTALL)
TOKEN_AT = re.compile(r"\\([A-Za-z@]+|[^A-Za-z@])", re.DOTALL)
_ARGUMENT_TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|\x00\d+\x00|.", re.DOTALL)
_ARGUMENT_TOKEN_AT = re.compile(r"\\(?:[A-Za-z@]+|.)|\x00\d+\x00|.", re.DOTALL)
_MAX_GLANCE_CHARS = 500
_NAME = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
Frame = tuple[str, int, re.Pattern[str], str]
"""A frame has four elements: a text, the position at which reading continues in this text, the pattern of its tokens,
and the name of the macro to which the text belongs.
"""


@dataclass(slots=True)
class MacroCall:
    """Describes a call of a macro that is in the source itself, not in another macro's text. Holds the call's position,
    and limits how much text the expansion may add.
    """

    name: str
    start: int
    end: int
    """The position after the macro's name. The arguments begin here and end at ``arguments_end``."""
    num_out: int
    num_expanded: int
    depth: int
    chars: int
    expansions: int
    arguments_end: int
    argument_names: frozenset[str] | None = None


class ArgumentReader:
    """Reads arguments from a stack of frames (the source, and the texts of macros inside each other).

    ``work_left`` is a budget for searches, in characters. Every search that fails reduces it. So the total time stays
    linear.
    """

    def __init__(self, text: str, *, work_chars: int) -> None:
        self.text, self.pos = text, 0
        self.token = self.plain = TOKEN
        self.with_at = TOKEN_AT
        self.stack: list[Frame] = []
        self.work_left = work_chars
        self.frame_name = ""
        self.call = MacroCall("", 0, 0, 0, 0, 0, 0, 0, 0)

    @property
    def has_at(self) -> bool:
        r"""True if ``@`` counts as a letter at the current position."""
        return self.token is self.with_at

    def pop(self) -> None:
        """Ends the current frame and continues in the frame below."""
        self.text, self.pos, self.token, self.frame_name = self.stack.pop()

    def stands_in_argument(self, name: str) -> bool:
        """Returns True if the command ``name`` is in the arguments of the macro call in progress.

        The arguments are searched as they are in the source, before expansion.
        """
        call = self.call
        if call.argument_names is None:
            base = self.stack[0][0] if self.stack else self.text
            self.work_left -= call.arguments_end - call.end
            call.argument_names = frozenset(_NAME.findall(base, call.end, call.arguments_end))
        return name in call.argument_names

    def read_arguments(self, parameters: tuple[Parameter, ...]) -> list[str] | None:
        """Returns one argument per parameter, or None if an argument is missing.

        If an argument is missing, ``self.pos`` is after the last argument that was read.
        """
        arguments: list[str] = []
        for parameter in parameters:
            argument = self.read_token_or_group() if parameter.kind == "m" else self._read_argument(parameter)
            if argument is None:
                return None
            if parameter.kind != "l":
                arguments.append(argument)
            self.work_left -= len(argument)
        if not self.stack:
            num_chars = sum(map(len, arguments))
            self.call.chars += 16 * num_chars
            self.call.expansions += num_chars
            self.call.arguments_end = self.pos
        return arguments

    def charge_scan(self, pos: int) -> None:
        """Reduces ``work_left``, the budget for searches, after a search from ``pos`` that found nothing. The cost is
        the number of characters after ``pos``, at most ``MAX_BODY_CHARS``."""
        self.work_left -= min(MAX_BODY_CHARS, len(self.text) - pos)

    def _next(self) -> int:
        """Skips white space, and returns the position of the next token. If a frame (a macro's text) ends, reading
        continues in the frame below."""
        while True:
            pos = skip_space(self.text, self.pos)
            if pos < len(self.text) or not self.stack:
                return pos
            self.pop()

    def peek(self) -> str:
        """Returns the next characters, at most 20, including white space. They come from the highest frame that has
        characters left.
        """
        if self.pos < len(self.text):
            return self.text[self.pos : self.pos + 20]
        return next((text[pos : pos + 20] for text, pos, *_ in reversed(self.stack) if pos < len(text)), "")

    def _read_argument(self, parameter: Parameter) -> str | None:
        kind = parameter.kind
        if kind == "u":
            return self._read_delimited(parameter.closes)
        pos = self._next()
        if kind == "l":
            mark = parameter.opens.strip()
            if not starts_with_mark(self.text, mark, pos):
                return None
            self.pos = pos + len(mark)
            return ""
        if kind == "s":
            if not starts_with_mark(self.text, parameter.opens, pos):
                return r"\BooleanFalse"
            self.pos = pos + len(parameter.opens)
            return r"\BooleanTrue"
        found = read_bracket(self.text, pos, parameter.opens, parameter.closes)
        if found is None:
            self.charge_scan(pos if self.text.startswith(parameter.opens, pos) else len(self.text))
            return parameter.default
        self.pos = found[1]
        return found[0]

    def read_token_or_group(self) -> str | None:
        """Returns the next undelimited argument as TeX reads it: the content of a group in braces, or a token. Returns
        None if there is no such argument."""
        pos, text = self.pos, self.text
        if not text.startswith("{", pos):
            pos, text = self._next(), self.text  # _next() may have switched to the frame below
        if pos >= len(text) or text[pos] == "}":
            return None
        if text[pos] == "{":
            end = text.find("}", pos, pos + _MAX_GLANCE_CHARS)
            if end >= 0 and "{" not in (inner := text[pos + 1 : end]) and not inner.endswith("\\"):
                self.pos = end + 1
                return inner
            end = group_end(text, pos, pos + MAX_BODY_CHARS)
            if end < 0:
                self.charge_scan(pos)
                return None
            self.pos = end
            return text[pos + 1 : end - 1]
        if text[pos] == "\n":  # an empty line is the token \par
            self.pos = skip_space(text, pos, over_paragraphs=True)
            return "\n\n"
        match = (_ARGUMENT_TOKEN_AT if self.has_at else _ARGUMENT_TOKEN).match(text, pos)
        assert match is not None, "the pattern takes any character"
        self.pos = match.end()
        return match[0]

    def _read_delimited(self, mark: str) -> str | None:
        text, pos = self.text, self.pos
        limit = min(len(text), pos + MAX_BODY_CHARS)
        end = find_outside_groups(text, mark, pos, limit)
        if end < 0 and mark != mark.strip():
            mark = mark.strip()
            end = find_outside_groups(text, mark, pos, limit)
        if end < 0:
            self.charge_scan(pos)
            return None
        self.pos = end + len(mark)
        argument = text[pos:end].strip()
        if argument.startswith("{") and group_end(argument, 0) == len(argument):
            return argument[1:-1]
        return argument
