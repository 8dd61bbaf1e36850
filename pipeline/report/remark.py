"""Defines a remark: a sentence at the top of the report. The tone of a remark is ``good``, ``look`` (the user should
look at something) or ``bad``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GOOD, LOOK, BAD = "good", "look", "bad"


@dataclass(frozen=True, slots=True)
class Remark:
    """Holds a sentence of the verdict."""

    tone: str
    text: str
    anchor: str = ""
    """The place on the page where the numbers are; empty if there is none."""


def listed(names: Sequence[str]) -> str:
    """Returns names as text, separated by commas and ``and``.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
