"""Pages through decoded documents in a terminal. It reads and prints plain lines, so it works over any connection."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace

from mixtures.inspect.documents import ShownDocument, Wanted, heading, printable

_MAX_SEEN = 200
"""The user can go back over this many documents. Their texts are kept in memory."""

HELP = """\
  Enter    next page, then the next document
  n        next document            p        the one before
  /TEXT    documents that hold TEXT (small and capital letters alike); / alone: all
  s NAME   documents of a source; s alone: all
  e N      documents of an epoch; e alone: all
  t NAME   documents that a stage dropped; t alone: all
  r NAME   documents that were dropped for a reason; r alone: all
  q        quit"""
Find = Callable[[Wanted], Iterator[ShownDocument]]


class Pager:
    """Shows documents page by page, and reads commands as lines."""

    def __init__(self, find: Find, wanted: Wanted, *, say: Callable[[str], None] = print,
                 size: tuple[int, int] | None = None) -> None:  # fmt: skip
        self._find, self._wanted, self._say = find, wanted, say
        self._size = size
        self._seen: list[ShownDocument] = []
        self._place = -1
        self._page = 0
        self._stream = find(wanted)
        self.num_shown = 0

    def run(self, ask: Callable[[str], str]) -> None:
        """Shows the first document and runs commands until ``q`` or the end of input.

        Args:
            ask: prints the prompt that it is given, and returns the line that the user types.
        """
        self._forward()
        while True:
            try:
                line = ask(self._prompt())
            except (EOFError, KeyboardInterrupt):
                return
            if not self._obey(line.strip()):
                return

    def _prompt(self) -> str:
        named = (("source", self._wanted.source), ("epoch", self._wanted.epoch), ("stage", self._wanted.stage),
                 ("reason", self._wanted.reason))  # fmt: skip
        chosen = [f"{name} {value}" for name, value in named if value is not None]
        chosen += [f"/{self._wanted.grep}"] if self._wanted.grep else []
        return printable(f"[{', '.join(chosen) or 'all'}; h for help] ")

    def _obey(self, line: str) -> bool:
        command, rest = line[:1], line[1:].strip()
        if command == "q":
            return False
        if command == "":
            self._turn()
        elif command == "n":
            self._forward()
        elif command == "p":
            self._back()
        elif command == "/":
            self._choose(replace(self._wanted, grep=rest or None, is_case_ignored=True))
        elif command == "s":
            self._choose(replace(self._wanted, source=rest or None))
        elif command == "t":
            self._choose(replace(self._wanted, stage=rest or None))
        elif command == "r":
            self._choose(replace(self._wanted, reason=rest or None))
        elif command == "e" and (not rest or rest.isdigit()):
            self._choose(replace(self._wanted, epoch=int(rest) if rest else None))
        else:
            self._say(HELP)
        return True

    def _choose(self, wanted: Wanted) -> None:
        """Starts again from the first document of a new selection. If no document matches, the old selection stays."""
        stream = self._find(wanted)
        try:
            first = next(stream, None)
        except ValueError as error:
            self._say(str(error))
            return
        if first is None:
            self._say("no document matches")
            return
        self._wanted, self._stream, self._seen, self._place = wanted, stream, [first], 0
        self._show(0)

    def _forward(self) -> None:
        if self._place + 1 >= len(self._seen):
            one = next(self._stream, None)
            if one is None:
                self._say("no more documents" if self._seen else "no document matches")
                return
            self._seen = [*self._seen[-_MAX_SEEN:], one]
            self._place = len(self._seen) - 2
        self._place += 1
        self._show(0)

    def _back(self) -> None:
        if self._place <= 0:
            self._say("this is the first document that is held")
            return
        self._place -= 1
        self._show(0)

    def _turn(self) -> None:
        if self._place < 0 or not self._show(self._page + 1):
            self._forward()

    def _show(self, page: int) -> bool:
        """Shows the next page of the document. Returns False if there are no more pages."""
        one = self._seen[self._place]
        width, height = self._size or shutil.get_terminal_size()
        lines = _wrapped(self._marked(one.text), width)
        per_page = max(1, height - 3)
        part = lines[page * per_page : (page + 1) * per_page]
        if page and not part:
            return False
        num_pages = max(1, -(-len(lines) // per_page))
        self._say(f"{heading(one)}  page {page + 1} of {num_pages}")
        self._say("\n".join(part))
        self._page = page
        self.num_shown += 1
        return True

    def _marked(self, text: str) -> str:
        """Returns the text in which each match of the search is put between ›marks‹."""
        plain = printable(text)
        if not self._wanted.grep:
            return plain
        flags = re.IGNORECASE if self._wanted.is_case_ignored else 0
        return re.sub(re.escape(printable(self._wanted.grep)), lambda m: f"›{m[0]}‹", plain, flags=flags)


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n"):
        lines += textwrap.wrap(line, max(20, width), replace_whitespace=False, drop_whitespace=False) or [""]
    return lines
