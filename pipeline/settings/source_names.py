"""Determines which sources a run has and which globs match their files, from the flags and the configuration file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mixtures.recipe import Recipe
from mixtures.setting_error import SettingError
from tokenizer.did_you_mean import did_you_mean

Known = Sequence[str]
"""The names of all sources: those defined in code, and those that the configuration file declares."""
INPUTS = "inputs"
"""The key of the configuration file that has the globs of each source."""


def given_inputs(flags: Sequence[str], known: Known) -> dict[str, tuple[str, ...]]:
    """Returns the globs of each source, from the values of the flag ``--input SOURCE=GLOB``.

    Raises:
        ValueError: a value does not have the form ``SOURCE=GLOB``, or names an unknown source.
    """
    given: dict[str, tuple[str, ...]] = {}
    for flag in flags:
        name, equals, glob = flag.partition("=")
        if not equals or not glob:
            raise ValueError(f"--input {flag}: write SOURCE=GLOB, such as --input books='books/*.txt'")
        given[known_source(name, "--input", known)] = (*given.get(name, ()), glob)
    return given


def inputs_of_config(in_file: Any, known: Known) -> dict[str, tuple[str, ...]]:
    """Returns the globs of each source in the configuration file.

    Args:
        in_file: the section ``inputs`` of the file; None if the file has no such section.

    Raises:
        ValueError: the section is not a mapping of sources to globs, or names an unknown source.
    """
    if in_file is None:
        return {}
    if not isinstance(in_file, Mapping):
        raise SettingError("inputs in the config file must map a source to its globs", INPUTS)
    return {known_source(str(n), INPUTS, known): _globs(str(n), g) for n, g in in_file.items()}


def _globs(name: str, given: Any) -> tuple[str, ...]:
    globs = [given] if isinstance(given, str) else given
    if not isinstance(globs, list) or not globs or not all(isinstance(g, str) and g for g in globs):
        message = f"inputs.{name} in the config file must be a glob or a list of globs, not {given!r}"
        raise SettingError(message, f"{INPUTS}.{name}")
    return tuple(globs)


def known_source(name: str, where: str, known: Known) -> str:
    """Returns ``name`` if a source has this name.

    Args:
        where: the flag or the setting that contains the name, for the message.

    Raises:
        ValueError: no source has this name.
    """
    if name not in known:
        message = f"{where}: {name!r} is not a source{did_you_mean(name, known)} (there are: {', '.join(known)})"
        raise SettingError(message, f"{where}.{name}") if where == INPUTS else ValueError(message)
    return name


def source_names(flag: str | None, inputs: Mapping[str, Any], recipe: Recipe, known: Known) -> list[str]:
    """Returns the names of the sources of this run, in the order of ``known``.

    Raises:
        ValueError: ``--sources`` names no source, an unknown source, or one without input.
    """
    if flag is None:
        wanted = set(inputs) or set(recipe.weights)
    else:
        wanted = {known_source(n.strip(), "--sources", known) for n in flag.split(",") if n.strip()}
        if not wanted:
            raise ValueError("--sources: names no source")
        without = sorted(wanted - set(inputs)) if inputs else []
        if without:
            raise ValueError(f"--sources: {without[0]} has no input; add --input {without[0]}=GLOB")
    return [name for name in known if name in wanted]
