"""Contains the class for the arguments of one use of a template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CODE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True, slots=True)
class TemplateCall:
    """Holds the arguments of one use of a template, as plain text, and the wiki's language."""

    positional: Sequence[str]
    named: Mapping[str, str]
    language: str

    def get(self, number: int) -> str:
        """Returns the argument with this number, or an empty string if it is missing. Arguments without a name are
        numbered from 1.
        """
        return self.positional[number - 1] if 0 < number <= len(self.positional) else ""

    def first_named(self, *names: str) -> str:
        """Returns the argument with the first of ``names`` that is given and not empty. If there is none, returns an
        empty string."""
        return next((value for name in names if (value := self.named.get(name))), "")


def is_language_code(word: str) -> bool:
    """Returns True if the word has the form of a language code.

    >>> [is_language_code(word) for word in ("la", "grc", "sr-Latn", "Rom", "vier")]
    [True, True, True, False, False]
    """
    return _CODE.fullmatch(word) is not None
