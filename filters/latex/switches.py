r"""Handles the named switches (true or false) of the packages etoolbox and ifthen: ``\newbool``, ``\booltrue``,
``\ifbool``, ``\iftoggle``.
"""

from __future__ import annotations

import re

from filters.latex.expand import Expander, Handler
from filters.latex.groups import whole_lines
from filters.latex.macros import Parameter

_SWITCH_NAME = re.compile(r"\s*\{\s*([^{}\\\s]{1,60})\s*\}")
_SWITCH_VALUE = re.compile(r"\s*\{\s*(true|false)\s*\}")


def _declare_switch(expander: Expander, start: int) -> bool:
    match = _SWITCH_NAME.match(expander.text, expander.pos)
    if match is None:
        return False
    expander.switches.setdefault(match[1], False)
    expander.pos = whole_lines(expander.text, start, match.end())
    return True


def _set_switch(value: bool | None) -> Handler:
    """Returns a handler that sets a switch to ``value``. If ``value`` is None, the handler reads the value from the
    text after the switch's name."""

    def handle(expander: Expander, start: int) -> bool:
        match = _SWITCH_NAME.match(expander.text, expander.pos)
        if match is None or match[1] not in expander.switches:
            return False
        given = _SWITCH_VALUE.match(expander.text, match.end()) if value is None else None
        if value is None and given is None:
            return False
        expander.switches[match[1]] = given[1] == "true" if given is not None else bool(value)
        expander.pos = whole_lines(expander.text, start, match.end() if given is None else given.end())
        return True

    return handle


def _if_switch(*, is_negated: bool) -> Handler:
    def handle(expander: Expander, start: int) -> bool:
        match = _SWITCH_NAME.match(expander.text, expander.pos)
        if match is None or match[1] not in expander.switches or expander.work_left < 0:
            return False
        outside = expander.outside(start)
        expander.pos = match.end()
        arguments = expander.read_arguments((Parameter("m"),) * 2)
        if arguments is None:
            return expander.unreadable(outside)
        holds = expander.switches[match[1]] != is_negated
        expander.branch(arguments[0] if holds else arguments[1], has_at=expander.has_at, outside=outside)
        return True

    return handle


SWITCHES: dict[str, Handler] = {
    **dict.fromkeys(("newbool", "providebool", "newtoggle", "providetoggle", "newboolean"), _declare_switch),
    **dict.fromkeys(("setbool", "settoggle", "setboolean"), _set_switch(None)),
    **dict.fromkeys(("booltrue", "toggletrue"), _set_switch(True)),
    **dict.fromkeys(("boolfalse", "togglefalse"), _set_switch(False)),
    **dict.fromkeys(("ifbool", "iftoggle"), _if_switch(is_negated=False)),
    **dict.fromkeys(("notbool", "nottoggle"), _if_switch(is_negated=True)),
}
"""Maps the commands that declare, set and test switches to their handlers."""
