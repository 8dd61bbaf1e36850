"""Writes HTML as plain text. :mod:`filters.html.fragment` calls the writer for each tag and each text."""

from __future__ import annotations

import re
from collections import defaultdict
from html import unescape

from filters.html.marks import STRUCK, in_parentheses, marked

_PARAGRAPHS = frozenset(
    {
        *("p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "hr", "section", "article", "aside", "header"),
        *("footer", "details", "summary", "figure", "figcaption", "center", "address", "main", "nav", "form"),
        *("fieldset", "caption", "dl", "table", "thead", "tbody", "tfoot"),
    }
)
_LINES = frozenset({"dt", "dd", "tr"})
_NESTING = frozenset({"ul", "ol", "li", "blockquote"})
_TABULAR = frozenset({"table", "dl"})
_CELLS = frozenset({"td", "th"})

_MAX_MARKS = 8
"""Maximum number of open marks (elements such as ``<sup>``) inside each other (our choice). Further marks are ignored.
Without a limit, the time would not be linear."""
MAX_PREFIX_CHARS = 64
"""Maximum length of a line's prefix (such as ``> ``, ``- `` and indentation), in characters. Our choice: without a
limit, deeply nested lists would take quadratic time."""

# Possessive ([^$]*+), so that matching is linear.
_FORMULA = re.compile(r"(\$\$[^$]*+\$\$|\$[^$]*+\$)")
_SPACE = re.compile(r"[ \t\n\f]+")
_SPACE_IN_LINE = re.compile(r"[ \t\f]+")
_ALT = re.compile(r'\balt="([^"]*)"')
_NUMBER = re.compile(r'\b(?:start|value)="(\d{1,9})"')

_BREAK = "\v"  # replaces <br> until the block is written; XML and HTML do not contain this character


class TextWriter:
    """Collects the text of a fragment, block by block. The methods may be called in any order, as tags occur in any
    order in bad HTML. The time is linear in the length of the text."""

    __slots__ = (
        "_blocks",
        "_cells",
        "_image_alt",
        "_in_pre",
        "_is_tight",
        "_mark",
        "_marks",
        "_nesting",
        "_num_open",
        "_pieces",
        "_prefix",
        "_previous_prefix",
        "_unclosed",
    )

    def __init__(self, *, image_alt: bool = False) -> None:
        self._image_alt = image_alt
        self._blocks: list[str] = []
        self._pieces: list[str] = []  # pieces of the open block
        self._prefix = ""  # begins every line: quote marks, indentation of items
        self._mark: str | None = None  # begins the next block instead of the prefix: the prefix with the item's mark
        self._previous_prefix = ""
        self._nesting: list[_Nest] = []
        self._num_open: defaultdict[str, int] = defaultdict(int)
        self._is_tight = False  # True if the next block follows on the next line, without an empty line between
        self._marks: list[tuple[str, int]] = []  # open <sup>, <del>, ...: the name, the index of its first piece
        self._unclosed = -1  # index of the script that must be separated from a letter right after it, or -1
        self._in_pre = 0
        self._cells = 0  # number of cells so far in the open row; 0 outside of tables

    def add(self, text: str) -> None:
        """Adds text unchanged. The entities in the text must already be decoded."""
        if not self._pieces and not self._in_pre and text.isspace():
            return
        if self._unclosed >= 0:
            if text[:1].isalnum() and self._unclosed == len(self._pieces) - 1:
                self._pieces[-1] = in_parentheses(self._pieces[-1])
            self._unclosed = -1
        self._pieces.append(text)

    def leaf(self, name: str, text: str) -> None:
        """Adds a paragraph, heading or list item that contains only text. The entities in ``text`` must already be
        decoded.
        """
        if self._cells or self._in_pre:
            self.open(name, "")
            self.add(text)
            self.close(name)
            return
        if self._pieces:
            self._flush()
        if name == "li":
            self._enter(name, "")
            self._write(_collapsed(text))
            self._leave(name)
        else:
            self._write(_collapsed(text))

    def open_mark(self, name: str) -> None:
        """Handles the start tag of one of ``MARKS``, such as ``<sup>``."""
        self._unclosed = -1
        if len(self._marks) < _MAX_MARKS:
            self._marks.append((name, len(self._pieces)))

    def close_mark(self, name: str) -> None:
        """Handles the end tag of one of ``MARKS``, such as ``</sup>``. Ignores an end tag without a start tag."""
        if not any(name == opened for opened, _ in self._marks):
            return
        while self._marks:
            opened, first = self._marks.pop()
            self._write_mark(opened, first)
            if opened == name:
                return

    def _write_mark(self, name: str, first: int) -> None:
        content = "".join(self._pieces[first:])
        del self._pieces[first:]
        before = self._pieces[-1] if self._pieces else ""
        is_inner = name in STRUCK and any(outer in STRUCK for outer, _ in self._marks)
        written = content if is_inner else marked(name, content, before)
        if written:
            self._pieces.append(written)
        is_bare = written[:1] in ("^", "_") and written[-1:] != ")"
        self._unclosed = len(self._pieces) - 1 if is_bare else -1

    def open(self, name: str, attributes: str) -> None:
        """Handles a start tag. This includes tags of elements without content, such as ``<br>``."""
        if name in _PARAGRAPHS and not self._cells:
            self._flush()
            if name == "pre":
                self._in_pre += 1
            elif name in _TABULAR:
                self._is_tight = False
        elif name == "br":
            self._pieces.append(" " if self._cells else _BREAK)
        elif name == "img":
            alt = _ALT.search(attributes) if self._image_alt else None
            if alt:
                self._pieces.append(unescape(alt[1]))
        elif name in _CELLS:
            self._pieces.append(" | " if self._cells else "")
            self._cells += 1
        elif self._cells:
            if name in _PARAGRAPHS or name in _NESTING:
                self._pieces.append(" ")
        elif name in _NESTING:
            self._flush()
            self._enter(name, attributes)
        elif name in _LINES:
            self._flush()

    def close(self, name: str) -> None:
        """Handles an end tag. The start tag may be missing."""
        if name in _PARAGRAPHS and not self._cells:
            self._flush()
            if name == "pre" and self._in_pre:
                self._in_pre -= 1
            elif name in _TABULAR:
                self._is_tight = False
        elif name in ("tr", "table") and self._cells:
            self._cells = 0
            if not any(piece.strip(" \n\t|") for piece in self._pieces):
                self._pieces.clear()
            self._flush()
            self._is_tight = name == "tr"
        elif self._cells:
            if name in _PARAGRAPHS or name in _NESTING:
                self._pieces.append(" ")
        elif name in _NESTING:
            self._flush()
            self._leave(name)
        elif name in _LINES:
            self._flush()
            self._is_tight = True

    def finish(self) -> str:
        """Ends the last block and returns the whole text."""
        self._flush()
        return "".join(self._blocks)

    def _enter(self, name: str, attributes: str) -> None:
        """Opens a list, an item or a quote."""
        start = _NUMBER.search(attributes) if attributes and name in ("ol", "li") else None
        nest = _Nest(name, self._prefix, self._mark, int(start[1]) if start else 1)
        if name == "blockquote":
            self._put_mark("> ", "> ")
        elif name == "li":
            parent = self._nesting[-1] if self._nesting else None
            if parent is None or parent.name != "ol":
                mark = "- "
            else:
                parent.number = nest.number if start else parent.number
                mark = f"{parent.number}. "
                parent.number += 1
            self._is_tight = self._num_open["li"] > 0 or (parent is not None and parent.has_items)
            if parent is not None:
                parent.has_items = True
            self._put_mark(mark, " " * len(mark))
        self._nesting.append(nest)
        self._num_open[name] += 1

    def _put_mark(self, mark: str, indent: str) -> None:
        """Extends the prefixes of lines. ``mark`` (such as ``- ``) is added to the prefix of the next line, and
        ``indent`` to the prefix of all lines after it."""
        before = self._prefix if self._mark is None else self._mark
        self._mark = before + mark if len(before) < MAX_PREFIX_CHARS else before
        if len(self._prefix) < MAX_PREFIX_CHARS:
            self._prefix += indent

    def _leave(self, name: str) -> None:
        """Closes a list, an item or a quote, and all elements inside it that are still open."""
        if not self._num_open[name]:
            return
        while True:
            nest = self._nesting.pop()
            self._num_open[nest.name] -= 1
            self._prefix = nest.prefix
            if self._mark is not None:
                self._mark = nest.mark
            if nest.name == name:
                break
        if name == "blockquote":
            self._previous_prefix = nest.prefix
        if name != "li":
            self._is_tight = False

    def _flush(self) -> None:
        """Ends the open block. Inline elements that are still open, such as ``<sup>``, continue in the next block."""
        open_marks = self._marks
        while self._marks:
            name, first = self._marks[-1]
            self._marks = self._marks[:-1]
            self._write_mark(name, first)
        self._marks = [(name, 0) for name, _ in open_marks]
        self._unclosed = -1
        if not self._pieces:
            return
        text = "".join(self._pieces)
        self._pieces.clear()
        if self._in_pre:
            text = text.replace(_BREAK, "\n").strip("\n").rstrip()
        elif _BREAK in text:
            text = "\n".join([_collapsed(line) for line in text.split(_BREAK)]).strip()
        else:
            text = _collapsed(text)
        self._write(text)

    def _write(self, text: str) -> None:
        """Appends a block to the text. A line end or an empty line separates it from the previous block. Its lines get
        the current prefixes."""
        if not text:
            return
        first = self._prefix if self._mark is None else self._mark
        self._mark = None
        if self._blocks:
            self._blocks.append(
                "\n" if self._is_tight else "\n" + _in_both(self._previous_prefix, first).rstrip() + "\n"
            )
        self._is_tight = False
        self._previous_prefix = self._prefix
        if self._prefix and "\n" in text:
            text = text.replace("\n", "\n" + self._prefix)
        self._blocks.append(first + text)


class _Nest:
    """Holds an open list, item or quote, and the writer's state before it. The state is restored when the element is
    closed."""

    __slots__ = ("has_items", "mark", "name", "number", "prefix")

    def __init__(self, name: str, prefix: str, mark: str | None, number: int) -> None:
        self.name = name
        self.prefix = prefix
        self.mark = mark
        self.number = number  # number of the next item of an ordered list
        self.has_items = False


def _in_both(one: str, other: str) -> str:
    """Returns the longest prefix that two line prefixes have in common."""
    if not one or not other:
        return ""
    num_equal = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:num_equal]


def _collapsed(text: str) -> str:
    r"""Returns the text with white space collapsed as a browser does. Formulas stay unchanged.

    >>> _collapsed(" two\n words  $a\n b$ ")
    'two words $a\n b$'
    """
    if "\n" not in text and "  " not in text and "\t" not in text and "\f" not in text:
        return text.strip()
    if "$" in text:
        parts = _FORMULA.split(text)
        parts[::2] = [_SPACE.sub(" ", part) for part in parts[::2]]
        return "".join(parts).strip()
    if "\\begin{" in text:
        return "\n".join([_SPACE_IN_LINE.sub(" ", line).strip(" ") for line in text.split("\n")]).strip()
    if text.isascii():
        return " ".join(text.split())
    return _SPACE.sub(" ", text).strip()
