"""Parses MediaWiki's export XML: the header of a dump, and its pages one at a time.

The bytes are split at ``<page>`` and ``</page>``, and each page is parsed separately. (The text of a page cannot
contain these tags, because ``<`` is written as ``&lt;``.) This has four advantages. Only one page is in memory. The
file cannot declare entities in a DOCTYPE. If a page is broken, no other page is lost. Reading can start anywhere in the
file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

MAX_PAGE_BYTES = 16 << 20
"""The largest page in bytes. Our choice: this is eight times MediaWiki's limit on a page's wikitext ($wgMaxArticleSize,
2,048 kB). In a dump with histories, a page can be longer, but this reader does not support such dumps.
"""

_PAGE_OPEN = re.compile(rb"<page[\s>]")
_PAGE_CLOSE = b"</page>"
_PAGE_OPENING = b"<page"
_OPEN_BYTES = 6
_SITEINFO = re.compile(rb"<siteinfo>.*?</siteinfo>", re.DOTALL)
_XML_LANG = re.compile(rb"<mediawiki\b[^<>]*\bxml:lang=\"([A-Za-z-]{1,20})\"")
_WIKIPEDIA_HOST = re.compile(r"^(?:https?:)?//([a-z-]{2,20})\.(?:m\.)?wikipedia\.org/")


class BrokenPageError(ValueError):
    """Raised if a page cannot be read. ``reason`` names the fault in snake_case."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """Holds the header of a dump. Every field can be missing."""

    wiki: str = ""
    """The code of the Wikipedia (``de``); empty if the header names no Wikipedia."""
    name: str = ""
    """The ``dbname`` or ``sitename`` in the header, for messages."""
    namespaces: dict[int, str] = field(default_factory=dict)

    def namespace_of(self, title: str) -> int:
        """Returns the number of a page's namespace from the prefix of its title (such as ``Talk:``). Returns 0, the
        namespace of articles, if the title has no known prefix. Use this method for dumps without ``<ns>``.
        """
        prefix, colon, _ = title.partition(":")
        if not colon:
            return 0
        wanted = prefix.replace("_", " ").strip().lower()
        return next((number for number, name in self.namespaces.items() if name and name.lower() == wanted), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Holds the newest revision of a page."""

    page_id: int
    title: str
    namespace: int | None
    """The number of the namespace; None in dumps from before 2012, which have no ``<ns>``."""
    is_redirect: bool
    revision_id: int | None
    timestamp: str
    model: str
    text: str


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=True, load_dtd=False, remove_comments=True
    )


def parse_siteinfo(head: bytes) -> SiteInfo | None:
    """Returns the header of a dump from its first bytes; None if they contain no header."""
    match = _SITEINFO.search(head)
    if match is None:
        return None
    try:
        element = etree.fromstring(match[0], _parser())
    except etree.XMLSyntaxError:
        return None
    names = {}
    for namespace in element.iter("namespace"):
        key = namespace.get("key", "")
        if re.fullmatch(r"-?[0-9]{1,6}", key):
            names[int(key)] = namespace.text or ""
    dbname = element.findtext("dbname") or ""
    base = element.findtext("base") or ""
    host = _WIKIPEDIA_HOST.match(base)
    lang = _XML_LANG.search(head[: match.start()])
    wiki = host[1] if host else ""
    if not wiki and not base and dbname.endswith("wiki"):
        wiki = dbname.removesuffix("wiki").replace("_", "-")
    if not wiki and not base and not dbname and lang:
        wiki = lang[1].decode()
    return SiteInfo(wiki, dbname or element.findtext("sitename") or "", names)


class PageCutter:
    """Finds the pages in bytes that are fed piece by piece. Holds at most one page in memory."""

    __slots__ = ("_buffer", "_is_open", "_is_running", "_offset", "_searched")

    def __init__(self, *, is_running: bool) -> None:
        """Creates a cutter.

        If ``is_running`` is True (for plain XML), the offset of a page is the offset of its first byte. If it is False
        (for bz2), the offset of a page is the offset of the block that contains its first byte.
        """
        self._buffer = bytearray()
        self._is_open = False
        self._is_running = is_running
        self._offset = 0
        self._searched = 0

    @property
    def has_begun(self) -> bool:
        """True if the beginning of a page was fed, and its end was not."""
        return self._is_open

    @property
    def may_have_begun(self) -> bool:
        """True if the beginning of a page was fed, and its end was not. Also True if the last bytes could be the first
        bytes of ``<page``.
        """
        return bool(self._buffer)

    @property
    def offset(self) -> int:
        """The offset of the unfinished page. Use it only if :attr:`may_have_begun` is True."""
        return self._offset

    def reset(self) -> None:
        """Discards the unfinished page. The caller uses this method if the end of the page is lost."""
        self._buffer.clear()
        self._is_open = False

    def feed(self, data: bytes, offset: int) -> Iterator[tuple[int, bytes | None]]:
        """Takes the next bytes. Yields (offset of the page, XML of the page) for each page that ends in these bytes. If
        a page is longer than :data:`MAX_PAGE_BYTES`, yields None in place of its XML.

        Args:
            offset: for plain XML, the offset of ``data`` in the file. For bz2, the offset of the block from which
                ``data`` was unpacked.
        """
        buffer = self._buffer
        num_old = len(buffer)
        buffer += data
        position = 0
        while True:
            if not self._is_open:
                opening = _PAGE_OPEN.search(buffer, position)
                if opening is None:
                    break
                self._open(opening.start(), num_old, offset)
                position = opening.start()
                self._searched = position
            end = buffer.find(_PAGE_CLOSE, max(self._searched, position))
            if end < 0:
                break
            end += len(_PAGE_CLOSE)
            yield self._offset, bytes(buffer[position:end])
            self._is_open = False
            position = end
        if self._is_open:
            del buffer[:position]
            self._searched = max(0, len(buffer) - len(_PAGE_CLOSE))
            if len(buffer) > MAX_PAGE_BYTES:
                yield self._offset, None
                self.reset()
            return
        tail = buffer.rfind(b"<", max(position, len(buffer) - _OPEN_BYTES + 1))
        if tail >= 0 and _PAGE_OPENING.startswith(buffer[tail:]):
            self._open(tail, num_old, offset)
            self._is_open = False
            del buffer[:tail]
        else:
            buffer.clear()

    def _open(self, position: int, num_old: int, offset: int) -> None:
        self._is_open = True
        if position >= num_old:
            self._offset = offset + position - num_old if self._is_running else offset


def parse_page(xml: bytes) -> Page:
    """Parses one ``<page>`` element.

    Raises:
        BrokenPageError: the XML is not well formed (``bad_xml``), or a part is missing (``no_title``, ``no_page_id``,
            ``no_text``).
    """
    try:
        element = etree.fromstring(xml, _parser())
    except etree.XMLSyntaxError as error:
        raise BrokenPageError("bad_xml", str(error)[:200]) from error
    title = (element.findtext("title") or "").strip()
    page_id = _integer(element.findtext("id"))
    if not title:
        raise BrokenPageError("no_title", f"page {page_id}")
    if page_id is None:
        raise BrokenPageError("no_page_id", title)
    revision = _newest(element)
    text_element = revision.find("text") if revision is not None else None
    if revision is None or text_element is None:
        raise BrokenPageError("no_text", title)
    if len(text_element):  # an unresolved entity or an element: its words would be lost without a report
        raise BrokenPageError("bad_xml", f"markup inside the text of {title}")
    text = text_element.text or ""
    return Page(
        page_id=page_id,
        title=title,
        namespace=_integer(element.findtext("ns")),
        is_redirect=element.find("redirect") is not None,
        revision_id=_integer(revision.findtext("id")),
        timestamp=(revision.findtext("timestamp") or "").strip(),
        model=(revision.findtext("model") or "wikitext").strip(),
        text=text,
    )


def _newest(page: etree._Element) -> etree._Element | None:
    revisions = page.findall("revision")
    if len(revisions) < 2:
        return revisions[0] if revisions else None
    return max(revisions, key=lambda revision: revision.findtext("timestamp") or "")


def _integer(text: str | None) -> int | None:
    digits = (text or "").strip()
    return int(digits) if re.fullmatch(r"-?[0-9]{1,18}", digits) else None
