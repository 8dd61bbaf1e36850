"""The items of evaluation sets, and the pieces of text by which an item is found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Part = Literal["question", "passage", "code"]
PARTS: tuple[Part, ...] = ("question", "passage", "code")
"""The parts of an item that are searched. Answers and choices are only looked for near a question."""

Action = Literal["drop", "cut", "mark"]
ACTIONS: tuple[Action, ...] = ("drop", "cut", "mark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of an evaluation set. Every text may be empty."""

    id: str
    question: str = ""
    answer: str = ""
    choices: tuple[str, ...] = ()
    passage: str = ""
    code: str = ""

    def text_of(self, part: Part) -> str:
        """Returns the text of a part."""
        texts: Mapping[Part, str] = {"question": self.question, "passage": self.passage, "code": self.code}
        return texts[part]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRules:
    """What is done about a set's items where a document has them."""

    name: str
    version: str = ""
    action: Action = "drop"
    """For what only the set can be the source of."""
    public_action: Action = "mark"
    """For text that the set itself took from public sources."""
    public: tuple[Part, ...] = ("passage",)
    """The parts that the set took from public sources: passages of Wikipedia, functions of GitHub, old exams."""


@dataclass(frozen=True, slots=True)
class EvalSet:
    """A set with its items."""

    rules: SetRules
    items: Iterable[Item] = field(default_factory=tuple)


def answer_texts(item: Item) -> Sequence[str]:
    """Returns the texts that count as an item's answer: the answer, or the choice that it names by letter or number.

    A letter counts from A. A number is a position from 0, if the item has a choice there.

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
    """Yields the parts that an item has, with their texts."""
    for part in PARTS:
        if text := item.text_of(part).strip():
            yield part, text
