"""Reads declared corpora. Converts rows to documents by the paths in the declaration, and checks files before a run."""

from __future__ import annotations

import itertools
import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from pipeline.files.http_files import HttpFileError
from pipeline.sources.corpora.columns import MISSING, paths_of_row, paths_of_schema, shown, type_at, value_at
from pipeline.sources.corpora.rows import ENDINGS, JSON, PARQUET, form_of, read_rows, row_group_units, schema_of
from pipeline.sources.corpora.values import KINDS, WrongType, as_kind, id_of_text, text_of
from pipeline.sources.formats.json_lines import JSON_LINES_BROKEN, Row
from pipeline.sources.source import Document, InputFile, Opener, Reader, Rejected, Unit

UNIT_BYTES = 64 << 20
"""A Parquet file is split into units of about this many stored bytes, so that several workers can read it (our
choice)."""
MAX_FILES_SPLIT = 256
"""If a source has more files than this, Parquet files are not split into several units (our choice). So many files keep
all workers busy even with one unit per file. Splitting has a cost: the end of each file must be read before the run.
"""
ROWS_LOOKED_AT = 100
"""JSON has no schema. So before a run, this many rows of the first JSON file are checked for the declared columns (our
choice).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusReader(Reader):
    """Reads the text, the id and the columns of each row, as ``corpora.NAME.columns`` declares.

    If a row has no id, or the declaration has no column for ids, the id is the SHA-256 of the text.
    """

    DATA_VERSION: ClassVar[int] = 1
    RULE: ClassVar[str] = (
        "Reads the text, the id and the columns of each row. Rows without an id have the SHA-256 of their text as id."
    )
    BROKEN: ClassVar[tuple[str, ...]] = (
        *JSON_LINES_BROKEN,
        "damaged_parquet",
        "damaged_arrow",
        "missing_column",
        "text_is_no_text",
        "wrong_type",
        "unreadable_on_server",
    )
    NOT_BROKEN: ClassVar[tuple[str, ...]] = ("no_content", "text_too_large")

    form: str = ""
    """The format of all files: ``json``, ``parquet`` or ``arrow``. If empty, each file's name decides."""
    text: str = "text"
    """The path of the text."""
    id: tuple[str, ...] = ()
    """The paths whose values, joined by ``/``, are the id. If empty, the id is a hash of the text."""
    language: str = ""
    """The path of the language. If the path is empty, the language is the one in ``constants``. If there is none
    either, the language is ``und`` (undetermined) until a step detects it.
    """
    columns: tuple[tuple[str, ...], ...] = ()
    """All columns except the text, the id and the language. Each item is (name, type, path)."""
    constants: tuple[tuple[str, ...], ...] = ()
    """Columns with the same value in all documents. Each item is (name, value)."""
    optional: tuple[str, ...] = ()
    """Names of columns that may be missing in a file. The values of a missing column are null."""
    max_text_bytes: int = 16 << 20
    """The largest size of a text in bytes (our choice). Longer texts are rejected. Almost all books have under 8 MB."""

    def __post_init__(self) -> None:
        if self.form not in ("", *ENDINGS):
            raise ValueError(f"form must be one of {', '.join(ENDINGS)}, not {self.form!r}")
        if any(len(one) != 3 or one[1] not in KINDS for one in self.columns):
            raise ValueError(f"columns must be name, type and path; the types are {', '.join(KINDS)}")
        if any(len(one) != 2 for one in self.constants):
            raise ValueError("constants must be name and value")

    @property
    def COLUMNS(self) -> Mapping[str, pa.DataType]:  # type: ignore[override]  # noqa: N802 - as the base class has it
        """The declared columns with their types, except the text, the id and the language."""
        found = {name: KINDS[kind] for name, kind, _ in self.columns}
        return found | {name: pa.string() for name, _ in self.constants if name != "language"}

    def knows(self, path: str) -> bool:
        return bool(self._form_of(path))

    def expand(self, given: str, open_file: Opener) -> list[str] | None:
        """Returns the data files of a folder that Hugging Face's ``save_to_disk`` wrote, or None if ``given`` is not
        such a folder.
        """
        about = _json_in(given, "state.json", open_file)
        if about is not None:
            files = about.get("_data_files")
            if not isinstance(files, list) or not all(isinstance(f, dict) and "filename" in f for f in files):
                raise ValueError(f"{given}/state.json names no data files; save the dataset again")
            return [posixpath.join(given.rstrip("/"), str(f["filename"])) for f in files]
        splits = (_json_in(given, "dataset_dict.json", open_file) or {}).get("splits")
        if isinstance(splits, list) and splits:
            if len(splits) > 1:
                raise ValueError(f"{given} holds the splits {', '.join(map(str, splits))}: name one, such as "
                                 f"{given.rstrip('/')}/{splits[0]}")  # fmt: skip
            return self.expand(posixpath.join(given, str(splits[0])), open_file)
        return None

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Returns one unit (a piece of work for one worker) per file, or several units for a large Parquet file.

        Raises:
            ValueError: the first readable file of a format lacks a column, or its text column is not text. The message
                names the file, the column and the columns that exist.
        """
        units: list[Unit] = []
        unchecked = set(ENDINGS)
        for file in files:
            kind = self._form_of(file.path)
            assert kind, "the caller gives files of known names"
            if kind in unchecked and self._is_checked(file, kind, open_file):
                unchecked.remove(kind)
            unit = Unit(path=file.path, num_bytes=file.num_bytes, kind=kind)
            is_split = kind == PARQUET and file.num_bytes >= 2 * UNIT_BYTES and len(files) <= MAX_FILES_SPLIT
            units += row_group_units(unit, UNIT_BYTES, open_file) if is_split else [unit]
        return units

    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | Rejected]:
        """Yields the documents of a unit. If a server stops responding, the rows read so far are kept, and a rejection
        of the file is yielded.
        """
        try:
            if unit.kind != JSON and (fault := self._schema_fault(unit, open_file)):
                yield fault
                return
            for found in read_rows(unit, [path for _, path in self._paths()], open_file):
                yield found if isinstance(found, Rejected) else self._document(*found)
        except HttpFileError as error:
            yield Rejected(location=unit.location, reason="unreadable_on_server", detail=str(error), is_whole_file=True)

    def _form_of(self, path: str) -> str | None:
        return self.form or form_of(path)

    def _paths(self) -> list[tuple[str, str]]:
        """Returns one pair (column, path) per value that is read from a row. The text is first."""
        named = [("text", self.text), *(("id", path) for path in self.id)]
        named += [("language", self.language)] if self.language else []
        return [*named, *((name, path) for name, _, path in self.columns)]

    def _is_checked(self, file: InputFile, kind: str, open_file: Opener) -> bool:
        """Checks before the run that a file has the declared columns. Raises ValueError if a column is missing. Returns
        False if the check is not possible, because the file has no readable schema or rows.
        """
        if kind == JSON:
            return self._check_json(file.path, open_file)
        schema = schema_of(file.path, kind, open_file)
        if schema is None:
            return False
        if lacking := self._lacking(schema):
            raise ValueError(_no_column(file.path, *lacking[0], paths_of_schema(schema)))
        if not _is_text(type_at(schema, self.text)):
            raise ValueError(f"{file.path}: the column {self.text} is no text but {type_at(schema, self.text)}; name "
                             f"another one as columns.text (there are: {shown(paths_of_schema(schema))})")  # fmt: skip
        return True

    def _check_json(self, path: str, open_file: Opener) -> bool:
        found = list(
            itertools.islice(read_rows(Unit(path=path, num_bytes=0, kind=JSON), (), open_file), ROWS_LOOKED_AT)
        )
        rows = [one[1] for one in found if not isinstance(one, Rejected)]
        if not rows:
            if len(found) == ROWS_LOOKED_AT or any(
                isinstance(f, Rejected) and f.reason == "not_an_object" for f in found
            ):
                fault = next(one for one in found if isinstance(one, Rejected))
                raise ValueError(f"{path} is not JSON lines, one object per line: {fault.reason} in {fault.location}")
            return False
        for name, wanted in self._paths():
            if name not in self.optional and all(value_at(row, wanted) is MISSING for row in rows):
                raise ValueError(_no_column(path, name, wanted, sorted({p for row in rows for p in paths_of_row(row)})))
        return True

    def _lacking(self, schema: pa.Schema) -> list[tuple[str, str]]:
        return [
            (name, path) for name, path in self._paths() if name not in self.optional and type_at(schema, path) is None
        ]

    def _schema_fault(self, unit: Unit, open_file: Opener) -> Rejected | None:
        """Returns a rejection of the whole file if a column is missing in its schema, or if the text column is not
        text. Otherwise returns None.
        """
        schema = schema_of(unit.path, unit.kind, open_file)
        if schema is None:
            return None  # read_rows reports the damage
        if lacking := self._lacking(schema):
            name, path = lacking[0]
            detail = f"no column {path} for {name}; there are: {shown(paths_of_schema(schema))}"
            return Rejected(location=unit.location, reason="missing_column", detail=detail[:500], is_whole_file=True)
        if not _is_text(kind := type_at(schema, self.text)):
            detail = f"the column {self.text} is {kind}"
            return Rejected(location=unit.location, reason="text_is_no_text", detail=detail[:500], is_whole_file=True)
        return None

    def _document(self, where: str, row: Row) -> Document | Rejected:
        value = value_at(row, self.text)
        if value is MISSING:
            detail = f"no column {self.text} for text; there are: {shown(paths_of_row(row))}"
            return Rejected(location=where, reason="missing_column", detail=detail[:500])
        if value is None:
            return Rejected(location=where, reason="no_content", detail="null", is_bad=False)
        try:
            text = text_of(value)
        except UnicodeDecodeError as error:
            return Rejected(location=where, reason="not_utf8", detail=f"byte {error.start} of {self.text}")
        except WrongType as error:
            return Rejected(location=where, reason="text_is_no_text", detail=f"{self.text}: {error}")
        if not text.strip():
            return Rejected(location=where, reason="no_content", is_bad=False)
        if len(text) > self.max_text_bytes or len(text.encode()) > self.max_text_bytes:
            return Rejected(location=where, reason="text_too_large", detail=f"{len(text)} characters", is_bad=False)
        document: Document = {"text": text}
        document.update((name, constant) for name, constant in self.constants)
        name = path = ""
        try:
            for name, kind, path in self.columns:
                document[name] = self._value(row, path, kind)
            name, path = "language", self.language
            if path:
                document["language"] = self._value(row, path, "string")
            name, path = "id", "/".join(self.id)
            document["id"] = self._id(row) or id_of_text(text)
        except WrongType as error:
            return Rejected(location=where, reason="wrong_type", detail=f"{name} ({path}): {error}"[:500])
        return document

    @staticmethod
    def _value(row: Row, path: str, kind: str) -> Any:
        value = value_at(row, path)
        return None if value is MISSING else as_kind(value, kind)

    def _id(self, row: Row) -> str:
        """Returns the id of a row: one value, or several values joined by ``/``. Returns "" if one of the values is
        null or missing.
        """
        parts = [self._value(row, path, "string") for path in self.id]
        return "/".join(parts) if all(parts) else ""


def _no_column(file: str, name: str, path: str, there: list[str]) -> str:
    return f"{file} has no column {path} for {name}; there are: {shown(there)}; set columns.{name} to one of them"


def _is_text(kind: pa.DataType | None) -> bool:
    if kind is None:
        return False
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    of_text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
               pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_null)  # fmt: skip
    return any(test(kind) for test in of_text)


def _json_in(folder: str, name: str, open_file: Opener) -> dict[str, Any] | None:
    """Returns the object in the JSON file ``name`` of a folder, or None if there is no such folder, file or object."""
    if any(mark in folder for mark in "*?[") or form_of(folder) is not None:
        return None
    try:
        with open_file(posixpath.join(folder, name)) as file:
            found = json.loads(file.read(1 << 24))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
