"""Estimates whether the HTML parser Resiliparse would take too long for a page, before the page is parsed.

Resiliparse (2.0.1, with lexbor 2.1) is fast on usual pages. On three kinds of pages it takes quadratic time, so that a
page of 1 MiB can take hours:

- Deep nesting, for example because end tags were forgotten. For many tags the parser visits all open elements. Then, to
  find the main content, Resiliparse reads all text and links inside each ``div``, ``ul``, ``article`` and ``footer``.
  If these elements are nested, it reads the same text once per level.
- Formatting elements that are never closed (``<b>``, ``<font color=...>``). The parser opens them again in every later
  block.
- Tags with many attributes. The parser compares each attribute with all earlier attributes of the tag.

This module estimates how deep elements are nested, and how many formatting elements are open, but it builds no tree. If
a start tag is directly followed by its end tag, no element stays open. Such pairs are removed, innermost first. In most
pages few tags remain. The remaining tags are processed one by one (:mod:`pipeline.sources.formats.html_open_elements`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.sources.formats.html_open_elements import UNSTACKED, OpenElements
from pipeline.sources.formats.html_tags import TOKEN, num_attributes

FEW_TAGS, FEW_CHARS = 800, 100_000
"""Limits on the number of ``<`` and on the number of characters. A page below both limits takes at most half a second,
even in the worst case.
"""
MAX_TAGS_PER_CHAR = 1 / 16
SPARE_TAGS = 20_000
"""A page may have ``SPARE_TAGS`` tags, plus ``MAX_TAGS_PER_CHAR`` tags per character. For 1 MiB these are 85,000 tags
in all. Real pages of this size have about 20,000.
"""
MAX_VISITS_PER_CHAR = 2
SPARE_VISITS = 500_000
"""The limit on visits: for each tag, the parser may visit each open element. A visit takes 0.2 µs. A page may have
``SPARE_VISITS`` visits, plus ``MAX_VISITS_PER_CHAR`` per character. Real pages reach 5 % of the limit.
"""
MAX_DEPTH = 100
SPARE_CHARS_TIMES_DEPTH = 50_000_000
"""The limit on the nesting depth is ``MAX_DEPTH + SPARE_CHARS_TIMES_DEPTH / n`` for a page of ``n`` characters. For
100,000 characters the limit is 600, and for longer pages it is lower. Few real pages reach a depth of 40.
"""
MAX_REOPENED_PER_CHAR = 0.1
SPARE_REOPENED = 100_000
"""The limit on how often the parser could open a formatting element again. Opening it takes 5 µs. The limit is
``SPARE_REOPENED`` per page, plus ``MAX_REOPENED_PER_CHAR`` per character.
"""
MAX_ATTRIBUTE_PAIRS = 50_000_000
"""The limit on the comparisons between two attributes of the same tag. Each comparison takes 3 ns."""

_FEW_PAGE_TAGS = 8
_NO_TAG, _RAW, _LONG = 0, 1, 2
_RAW_GROUP, _LONG_GROUP = 2, 4
"""Numbers of groups in :data:`TOKEN`. If ``lastindex`` of a match is the first number, the match is a raw element. If
it is the second number, the match is a tag with many attributes.
"""
_FIRST_NUMBER = 3
_START_TAG = re.compile("<[a-zA-Z]")
_PAGE_TAG = re.compile("<(?:[hH][tT][mM][lL]|[bB][oO][dD][yY])(?![a-zA-Z])")


class _Numbers(dict[str | int | None, int]):
    """Maps the name of a tag, as it is written in the page, to a number.

    A start tag has a positive number. Its end tag has the same number with a minus sign.
    """

    def __init__(self) -> None:
        super().__init__({None: _NO_TAG, _RAW_GROUP: _RAW, _LONG_GROUP: _LONG})
        self.names = [""] * _FIRST_NUMBER

    def __missing__(self, word: str | int | None) -> int:
        assert isinstance(word, str)
        name = word.lower()
        if name[0] == "/":
            number = -self[name[1:]]
        elif name in UNSTACKED:
            number = _NO_TAG
        elif name != word:
            number = self[name]
        else:
            number = len(self.names)
            self.names.append(name)
        self[word] = number
        return number


def is_too_costly(markup: str) -> bool:
    """True if Resiliparse could take too long to parse the page and to choose its main content. Too long means more
    than a few microseconds per character.

    >>> is_too_costly("<div>" * 20_000), is_too_costly("<div>text</div>" * 10_000)
    (True, False)
    """
    num_chars, num_tags = len(markup), markup.count("<")
    if num_tags < FEW_TAGS and num_chars < FEW_CHARS:
        return False
    if num_tags > SPARE_TAGS + MAX_TAGS_PER_CHAR * num_chars:
        return True
    matches = list(TOKEN.finditer(markup))
    numbers = _Numbers()
    tags = [numbers[match[3] or match.lastindex] for match in matches]
    if _LONG in tags or len(_PAGE_TAG.findall(markup)) > _FEW_PAGE_TAGS:
        if _num_attribute_pairs(matches) > MAX_ATTRIBUTE_PAIRS:
            return True
        tags = [numbers[match[3] or match[4] or match.lastindex] for match in matches]
    limits = _Limits(num_chars, num_tags)
    left, depth = _unpaired(tags)
    depth += _num_starts_in_raw(matches, tags, numbers)
    if limits.are_kept(depth + len(left), len(left)):
        return False
    elements = OpenElements()
    for number in left:
        match = matches[number]
        elements.see((match[3] or match[4]).lower(), match[0])
    return not limits.are_kept(depth + elements.max_depth, elements.max_formatting)


class _Limits:
    """Holds the limits for a page with a given number of characters and tags."""

    def __init__(self, num_chars: int, num_tags: int) -> None:
        self._num_tags = num_tags
        self._max_depth = MAX_DEPTH + SPARE_CHARS_TIMES_DEPTH // num_chars
        self._max_visits = SPARE_VISITS + MAX_VISITS_PER_CHAR * num_chars
        self._max_reopened = SPARE_REOPENED + MAX_REOPENED_PER_CHAR * num_chars

    def are_kept(self, depth: int, num_formatting: int) -> bool:
        """True if the page is within all limits.

        ``depth`` is the largest number of elements that are open at the same time. ``num_formatting`` is the largest
        number of open formatting elements. Both are estimates.
        """
        return (
            depth <= self._max_depth
            and depth * self._num_tags <= self._max_visits
            and num_formatting * self._num_tags <= self._max_reopened
        )


def _unpaired(tags: Sequence[int]) -> tuple[list[int], int]:
    """Removes pairs of tags: a start tag and its end tag, with no other tag between them. Repeats this until there are
    no such pairs.

    A start tag is a positive number. Its end tag has the same number with a minus sign. Returns the positions of the
    remaining tags, and the nesting depth of the removed tags.

    >>> _unpaired([3, 4, 4, -4, -4, 5, -3])
    ([0, 5, 6], 2)
    """
    left: list[int] = []
    heights = [0]
    """The nesting depths of the removed pairs, by their place between the remaining tags. ``heights[0]`` is the depth
    before the first remaining tag. ``heights[1]`` is the depth between the first and the second remaining tag, and so
    on.
    """
    last = _NO_TAG
    for number, tag in enumerate(tags):
        if tag < 0 and tag == -last:
            left.pop()
            height = heights.pop() + 1
            if height > heights[-1]:
                heights[-1] = height
            last = tags[left[-1]] if left else _NO_TAG
        elif tag < 0 or tag >= _FIRST_NUMBER:
            left.append(number)
            heights.append(0)
            last = tag
    return left, max(heights)


def _num_attribute_pairs(matches: Sequence[re.Match[str]]) -> int:
    """Returns how often a parser compares two attributes with each other.

    If a page has several ``<body>`` or ``<html>`` tags, the parser puts all their attributes into one element. So these
    attributes are counted together.
    """
    num_pairs = 0
    num_of_page = {"html": 0, "body": 0}
    for match in matches:
        if match.lastindex == _LONG_GROUP:
            num_pairs += num_attributes(match[0]) ** 2
        if (name := (match[3] or match[4] or "").lower()) in num_of_page:
            num_of_page[name] += num_attributes(match[0])
    return num_pairs + sum(num**2 for num in num_of_page.values())


def _num_starts_in_raw(matches: Sequence[re.Match[str]], tags: Sequence[int], numbers: _Numbers) -> int:
    """Counts the start tags in raw elements (such as ``script``) inside ``svg``, ``math`` or ``select``.

    Inside these three, the parser reads the content of a raw element as markup. In all other places it reads the
    content as text.
    """
    foreign = {numbers[name]: 1 for name in ("svg", "math", "select")}
    foreign |= {-number: -1 for number in foreign}
    num_open = num_starts = 0
    for number, tag in enumerate(tags) if any(map(tags.count, foreign)) else ():
        if tag in foreign:
            if not matches[number][0].endswith("/>"):
                num_open += foreign[tag]
        elif tag == _RAW and num_open > 0:
            num_starts += len(_START_TAG.findall(matches[number][2]))
    return num_starts
