"""Computes fingerprints of settings. If a fingerprint is unchanged, a run does not make the output again.

A fingerprint contains no names of classes, fields or files. So these can be renamed, and complete outputs are still
recognised. A fingerprint contains the name of a stage, the stage's data version, and each setting that differs from its
default. A setting is identified by its position in the class. Therefore new settings are added at the end of a class.
``tests/golden/settings.json`` has the order and the defaults.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mixtures.from_yaml import setting_fields

_VERSION_FIELD = "DATA_VERSION"


def fingerprint(*values: Any) -> str:
    """Returns the SHA-256 of the values, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(canonical(values)).encode()).hexdigest()


def canonical(value: Any) -> Any:
    """Converts a value to a JSON value. Equal values give equal JSON values.

    A dataclass becomes a list: its stage name, its data version, and (position, value) of each setting that is not the
    default. In the first example, 1 is the data version, and the setting at position 1 is ``b``:

    >>> from pipeline.sources.dedup_steps import ExactDedup, LineDedup
    >>> canonical(ExactDedup(NAME="a", reason="b", key="id"))
    ['a', 1, [[1, 'b'], [2, 'id']]]
    >>> canonical(LineDedup(keep="first"))
    ['line_dedup', 1, [[2, 'first']]]
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        settings = [
            [position, canonical(getattr(value, field.name))]
            for position, field in enumerate(setting_fields(value))
            if field.name not in ("NAME", _VERSION_FIELD) and not _is_default(field, getattr(value, field.name))
        ]
        return [getattr(value, "NAME", None), getattr(value, _VERSION_FIELD, None), settings]
    if isinstance(value, Mapping):
        return sorted([str(key), canonical(one)] for key, one in value.items())
    if isinstance(value, frozenset | set):
        return sorted(json.dumps(canonical(one)) for one in value)
    if isinstance(value, list | tuple):
        return [canonical(one) for one in value]
    if isinstance(value, Decimal):
        return str(value)
    assert value is None or isinstance(value, str | int | float | bool), value
    return value


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        return bool(value == field.default) and type(value) is type(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return False


def recorded(value: Any) -> Any:
    """Converts a value to the form that the manifest and the report show: its data version, and its settings by name.

    >>> from pipeline.sources.dedup_steps import LineDedup
    >>> recorded(LineDedup())["keep"]
    'ccnet'
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in setting_fields(value, fixed=("NAME", _VERSION_FIELD, "reason"))]
        version = getattr(value, _VERSION_FIELD, None)
        return {"data_version": version, **{name: recorded(getattr(value, name)) for name in names}}
    if isinstance(value, Mapping):
        return {str(key): recorded(one) for key, one in sorted(value.items())}
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [recorded(one) for one in value]
    return str(value) if isinstance(value, Decimal) else value
