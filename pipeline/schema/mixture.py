"""Makes the schema of the section ``mixture``: weights, epochs, and the parts of sources."""

from __future__ import annotations

from typing import get_args

from mixtures.recipe import Length, Missing, Recipe
from pipeline.schema.value_types import NUMBER, WHOLE_NUMBER, Schema, field_texts

_BY: Schema = {"type": "string", "minLength": 1, "description": "The column whose values are the parts of the source."}
_PART_WEIGHT: Schema = {**NUMBER, "description": "Of the value: relative to the other values, or its epochs."}
_VALUES: Schema = {"type": "object", "additionalProperties": _PART_WEIGHT, "minProperties": 1}


def mixture_schema() -> Schema:
    """Returns the schema of the section ``mixture``.

    >>> sorted(mixture_schema()["properties"])
    ['epochs', 'length', 'max_epochs', 'missing', 'parts', 'tokens', 'validation', 'weights']
    """
    hold_out: Schema = {"type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1,
                        "properties": {"share": NUMBER, "tokens": WHOLE_NUMBER}}  # fmt: skip
    temperature: Schema = {"type": "object", "required": ["temperature"], "additionalProperties": False,
                           "properties": {"temperature": NUMBER,
                                          "sources": {"type": "array", "items": {"type": "string"}}}}  # fmt: skip
    weights = _by_source(_divided({"by": _BY, "weight": NUMBER, "epochs": _VALUES}, required=["by", "weight"]))
    relative: Schema = {"type": "object", "required": ["relative"], "additionalProperties": False,
                        "properties": {"relative": weights}}  # fmt: skip
    plain_weights = {**weights, "propertyNames": {"not": {"enum": ["temperature", "relative"]}}}
    properties: dict[str, Schema] = {
        "weights": {"anyOf": [plain_weights, relative, temperature]},
        "epochs": _by_source(_divided({"by": _BY, "weight": False, "epochs": False}, required=["by"])),
        "max_epochs": {"anyOf": [NUMBER, _by_source(_VALUES)]},
        "parts": {"anyOf": [{"type": "object", "additionalProperties": _parts()}, {"type": "null"}]},
        "tokens": dict(WHOLE_NUMBER),
        "length": {"anyOf": [{"enum": list(get_args(Length))}, {"type": "null"}]},
        "missing": {"enum": list(get_args(Missing)), "default": "error"},
        "validation": {"anyOf": [hold_out, {"type": "object", "additionalProperties": hold_out}, {"type": "null"}]},
    }
    for name, text in field_texts(Recipe).items():
        if name in properties:
            properties[name]["description"] = text
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _by_source(divided: Schema) -> Schema:
    """Returns the schema of a mapping from sources to numbers. If a source is divided into parts by a column, its value
    can also be a mapping with the schema ``divided``.
    """
    return {"type": "object", "additionalProperties": {"anyOf": [NUMBER, divided]}}


def _divided(own: dict[str, Schema | bool], *, required: list[str]) -> Schema:
    """Returns the schema of the mapping for a source that is divided into parts by a column. ``own`` has the schemas of
    the fixed keys, for example ``by``, the name of the column. Every further key is a value of this column, and maps to
    a number.
    """
    return {"type": "object", "properties": own, "additionalProperties": _PART_WEIGHT, "required": required,
            "minProperties": len(required) + 1}  # fmt: skip


def _parts() -> Schema:
    by_epochs: Schema = {"type": "object", "properties": {"by": _BY, "epochs": _VALUES}, "required": ["by", "epochs"],
                         "additionalProperties": False}  # fmt: skip
    return {"anyOf": [by_epochs, _divided({"by": _BY, "epochs": False}, required=["by"])]}
