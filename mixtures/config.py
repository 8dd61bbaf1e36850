"""A run's configuration file: a recipe by name, what the file lays over it, and the run's own keys beside it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from mixtures.recipe import Recipe, read_yaml, recipe_of

RUN_KEYS = ("recipe", "inputs", "models", "output", "seed", "exclude", "run")
"""What a configuration file says of the run; all else in it is the recipe's."""
RECIPE_KEYS = ("name", "mixture", "tokenizer", "shards", "sources", "paper")
_WHOLE_KEYS = ("weights", "validation")
"""Meant as a whole where the file gives them: half of another recipe's weights would add up to anything."""


def read_config(path: str) -> dict[str, Any]:
    """The mapping of a configuration file, every key of it known.

    Raises:
        ValueError: it is not there, is no YAML, or a key is not known; the message names the file and the way out.
    """
    config = read_yaml(path)
    for key in config:
        if key not in RUN_KEYS + RECIPE_KEYS:
            close = difflib.get_close_matches(key, RUN_KEYS + RECIPE_KEYS, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"{path}: {key} is not known{hint} (there are: {', '.join(RUN_KEYS + RECIPE_KEYS)})")
    return config


def recipe_of_config(config: Mapping[str, Any], *, default: str) -> Recipe:
    """The recipe the file names (or the default), with what the file itself says laid over it.

    Raises:
        ValueError: what comes of it is no recipe.
    """
    base = read_yaml(text_in(config, "recipe") or default)
    own = {k: v for k, v in config.items() if k not in RUN_KEYS and not (k == "tokenizer" and isinstance(v, str))}
    return recipe_of(_laid_over(_of_weights(base, own), own))


def text_in(config: Mapping[str, Any], key: str) -> str | None:
    """The text that a configuration file has under a key, if any. Raises ValueError for anything else there."""
    value = config.get(key)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ValueError(f"{key} in the config file must be a path, not {value!r}")
    return value


def _of_weights(base: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The base recipe without what it says, source by source, of sources that the file's own weights leave out."""
    mixture, laid = base.get("mixture"), own.get("mixture")
    weights = laid.get("weights") if isinstance(laid, Mapping) else None
    if not isinstance(mixture, Mapping) or not isinstance(weights, Mapping):
        return base
    left_out = {s for s in mixture.get("weights", {}) if s not in weights}
    kept = {
        what: {s: v for s, v in said.items() if s not in left_out} if isinstance(said, Mapping) else said
        for what, said in mixture.items()
    }
    return {**base, "mixture": kept}


def _laid_over(base: Any, own: Any) -> Any:
    """
    >>> _laid_over({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    if isinstance(base, Mapping) and isinstance(own, Mapping):
        return {**base, **{k: v if k in _WHOLE_KEYS else _laid_over(base.get(k), v) for k, v in own.items()}}
    return own
