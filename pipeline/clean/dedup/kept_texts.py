"""Reads the texts of documents that an earlier source keeps, from its clean files. It reads only the row groups that
contain a wanted document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import pyarrow as pa
import xxhash

from filters.urls import site_of
from mixtures.parquet_rows import DAMAGE, check_num_rows, check_schema, open_parquet, whole_batches
from pipeline.clean.dedup.min_hash_keys import Card
from pipeline.files.checked import DamagedFile
from pipeline.files.files import open_file
from pipeline.files.spill import Blob

Payloads = TypeVar("Payloads")
_COLUMNS = ("id", "language", "url", "text")
_ROWS_AT_ONCE = 65_536


class KeptText(NamedTuple):
    """Holds the text of a kept document, and what identifies it."""

    document_id: str
    language: str
    url: str
    text: str

    def card(self, rank: bytes) -> Card:
        """Returns a card, which describes the document.

        The address in the card is the document's rank. A kept document is in no batch, so it has no other address.
        """
        return Card(rank, self.document_id, self.language or "und", site_of(self.url or ""), Blob("", 0, 0, 0))

    def order(self, rank: bytes) -> bytes:
        """Returns bytes that decide between kept documents with equal overlaps. The document with the smallest bytes is
        chosen.

        The bytes contain the number of the index, the length, and a hash of the id and the text. They do not depend on
        where the document is in the index.
        """
        content = self.document_id.encode("utf-8", "replace") + b"\0" + self.text.encode("utf-8", "replace")
        return rank[:4] + xxhash.xxh3_64_digest(content)


def kept_texts(path: str, wanted: Iterable[tuple[int, Payloads]]) -> Iterator[tuple[KeptText, Payloads]]:
    """Reads the wanted documents of a clean file. Yields each document with its payloads, which are the candidate pairs
    that contain the document.

    One row group is in memory at a time.

    Args:
        path: the path of the file.
        wanted: (row, payloads) in ascending order of rows.

    Raises:
        DamagedFile: the file is damaged or missing, or it does not have a wanted row.
    """
    try:
        with open_file(path) as file:
            parquet = open_parquet(file)
            check_schema(parquet)
            check_num_rows(parquet)
            columns = [name for name in _COLUMNS if name in parquet.schema_arrow.names]
            group, first, end = -1, 0, 0
            table = pa.table({})
            for row, payloads in wanted:
                while row >= end:
                    group += 1
                    if group >= parquet.metadata.num_row_groups:
                        raise DamagedFile(path, f"it has {end} rows and no row {row}", _REMEDY)
                    first, end = end, end + parquet.metadata.row_group(group).num_rows
                    table = None
                if table is None:
                    batches = whole_batches(parquet, batch_size=_ROWS_AT_ONCE, columns=columns, groups=[group])
                    table = pa.Table.from_batches(list(batches))
                values = {name: table.column(name)[row - first].as_py() for name in columns}
                yield (
                    KeptText(values["id"], values.get("language") or "", values.get("url") or "", values["text"]),
                    payloads,
                )
    except DamagedFile:
        raise
    except DAMAGE as error:
        raise DamagedFile(path, error, _REMEDY) from error


_REMEDY = "delete it and run again: its source is cleaned again"
