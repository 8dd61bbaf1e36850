r"""Stores the current meanings of names while a source is read. A definition is valid to the end of its group.

Groups are tracked only if a source defines something inside a group. Otherwise every definition is valid to the end of
the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from filters.latex.macros import Environment, Macro

LOADS = ("\\usepackage", "\\RequirePackage", "\\documentclass", "\\documentstyle")
"""Commands that load a package or class. If the source has freed a name by ``\\let\\x\\relax`` (removed its meaning), a
package that is loaded later can define this name.
"""
Meaning = Macro | Callable[[Any, int], bool]
"""A macro, or the handler of a command that the expansion executes."""


class Scopes:
    """Holds the current meanings of names. Closing a group restores the meanings that were valid before the group."""

    def __init__(self, handlers: Mapping[str, Meaning], *, tracks_groups: bool) -> None:
        self.tracks_groups = tracks_groups
        self.meanings: dict[str, Meaning] = dict(handlers)
        self.environments: dict[str, Environment] = {}
        self.depth = 0
        self.undo: list[tuple[int, str, Meaning | None]] = []
        self.final_bodies: dict[str, str] = {}
        """Texts of macros that have no parameters and need no further expansion, by name."""

        self.own_names: set[str] = set()
        self.saved_names: set[str] = set()
        """Names that the text may use in their original meaning, although the source defines them. Either the source
        saved the original meaning before it redefined the name (``\\let\\old\\x``), or it freed the name (see
        ``LOADS``).
        """

    def open_group(self) -> None:
        """Begins a group, if groups are tracked."""
        self.depth += self.tracks_groups

    def close_group(self) -> None:
        r"""Ends the current group, and restores the meanings that its definitions replaced.

        If ``\newcommand`` defined a name in the group that had no meaning before, this definition stays valid.
        """
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
        """Gives a name its meaning from this position to the end of the group. If ``meaning`` is None, removes the
        name's meaning.
        """
        self.final_bodies.clear()
        if self.depth and not is_global:
            self.undo.append((self.depth, name, self.meanings.get(name)))
        if meaning is None:
            self.meanings.pop(name, None)
        else:
            self.meanings[name] = meaning
