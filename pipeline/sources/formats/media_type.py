"""Finds the media type of a page, and the charset that its header declares.

The first bytes of the page decide the media type. If they show no type, the headers decide. Headers are less reliable:
some have errors (``text/html;;charset=utf-8``, ``text/html, text/html``, ``html``), and some name a wrong type. The
bytes by which a type is recognised are from the WHATWG's MIME Sniffing standard.
"""

from __future__ import annotations

import re

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_HTML_WORDS = frozenset({"html", "htm", "xhtml", "text/htm", "text/xhtml", "application/html"})
_VAGUE = frozenset({"unknown/unknown", "application/unknown", "application/octet-stream", "*/*", "binary/octet-stream"})
_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+|\*/\*")
_CHARSET = re.compile(r"charset\s*[=:]\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_BEGINS_AS_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)(?=[\s>/])", re.IGNORECASE)
_BEFORE_HTML = re.compile(rb"(?:[\s]++|<!--(?:(?!-->).)*+-->|<\?(?:(?!\?>).)*+\?>)*+", re.DOTALL)
_SNIFFED_BYTES = 4096
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_OTHER_MARKS = {
    b"%PDF-": "application/pdf",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"PK\x03\x04": "application/zip",
    b"\x1f\x8b\x08": "application/gzip",
    b"Rar!\x1a\x07": "application/x-rar-compressed",
    b"7z\xbc\xaf\x27\x1c": "application/x-7z-compressed",
    b"OggS\0": "application/ogg",
    b"\x1aE\xdf\xa3": "video/webm",
    b"wOFF": "font/woff",
    b"wOF2": "font/woff2",
}


def media_type_of(body: bytes, *declared: str) -> str:
    """Returns the media type of a body; empty if it is unknown.

    The first bytes of the body decide. If they show no type, the first header that names a type decides. ``declared``
    contains the headers, the most trusted one first.

    >>> media_type_of(b"One.", "", "text/html;;charset=utf-8"), media_type_of(b"%PDF-1.4", "text/html")
    ('text/html', 'application/pdf')
    >>> media_type_of(b"<!-- x --> <html><p>One", "text/plain"), media_type_of(b"One.", "text/plain")
    ('text/html', 'text/plain')
    """
    head = body[:_SNIFFED_BYTES]
    if head.startswith(_BOMS):
        head = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe")  # leaves only the letters of UTF-16 and UTF-32
    for mark, media_type in _OTHER_MARKS.items():
        if head.startswith(mark):
            return media_type
    before = _BEFORE_HTML.match(head)
    if _BEGINS_AS_HTML.match(head, before.end() if before else 0):
        return "text/html"
    found = [named for header in declared if (named := _named_in(header))]
    if found:
        return found[0]
    return "text/html" if b"<html" in head[:1024].lower() else ""


def charset_of(content_type: str) -> str:
    """Returns the charset that a header declares; empty if it declares none.

    >>> charset_of("text/html charset=utf-8"), charset_of('text/html; charset="koi8-r"'), charset_of("text/html")
    ('utf-8', 'koi8-r', '')
    """
    match = _CHARSET.search(content_type)
    return match[1] if match else ""


def _named_in(header: str) -> str:
    """Returns the media type that a header names; empty if it names no type. Wrong names of HTML, such as ``html`` or
    ``text/htm``, become ``text/html``.
    """
    value = _CHARSET.sub("", header).lower()
    types = [one for one in _TYPE.findall(value) if one not in _VAGUE]
    for one in types:
        if one in HTML_TYPES or one in _HTML_WORDS:
            return "application/xhtml+xml" if one == "application/xhtml+xml" else "text/html"
    if types:
        return str(types[0])
    words = re.split(r"[\s;,]+", value.strip())
    return "text/html" if words and words[0] in _HTML_WORDS else ""
