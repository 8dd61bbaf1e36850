"""Reading back the clean documents that a run wrote: every page's checksum is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files.files import open_file


def clean_batches(path: str, columns: Sequence[str], *, batch_size: int) -> Iterator[pa.RecordBatch]:
    """The batches of a clean part, of those of the columns that it has.

    Raises:
        OSError: the file is damaged; names it and says what to do. A changed byte would else be a changed document.
    """
    try:
        with open_file(path) as file:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            there = [name for name in columns if name in parquet.schema_arrow.names]
            yield from parquet.iter_batches(batch_size=batch_size, columns=there)
    except (OSError, pa.ArrowInvalid) as error:
        raise OSError(f"{path} is damaged ({error}); delete it and run again: its source is cleaned again") from error
