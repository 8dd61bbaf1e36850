"""Reads the items of evaluation sets from JSON lines and Parquet."""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import zstandard

from filters.decontaminate.items import Item
from mixtures.decontaminate.settings import SetSettings
from mixtures.parquet_rows import open_parquet, whole_batches

_ENDINGS = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst", ".parquet")
_BLOCK_BYTES = 1 << 20
_MAX_LINE_CHARS = 16 << 20


def files_of(one: SetSettings) -> list[Path]:
    """Returns the files of a set, sorted by path.

    Raises:
        ValueError: no file has a supported format, or the path is a URL.
    """
    path = Path(one.path).expanduser()
    if "://" in one.path:
        raise ValueError(f"set {one.name}: {one.path} is not on this machine; copy the set here first")
    found = sorted(path.rglob("*")) if path.is_dir() else sorted(map(Path, glob.glob(str(path), recursive=True)))
    files = [file for file in found if file.is_file() and file.name.endswith(_ENDINGS)]
    if not files:
        why = f"has no file that ends in {', '.join(_ENDINGS)}" if found else "matches nothing"
        raise ValueError(f"set {one.name}: {one.path} {why}")
    return files


def checksum_of(one: SetSettings) -> str:
    """Returns the SHA-256 of the names and bytes of a set's files."""
    digest = hashlib.sha256()
    for file in files_of(one):
        digest.update(file.name.encode() + b"\0")
        with file.open("rb") as data:
            while block := data.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def items_of(one: SetSettings) -> Iterator[Item]:
    """Yields the items of a set.

    Raises:
        ValueError: a file cannot be read, a column is missing, a value is neither text nor a number, or the set has no
            item. If a column is missing, the message names the file, the row and the existing columns.
    """
    number = 0
    for file in files_of(one):
        for row, record in enumerate(_records(one, file), start=1):
            yield _item(one, record, f"set {one.name}: {file}, row {row}", number)
            number += 1
    if not number:
        raise ValueError(f"set {one.name}: {one.path} has no item")


def _records(one: SetSettings, file: Path) -> Iterator[Mapping[str, Any]]:
    if file.name.endswith(".parquet"):
        yield from _parquet_rows(one, file)
        return
    with _opened(file) as lines:
        try:
            for number, line in enumerate(iter(lambda: lines.readline(_MAX_LINE_CHARS), ""), start=1):
                if not line.strip():
                    continue
                record = json.loads(line)
                if not isinstance(record, Mapping):
                    raise ValueError(f"line {number} is no JSON object")
                yield record
        except (ValueError, OSError, EOFError, zstandard.ZstdError) as error:
            raise ValueError(f"set {one.name}: {file} cannot be read as JSON lines: {error}") from error


def _opened(file: Path) -> IO[str]:
    if file.name.endswith(".gz"):
        return gzip.open(file, "rt", encoding="utf-8-sig")
    if file.name.endswith(".zst"):
        raw = zstandard.ZstdDecompressor().stream_reader(file.open("rb"), read_across_frames=True, closefd=True)
        return io.TextIOWrapper(raw, encoding="utf-8-sig")
    return file.open("r", encoding="utf-8-sig")


def _parquet_rows(one: SetSettings, file: Path) -> Iterator[Mapping[str, Any]]:
    wanted = {column.partition(".")[0] for column in one.columns.values()}
    try:
        with open_parquet(file) as table:
            names = set(table.schema_arrow.names)
            if not wanted <= names:
                missing = next(column for column in one.columns.values() if column.partition(".")[0] not in names)
                raise ValueError(_without(f"set {one.name}: {file}", missing, sorted(names)))
            for batch in whole_batches(table, batch_size=1024, columns=sorted(wanted)):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"set {one.name}: {file} cannot be read as Parquet: {error}") from error


def _item(one: SetSettings, record: Mapping[str, Any], where: str, number: int) -> Item:
    values = {name: _value(record, column, where) for name, column in one.columns.items()}
    choices = values.pop("choices", None)
    texts = {name: _text(value, f"{where}: {one.columns[name]}") for name, value in values.items()}
    item_id = texts.pop("id", "") or str(number)
    return Item(id=item_id, choices=_choices(choices, f"{where}: {one.choices}"), **texts)


def _value(record: Mapping[str, Any], column: str, where: str) -> Any:
    """Returns the value of a column. A dot in the column's name leads to a value inside an object, as in
    ``answers.text``.
    """
    if column in record:
        return record[column]
    value: Any = record
    for name in column.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise ValueError(_without(where, column, sorted(map(str, record))))
        value = value[name]
    return value


def _without(where: str, column: str, names: list[str]) -> str:
    return f"{where} has no column {column!r}; it has: {', '.join(names)}"


def _text(value: Any, where: str) -> str:
    if isinstance(value, list | tuple) and value:  # several answers or prompts, each of which is correct
        return _text(value[0], where)
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str | int | float):
        raise ValueError(f"{where} must be a text or a number, not {str(value)[:80]!r}")
    return str(value)


def _choices(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, Mapping) and "text" in value:
        value = value["text"]
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ValueError(f"{where} must be a list of choices, not {str(value)[:80]!r}")
    return tuple(_text(one["text"] if isinstance(one, Mapping) and "text" in one else one, where) for one in value)
