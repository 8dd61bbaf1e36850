"""Converts values of rows to the text, the id and the columns of a document. Columns have one of four types."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from pipeline.sources.formats.json_lines import storable

KINDS: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
}
"""The types that a declaration can give to a column."""


class WrongType(ValueError):  # noqa: N818 - the name says what is wrong
    """Raised if a value cannot be converted to the type of its column."""


def id_of_text(text: str) -> str:
    """Returns an id for a document that has no id. Equal texts get equal ids.

    >>> id_of_text("a")[:20]
    'sha256:ca978112ca1bb'
    """
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def text_of(value: Any) -> str:
    """Returns a value as text. The value must be a string, or bytes in UTF-8.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
        WrongType: the value is neither a string nor bytes.
    """
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, bytes):
        return value.decode("utf-8")
    raise WrongType(f"it is {_kind_of(value)}")


def as_kind(value: Any, kind: str) -> Any:
    """Returns a value converted to ``kind``, one of :data:`KINDS`. None stays None.

    Raises:
        WrongType: the value cannot be converted.

    >>> as_kind(7, "string"), as_kind({"a": [1]}, "string"), as_kind("0.5", "float"), as_kind(2.0, "integer")
    ('7', '{"a": [1]}', 0.5, 2)
    """
    return None if value is None else _MAKERS[kind](value)


def _string(value: Any) -> str:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise WrongType("its bytes are not UTF-8") from error
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bool | dict | list | tuple):
        return storable(json.dumps(value, ensure_ascii=False, default=str))
    return str(value)


def _integer(value: Any) -> int:
    number = _number(value)
    if number != number.to_integral_value() or abs(number) >= 2**63:
        raise WrongType(f"{_short(value)} is not a whole number of 64 bits")
    return int(number)


def _float(value: Any) -> float | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return float(_number(value))


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise WrongType(f"{_short(value)} is neither true nor false")


def _number(value: Any) -> Decimal:
    if not isinstance(value, bool) and isinstance(value, int | float | str | Decimal):
        try:
            number = Decimal(str(value).strip())
        except ArithmeticError:
            number = Decimal("nan")
        if number.is_finite() and abs(number.adjusted()) <= 308:
            return number
    raise WrongType(f"{_short(value)} is not a number")


_MAKERS: Mapping[str, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
}


def _kind_of(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), f"of type {type(value).__name__}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."
