"""Resolves tags in wikitext: removes references and pictures, stores code and formulas, and removes plain HTML tags.

All searches go forward. The end of an unclosed tag is searched only once, so the time stays linear.
"""

from __future__ import annotations

import re

from filters.wikitext.protected_text import BREAK, REMOVED_BLOCK, Held, decode_entities

_GOES = frozenset(
    (
        *("ref", "references", "gallery", "timeline", "imagemap", "graph", "chart", "mapframe", "maplink", "score"),
        *("hiero", "templatedata", "templatestyles", "inputbox", "categorytree", "indicator", "includeonly", "phonos"),
    )
)
"""Tags that are removed with their content: references, pictures, drawings, and content that the page does not show."""
_BLOCKS = frozenset({"gallery", "timeline", "imagemap", "graph", "chart", "mapframe", "score"})
"""Removed tags that a page shows on lines of their own. Such a tag leaves the mark :data:`REMOVED_BLOCK`, because the
line before the tag can announce the tag's content, and is then removed too."""
_HELD_AS_TEXT = frozenset({"nowiki", "pre"})
_HELD_AS_CODE = frozenset({"source", "syntaxhighlight"})
_MATH = frozenset({"math", "chem", "ce"})
_ALL = sorted(_GOES | _HELD_AS_TEXT | _HELD_AS_CODE | _MATH, key=len, reverse=True)
_OPEN = re.compile(rf"<(?:!--|({'|'.join(_ALL)})(?![A-Za-z0-9-])([^<>]*)>)", re.IGNORECASE)
_CLOSE = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in _ALL}
_REF_END = re.compile(r"<(?:(/)ref\s*>|ref(?![A-Za-z])[^<>]*>|/ref\b)", re.IGNORECASE)
_REF_LINE_END = re.compile(r"\n|</?ref\b", re.IGNORECASE)

_TABLE = re.compile(r"<(/?)table\b[^<>]*>", re.IGNORECASE)
_HIDING = ("span", "div", "p", "small", "sup", "sub", "font", "li", "ul", "table", "tr", "td", "b", "i")
_HIDDEN = re.compile(
    rf"<({'|'.join(_HIDING)})(?=\s)[^<>]{{0,500}}?(?<=[\s;\"'])display\s{{0,3}}:\s{{0,3}}none[^<>]{{0,500}}(?<!/)>",
    re.IGNORECASE,
)
_TAGS_OF = {name: re.compile(rf"<(/?){name}(?![A-Za-z0-9-])[^<>]*>", re.IGNORECASE) for name in _HIDING}
_MAX_HIDDEN_CHARS = 20_000
_MAX_UNCLOSED = 20
"""If a page has more unclosed hidden elements than this, no further end tags are searched. Our choice: such a page is
broken. Only the opening tags of its other hidden elements are removed, and their content stays.
"""
_SMALL_SCRIPT = re.compile(r"<(su[bp])\b[^<>]*>([0-9+−-]{1,12})</\1\s*>", re.IGNORECASE)
_INLINE = re.compile(
    r"</?(?:abbr|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|mark|noinclude|onlyinclude|q|rb|rp|rt|ruby|s|samp|"
    r"small|span|strike|strong|sub|sup|time|translate|tvar|tt|u|var|wbr|langconvert|nomobile|ref|references|nowiki|"
    r"pre|math|chem|ce|source|syntaxhighlight|gallery|score|timeline|imagemap|includeonly)"
    r"(?:\s[^<>]*|/)?>",
    re.IGNORECASE,
)
_BLOCK = re.compile(
    r"</?(?:blockquote|center|dd|div|dl|dt|h[1-6]|hr|ol|p|poem|section|ul|caption|thead|tbody|tr|table|br)(?:\s[^<>]*|/)?>",
    re.IGNORECASE,
)
_CELL = re.compile(r"</?(?:td|th)(?:\s[^<>]*)?>", re.IGNORECASE)
_ITEM = re.compile(r"<li(?:\s[^<>]*)?>[ \t]*+", re.IGNORECASE)
_ITEM_END = re.compile(r"</li\s*>", re.IGNORECASE)
_TO_SUPER = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_TO_SUB = str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋")


def resolve_raw_tags(text: str, held: Held) -> str:
    """Removes comments, references and pictures. Stores the contents of nowiki, pre, code and math in ``held``.

    A comment that is not closed reaches to the end of the page, as in MediaWiki. A reference that is not closed is
    removed with the rest of its line. If any other tag is not closed, only the tag itself is removed, and the text
    after it stays.

    >>> resolve_raw_tags('a<ref name="x">b</ref> c<ref name=y/><!-- d --> e', Held())
    'a c e'
    """
    if "<" not in text:
        return text
    out: list[str] = []
    position = 0
    unclosed: set[str] = set()
    while match := _OPEN.search(text, position):
        out.append(text[position : match.start()])
        name = (match[1] or "!--").lower()
        if name == "!--":
            end = text.find("-->", match.end())
            if end < 0:
                return "".join(out)
            position = _after_comment(text, match.start(), end + 3)
        elif match[2].endswith("/"):
            position = match.end()
        elif name == "ref":
            position = _after_ref(text, match.end())
        else:
            close = None if name in unclosed else _CLOSE[name].search(text, match.end())
            if close is None:
                unclosed.add(name)
                position = match.end()
            else:
                out.append(_replacement(name, text[match.end() : close.start()], held))
                position = close.end()
    out.append(text[position:])
    return "".join(out)


def _after_comment(text: str, start: int, end: int) -> int:
    """Returns the position where the text continues after a comment. If the comment is on a line of its own, the whole
    line is removed, so that no empty line splits a list.
    """
    if (start == 0 or text[start - 1] == "\n") and text[end : end + 1] == "\n":
        return end + 1
    return end


def _after_ref(text: str, position: int) -> int:
    """Returns the end of the reference that opened before ``position``. Skips self-closing references inside it."""
    close = _REF_END.search(text, position)
    while close and not close[1] and close[0].endswith("/>"):
        close = _REF_END.search(text, close.end())
    if close and close[1]:
        return close.end()
    line_end = _REF_LINE_END.search(text, position)
    return line_end.start() if line_end else len(text)


def _replacement(name: str, content: str, held: Held) -> str:
    if name in _BLOCKS:
        return f"\n{REMOVED_BLOCK}\n"
    if name in _GOES:
        return ""
    if name in _MATH:
        return held.hold(plain_math(content)) if content.strip() else ""
    if name == "nowiki":
        return held.hold(decode_entities(content)) if content.strip("\n") else content
    block = content.strip("\n")
    if not block.strip():
        return ""
    if name == "pre":
        block = decode_entities(block.removeprefix("<nowiki>").removesuffix("</nowiki>"))
    is_inline = "\n" not in block
    return held.hold(block) if is_inline and name != "pre" else f"\n\n{held.hold(block)}\n\n"


_TEX_STYLE = re.compile(r"\\(?:displaystyle|textstyle|scriptstyle|,|;|!|:|quad(?![A-Za-z])|qquad(?![A-Za-z]))\s*")


def plain_math(tex: str) -> str:
    """Returns a formula as plain text: TeX between dollar signs, or the bare words if the formula contains no TeX.

    Adjacent braces are separated by a space, because ``{{`` is wikitext. The formula's meaning stays the same.

    >>> plain_math(" x+1 "), plain_math(r"\\frac{a}{\\sqrt{b}}")
    ('x+1', '$\\\\frac{a}{\\\\sqrt{b} }$')
    """
    tex = " ".join(_TEX_STYLE.sub(" ", tex).split())
    if not any(sign in tex for sign in "\\{}^_"):
        return tex
    while "{{" in tex or "}}" in tex:
        tex = tex.replace("{{", "{ {").replace("}}", "} }")
    return f"${tex}$"


def remove_html_tables(text: str) -> str:
    """Removes ``<table>`` elements with their content. A table that is not closed stays unchanged."""
    if "<table" not in text and "<TABLE" not in text:
        return text
    spans: list[tuple[int, int]] = []
    opened: list[int] = []
    for match in _TABLE.finditer(text):
        if not match[1]:
            opened.append(match.start())
        elif opened:
            start = opened.pop()
            while spans and spans[-1][0] > start:
                spans.pop()
            spans.append((start, match.end()))
    out: list[str] = []
    position = 0
    for start, end in spans:
        out.append(text[position:start])
        position = end
    out.append(text[position:])
    return f"\n{REMOVED_BLOCK}\n".join(out)


def remove_hidden(text: str) -> str:
    """Removes elements with the style ``display:none`` and their content, because readers do not see them.

    If such an element has no end tag within 20,000 characters, only its opening tag is removed.

    >>> remove_hidden('a<span style="display:none">b<span>c</span></span> d<SPAN STYLE="x; display : none">e')
    'a de'
    """
    if "display" not in text and "DISPLAY" not in text:
        return text
    out: list[str] = []
    position = 0
    num_unclosed = 0
    while match := _HIDDEN.search(text, position):
        depth = 1
        end = -1
        for tag in (
            ()
            if num_unclosed > _MAX_UNCLOSED
            else _TAGS_OF[match[1].lower()].finditer(text, match.end(), match.end() + _MAX_HIDDEN_CHARS)
        ):
            if not tag[0].endswith("/>"):
                depth += -1 if tag[1] else 1
            if not depth:
                end = tag.end()
                break
        out.append(text[position : match.start()])
        position = end if end > 0 else match.end()
        num_unclosed += end < 0
    out.append(text[position:])
    return "".join(out)


def remove_html(text: str) -> str:
    """Removes HTML tags and keeps the text between them.

    Tags of blocks and ``<br>`` become a mark for a line break (:data:`BREAK`). Digits in ``sup`` and ``sub`` become
    superscript and subscript characters. Text that only looks like a tag stays (``<stdio.h>``, ``a < b``), because
    MediaWiki shows it.

    >>> remove_html('10<sup>6</sup> m<sup>th</sup><br />H<sub>2</sub>O <span class="x">y</span> <stdio.h>')
    '10⁶ mth\\x07H₂O y <stdio.h>'
    """
    if "<" not in text:
        return text
    if "</su" in text:
        text = _SMALL_SCRIPT.sub(_small_script, text)
    text = "".join(_INLINE.split(text))
    if "<" not in text:
        return text
    text = _ITEM.sub("\n* ", text)
    text = "".join(_ITEM_END.split(text))
    text = _CELL.sub(" ", text)
    return _BLOCK.sub(BREAK, text)


def _small_script(match: re.Match[str]) -> str:
    return match[2].translate(_TO_SUPER if match[1].lower() == "sup" else _TO_SUB)
