"""CommonCrawl through CCNet's steps: pages of WET files (text) or WARC files (HTML)."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from filters.language import Language
from filters.length import MinLength, MinLengthAfterDedup
from filters.perplexity import Perplexity
from filters.reference import Reference
from pipeline.sources.base import Document, ExactDedup, InputFile, LineDedup, Opener, Rejected, Source, Unit
from pipeline.sources.html_text import page_text
from pipeline.sources.warc import HtmlRecord, WetRecord, payload_digest, read_warc_html, read_wet

_KIND_OF_ENDING = {".wet.gz": "wet", ".wet": "wet", ".warc.gz": "warc", ".warc": "warc"}
_DUMP = re.compile(r"CC-MAIN-\d{4}-\d{2}(?!\d)")
_MAX_PATHS_BYTES = 64 << 20
"""Ours: CommonCrawl's own lists are 10 to 15 MB for 100,000 files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonCrawlReader:
    """Reads pages as CCNet does: lines stripped, the first line the title and no part of the text.

    Out of HTML the title is the page's ``<title>``; ``digest`` is then taken of the extracted text, so that it
    means the same as in a WET file: pages with equal text have equal digests.
    """

    DATA_VERSION: ClassVar[int] = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "url": pa.string(),
        "date": pa.string(),
        "digest": pa.string(),
        "dump": pa.string(),
        "title": pa.string(),
    }

    dump: str = ""
    """The dump of files whose path does not name one (``CC-MAIN-YYYY-WW``)."""
    is_main_content: bool = True
    """Of HTML: leave out navigation, footers and the like."""

    def knows(self, path: str) -> bool:
        """Whether a file of this name is of a form that this source reads."""
        return path.lower().endswith(tuple(_KIND_OF_ENDING))

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """One unit a file; what it is is told by its name, and a name that says nothing is an error."""
        return [Unit(path=file.path, num_bytes=file.num_bytes, kind=_kind(file.path)) for file in files]

    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | Rejected]:
        """Streams a file's pages."""
        dump = _dump_of_path(unit.place) or self.dump
        if unit.kind == "wet":
            for record in read_wet(unit.path, open_file, place=unit.place):
                yield record if isinstance(record, Rejected) else _document_of_text(record, dump)
        else:
            for page in read_warc_html(unit.path, open_file, place=unit.place):
                yield page if isinstance(page, Rejected) else _document_of_html(page, dump, self.is_main_content)


def expand_paths_list(path: str, open_file: Opener, *, prefix: str) -> list[str]:
    """Returns the files that a ``wet.paths`` or ``warc.paths`` list (``.gz`` too) names, each behind ``prefix``.

    ``prefix`` is where CommonCrawl's ``crawl-data/`` lies: a folder, ``s3://commoncrawl`` or ``https://...``.

    Raises:
        ValueError: the list cannot be read, is empty, or names something that is no file of a crawl.
    """
    with open_file(path) as file:
        data = file.read(_MAX_PATHS_BYTES + 1)
    if data.startswith(b"\x1f\x8b"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
                data = unpacked.read(_MAX_PATHS_BYTES + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: a broken or cut gzip file ({error}); get it again") from error
    if len(data) > _MAX_PATHS_BYTES:
        raise ValueError(f"{path}: over {_MAX_PATHS_BYTES} bytes: this is no list of paths")
    names = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    if not names:
        raise ValueError(f"{path}: an empty list of paths")
    for name in names:
        _kind(name)
        if ".." in name.split("/"):
            raise ValueError(f"{path}: {name!r} leaves the folder that the list is about")
    root = prefix.rstrip("/") + "/" if prefix else ""
    return [root + name.lstrip("/") for name in names]


def is_paths_list(path: str) -> bool:
    """Whether a name is that of a list as CommonCrawl publishes it.

    >>> is_paths_list("crawl-data/CC-MAIN-2019-30/wet.paths.gz"), is_paths_list("a.warc.wet.gz")
    (True, False)
    """
    return path.lower().endswith((".paths", ".paths.gz"))


def _kind(path: str) -> str:
    for ending, kind in _KIND_OF_ENDING.items():
        if path.lower().endswith(ending):
            return kind
    raise ValueError(
        f"{path}: common_crawl reads WET files ({', '.join(e for e, k in _KIND_OF_ENDING.items() if k == 'wet')}) and"
        f" WARC files ({', '.join(e for e, k in _KIND_OF_ENDING.items() if k == 'warc')}); give a glob that matches"
        " only those, such as 'DIR/*.warc.wet.gz'"
    )


def _dump_of_path(path: str) -> str:
    found = _DUMP.findall(path)
    return found[-1] if found else ""


def _dump_of_record(part_of: str) -> str:
    return part_of if _DUMP.fullmatch(part_of) else ""


def _document_of_text(record: WetRecord, dump: str) -> Document:
    title, text = _title_and_text(record.text)
    return {
        "id": record.record_id or _stable_id(record.url, record.date, record.digest),
        "text": text,
        "url": record.url,
        "date": record.date,
        "digest": record.digest,
        "dump": dump or _dump_of_record(record.part_of),
        "title": title,
    }


def _document_of_html(page: HtmlRecord, dump: str, is_main_content: bool) -> Document:
    extracted = page_text(page.html, charset=page.charset, is_main_content=is_main_content)
    digest = payload_digest(extracted.text.encode("utf-8"))
    return {
        "id": page.record_id or _stable_id(page.url, page.date, page.digest),
        "text": extracted.text,
        "url": page.url,
        "date": page.date,
        "digest": digest,
        "dump": dump or _dump_of_record(page.part_of),
        "title": extracted.title,
    }


def _title_and_text(content: str) -> tuple[str, str]:
    r"""Parts a WET record's text as cc_net/process_wet_file.py does; one line end at its end is no line.

    >>> _title_and_text(" Title \r\na\n\n b \n")
    ('Title', 'a\n\nb')
    """
    if "\r" in content:
        content = content.replace("\r\n", "\n").replace("\r", "\n")
    title, *lines = map(str.strip, content.removesuffix("\n").split("\n"))
    return title, "\n".join(lines)


def _stable_id(url: str, date: str, digest: str) -> str:
    return hashlib.sha256("\n".join((url, date, digest)).encode("utf-8")).hexdigest()[:32]


SOURCE = Source(
    name="common_crawl",
    reader=CommonCrawlReader(),
    steps=(
        MinLength(),
        ExactDedup(NAME="duplicate_id", reason="duplicate_id", key="id"),
        ExactDedup(NAME="duplicate_digest", reason="duplicate_digest", key="digest"),
        LineDedup(lines="ccnet", keep="ccnet", scope="dump"),
        MinLengthAfterDedup(),
        Language(),
        Perplexity(),
        Reference(),
    ),
    cite="LLaMA, section 2.1: five dumps, CCNet (line dedup, English by fastText, n-gram LM), Wikipedia references",
)
