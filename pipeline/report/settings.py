"""Converts the settings of a run to a flat mapping from dotted names (``sources.common_crawl.reader.dump``) to texts.
Such mappings are compared, to show how a run differs from its recipe or from a second run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from mixtures.config import base_of
from mixtures.recipe import Recipe
from pipeline.output.fingerprint import recorded
from pipeline.report.output_state import RunState
from pipeline.settings.source_settings import configured
from pipeline.sources import SOURCES
from pipeline.sources.all_sources import all_sources
from pipeline.sources.source import Source

_RUN_DEFAULTS = {"seed": 0, "tokens": None, "fraction": 1.0, "exclude": None}
_ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Difference:
    """Holds a setting that has two different values. The values are texts."""

    name: str
    this: str
    other: str


def settings_of(state: RunState) -> dict[str, str]:
    """Returns the settings of a run: its recipe, its sources' readers and steps, and its flags."""
    found = _of_recipe(state.recipe) if state.recipe else {}
    for one in state.sources:
        if one.source is not None and one.has_settings:
            found |= _of_source(one.source)
    recorded = state.record.get("settings", {})
    found |= {f"run.{name}": _text(recorded[name]) for name in _RUN_DEFAULTS if name in recorded}
    found |= {f"run.{name}": _text(value) for name, value in recorded.get("run", {}).items()}
    return found


def recipe_settings(state: RunState) -> dict[str, str] | None:
    """Returns the settings of the recipe that the run builds on (``recipe:`` in its configuration file), including all
    defaults. Returns None if that recipe is not known or cannot be read.
    """
    base = base_of(state.recipe) if state.recipe is not None else None
    if base is None:
        return None
    found, known = _of_recipe(base), all_sources(base.corpora)
    for one in state.sources:
        if one.name in known:
            found |= _of_source(configured(known[one.name], base.sources.get(one.name, {})))
    return found | {f"run.{name}": _text(value) for name, value in _RUN_DEFAULTS.items()}


def default_settings(state: RunState) -> dict[str, str]:
    """Returns the default settings of a run: those of its sources' readers, joins and steps, and of flags such as the
    seed. The run is compared with these settings if the recipe that it builds on is not known.
    """
    found: dict[str, str] = {}
    for one in state.sources:
        if one.name in SOURCES:
            found |= _of_source(SOURCES[one.name])
    return found | {f"run.{name}": _text(value) for name, value in _RUN_DEFAULTS.items()}


def differences(this: Mapping[str, str], other: Mapping[str, str], *, only_common: bool = False) -> list[Difference]:
    """Returns the settings that differ, sorted by name.

    With ``only_common``, settings that only one side has are ignored.

    >>> differences({"a": "1", "b": "2"}, {"a": "1", "b": "3"})
    [Difference(name='b', this='2', other='3')]
    """
    names = set(this) & set(other) if only_common else set(this) | set(other)
    return [
        Difference(name, this.get(name, _ABSENT), other.get(name, _ABSENT))
        for name in sorted(names)
        if this.get(name, _ABSENT) != other.get(name, _ABSENT)
    ]


def _of_recipe(recipe: Recipe) -> dict[str, str]:
    mixture = {
        "weights": recipe.weights,
        "max_epochs": recipe.max_epochs,
        "parts": {s: {"by": p.by, "weights": p.weights, "max_epochs": p.max_epochs} for s, p in recipe.parts.items()},
        "tokens": recipe.tokens,
        "missing": recipe.missing,
        "validation": {s: {k: v for k, v in dataclasses.asdict(h).items() if v} for s, h in recipe.validation.items()},
    }
    return {
        **_flat("mixture", mixture),
        **_flat("tokenizer", recipe.tokenizer),
        **_flat("shards", dataclasses.asdict(recipe.shards)),
    }


def _of_source(source: Source) -> dict[str, str]:
    where = f"sources.{source.name}"
    found = _flat(f"{where}.reader", _fields(source.reader))
    if source.join is not None:
        found |= _flat(f"{where}.join", _fields(source.join))
    for step in source.steps:
        found[f"{where}.{step.NAME}"] = "on"
        found |= _flat(f"{where}.{step.NAME}", _fields(step))
    return found


def _fields(value: Any) -> dict[str, Any]:
    return {name: one for name, one in recorded(value).items() if name != "data_version"}


def _flat(where: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {where: _text(value)}
    found: dict[str, str] = {}
    for name, one in value.items():
        found |= _flat(f"{where}.{name}", one)
    return found


def _text(value: Any) -> str:
    """Returns a value of a setting as text.

    >>> _text(Decimal("4.50")), _text("4.5"), _text([1, 2]), _text(None)
    ('4.5', '4.5', '1, 2', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    try:
        return f"{Decimal(str(value)).normalize():f}"
    except InvalidOperation:
        return str(value)
