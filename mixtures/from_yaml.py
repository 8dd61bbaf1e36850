"""Converts parsed YAML to typed values: a mapping of settings becomes a dataclass, and each value's type is checked."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from mixtures.setting_error import SettingError
from tokenizer.did_you_mean import did_you_mean
from tokenizer.numbers import number_of

T = TypeVar("T")

_OF_SHARES = ("_share", "_overlap", "_score", "threshold")
"""If a setting's name ends like this, its value is a share or a score and may not be above 1. With a larger value, a
step would drop nothing, or everything."""
_WORDS = {
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    bool: "true or false",
    str: "a text",
    tuple: "a list",
    frozenset: "a list",
    Mapping: "a mapping",
}


def setting_fields(kind: Any, *, fixed: Collection[str] = ()) -> list[dataclasses.Field[Any]]:
    """Returns the fields of a dataclass that YAML can set: all except fields in ``fixed`` and fields with
    ``compare=False``."""
    return [f for f in dataclasses.fields(kind) if f.name not in fixed and f.compare]


def with_settings(value: T, settings: Any, where: str, *, fixed: Collection[str] = ()) -> T:
    """Returns a copy of a dataclass instance in which settings from YAML replace the fields of the same names.

    Args:
        value: the instance with the default values.
        settings: a mapping of field names to values.
        where: the name of the mapping for messages, such as ``sources.books.near_dedup``.
        fixed: fields that YAML cannot set.

    Raises:
        ValueError: a name is unknown, or a value has the wrong type. The message lists what is allowed.

    >>> from mixtures.recipe_values import ShardSettings
    >>> with_settings(ShardSettings(), {"target_bytes": 4096}, "shards")
    ShardSettings(target_bytes=4096)
    """
    if not isinstance(settings, Mapping):
        raise SettingError(f"{where} must be a mapping of settings, not {settings!r}", where)
    hints = typing.get_type_hints(type(value))
    known = [field.name for field in setting_fields(value, fixed=fixed)]
    for name in settings:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            message = f"{where}.{name} is not a setting{did_you_mean(name, known)}; there are: {listed}"
            raise SettingError(message, f"{where}.{name}")
    new = {name: converted(one, hints[name], f"{where}.{name}") for name, one in settings.items()}
    for name, one in new.items():
        _check_share(name, one, f"{where}.{name}")
        for key, inner in one.items() if isinstance(one, Mapping) else ():
            _check_share(name.removesuffix("s"), inner, f"{where}.{name}.{key}")
    try:
        changed: T = dataclasses.replace(value, **new)  # type: ignore[type-var]
    except ValueError as error:
        own = f"{where.rpartition('.')[2]}: "  # some steps begin their messages with their name
        raise SettingError(f"{where}: {str(error).removeprefix(own)}", where) from error
    return changed


def _check_share(name: str, value: Any, where: str) -> None:
    """Checks the value of a setting that is a share or a score."""
    if name.endswith(_OF_SHARES) and isinstance(value, float) and not 0 <= value <= 1:
        percent = f" (write {value / 100:g} for {value:g} %)" if 1 < value <= 100 else ""
        raise SettingError(f"{where} must be from 0 to 1, not {value:g}{percent}", where)


def converted(value: Any, kind: Any, where: str) -> Any:
    """Returns a value from YAML, converted to ``kind``, the type of a field. Error messages name the value ``where``.

    Raises:
        ValueError: the value cannot be converted.

    >>> converted(1, float, "x"), converted(["a"], tuple[str, ...], "x"), converted("1_000", int, "x")
    (1.0, ('a',), 1000)
    """
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    for option in options:
        fits, new = _fit(value, option)
        if fits:
            return new
    hint = "; YAML reads `no` as false: put it in quotes" if isinstance(value, list) and False in value else ""
    raise SettingError(f"{where} must be {_words(options)}, not {value!r}{hint}", where)


def _fit(value: Any, option: Any) -> tuple[bool, Any]:
    origin = typing.get_origin(option) or option
    if option is type(None):
        return value is None, None
    if origin is typing.Literal:
        return value in typing.get_args(option), value
    if origin in (tuple, frozenset):
        if not isinstance(value, list | tuple | frozenset):
            return False, None
        (inner, *_) = typing.get_args(option) or (Any,)
        found = [(True, one) if inner is Any else _fit(one, inner) for one in value]
        return all(fits for fits, _ in found), origin(one for _, one in found)
    if origin is Mapping:
        key, inner = typing.get_args(option)
        if not isinstance(value, Mapping) or not all(isinstance(name, key) for name in value):
            return False, None
        pairs = {name: _fit(one, inner) for name, one in value.items()}
        return all(fits for fits, _ in pairs.values()), {name: new for name, (_, new) in pairs.items()}
    if origin in (float, int, Decimal):
        return _fit_number(value, origin)
    return isinstance(origin, type) and isinstance(value, origin), value


def _fit_number(value: Any, kind: type) -> tuple[bool, Any]:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return False, None
    number = number_of(value)
    if number is None:
        return False, None
    if kind is int:
        return number == number.to_integral_value(), int(number)
    return True, float(number) if kind is float else number


def _words(options: Collection[Any]) -> str:
    found = []
    for option in options:
        origin = typing.get_origin(option) or option
        if option is type(None):
            found.append("null")
        elif origin is typing.Literal:
            found += [str(one) for one in typing.get_args(option)]
        else:
            found.append(_WORDS.get(origin, getattr(origin, "__name__", str(origin))))
    return " or ".join(found)
