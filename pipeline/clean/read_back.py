"""Reads the clean documents that a run wrote, and checks the checksum of every Parquet page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files.checked import DamagedFile
from pipeline.files.files import open_file


def clean_batches(path: str, columns: Sequence[str], *, batch_size: int) -> Iterator[pa.RecordBatch]:
    """Yields the record batches of a clean file, limited to the requested columns that exist.

    Raises:
        DamagedFile: the file is damaged. (Without the checksums, a damaged byte would silently change a document.)
    """
    try:
        with open_file(path) as file:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            there = [name for name in columns if name in parquet.schema_arrow.names]
            yield from parquet.iter_batches(batch_size=batch_size, columns=there)
    except (OSError, pa.ArrowInvalid) as error:
        raise DamagedFile(path, error, "delete it and run again: its source is cleaned again") from error
