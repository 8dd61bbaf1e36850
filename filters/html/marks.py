"""Writes some inline elements as plain text: exponents and indices, struck words, quotations. Their tags change the
meaning of the text, so they cannot simply be removed.

For example, ``2<sup>n</sup>`` becomes ``2^n``, because ``2n`` would mean something else.
"""

from __future__ import annotations

import re

STRUCK = frozenset({"del", "s", "strike"})
MARKS = frozenset({"sup", "sub", "q", *STRUCK})
"""Names of the elements that :func:`marked` can write."""

_SUBSCRIPT_DIGITS = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_SIMPLE = re.compile(r"[-+−–±]?(?:\d+(?:[.,]\d+)?|[^\W\d_])[′'’]*|[-+−*†‡]")
_PARENTHESISED = re.compile(r"\([^()]*\)")
_REFERENCE = re.compile(r"\[[^\[\]]*\]|\{[^{}]*\}")
_ORDINAL = re.compile(r"(?:st|nd|rd|th|er|re|ère|ème|eme|nde)s?", re.IGNORECASE)
_BEFORE_ORDINAL = re.compile(r"(?:\d|(?<![^\W\d_])[a-z])\Z", re.IGNORECASE)
_WORD_BEFORE = re.compile(r"[^\W\d_]{2}\Z")
_WORDS = re.compile(r"[^\W\d_]{3}|\S\s+\S.*\s\S")
"""Matches text that is too long for an exponent or index: three letters in a row, or three words. If such text is
raised after a word, it is a footnote or small print."""
_TRADEMARKS = {"tm": "™", "sm": "℠"}


def marked(name: str, content: str, before: str) -> str:
    """Returns the plain text for an inline element. ``name`` is the element's tag, ``content`` its text, and ``before``
    the text before the element.

    >>> marked("sup", "n", "O(2"), marked("sup", "k+1", "2"), marked("sub", "2", "H"), marked("sup", "th", "n")
    ('^n', '^(k+1)', '₂', 'th')
    >>> marked("del", "old", ""), marked("q", "yes", "")
    ('~~old~~', '“yes”')
    """
    inner = content.strip()
    if not inner:
        return content
    if name == "sup":
        return _superscript(inner, content, before)
    if name == "sub":
        return _subscript(inner, content, before)
    marks = ("“", "”") if name == "q" else ("~~", "~~")
    at = content.index(inner)
    return content[:at] + marks[0] + inner + marks[1] + content[at + len(inner) :]


def in_parentheses(script: str) -> str:
    """Returns a superscript or subscript with parentheses, which separate it from the next letter or digit.

    >>> in_parentheses("^n")
    '^(n)'
    """
    return f"{script[0]}({script[1:]})"


def _is_base(before: str) -> bool:
    """Returns True if the last character of the text can have an exponent or index."""
    return before[-1:].isalnum() or before[-1:] in (")", "]", "}", "|", "'", "′", "’")


def _superscript(inner: str, content: str, before: str) -> str:
    if not _is_base(before):
        return content
    if inner.lower() in _TRADEMARKS:
        return _TRADEMARKS[inner.lower()]
    if _ORDINAL.fullmatch(inner) and _BEFORE_ORDINAL.search(before[-2:]):
        return inner
    if _REFERENCE.fullmatch(inner) or (not any(map(str.isalnum, inner)) and not _SIMPLE.fullmatch(inner)):
        return inner
    return _script("^", inner, before)


def _subscript(inner: str, content: str, before: str) -> str:
    if not _is_base(before):
        return content
    digits = inner.translate(_SUBSCRIPT_DIGITS)
    if not any(char.isalnum() and char not in "₀₁₂₃₄₅₆₇₈₉" for char in digits) and not any(map(str.isspace, inner)):
        return digits
    return _script("_", inner, before)


def _script(sign: str, inner: str, before: str) -> str:
    is_word = _WORDS.search(inner) is not None
    if is_word and (any(map(str.isspace, inner)) or (sign == "^" and _WORD_BEFORE.search(before[-2:]))):
        return f" {inner}"
    if _SIMPLE.fullmatch(inner) or _PARENTHESISED.fullmatch(inner) or (is_word and inner.isalpha()):
        return sign + inner
    return f"{sign}({inner})"
