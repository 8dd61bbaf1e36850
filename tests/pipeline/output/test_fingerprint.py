"""Tests that a fingerprint depends on settings and versions, but not on the names of classes, fields or files."""

from __future__ import annotations

import dataclasses
import json
from typing import ClassVar

import pytest

from pipeline.output.fingerprint import canonical, fingerprint, recorded
from pipeline.sources import SOURCES
from pipeline.sources.dedup_steps import ExactDedup, LineDedup


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """Has settings of several types, each with a default."""

    DATA_VERSION: ClassVar[int] = 3

    number: int = 1
    share: float = 0.5
    words: tuple[str, ...] = ("a",)
    names: frozenset[str] = frozenset({"a"})
    maybe: int | None = 1


def test_a_fingerprint_tells_settings_and_versions_apart() -> None:
    seen = [
        Every(),
        Every(number=2),
        Every(words=("a", "b")),
        ExactDedup(NAME="a", reason="a", key="id"),
        ExactDedup(NAME="b", reason="a", key="id"),
        ExactDedup(NAME="a", reason="a", key="url"),
        ExactDedup(NAME="a", reason="a", key="id", DATA_VERSION=2),
        LineDedup(),
        LineDedup(keep="first"),
    ]
    assert len({fingerprint(value) for value in seen}) == len(seen)
    assert fingerprint(Every(names=frozenset("ab"))) == fingerprint(Every(names=frozenset("ba")))


def test_no_name_of_a_class_or_a_field_enters_a_fingerprint() -> None:
    fields = [(f.name, f.type, f) for f in dataclasses.fields(Every)]
    renamed = dataclasses.make_dataclass(
        "Renamed",
        [(f"new_{name}", kind, dataclasses.field(default=f.default)) for name, kind, f in fields],
        namespace={"DATA_VERSION": Every.DATA_VERSION},
        frozen=True,
    )
    assert fingerprint(renamed(new_number=2)) == fingerprint(Every(number=2))
    assert fingerprint(renamed(new_number=3)) != fingerprint(Every(number=2))


def test_a_setting_added_at_the_end_changes_nothing_while_it_is_the_default() -> None:
    longer = dataclasses.make_dataclass("Longer", [("more", int, 7)], bases=(Every,), frozen=True, kw_only=True)
    assert fingerprint(longer()) == fingerprint(Every())
    assert fingerprint(longer(more=8)) != fingerprint(Every())


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_fingerprint_is_taken_of_is_json(name: str) -> None:
    source = SOURCES[name]
    for value in (source.reader, source.join, *source.steps):
        assert json.loads(json.dumps(canonical(value))) == canonical(value)
    for value in (source.reader, *source.steps):
        assert json.loads(json.dumps(recorded(value)))["data_version"] == value.DATA_VERSION


def test_what_json_cannot_hold_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        canonical(object())
