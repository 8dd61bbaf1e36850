"""Extracts the title and text of an HTML page, for users who have WARC files and no WET files."""

from __future__ import annotations

from dataclasses import dataclass

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from filters.decoding import decode
from pipeline.sources.formats.html_charset import declared_in
from pipeline.sources.formats.html_cost import is_too_costly
from pipeline.sources.formats.html_tags import text_between_tags


@dataclass(frozen=True, slots=True)
class PageText:
    """Holds the title and text of a page, with one line per block."""

    title: str
    """The page's ``<title>`` on one line; empty if there is none."""
    text: str
    encoding: str
    """Python's name of the encoding with which the page was decoded."""


def page_text(html: bytes, *, charset: str = "", is_main_content: bool = True) -> PageText:
    """Returns the title and text of a page, extracted by Resiliparse.

    For some pages Resiliparse would need more than linear time
    (:func:`pipeline.sources.formats.html_cost.is_too_costly`). For these pages, the text between all tags is returned,
    including menus.

    Args:
        html: the bytes of the page.
        charset: the encoding that the HTTP header declares. It takes precedence over the page's ``<meta>``. If the
            bytes can only be in a different encoding, that encoding is used (:func:`filters.decoding.decode`).
        is_main_content: True to leave out navigation, footers and similar parts of the page. (A WET file contains these
            parts.)

    In the second example, the header declares Latin-1, but the bytes are UTF-8 with a truncated character at the end.

    >>> page_text(b"<title>A\\nb</title><nav>Home</nav><main><p>One <b>two</b>.</p><p>Three.</p></main>")
    PageText(title='A b', text='One two.\\nThree.', encoding='ascii')
    >>> page_text("<meta charset=utf-8><p>Zürich".encode() + b"\\xef", charset="latin-1").text
    'Zürich'
    """
    decoded = decode(html, declared=[label for label in (charset, declared_in(html)) if label])
    title, text = extracted(decoded.text, is_main_content=is_main_content)
    return PageText(title, text, decoded.encoding)


def extracted(markup: str, *, is_main_content: bool) -> tuple[str, str]:
    """Returns the title and the text of a page. ``markup`` is the decoded HTML."""
    if is_too_costly(markup):
        return text_between_tags(markup)
    tree = HTMLTree.parse(markup)
    title = " ".join((tree.title or "").split())
    text = extract_plain_text(
        tree, main_content=is_main_content, alt_texts=False, preserve_formatting=True, list_bullets=False, links=False
    )
    lines = (line.strip() for line in text.split("\n"))
    return title, "\n".join(line for line in lines if line)
