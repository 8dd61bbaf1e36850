"""Reads a bounded number of documents in ``clean/`` and ``dropped/``. Only the requested columns are read.

A run spreads the documents of a source evenly over its parts (output files), so a few parts are a fair sample of the
source. A folder of up to ``budget_bytes`` is read completely. From a larger folder, 16 evenly spread parts are chosen.
From each of these parts, as many evenly spread row groups are read as the budget allows. Only one batch of rows at a
time is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from mixtures.parquet_rows import DAMAGE, check_num_rows, check_schema, open_parquet, whole_batches
from pipeline.files.files import is_local, join, open_file
from pipeline.files.store_files import StoreError

UNREADABLE = (*DAMAGE, StoreError)
"""The errors after which the page says that a file could not be read."""
SAMPLE_BYTES = 96 << 20
"""The largest number of stored bytes per source that are read for the distributions. This is about 250 MB of text."""
_SAMPLE_PARTS = 16
_BATCH_DOCS = 256
_THREADS = 8

Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Read:
    """Counts how much of a folder was read."""

    num_files: int = 0
    num_files_read: int = 0
    num_docs: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    """The error of each file that could not be read completely, by the path of the file."""

    @property
    def is_all(self) -> bool:
        return self.num_files == self.num_files_read and not self.unreadable


@dataclass(frozen=True, slots=True)
class Part:
    """Describes one output file of a folder."""

    path: str
    num_bytes: int

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


def parts_of(folder: str) -> list[Part]:
    """Returns the finished parts (output files) in a folder, sorted by name; none if the folder does not exist."""
    (result,) = FileSystems.match([join(folder, "part-*.parquet")])
    return sorted((Part(m.path, m.size_in_bytes) for m in result.metadata_list), key=lambda p: p.path)


def read_sample(
    folder: str, columns: Sequence[str], read: Read, *, budget_bytes: int = SAMPLE_BYTES
) -> Iterator[tuple[Part, pa.RecordBatch]]:
    """Yields batches of a fair sample of a folder's documents, each with the part (output file) that it is from. Counts
    in ``read`` how much was read.

    Requested columns that the files do not have are left out.
    """
    parts = parts_of(folder)
    read.num_files = len(parts)
    total = sum(p.num_bytes for p in parts)
    chosen = parts if total <= budget_bytes else evenly(parts, _SAMPLE_PARTS)
    share = min(1.0, budget_bytes / max(1, sum(p.num_bytes for p in chosen)))
    read.num_files_read = len(chosen) if share == 1.0 else 0
    for part in chosen:
        try:
            for batch in _batches(part, columns, share):
                read.num_docs += batch.num_rows
                yield part, batch
        except UNREADABLE as error:
            read.unreadable[part.path] = str(error)


def read_part(part: Part, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields batches of all documents of a part."""
    return _batches(part, columns, 1.0)


def evenly(items: Sequence[Any], number: int) -> list[Any]:
    """Returns ``number`` of the items, evenly spread. Returns all items if there are at most ``number``.

    >>> evenly("abcdefgh", 3)
    ['a', 'c', 'f']
    """
    return [items[i * len(items) // number] for i in range(number)] if number < len(items) else list(items)


def _batches(part: Part, columns: Sequence[str], share: float) -> Iterator[pa.RecordBatch]:
    with open_file(part.path) as file, open_parquet(file) as parquet:
        check_schema(parquet)
        check_num_rows(parquet)
        present = [name for name in columns if name in parquet.schema_arrow.names]
        groups: list[int] = list(range(parquet.num_row_groups))
        groups = evenly(groups, max(1, round(share * len(groups)))) if groups else []
        if groups:
            yield from whole_batches(parquet, batch_size=_BATCH_DOCS, columns=present, groups=groups)


def read_texts(folder: str, read: Read) -> Iterator[pa.RecordBatch]:
    """Yields batches of the dropped documents whose text is stored. A run stores only a sample of these texts. Files
    that cannot be read are noted in ``read``.

    If no document of a row group has a text, the row group is skipped.
    """
    parts = parts_of(folder)
    if len(parts) < _THREADS or is_local(folder):
        for part in parts:
            yield from _texts(part, read)
        return
    with ThreadPoolExecutor(_THREADS) as pool:  # a store answers slowly, but handles many requests at once
        for found in pool.map(lambda part: list(_texts(part, read)), parts):
            yield from found


def _texts(part: Part, read: Read) -> Iterator[pa.RecordBatch]:
    try:
        with open_file(part.path) as file, open_parquet(file) as parquet:
            check_schema(parquet)
            for group in range(parquet.num_row_groups):
                if _has_texts(parquet, group):
                    for batch in whole_batches(parquet, batch_size=_BATCH_DOCS, groups=[group]):
                        with_text = batch.filter(batch.column("text").is_valid())
                        if with_text.num_rows:
                            yield with_text
            check_num_rows(parquet)
    except (*UNREADABLE, KeyError) as error:
        read.unreadable[part.path] = str(error)


def _has_texts(parquet: pq.ParquetFile, group: int) -> bool:
    """True if a row group (a block of rows in a Parquet file) has any text.

    The function reads the column itself. The statistics of the file would be faster, but pyarrow ends the process if
    they are damaged.
    """
    columns = whole_batches(parquet, batch_size=65_536, columns=["text"], groups=[group])
    return any(batch.column("text").null_count < batch.num_rows for batch in columns)


def signals_of(value: Any) -> dict[str, float]:
    """Returns the signals of one document (numbers that steps measured) as a mapping from name to value.

    >>> signals_of([{"name": "a", "value": 1.0}]), signals_of([("a", 1.0)]), signals_of(None)
    ({'a': 1.0}, {'a': 1.0}, {})
    """
    pairs = ((one["name"], one["value"]) if isinstance(one, dict) else one for one in value or ())
    return dict(pairs)


def signal_columns(signals: pa.Array) -> dict[str, Floats]:
    """Returns one array per signal, by the name of the signal. An array has one value per document. The value is NaN if
    the document does not have the signal.

    ``signals`` is a column of lists of names and values. In older outputs it is a column of maps.

    >>> column = pa.array([[{"name": "a", "value": 1.0}], [{"name": "a", "value": 2.0}, {"name": "b", "value": 3.0}]])
    >>> {name: values.tolist() for name, values in signal_columns(column).items()}
    {'a': [1.0, 2.0], 'b': [nan, 3.0]}
    """
    num_docs = len(signals)
    if not num_docs:
        return {}
    offsets = signals.offsets.to_numpy()
    rows = np.repeat(np.arange(num_docs), np.diff(offsets))
    if pa.types.is_map(signals.type):
        names, numbers = signals.keys, signals.items
    else:
        names, numbers = signals.values.field("name"), signals.values.field("value")
    keys = names.slice(offsets[0], offsets[-1] - offsets[0]).dictionary_encode()
    items = numbers.slice(offsets[0], offsets[-1] - offsets[0]).to_numpy(zero_copy_only=False)
    codes = keys.indices.to_numpy()
    found = {}
    for code, name in enumerate(keys.dictionary.to_pylist()):
        values = np.full(num_docs, np.nan)
        values[rows[codes == code]] = items[codes == code]
        found[name] = values
    return found


def count_rows(folder: str, *, max_files: int = 256) -> int | None:
    """Returns the number of rows in all parts (output files) of a folder. Only the footers of the files are read.

    Returns None if there are too many files to open or if a file cannot be read.
    """
    parts = parts_of(folder)
    if len(parts) > max_files:
        return None
    num_rows = 0
    for part in parts:
        try:
            with open_file(part.path) as file:
                num_rows += pq.read_metadata(file).num_rows
        except UNREADABLE:
            return None
    return num_rows
