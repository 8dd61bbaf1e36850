"""Settings onto values: a mapping of numbers and words from a recipe onto a source's reader, steps and join."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.source import Source


def configured(source: Source, settings: Mapping[str, Any]) -> Source:
    """The source with this run's settings.

    ``settings`` maps ``reader``, ``join`` or a step's name to its fields; ``off`` leaves a step out.

    Raises:
        ValueError: a name or a field is not known, or a value is of the wrong kind; says which are known.
    """
    steps = {step.NAME: step for step in source.steps}
    known = ["reader", *(["join"] if source.join_settings is not None else []), *steps]
    for name in settings:
        if name not in known:
            raise ValueError(f"sources.{source.name}.{name} is not known; there are: {', '.join(known)}")
    where = f"sources.{source.name}"
    off = {name for name in steps if settings.get(name) is False}
    if "duplicate_id" in off:
        raise ValueError(f"{where}.duplicate_id cannot be off: everything behind it rests on ids that are unique")
    kept = [step for step in source.steps if step.NAME not in off]
    return dataclasses.replace(
        source,
        reader=_replaced(source.reader, settings.get("reader", {}), f"{where}.reader"),
        join_settings=_replaced(source.join_settings, settings.get("join", {}), f"{where}.join"),
        steps=tuple(_replaced(step, settings.get(step.NAME, {}), f"{where}.{step.NAME}") for step in kept),
    )


def _replaced(value: Any, fields: Any, where: str) -> Any:
    if not fields:
        return value
    if not isinstance(fields, Mapping):
        raise ValueError(f"{where} must be a mapping of settings, not {fields!r}")
    hints = typing.get_type_hints(type(value))
    known = {f.name: hints[f.name] for f in dataclasses.fields(value) if f.name not in DedupStep.FIXED}
    new = {}
    for name, given in fields.items():
        if name not in known:
            raise ValueError(f"{where}.{name} is not a setting; there are: {', '.join(sorted(known)) or 'none'}")
        new[name] = _converted(given, known[name], f"{where}.{name}")
    try:
        return dataclasses.replace(value, **new)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _converted(value: Any, kind: Any, where: str) -> Any:
    """A value of YAML as the field's type wants it."""
    options = typing.get_args(kind) if isinstance(kind, typing.types.UnionType) else (kind,)  # type: ignore[attr-defined]
    for option in options:
        origin = typing.get_origin(option) or option
        if option is type(None) and value is None:
            return None
        if origin is tuple and isinstance(value, list | tuple):
            return tuple(value)
        if origin is frozenset and isinstance(value, list | tuple):
            return frozenset(value)
        if origin is float and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return float(value)
        if origin is typing.Literal and value in typing.get_args(option):
            return value
        if isinstance(origin, type) and isinstance(value, origin) and not (origin is int and isinstance(value, bool)):
            return value
    raise ValueError(f"{where} must be {_words(kind)}, not {value!r}")


def _words(kind: Any) -> str:
    return getattr(kind, "__name__", None) if isinstance(kind, type) else str(kind).replace("typing.", "")  # type: ignore[return-value]


def canonical(value: Any) -> Any:
    """A value as JSON can hold it, equal for equal settings: what a step's fingerprint is taken of."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value) if f.compare}
        name, version = type(value).__name__, getattr(value, "DATA_VERSION", None)
        return {"type": name, "data_version": version, **fields}
    if isinstance(value, Mapping):
        return {str(k): canonical(v) for k, v in sorted(value.items())}
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    assert value is None or isinstance(value, str | int | float | bool), value
    return value
