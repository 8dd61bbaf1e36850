r"""Removes the paragraphs of a text in which something was found. A span (start, end) gives the position of what was
found, in characters.

>>> cut_paragraphs("First.\n\nWho wrote Hamlet?\nShakespeare.\n\nLast.", [(8, 25)])
'First.\n\nLast.'
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_LINE_END = re.compile(r"\n+")


def cut_paragraphs(text: str, spans: Iterable[tuple[int, int]]) -> str:
    r"""Returns the text without the paragraphs that overlap a span.

    Paragraphs are separated by blank lines. In a text without blank lines, every line is a paragraph.

    >>> cut_paragraphs("a\nb\nc", [(2, 3)])
    'a\nc'
    """
    borders = [match.span() for match in _BLANK_LINE.finditer(text)]
    if not borders:
        borders = [match.span() for match in _LINE_END.finditer(text)]
    starts = [0, *(end for _, end in borders)]
    wanted = sorted(spans)
    kept, at = [], 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        while at < len(wanted) and wanted[at][1] <= start:
            at += 1
        if not any(span_start < end and span_end > start for span_start, span_end in wanted[at:]):
            kept.append(text[start:end])
    cut = "".join(kept)
    return cut if kept and kept[-1] == text[starts[-1] :] else cut.rstrip()
