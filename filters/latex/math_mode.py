r"""Tracks whether the output of the expansion ends inside a formula, in linear time.

The result is needed to expand ``\ensuremath`` and ``\ifmmode``. A formula never continues after an empty line. So if an
author or this module makes a mistake, the mistake has no effect after the end of the paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARK = re.compile(
    r"\$\$?|\\[()\[\]]|\\(begin|end)\s?\{(?:equation|eqnarray|align|alignat|flalign|gather|multline|math|displaymath|dmath"
    r"|xalignat|IEEEeqnarray|empheq|subeqnarray)\*?\}|\n[ \t]*\n|\\[^A-Za-z]",
    re.DOTALL,
)
_TEXT_IN_FORMULA = re.compile(r"\\(?:text(?:rm|it|bf|sf|normal)?|mbox|hbox|intertext|shortintertext)\s*\{[^{}$]*\Z")
_NEAR_CHARS = 200


class MathMode:
    r"""Tracks whether a growing output ends inside a formula. The output is a list of pieces.

    >>> MathMode().holds(["a $x + "]), MathMode().holds(["a $x$ "]), MathMode().holds([r"\[ x \text{ if "])
    (True, False, False)
    """

    __slots__ = ("_is_display", "_is_inline", "num_read")

    def __init__(self) -> None:
        self.num_read = 0
        self._is_inline = False
        self._is_display = False

    def state(self) -> tuple[int, bool, bool]:
        """Returns the current state, so that :meth:`restore` can go back to it."""
        return self.num_read, self._is_inline, self._is_display

    def restore(self, state: tuple[int, bool, bool]) -> None:
        """Goes back to an earlier state. The output must again contain exactly the pieces that it had in that state."""
        self.num_read, self._is_inline, self._is_display = state

    def holds(self, pieces: Sequence[str]) -> bool:
        """Returns True if text that is added after ``pieces`` would be in a formula.

        ``pieces`` contains all pieces of the output so far. This method reads only the pieces that were added since its
        previous call.
        """
        for piece in pieces[self.num_read :]:
            for match in _MARK.finditer(piece):
                self._pass(match[0], match[1])
        self.num_read = len(pieces)
        if not (self._is_inline or self._is_display):
            return False
        near = "".join(pieces[-8:])[-_NEAR_CHARS:]
        return _TEXT_IN_FORMULA.search(near) is None

    def _pass(self, mark: str, environment: str | None) -> None:
        if mark[0] == "$":
            if mark == "$$" and not self._is_inline:
                self._is_display = not self._is_display
            elif mark == "$":
                self._is_inline = not self._is_inline
        elif mark[0] == "\n":
            self._is_inline = self._is_display = False
        elif environment is not None:
            self._is_display = environment == "begin"
        elif mark in ("\\(", "\\)"):
            self._is_inline = mark == "\\("
        elif mark in ("\\[", "\\]"):
            self._is_display = mark == "\\["
