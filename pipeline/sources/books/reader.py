"""Books: reads mirrors of Project Gutenberg, and collections in the formats of PG19 and Books3.

If the header of a book has a Gutenberg number, the id of the book consists of this number and a hash of the text.
Otherwise the id is only the hash. The number alone is not enough, because several editions of a book have the same
number (for example an ASCII and a UTF-8 edition, or older editions in ``old/``). With the hash, only editions with
equal texts have equal ids. Editions with different texts are found by the near dedup, a later step that compares the
words of books.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa

from filters.books.boilerplate import Gutenberg
from filters.books.quality import BookQuality
from filters.language.detect import DetectLanguage
from pipeline.sources.books.archives import ArchiveMember, gunzip, tar_members, unknown_form, zip_members
from pipeline.sources.books.chunks import LINES, MEMBERS, line_chunks, member_chunks, members_of, rows_of
from pipeline.sources.books.text_and_header import DecodedBook, Header, decode, header_of, tidy
from pipeline.sources.dedup_steps import ExactDedup, NearDedup
from pipeline.sources.formats.json_lines import JSON_LINES_BROKEN, Row, numbered_lines, read_json_lines, storable
from pipeline.sources.source import Chunk, DataLicence, Document, InputFile, Opener, Reader, Rejected, Source, Unit

_TEXT_ENDINGS = (".txt", ".txt.utf8", ".txt.utf-8", ".text")
_KINDS = {
    "text": _TEXT_ENDINGS,
    "text_gz": tuple(f"{ending}.gz" for ending in _TEXT_ENDINGS),
    "zip": (".zip",),
    "tar": (".tar.gz", ".tgz", ".tar"),
    "jsonl": (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".json.zst"),
}
_LARGE = "large_"
"""If a file is large, the ``kind`` of its unit begins with this prefix. One task unpacks a large file into chunks. Many
tasks read the chunks.
"""
_MEMBER_ENDINGS = (*_TEXT_ENDINGS, ".zip")
_GUTENBERG_URL = re.compile(r"gutenberg\.org/(?:ebooks|etext|files)/(\d{1,6})\b")


def _kind_of(path: str) -> str:
    """Returns the format of a file. The ending of its name decides. An unknown ending gives ``other``.

    >>> _kind_of("1342/1342-0.TXT"), _kind_of("books3.tar.gz"), _kind_of("1342/1342-h.htm")
    ('text', 'tar', 'other')
    """
    name = path.lower()
    return next((kind for kind, endings in _KINDS.items() if name.endswith(endings)), "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksReader(Reader):
    """Reads ``.txt`` files, ``.zip`` and ``.tar[.gz]`` archives of ``.txt`` files, and ``.jsonl[.gz,.zst]`` files with
    the fields ``text`` and ``meta``.
    """

    max_book_bytes: int = 32 << 20
    """The largest book in bytes. Our choice: Gutenberg's longest book is a dictionary of 29 MB. Longer files are not
    books. They are genomes, or the digits of a number.
    """
    max_unit_bytes: int = 64 << 20
    """The largest file that a single task reads, in stored (compressed) bytes. A larger archive or file of lines is
    unpacked into chunks, and many tasks read the chunks. Our choice: one worker reads this many bytes in under a
    minute.
    """

    DATA_VERSION: ClassVar[int] = 3
    CONTAINERS: ClassVar[frozenset[str]] = frozenset({"large_zip", "large_tar", "large_jsonl"})
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "title": pa.string(),
        "author": pa.string(),
        "gutenberg_id": pa.int64(),
        "url": pa.string(),
        "encoding": pa.string(),
        "encoding_decided_by": pa.string(),
        "encoding_certainty": pa.float64(),
    }
    RULE: ClassVar[str] = (
        "`.txt`, `.zip`, tars of them, and JSON lines. The encoding is determined by the bytes' own evidence."
    )
    CITE: ClassVar[str] = "ours"
    BROKEN: ClassVar[tuple[str, ...]] = (
        *JSON_LINES_BROKEN,
        "empty",
        "not_text",
        "no_text",
        "nested_archive",
        "damaged_zip",
        "damaged_tar",
        "unsupported_compression",
        "encrypted",
        "archive_bomb",
    )
    NOT_BROKEN: ClassVar[tuple[str, ...]] = ("too_many_bytes",)

    def knows(self, path: str) -> bool:
        """True if the ending of a file's name belongs to a format that this source reads."""
        return _kind_of(path) != "other"

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Returns one unit (a piece of work for one worker) per file. A large archive or a large file of lines gets a
        special unit: one worker unpacks the file into chunks, and many workers read the chunks.

        The folders of a mirror also have files in formats that this source does not read (``.htm``, ``.tex``, images).
        Each of these files becomes a unit that is reported as ``unknown_form``.

        Raises:
            ValueError: none of the files is in a format that this source reads.
        """
        units = [Unit(path=file.path, num_bytes=file.num_bytes, kind=self._kind(file)) for file in files]
        if files and all(unit.kind == "other" for unit in units):
            known = " ".join(ending for endings in _KINDS.values() for ending in endings)
            raise ValueError(f"books: no file among {len(files)} ends in any of {known}; the first is {files[0].path}")
        return units

    def _kind(self, file: InputFile) -> str:
        kind = _kind_of(file.path)
        is_large = file.num_bytes > self.max_unit_bytes and _LARGE + kind in self.CONTAINERS
        return _LARGE + kind if is_large else kind

    def unpack(self, unit: Unit, open_file: Opener) -> Iterator[Chunk | Rejected]:
        """Yields the members or lines of a large file, unchanged, in chunks of about 8 MB."""
        form = unit.kind.removeprefix(_LARGE)
        if form == "jsonl":
            yield from line_chunks(numbered_lines(unit.path, open_file, location=unit.location), unit.location)
            return
        with open_file(unit.path) as file:
            yield from member_chunks(self._members(file, unit, form), unit.location)

    def _members(self, file: BinaryIO, unit: Unit, form: str) -> Iterator[ArchiveMember | Rejected]:
        members = zip_members if form == "zip" else tar_members
        return members(
            file, unit.location, num_bytes=unit.num_bytes, endings=_MEMBER_ENDINGS, max_bytes=self.max_book_bytes
        )

    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | Rejected]:
        """Yields the books of a file.

        Files are rejected as ``empty``, ``not_text``, ``too_many_bytes``, ``nested_archive``, ``unknown_form`` or
        ``no_text``. ``no_text`` means that a JSON object has no text. There are more reasons for archives
        (:mod:`pipeline.sources.books.archives`).
        """
        if unit.kind == "jsonl":
            for found in read_json_lines(unit.path, open_file, location=unit.location):
                yield found if isinstance(found, Rejected) else self._from_row(found[1], found[0])
            return
        if unit.kind == "other":
            yield unknown_form(unit.location)
            return
        with open_file(unit.path) as file:
            if unit.kind == "text":
                yield self._from_bytes(file.read(self.max_book_bytes + 1), unit.location)
            elif unit.kind == "text_gz":
                data = gunzip(file, unit.location, self.max_book_bytes)
                yield data if isinstance(data, Rejected) else self._from_bytes(data, unit.location)
            elif unit.kind in (MEMBERS, LINES):
                yield from self._from_chunk(unit, file)
            else:
                for member in self._members(file, unit, unit.kind):
                    yield from self._from_member(member, is_nested=False)

    def _from_chunk(self, unit: Unit, file: BinaryIO) -> Iterator[Document | Rejected]:
        file.seek(unit.start)
        if unit.kind == MEMBERS:
            for member in members_of(file, unit.num_bytes, unit.location):
                yield from self._from_member(member, is_nested=False)
        else:
            for found in rows_of(file.read(unit.num_bytes), unit.origin):
                yield found if isinstance(found, Rejected) else self._from_row(found[1], found[0])

    def _from_member(self, member: ArchiveMember | Rejected, *, is_nested: bool) -> Iterator[Document | Rejected]:
        """Yields the book in a member (a file in an archive). If the member is a zip, yields the books in this zip. A
        zip inside this zip is not opened.
        """
        if isinstance(member, Rejected):
            yield member
        elif not member.name.lower().endswith(".zip"):
            yield self._from_bytes(member.data, member.location)
        elif is_nested:
            yield Rejected(location=member.location, reason="nested_archive")
        elif len(member.data) > self.max_book_bytes:
            yield self._too_long(member.location)
        else:
            for inner in zip_members(
                io.BytesIO(member.data),
                member.location,
                num_bytes=len(member.data),
                endings=_MEMBER_ENDINGS,
                max_bytes=self.max_book_bytes,
            ):
                yield from self._from_member(inner, is_nested=True)

    def _too_long(self, location: str) -> Rejected:
        return Rejected(location=location, reason="too_many_bytes", detail=f"over {self.max_book_bytes}", is_bad=False)

    def _from_bytes(self, data: bytes, location: str) -> Document | Rejected:
        if len(data) > self.max_book_bytes:
            return self._too_long(location)
        decoded = decode(data)
        if decoded is None:
            return Rejected(location=location, reason="not_text")
        return _document(decoded, location, header=header_of(decoded.text), url=None)

    def _from_row(self, row: Row, location: str) -> Document | Rejected:
        text = row.get("text")
        if not isinstance(text, str):
            return Rejected(location=location, reason="no_text")
        if len(text) > self.max_book_bytes:
            return self._too_long(location)
        tidied = tidy(storable(text))
        if tidied is None:
            return Rejected(location=location, reason="not_text")
        meta = row.get("meta")
        fields: dict[str, Any] = {**row, **meta} if isinstance(meta, dict) else row
        url = _first_string(fields, "url")
        inner = header_of(tidied)
        number = _GUTENBERG_URL.search(url or "")
        language = _first_string(fields, "language", "lang") or ""
        header = Header(
            title=_first_string(fields, "title", "short_book_title", "book_title") or inner.title,
            author=_first_string(fields, "author", "authors") or inner.author,
            language=language.lower() if re.fullmatch("[A-Za-z]{2}", language) else inner.language,
            gutenberg_id=inner.gutenberg_id if number is None else int(number.group(1)),
        )
        return _document(DecodedBook(tidied, "utf-8"), location, header=header, url=url)


def _first_string(fields: Mapping[str, Any], *names: str) -> str | None:
    """Searches the named fields in order, and returns the first text that is not empty. Returns None if there is no
    such text. If a field has a list, its strings are joined by ``; ``.
    """
    for name in names:
        value = fields.get(name)
        if isinstance(value, list):
            value = "; ".join(part for part in value if isinstance(part, str))
        if isinstance(value, str) and value.strip():
            return storable(value.strip())
    return None


def _document(decoded: DecodedBook, location: str, *, header: Header, url: str | None) -> Document | Rejected:
    text = decoded.text
    if not text.strip():
        return Rejected(location=location, reason="empty")
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    book_id = f"book-{digest}" if header.gutenberg_id is None else f"gutenberg-{header.gutenberg_id}-{digest[:8]}"
    if url is None and header.gutenberg_id is not None:
        url = f"https://www.gutenberg.org/ebooks/{header.gutenberg_id}"
    document: Document = {
        "id": book_id,
        "text": text,
        "title": header.title,
        "author": header.author,
        "gutenberg_id": header.gutenberg_id,
        "url": url,
        "encoding": decoded.encoding,
        "encoding_decided_by": decoded.decided_by,
        "encoding_certainty": decoded.certainty,
    }
    if header.language is not None:
        document["language"] = header.language
    return document


SOURCE = Source(
    name="books",
    reader=BooksReader(),
    steps=(
        Gutenberg(),
        BookQuality(),
        DetectLanguage(),
        ExactDedup(
            NAME="duplicate_id",
            reason="duplicate_id",
            key="id",
            rule="Keeps one copy of a text that was read twice.",
        ),
        NearDedup(
            max_overlap=0.9,
            DATA_VERSION=2,
            rule="Drops a book if more than 90 % of its distinct word 5-grams are in one book that is kept.",
            cite="the paper's 90 %",
        ),
    ),
    cite=(
        "LLaMA (arXiv 2302.13971, section 2.1): Gutenberg and Books3; deduplication at the book level, removing books "
        "with more than 90% content overlap"
    ),
    licence=DataLicence(
        "public domain in the United States for Project Gutenberg's; others as their owners say",
        "elsewhere look at each book's own term; the name Project Gutenberg is a trademark and went with its header",
        "https://www.gutenberg.org/policy/license.html",
    ),
)
