"""Lays out the lines of a page: headings, lists, code. Removes sections of apparatus, and lead-ins whose list is
missing.

A section of apparatus contains references or external links. A lead-in is a line that announces a table or list, such
as "The members are:". If the table or list was removed, the lead-in is removed, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from filters.wikitext.line_words import MAX_EMPTY_CHARS, TextRules, is_empty, plain, without_quotes
from filters.wikitext.protected_text import BREAK, HELD_OPEN, REMOVED_BLOCK
from filters.wikitext.section_prose import is_prose

_BULLETS = re.compile(r"[*#:;]+")
_MAGIC = re.compile(r"__([^\W\d_]{2,40}(?:_[^\W\d_]{1,40}){0,4})__")
_HEADLESS_ITEM = re.compile(r"[,;:.)]|[–—]\s")
_HEADLESS = ",;:.)–—"
_LETTER = re.compile(r"[^\W\d_]")
_LAST_SENTENCE = re.compile(r"(?:[^\W\d_]{3,}|[0-9]{4}|[)\]\"”»])[.!?][\"”»)\]]*\s+(?=[^\s\W_a-zа-я]|[«„“\"'(])")
"""Matches the end of the sentence before a lead-in. A full stop after a word of one or two letters is no end, because
it can belong to an abbreviation."""
_MAX_SENTENCE_CHARS = 2000
_MAX_LEAD_IN_CHARS = 200
"""Longest lead-in (a line that announces a table or list). Our choice: a longer sentence says more than that, so it
stays."""
_MAX_LIST_DEPTH = 10
_MAX_HEADING_LEVEL = 6
_LIST_MARKS = "*#:;"
_SPECIAL = frozenset(_LIST_MARKS + "=|!" + BREAK + REMOVED_BLOCK)
"""First characters of lines that are not plain paragraphs."""


def lay_out(text: str, apparatus_headings: frozenset[str], rules: TextRules) -> str:
    """Returns the page's lines as plain text.

    Headings get blank lines around them, and are removed if nothing follows them. Sections of apparatus (references,
    external links) are removed completely. List items keep a dash or a number, code keeps its indentation, and one
    blank line separates paragraphs. A line that ends with a colon is removed if everything that it announces was
    removed ("The members are:" before a table). If a section is prose, it stays, even if its heading usually names
    apparatus ("Literature" in an article about a country).
    """
    if "__" in text:
        text = _MAGIC.sub(lambda match: "" if match[1].isupper() else match[0], text)
    layout = _Layout(apparatus_headings, rules)
    out, numbers = layout.out, layout.numbers
    lines = text.split("\n")
    for index, raw in enumerate(lines):
        line = raw.strip()
        if not line:
            if numbers:
                numbers.clear()
            if out and out[-1]:
                out.append("")
            continue
        if layout.apparatus_level and line[0] != "=":
            continue
        if raw[0] == " " and layout.preformatted_end <= index:
            layout.find_preformatted(lines, index)
        if index < layout.preformatted_end:
            layout.add_preformatted(raw)
        elif line[0] == "=" and layout.is_apparatus(line) and is_prose(lines, index + 1):
            layout.add(line, is_prose=True)
        elif line[0] in _SPECIAL or BREAK in line or REMOVED_BLOCK in line:
            layout.add(line)
        else:
            if numbers:
                numbers.clear()
            layout.write(plain(line, rules), line)
    layout.drop_lead_in()
    return "\n".join(out).strip("\n")


@dataclass(slots=True)
class _LeadIn:
    """Remembers a line such as "The members are:". If nothing that the line announces is written, it is removed."""

    num_lines: int
    """Number of lines in the output before the lead-in (the line that announces something) and before the headings that
    were written together with the lead-in."""
    headings: list[tuple[int, str]]


@dataclass(slots=True)
class _Layout:
    apparatus_headings: frozenset[str]
    rules: TextRules
    out: list[str] = field(default_factory=list)
    pending: list[tuple[int, str]] = field(default_factory=list)
    """Levels and words of headings that are not written yet, because nothing follows them so far."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The last number of each open numbered list. The key is the list's marks, such as ``*#``."""
    apparatus_level: int = 0
    level: int = 0
    preformatted_end: int = 0
    indent: int = 1
    lead_in: _LeadIn | None = None
    is_block_removed: bool = False
    """True if something was removed since the last line that was written."""

    def is_apparatus(self, line: str) -> bool:
        """Returns True if the line is the heading of a section of references or links, such as ``== References ==``."""
        parsed = self._heading(line) if line.rstrip(BREAK + " ")[-1] == "=" else None
        return parsed is not None and self._names_apparatus(parsed[1])

    def _names_apparatus(self, heading: str) -> bool:
        return heading.casefold().strip(" .:") in self.apparatus_headings

    def add(self, line: str, *, is_prose: bool = False) -> None:
        """Adds one line of the source, without the spaces around it.

        Args:
            line: the line.
            is_prose: True if the line is a heading and the section below it is prose. Then the section stays.
        """
        if REMOVED_BLOCK in line:
            self.is_block_removed = True
            line = line.replace(REMOVED_BLOCK, "").strip()
        first = line[:1]
        if not first or (first == BREAK and not line.strip(BREAK + " ")):
            self._add_blank()
        elif first == "=" and line.rstrip(BREAK + " ")[-1] == "=" and (parsed := self._heading(line)):
            self._add_heading(*parsed, is_prose=is_prose)
        elif self.apparatus_level:  # no heading, although it begins with "="
            return
        elif first in _LIST_MARKS:
            self.write(self._list_item(line), line)
        else:
            if self.numbers:
                self.numbers.clear()
            if first in "|!" and _is_table_row(line):
                self.is_block_removed = True
            elif BREAK in line:
                self._add_pieces(line)
            else:
                self.write(plain(line, self.rules), line)

    def add_preformatted(self, raw: str) -> None:
        """Adds a line of preformatted text. Removes the indentation that all lines of the block share."""
        self.numbers.clear()
        line = without_quotes(raw[self.indent :].rstrip()).replace(BREAK, "\n").replace(REMOVED_BLOCK, "")
        if line.strip():
            self.lead_in = None
            self.is_block_removed = False
            if self.pending:
                self._write_lead_in(line)
            else:
                self.out.append(line)

    def find_preformatted(self, lines: list[str], start: int) -> None:
        """Finds the end of the preformatted text at ``start``: consecutive lines that begin with a space.

        A single line of this form is treated as a typing error, not as preformatted text. A block of list items is
        treated as a list.
        """
        end = start
        while end < len(lines) and lines[end][:1] == " " and lines[end].strip():
            end += 1
        block = lines[start:end]
        if end - start > 1 and not all(line.lstrip(" ")[0] in "*#:;|!" + BREAK + REMOVED_BLOCK for line in block):
            self.preformatted_end = end
            self.indent = min(len(line) - len(line.lstrip(" ")) for line in block)

    def drop_lead_in(self) -> None:
        """Removes the last lead-in (a line that announces a table or list), because nothing that it announced was
        written.
        """
        if self.lead_in is None:
            return
        lead_in, self.lead_in = self.lead_in, None
        if self.out and not self.out[-1]:
            self.out.pop()
        line = self.out[-1]
        if not _is_item(line) and len(line) > _MAX_LEAD_IN_CHARS + max(0, line.rfind(". ")):
            return
        ends = [match.end() for match in _LAST_SENTENCE.finditer(line, max(0, len(line) - _MAX_SENTENCE_CHARS))]
        if ends and not _is_item(line):
            self.out[-1] = line[: ends[-1]].rstrip()
            return
        del self.out[lead_in.num_lines :]
        self.pending[:0] = lead_in.headings

    def _add_blank(self) -> None:
        self.numbers.clear()
        if self.out and self.out[-1]:
            self.out.append("")

    def _add_pieces(self, line: str) -> None:
        for piece in line.split(BREAK):
            if piece.strip():
                self.write(plain(piece, self.rules), piece)
            elif self.out and self.out[-1]:
                self.out.append("")

    def _add_heading(self, level: int, heading: str, *, is_prose: bool) -> None:
        if self.apparatus_level and level > self.apparatus_level:
            return
        if level <= self.level or self.is_block_removed:
            self.drop_lead_in()
        self.lead_in, self.level, self.is_block_removed = None, level, False
        is_apparatus = not is_prose and self._names_apparatus(heading)
        self.apparatus_level = level if is_apparatus else 0
        while self.pending and self.pending[-1][0] >= level:
            self.pending.pop()
        if heading and not is_apparatus:
            self.pending.append((level, heading))

    def write(self, line: str, source: str) -> None:
        """Writes a line, after the headings that waited for text to follow them. A line without words is not written.

        If the line before is a lead-in ("The members are:") and the announced list or table was removed, first removes
        the lead-in.
        """
        if len(line) < MAX_EMPTY_CHARS and is_empty(line):
            self.is_block_removed = True
            return
        if self.lead_in is not None:
            if self.is_block_removed and source[:1] not in "*#:; ":
                self.drop_lead_in()
                if self.out and self.out[-1]:
                    self.out.append("")
            self.lead_in = None
        out = self.out
        self.is_block_removed = False
        if self.pending or line[-1] in ":：":
            self._write_lead_in(line)
            return
        if out and not out[-1] and _is_item(line) and len(out) > 1 and _is_item(out[-2]):
            out.pop()  # the text between two items was removed
        out.append(line)

    def _write_lead_in(self, line: str) -> None:
        """Writes the headings that waited for text, and then the line. If the line ends with a colon, remembers it as a
        lead-in."""
        out = self.out
        num_lines, headings = len(out), self.pending.copy()
        for _, heading in headings:
            out += ["", heading, ""] if out and out[-1] else [heading, ""]
        self.pending.clear()
        out.append(line)
        if line[-1] in ":：":
            self.lead_in = _LeadIn(num_lines, headings)

    def _heading(self, line: str) -> tuple[int, str] | None:
        """Returns the level and the words of a heading ``== words ==``, or None. If the two sides have different
        numbers of ``=``, the smaller number is the level.
        """
        line = line.rstrip(BREAK + " ")
        inner = line.strip("=")
        if not inner.strip():
            return None
        num_before = len(line) - len(line.lstrip("="))
        num_after = len(line) - len(line.rstrip("="))
        level = min(num_before, num_after, _MAX_HEADING_LEVEL)
        return level, plain(line[level:-level].replace(BREAK, " "), self.rules)

    def _list_item(self, line: str) -> str:
        match = _BULLETS.match(line)
        bullets = match[0] if match else ""
        words = line[len(bullets) :].strip()
        kind = bullets[-1]
        numbers = self.numbers
        if kind != "#" and numbers:
            for level in [level for level in numbers if len(level) >= len(bullets)]:
                del numbers[level]
        if kind == ";":
            term, colon, meaning = words.partition(" : ")
            return self._pieces(f"{term}: {meaning}" if colon else words)
        if kind == ":":
            return self._pieces(words)
        indent = "  " * min(len(bullets) - 1, _MAX_LIST_DEPTH)
        is_headless = words[:1] in _HEADLESS and _HEADLESS_ITEM.match(words) is not None
        words = self._pieces(words) if BREAK in words else plain(words, self.rules)
        if not words or not words.strip(" -–—,.;:|*") or (is_headless and not _LETTER.search(words)):
            return ""  # a number without its words
        if kind == "*":
            return f"{indent}- {words}"
        for level in [level for level in numbers if len(level) > len(bullets)]:
            del numbers[level]
        key = bullets[:_MAX_LIST_DEPTH]
        numbers[key] = numbers.get(key, 0) + 1
        return f"{indent}{numbers[key]}. {words}"

    def _pieces(self, words: str) -> str:
        """Returns the words of a list item or a defined term as plain text. A ``<br>`` in them becomes a line end."""
        pieces = (plain(piece, self.rules) for piece in words.split(BREAK))
        return "\n".join(piece for piece in pieces if piece)


def _is_item(line: str) -> bool:
    return line.lstrip(" ").startswith("- ")


def _is_table_row(line: str) -> bool:
    """Returns True if the line is a row of a table. Such a row is left over if a template contained the table's first
    line, so that the table was not recognised."""
    return HELD_OPEN not in line and (line[0] == "|" or "!!" in line or "scope=" in line or line.startswith("! "))
