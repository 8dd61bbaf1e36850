"""Finds values and types by paths. For example, the path ``meta.url`` names the field ``url`` in the column ``meta``.

A number in a path names an element of a list. If a column's own name is ``meta.url``, with the dot, the path names that
column instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

MAX_NAMES_SHOWN = 30
"""A message lists at most this many names of columns."""


class _Missing:
    """The type of :data:`MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""The value that :func:`value_at` returns if a row has nothing at the path. If the row has a null there, the function
returns None.
"""


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """Returns the value at a path of a row, or :data:`MISSING`.

    >>> value_at({"meta": {"urls": ["a", "b"]}}, "meta.urls.1"), value_at({"a.b": 1}, "a.b"), value_at({"a": 1}, "a.b")
    ('b', 1, MISSING)
    """
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None if value is None else MISSING
    return value


def type_at(schema: pa.Schema, path: str) -> pa.DataType | None:
    """Returns the type at a path of a schema, or None if the schema has nothing there.

    >>> schema = pa.schema({"meta": pa.struct({"url": pa.string(), "tags": pa.list_(pa.string())})})
    >>> type_at(schema, "meta.url"), type_at(schema, "meta.tags.0"), type_at(schema, "meta.text")
    (DataType(string), DataType(string), None)
    """
    if path in schema.names:
        return schema.field(path).type
    head, *parts = path.split(".")
    found = schema.field(head).type if head in schema.names else None
    for part in parts:
        if found is None:
            return None
        if pa.types.is_struct(found):
            index = found.get_field_index(part)
            found = found.field(index).type if index >= 0 else None
        else:
            found = found.value_type if _is_list(found) and part.isdecimal() else None
    return found


def stored_path(schema: pa.Schema, path: str) -> str:
    """Returns the beginning of a path, up to the first list. This beginning names a column that Parquet can read.
    Parquet cannot read single elements of a list.

    >>> stored_path(pa.schema({"a": pa.struct({"b": pa.list_(pa.string())})}), "a.b.0")
    'a.b'
    """
    if path in schema.names:
        return path
    parts = path.split(".")
    for length in range(1, len(parts)):
        found = type_at(schema, ".".join(parts[:length]))
        if found is None or not pa.types.is_struct(found):
            return ".".join(parts[:length])
    return path


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def paths_of_schema(schema: pa.Schema) -> list[str]:
    """Returns the paths of all values in a schema, for messages.

    >>> paths_of_schema(pa.schema({"id": pa.int64(), "meta": pa.struct({"url": pa.string()})}))
    ['id', 'meta.url']
    """
    return [path for field in schema for path in _paths_of_field(field, field.name)]


def _paths_of_field(field: pa.Field, name: str) -> Iterator[str]:
    if not pa.types.is_struct(field.type):
        yield name
    else:
        for number in range(field.type.num_fields):
            inner = field.type.field(number)
            yield from _paths_of_field(inner, f"{name}.{inner.name}")


def paths_of_row(row: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns the paths of all values in a row, for messages. Very deep mappings count as one value.

    >>> paths_of_row({"id": 1, "meta": {"url": "a"}})
    ['id', 'meta.url']
    """
    found: list[str] = []
    for name, value in row.items():
        is_deep = isinstance(value, Mapping) and value and prefix.count(".") < 4
        found += paths_of_row(value, f"{prefix}{name}.") if is_deep else [f"{prefix}{name}"]
    return found


def shown(paths: list[str]) -> str:
    """Joins names into one text for a message, sorted and with commas. Only the first 30 names are in the text, and
    long names are cut.

    >>> shown(["b", "a"]), shown([])
    ('a, b', 'none')
    """
    names = sorted(path[:80] for path in paths)
    return ", ".join(names[:MAX_NAMES_SHOWN]) + (", ..." if len(names) > MAX_NAMES_SHOWN else "") or "none"
