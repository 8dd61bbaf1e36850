"""C4 (15 % of the mixture): reads the published JSON, or makes C4 from WET files (texts of CommonCrawl's pages) by the
rules of TensorFlow Datasets. These rules are in the module ``c4_utils``.

The publishers of C4 have already applied every rule, so published C4 is only deduplicated by url. Pages of WET files
pass all rules of ``c4_utils`` in the original order (:mod:`filters.c4.lines_and_pages`). One run can read both kinds of
files. The column ``_form`` says from which kind of file a document is: ``json`` or ``wet``.

The id is the url and the time of the fetch, ``URL@TIMESTAMP``. If a page was fetched twice, there are two records with
different ids, and the step ``duplicate_url`` keeps the newer record. If the same record is read twice, the step
``duplicate_id`` keeps one copy. If a row has no url, its id is the SHA-256 of its text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from filters.c4.bad_words import BadWords
from filters.c4.english import C4English
from filters.c4.lines_and_pages import C4Lines, C4SentencesAfterDedup, C4TooLong
from pipeline.sources.dedup_steps import ExactDedup, LineDedup
from pipeline.sources.formats.json_lines import JSON_LINES_BROKEN, Row, read_json_lines, storable
from pipeline.sources.formats.warc_pages import WET_BROKEN, WET_NOT_BROKEN, WetRecord, read_wet
from pipeline.sources.source import DataLicence, Document, InputFile, Opener, Reader, Rejected, Source, TableRow, Unit

JSON_ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz", ".json.zst", ".jsonl.zst")
WET_ENDINGS = (".wet", ".wet.gz")
METADATA_PREFIXES = ("WARC", "CONTENT-", "Content-")
"""If a line begins with one of these prefixes, it looks like a header and is dropped (c4_utils
``_METADATA_PREFIXES``).
"""

_SCHEME = re.compile(r"https?:\/\/(www\.)?")
_TRACKING = re.compile(r"\?(utm_|ref|feed).*")


def url_key(url: str) -> str:
    """Normalises a url. Two pages with the same result count as the same page (c4_utils ``normalize_url``).

    >>> url_key("https://www.example.com/news/?utm_source=mail")
    'example.com/news'
    """
    return _TRACKING.sub("", _SCHEME.sub("", url)).rstrip("/")


def split_hash(document_id: str) -> int:
    """Returns a hash of a document's id. The documents with the smallest hashes are held out for validation.

    The original C4 (c4.py) holds out the pages for which ``md5(url_key(url)) % 1000`` is 0. This function gives these
    pages the smallest hashes. So with a ``validation`` share of 0.001, exactly the pages of the original split are held
    out. With a larger share, more pages are held out too. With a smaller share, only some of these pages are held out.

    The two ids in the example have equal hashes, because ``url_key`` of their urls is equal.

    >>> split_hash("https://www.example.com/a/1@2019-04-20T00:00:00Z") == split_hash("http://example.com/a/1/@")
    True
    """
    url = document_id.rpartition("@")[0] or document_id
    digest = int.from_bytes(hashlib.md5(url_key(url).encode(), usedforsecurity=False).digest(), "big")
    return (digest % 1000 * (1 << 64) + (digest >> 64)) // 1000


def page_text(block: str, *, is_header_like_dropped: bool = True) -> str:
    r"""Returns the lines of a WET record, stripped and without empty lines (c4_utils ``split_wet_file``). By default,
    lines that begin like a header are dropped too. In the example, the second line is dropped because it begins with
    ``Content-``.

    >>> page_text("  One.\r\n\r\nContent-based filters\nTwo.")
    'One.\nTwo.'
    """
    lines = map(str.strip, block.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    if is_header_like_dropped:
        return "\n".join(line for line in lines if line and not line.startswith(METADATA_PREFIXES))
    return "\n".join(line for line in lines if line)


@dataclass(frozen=True, slots=True, kw_only=True)
class C4Reader(Reader):
    """Reads published C4 (``json``: objects with ``text``, ``url``, ``timestamp``) and WET files (``wet``)."""

    DATA_VERSION: ClassVar[int] = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "url": pa.string(),
        "timestamp": pa.string(),
        "_url_key": pa.string(),
        "_form": pa.string(),
    }
    RULE: ClassVar[str] = (
        "Lines are trimmed, empty ones left out, and lines that begin with `WARC`, `CONTENT-` or `Content-` lost, as "
        "in C4's own code."
    )
    CITE: ClassVar[str] = "c4_utils `split_wet_file`"
    BROKEN: ClassVar[tuple[str, ...]] = (
        *WET_BROKEN,
        *JSON_LINES_BROKEN,
        "no_timestamp",
        "text_is_no_text",
        "missing_column",
    )
    NOT_BROKEN: ClassVar[tuple[str, ...]] = (*WET_NOT_BROKEN, "no_content")

    published_language: str = "en"
    """The language of published C4, as ISO 639-1 code. The publishers kept only pages in this language. LLaMA used the
    variant ``en``.
    """
    is_header_like_dropped: bool = True
    """True to drop lines that begin like a header (:data:`METADATA_PREFIXES`). The original C4 drops these lines."""

    def knows(self, path: str) -> bool:
        return path.lower().endswith((*WET_ENDINGS, *JSON_ENDINGS))

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Returns one unit (a piece of work for one worker) per file. The ending of the file's name decides the unit's
        kind, ``wet`` or ``json``.

        Raises:
            ValueError: the name of a file has an unknown ending.
        """
        units = []
        for file in files:
            name = file.path.lower()
            if name.endswith(WET_ENDINGS):
                kind = "wet"
            elif name.endswith(JSON_ENDINGS):
                kind = "json"
            else:
                known = ", ".join(JSON_ENDINGS + WET_ENDINGS)
                raise ValueError(f"c4: {file.path} is neither published C4 nor a WET file: names end in {known}")
            units.append(Unit(path=file.path, num_bytes=file.num_bytes, kind=kind))
        return units

    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | TableRow | Rejected]:
        """Yields the documents of a file."""
        if unit.kind == "wet":
            for record in read_wet(unit.path, open_file, location=unit.location):
                yield record if isinstance(record, Rejected) else self._page(record, unit.location)
        elif unit.kind == "json":
            for line in read_json_lines(unit.path, open_file, location=unit.location):
                yield line if isinstance(line, Rejected) else self._published(*line)
        else:
            raise ValueError(f"c4: unknown kind of unit {unit.kind!r}")

    def _page(self, record: WetRecord, location: str) -> Document | Rejected:
        where = f"{location}@{record.offset}"
        if not record.date:
            return Rejected(location=where, reason="no_timestamp", detail=record.url)
        text = page_text(record.text, is_header_like_dropped=self.is_header_like_dropped)
        if not text:
            return Rejected(location=where, reason="no_content", detail=record.url, is_bad=False)
        return {
            "id": f"{record.url}@{record.date}",
            "text": text,
            "url": record.url,
            "timestamp": record.date,
            "_url_key": url_key(record.url),
            "_form": "wet",
        }

    def _published(self, where: str, row: Row) -> Document | Rejected:
        text = row.get("text")
        if "text" not in row:
            found = ", ".join(sorted(row)[:20]) or "none"
            return Rejected(location=where, reason="missing_column", detail=f"no column text; found: {found}"[:500])
        if not isinstance(text, str):
            return Rejected(location=where, reason="text_is_no_text", detail=f"a JSON {type(text).__name__}")
        text = storable(text)
        if not text.strip():
            return Rejected(location=where, reason="no_content", detail=str(row.get("url") or "")[:500], is_bad=False)
        url, timestamp = _string(row.get("url")), _string(row.get("timestamp"))
        identity = f"{url}@{timestamp or ''}" if url else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        return {
            "id": identity,
            "text": text,
            "language": self.published_language,
            "url": url,
            "timestamp": timestamp,
            "_url_key": url_key(url) if url else None,
            "_form": "json",
        }


def _string(value: object) -> str | None:
    if value is None or value == "" or isinstance(value, (dict, list)):
        return None
    return storable(str(value))


def c4_source(*, is_for_published: bool = False, english: C4English | None = None) -> Source:
    """Returns the source C4. By default, its steps apply the rules of C4 only to pages of WET files, because published
    C4 has already passed the rules. If ``is_for_published`` is True, the steps also apply the rules to published C4.
    """
    return Source(
        name="c4",
        reader=C4Reader(),
        steps=(
            C4TooLong(is_for_published=is_for_published),
            ExactDedup(
                NAME="duplicate_id",
                reason="duplicate_id",
                key="id",
                rule="Keeps one copy of a record that was read twice.",
            ),
            ExactDedup(
                NAME="duplicate_url",
                reason="duplicate_url",
                key="_url_key",
                newest="timestamp",
                rule="Keeps the newest page of each url, compared without scheme, `www.`, `?utm_ ?ref ?feed` and the "
                "closing `/`. Published C4 is deduplicated too.",
                cite="c4_utils `normalize_url`",
            ),
            C4Lines(is_for_published=is_for_published),
            LineDedup(
                lines="c4",
                keep="first",
                scope="_line_scope",
                rank="url",
                DATA_VERSION=2,
                rule="Leaves a line (stripped, lower-cased) in one document only: the one whose url has the smallest "
                "MD5.",
                cite="c4_utils `remove_duplicate_text`",
            ),
            C4SentencesAfterDedup(is_for_published=is_for_published),
            english or C4English(is_for_published=is_for_published),
            BadWords(is_for_published=is_for_published),
        ),
        cite="C4, for its diverse preprocessing (LLaMA, arXiv:2302.13971, section 2.1); "
        "rules of tensorflow_datasets c4_utils (C4 3.1.0), after Raffel et al. 2020, section 2.2",
        licence=DataLicence(
            "ODC-BY 1.0 for the collection, Common Crawl's terms of use besides; each page remains its author's",
            "name the collection and its makers",
            "https://opendatacommons.org/licenses/by/1-0/",
        ),
        split_hash=split_hash,
    )


SOURCE = c4_source()
