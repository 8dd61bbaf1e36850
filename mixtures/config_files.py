"""Reads the files of recipes and configurations, and names the file and the line in messages about wrong settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from mixtures.recipe_values import as_mapping
from mixtures.setting_error import place_of
from mixtures.strict_yaml import MAX_BYTES, line_of, parse_yaml
from tokenizer.did_you_mean import or_list

_FOLDER = "recipes"
_ENDING = ".yaml"


def bundled_recipes() -> list[str]:
    """Returns the names of the recipes in the package.

    >>> bundled_recipes()
    ['ccnet', 'llama', 'modern', 'sample']
    """
    names = (file.name for file in (resources.files("mixtures") / _FOLDER).iterdir())
    return sorted(name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING))


def read_text(name_or_path: str | Path) -> tuple[str, str]:
    """Returns the text of a file, and a name of the file for messages. Instead of a path, the name of a recipe in the
    package can be given (``llama``, ...).

    Raises:
        ValueError: there is no such file, it is too large, or it is not UTF-8.
    """
    shipped = resources.files("mixtures") / _FOLDER / f"{name_or_path}{_ENDING}"
    try:
        if str(name_or_path).isidentifier() and shipped.is_file():
            return shipped.read_text(encoding="utf-8"), f"recipe {name_or_path}"
        path = Path(name_or_path)
        if path.exists() and (not path.is_file() or path.stat().st_size > MAX_BYTES):
            raise ValueError(f"{name_or_path}: not a file of at most {MAX_BYTES:,} bytes")
        return path.read_text(encoding="utf-8"), str(name_or_path)
    except OSError as error:
        hint = or_list(name_or_path, bundled_recipes()) if str(name_or_path).isidentifier() else ""
        raise ValueError(f"cannot read the recipe {name_or_path}: {error.strerror}{hint}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{name_or_path}: not UTF-8") from error


def read_yaml(name_or_path: str | Path) -> dict[str, Any]:
    """Reads a recipe or configuration file. Returns its settings as a dictionary.

    Raises:
        ValueError: the file does not exist, is not YAML, or contains no mapping. The message names the file.
    """
    text, place = read_text(name_or_path)
    data = parse_yaml(text, place)
    try:
        return as_mapping("the file", data)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


@contextlib.contextmanager
def naming_file(name_or_path: str | Path | None) -> Iterator[None]:
    """Names the file in the message of every ValueError inside the block, and the line if it is known. If the name
    is None, there is no file, and the message stays the same.

    A `SettingError` knows which setting is wrong. If the file has this setting, the message names its line. If only
    the file's recipe has the setting, the message names the recipe and the line in it.

    >>> from mixtures.setting_error import SettingError
    >>> with naming_file("llama"):
    ...     raise SettingError("weights add up to 90", "mixture.weights")
    Traceback (most recent call last):
    ...
    ValueError: recipe llama, line 17: weights add up to 90
    """
    try:
        yield
    except ValueError as error:
        if name_or_path is None:
            raise ValueError(str(error)) from error
        raise ValueError(_located(error, name_or_path)) from error


def _located(error: ValueError, name_or_path: str | Path) -> str:
    message, where = str(error), place_of(error, "")
    text, place = read_text(name_or_path)
    if message.startswith((f"{place}:", f"{place}, line")):
        return message
    named = parse_yaml(text, place)
    base = named.get("recipe") if isinstance(named, dict) else None
    line = line_of(text, where)
    if line is None and where and isinstance(base, str):
        base_text, base_place = read_text(base)
        if line := line_of(base_text, where):
            return f"{base_place}, line {line}: {message}"
    return f"{place}, line {line}: {message}" if line else f"{place}: {message}"
