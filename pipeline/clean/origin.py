"""Finds the url, the title and the date of a document, to show them to people who look at documents of several sources.

The columns with these values have different names in different sources, for example ``timestamp`` and
``creation_date``, because each reader names its columns after the fields of its input.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

URL_COLUMNS = ("url",)
TITLE_COLUMNS = ("title",)
DATE_COLUMNS = ("date", "timestamp", "creation_date", "yymm")
REPOSITORY_COLUMNS = ("repo_name", "path")
"""The columns that together name a file of a repository. Such a file has no title."""
COLUMNS = (*URL_COLUMNS, *TITLE_COLUMNS, *DATE_COLUMNS, *REPOSITORY_COLUMNS)
"""The names of the columns that :func:`origin_of` reads. A batch may lack some of them."""
_MAX_URL_CHARS, _MAX_TITLE_CHARS, _MAX_DATE_CHARS = 2_000, 300, 32


class Origin(NamedTuple):
    """Holds the urls, titles and dates of documents. A value is null if it is not known."""

    url: pa.Array
    title: pa.Array
    date: pa.Array


def origin_of(batch: pa.RecordBatch) -> Origin:
    """Returns the url, the title and the date of each document of a batch. Long values are truncated.

    A file of a repository has no title, so its repository and its path are used as title. A date is not converted:

    >>> origin_of(pa.record_batch({"repo_name": ["a/b", None], "path": ["c.py", "d.py"]})).title.to_pylist()
    ['a/b/c.py', None]
    >>> origin_of(pa.record_batch({"timestamp": ["2019-04-18T10:52:03Z"]})).date.to_pylist()
    ['2019-04-18T10:52:03Z']
    """
    title = _first(batch, TITLE_COLUMNS, _MAX_TITLE_CHARS)
    if all(name in batch.schema.names for name in REPOSITORY_COLUMNS):
        file = pc.binary_join_element_wise(*(_text(batch, name) for name in REPOSITORY_COLUMNS), "/")
        title = pc.coalesce(title, pc.utf8_slice_codeunits(file, 0, _MAX_TITLE_CHARS))
    return Origin(
        _first(batch, URL_COLUMNS, _MAX_URL_CHARS), title, _first(batch, DATE_COLUMNS, _MAX_DATE_CHARS)
    )  # fmt: skip


def _first(batch: pa.RecordBatch, names: tuple[str, ...], max_chars: int) -> pa.Array:
    """Returns one value per document. The columns ``names`` are tried in order until the document has a value."""
    found = [_text(batch, name) for name in names if name in batch.schema.names]
    if not found:
        return pa.nulls(batch.num_rows, pa.string())
    return pc.utf8_slice_codeunits(pc.coalesce(*found), 0, max_chars)


def _text(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Returns a column as text. In a user's own corpus, a column of this name may have another type.

    Whole numbers, dates and timestamps are converted to text. For any other type, all values are null.
    """
    column = batch.column(name)
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type) or pa.types.is_integer(column.type):
        return column.cast(pa.string())
    return pa.nulls(batch.num_rows, pa.string())
