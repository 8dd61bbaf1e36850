r"""Expands macros as TeX does: reads a macro's text in place of its call. Reads the source once, from left to right.

Therefore a definition is valid from its position to the end of its group. The last macro in a macro's text can take its
arguments from the text after the call. In TeX an expansion can be endless, so this module limits each call. A call is
given up if it grows too much, loops, or needs commands that only TeX can execute. The output then contains the call
unchanged, and the call is counted. All work is charged to a budget that grows with the text, so the time is linear.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from filters.latex import limits
from filters.latex.arguments import TOKEN, TOKEN_AT, ArgumentReader, Frame, MacroCall
from filters.latex.groups import group_end, whole_lines
from filters.latex.macros import Environment, Macro
from filters.latex.math_mode import MathMode
from filters.latex.scopes import LOADS, Scopes
from filters.latex.writer import Writer

_NAME = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)

_TOKEN_GROUPS = re.compile(r"\\([A-Za-z]+|[^A-Za-z])|[{}]", re.DOTALL)
_TOKEN_GROUPS_AT = re.compile(r"\\([A-Za-z@]+|[^A-Za-z@])|[{}]", re.DOTALL)
_ONE_TOKEN = re.compile(r"\s*(?:\\[A-Za-z]+|\\?.)?\s*\Z", re.DOTALL)


@dataclass(slots=True)
class Expanded:
    """Holds the expanded text, and the numbers of calls that were expanded (``num_expanded``) and given up."""

    text: str
    num_expanded: int = 0
    num_left: int = 0
    own_names: frozenset[str] = frozenset()
    """Names that the source defines, except ``saved_names``: the text can use these in their original meaning."""


Handler = Callable[["Expander", int], bool]
"""A function called after a command's name was read. It returns False to leave the command unchanged in the output."""


class Expander(ArgumentReader, Scopes, Writer):
    """Expands one document. ``handlers`` implement the commands that TeX itself carries out (definitions, tests)."""

    def __init__(self, text: str, handlers: dict[str, Handler], *, tracks_groups: bool) -> None:
        ArgumentReader.__init__(self, text, work_chars=limits.WORK_CHARS_BASE + limits.WORK_PER_CHAR * len(text))
        Scopes.__init__(self, handlers, tracks_groups=tracks_groups)
        Writer.__init__(self)
        self.plain = _TOKEN_GROUPS if tracks_groups else TOKEN
        self.with_at = _TOKEN_GROUPS_AT if tracks_groups else TOKEN_AT
        self.token = self.plain
        self.environment_arguments: dict[str, list[list[str]]] = {}
        self.result = Expanded("")
        self.failures: dict[str, int] = {}
        self.branches: list[Frame] = []
        """For each open branch of a test outside of all macros, the place at which reading continues after it."""
        self.switches: dict[str, bool] = {}
        """The value of each switch that the source declares with etoolbox or ifthen. The key is the switch's name."""
        self.is_global = False
        self.last_load = max(text.rfind(command) for command in LOADS)
        self.math = MathMode()
        self.math_before = self.math.state()

    def loads_after(self, pos: int) -> bool:
        """Returns True if the source loads a package after ``pos``.

        If ``pos`` is in a macro's text, returns True if the source loads a package after the call of the macro.
        """
        return self.last_load >= 0 and (self.stack[0][1] if self.stack else pos) <= self.last_load

    def run(self) -> Expanded:
        """Expands the whole text."""
        while True:
            self._scan()
            if self.stack:
                self.pop()
            elif self.branches:
                self.text, self.pos, self.token, self.frame_name = self.branches.pop()
            else:
                break
        self.result.text = "".join(self.out)
        self.result.own_names = frozenset(self.own_names - self.saved_names)
        return self.result

    def _scan(self) -> None:
        """Copies the rest of the current frame to the output. Stops if a macro or handler changes the input."""
        while True:
            text, start, get = self.text, self.pos, self.meanings.get
            for match in self.token.finditer(text, start):
                name = match[1]
                if name is None:
                    if match[0] == "{":
                        self.depth += 1
                    else:
                        self.close_group()
                    continue
                meaning = get(name)
                if meaning is None:
                    if "@" in name and self.stack and len(name) > 1:
                        self.give_up()
                        break
                    continue
                token_start = match.start()
                self.emit(text[start:token_start])
                start, self.pos = token_start, match.end()
                if isinstance(meaning, Macro):
                    final = self.final_bodies.get(name)
                    if final is not None and not self.is_argument() and self._has_budget(len(final)):
                        self.emit(final)
                        start = self.behind_empty_group(text, match.end(), final)
                        continue
                    self._call(name, meaning, token_start)
                    break
                if meaning(self, token_start):
                    break
            else:
                self.emit(text[start:])
                self.pos = len(text)
                return

    # Calls ----------------------------------------------------------------------------------------------------

    def _call(self, name: str, macro: Macro, start: int) -> None:
        is_nested = self._open_call(name, start, self.pos)
        if self.work_left < 0:
            self._stop_expanding()
            return
        if macro.is_primitive:
            self.result.num_expanded += 1
            self.emit("".join(str(part) for part in macro.body))
            return
        is_one = self.is_argument()
        arguments = self.read_arguments(macro.parameters) if macro.parameters else []
        if arguments is None:
            if is_nested:
                self.give_up(culprit=name)
            else:
                self.pos = self.call.end
                self._leave(name)
            return
        filled = macro.fill(arguments)
        if not macro.parameters:
            self.pos = self.behind_empty_group(self.text, self.pos, filled)
            if not is_one and not macro.has_at and self._is_final(filled):
                self.final_bodies[name] = filled
        self.push(filled, macro, name, is_one=is_one)

    def _has_budget(self, num_chars: int) -> bool:
        """Charges ``num_chars`` to the budgets of the document and the call. Returns False if either is spent."""
        self.work_left -= num_chars + limits.PUSH_COST_CHARS
        if self.stack:
            self.call.chars -= num_chars
            self.call.expansions -= 1
            if self.call.chars < 0 or self.call.expansions < 0:
                return False
        self.result.num_expanded += self.work_left >= 0
        return self.work_left >= 0

    def _open_call(self, name: str, start: int, end: int) -> bool:
        """Begins a call if none is in progress. Returns True if the new call is inside another call."""
        if self.stack:
            return True
        self.math_before = self.math.state()
        self.call = MacroCall(
            name=name, start=start, end=end, num_out=len(self.out), num_expanded=self.result.num_expanded,
            depth=self.depth, chars=limits.MAX_CALL_CHARS, expansions=limits.MAX_CALL_EXPANSIONS, arguments_end=end,
        )  # fmt: skip
        return False

    def call_environment(self, name: str, environment: Environment, end: int) -> bool:
        r"""Expands ``\begin{name}`` with its arguments, which begin at ``end``."""
        call_name = f"begin{{{name}}}"
        if self.meanings.get(call_name) is leave_macro:
            return False
        is_nested = self._open_call(call_name, self.pos, end)
        begin, self.pos = self.pos, end
        arguments = self.read_arguments(environment.begins.parameters)
        if arguments is None:
            if is_nested:
                self.give_up()
                return True
            self.pos = begin
            return False
        self.open_group()
        self.environment_arguments.setdefault(name, []).append(arguments)
        self.push(environment.begins.fill(arguments), environment.begins, name)
        return True

    def end_environment(self, name: str, environment: Environment, end: int) -> bool:
        r"""Expands ``\end{name}`` with the arguments of the matching ``\begin{name}``."""
        self._open_call(f"end{{{name}}}", self.pos, end)
        self.pos = end
        arguments = self.environment_arguments[name].pop()
        self.push(environment.ends.fill(arguments), environment.ends, name)
        if self.tracks_groups:
            self.close_group()
        return True

    def set_at_letter(self, is_letter: bool) -> None:
        r"""Handles ``\makeatletter`` and ``\makeatother``. Ignores them inside a macro's text."""
        if not self.stack:
            self.token = self.with_at if is_letter else self.plain

    def _leave(self, name: str) -> None:
        self.emit("\\" + name)
        self.result.num_left += 1

    def outside(self, start: int) -> int | None:
        """Returns ``start``, the position of a command, if the command is outside of all macros. Returns None if the
        command is in a macro's text.

        Call this method before the command's arguments are read. If the last argument comes from the source after the
        macro's text, the command would later seem to be outside of all macros.
        """
        return None if self.stack else start

    def unreadable(self, outside: int | None = None) -> bool:
        """Gives up the macro call in progress, because the macro's text has a test that cannot be read. Returns True.

        If ``outside`` is given, the test is outside of all macros. Then nothing is given up, and False is returned.
        """
        if outside is not None:
            return False
        self.give_up()
        return True

    def branch(self, text: str, *, has_at: bool, outside: int | None = None) -> None:
        """Continues reading with ``text``, the branch that a test has chosen.

        ``outside`` is the start of the test if the test is outside of all macros (see :meth:`outside`). The branch is
        then read like text of the source itself. If the branch is empty and the test fills whole lines, these lines are
        removed.
        """
        if outside is None:
            self.result.num_expanded -= 1
            self.push(text, Macro(has_at=has_at), self.frame_name)
            return
        if not text.strip():
            self.pos = whole_lines(self.text, outside, self.pos)
        self.work_left -= len(text) + limits.PUSH_COST_CHARS
        self.branches.append((self.text, self.pos, self.token, ""))
        self.text, self.pos = text, 0

    def push(self, filled: str, macro: Macro, name: str, *, is_one: bool = False) -> None:
        """Continues reading with ``filled``, a macro's text.

        ``is_one`` is True if the macro is the whole argument of the preceding command. Then a text of several tokens is
        put into braces, so that it stays one argument.
        """
        call = self.call
        self.result.num_expanded += 1
        cost = len(filled) + limits.PUSH_COST_CHARS
        self.work_left -= cost
        call.chars -= len(filled)
        call.expansions -= 1
        while self.stack and self.pos >= len(self.text):
            self.pop()
        if call.chars < 0 or call.expansions < 0 or len(self.stack) >= limits.MAX_DEPTH:
            self.give_up(for_good=True)
            return
        if self.work_left < 0:
            self._stop_expanding()
            return
        if is_one and not (_ONE_TOKEN.match(filled) or (filled[0] == "{" and group_end(filled, 0) == len(filled))):
            self.emit("{")
            filled += "}"
        if not macro.has_at and self._is_final(filled):
            self.emit(filled)
            return
        token = self.with_at if macro.has_at else self.plain
        self.stack.append((self.text, self.pos, self.token, self.frame_name))
        self.text, self.pos, self.token, self.frame_name = filled, 0, token, name

    def _stop_expanding(self) -> None:
        """Leaves all further macros unexpanded. This method is called when the document's budget is spent."""
        self.give_up(for_good=True)
        for name, meaning in self.meanings.items():
            if isinstance(meaning, Macro):
                self.meanings[name] = leave_macro
        self.final_bodies.clear()
        self.environments.clear()

    def _is_final(self, text: str) -> bool:
        """Returns True if the text has no command that the expansion handles. Such a text need not be read again."""
        if "\\" not in text:
            return True
        return len(text) < limits.MAX_GLANCE_CHARS and self.meanings.keys().isdisjoint(_NAME.findall(text))

    def give_up(self, *, for_good: bool = False, culprit: str = "") -> None:
        """Gives up the macro call in progress, and removes its output.

        ``culprit`` is the command that cannot be expanded. By default, it is the macro whose text is being read.

        If ``culprit`` is another command that the arguments of the call contain, the call is expanded again. From now
        on, ``culprit`` is not expanded. This is not done for the beginning of an environment, or with ``for_good``.

        In all other cases the call has failed: the macro's name is written as in the source. After three failures, or
        one failure with ``for_good``, the macro is not expanded again.
        """
        call = self.call
        culprit = culprit or self.frame_name
        if self.stack:
            self.text, _, self.token, self.frame_name = self.stack[0]
            self.stack.clear()
        del self.out[call.num_out :]
        if self.math.num_read > call.num_out:
            self.math.restore(self.math_before)
        while self.depth > call.depth:
            self.close_group()
        self.depth = call.depth
        self.result.num_expanded = call.num_expanded
        if call.name.startswith("begin{"):
            self.environment_arguments[call.name[6:-1]].pop()
        elif not for_good and culprit != call.name and self.stands_in_argument(culprit):
            self.define(culprit, leave_macro)
            self.pos = call.start
            return
        self.pos = call.end
        self._leave(call.name)
        self.failures[call.name] = self.failures.get(call.name, 0) + (limits.MAX_FAILURES if for_good else 1)
        if self.failures[call.name] >= limits.MAX_FAILURES:
            self.define(call.name, leave_macro)


def leave_macro(expander: Expander, start: int) -> bool:
    """Handles a command that must not be expanded: leaves it unchanged in the output, and counts it.

    If the command comes from a macro's text, and not from the arguments of the macro's call, that call is given up
    instead.
    """
    name = expander.text[start + 1 : expander.pos]
    if expander.stack and not expander.stands_in_argument(name):
        expander.give_up()
        return True
    expander.result.num_left += 1
    return False
