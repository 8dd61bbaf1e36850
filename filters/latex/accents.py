r"""Replaces TeX's accent commands by letters: ``R\'ef\'erences`` becomes ``Références``."""

from __future__ import annotations

import re
import unicodedata

_MARKS = {"'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307"}
_NAMED_MARKS = {"c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b", "k": "\u0328", "r": "\u030a"}
_ACCENT = re.compile(
    r"\\(?:(?P<sign>['`^\"~=.])\s*(?:\{\s*\\?(?P<braced>[A-Za-z])\s*\}|\\(?P<dotless>[ij])(?![A-Za-z])|(?P<bare>[A-Za-z]))"
    r"|(?P<name>[cvuHkr])(?:\s*\{\s*(?P<argument>[A-Za-z])\s*\}|\s+(?P<token>[A-Za-z])))"
)
_LETTER_IN_BRACES = re.compile(r"\{([^\W\d_])\}")


def plain_accents(text: str) -> str:
    r"""Returns the text with accented letters instead of accent commands.

    >>> plain_accents(r"R\'ef\'{e}rences, Bibliograf\'{\i}a, {\v c}")
    'Références, Bibliografía, č'
    """
    if "\\" not in text:
        return text
    return _LETTER_IN_BRACES.sub(r"\1", _ACCENT.sub(_letter, text))


def _letter(match: re.Match[str]) -> str:
    mark = _MARKS[match["sign"]] if match["sign"] else _NAMED_MARKS[match["name"]]
    bases = ("braced", "dotless", "bare", "argument", "token")
    base = next(match[group] for group in bases if match[group])
    return unicodedata.normalize("NFC", base + mark)
