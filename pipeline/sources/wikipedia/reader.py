"""Wikipedia (4.5 % of the mixture): reads XML dumps of twenty languages.

The files are named ``<lang>wiki-<date>-pages-articles[-multistream][N].xml*.bz2``. A large file is split into units, so
that several workers can read it. A unit consists of the pages that begin in a range of bytes. In a bz2 file, a page
belongs to the range in which its first block begins. (This is the block that contains the first byte of the page.)

The language is the setting ``language``. If it is empty, the language is the wiki's code in the file's name (``de`` in
``dewiki-20220620-...``). If the name has no code, it is the code in the dump's header.

The LLaMA paper used dumps from June to August 2022, and removed hyperlinks, comments and similar formatting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

import pyarrow as pa

from filters.wikitext.article import Article, WikiLanguages
from filters.wikitext.page import Wikitext
from filters.wikitext.wiki_names import language_of_wiki, pack_namespaces, redirect_words, wiki_codes
from pipeline.sources.dedup_steps import ExactDedup
from pipeline.sources.source import DataLicence, Document, InputFile, Opener, Reader, Rejected, Source, TableRow, Unit
from pipeline.sources.wikipedia.index import is_index_name, unit_ends
from pipeline.sources.wikipedia.pages import pages_of, site_info
from pipeline.sources.wikipedia.xml import Page, SiteInfo

_WIKI_IN_NAME = re.compile(r"([a-z_-]{2,60})wiki(?![a-z])")
_URL_SAFE = "/:@!$*(),;~'"


@dataclass(frozen=True, slots=True, kw_only=True)
class WikipediaReader(Reader):
    """Reads the articles of Wikipedia's XML dumps. The column ``text`` contains wikitext.

    The id is the wiki's code and the page's number, ``de:3317``, because each wiki numbers its own pages. Redirects are
    rejected, and so are pages that are not in the namespace of articles. Such pages do not count as broken.

    If the header and the file's name have different wiki codes, the name decides, and the difference is reported once
    per file. If the name contains no code (``smallwiki-latest...``), the header decides.
    """

    DATA_VERSION: ClassVar[int] = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "title": pa.string(),
        "page_id": pa.int64(),
        "revision_id": pa.int64(),
        "timestamp": pa.string(),
        "url": pa.string(),
        "_wiki": pa.string(),
        "_namespaces": pa.string(),
    }
    RULE: ClassVar[str] = (
        "Articles only: no other namespaces, no redirects, no pages in another content model than wikitext."
    )
    CITE: ClassVar[str] = 'the paper ("Wikipedia"); Hugging Face\'s recipe'
    BROKEN: ClassVar[tuple[str, ...]] = (
        "damaged_bz2",
        "truncated_bz2",
        "truncated_xml",
        "truncated_page",
        "page_too_large",
        "bad_xml",
        "no_title",
        "no_page_id",
        "no_text",
        "not_a_dump",
        "no_language",
    )
    NOT_BROKEN: ClassVar[tuple[str, ...]] = ("not_article", "redirect", "not_wikitext", "no_text", "header_language")

    language: str = ""
    """The code of a Wikipedia, such as ``de``. If it is set, all files are from this Wikipedia. If it is empty, the
    code in the name of each file decides. If the name contains no code, the code in the dump's header decides.
    """
    max_unit_bytes: int = 64 << 20
    """The largest unit in stored bytes. Our choice: a worker reads a unit of this size in some minutes."""

    def __post_init__(self) -> None:
        if self.language and self.language not in wiki_codes():
            raise ValueError(
                f"wikipedia: language {self.language!r} is not the code of a Wikipedia (en, de, simple, ...)"
            )
        if self.max_unit_bytes < 1:
            raise ValueError(f"wikipedia: max_unit_bytes must be positive, not {self.max_unit_bytes}")

    def knows(self, path: str) -> bool:
        """True if the path is named like an XML dump (plain or bz2) or like an index of a dump. This source reads only
        these files.
        """
        name = path.rsplit("/", 1)[-1].lower()
        packed = (".gz", ".7z", ".zst", ".zip", ".xz")
        return is_index_name(name) or (".xml" in name and (name.endswith(".bz2") or not name.endswith(packed)))

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Splits files into units (input that one worker reads). If the files include the index of a dump, each unit of
        this dump begins at a bzip2 stream.

        Raises:
            ValueError: a file is not named like an XML dump, or an index is given without its dump.
        """
        dumps, indexes = [], []
        for file in files:
            name = file.path.rsplit("/", 1)[-1].lower()
            if is_index_name(name):
                indexes.append(file)
            elif ".xml" in name and (name.endswith(".bz2") or not name.endswith((".gz", ".7z", ".zst", ".zip", ".xz"))):
                dumps.append(file)
            else:
                raise ValueError(f"wikipedia: {file.path} is not a dump: names hold .xml and end in .xml or .bz2")
        if indexes and not dumps:
            raise ValueError(f"wikipedia: {indexes[0].path} is an index: give the pages-articles dump with it")
        units: list[Unit] = []
        for file in dumps:
            kind = "bz2" if file.path.lower().endswith(".bz2") else "xml"
            is_small = file.num_bytes <= self.max_unit_bytes
            ends = [] if is_small else self._ends(file, indexes, open_file)
            starts = [0, *ends]
            for start, end in zip(starts, [*ends, None], strict=True):
                num_bytes = (file.num_bytes if end is None else end) - start
                units.append(Unit(path=file.path, num_bytes=num_bytes, kind=kind, start=start, end=end))
        return units

    def _ends(self, file: InputFile, indexes: Sequence[InputFile], open_file: Opener) -> list[int]:
        return unit_ends(file, indexes, open_file, max_unit_bytes=self.max_unit_bytes)

    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | TableRow | Rejected]:
        """Yields the articles of a unit (a part of a dump for one worker). Holds only a few pages in memory."""
        if unit.kind not in ("bz2", "xml"):
            raise ValueError(f"wikipedia: unknown kind of unit {unit.kind!r}")
        with open_file(unit.path) as stored:
            site = site_info(stored, unit.kind)
            named = self.language or wiki_in_name(unit.path)
            wiki = named or (site.wiki if site else "")
            if unit.start == 0 and site and site.wiki and site.wiki != wiki:
                detail = f"the header says {site.wiki} ({site.name}), the file's name {named}: the name holds"
                yield Rejected(location=unit.location, reason="header_language", detail=detail, is_bad=False)
            if not wiki or wiki not in wiki_codes():
                if unit.start == 0:
                    detail = f"neither the name nor the header ({site.name if site else 'none'}) is of a Wikipedia"
                    yield Rejected(location=unit.location, reason="no_language", detail=detail, is_whole_file=True)
                return
            make = _DocumentMaker(unit.location, wiki, site or SiteInfo())
            for item in pages_of(unit, stored):
                yield item if isinstance(item, Rejected) else make.document(*item)


def wiki_in_name(path: str) -> str:
    """Returns the code of a Wikipedia from the name of a dump; empty if the name contains no code of a Wikipedia.

    In the last example, ``small`` is not the code of a Wikipedia, and Wiktionary is another project.

    >>> wiki_in_name("x/dewiki-20220620-pages-articles.xml.bz2"), wiki_in_name("zh_min_nanwiki-latest.xml")
    ('de', 'zh-min-nan')
    >>> wiki_in_name("dbpedia-minidump-bgwiki.xml.bz2")
    'bg'
    >>> wiki_in_name("smallwiki-latest-pages-articles.xml"), wiki_in_name("enwiktionary-latest.xml")
    ('', '')
    """
    for match in _WIKI_IN_NAME.finditer(path.rsplit("/", 1)[-1].lower()):
        words = re.split("[-_]", match[1])
        for num_words in (3, 2, 1):
            code = "-".join(words[-num_words:])
            if len(words) >= num_words and code in wiki_codes():
                return code
    return ""


class _DocumentMaker:
    """Converts pages of one wiki to documents."""

    __slots__ = ("_base_url", "_is_redirect", "_language", "_location", "_namespaces", "_site", "_wiki")

    def __init__(self, location: str, wiki: str, site: SiteInfo) -> None:
        self._location = location
        self._wiki = wiki
        self._language = language_of_wiki(wiki)
        self._site = site
        self._namespaces = pack_namespaces(site.namespaces) if site.wiki == wiki else ""
        self._base_url = f"https://{wiki}.wikipedia.org/wiki/"
        words = "|".join(map(re.escape, redirect_words(self._language)))
        self._is_redirect = re.compile(rf"\s*#\s?(?:{words})\s*:?\s*\[\[", re.IGNORECASE)

    def document(self, page: Page, offset: int) -> Document | Rejected:
        """Converts a page to a document. If the page is not an article, returns a rejection with the reason."""
        namespace = page.namespace if page.namespace is not None else self._site.namespace_of(page.title)
        reason = ""
        if namespace != 0:
            reason, detail = "not_article", f"namespace {namespace}: {page.title}"
        elif page.is_redirect or self._is_redirect.match(page.text):
            reason, detail = "redirect", page.title
        elif page.model != "wikitext":
            reason, detail = "not_wikitext", f"{page.model}: {page.title}"
        elif not page.text.strip():
            reason, detail = "no_text", page.title
        if reason:
            return Rejected(location=f"{self._location}@{offset}", reason=reason, detail=detail, is_bad=False)
        return {
            "id": f"{self._wiki}:{page.page_id}",
            "text": page.text,
            "language": self._language,
            "title": page.title,
            "page_id": page.page_id,
            "revision_id": page.revision_id,
            "timestamp": page.timestamp or None,
            "url": self._base_url + quote(page.title.replace(" ", "_"), safe=_URL_SAFE),
            "_wiki": self._wiki,
            "_namespaces": self._namespaces,
        }


SOURCE = Source(
    name="wikipedia",
    reader=WikipediaReader(),
    steps=(
        WikiLanguages(),
        Wikitext(),
        Article(),
        ExactDedup(
            NAME="duplicate_id",
            reason="duplicate_id",
            key="id",
            newest="revision_id",
            rule="Keeps the newest revision of a page that several dumps contain.",
        ),
    ),
    cite="We add Wikipedia dumps from the June-August 2022 period, covering 20 languages, which use either the Latin "
    "or Cyrillic scripts [...] We process the data to remove hyperlinks, comments and other formatting boilerplate. "
    "(LLaMA, section 2.1)",
    licence=DataLicence(
        "CC BY-SA 4.0 (dumps from before June 2023: 3.0) and GFDL",
        "name the authors by a link to the article (column `url`), say what was changed, share alike",
        "https://creativecommons.org/licenses/by-sa/4.0/",
    ),
)
