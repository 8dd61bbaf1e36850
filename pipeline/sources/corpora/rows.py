"""Reads the rows of JSON lines, Parquet and Arrow files. Each row is yielded with its location, for messages.

If an Arrow file is damaged, everything after the damage is rejected, because Arrow has no marks at which reading could
start again. If a Parquet file is damaged, only the damaged row groups (blocks of rows) are rejected.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa

from mixtures.parquet_rows import DAMAGE, check_num_rows, open_parquet, whole_batches
from pipeline.sources.corpora.columns import stored_path
from pipeline.sources.formats.json_lines import Row, read_json_lines
from pipeline.sources.source import Opener, Rejected, Unit

JSON, PARQUET, ARROW = "json", "parquet", "arrow"
_JSON_NAMES = tuple(
    f".{name}{packed}" for name in ("jsonl", "json", "ndjson") for packed in ("", ".gz", ".zst", ".zstd")
)
ENDINGS = {JSON: _JSON_NAMES, PARQUET: (".parquet", ".pq"), ARROW: (".arrow", ".feather", ".ipc")}
"""The endings of file names for each format. If the declaration does not name a format, the ending of a file's name
decides.
"""
_NO_CORPUS = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
"""Files with metadata in folders that Hugging Face's ``datasets`` writes."""
_CACHE = "cache-"
"""The beginning of the names of cache files. ``datasets`` writes these files next to the data. The cache files repeat
rows of the data.
"""
_ROWS_AT_A_TIME = 64
_ARROW_FILE_MAGIC = b"ARROW1"
_DAMAGE = (*DAMAGE, EOFError)


def form_of(path: str) -> str | None:
    """Returns the format of a file. The ending of the file's name decides. Returns None if the ending is unknown, or if
    the file is a metadata or cache file of Hugging Face's ``datasets``, such as ``state.json``.

    >>> form_of("a/part.jsonl.zst"), form_of("A.PARQUET"), form_of("a.txt"), form_of("ds/state.json")
    ('json', 'parquet', None, None)
    """
    name = posixpath.basename(path).lower()
    if name in _NO_CORPUS or (name.startswith(_CACHE) and name.endswith(ENDINGS[ARROW])):
        return None
    return next((form for form, endings in ENDINGS.items() if name.endswith(endings)), None)


def read_rows(unit: Unit, paths: Sequence[str], open_file: Opener) -> Iterator[tuple[str, Row] | Rejected]:
    """Yields each row of a unit with its location (``FILE:LINE`` or ``FILE#row N``). If rows cannot be read, a
    rejection is yielded instead.

    Args:
        paths: the paths of the values to read, such as ``meta.url``. From a Parquet file, only the columns of these
            paths are read.
    """
    if unit.kind == JSON:
        yield from read_json_lines(unit.path, open_file, location=unit.location)
        return
    with open_file(unit.path) as file:
        yield from _parquet_rows(file, unit, paths) if unit.kind == PARQUET else _arrow_rows(file, unit)


def schema_of(path: str, form: str, open_file: Opener) -> pa.Schema | None:
    """Returns the schema of a Parquet or Arrow file, or None if it is damaged. `read_rows` reports the damage."""
    with open_file(path) as file:
        try:
            if form == PARQUET:
                schema = open_parquet(file).schema_arrow
                return schema if schema.names else None  # names that are not UTF-8 raise an error
            if file.read(len(_ARROW_FILE_MAGIC)) == _ARROW_FILE_MAGIC:
                return pa.ipc.open_file(file).schema
            file.seek(0)
            return pa.ipc.open_stream(file).schema
        except _DAMAGE:
            return None


def row_group_units(file: Unit, num_bytes: int, open_file: Opener) -> list[Unit]:
    """Splits a Parquet file into units (pieces of work for one worker) of about ``num_bytes`` stored bytes. A unit has
    consecutive row groups (blocks of rows): those with the numbers from ``start`` up to, but not including, ``end``.
    """
    with open_file(file.path) as opened:
        try:
            metadata = open_parquet(opened).metadata
        except _DAMAGE:
            return [file]
        # Unpacked sizes of row groups: for the sizes of columns, pyarrow reads statistics, and damaged statistics end
        # the process ("terminate called after throwing an instance of parquet::ParquetException").
        unpacked = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    share = file.num_bytes / max(1, sum(unpacked))
    sizes = [max(0, int(size * share)) for size in unpacked]
    units: list[Unit] = []
    start = held = 0
    for number, size in enumerate(sizes, start=1):
        held += size
        if held >= num_bytes or number == len(sizes):
            units.append(Unit(path=file.path, num_bytes=held, kind=file.kind, start=start, end=number))
            start, held = number, 0
    return units or [file]


def _parquet_rows(file: BinaryIO, unit: Unit, paths: Sequence[str]) -> Iterator[tuple[str, Row] | Rejected]:
    try:
        parquet = open_parquet(file, pre_buffer=False, buffer_size=1 << 20)
        columns = list(dict.fromkeys(stored_path(parquet.schema_arrow, path) for path in paths))
    except _DAMAGE as error:
        yield _damaged(unit, "damaged_parquet", error)
        return
    if not unit.start:  # the file's other units say nothing
        try:
            check_num_rows(parquet)
        except _DAMAGE as error:
            yield Rejected(location=unit.location, reason="damaged_parquet", detail=str(error)[:300])
    sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    end = len(sizes) if unit.end is None else unit.end
    for group in range(unit.start, end):
        number = sum(sizes[:group])
        try:
            for batch in whole_batches(parquet, batch_size=_ROWS_AT_A_TIME, columns=columns, groups=[group]):
                yield from _rows_of(batch, unit, number)
                number += batch.num_rows
        except _DAMAGE as error:
            # Continue with the other row groups. The file is reported once per damaged group.
            detail = f"row group {group} from row {number + 1}: {error}"
            yield Rejected(location=unit.location, reason="damaged_parquet", detail=detail[:300])


def _arrow_rows(file: BinaryIO, unit: Unit) -> Iterator[tuple[str, Row] | Rejected]:
    """Yields the rows of an Arrow file. Arrow has two formats, the file format and the stream format. Both are read.
    (``datasets`` writes the stream format.)

    Only one batch of the file is in memory.
    """
    number = 0
    try:
        for batch in _arrow_batches(file):
            for start in range(0, batch.num_rows, _ROWS_AT_A_TIME):
                yield from _rows_of(batch.slice(start, _ROWS_AT_A_TIME), unit, number + start)
            number += batch.num_rows
    except _DAMAGE as error:
        yield _damaged(unit, "damaged_arrow", error)


def _arrow_batches(file: BinaryIO) -> Iterator[pa.RecordBatch]:
    if file.read(len(_ARROW_FILE_MAGIC)) == _ARROW_FILE_MAGIC:
        reader = pa.ipc.open_file(file)
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)
    else:
        file.seek(0)
        yield from pa.ipc.open_stream(file)


def _rows_of(batch: pa.RecordBatch, unit: Unit, first: int) -> Iterator[tuple[str, Row] | Rejected]:
    """Yields the rows of a batch. Strings must be UTF-8. If a string is not UTF-8, only the row with this string is
    rejected.
    """
    try:
        batch.validate(full=True)
        rows: list[Row] | None = batch.to_pylist()
    except (pa.ArrowInvalid, UnicodeDecodeError, ValueError, OverflowError):
        rows = None
    for index in range(batch.num_rows):
        where = f"{unit.location}#row {first + index + 1}"
        if rows is not None:
            yield where, rows[index]
            continue
        try:
            (row,) = batch.slice(index, 1).to_pylist()
        except UnicodeDecodeError as error:
            yield Rejected(location=where, reason="not_utf8", detail=f"byte {error.start} of a string")
        except (ValueError, OverflowError) as error:  # a date that Python cannot represent
            yield Rejected(location=where, reason="wrong_type", detail=str(error)[:300])
        else:
            yield where, row


def _damaged(unit: Unit, reason: str, error: BaseException) -> Rejected:
    return Rejected(location=unit.location, reason=reason, detail=str(error)[:300], is_whole_file=True)
