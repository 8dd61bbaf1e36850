"""Reads Parquet files so that damage is noticed. Every reader of Parquet in this project goes through this module.

A writer may give pages checksums. pyarrow compares them only on request. The headers of pages and the
footer have no checksums. If one bit changes there, rows can be lost without an error. So this module also counts rows.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

DAMAGE = (OSError, pa.ArrowException, ValueError)
"""The errors that damaged files raise: errors of pyarrow, and of Python for names that are not UTF-8."""
_ARROW_SCHEMA = b"ARROW:schema"


def open_parquet(source: Any, **options: Any) -> pq.ParquetFile:
    """Opens a Parquet file. When a page is read, it is compared with its checksum, if it has one.

    >>> import io
    >>> sink = io.BytesIO()
    >>> pq.write_table(pa.table({"id": ["a", "b", "c"]}), sink, write_page_checksum=True)
    >>> [batch.num_rows for batch in whole_batches(open_parquet(sink), batch_size=2)]
    [2, 1]
    """
    return pq.ParquetFile(source, page_checksum_verification=True, **options)


def whole_batches(
    file: pq.ParquetFile, *, batch_size: int, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yields the record batches of a file, one row group after the other.

    Args:
        columns: the columns to read; None for all.
        groups: the row groups to read; None for all.

    Raises:
        pa.ArrowInvalid: a page is damaged, or a row group has more or fewer rows than the footer says.
    """
    chosen = range(file.num_row_groups) if groups is None else groups
    for group in chosen:
        num_rows = 0
        for batch in file.iter_batches(batch_size, row_groups=[group], columns=columns):
            num_rows += batch.num_rows
            yield batch
        wanted = file.metadata.row_group(group).num_rows
        if num_rows != wanted:
            raise pa.ArrowInvalid(f"row group {group} has {num_rows} rows, and the footer says {wanted}")
    if groups is None:
        check_num_rows(file)


def check_num_rows(file: pq.ParquetFile) -> None:
    """Checks the footer: the row counts of all row groups must add up to the file's row count.

    If a row group's count is too small, pyarrow silently reads fewer rows than the row group has.

    Raises:
        pa.ArrowInvalid: the sum differs from the file's row count, so one of the counts is damaged.
    """
    found = sum(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
    if found != file.metadata.num_rows:
        raise pa.ArrowInvalid(f"its row groups have {found} rows, and its footer says {file.metadata.num_rows}")


def check_schema(file: pq.ParquetFile) -> None:
    """Compares the schema of a file with the copy of the schema that pyarrow stores in the footer.

    A file of another writer, which has no such copy, is not checked.

    Raises:
        pa.ArrowInvalid: a name or a type differs. A damaged name would look like a missing column.
    """
    copy = (file.metadata.metadata or {}).get(_ARROW_SCHEMA)
    if copy and not pa.ipc.read_schema(pa.py_buffer(base64.b64decode(copy))).equals(file.schema_arrow):
        raise pa.ArrowInvalid("the two copies of its schema differ")
