"""A page's title and text out of its HTML, for those who have WARC files and no WET."""

from __future__ import annotations

from dataclasses import dataclass

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5
from resiliparse.parse.html import HTMLTree

_DETECTION_BYTES = 1 << 17
"""Resiliparse's own default."""


@dataclass(frozen=True, slots=True)
class PageText:
    """``title`` is the page's ``<title>`` on one line, ``text`` a line for each block of text."""

    title: str
    text: str


def page_text(html: bytes, *, charset: str = "", is_main_content: bool = True) -> PageText:
    """Extracts a page's text with Resiliparse.

    Args:
        html: the page's bytes.
        charset: what the HTTP header says of them; believed where the bytes are not UTF-8.
        is_main_content: leave out navigation, footers and the like, which a WET file has.

    >>> page_text(b"<title>A\\nb</title><nav>Home</nav><main><p>One <b>two</b>.</p><p>Three.</p></main>")
    PageText(title='A b', text='One two.\\nThree.')
    """
    tree = HTMLTree.parse(_decoded(html, charset))
    title = " ".join((tree.title or "").split())
    text = extract_plain_text(
        tree, main_content=is_main_content, alt_texts=False, preserve_formatting=True, list_bullets=False, links=False
    )
    lines = (line.strip() for line in text.split("\n"))
    return PageText(title, "\n".join(line for line in lines if line))


def _decoded(html: bytes, charset: str) -> str:
    """Decodes by what the bytes prove, then by the HTTP header, then by the page's own words or a guess.

    >>> _decoded("é".encode(), "latin-1"), _decoded("é".encode("latin-1"), "latin-1")
    ('é', 'é')
    """
    try:
        return html.decode("utf-8-sig")
    except UnicodeDecodeError:
        encoding = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
        if encoding is None or encoding == "utf-8":
            found = detect_encoding(html, max_len=_DETECTION_BYTES, html5_compatible=True, from_html_meta=True)
            encoding = found or "utf-8"
        decoded: str = bytes_to_str(html, encoding, errors="replace")
        return decoded
