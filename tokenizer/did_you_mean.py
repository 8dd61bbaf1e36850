"""Suggests the name that a user may have meant, for messages about a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NUM_LISTED = 20
"""A message lists at most this many names. If there are more, the list ends with ``...``."""


def nearest(name: object, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Returns the known name that is most similar to ``name``. Returns an empty text if none is similar. Capital and
    small letters count as equal.

    Args:
        cutoff: a name is returned only if its similarity is at least this, from 0 to 1. The default is that of
            :mod:`difflib`.

    >>> nearest("Boks", ["books", "arxiv"]), nearest("pdf", ["books", "arxiv"])
    ('books', '')
    """
    by_folded = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(str(name).casefold(), by_folded, 1, cutoff)
    return by_folded[close[0]] if close else ""


def did_you_mean(name: object, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Returns the end of a sentence about a name that does not exist. It suggests the most similar name. It is empty if
    no name is similar.

    >>> did_you_mean("boks", ["books", "arxiv"]), did_you_mean("pdf", ["books"])
    ('; did you mean books?', '')
    """
    found = nearest(name, known, cutoff=cutoff)
    return f"; did you mean {found}?" if found else ""


def or_list(name: object, known: Iterable[str]) -> str:
    """Returns the end of a sentence about a name that does not exist: the most similar name, or else all names. Only
    the first 20 names are listed.

    >>> or_list("boks", ["books", "arxiv"]), or_list("pdf", ["books", "arxiv"])
    ('; did you mean books?', '; there are: books, arxiv')
    """
    names = list(known)
    listed = ", ".join(names[:NUM_LISTED]) + (", ..." if len(names) > NUM_LISTED else "")
    return did_you_mean(name, names) or f"; there are: {listed or 'none'}"
