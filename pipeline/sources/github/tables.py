"""Reads the files of BigQuery's exports in all their formats: determines the table of a file, and yields its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from mixtures.parquet_rows import DAMAGE, check_num_rows, open_parquet, whole_batches
from pipeline.sources.formats.json_lines import Row, read_json_lines
from pipeline.sources.github.avro import AvroError, avro_columns, avro_rows
from pipeline.sources.source import Opener, Rejected, Unit

TABLES = ("contents", "files", "licenses")
NEEDED = {
    "contents": frozenset({"id", "content"}),
    "files": frozenset({"id", "repo_name", "path"}),
    "licenses": frozenset({"repo_name", "license"}),
    "joined": frozenset({"content", "path", "repo_name", "license"}),
}
"""The columns that each table must have."""
_READ = {
    "contents": ("id", "size", "content", "binary"),
    "files": ("id", "repo_name", "path", "mode"),
    "licenses": ("repo_name", "license"),
    "joined": ("id", "size", "content", "binary", "repo_name", "path", "license", "mode"),
}
_FORMATS = {
    "json": (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".json.zst", ".jsonl.zst", ".ndjson", ".ndjson.gz"),
    "parquet": (".parquet",),
    "avro": (".avro",),
}
_NAME = re.compile(r"^(?:.*[_.-])?(contents|files|licenses)(?=[-_.\d]|$)", re.IGNORECASE)
_ROWS_AT_A_TIME = 64
"""The number of Parquet rows that are read at a time. Contents have up to 1 MiB each."""


KNOWN_ENDINGS = tuple(ending for endings in _FORMATS.values() for ending in endings)


def file_format(path: str) -> str:
    """Returns ``json``, ``parquet`` or ``avro``, from the ending of a name. Raises ValueError for an unknown ending."""
    name = path.lower()
    for form, endings in _FORMATS.items():
        if name.endswith(endings):
            return form
    known = ", ".join(ending for endings in _FORMATS.values() for ending in endings)
    raise ValueError(f"github: {path} is no export of BigQuery's that is known here: names end in {known}")


def table_by_name(path: str) -> str | None:
    """Returns the table that is named in a file's name. If the file's name contains no table, the name of its folder
    decides. Returns None if neither name contains a table.

    >>> table_by_name("x/contents-000000000001.json.gz"), table_by_name("x/licenses/000.avro"), table_by_name("a.json")
    ('contents', 'licenses', None)
    """
    parts = path.rstrip("/").split("/")
    for part in reversed(parts[-2:]):
        match = _NAME.match(part)
        if match:
            return match.group(1).lower()
    return None


def table_by_columns(columns: Sequence[str]) -> str | None:
    """Returns the table that a file with these columns contains; None if each table needs a column that is not there.

    The joined table is tried first. It also has all columns that ``licenses`` needs, so it could be mistaken for
    ``licenses``.

    >>> table_by_columns(["id", "content", "size"]), table_by_columns(["content", "path", "repo_name", "license"])
    ('contents', 'joined')
    """
    for table in ("joined", *TABLES):
        if not missing_columns(table, columns):
            return table
    return None


def missing_columns(table: str, columns: Sequence[str]) -> list[str]:
    """Returns, in alphabetical order, the columns that a table needs but ``columns`` does not contain."""
    return sorted(NEEDED[table].difference(columns))


def first_columns(path: str, form: str, open_file: Opener) -> list[str] | None:
    """Returns the names of a file's columns; None if they cannot be read. For a JSON file, returns the columns of the
    first row.
    """
    if form == "json":
        for line in read_json_lines(path, open_file):
            return None if isinstance(line, Rejected) else list(line[1])
        return None
    with open_file(path) as file:
        try:
            return avro_columns(file) if form == "avro" else list(open_parquet(file).schema_arrow.names)
        except (AvroError, *DAMAGE):
            return None


def read_rows(unit: Unit, form: str, open_file: Opener) -> Iterator[tuple[str, Row] | Rejected]:
    """Yields (location, row) for each row, or a rejection if the row cannot be read.

    The location is ``FILE:LINE`` or ``FILE#row N``. From Parquet files, only the columns that this source uses are
    read.
    """
    if form == "json":
        yield from read_json_lines(unit.path, open_file, location=unit.location)
        return
    with open_file(unit.path) as file:
        rows = _avro_rows(file, unit.location) if form == "avro" else _parquet_rows(file, unit)
        yield from rows


def _avro_rows(file: BinaryIO, location: str) -> Iterator[tuple[str, Row] | Rejected]:
    number = 0
    try:
        for row in avro_rows(file):
            if isinstance(row, AvroError):
                yield Rejected(location=location, reason="damaged_avro", detail=str(row))
            else:
                number += 1
                yield f"{location}#row {number}", row
    except AvroError as error:
        yield Rejected(location=location, reason="damaged_avro", detail=str(error), is_whole_file=True)


def _parquet_rows(file: BinaryIO, unit: Unit) -> Iterator[tuple[str, Row] | Rejected]:
    """Yields the rows of a Parquet file.

    Parquet has its index at the end of the file. So if a file is truncated, all its rows are lost. Parquet has no marks
    between rows. So if a row cannot be read, the later rows of its row group are lost too.
    """
    table = unit.kind.partition(".")[0]
    try:
        parquet = open_parquet(file, pre_buffer=False, buffer_size=1 << 20)
        columns = [name for name in parquet.schema_arrow.names if name in _READ[table]]
    except DAMAGE as error:
        yield Rejected(location=unit.location, reason="damaged_parquet", detail=str(error)[:300], is_whole_file=True)
        return
    try:
        check_num_rows(parquet)
    except DAMAGE as error:
        yield Rejected(location=unit.location, reason="damaged_parquet", detail=str(error)[:300])
    number = 0
    for group in range(parquet.num_row_groups):
        first = number
        number += parquet.metadata.row_group(group).num_rows
        try:
            for batch in whole_batches(parquet, batch_size=_ROWS_AT_A_TIME, columns=columns, groups=[group]):
                rows: list[dict[str, Any]] = batch.to_pylist()
                for row in rows:
                    first += 1
                    yield f"{unit.location}#row {first}", row
        except DAMAGE as error:
            detail = f"row group {group} from row {first + 1}: {error}"
            yield Rejected(location=unit.location, reason="damaged_parquet", detail=detail[:300])
