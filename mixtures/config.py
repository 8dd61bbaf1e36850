"""Reads a run's configuration file. The file names a recipe. Some keys of the file override keys of the recipe. All
other keys are about the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixtures.config_files import bundled_recipes, naming_file, read_yaml
from mixtures.recipe import Recipe, load_recipe, recipe_of
from mixtures.setting_error import SettingError
from tokenizer.did_you_mean import did_you_mean
from tokenizer.encoder_settings import KEYS as ENCODER_KEYS

RUN_KEYS = ("recipe", "inputs", "models", "output", "seed", "exclude", "run", "decontamination", "dedup")
"""Keys of a configuration file that are about the run. All other keys belong to the recipe."""
RECIPE_KEYS = ("name", "mixture", "tokenizer", "shards", "sources", "corpora", "paper")
DECONTAMINATION = "decontamination"
"""The key about evaluation sets. It does not affect the mixture, but a recipe may have it too."""
_WHOLE_KEYS = ("weights", "epochs", "validation", "parts")
"""If a file has one of these keys, its mapping replaces the recipe's whole mapping. If only some weights were replaced,
the weights would not add up to 100."""


_BY_SOURCE = ("weights", "epochs", "max_epochs", "validation", "parts")
"""The keys of ``mixture`` whose values are mappings of sources to values."""
_NOT_SOURCES = ("temperature", "sources", "share", "tokens")
"""Keys that such a mapping may have instead of names of sources: ``temperature`` and ``sources`` in ``weights``;
``share`` and ``tokens`` in ``validation``, where they apply to all sources."""


def read_config(path: str) -> dict[str, Any]:
    """Returns the mapping in a configuration file, after checking that all its keys are known.

    Raises:
        ValueError: the file does not exist, is not YAML, or has an unknown key. The message names the file and says
            what to do.
    """
    config, known = read_yaml(path), RUN_KEYS + RECIPE_KEYS
    with naming_file(path):
        for key in config:
            if key not in known:
                message = f"{key} is not known{did_you_mean(key, known)} (there are: {', '.join(known)})"
                raise SettingError(message, str(key))
    return config


def recipe_of_config(config: Mapping[str, Any], *, default: str, inputs: Iterable[str] = ()) -> Recipe:
    """Returns a run's recipe: the recipe that its configuration file names, changed by the file's own values.

    Args:
        config: the mapping in the configuration file.
        default: the recipe to use if the file names none.
        inputs: the sources that have input. They are used only if the file names no source in its weights and epochs.
            If the file sets a ``temperature``, these sources get weights that depend on their sizes. If this argument
            is empty, the sources under ``inputs`` in the file get weights, or else the recipe's sources. If the file
            has ``corpora`` and names no recipe, each source in this argument is used once.

    Raises:
        ValueError: the result is not a valid recipe.
    """
    named = text_in(config, "recipe") or default
    base = read_yaml(named)
    base.pop(DECONTAMINATION, None)
    own = {k: v for k, v in config.items() if k not in RUN_KEYS and not (k == "tokenizer" and tokenizer_path(config))}
    if isinstance(said := own.get("tokenizer"), Mapping):
        own["tokenizer"] = {key: value for key, value in said.items() if key not in ENCODER_KEYS}
    if config.get("corpora") and not config.get("recipe") and not _sources(own.get("mixture")):
        once = {"epochs": dict.fromkeys(inputs, 1)}  # only corpora, without weights: use all of their text once
        own["mixture"] = {**(own.get("mixture") or {}), **once}
    own = _with_sources(own, list(inputs) or list(config.get("inputs") or ()) or _sources(base.get("mixture")))
    recipe = recipe_of(_laid_over(_of_weights(base, own), own))
    return replace(recipe, is_length_inherited=_lacks_length(own.get("mixture")), base=named)


def base_of(recipe: Recipe) -> Recipe | None:
    """Returns the recipe on which a run's recipe builds, or None if there is no such recipe or it cannot be read.

    If a bundled recipe has the same name as the run's recipe, this is the bundled recipe. Otherwise, it is the recipe
    that the run's configuration file names.

    >>> from dataclasses import replace
    >>> base_of(replace(load_recipe("modern"), name="mine", base="modern")).name
    'modern'
    """
    name = recipe.name if recipe.name in bundled_recipes() else recipe.base
    try:
        return recipe_of_file(name) if name else None
    except ValueError:
        return None


def recipe_of_file(name_or_path: str) -> Recipe:
    """Returns the recipe that has this name or is in this file. If the file is a run's configuration file, returns the
    run's recipe.

    So the same file can be passed to all commands.

    Raises:
        ValueError: there is no such recipe, or the file is neither a recipe nor a configuration file.

    >>> recipe_of_file("llama").name
    'llama'
    """
    if Path(name_or_path).is_file():
        config = read_config(name_or_path)
        if config.keys() & set(RUN_KEYS) or "name" not in config or not _has_length(config.get("mixture")):
            with naming_file(name_or_path):
                return recipe_of_config(config, default="llama")
    return load_recipe(name_or_path)


def tokenizer_path(config: Mapping[str, Any]) -> str | None:
    """Returns the path of the tokenizer's file that a configuration names: ``tokenizer: FILE`` or
    ``tokenizer: {path: FILE}``.

    Raises:
        ValueError: the configuration names a file and also has settings for training a tokenizer.

    >>> tokenizer_path({"tokenizer": {"path": "t.json", "bos": False}}), tokenizer_path({"tokenizer": {"bos": False}})
    ('t.json', None)
    """
    said = config.get("tokenizer")
    if not isinstance(said, Mapping):
        return said if isinstance(said, str) else None
    if "path" not in said:
        return None
    if other := [str(key) for key in said if key not in ENCODER_KEYS]:
        raise ValueError(f"tokenizer has path, and {other[0]}, which is about training one: give one of the two")
    return text_in(said, "path")


def check_sources(config: Mapping[str, Any], known: Iterable[str]) -> None:
    """Checks that the names under ``mixture`` and ``sources`` in a configuration file are sources.

    Raises:
        SettingError: a name is not a source. The message suggests the most similar name.
    """
    # Without this check, the error about a misspelt name under ``weights`` would point to ``max_epochs``, where the
    # name is spelt correctly.
    names = list(known)
    mixture = config.get("mixture")
    sections = {"sources": config.get("sources")}
    if isinstance(mixture, Mapping):
        sections |= {f"mixture.{key}": mixture.get(key) for key in _BY_SOURCE}
    for where, section in sections.items():
        inner = section.get("relative", section) if isinstance(section, Mapping) else None
        place = where if inner is section else f"{where}.relative"
        for name in inner if isinstance(inner, Mapping) else ():
            if str(name) not in names and name not in _NOT_SOURCES:
                raise SettingError(f"{place}: {name!r} is not a source{did_you_mean(name, names)} (there are: "
                                   f"{', '.join(names)}); one of your own is declared under corpora",
                                   f"{place}.{name}")  # fmt: skip


def corpora_in(config: Mapping[str, Any], *, default: str) -> dict[str, Any]:
    """Returns the user's own sources, which are declared in YAML under ``corpora`` and need no code.

    The file and its recipe may both declare sources. If both set the same value, the file's value is used.

    Raises:
        ValueError: the file's ``corpora`` is not a mapping.
    """
    found = _laid_over(
        read_yaml(text_in(config, "recipe") or default).get("corpora") or {}, config.get("corpora") or {}
    )
    if not isinstance(found, Mapping):
        raise ValueError("corpora in the config file must map a name to its declaration")
    return {str(name): one for name, one in found.items()}


def decontamination_of_config(config: Mapping[str, Any]) -> Any:
    """Returns the settings about evaluation sets. Settings in the file itself override those in the named recipe.

    Returns None if neither has such settings, or if the file switches them off (``false``).
    """
    own = config.get(DECONTAMINATION)
    named = text_in(config, "recipe")
    base = read_yaml(named).get(DECONTAMINATION) if named else None
    if own is None or own is False:
        return base if own is None and base is not False else None
    if isinstance(own, list):
        own = {"sets": own}
    return _laid_over(base, own)


def text_in(config: Mapping[str, Any], key: str) -> str | None:
    """Returns the text that a configuration file has for a key, or None if it lacks the key. Raises ValueError if the
    value is not a text.
    """
    value = config.get(key)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ValueError(f"{key} in the config file must be a path, not {value!r}")
    return value


def _with_sources(own: dict[str, Any], sources: list[str]) -> dict[str, Any]:
    """Adds ``sources`` to weights that are computed from sizes (``temperature``), if they list no sources."""
    mixture = own.get("mixture")
    weights = mixture.get("weights") if isinstance(mixture, Mapping) else None
    if not isinstance(weights, Mapping) or "temperature" not in weights or "sources" in weights:
        return own
    return {**own, "mixture": {**mixture, "weights": {**weights, "sources": sources}}}  # type: ignore[dict-item]


def _has_length(mixture: Any) -> bool:
    return not isinstance(mixture, Mapping | None) or (mixture is not None and "tokens" in mixture)


def _lacks_length(mixture: Any) -> bool:
    """True if a mixture replaces the recipe's weights without saying how long the stream should be.

    >>> _lacks_length({"weights": {"books": 100}}), _lacks_length({"weights": {"books": 100}, "tokens": "1B"})
    (True, False)
    """
    if not isinstance(mixture, Mapping) or not _sources(mixture):
        return False
    return "tokens" not in mixture and mixture.get("length") != "exact"


def _sources(mixture: Any) -> list[str]:
    """Returns the sources to which a mixture gives weights or epochs. Understands every form of weights and epochs."""
    if not isinstance(mixture, Mapping):
        return []
    given = mixture.get("epochs") or mixture.get("weights")
    if not isinstance(given, Mapping):
        return []
    if "temperature" in given:
        return [name for name in given.get("sources") or () if isinstance(name, str)]
    relative = given.get("relative", given)
    return [str(name) for name in relative] if isinstance(relative, Mapping) else []


def _of_weights(base: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the recipe ``base`` without the values that the weights (or epochs) in the file ``own`` replace.

    If the file has weights or epochs, the recipe's are removed. If the file has epochs, the recipe's ``max_epochs``
    are removed too. If the file has no weight or epochs for one of the recipe's sources, all values
    about this source are removed.
    """
    mixture, laid = base.get("mixture"), own.get("mixture")
    if not isinstance(mixture, Mapping) or not isinstance(laid, Mapping) or not _sources(laid):
        return base
    left_out = set(_sources(mixture)) - set(_sources(laid))
    kept = {
        key: {s: v for s, v in value.items() if s not in left_out} if isinstance(value, Mapping) else value
        for key, value in mixture.items()
        if key not in ("weights", "epochs") and not (key == "max_epochs" and "epochs" in laid)
    }
    return {**base, "mixture": kept}


def _laid_over(base: Any, own: Any) -> Any:
    """Returns ``base`` with its values replaced by those of ``own``. Mappings inside are merged in the same way.

    >>> _laid_over({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    if isinstance(base, Mapping) and isinstance(own, Mapping):
        return {**base, **{k: v if k in _WHOLE_KEYS else _laid_over(base.get(k), v) for k, v in own.items()}}
    return own
