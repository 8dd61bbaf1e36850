"""Removes licence headers from source files. (The LLaMA paper, section 2.1, removes "boilerplate, such as headers, with
regular expressions".)

Only sentences that state copyright or licence are removed, and only from the comments at the head of a file. All else
stays: shebangs, lines about encodings and editors, build tags, documentation in the same comment, and all code. The
language decides what a comment is: in C ``#include`` is not a comment, and in Markdown ``# Title`` is not a comment. If
only decoration (such as rows of stars) remains in a comment, the whole comment is removed, together with a ``#region``
around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from filters.code.comment_lines import (
    Line,
    closes_region,
    is_region,
    line_of,
    remove_ranges,
    sentences_of,
    statements_of,
)
from filters.code.comments import Comment, head_comments
from filters.code.licence_words import continues, is_part_of, may_speak, speaks, surely_speaks

_SEARCHED_CHARS = 60_000
"""Number of characters searched in one comment. Our choice: the longest licence (the GPL) has 35,000 characters."""
_CACHED_CHARS = 4_096
"""The results for comments of up to this many characters are cached, because most files of a repository have the same
notice."""
_FRAME_BEGIN = re.compile(
    r"\bBEGIN\s+(?:\w+\s+)?LICEN[SC]E\b|\b(?:[CDPGL]+)\s+HEADER\s+START\b|\bCopyrightBegin%|LICEN[SC]E_HEADER_START"
)
_FRAME_END = re.compile(
    r"\bEND\s+(?:\w+\s+)?LICEN[SC]E\b|\b(?:[CDPGL]+)\s+HEADER\s+END\b|\bCopyrightEnd%|LICEN[SC]E_HEADER_END"
)
_GAP = re.compile(r"[ \t\r]*(?:\n(?:[ \t\r]*\n)*)?")
_LINE_END = re.compile(r"[ \t\r]*\n[ \t]*")
_LEADING = re.compile(r"(\ufeff?)(?:[ \t\r]*\n)+")


def remove_header(text: str, family: str) -> str:
    r"""Returns the text without the copyright and licence notices in the comments at its head.

    ``family`` names the comment syntax (``filters/data/code/comments.yaml``).

    >>> remove_header("/* Copyright 2020 A */\n#include <a.h>\n", "c")
    '#include <a.h>\n'
    >>> remove_header("#!/bin/sh\n# Copyright 2020 A\n# Starts it.\nrun\n", "hash")
    '#!/bin/sh\n# Starts it.\nrun\n'
    """
    kept: list[str] = []
    regions: list[int] = []  # for each open region, its index in ``kept``
    at = 0
    before, end = "", 0
    for comment in _joined(text, head_comments(text, family, has_imports=True)):
        if before and (comment.is_doc or text[end : comment.start].strip()):
            before = ""  # a notice goes on neither after an import nor in documentation
        end = comment.end
        body = text[comment.start : comment.end]
        mark = _region_mark(body, comment)
        if mark == "open":
            kept += [text[at : comment.start], body]
            regions.append(len(kept) - 1)
            at = comment.end
        elif mark == "close":
            kept.append(text[at : comment.start])
            at = comment.end
            opened = regions.pop() if regions else None
            if opened is not None and not "".join(kept[opened + 1 :]).strip():
                del kept[opened:]
                at = _end_of_gap(text, at)
            else:
                kept.append(body)
        elif comment.is_behind_import and (_is_on_line_of_code(text, comment.start) or not surely_speaks(body)):
            before = ""
        elif before or may_speak(body[:_SEARCHED_CHARS]):
            read = _left_of if len(body) <= _CACHED_CHARS else _left_of.__wrapped__
            left, before = read(body, comment.opening, comment.closing, before)
            if left is not None:
                kept += [text[at : comment.start], left]
                at = comment.end if left else _end_of_gap(text, comment.end)
    if not at:
        return text
    kept.append(text[at:])
    joined = "".join(kept)
    return text if len(joined) == len(text) else _without_leading_blank_lines(joined)


def _is_on_line_of_code(text: str, at: int) -> bool:
    return bool(text[text.rfind("\n", 0, at) + 1 : at].strip())


def _joined(text: str, comments: Iterable[Comment]) -> Iterator[Comment]:
    """Yields the comments, and joins block comments on successive lines into one comment. A sentence may continue from
    one of these comments to the next. Only comments that take a single line are joined.

    A joined comment has an empty closing mark, as line comments have.
    """
    held: Comment | None = None
    for one in comments:
        is_line = one.closing == "*/" and "\n" not in text[one.start : one.end]
        if held and is_line and held.is_doc == one.is_doc and _LINE_END.fullmatch(text, held.end, one.start):
            held = replace(held, end=one.end, closing="")
            continue
        if held:
            yield held
        held = one if is_line else None
        if not is_line:
            yield one
    if held:
        yield held


def _region_mark(body: str, comment: Comment) -> str:
    """Returns "open" or "close" if the comment begins or ends a region that editors can fold (hide). Otherwise returns
    ""."""
    if comment.opening in ("#region", "#endregion"):
        return "open" if comment.opening == "#region" else "close"
    line = line_of(body)
    if comment.closing or "\n" in body or not is_region(line):
        return ""
    return "close" if closes_region(line) else "open"


def _end_of_gap(text: str, at: int) -> int:
    """Returns the position where the text after a comment begins. This is on the comment's last line, if text follows
    the comment there. Otherwise it is on the next line that is not blank.
    """
    match = _GAP.match(text, at)
    assert match is not None, "the expression matches nothing too"
    return match.end()


def _without_leading_blank_lines(text: str) -> str:
    match = _LEADING.match(text)
    return text if match is None else match.group(1) + text[match.end() :]


@lru_cache(maxsize=512)
def _left_of(body: str, opening: str, closing: str, before: str) -> tuple[str | None, str]:
    """Removes the copyright or licence notice from a comment. Returns two values: the rest of the comment, and the
    notice's last sentence.

    The rest is "" if the comment contains only the notice. It is None if the comment contains no notice. The sentence
    is "" if the comment does not end with the notice. A notice may continue in the next comment. So ``before`` is the
    sentence that the call for the previous comment returned, or "".
    """
    inner = body[len(opening) : len(body) - len(closing)] if closing else body
    searched, rest = inner[:_SEARCHED_CHARS], inner[_SEARCHED_CHARS:]
    lines = [line_of(line) for line in searched.split("\n")]
    is_changed, before = _remove_notice(lines, before)
    if not is_changed:
        return None, before
    _remove_frames(lines)
    kept = [line for line in lines if not line.is_removed]
    if not rest.strip() and all(line.is_blank or is_region(line) for line in kept):
        return "", before
    _join_blank_lines(lines)
    is_blank = bool(closing) and inner.endswith(" ")
    return _written(lines, rest, opening, closing, is_blank_before_closing=is_blank), before


def _remove_notice(lines: list[Line], before: str) -> tuple[bool, str]:
    """Removes the sentences of a copyright or licence notice from the lines of a comment.

    ``before`` is the last sentence of the notice in the previous comment, or "".

    Returns:
        Two values: True if anything was removed, and the notice's last sentence. The sentence is "" if there is no
        notice, or if other text follows the notice.
    """
    is_changed = _remove_framed(lines)
    is_apart = True
    pending: list[tuple[list[Line], int, int]] = []
    after_blank = {id(line) for line, above in zip(lines[1:], lines, strict=False) if above.is_blank}
    for statement in statements_of(lines):
        is_after_blank = id(statement[0]) in after_blank
        text = "\n".join(line.content for line in statement)
        ranges: list[tuple[int, int]] = []
        for start, end in sentences_of(text):
            sentence = text[start:end]
            if speaks(sentence) or (
                before and continues(sentence, before, is_apart=is_apart, is_after_blank=is_after_blank)
            ):
                ranges.append((start, end))
                before, is_apart = sentence, False
            elif is_part_of(sentence):
                pending.append((statement, start, end))
                continue
            else:
                before = ""
            if not before:
                pending.clear()
        if ranges:
            for waiting, start, end in pending:
                if waiting is statement:
                    ranges.append((start, end))
                else:
                    remove_ranges(waiting, [(start, end)])
            pending.clear()
            remove_ranges(statement, sorted(ranges))
            is_changed = True
    return is_changed, before


def _remove_framed(lines: list[Line]) -> bool:
    """Removes the lines from ``BEGIN LICENSE BLOCK`` to the end of this block. Files of Mozilla and Sun have such
    blocks.

    Returns True if there was such a block.
    """
    begins = [number for number, line in enumerate(lines) if _FRAME_BEGIN.search(line.content[:200])]
    ends = [number for number, line in enumerate(lines) if _FRAME_END.search(line.content[:200])]
    if not begins or not ends or ends[0] <= begins[0]:
        return False
    for line in lines[begins[0] : ends[0] + 1]:
        line.is_removed = True
    return True


def _remove_frames(lines: list[Line]) -> None:
    """Removes a pair of region marks (such as ``#region`` and ``#endregion``) if nothing remains between the marks
    except blank lines, and a notice was removed there.
    """
    opened: int | None = None
    for number, line in enumerate(lines):
        if is_region(line):
            is_end = closes_region(line)
            if is_end and opened is not None:
                between = lines[opened + 1 : number]
                if any(inner.is_removed for inner in between):
                    for inner in lines[opened : number + 1]:
                        inner.is_removed = True
                opened = None
            elif not is_end:
                opened = number
        elif not line.is_removed and not line.is_blank:
            opened = None


def _join_blank_lines(lines: list[Line]) -> None:
    """Removes the empty lines that are superfluous after a notice was removed: one of two successive empty lines, and
    empty lines at the start or end of the comment.
    """
    previous: Line | None = None  # the last line that is kept
    is_gap = False  # True if lines after ``previous`` were removed
    for number, line in enumerate(lines):
        if line.is_removed:
            is_gap = True
            continue
        is_end = number == len(lines) - 1
        if is_gap and _is_empty(line) and not is_end and (previous is None or _is_empty(previous)):
            line.is_removed = True
            continue
        previous, is_gap = line, False
    text = [number for number, line in enumerate(lines) if not line.is_removed and not line.is_blank]
    last = max(text, default=-1)
    if any(line.is_removed for line in lines[last + 1 :]):
        for line in lines[last + 1 : -1]:
            line.is_removed = line.is_removed or _is_empty(line)


def _is_empty(line: Line) -> bool:
    """Returns True if a line consists only of comment marks. Returns False for a row of characters such as
    ``//------``."""
    marks = (line.prefix + line.content + line.suffix).replace(" ", "").strip()
    if marks.startswith("/*") and marks.endswith("*/"):
        return line.is_blank and len(marks) < 7
    return not line.content.strip() and len(line.prefix.strip()) < 4


def _written(lines: list[Line], rest: str, opening: str, closing: str, *, is_blank_before_closing: bool) -> str:
    kept = [line for line in lines if not line.is_removed]
    texts = [line.prefix + line.content + line.suffix for line in kept]
    if not closing:
        return "\n".join(texts) + rest if texts else rest
    if lines[0].is_removed:
        is_quoted = opening[-1:] in ("'", '"')
        texts[0] = texts[0].lstrip() if is_quoted else texts[0]
        if not is_quoted:
            texts.insert(0, "" if len(lines) > 1 else " ")
    if lines[-1].is_removed and not rest:
        texts[-1] = texts[-1].rstrip() + ("" if closing[-1:] in ("'", '"') else " ")
    elif is_blank_before_closing and not rest and not texts[-1].endswith((" ", "\t", "\n")):
        texts[-1] += " "
    return opening + "\n".join(texts) + rest + closing
