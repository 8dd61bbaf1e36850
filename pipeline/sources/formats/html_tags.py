"""Splits a page into tags and text by the HTML standard, without a tree. Takes linear time for any input.

The tags have two uses. From them, :mod:`pipeline.sources.formats.html_cost` estimates how long parsing would take. If
it would take too long, :func:`text_between_tags` extracts the page's text without a parser.
"""

from __future__ import annotations

import re
from html import unescape

_RAW_NAMES = ("script", "style", "textarea", "xmp", "iframe", "noembed", "noframes")
"""Raw elements: their content is text, not markup. ``title`` is left out, because inside ``svg`` its content is
markup.
"""

# All quantifiers are possessive. So there is no backtracking, and a match takes linear time. Only one name ignores
# case, because ignoring case makes every character class five times slower.
_SPACE = r"\t\n\f\r "
_NAME = rf"[^{_SPACE}/>][^{_SPACE}/>=]*+"
_VALUE = rf"(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^{_SPACE}>\"'][^{_SPACE}>]*+)?+"
_ATTRIBUTE = rf"{_NAME}(?:[{_SPACE}]*+=[{_SPACE}]*+{_VALUE})?+"
_PART = rf"(?:[{_SPACE}/]++|{_ATTRIBUTE})"
_TAG_NAME = rf"/?[a-zA-Z][^{_SPACE}/>]*+"
_RAW = "|".join("".join(f"[{char}{char.upper()}]" for char in name) for name in _RAW_NAMES)
_COMMENT = r"!--(?:-?>|(?:[^-]++|-(?!-!?>))*+(?:--!?>|\Z)?)"
TOKEN = re.compile(
    rf"<(?:(?P<raw>{_RAW})(?=[{_SPACE}/>]){_PART}*+>?(?P<content>(?:[^<]++|<(?!/(?i:(?P=raw))[{_SPACE}/>]))*+)"
    rf"|(?P<tag>{_TAG_NAME}){_PART}{{0,127}}+(?:>|\Z)"
    rf"|(?P<long>{_TAG_NAME}){_PART}*+>?"
    rf"|{_COMMENT}|[!?][^>]*+>?|/[^a-zA-Z>][^>]*+>?|/>)"
)
"""Matches a raw element without its end tag, a tag, a tag with over 63 attributes, or a comment. The groups ``raw``,
``tag`` and ``long`` contain the name of the element. The name of an end tag begins with ``/``.
"""
_ATTRIBUTES = re.compile(_ATTRIBUTE)
_BREAK = "\0"
_BLOCKS = (
    "address article aside blockquote body br button caption center dd details dialog dir div dl dt fieldset"
    " figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe legend li listing"
    " main menu nav ol optgroup option p plaintext pre rp rt section select summary table tbody td textarea tfoot th"
    " thead title tr ul xmp"
)
_BLOCK_TAGS = frozenset(slash + name for slash in ("", "/") for name in _BLOCKS.split())


def num_attributes(tag: str) -> int:
    """Returns the number of attributes of a tag.

    >>> num_attributes('<p class="a b" id=c hidden>')
    3
    """
    return sum(1 for _ in _ATTRIBUTES.finditer(tag)) - 1


def text_between_tags(markup: str) -> tuple[str, str]:
    """Returns the title and the text of a page, with one line per block. The content of scripts and similar elements is
    left out.

    >>> text_between_tags("<title>A\\nb</title><div>One <b>t</b>wo<div>Three &amp; four<script>if(a<b)</script>")
    ('A b', 'One two\\nThree & four')
    """
    title: str | None = None
    pieces: list[str] = []
    markup = markup.replace(_BREAK, "")
    at, name = 0, ""
    for match in TOKEN.finditer(markup):
        text = markup[at : match.start()]
        if text:
            text = unescape(text) if "&" in text else text
            if name != "title":
                pieces.append(text)
            elif title is None:
                title = " ".join(text.split())
        at = match.end()
        name = (match[3] or match[1] or match[4] or "").lower()
        if name in _BLOCK_TAGS:
            pieces.append(_BREAK)
    pieces.append(unescape(markup[at:]))
    lines = (" ".join(line.split()) for line in "".join(pieces).split(_BREAK))
    return title or "", "\n".join(line for line in lines if line)
