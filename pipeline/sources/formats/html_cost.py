"""Tells before a page is parsed whether its tree would cost more than time linear in its size.

Resiliparse (2.0.1, with lexbor 2.1) is fast on pages as people write them. Three kinds of page make it quadratic, so
that 1 MiB can take hours:

- elements nested deep, as by end tags that are forgotten: the parser walks up the open elements for many a tag, and
  the main-content rules read all text and links below a ``div``, ``ul``, ``article`` or ``footer``, for each again;
- formatting elements that stay open (``<b>``, ``<font color=...>``): the parser opens them again in every block that
  follows;
- tags with very many attributes: each is compared with those before it.

Depth and open formatting elements are estimated here without a tree. A start tag that is followed by its end tag
leaves nothing open, so such pairs are taken out, innermost first; of most pages a few tags are left. Those are followed
one by one (:mod:`pipeline.sources.formats.html_open_elements`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.sources.formats.html_open_elements import UNSTACKED, OpenElements
from pipeline.sources.formats.html_tags import TOKEN, num_attributes

FEW_TAGS, FEW_CHARS = 800, 400_000
"""A page with fewer ``<`` that is shorter than this cannot cost much, whatever its tags: half a second at most."""
MAX_TAGS_PER_CHAR = 1 / 16
SPARE_TAGS = 20_000
"""1 MiB may have 85,000 tags. Real pages of the size have 20,000."""
MAX_VISITS_PER_CHAR = 2
SPARE_VISITS = 500_000
"""A visit is a tag inside an open element: 0.2 µs each. Real pages need a twentieth of this."""
MAX_DEPTH = 100
SPARE_CHARS_TIMES_DEPTH = 50_000_000
"""A long page may be nested ``MAX_DEPTH`` deep, a short one deeper (100 kB: 600). Real pages seldom reach 40."""
MAX_REOPENED_PER_CHAR = 0.1
SPARE_REOPENED = 100_000
"""Formatting elements that the parser may have to open again: 5 µs each."""
MAX_ATTRIBUTE_PAIRS = 50_000_000
"""Pairs of attributes of one tag that the parser compares: 3 ns each."""

_MAX_ROUNDS = 64
"""Ours: what is nested deeper in well-formed markup is followed tag by tag."""
_NO_TAG, _RAW, _LONG = 0, 1, 2
_RAW_GROUP, _LONG_GROUP = 2, 4
"""``lastindex`` of a match of :data:`TOKEN`."""
_FIRST_NUMBER = 3
_START_TAG = re.compile("<[a-zA-Z]")
_Ints = npt.NDArray[np.int32]


class _Numbers(dict[str | int | None, int]):
    """Numbers of tags by how they are written: a start tag's is positive, its end tag's the same but negative."""

    def __init__(self) -> None:
        super().__init__({None: _NO_TAG, _RAW_GROUP: _RAW, _LONG_GROUP: _LONG})
        self.names = [""] * _FIRST_NUMBER

    def __missing__(self, word: str | int | None) -> int:
        assert isinstance(word, str)
        name = word.lower()
        if name[0] == "/":
            number = -self[name[1:]]
        elif name in UNSTACKED and name not in ("html", "body"):
            number = _NO_TAG
        elif name != word:
            number = self[name]
        else:
            number = len(self.names)
            self.names.append(name)
        self[word] = number
        return number


def is_too_costly(markup: str) -> bool:
    """True if parsing the page and choosing its main content could take more than some microseconds per character.

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
    found = np.array([numbers[match[3] or match.lastindex] for match in matches], np.int32)
    is_long = found == _LONG
    for number in np.flatnonzero(is_long).tolist():
        found[number] = numbers[matches[number][4]]
    is_of_page = np.isin(np.abs(found), [numbers["html"], numbers["body"]])
    # The attributes of a second <body> are added to the first.
    tags = [[matches[number]] for number in np.flatnonzero(is_long).tolist()]
    tags.append([matches[number] for number in np.flatnonzero(is_of_page).tolist()])
    if sum(sum(num_attributes(match[0]) for match in some) ** 2 for some in tags) > MAX_ATTRIBUTE_PAIRS:
        return True
    depth = _num_starts_in_raw(matches, found, numbers)
    at = np.flatnonzero((np.abs(found) >= _FIRST_NUMBER) & ~is_of_page)
    num_tags = len(at)
    num_rounds, at = _without_pairs(found, at)
    elements = OpenElements()
    for number in at.tolist():
        match = matches[number]
        elements.see((match[3] or match[4]).lower(), match[0])
    depth += num_rounds + elements.max_depth
    return (
        depth > MAX_DEPTH + SPARE_CHARS_TIMES_DEPTH // num_chars
        or depth * num_tags > SPARE_VISITS + MAX_VISITS_PER_CHAR * num_chars
        or elements.max_formatting * num_tags > SPARE_REOPENED + MAX_REOPENED_PER_CHAR * num_chars
    )


def _without_pairs(found: _Ints, at: npt.NDArray[np.intp]) -> tuple[int, npt.NDArray[np.intp]]:
    """Takes pairs out of the tags at these places, again and again; returns how often, and the places left."""
    for num_rounds in range(_MAX_ROUNDS):
        tags = found[at]
        pairs = np.flatnonzero((tags[:-1] > 0) & (tags[:-1] == -tags[1:]))
        if not len(pairs):
            return num_rounds, at
        is_left = np.ones(len(at), np.bool_)
        is_left[pairs] = is_left[pairs + 1] = False
        at = at[is_left]
    return _MAX_ROUNDS, at


def _num_starts_in_raw(matches: Sequence[re.Match[str]], found: _Ints, numbers: _Numbers) -> int:
    """Returns how many start tags raw elements may hide: inside of ``svg`` and its like their content is markup."""
    foreign = [numbers[name] for name in ("svg", "math", "select")]
    is_start = np.isin(found, foreign)
    if not is_start.any():
        return 0
    for number in np.flatnonzero(is_start).tolist():
        is_start[number] = not matches[number][0].endswith("/>")
    num_open = np.cumsum(is_start.astype(np.int32) - np.isin(-found, foreign))
    return sum(
        len(_START_TAG.findall(matches[at][2])) for at in np.flatnonzero((found == _RAW) & (num_open > 0)).tolist()
    )
