r"""What names mean where we read: definitions hold to the end of the group that they were made in.

Groups are only followed where a source defines something inside of one; else every definition holds from where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from filters.latex.macros import Environment, Macro

LOADS = ("\\usepackage", "\\RequirePackage", "\\documentclass", "\\documentstyle")
"""Commands that load a package, which may define a name that the source has freed."""
Meaning = Macro | Callable[[Any, int], bool]
"""A macro, or the handler of a command that the expansion carries out."""


class Scopes:
    """The meanings of names, undone as groups close."""

    def __init__(self, handlers: Mapping[str, Meaning], *, tracks_groups: bool) -> None:
        self.tracks_groups = tracks_groups
        self.meanings: dict[str, Meaning] = dict(handlers)
        self.environments: dict[str, Environment] = {}
        self.depth = 0
        self.undo: list[tuple[int, str, Meaning | None]] = []
        self.final_bodies: dict[str, str] = {}
        """Macros without parameters, by name, whose text holds nothing that has a meaning now."""

        self.own_names: set[str] = set()
        self.saved_names: set[str] = set()
        """Names whose meaning before the source's own definitions has another name (``\\let\\old\\x``) or is freed."""

    def open_group(self) -> None:
        """Begins a group, where anybody asks for groups."""
        self.depth += self.tracks_groups

    def close_group(self) -> None:
        r"""Undoes the group's definitions, but a ``\newcommand`` of a name that had no other meaning."""
        while self.undo and self.undo[-1][0] >= self.depth:
            _, name, old = self.undo.pop()
            self.final_bodies.clear()
            current = self.meanings.get(name)
            if old is not None:
                self.meanings[name] = old
            elif not (isinstance(current, Macro) and current.is_new):
                self.meanings.pop(name, None)
        if self.depth:
            self.depth -= 1

    def define(self, name: str, meaning: Meaning | None, *, is_global: bool = False) -> None:
        """Gives a name its meaning from here to the end of the group."""
        self.final_bodies.clear()
        if self.depth and not is_global:
            self.undo.append((self.depth, name, self.meanings.get(name)))
        if meaning is None:
            self.meanings.pop(name, None)
        else:
            self.meanings[name] = meaning
