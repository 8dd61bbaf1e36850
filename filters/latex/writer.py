r"""Collects the output of an expansion piece by piece. Before it adds a piece, it checks the end of the output."""

from __future__ import annotations

from filters.latex.groups import ends_in_word, would_glue
from filters.latex.one_argument import MAX_BEFORE_CHARS, takes_token

_MAX_BEFORE_PIECES = 4
_GLANCE_CHARS = 24
"""Before a letter or digit is written, this many characters at the end of the output are searched for a command that
takes an argument. Commands with longer names take no argument."""
_MAY_END_COMMAND = " \n\t}])*"


class Writer:
    """Collects the pieces of an output."""

    def __init__(self) -> None:
        self.out: list[str] = []

    def emit(self, piece: str) -> None:
        """Writes a piece. Adds a space before it if its first letter would extend a command's name."""
        if not piece:
            return
        out = self.out
        if piece[0].isalpha() and out and out[-1][-1].isalpha() and would_glue(out[-1], piece):
            out.append(" ")
        out.append(piece)

    def is_argument(self) -> bool:
        """Returns True if the output ends in a command that will take the next piece as its whole argument."""
        out = self.out
        if not out:
            return False
        piece = out[-1]
        last = piece[-1]
        if last == " ":
            last = piece[-2:-1]
        if last.isalnum():  # a command's name is always in one piece
            if len(piece) > _GLANCE_CHARS:
                if piece.rfind("\\", -_GLANCE_CHARS) < 0:
                    return False
                return takes_token(piece[-MAX_BEFORE_CHARS:])
        elif last not in _MAY_END_COMMAND:
            return False
        before = piece if len(piece) >= MAX_BEFORE_CHARS else "".join(out[-_MAX_BEFORE_PIECES:])
        return takes_token(before[-MAX_BEFORE_CHARS:])

    @staticmethod
    def behind_empty_group(text: str, pos: int, filled: str) -> int:
        r"""Skips an empty group ``{}`` at ``pos`` if its only purpose is to end a macro's name. Returns the position
        where the text continues.

        The group stays if the macro's text (``filled``) ends in a command's name, or if an index or exponent follows
        the group.
        """
        if text.startswith("{}", pos) and text[pos + 2 : pos + 3] not in ("_", "^"):
            return pos if ends_in_word(filled.removesuffix("\\xspace")) else pos + 2
        return pos
