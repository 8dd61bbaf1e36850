r"""Executes loops that define a macro per item: ``\@for``, ``\@tfor``, ``\foreach``, ``\docsvlist``, ``\forcsvlist``.

A loop is executed only if its text defines something. Other loops draw figures and stay unchanged.
"""

from __future__ import annotations

import re

from filters.latex.expand import Expander, Handler
from filters.latex.macros import Macro, read_group, skip_space

MAX_ITEMS = 1_000
"""Maximum number of turns of one loop. Our choice: loops that define macros have one turn per letter of the alphabet,
52 at most."""
_FOR = re.compile(r"\s*\\([A-Za-z@]+)\s*:=\s*")
_FOREACH = re.compile(r"\s*\\([A-Za-z@]+)\s+in\s*")
_DEFINES = re.compile(
    r"\\(?:[gex]?def|let|(?:new|renew|provide)command|DeclareMathOperator|@namedef|csdef)(?![A-Za-z])"
)
_DO = re.compile(r"\\do(?![A-Za-z@])\s*")
_RANGE = re.compile(r"\s*([A-Za-z]|-?\d{1,4})\s*\Z")


def _items(source: str) -> list[str]:
    """Returns the items of a comma-separated list. ``a,...,e`` and ``1,2,...,5`` are expanded as ranges."""
    parts = [part.strip() for part in source.split(",")]
    found: list[str] = []
    for index, part in enumerate(parts):
        if part != "..." or not found or index + 1 >= len(parts):
            found.append(part)
            continue
        first, last = _RANGE.match(found[-1]), _RANGE.match(parts[index + 1])
        if first is None or last is None:
            continue
        if first[1].isalpha() and last[1].isalpha():
            found += [chr(code) for code in range(ord(first[1]) + 1, ord(last[1]))]
        elif not first[1].isalpha() and not last[1].isalpha():
            found += [str(number) for number in range(int(first[1]) + 1, min(int(last[1]), int(first[1]) + MAX_ITEMS))]
    return found


def _turn(expander: Expander, name: str, items: list[str], body: str, outside: int | None) -> bool:
    """Queues copies of the loop's body, one per item. The expander reads these copies next.

    Returns False if the loop stays unchanged.
    """
    num_chars = len(items) * (len(body) + 10)
    if len(items) > MAX_ITEMS or _DEFINES.search(body) is None or num_chars > expander.work_left:
        return False
    expander.work_left -= num_chars
    pattern = re.compile(rf"\\{re.escape(name)}(?![A-Za-z@])[ ]?")
    turns = [pattern.sub(item.replace("\\", "\\\\"), body) for item in items]
    expander.branch("".join(turns), has_at=True, outside=outside)
    return True


def _for(*, by_token: bool) -> Handler:
    def handle(expander: Expander, start: int) -> bool:
        text, outside = expander.text, None if expander.stack else start
        named = _FOR.match(text, expander.pos)
        if named is None:
            return False
        do = _DO.search(text, named.end(), named.end() + 2000)
        body = None if do is None else read_group(text, do.end())
        if do is None or body is None:
            expander.charge_scan(named.end())
            return False
        source = text[named.end() : do.start()].strip()
        if source.startswith("{") and source.endswith("}"):
            source = source[1:-1]
        items = re.findall(r"\\[A-Za-z@]+|\S", source) if by_token else _items(source)
        before, expander.pos = expander.pos, body[1]
        if _turn(expander, named[1], items, body[0], outside):
            return True
        expander.pos = before
        return False

    return handle


def _foreach(expander: Expander, start: int) -> bool:
    text, outside = expander.text, None if expander.stack else start
    named = _FOREACH.match(text, expander.pos)
    items = None if named is None else read_group(text, named.end())
    body = None if items is None else read_group(text, items[1])
    if named is None or items is None or body is None:
        return False
    before, expander.pos = expander.pos, body[1]
    if _turn(expander, named[1], _items(items[0]), body[0], outside):
        return True
    expander.pos = before
    return False


def _do_list(*, has_command: bool) -> Handler:
    r"""Returns a handler for ``\docsvlist`` or ``\forcsvlist``. For example, ``\docsvlist{a,b}`` becomes
    ``\do{a}\do{b}``."""

    def handle(expander: Expander, start: int) -> bool:
        text, outside, pos = expander.text, None if expander.stack else start, expander.pos
        command = "\\do"
        if has_command:
            group = read_group(text, pos)
            if group is None:
                match = re.compile(r"\s*(\\[A-Za-z@]+)").match(text, pos)
                group = None if match is None else (match[1], match.end())
            if group is None:
                return False
            command, pos = group[0].strip(), group[1]
        if not isinstance(expander.meanings.get(command[1:]), Macro):
            return False
        listed = read_group(text, skip_space(text, pos))
        if listed is None:
            return False
        items = [item for item in _items(listed[0]) if item]
        num_chars = sum(map(len, items)) + len(items) * (len(command) + 2)
        if len(items) > MAX_ITEMS or num_chars > expander.work_left:
            return False
        expander.work_left -= num_chars
        expander.pos = listed[1]
        expander.branch("".join(f"{command}{{{item}}}" for item in items), has_at=True, outside=outside)
        return True

    return handle


LOOPS: dict[str, Handler] = {
    "@for": _for(by_token=False),
    "@tfor": _for(by_token=True),
    "foreach": _foreach,
    "docsvlist": _do_list(has_command=False),
    "forcsvlist": _do_list(has_command=True),
}
"""Maps the names of loops to their handlers."""
