"""Reads Parquet files that a run wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from mixtures.parquet_rows import DAMAGE, check_schema, open_parquet, whole_batches
from pipeline.files.checked import DamagedFile
from pipeline.files.files import open_file


def parquet_batches(
    path: str, columns: Sequence[str] | None = None, *, batch_size: int = 65_536
) -> Iterator[pa.RecordBatch]:
    """Yields the record batches of a file in ``clean/``, ``dropped/`` or ``.work/hits``.

    The checksum of every page is checked. Without this check, a damaged byte would silently change a document.

    Args:
        columns: the columns to read, if the file has them; None for all.

    Raises:
        DamagedFile: the file is damaged.
    """
    try:
        with open_file(path) as file:
            parquet = open_parquet(file)
            check_schema(parquet)
            names = parquet.schema_arrow.names
            there = names if columns is None else [name for name in columns if name in names]
            yield from whole_batches(parquet, batch_size=batch_size, columns=there)
    except DAMAGE as error:
        raise DamagedFile(path, error, "delete it and run again: its source is cleaned again") from error
