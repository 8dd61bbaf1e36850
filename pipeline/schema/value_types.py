"""Converts the type of a setting (such as ``int | None``) to JSON Schema. ``mixtures.from_yaml.converted`` reads
settings from YAML by the same rules.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from mixtures.from_yaml import setting_fields

Schema = dict[str, Any]

_DIGITS = r"\s*[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?\s*[KMBTkmbt]?\s*"
NUMBER_TEXT: Schema = {"type": "string", "pattern": f"^{_DIGITS}$"}
"""The schema of a number that is written as text: quoted, with an exponent (YAML reads such a number as text), or with
a suffix such as 100M.
"""
NUMBER: Schema = {"anyOf": [{"type": "number"}, NUMBER_TEXT]}
WHOLE_NUMBER: Schema = {"anyOf": [{"type": "integer"}, NUMBER_TEXT]}
TEXT: Schema = {"type": "string", "pattern": r"\S"}


def schema_of(kind: Any) -> Schema:
    """Returns the schema of the values that a field of this type can be set to.

    >>> schema_of(tuple[str, ...])
    {'type': 'array', 'items': {'type': 'string'}}
    >>> schema_of(int | None)["anyOf"][-1]
    {'type': 'null'}
    """
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    found = [_one(option) for option in options]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _one(kind: Any) -> Schema:
    origin = typing.get_origin(kind) or kind
    if kind is type(None):
        return {"type": "null"}
    if origin is typing.Literal:
        return {"enum": list(typing.get_args(kind))}
    if origin in (tuple, frozenset):
        inner = [one for one in typing.get_args(kind) if one is not Ellipsis]
        return {"type": "array", "items": schema_of(inner[0])} if inner and inner[0] is not Any else {"type": "array"}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": schema_of(typing.get_args(kind)[1])}
    if origin is bool:
        return {"type": "boolean"}
    if origin is int:
        return WHOLE_NUMBER
    if origin in (float, Decimal):
        return NUMBER
    return {"type": "string"} if origin is str else {}


def settings_schema(value: Any, *, fixed: Collection[str] = ()) -> Schema:
    """Returns the schema of a mapping of settings. The settings are the fields of a dataclass.

    Args:
        value: an instance of the dataclass. The values of its fields are the defaults of the settings.
        fixed: fields that YAML cannot set.
    """
    hints, texts = typing.get_type_hints(type(value)), field_texts(type(value))
    properties: dict[str, Schema] = {}
    for field in setting_fields(value, fixed=fixed):
        one = dict(schema_of(hints[field.name]))
        if field.name in texts:
            one["description"] = texts[field.name]
        default = plain(getattr(value, field.name))
        if default is not None:
            one["default"] = default
        properties[field.name] = one
    return {"type": "object", "properties": properties, "additionalProperties": False}


def field_texts(kind: type) -> dict[str, str]:
    """Returns the docstrings of the fields of a dataclass, including inherited ones.

    >>> from mixtures.recipe_values import ShardSettings
    >>> field_texts(ShardSettings)
    {'target_bytes': 'Approximate size of the token ids in a shard, in bytes.'}
    """
    found: dict[str, str] = {}
    for one in reversed([k for k in kind.__mro__ if dataclasses.is_dataclass(k)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            said = text.value.value if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) else None
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(said, str):
                found[field.target.id] = " ".join(said.split())
    return found


def first_paragraph(text: str | None) -> str:
    """Returns the first paragraph of a docstring on one line."""
    return " ".join((text or "").split("\n\n")[0].split())


def plain(value: Any) -> Any:
    """Converts the default value of a setting to JSON. Returns None if JSON cannot represent the value."""
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, frozenset):
        return sorted(value)
    return value if isinstance(value, str | int | float | bool) else None
