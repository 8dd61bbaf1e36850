"""CommonCrawl: reads pages from WET files (text) or WARC files (HTML), and cleans them with CCNet's steps."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from filters.ccnet.length import MinLength, MinLengthAfterDedup
from filters.ccnet.perplexity import Perplexity
from filters.language.detect import Language
from filters.reference import Reference
from pipeline.files.http_files import HttpFileError
from pipeline.sources.dedup_steps import ExactDedup, LineDedup
from pipeline.sources.formats.paths_list import expand_paths_list, paths_list_of
from pipeline.sources.formats.warc_pages import (
    HTML_BROKEN,
    HTML_NOT_BROKEN,
    WET_BROKEN,
    WET_NOT_BROKEN,
    HtmlRecord,
    WetRecord,
    payload_digest,
    read_warc_html,
    read_wet,
)
from pipeline.sources.formats.web_page import page_text
from pipeline.sources.source import DataLicence, Document, InputFile, Opener, Reader, Rejected, Source, Unit

_KIND_OF_ENDING = {".wet.gz": "wet", ".wet": "wet", ".warc.gz": "warc", ".warc": "warc"}
_DUMP = re.compile(r"CC-MAIN-\d{4}-\d{2}(?!\d)")
_UNSTRIPPED_LINE = re.compile(r"\n(?:(?<=[^\S\n]\n)|(?=[^\S\n]))")
"""Matches a line end with white space next to it. If a page has no match, its lines need not be stripped. CommonCrawl
has already removed such white space, except from ``<pre>`` (ia-web-commons, ExtractingParseObserver.handleTextNode and
appendParagraphSeparator). The search takes a third of the time of splitting, stripping and joining all lines.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonCrawlReader(Reader):
    """Reads the pages of WET files (text) and WARC files (HTML).

    WET files are read as in CCNet: lines are stripped, and the first line is the title and not part of the text. In
    WARC files, the title is the page's ``<title>``. For both kinds of files, the column ``digest`` is a hash of the
    text, so pages with equal texts have equal digests. A page without text is rejected as ``no_content``: a WET record
    that has only a title, or HTML in which Resiliparse finds no text.
    """

    DATA_VERSION: ClassVar[int] = 3
    HAS_DUMPS: ClassVar[bool] = True
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "url": pa.string(),
        "date": pa.string(),
        "digest": pa.string(),
        "dump": pa.string(),
        "title": pa.string(),
        "num_lines": pa.int64(),
        "original_num_lines": pa.int64(),
        "encoding": pa.string(),
        "_group": pa.string(),
    }
    RULE: ClassVar[str] = (
        "WET: lines are stripped; the first line is the title and no part of the text. WARC: the main content of the "
        "HTML by Resiliparse."
    )
    CITE: ClassVar[str] = "cc_net/process_wet_file.py"
    BROKEN: ClassVar[tuple[str, ...]] = (*WET_BROKEN, *HTML_BROKEN, "unreadable_on_server")
    NOT_BROKEN: ClassVar[tuple[str, ...]] = (*WET_NOT_BROKEN, *HTML_NOT_BROKEN, "no_content")

    dump: str = ""
    """The dump (``CC-MAIN-YYYY-WW``) to use for files whose paths do not name a dump."""
    is_main_content: bool = True
    """True to leave out navigation, footers and similar parts of a page. The setting affects only WARC files (HTML)."""
    group_files: int = 1750
    """Number of files per group. With the scope ``group``, the line dedup compares only documents of the same group.
    The files of a dump are sorted, and each group has this many consecutive files. The value is from CCNet
    (cc_net/mine.py): there, a group is 1/32 of a dump (hash_in_mem=50, num_shards=1600), and a dump has 56,000 files.
    """

    def __post_init__(self) -> None:
        if self.group_files < 1:
            raise ValueError(f"group_files must be 1 or more, not {self.group_files}")
        if self.dump and not _NAME.fullmatch(self.dump):
            raise ValueError(f"dump must be a name of letters, digits, '-' and '_', not {self.dump!r}")

    def expand(self, given: str, open_file: Opener) -> list[str] | None:
        """Returns the paths in a published list of files, such as ``wet.paths.gz``. Returns None if ``given`` is not
        such a list. If ``given`` is ``LIST@PREFIX``, PREFIX is put before each path in the file LIST.
        """
        found = paths_list_of(given)
        return None if found is None else expand_paths_list(found[0], open_file, prefix=found[1])

    def knows(self, path: str) -> bool:
        return path.lower().endswith(tuple(_KIND_OF_ENDING))

    def dump_of(self, path: str) -> str:
        """Returns the dump (one crawl, such as ``CC-MAIN-2019-30``) that a path names. If the path names none, returns
        the setting ``dump``.
        """
        return _dump_of_path(path) or self.dump

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Returns one unit (a piece of work for one worker) per file.

        The ending of the file's name decides the unit's kind, ``wet`` or ``warc``.

        Raises:
            ValueError: the ending is unknown, or the same pages would be read from a WET file and from a WARC file.
        """
        self._check_one_form(files)
        num_of_dump: Counter[str] = Counter()
        units = []
        for file in sorted(files, key=lambda file: file.path):
            dump = self.dump_of(file.path)
            group = num_of_dump[dump] // self.group_files
            num_of_dump[dump] += 1
            units.append(Unit(path=file.path, num_bytes=file.num_bytes, kind=_kind(file.path), group=group))
        return units

    def _check_one_form(self, files: Sequence[InputFile]) -> None:
        """Checks that no WET file has the same pages as a WARC file. In a dump, two such files have the same name
        without the ending. Their texts differ a little, so both copies of a page would stay, and the line dedup would
        remove every line that they share.
        """
        found: dict[tuple[str, str], str] = {}
        for file in files:
            name = file.path.rsplit("/", 1)[-1]
            stem = name.lower().removesuffix(".gz").removesuffix(".wet").removesuffix(".warc")
            other = found.setdefault((self.dump_of(file.path), stem), file.path)
            if _kind(other) != _kind(file.path):
                raise ValueError(
                    f"common_crawl: {other} and {file.path} have the same pages, once as text (WET) and once as HTML "
                    "(WARC); give only one of the two forms, with a glob such as 'DIR/**.warc.wet.gz'"
                )

    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | Rejected]:
        """Yields the pages of a file.

        If a server stops responding, the pages read so far are kept, and a rejection of the file is yielded.
        """
        try:
            for page in self._pages(unit, open_file):
                if not isinstance(page, Rejected):
                    page["num_lines"] = page["original_num_lines"] = page["text"].count("\n") + 1
                    page["_group"] = f"{page['dump']} {unit.group}"
                yield page
        except HttpFileError as error:
            yield Rejected(location=unit.location, reason="unreadable_on_server", detail=str(error), is_whole_file=True)

    def _pages(self, unit: Unit, open_file: Opener) -> Iterator[Document | Rejected]:
        dump = self.dump_of(unit.location)
        if unit.kind == "wet":
            for record in read_wet(unit.path, open_file, location=unit.location):
                if isinstance(record, Rejected):
                    yield record
                else:
                    yield _checked(_document_of_text(record, dump), unit.location, record.offset)
        else:
            for page in read_warc_html(unit.path, open_file, location=unit.location):
                if isinstance(page, Rejected):
                    yield page
                else:
                    found = _document_of_html(page, dump, self.is_main_content)
                    yield _checked(found, unit.location, page.offset)


_NAME = re.compile(r"[A-Za-z0-9_-]+")
"""Matches the name of a dump. The name becomes part of file names."""


def _checked(page: Document, location: str, offset: int) -> Document | Rejected:
    """Returns the page. If it has no text, returns a rejection instead: otherwise all such pages would be duplicates of
    each other.
    """
    text: str = page["text"]
    if text and not text.isspace():
        return page
    return Rejected(location=f"{location}@{offset}", reason="no_content", detail=page["url"], is_bad=False)


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
        "encoding": None,
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
        "encoding": extracted.encoding,
    }


def _title_and_text(content: str) -> tuple[str, str]:
    r"""Splits the content of a WET record into (title, text), as cc_net/process_wet_file.py does. A line end at the end
    of the content does not add an empty line.

    >>> _title_and_text(" Title \r\na\n\n b \n")
    ('Title', 'a\n\nb')
    """
    if "\r" in content:
        content = content.replace("\r\n", "\n").replace("\r", "\n")
    title, _, text = content.removesuffix("\n").partition("\n")
    if _UNSTRIPPED_LINE.search(content) or text[-1:].isspace():
        text = "\n".join(map(str.strip, text.split("\n")))
    return title.strip(), text


def _stable_id(url: str, date: str, digest: str) -> str:
    return hashlib.sha256("\n".join((url, date, digest)).encode("utf-8")).hexdigest()[:32]


SOURCE = Source(
    name="common_crawl",
    reader=CommonCrawlReader(),
    steps=(
        MinLength(),
        ExactDedup(
            NAME="duplicate_id",
            reason="duplicate_id",
            key="id",
            earliest="dump",
            DATA_VERSION=2,
            rule="Keeps one copy of a record that was read twice: of several dumps the earliest one's.",
        ),
        ExactDedup(
            NAME="duplicate_digest",
            reason="duplicate_digest",
            key="digest",
            earliest="dump",
            DATA_VERSION=2,
            rule="Keeps one page of all those with the same content digest, in all dumps: the earliest dump's.",
            cite="RedPajama v1, repaired",
        ),
        LineDedup(
            lines="ccnet",
            keep="ccnet",
            scope="dump",
            rule="Removes a line from every document if two documents of the dump contain it. A line that is repeated "
            "inside one document keeps its first copy.",
            cite="CCNet dedup.py",
        ),
        MinLengthAfterDedup(),
        Language(),
        Perplexity(),
        Reference(),
    ),
    cite="LLaMA, section 2.1: five dumps, CCNet (line dedup, English by fastText, n-gram LM), Wikipedia references",
    licence=DataLicence(
        "Common Crawl's terms of use; each page remains its author's",
        "keep to the terms; they give no right in the pages themselves, so take pages out when their owners ask "
        "(`--exclude`)",
        "https://commoncrawl.org/terms-of-use",
    ),
)
