"""Sets aside the parts of a page that the wikitext parser must not read, and cleans the page's characters.

Each part is replaced by a mark, which consists of control characters and a number. The page itself cannot contain such
characters: XML forbids them, and they are removed first.
"""

from __future__ import annotations

import re
from html.entities import html5

HELD_OPEN, HELD_CLOSE = "\x02", "\x03"
"""The marks before and after the number of a text that was set aside. In a page, the number between its marks replaces
the text."""
PIPE, EQUALS = "\x04", "\x05"
"""Marks for a ``|`` or ``=`` that belongs to the words (``{{!}}``) and must not separate a template's arguments."""
REMOVED_BLOCK = "\x06"
"""Mark for a removed table, drawing or template on lines of its own. If the line before the mark announced the removed
block ("The members are:"), that line is removed later."""
BREAK = "\x07"
"""Mark for a line break (``<br>``) inside a source line. The source line stays one list item, heading or table row."""

_CONTROL = bytes(code for code in (*range(0x20), 0x7F) if chr(code) not in "\t\n\r")
_NO_WIDTH = ("\u00ad", "\u200b", "\u200e", "\u200f", "\u2060", "\ufeff", "\ufffe", "\uffff")
"""Characters without width that no reader sees. The list does not contain joiners, because they are part of the
spelling."""
_BRACKETS = re.compile(r"[{}\[\]]{2,}")
_HELD = re.compile(f"{HELD_OPEN}([0-9]+){HELD_CLOSE}")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_SPACES = ("\xa0", "\u202f", "\u2009", "\u2007")
_STRAY_MARKS = {HELD_OPEN: "", HELD_CLOSE: "", PIPE: "|", EQUALS: "=", REMOVED_BLOCK: "", BREAK: " "}


class Held:
    """Stores the texts of one page that are set aside: the contents of ``<nowiki>``, ``<pre>``, ``<math>``, ..."""

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: list[str] = []

    def hold(self, text: str) -> str:
        """Stores the text and returns its mark."""
        self._texts.append(text)
        return f"{HELD_OPEN}{len(self._texts) - 1}{HELD_CLOSE}"

    def put_back(self, text: str) -> str:
        """Replaces every mark by its text."""
        if HELD_OPEN not in text:
            return text
        pieces = _HELD.split(text)
        held = self._texts
        pieces[1::2] = [held[int(number)] for number in pieces[1::2]]
        return "".join(pieces)


def unescape_references(text: str) -> str:
    """Unescapes the text of a page if the page was escaped twice. In such a page, a reference is written as
    ``&lt;ref&gt;...&lt;/ref&gt;``.

    This is our choice. MediaWiki would show the word "<ref>", but in all articles that we have seen, the author meant a
    reference.
    """
    if "&lt;/ref" not in text:
        return text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")


def remove_control(text: str) -> str:
    """Removes control characters, byte order marks and characters without width. Line ends become ``\\n``."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    packed = text.encode("utf-8", "surrogatepass")
    cleaned = packed.translate(None, _CONTROL)  # several times as fast as a regular expression
    if len(cleaned) < len(packed):
        text = cleaned.decode("utf-8", "surrogatepass")
    for character in _NO_WIDTH:
        if character in text:
            text = text.replace(character, "")
    return text


def remove_marks(text: str) -> str:
    """Replaces marks that the conversion left in the text by their characters, or removes them. For example, the mark
    for ``|`` becomes ``|`` again, and :data:`REMOVED_BLOCK` is removed.
    """
    for mark, character in _STRAY_MARKS.items():
        if mark in text:
            text = text.replace(mark, character)
    return text


def remove_doubled_brackets(text: str) -> str:
    """Removes ``{{``, ``}}``, ``[[`` and ``<!--`` that the page did not contain. They arise when the markup between two
    brackets is removed.

    >>> remove_doubled_brackets("a}[[}}} {x} [1]"), remove_doubled_brackets("[a]{b} <!-- c")
    ('a {x} [1]', '[a]{b}   c')
    """
    if "{{" in text or "}}" in text or "[[" in text:
        text = _BRACKETS.sub(_without_pairs, text)
    return text.replace("<!--", " ") if "<!--" in text else text


def _without_pairs(match: re.Match[str]) -> str:
    kept: list[str] = []
    for bracket in match[0]:
        if kept and kept[-1] == bracket != "]":
            kept.pop()
        else:
            kept.append(bracket)
    return "".join(kept)


def plain_spaces(text: str) -> str:
    """Replaces non-breaking and narrow spaces by plain spaces."""
    for space in _SPACES:
        if space in text:
            text = text.replace(space, " ")
    return text


def decode_entities(text: str) -> str:
    """Decodes HTML entities once: ``&amp;lt;`` becomes ``&lt;``. Unknown entities stay. Entities of control characters
    are removed.

    Entities without a semicolon stay, too, as in MediaWiki. (``html.unescape`` would decode them.)

    >>> decode_entities("a&nbsp;b &amp;lt; &notit; AT&T &#8211; &#x2013;")
    'a b &lt; &notit; AT&T – –'
    """
    return _ENTITY.sub(_decode, text) if "&" in text else text


def _decode(match: re.Match[str]) -> str:
    entity = match[0]
    if entity[1] != "#":
        decoded = html5.get(entity[1:], entity)
        return " " if decoded in "\xa0\u2009\u202f\u200a" else "" if decoded in "\u00ad\u200b\u200e\u200f" else decoded
    number = int(entity[3:-1], 16) if entity[2] in "xX" else int(entity[2:-1])
    if number in (0xA0, 0x202F, 0x2009):
        return " "
    is_text = number in (9, 10) or 0x20 <= number < 0x7F or 0xA0 < number < 0xD800 or 0xE000 <= number < 0x110000
    return chr(number) if is_text else ""
