"""Stack Exchange: reads dumps of questions and answers, one file per site, as archive.org publishes them.

A dump has one of three forms: ``<site>.7z`` with a Posts.xml inside; ``stackoverflow.com-Posts.7z``; or ``Posts.xml``
in a folder named after the site. Each post becomes a row of the table ``posts``, with its body converted to plain text.
The join makes documents from these rows (:class:`AnswerJoin`). The dump's tables without posts (comments, votes, ...)
are skipped.

Posts are questions and answers (PostTypeId 1 and 2), including community wikis. Posts of all remaining types (tag
wikis, nominations, ...) are left out and counted as ``not_question_or_answer``. Posts marked as deleted are counted as
``deleted``. No public dump has deleted posts.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import pyarrow as pa

from filters.html.fragment import html_to_text
from filters.language.detect import DetectLanguage
from pipeline.sources.dedup_steps import ExactDedup
from pipeline.sources.source import Chunk, DataLicence, InputFile, Opener, Reader, Rejected, Source, TableRow, Unit
from pipeline.sources.stack_exchange.answers import AnswerJoin
from pipeline.sources.stack_exchange.rows import PostRow, RowBlock, parse_rows, row_blocks
from pipeline.sources.stack_exchange.seven_zip import as_archive, is_damage, members, unpacked
from pipeline.sources.stack_exchange.sites import other_table, site_of
from pipeline.sources.stack_exchange.utf16 import HEAD_BYTES, Utf8Stream, utf16_codec

__all__ = ["SOURCE", "AnswerJoin", "StackExchangeReader"]

_QUESTION, _ANSWER = "1", "2"
_POSTS = "Posts.xml"
_CHUNK_BYTES = 8 << 20
_SMALL_UNPACKED_BYTES = 64 << 20
"""``max_unpack_ratio`` applies only to archives that unpack to more than this many bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackExchangeReader(Reader):
    """Reads posts. Each row becomes a :class:`TableRow`."""

    DATA_VERSION: ClassVar[int] = 4
    CONTAINERS: ClassVar[frozenset[str]] = frozenset({"7z"})
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "site": pa.string(),
        "question_id": pa.int64(),
        "url": pa.string(),
        "score": pa.int64(),
        "answer_scores": pa.list_(pa.int64()),
        "tags": pa.list_(pa.string()),
        "creation_date": pa.string(),
        "num_answers": pa.int64(),
        "accepted": pa.bool_(),
    }
    RULE: ClassVar[str] = "Questions and answers; their bodies become plain text."
    CITE: ClassVar[str] = "the paper"
    BROKEN: ClassVar[tuple[str, ...]] = (
        "bad_row",
        "undeclared_entity",
        "row_too_long",
        "row_without_id",
        "row_without_type",
        "bad_score",
        "answer_without_parent",
        "xml_doctype",
        "truncated_xml",
        "not_posts_xml",
        "damaged_7z",
        "archive_bomb",
        "no_posts_xml",
    )
    NOT_BROKEN: ClassVar[tuple[str, ...]] = (
        "not_question_or_answer",
        "deleted",
        "duplicate_post",
        "answer_without_question",
        "empty_answer",
        "empty_question",
        "low_score_answer",
        "question_too_long",
        "closed_question",
        "unanswered_question",
    )

    unit_bytes: int = 32 << 20
    """The approximate size in bytes of the ranges into which a plain Posts.xml is split."""
    max_unpack_ratio: int = 200
    """The highest ratio of unpacked to stored bytes. An archive that declares a higher ratio is refused. Our choice:
    posts have a ratio of about 5. Votes, the most repetitive table, have a ratio under 30.
    """
    image_alt: bool = False
    """True to keep the alternative text of images."""

    def __post_init__(self) -> None:
        if self.unit_bytes < 1 or self.max_unpack_ratio < 1:
            raise ValueError("unit_bytes and max_unpack_ratio must be at least 1")

    def knows(self, path: str) -> bool:
        """True if the path is named like a site's archive or like a Posts.xml. This source reads only these files."""
        folder, name = posixpath.split(path.replace("\\", "/"))
        stem, extension = posixpath.splitext(name)
        if extension in (".7z", ".xml") and other_table(stem):
            return False
        return bool(extension == ".7z" and site_of(stem)) or bool(
            name == _POSTS and site_of(posixpath.basename(folder))
        )

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Splits files into units (input that one worker reads). An archive is one unit. A Posts.xml is split into
        units of about ``unit_bytes`` bytes. Files of tables without posts are skipped.
        """
        units: list[Unit] = []
        for file in files:
            folder, name = posixpath.split(file.path.replace("\\", "/"))
            stem, extension = posixpath.splitext(name)
            if extension in (".7z", ".xml") and other_table(stem):
                continue
            if extension == ".7z" and site_of(stem):
                units.append(Unit(path=file.path, num_bytes=file.num_bytes, kind="7z"))
            elif name == _POSTS and (site := site_of(posixpath.basename(folder))):
                num_units = max(1, -(-file.num_bytes // self.unit_bytes))
                cuts = [file.num_bytes * i // num_units for i in range(num_units + 1)]
                units += [
                    Unit(path=file.path, num_bytes=end - start, kind=f"xml:{site}", start=start, end=end)
                    for start, end in pairwise(cuts)
                ]
            else:
                raise ValueError(
                    f"stack_exchange: {file.path} is not a dump; give SITE.7z, stackoverflow.com-Posts.7z, or"
                    " Posts.xml in a folder named for its site (coffee.stackexchange.com/Posts.xml)"
                )
        return units

    def unpack(self, unit: Unit, open_file: Opener) -> Iterator[Chunk | Rejected]:
        """Yields the archive's Posts.xml in chunks of complete rows.

        The field ``origin`` of a chunk says where the chunk begins: at which byte of Posts.xml.
        """
        with open_file(unit.path) as stored:
            archive = as_archive(stored)
            try:
                files = members(archive)
            except BaseException as error:
                if not is_damage(error):
                    raise
                yield _unreadable(unit.location, error)
                return
            archive_bytes = stored.seek(0, io.SEEK_END)
            max_bytes = max(self.max_unpack_ratio * archive_bytes, _SMALL_UNPACKED_BYTES)
            declared_bytes = sum(num_bytes for _, num_bytes in files)
            posts = [name for name, _ in files if posixpath.basename(name.replace("\\", "/")) == _POSTS]
            if declared_bytes > max_bytes:
                detail = f"{declared_bytes} bytes out of {archive_bytes}"
                yield Rejected(location=unit.location, reason="archive_bomb", detail=detail, is_whole_file=True)
            elif not posts:
                detail = ", ".join(name for name, _ in files)[:200]
                yield Rejected(location=unit.location, reason="no_posts_xml", detail=detail, is_whole_file=True)
            else:
                for name in posts:
                    yield from self._unpack_member(unit, archive, name, max_bytes)

    def _unpack_member(self, unit: Unit, archive: Any, name: str, max_bytes: int) -> Iterator[Chunk | Rejected]:
        location = f"{unit.location}#{name}"
        stem = posixpath.splitext(posixpath.basename(unit.path.replace("\\", "/")))[0]
        site = site_of(posixpath.basename(posixpath.dirname(name))) or site_of(stem)
        with unpacked(archive, name, max_bytes=max_bytes) as stream:
            rows: Any = Utf8Stream(stream)  # type: ignore[arg-type]
            for block in row_blocks(rows, location=location, read_bytes=_CHUNK_BYTES):
                if isinstance(block, RowBlock):
                    yield Chunk(kind=f"rows:{site}", origin=f"{location}@{block.offset}", data=block.data)
                elif stream.error is None:
                    yield block
            if stream.error is not None and is_damage(stream.error):
                yield _unreadable(location, stream.error)

    def read(self, unit: Unit, open_file: Opener) -> Iterator[TableRow | Rejected]:
        """Yields the posts whose rows begin in the unit's range."""
        form, _, site = unit.kind.partition(":")
        with open_file(unit.path) as stored:
            if form == "xml":
                location = unit.location
                if utf16_codec(stored.read(HEAD_BYTES)) is None:
                    blocks = row_blocks(stored, start=unit.start, end=unit.end, location=location)
                elif unit.start == 0:  # byte ranges do not fit the UTF-8 text, so the first unit reads the whole file
                    stored.seek(0)
                    rows: Any = Utf8Stream(stored)
                    blocks = row_blocks(rows, location=location)
                else:
                    return
            else:  # a chunk of complete rows; its offset in Posts.xml is after the last @ of the origin
                location, _, at = unit.origin.rpartition("@")
                stored.seek(unit.start)
                chunk = io.BytesIO(stored.read(-1 if unit.end is None else unit.end - unit.start))
                blocks = row_blocks(chunk, location=location, base=int(at))
            for block in blocks:
                if isinstance(block, Rejected):
                    yield block
                    continue
                for row in parse_rows(block, location):
                    yield row if isinstance(row, Rejected) else self._post(row, site, location)

    def _post(self, row: PostRow, site: str, location: str) -> TableRow | Rejected:
        """Converts a row to a post. If the row is not a post that this source keeps, returns a rejection with the
        reason.
        """
        get = row.attributes.get
        where = f"{location}@{row.offset}"
        kind = get("PostTypeId")
        post_id, parent_id = _number(get("Id")), _number(get("ParentId"))
        score = _number(get("Score", "0"))
        is_question = kind == _QUESTION
        if post_id is None:
            return Rejected(location=where, reason="row_without_id", detail=repr(get("Id")))
        if kind is None:
            return Rejected(location=where, reason="row_without_type", detail=str(post_id))
        if kind not in (_QUESTION, _ANSWER):
            return Rejected(location=where, reason="not_question_or_answer", detail=kind, is_bad=False)
        if "DeletionDate" in row.attributes:
            return Rejected(location=where, reason="deleted", detail=str(post_id), is_bad=False)
        if not is_question and parent_id is None:
            return Rejected(location=where, reason="answer_without_parent", detail=str(post_id))
        if score is None:
            return Rejected(location=where, reason="bad_score", detail=repr(get("Score")))
        post = {
            "site": site,
            "post_id": post_id,
            "question_id": post_id if is_question else parent_id,
            "is_question": is_question,
            "score": score,
            "title": " ".join(get("Title", "").split()) if is_question else "",
            "text": html_to_text(get("Body", ""), image_alt=self.image_alt),
            "tags": _tags(get("Tags", "")) if is_question else [],
            "creation_date": get("CreationDate"),
            "last_activity_date": get("LastActivityDate"),
            "accepted_answer_id": _number(get("AcceptedAnswerId")),
            "closed_date": get("ClosedDate"),
        }
        return TableRow("posts", post)


def _number(value: str | None) -> int | None:
    """Converts a string to an int. Returns None if the string is not a whole number, or if it has more than 18 digits.
    A number of 18 digits always fits an int64.
    """
    if value is None or len(value) > 19:
        return None
    digits = value[1:] if value[:1] == "-" else value
    return int(value) if digits.isdecimal() and digits.isascii() and len(digits) <= 18 else None


def _tags(value: str) -> list[str]:
    """Returns the tags of a post. Dumps write tags in two styles.

    >>> _tags("<c++><windows>"), _tags("|c++|windows|")
    (['c++', 'windows'], ['c++', 'windows'])
    """
    return [tag for tag in value.replace("<", "|").replace(">", "|").split("|") if tag]


def _unreadable(location: str, error: BaseException) -> Rejected:
    detail = f"{type(error).__name__}: {error}"[:200]
    return Rejected(location=location, reason="damaged_7z", detail=detail, is_whole_file=True)


SOURCE = Source(
    name="stack_exchange",
    reader=StackExchangeReader(),
    steps=(
        ExactDedup(
            NAME="duplicate_id",
            reason="duplicate_id",
            key="id",
            rule="Keeps one copy of a question that was read twice.",
        ),
        DetectLanguage(),
    ),
    cite=(
        "LLaMA (arXiv 2302.13971, section 2.1): the 28 largest websites, HTML tags removed from text, answers sorted by"
        " score from highest to lowest"
    ),
    licence=DataLicence(
        "CC BY-SA 2.5 (posts before 2011-04-08), 3.0 (before 2018-05-02) or 4.0",
        "name the authors and link to the question (column `url`), share alike",
        "https://stackoverflow.com/help/licensing",
    ),
    join=AnswerJoin(),
)
