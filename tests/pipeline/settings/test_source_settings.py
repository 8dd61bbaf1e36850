"""Tests the ``sources:`` section of a configuration file. It can set the fields of readers, joins and steps, and
nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, ClassVar, Literal

import pytest

from pipeline.output.fingerprint import fingerprint
from pipeline.settings.source_settings import configured
from pipeline.sources import SOURCES
from pipeline.sources.dedup_steps import DedupStep, LineDedup
from pipeline.sources.source import Source


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """Plays a reader with one setting of each type."""

    DATA_VERSION: ClassVar[int] = 3
    COLUMNS: ClassVar[dict[str, Any]] = {}

    number: int = 1
    share: float = 0.5
    is_on: bool = False
    word: str = "a"
    words: tuple[str, ...] = ("a",)
    names: frozenset[str] = frozenset({"a"})
    maybe: int | None = 1
    choice: Literal["x", "y"] = "x"

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("number is below 0")


EVERY = Source(name="every", reader=Every(), steps=(LineDedup(),), cite="LLaMA")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "given", "wanted"),
    [
        ("number", 5, 5),
        ("share", 2, 2.0),
        ("share", Decimal("0.25"), 0.25),
        ("is_on", True, True),
        ("word", "b", "b"),
        ("words", ["b", "c"], ("b", "c")),
        ("names", ["b", "b"], frozenset({"b"})),
        ("maybe", None, None),
        ("maybe", 2, 2),
        ("choice", "y", "y"),
    ],
)
def test_a_value_as_its_field_wants_it(field: str, given: Any, wanted: Any) -> None:
    found = getattr(configured(EVERY, {"reader": {field: given}}).reader, field)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("field", "given"),
    [("number", 1.5), ("number", True), ("number", "one"), ("number", None), ("share", "x"), ("share", True),
     ("is_on", 1), ("word", 3), ("words", "abc"), ("names", "abc"), ("maybe", "x"), ("choice", "z")],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused_by_name(field: str, given: Any) -> None:
    with pytest.raises(ValueError, match=rf"^sources\.every\.reader\.{field} must be "):
        configured(EVERY, {"reader": {field: given}})


def test_the_words_about_a_step_are_no_setting_and_change_no_fingerprint() -> None:
    plain = LineDedup()
    described = dataclasses.replace(plain, rule="Removes lines.", cite="CCNet")
    assert fingerprint(described) == fingerprint(plain)
    assert described == plain
    for name in ("rule", "cite", "reason"):
        with pytest.raises(ValueError, match=rf"line_dedup\.{name} is not a setting"):
            configured(EVERY, {"line_dedup": {name: "x"}})


def test_what_a_setting_itself_refuses_is_told_with_its_place() -> None:
    with pytest.raises(ValueError, match=r"^sources\.every\.reader: number is below 0$"):
        configured(EVERY, {"reader": {"number": -1}})


@pytest.mark.parametrize("field", ["NAME", "DATA_VERSION", "nope"])
def test_only_settings_can_be_set(field: str) -> None:
    with pytest.raises(ValueError, match=rf"line_dedup\.{field} is not a setting.*; there are: keep, lines"):
        configured(EVERY, {"line_dedup": {field: "x"}})


def test_a_source_without_a_join_has_no_join_to_set() -> None:
    with pytest.raises(ValueError, match=r"sources\.every\.join is not known; there are: reader, steps, line_dedup"):
        configured(EVERY, {"join": {}})


def test_nothing_set_is_the_source_itself() -> None:
    for source in SOURCES.values():
        assert configured(source, {}) == source


def fields_of() -> Iterator[tuple[str, str, str]]:
    for name, source in SOURCES.items():
        parts = {"reader": source.reader, "join": source.join, **{s.NAME: s for s in source.steps}}
        for place, value in parts.items():
            for field in dataclasses.fields(value) if value is not None else ():
                if field.name not in DedupStep.FIXED:
                    yield name, place, field.name


@pytest.mark.parametrize(("name", "place", "field"), fields_of())
def test_every_setting_of_every_source_can_be_set_from_a_file(name: str, place: str, field: str) -> None:
    """Sets each setting to its default, as YAML would write it. This is accepted and changes nothing."""
    source = SOURCES[name]
    parts = {"reader": source.reader, "join": source.join, **{s.NAME: s for s in source.steps}}
    default = getattr(parts[place], field)
    given = (
        sorted(default) if isinstance(default, frozenset) else list(default) if isinstance(default, tuple) else default
    )
    assert configured(source, {place: {field: given}}) == source
