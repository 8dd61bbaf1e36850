"""Resolves language variants ``-{...}-``. A wiki that can be read in two scripts (Serbian: Cyrillic and Latin) uses
them for text that must not be converted, and for text that differs between the scripts.
"""

from __future__ import annotations

import re

_LANGUAGES = frozenset({"sr", "sh", "zh", "kk", "uz", "tg", "crh", "iu", "ku", "gan"})
_INNERMOST = re.compile(r"-\{((?:(?!-\{|\}-)[^\x00]){0,20000}?)\}-")
_FLAG = re.compile(r"\s*([A-Z+-](?:\s*;\s*[A-Z+-])*)\s*")
_CODES = re.compile(r"\s*[a-z]{2,3}(?:-[a-z]{2,8})*(?:\s*;\s*[a-z]{2,3}(?:-[a-z]{2,8})*)*\s*")
_WRITING = re.compile(r"\s*[a-z]{2,3}(?:-[a-z]{2,8})*\s*:(.*)", re.DOTALL)
_HIDDEN = frozenset("HT-")
"""Flags of variants that show nothing: a rule for the whole page, a rule for its title, or the end of a rule."""
_MAX_NESTED = 10


def resolve_variants(text: str, language: str) -> str:
    """Replaces each ``-{...}-`` by its text. If it has texts in two scripts, the first text is used. Removes unpaired
    ``-{`` and ``}-``. The text of a wiki without variants stays unchanged.

    >>> resolve_variants("a -{R|Windows}- -{sr-ec: б; sr-el: b}- c-{H|sr-ec:x;sr-el:y}- -{d\\ne}-", "sr")
    'a Windows б c d\\ne'
    >>> resolve_variants("x -{y", "sr"), resolve_variants("x -{y}- z", "en")
    ('x y', 'x -{y}- z')
    """
    if language not in _LANGUAGES or ("-{" not in text and "}-" not in text):
        return text
    for _ in range(_MAX_NESTED):
        text, num_replaced = _INNERMOST.subn(_shown, text)
        if not num_replaced:
            break
    return text.replace("-{", "").replace("}-", "")


def _shown(match: re.Match[str]) -> str:
    head, bar, rest = match[1].partition("|")
    content = match[1]
    if bar and (flags := _FLAG.fullmatch(head)):
        if not _HIDDEN.isdisjoint(flags[1]):
            return ""
        content = rest
    elif bar and _CODES.fullmatch(head):
        content = rest
    first, semicolon, others = content.partition(";")
    writing = _WRITING.fullmatch(first)
    is_written_twice = writing and ("-" in first.partition(":")[0] or (semicolon and _WRITING.match(others)))
    return (writing[1] if writing and is_written_twice else content).strip()
