"""Finds the URLs that a Wikipedia page cites.

The pages at these URLs are positive examples for the training of a classifier (:mod:`filters.reference`). It recognises
web pages that Wikipedia could cite.
"""

from __future__ import annotations

import re

from filters.wikitext.protected_text import decode_entities

MAX_URL_CHARS = 2048
"""Longest URL in characters. Our choice: longer URLs belong to trackers and searches."""

_I = re.IGNORECASE
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_NOWIKI = re.compile(r"<nowiki>.*?(?:</nowiki>|\Z)", re.DOTALL | _I)
_URL = re.compile(r"(?<![A-Za-z0-9])(?:https?:)?//[^\s|\[\]{}<>\"'`^\\\x00-\x1f]+", _I)
_PROTOCOL_RELATIVE_IN = "[= |"
_ARCHIVE = re.compile(r"^https?://(?:web\.)?archive\.(?:org|today|is|ph)/(?:web/)?[0-9*]{4,14}[a-z_]*/(?=https?:/)", _I)
_OWN_HOST = re.compile(
    r"^https?://(?:[a-z0-9.-]+\.)?(?:wikipedia|wikimedia|wikidata|wiktionary|wikisource|wikiquote|wikibooks|wikinews|"
    r"wikivoyage|wikiversity|mediawiki)\.org(?:[/:?#]|$)",
    _I,
)
_HOST = re.compile(r"^https?://[^/?#\s.]+\.[^/?#\s]+", _I)


def cited_urls(wikitext: str) -> list[str]:
    """Returns the distinct URLs in a page in order of appearance, except URLs of wikis.

    URLs are found in references, templates and links. For a copy in an archive, the original URL is returned. Comments
    and ``<nowiki>`` are skipped. (RedPajama's ``extract_urls.py`` reads only lines with a bare ``<ref>``, so it misses
    references with a name.)

    >>> cited_urls("a<ref name=x>{{cite web|url=http://a.org/b|archive-url=https://web.archive.org/web/2015/http://a.org/b}}</ref>")
    ['http://a.org/b']
    >>> cited_urls("[https://en.wikipedia.org/x own] [//b.net/?q=1&amp;r=2 see], https://c.de/(d).")
    ['https://b.net/?q=1&r=2', 'https://c.de/(d)']
    """
    if "//" not in wikitext:
        return []
    text = _NOWIKI.sub(" ", _COMMENT.sub(" ", wikitext))
    found: dict[str, None] = {}
    for match in _URL.finditer(text):
        url = match[0]
        if url.startswith("//"):
            if match.start() and text[match.start() - 1] not in _PROTOCOL_RELATIVE_IN:
                continue
            url = "https:" + url
        url = _clean(url)
        if url:
            found[url] = None
    return list(found)


def _clean(url: str) -> str:
    if len(url) > 2 * MAX_URL_CHARS:
        return ""
    url = _ARCHIVE.sub("", decode_entities(url).strip())
    while url and (url[-1] in ".,;:!?" or (url[-1] == ")" and url.count("(") < url.count(")"))):
        url = url[:-1]
    if len(url) > MAX_URL_CHARS or not _HOST.match(url) or _OWN_HOST.match(url):
        return ""
    return url
