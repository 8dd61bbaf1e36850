"""GitHub (4.5 % of the mixture): reads exports of BigQuery's ``github_repos``, as three tables or as one joined table.

The tables are ``contents`` (id, content, size, binary), ``files`` (id, repo_name, path) and ``licenses`` (repo_name,
license). A file with the columns ``content``, ``path``, ``repo_name`` and ``license`` contains a joined table. The name
of any other file says which table the file contains. If the name says nothing, the columns decide. The id of a document
is the id of its content (git's SHA-1). If a joined table lacks this id, the id of a document is ``REPOSITORY/PATH``.

Files with equal content become one document. The document has the repository, path and licence of one of these files.
:func:`choose_copy` chooses this file by three criteria. Files with a permissive licence come first. Among them, files
whose path the filters accept come first. Among these, the file with the greatest hash of repository and path is chosen.

In a joined table, each file is a document at first. Steps drop the documents with unwanted licences or paths. Then a
dedup keeps one document per id: the document with the greatest hash of repository and path (column ``_choice``). So if
the joined table has the ids of contents, the choice is the same as with three tables.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from filters.code.languages import language_of, path_fault
from filters.code.steps import (
    PERMISSIVE,
    AllowedLicence,
    AlphabeticPerToken,
    CodeFiles,
    CodeHeader,
    CodeQuality,
    is_permissive,
)
from pipeline.sources.dedup_steps import ExactDedup
from pipeline.sources.formats.json_lines import JSON_LINES_BROKEN, Row, storable
from pipeline.sources.github.tables import (
    KNOWN_ENDINGS,
    NEEDED,
    TABLES,
    file_format,
    first_columns,
    missing_columns,
    read_rows,
    table_by_columns,
    table_by_name,
)
from pipeline.sources.source import (
    DataLicence,
    Document,
    InputFile,
    Join,
    Opener,
    Reader,
    Rejected,
    Source,
    TableRow,
    Unit,
)

_SYMLINK_MODE = 0o120000


Copy = tuple[str, str, str | None]
"""A file, as (repository, path, licence). Several files can have the same content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceJoin(Join):
    """Makes one document per content. Chooses one of the files with this content, and adds the licence of this file's
    repository.

    A content is the text of a file. Several files, also of different repositories, can have the same content.
    """

    OPENS_BATCHES: ClassVar[bool] = True
    EXPLAINED: ClassVar[tuple[str, ...]] = (
        "transform: read",
        "reads the tables and spills the documents",
        "transforms: repositories, licences, contents, choose_file",
        "joins each document with its row of the other tables; ids and rows travel, texts do not",
    )
    SIDE_TABLES: ClassVar[frozenset[str]] = frozenset({"files", "licenses"})


def choose_copy(candidates: Iterable[Copy], *, families: tuple[str, ...] = PERMISSIVE) -> Copy | None:
    """Chooses one of the files with the same content. Returns None if there are no candidates.

    Files with a permissive licence come first. Among them, files whose path the filters accept come first. Among
    these, the file with the greatest :func:`choice_hash` is chosen. ``families`` are the permissive licences, a setting
    of the step ``AllowedLicence``.

    In the example, the licence of the first file is not permissive, and the second file is in a folder of copied code.

    >>> choose_copy([("b/b", "x.py", "gpl-3.0"), ("a/a", "vendor/x.py", "mit"), ("c/c", "x.py", "mit")])
    ('c/c', 'x.py', 'mit')
    """

    def rank(candidate: Copy) -> tuple[bool, bool, str, str, str, str]:
        repo_name, path, licence = candidate
        is_kept = path_fault(path, language_of(path)) is None
        return is_permissive(licence, families), is_kept, choice_hash(repo_name, path), repo_name, path, licence or ""

    left = iter(candidates)
    two = list(itertools.islice(left, 2))
    if len(two) < 2:  # the only file needs no rank
        return two[0] if two else None
    return max(itertools.chain(two, left), key=rank)


def choice_hash(repo_name: str, path: str) -> str:
    """Returns the hash of a file's repository and path. It is the last criterion of :func:`choose_copy`, where the
    greatest hash wins.

    The repository and the path are hashed with a zero byte between them, so the two files of the example differ.

    >>> choice_hash("a/b", "c") == choice_hash("a", "b/c")
    False
    """
    return hashlib.blake2b(f"{repo_name}\0{path}".encode(), digest_size=16).hexdigest()


def check_tables(units: Iterable[Unit]) -> None:
    """Checks that the three tables ``contents``, ``files`` and ``licenses`` are given together, or none of them.

    Raises:
        ValueError: only one or two of the three tables are given.
    """
    found = {unit.kind.partition(".")[0] for unit in units} & set(TABLES)
    lacking = [table for table in TABLES if table not in found]
    if found and lacking:
        raise ValueError(
            f"github: {', '.join(sorted(found))} without {' and '.join(lacking)}: give the exports of all three "
            "tables (file names begin with contents, files, licenses), or one joined table"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubReader(Reader):
    """Reads exports in JSON lines (with or without gzip), Parquet and Avro. A unit's kind is ``TABLE.FORMAT``.

    A unit is the input that one worker reads, here one file. For example, the kind ``files.avro`` is a file in Avro
    that contains the table ``files``.
    """

    DATA_VERSION: ClassVar[int] = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "repo_name": pa.string(),
        "path": pa.string(),
        "license": pa.string(),
        "size_bytes": pa.int64(),
        "_choice": pa.string(),
    }
    RULE: ClassVar[str] = (
        "Reads contents, files and licences, which a join puts together. Contents over `max_content_bytes` are refused."
    )
    CITE: ClassVar[str] = "ours"
    BROKEN: ClassVar[tuple[str, ...]] = (
        *JSON_LINES_BROKEN,
        "missing_column",
        "no_id",
        "content_is_no_text",
        "damaged_avro",
        "damaged_parquet",
    )
    NOT_BROKEN: ClassVar[tuple[str, ...]] = (
        "binary_content",
        "no_content",
        "content_too_large",
        "symlink",
        "file_without_content",
    )

    max_content_bytes: int = field(default=16 << 20)
    """The largest content in bytes. Our choice: larger files are not source code. BigQuery's table has no content over
    1 MiB.
    """

    def knows(self, path: str) -> bool:
        """True if the ending of a file's name belongs to a format that this source reads."""
        return path.lower().endswith(KNOWN_ENDINGS)

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Makes one unit (input that one worker reads) of each file. A file with the columns of a joined table is one.
        The name of any other file says which table it contains. If the name says nothing, the columns decide.

        Raises:
            ValueError: the format of a file is not supported. Or a file lacks columns of its table (the message names
                the columns). Or only one or two of the three tables are given.
        """
        units: list[Unit] = []
        seen: set[str] = set()
        for file in files:
            form = file_format(file.path)
            table = table_by_name(file.path)
            if table is None or f"{table}.{form}" not in seen:  # only the first file of each table is opened
                columns = first_columns(file.path, form, open_file)
                table = self._table(file.path, table, columns)
            seen.add(f"{table}.{form}")
            units.append(Unit(path=file.path, num_bytes=file.num_bytes, kind=f"{table}.{form}"))
        check_tables(units)
        return units

    @staticmethod
    def _table(path: str, table: str | None, columns: Sequence[str] | None) -> str:
        """Returns the name of the exported table that a file contains.

        If the columns of a file cannot be read, raises no error here. The file is rejected later, when it is read.
        """
        if columns is None:
            return table or "joined"
        by_columns = table_by_columns(columns)
        if by_columns == "joined":
            return by_columns
        named = table or by_columns
        if named is None:
            raise ValueError(
                f"github: {path} is none of the tables known: its columns are {', '.join(columns) or 'none'}, "
                f"needed are {'; '.join(f'{name}: ' + ', '.join(sorted(needed)) for name, needed in NEEDED.items())}"
            )
        lacking = missing_columns(named, columns)
        if lacking:
            raise ValueError(
                f"github: {path} lacks {', '.join(lacking)} of the table {named}; it has {', '.join(columns) or 'none'}"
            )
        return named

    def is_side_table(self, path: str) -> bool:
        """True if the file belongs to the table ``files`` or ``licenses``.

        The join needs all rows of these tables. So these tables are read completely, even if a run reads only a share
        of the input.
        """
        return table_by_name(path) in ("files", "licenses")

    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | TableRow | Rejected]:
        """Yields documents if the unit has the table ``contents`` or a joined table. Yields rows for the join if it has
        the table ``files`` or ``licenses``.
        """
        table, _, form = unit.kind.partition(".")
        if table not in NEEDED:
            raise ValueError(f"github: unknown kind of unit {unit.kind!r}")
        for record in read_rows(unit, form, open_file):
            if isinstance(record, Rejected):
                yield record
                continue
            where, row = record
            lacking = missing_columns(table, tuple(row))
            if lacking:
                detail = f"{table} needs {', '.join(lacking)}; found: {', '.join(sorted(row)[:20]) or 'none'}"
                yield Rejected(location=where, reason="missing_column", detail=detail[:500])
            elif table == "files":
                yield _file_row(where, row)
            elif table == "licenses":
                yield _licence_row(where, row)
            else:
                yield self._document(where, row, is_joined=table == "joined")

    def _document(self, where: str, row: Row, *, is_joined: bool) -> Document | Rejected:
        content, identity = row.get("content"), _string(row.get("id"))
        repo_name, path = _string(row.get("repo_name")), _string(row.get("path"))
        named = identity or f"{repo_name}/{path}"
        if row.get("binary") in (True, "true"):
            return Rejected(location=where, reason="binary_content", detail=named, is_bad=False)
        if content is None:
            return Rejected(location=where, reason="no_content", detail=named, is_bad=False)
        if not isinstance(content, str):
            return Rejected(location=where, reason="content_is_no_text", detail=f"{named}: {type(content).__name__}")
        if identity is None and not (repo_name and path):
            return Rejected(location=where, reason="no_id", detail="neither id nor repo_name and path")
        if len(content) > self.max_content_bytes:
            return Rejected(location=where, reason="content_too_large", detail=f"{named}: {len(content)}", is_bad=False)
        text = storable(content)
        return {
            "id": named,
            "text": text,
            "repo_name": repo_name if is_joined else None,
            "path": path if is_joined else None,
            "license": _string(row.get("license")) if is_joined else None,
            "size_bytes": len(text.encode()),
            "_choice": choice_hash(repo_name or "", path or "") if is_joined else None,
        }


def _file_row(where: str, row: Row) -> TableRow | Rejected:
    identity, repo_name, path = _string(row["id"]), _string(row["repo_name"]), _string(row["path"])
    if not (identity and repo_name and path):
        return Rejected(location=where, reason="no_id", detail="a file row without id, repo_name or path")
    if row.get("mode") in (_SYMLINK_MODE, str(_SYMLINK_MODE)):
        return Rejected(location=where, reason="symlink", detail=f"{repo_name}/{path}", is_bad=False)
    return TableRow("files", {"id": identity, "repo_name": repo_name, "path": path})


def _licence_row(where: str, row: Row) -> TableRow | Rejected:
    repo_name, licence = _string(row["repo_name"]), _string(row["license"])
    if not repo_name:
        return Rejected(location=where, reason="no_id", detail="a licence row without repo_name")
    return TableRow("licenses", {"repo_name": repo_name, "license": licence})


def _string(value: object) -> str | None:
    return storable(value) if isinstance(value, str) and value else None


SOURCE = Source(
    name="github",
    reader=GitHubReader(),
    steps=(
        AllowedLicence(),
        CodeFiles(),
        ExactDedup(
            NAME="duplicate_id",
            reason="duplicate_id",
            key="id",
            newest="_choice",
            rule="Keeps one copy of a content that was read twice.",
        ),
        CodeHeader(),
        CodeQuality(),
        ExactDedup(
            NAME="duplicate_content",
            reason="duplicate_content",
            key="_content_hash",
            rule="Keeps one of all files with the same text.",
            cite="the paper",
        ),
        AlphabeticPerToken(),
    ),
    cite="BigQuery's public GitHub data, Apache, BSD and MIT projects only, filtered by line length and alphanumeric "
    "share, headers removed, exact file dedup (LLaMA, arXiv:2302.13971, section 2.1)",
    licence=DataLicence(
        "MIT, BSD or Apache 2.0, file by file (column `license` of `clean/github`)",
        "keep the copyright notice and the licence's text with what is passed on; notices at the head of files were "
        "removed from the text, `repo_name` and `path` lead to them",
        "https://opensource.org/licenses",
    ),
    join=LicenceJoin(),
)
