"""Divides the rows of a batch among the parts of their source, by a column of the batch.

The rules are in :mod:`mixtures.parts`. That module imports neither NumPy nor pyarrow, so that a recipe is read quickly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.parts import MAX_VALUE_CHARS, OTHER, PartRule, is_of, part_name


def rows_of_source(column: pa.DictionaryArray, wanted: str) -> pa.Array:
    """Returns a mask of the rows of a shard that belong to the wanted source or part, from the column ``source``.

    >>> names = pa.array(["github:python", "books", "github:other"]).dictionary_encode()
    >>> rows_of_source(names, "github").to_pylist(), rows_of_source(names, "github:other").to_pylist()
    ([True, False, True], [False, False, True])
    """
    names = [name for name in column.dictionary.to_pylist() if is_of(name, wanted)]
    return pc.is_in(column.dictionary_decode(), pa.array(names, pa.string()))


class Rows(NamedTuple):
    """Holds the documents of one part in a batch."""

    name: str
    """The name of the part, or of the source if it is not divided."""
    ids: pa.Array
    num_tokens: np.ndarray
    places: np.ndarray
    """The index of each of these documents in the batch."""


def rows_by_part(rule: PartRule | None, source: str, batch: pa.RecordBatch, num_tokens: np.ndarray) -> Iterator[Rows]:
    """Yields the documents of each part in a batch of token ids. If ``rule`` is None, yields all documents together.

    If there is a rule, the batch must have the column ``part``. Documents that belong to no part are left out.
    """
    ids = batch.column("doc_id")
    if rule is None:
        yield Rows(source, ids, num_tokens, np.arange(batch.num_rows))
        return
    numbers = part_numbers(rule, batch.column("part"))
    for number, value in enumerate(rule.weights):
        index = np.flatnonzero(numbers == number)
        if len(index):
            yield Rows(part_name(source, value), ids.take(pa.array(index)), num_tokens[index], index)


def part_numbers(rule: PartRule, values: pa.Array) -> np.ndarray:
    """Returns, for each value, its index in the rule's weights, or -1 if the rule leaves the value out.

    >>> from decimal import Decimal
    >>> rule = PartRule(by="language", weights={"en": Decimal(2), "other": Decimal(1)})
    >>> part_numbers(rule, pa.array(["de", "en", "other", None])).tolist()
    [1, 0, 1, 1]
    """
    order = list(rule.weights)
    places = pa.array([order.index(value) for value in rule.named], pa.int64())
    found = places.take(pc.index_in(values, pa.array(rule.named, pa.string())))
    numbers: np.ndarray = found.fill_null(order.index(OTHER) if OTHER in order else -1).to_numpy(zero_copy_only=False)
    return numbers


def check_column(where: str, by: str, schema: pa.Schema) -> None:
    """Raises ValueError if documents cannot be divided by this column. The message names possible columns."""
    there = [f.name for f in schema if f.name not in ("id", "text", "source", "host") and _is_kind(f.type)]
    there += ["host"] if {"url", "host"} & set(schema.names) else []
    if by not in there:
        what = "cannot be compared as text" if by in schema.names else "is not a column of its clean documents"
        raise ValueError(f"{where}: {by} {what}; there are: {', '.join(there)}")


def _is_kind(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def column_values(column: pa.Array) -> pa.Array:
    """Returns a column's values as text. A value that is missing, or too long for the name of a part, becomes an empty
    text.

    >>> column_values(pa.array([True, None])).to_pylist(), column_values(pa.array([7])).to_pylist()
    (['true', ''], ['7'])
    """
    text = pc.fill_null(column.cast(pa.string()), "")
    return pc.if_else(pc.greater(pc.utf8_length(text), MAX_VALUE_CHARS), "", text)
