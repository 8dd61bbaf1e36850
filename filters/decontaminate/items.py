"""Defines the items of evaluation sets. Determines which texts of an item are searched for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Part = Literal["question", "passage", "code"]
PARTS: tuple[Part, ...] = ("question", "passage", "code")
"""The parts of an item that are searched for. An answer is searched for only near its question."""

Action = Literal["drop", "cut", "mark"]
ACTIONS: tuple[Action, ...] = ("drop", "cut", "mark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Holds one item of an evaluation set. Every text except ``id`` may be empty."""

    id: str
    question: str = ""
    answer: str = ""
    choices: tuple[str, ...] = ()
    passage: str = ""
    code: str = ""

    def text_of(self, part: Part) -> str:
        """Returns the text of a part of the item."""
        texts: Mapping[Part, str] = {"question": self.question, "passage": self.passage, "code": self.code}
        return texts[part]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRules:
    """Holds the name of a set, and the actions for documents that contain one of the set's items."""

    name: str
    version: str = ""
    action: Action = "drop"
    """The action for parts that are not listed in ``public``: such text can only come from the set."""
    public_action: Action = "mark"
    """The action for parts of an item that are listed in ``public``."""
    public: tuple[Part, ...] = ("passage",)
    """The parts that the set's authors took from public sources, such as Wikipedia, GitHub or old exams."""


@dataclass(frozen=True, slots=True)
class EvalSet:
    """Holds a set's rules and its items."""

    rules: SetRules
    items: Iterable[Item] = field(default_factory=tuple)


def answer_texts(item: Item) -> Sequence[str]:
    """Returns the text that counts as an item's answer, in a tuple. The tuple is empty if the item has no answer.

    If the answer is the letter (from A) or the number (from 0) of a choice, the text of that choice is returned.

    >>> answer_texts(Item(id="1", question="?", answer="B", choices=("red", "blue")))
    ('blue',)
    >>> answer_texts(Item(id="1", question="?", answer="4"))
    ('4',)
    """
    answer, choices = item.answer.strip(), item.choices
    if choices:
        place = ord(answer.upper()) - ord("A") if len(answer) == 1 and answer.isalpha() and answer.isascii() else -1
        if answer.isdecimal() and answer not in choices:
            place = int(answer)
        if 0 <= place < len(choices):
            return (choices[place],)
    return (answer,) if answer else ()


def parts_of(item: Item) -> Iterator[tuple[Part, str]]:
    """Yields the parts of an item that are not empty, with their texts."""
    for part in PARTS:
        if text := item.text_of(part).strip():
            yield part, text
