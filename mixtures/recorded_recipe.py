"""Reads the recipe of an earlier run from the record in its output folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixtures.recipe import Recipe, recipe_of

_RECORD = Path(".work") / "run.json"


def recorded_recipe(folder: Path) -> Recipe | None:
    """Returns the recipe of the run that made an output.

    Args:
        folder: the output folder, or its folder ``stats``.

    Returns:
        The recipe with all settings of the run. None if the folder has no record, or if the record cannot be read.
    """
    for output in (folder, folder.parent):
        path = output / _RECORD
        try:
            data = json.loads(path.read_text("utf-8"))["settings"]["recipe"] if path.is_file() else None
            if data is not None:
                return recipe_of_record(data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
    return None


def recipe_of_record(data: Mapping[str, Any]) -> Recipe:
    """Returns a recipe from the values of its fields, as a run records them.

    Raises:
        ValueError: the recipe derives its weights from the tokens of parts. The record lacks these numbers.
        KeyError, TypeError: the record is not that of a recipe.
    """
    mixture: dict[str, Any] = {key: data[key] for key in ("weights", "max_epochs", "tokens", "missing")}
    if data.get("length"):
        mixture["length"] = data["length"]
    mixture |= _of_rule(data.get("rule"), list(data["weights"]))
    parts = {s: _rule_of(one) for s, one in data.get("parts", {}).items()}
    limits = {s: one["max_epochs"] for s, one in data.get("parts", {}).items() if one["max_epochs"]}
    mixture |= {"parts": parts, "max_epochs": {**data["max_epochs"], **limits}} if parts else {}
    held = {s: {k: v for k, v in one.items() if v is not None} for s, one in data["validation"].items()}
    kept = {key: value for key, value in mixture.items() if value is not None}
    recipe = recipe_of(
        {"name": data["name"], "mixture": {**kept, "validation": held}}
        | {key: data[key] for key in ("tokenizer", "shards", "sources")}
        | {"corpora": data.get("corpora", {})}
    )
    return replace(recipe, is_length_inherited=bool(data.get("is_length_inherited")), base=str(data.get("base") or ""))


def _of_rule(rule: Mapping[str, Any] | None, sources: list[str]) -> dict[str, Any]:
    """Returns the weights of a recipe that derives them from the available tokens."""
    if rule is None:
        return {}
    if rule["parts"] or rule["fixed"]:
        raise ValueError("the weights follow from the tokens of parts")
    if rule["temperature"] is not None:
        return {"weights": {"temperature": rule["temperature"], "sources": sources}}
    return {"weights": None, "epochs": rule["epochs"]}


def _rule_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the rule by which a source was divided into parts. ``data`` is the rule as the run recorded it. The
    result is the rule as a recipe contains it.
    """
    return {"by": data["by"], **({"epochs": data["weights"]} if data["is_epochs"] else data["weights"])}
