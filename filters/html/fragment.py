"""Converts an HTML fragment to the plain text that a reader sees in a browser. This module is for the bodies of posts,
not for whole web pages.

Nearly all bodies of posts are simple well-formed fragments, written by a Markdown renderer. One regular expression
splits them into tags and text. All other fragments are first made well formed by lexbor, an HTML5 parser for browsers.
A test checks that both ways give the same text.

Each element is written as follows:

========================  ====================================================================================
paragraph, heading, div   separated by empty lines; white space inside collapsed to one space
``<br>``                  a line break
``<pre>``                 unchanged, with line breaks and indentation; no fence is added
``<li>``                  ``- `` or its number (``3. ``), nested lists indented under their item's text
``<blockquote>``          every line begins with ``> ``
table                     one line per row, cells separated by `` | ``
``<sup>``, ``<sub>``      ``2<sup>n</sup>`` is ``2^n``, ``2<sup>k+1</sup>`` is ``2^(k+1)``, ``x<sub>i</sub>`` is ``x_i``
                          and ``H<sub>2</sub>O`` is ``H₂O``, because plain ``2n`` or ``xi`` would mean something
                          else; ordinals (``n<sup>th</sup>``) get no mark; a space separates raised words from the word
                          before
``<del>``, ``<s>``        ``~~`` around the struck words
``<q>``                   quotation marks around the words
``<kbd>``, ``<ins>``      their words; a space separates two adjacent keys, or inserted and struck words
``<img>``                 nothing, or its ``alt`` if ``image_alt`` is set
math (``$``, ``$$``)      unchanged, including its line breaks
script, style, comment    removed
any element not listed    its words
========================  ====================================================================================

Entities are decoded after the tags were removed, so ``&lt;b&gt;`` becomes the text ``<b>``, which does not count as a
tag. Entities are decoded only once, so ``&amp;lt;b&gt;`` becomes the text ``&lt;b>``.
"""

from __future__ import annotations

import re
from html import unescape

from selectolax.lexbor import LexborHTMLParser

from filters.html.marks import MARKS
from filters.html.writer import TextWriter

_HOLE = "\0"
"""The character that replaces a removed inline tag. Without it, the text before and after the removed tag could
together form a tag. HTML never contains this character."""

# Possessive quantifiers never give back what they have matched, so matching is linear on any input.
_ATTRIBUTES = r"[^<>\"'=\0]*+(?:=\"[^\"\0]*+\"[^<>\"'=\0]*+)*+"
_TAG = rf"<(/?[a-z][a-z0-9]*+)({_ATTRIBUTES})>"
_INLINE_NAMES = (
    *("a", "abbr", "acronym", "b", "big", "cite", "code", "dfn", "em", "i", "ins", "kbd", "mark", "samp", "small"),
    *("span", "strong", "tt", "u", "var"),
)
_INLINE = frozenset({*_INLINE_NAMES, *("/" + name for name in _INLINE_NAMES)})
_INLINE_TAG = re.compile(rf"</?(?:{'|'.join(_INLINE_NAMES)})(?:>|\s{_ATTRIBUTES}>)|<!--[^<>]*?-->")
_APART = "kbd|ins|del|s|strike"
_BETWEEN = "|".join(name for name in _INLINE_NAMES if name not in ("kbd", "ins"))
_WORDS_APART = re.compile(rf"</(?:{_APART})\s*+>(?:</?(?:{_BETWEEN})(?:>|\s{_ATTRIBUTES}>))*+(?=<(?:{_APART})[\s>])")
"""Matches a position at which a space must be inserted: between two adjacent keys (``<kbd>``), or between struck and
inserted words.
"""
# Matches a block of nothing but text (groups: its name, the text), or a tag (groups: its name, its attributes).
_SIMPLE_TAG = re.compile(rf"<(p|li|h[1-6])>([^<]*+)</\1>|{_TAG}")
_ANY_TAG = re.compile(_TAG + r"|<!--.*?(?:-->|\Z)|<[!?][^>]*+>?|<(?:/?[a-zA-Z])[^>]*+>?", re.DOTALL)

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_VOID = frozenset({"br", "hr", "img"})
_FLOW = frozenset({*_HEADINGS, *_VOID, "p", "div", "blockquote", "pre", "ul", "ol", "dl"})
_ROWS = frozenset({"tr"})
_CHILDREN = {
    **dict.fromkeys((*_HEADINGS, "p", "pre"), frozenset({"br", "img"})),
    **dict.fromkeys(("", "div", "blockquote", "li", "dd"), _FLOW | {"table"}),
    **dict.fromkeys(("td", "th", "dt"), _FLOW),
    **dict.fromkeys(("ul", "ol"), _FLOW | {"li"}),
    "dl": _FLOW | {"dt", "dd"},
    "table": _ROWS | {"thead", "tbody", "tfoot"},
    **dict.fromkeys(("thead", "tbody", "tfoot"), _ROWS),
    "tr": frozenset({"td", "th"}),
}
"""Maps each element to the elements that HTML allows directly inside it. The key ``""`` is the fragment itself. If
another element occurs inside an element, lexbor repairs the fragment."""
_IN_TABLE = frozenset({"table", "thead", "tbody", "tfoot", "tr"})

_UNSEEN = ["script", "style", "template", "noscript", "iframe", "svg", "object", "select", "textarea", "title"]

MAX_MENDED_TAGS = 5_000
MAX_MENDED_CHARS = 100_000
"""If a fragment has more characters than this, or more ``<`` signs than ``MAX_MENDED_TAGS``, its tags are removed
without a repair by lexbor. lexbor's time is quadratic in two numbers: the depth of unclosed tags (3 seconds for a depth
of 20,000), and the attributes of one tag (13 seconds for 80,000 attributes). Our choice: a post has at most 30,000
characters of Markdown."""


def html_to_text(fragment: str, *, image_alt: bool = False) -> str:
    r"""Returns the fragment's text without tags, and without empty lines around it.

    Args:
        image_alt: True if the alternative text of images is kept. By default it is dropped, because the LLaMA paper
            removes whole tags, and because most of these texts are the placeholder "enter image description here".

    >>> print(html_to_text("<p>Use <code>a &amp;lt; b</code>:</p>\n<pre><code>if a:\n    b()\n</code></pre>"))
    Use a &lt; b:
    <BLANKLINE>
    if a:
        b()
    >>> html_to_text("<ol><li>one</li><li>two<ul><li>deep</li></ul></li></ol>")
    '1. one\n2. two\n   - deep'
    >>> html_to_text("<P>not closed <b>at all, 1 < 2")
    'not closed at all, 1 < 2'
    """
    if "\r" in fragment:
        fragment = fragment.replace("\r\n", "\n").replace("\r", "\n")
    if "<" not in fragment:
        writer = TextWriter(image_alt=image_alt)
        writer.add(unescape(fragment))
        return writer.finish()
    if _HOLE in fragment:
        fragment = fragment.replace(_HOLE, "")
    fragment = _WORDS_APART.sub(r"\g<0> ", fragment)
    text = _from_simple(_simple_tokens(fragment), TextWriter(image_alt=image_alt))
    if text is not None:
        return text
    if len(fragment) <= MAX_MENDED_CHARS and fragment.count("<") <= MAX_MENDED_TAGS:
        fragment = _mended(fragment)
    return _from_any(_ANY_TAG.split(fragment), TextWriter(image_alt=image_alt))


def _simple_tokens(fragment: str) -> list[str | None]:
    """Splits a fragment into tokens. Returns the elements of all tokens in one list, five per token.

    The first element is a text. In the fragment, either a leaf (a block that contains only text) or a tag follows this
    text. Elements two and three are the leaf's name and its text, or None if a tag follows. Elements four and five are
    the tag's name and its attributes, or None if a leaf follows. In the last token, elements two to five are None.
    """
    return [*_SIMPLE_TAG.split(_INLINE_TAG.sub(_HOLE, fragment)), None, None, None, None]


def _from_simple(tokens: list[str | None], writer: TextWriter) -> str | None:
    """Returns the text of a simple fragment. Returns None if an HTML parser would nest the tags differently."""
    open_blocks = [""]
    open_marks: list[str] = []
    fives = zip(tokens[::5], tokens[1::5], tokens[2::5], tokens[3::5], tokens[4::5], strict=True)
    for text, leaf, leaf_text, name, attributes in fives:
        if text:
            if "<" in text or (open_blocks[-1] in _IN_TABLE and not text.isspace()):
                return None
            writer.add(_plain(text))
        if leaf is not None and leaf_text is not None:
            if open_marks or leaf not in _CHILDREN[open_blocks[-1]]:
                return None
            writer.leaf(leaf, _plain(leaf_text))
        elif name is None:
            continue
        elif name.removeprefix("/") in MARKS:
            if open_blocks[-1] in _IN_TABLE or (name[0] == "/" and (not open_marks or open_marks.pop() != name[1:])):
                return None
            if name[0] == "/":
                writer.close_mark(name[1:])
            else:
                open_marks.append(name)
                writer.open_mark(name)
        elif name[0] == "/":
            name = name[1:]
            if open_marks or open_blocks.pop() != name:
                return None
            writer.close(name)
        elif name not in _CHILDREN[open_blocks[-1]] or (open_marks and name not in _VOID):
            return None
        else:
            if name not in _VOID:
                open_blocks.append(name)
            writer.open(name, attributes or "")
    return writer.finish()


def _plain(text: str) -> str:
    """Returns the text between two tags with its entities decoded."""
    if _HOLE in text:
        text = text.replace(_HOLE, "")
    return unescape(text) if "&" in text else text


def _mended(fragment: str) -> str:
    """Returns the fragment as well-formed HTML. lexbor repairs it as a browser would."""
    parser = LexborHTMLParser(fragment)
    parser.strip_tags(_UNSEEN)
    body = parser.body
    return _WORDS_APART.sub(r"\g<0> ", body.inner_html or "") if body is not None else ""


def _from_any(tokens: list[str | None], writer: TextWriter) -> str:
    """Returns the text of any fragment, even of badly nested HTML. Unknown tags are ignored."""
    rest = iter(tokens)
    for text in rest:
        if text:
            writer.add(unescape(text) if "&" in text else text)
        name, attributes = next(rest, None), next(rest, None)
        if name is None or name in _INLINE:
            continue
        if name.removeprefix("/") in MARKS:
            (writer.close_mark if name[0] == "/" else writer.open_mark)(name.removeprefix("/"))
        elif name[0] == "/":
            writer.close(name[1:])
        else:
            writer.open(name, attributes or "")
    return writer.finish()
