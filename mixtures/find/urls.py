"""Looks up a url in a file of clean documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc

from mixtures.parquet_rows import DAMAGE, check_schema, open_parquet, whole_batches
from mixtures.stream import one_line


def ids_in_part(part: Path, url: str) -> Iterator[str]:
    """Yields the ids of the documents with this url. Raises ValueError if the file is damaged."""
    try:
        with open_parquet(part) as file:
            check_schema(file)
            if "url" not in file.schema_arrow.names:
                return
            for batch in whole_batches(file, batch_size=65_536, columns=["id", "url"]):
                yield from batch.filter(pc.equal(batch.column("url"), url)).column("id").to_pylist()
    except DAMAGE as error:
        raise ValueError(f"{part} is not a readable Parquet file: {one_line(error)}") from error
