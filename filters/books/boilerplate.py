"""Removes the text that Project Gutenberg adds to its books: header, licence, small print, production credits.

Gutenberg has used five generations of boilerplate since 1971. This module recognises:

* the marks that have been used since 2001, ``*** START OF THE PROJECT GUTENBERG EBOOK ... ***`` and ``*** END OF ...``,
  in all spellings: with THIS or THE, with or without spaces after ``***``, with COPYRIGHTED, and broken over several
  lines;
* the small print of 1991 to 2003. Until about 2001 it precedes the book, and its last line is
  ``*END*THE SMALL PRINT!``. In later editions it follows the book;
* headers without a closing mark, which are removed paragraph by paragraph (in books from before 1991, and in books of
  Gutenberg of Australia and of Canada);
* "End of Project Gutenberg's ..." in several languages;
* licences after the book, even if there is no end mark before them;
* credits around the book ("Produced by", "E-text prepared by", "Transcribed from the ... edition by", "Scanned by") and
  transcribers' notes at the very beginning or end of the book.

The text between these parts stays. A text with none of these marks is returned unchanged. If a file contains several
books and each book has a header, the boilerplate between the books is removed too. If a paragraph could belong to the
book, the paragraph stays.

The phrases were collected from real editions of 1991 to 2015. Further phrases come from the packages ``gutenberg``
(Python) and ``gutenbergr`` (R), which search for the same marks. Unlike these packages, this module checks the text
after an end mark before it cuts anything, because another book may follow the mark.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from filters.books.credits import is_credit, strip_credits
from filters.step import Models, Outcome, Step

MAX_HEADER_CHARS = 60_000
"""Maximum length of a header, in characters. Our choice: the longest known header, with small print and donation
appeals, has 22,000 characters."""
MAX_FOOTER_CHARS = 40_000
"""Maximum length of a footer, in characters. Our choice: the full licence has 19,000 characters, and the last version
of the small print has 16,000."""
_MIN_PART_CHARS = 3_000  # a longer text between two end marks is a book; a shorter one is part of the footer
_MAX_GAP_CHARS = 500  # longest distance between a start mark and the small print that belongs to it
_MAX_MARKS_AHEAD = 16  # a header and a footer have at most half a dozen marks each

_E_BOOK = r"(?:e-?texts?|e-?books?|copyrighted)"
_MARKS = re.compile(
    r"""^[ \t]*(?:
      (?P<start>\*{1,}[ ]?(?:START|BEGIN)[ ]OF[ ](?:(?:THE|THIS)[ ])?(?:COPYRIGHTED[ ])?PROJECT[ ]GUTENBERG
        (?:[^\n]*\*{2,}[ \t]*$ | [^\n*]*(?:\n[^\n*]+){1,3}\*{2,}[^\n]*$ | [^\n]*$))
    | (?P<small_end>\*{1,}[ ]?END[ *]*(?:OF[ ])?THE[ ]SMALL[ ]PRINT[^\n]*$)
    | (?P<end>\*{2,}[ ]?END[ ]OF[ ](?:(?:THE|THIS)[ ])?(?:COPYRIGHTED[ ])?PROJECT[ ]GUTENBERG[^\n]*$
        | [*"'\[(]*(?:this[ ]is[ ])?(?:the[ ])?
          (?:end|ende|fin|fine|einde|fim|final|slut|slutet|loppu|konec|koniec)[ ](?:[^\n ]+[ ]){0,4}?
          (?:the[ ])?proje\w{1,3}[ ]gutenberg[^\n]*$
        | [*"'\[(]*end[ ]of[ ](?:the[ ]|this[ ])?e-?text\b[^\n]*$)
    | (?P<footer>\**[ ]?(?:START:?[ ]FULL[ ]LICENSE | THE[ ]FULL[ ]PROJECT[ ]GUTENBERG[ ]LICENSE)[^\n]*$
        | \*{1,}[ ]?START\**[ ]?THE[ ]SMALL[ ]PRINT[^\n]*$
        | \**[ ]?This[ ]file[ ]should[ ]be[ ]named[ ]\S+\.(?:txt|zip)[^\n]*$
        | This[ ]site[ ]is[ ]full[ ]of[ ]FREE[ ]ebooks[^\n]*$ | \**[ ]?Project[ ]Gutenberg[ ](?:of[ ])?Australia[ \t]*$
        | Updated[ ]editions[ ]will[ ]replace[ ]the[ ]previous[ ]one[^\n]*$
        | This[ ]and[ ]all[ ]associated[ ]files[ ]of[ ]various[ ]formats[ ]will[ ]be[ ]found[ ]in[^\n]*$)
    )""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)

_MARK_WORDS = (
    "gutenberg", "small print", "full license", "etext", "e-text", "should be named", "full of free ebooks",
    "will replace the previous", "and all associated files",
)  # fmt: skip
"""Lower-case phrases. The first line of every mark contains at least one of these phrases."""
_NAMES_GUTENBERG = re.compile(r"proje\w{1,3}\s+gutenberg|gutenberg\s+(?:of\s+)?(?:australia|canada)", re.IGNORECASE)
_HEADER_PARAGRAPH = re.compile(
    rf"""[ \t*\[]*(?:
      [^\n]{{0,80}}\bproject\s+gutenberg\b | this\s+{_E_BOOK}\s+is\s+(?:for\s+the\s+use|made\s+available)
    | (?:title|author|editor|translator|illustrator|edition|language|subtitle|contributor)\s*:
    | character\s+set | text\s+encoding
    | (?:release|posting|original\s+publication)\s+date | (?:last|most\s+recently)\s+updated | date\s+(?:first|most)
    | {_E_BOOK}\s+(?:no\.?|number|\#) | \[?{_E_BOOK}\s*\#\s*\d | (?:january|february|march|april|may|june|july|august
        |september|october|november|december),?\s+\d{{4}}\s+\[ | copyright\s+laws\s+are\s+changing
    | this\s+header\s+should | please\s+(?:take\s+a\s+look|read\s+the|do\s+not\s+remove) | \W*welcome\s+to\s+the\s+world
    | \W*{_E_BOOK}\s+readable\s+by | \W*these\s+{_E_BOOK}\s+(?:were\s+)?prepared | information\s+on\s+contacting
    | a\s+treasure-trove\s+of\s+literature | treasure\s+found\s+hidden | first\s+posted\b
    | \W*this\s+site\s+is\s+full\s+of
    | we\s+are\s+now\s+trying | corrected\s+editions\s+of | \W*this\s+file\s+should\s+be\s+named
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_RULER = re.compile(r"[ \t]*[-=*_~#+. \t]{5,}\s*\Z")
_LICENCE_BETWEEN = re.compile(
    r"^[ \t]*(?:<<\s*)?THIS ELECTRONIC VERSION OF\b(?:[^\n]+\n){1,20}?[^\n]*(?:>>[ \t]*$|MEMBERSHIP\.[ \t>]*$)",
    re.IGNORECASE | re.MULTILINE,
)
"""Matches the licence of the publisher World Library. The licence has 500 characters in double angle brackets. It comes
between the acts of Shakespeare's plays in Gutenberg's edition of 1994."""
_PARAGRAPH = re.compile(r"[ \t]*\S[^\n]*(?:\n[ \t]*\S[^\n]*)*")
_NOT_BLANK = re.compile(r"\S")
_MAX_HEADER_PARAGRAPHS = 60


@dataclass(frozen=True, slots=True)
class _Mark:
    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Stripped:
    """Holds a book without its boilerplate, and how many characters were removed."""

    text: str
    header_chars: int
    """Number of characters removed before the first kept line, including credits."""
    footer_chars: int
    """Number of characters removed anywhere after the first kept line."""


def _header_end(text: str, pos: int, ahead: Sequence[_Mark]) -> int:
    """Returns the position where the book begins, which is the end of the header. The header begins at ``pos``.

    ``ahead`` contains the marks (lines such as ``*** START OF``) that follow ``pos`` in the text.
    """
    closing = next((index for index, mark in enumerate(ahead) if mark.kind == "end"), len(ahead))
    header = [mark for mark in ahead[:closing] if mark.start - pos <= MAX_HEADER_CHARS]
    start = next((mark for mark in header if mark.kind == "start"), None)
    small = next((mark for mark in header if mark.kind == "small_end"), None)
    if start and small and small.start > start.end:
        # Small print belongs to the header only if it directly follows the start mark. Otherwise it is in the footer.
        opened = next((mark.start for mark in header if mark.kind == "footer" and mark.start >= start.end), len(text))
        return small.end if opened - start.end < _MAX_GAP_CHARS else start.end
    if start or small:
        return (start or small or ahead[0]).end
    return _unmarked_header_end(text, pos)


def _unmarked_header_end(text: str, pos: int) -> int:
    """Returns the position where a header without a closing mark ends, or ``pos`` if there is no header. The end is
    after the header's last paragraph.
    """
    end = pos
    first = _NOT_BLANK.search(text, pos)
    if first is None or not _NAMES_GUTENBERG.search(text, first.start(), first.start() + 400):
        return pos
    paragraphs = _PARAGRAPH.finditer(text, first.start(), first.start() + MAX_HEADER_CHARS)
    for paragraph in itertools.islice(paragraphs, _MAX_HEADER_PARAGRAPHS):
        words = paragraph.group()
        is_ruler = end > pos and _RULER.match(words) is not None
        if not (is_ruler or _HEADER_PARAGRAPH.match(words) or is_credit(words)):
            break
        end = paragraph.end()
    return end


def _part_follows(text: str, closed: _Mark, ahead: Sequence[_Mark]) -> bool:
    """Returns True if another book follows the end mark ``closed``, False if only a footer follows."""
    if _NOT_BLANK.search(text, closed.end) is None:
        return False
    if len(text) - closed.end > MAX_FOOTER_CHARS and not any(mark.kind == "footer" for mark in ahead[:3]):
        return True
    for index, mark in enumerate(ahead):
        if mark.kind in ("start", "small_end"):
            next_end = next((later.start for later in ahead[index + 1 :] if later.kind in ("end", "footer")), len(text))
            if next_end - mark.end > _MIN_PART_CHARS:
                return True
    return bool(ahead) and ahead[0].kind == "end" and ahead[0].start - closed.end > _MIN_PART_CHARS


def _marks(text: str) -> list[_Mark]:
    """Returns the marks of a text (lines such as ``*** END OF``) in order. Only lines that contain one of
    ``_MARK_WORDS`` are tested, because testing all lines takes ten times as long.
    """
    lower = text.lower()
    if len(lower) != len(text):  # lower-casing can make a letter longer and so shift the positions
        return [_Mark(match.lastgroup or "", match.start(), match.end()) for match in _MARKS.finditer(text)]
    lines: set[int] = set()
    for words in _MARK_WORDS:
        at = lower.find(words)
        while at >= 0:
            lines.add(text.rfind("\n", 0, at) + 1)
            at = lower.find(words, at + 1)
    marks: list[_Mark] = []
    for start in sorted(lines):
        if (not marks or start >= marks[-1].end) and (match := _MARKS.match(text, start)):
            marks.append(_Mark(match.lastgroup or "", start, match.end()))
    return marks


def strip(text: str) -> Stripped:
    """Removes the boilerplate before, between and after the books of one file, in linear time.

    In the second example, the text has no mark of Project Gutenberg, so it stays unchanged.

    >>> start, end = "*** START OF THE PROJECT GUTENBERG EBOOK X ***", "End of Project Gutenberg's X"
    >>> strip(f"{start}\\n\\nProduced by A. Body\\n\\nCALL ME X\\n\\n{end}")
    Stripped(text='CALL ME X\\n', header_chars=69, footer_chars=29)
    >>> strip("Johannes Gutenberg began\\n\\n to print. ").text
    'Johannes Gutenberg began\\n\\n to print. '
    """
    marks = _marks(text)
    parts: list[str] = []
    pos = header_chars = cursor = 0  # cursor: index of the first mark after the current position
    while True:
        begin = _header_end(text, pos, marks[cursor : cursor + _MAX_MARKS_AHEAD])
        while cursor < len(marks) and (marks[cursor].start < begin or marks[cursor].kind in ("start", "small_end")):
            cursor += 1
        closed = marks[cursor] if cursor < len(marks) else None
        is_marked = begin > pos or closed is not None or bool(parts)
        part, num_head = strip_credits(text[begin : closed.start if closed else None], is_marked=is_marked)
        if not parts:
            header_chars = begin + num_head
        parts.append(part)
        cursor += 1
        if closed is None or not _part_follows(text, closed, marks[cursor : cursor + _MAX_MARKS_AHEAD]):
            break
        pos = closed.end
    if len(parts) == 1 and parts[0] == text:
        return Stripped(text, 0, 0)
    body = "\n\n\n".join(part for part in (part.rstrip() for part in parts) if part)
    if "electronic version of" in body.lower():
        body = _LICENCE_BETWEEN.sub(_if_of_gutenberg, body)
    body = body + "\n" if body else ""
    return Stripped(body, min(header_chars, len(text)), max(0, len(text) - header_chars - len(body)))


def _if_of_gutenberg(match: re.Match[str]) -> str:
    return "" if _NAMES_GUTENBERG.search(match.group()) else match.group()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gutenberg(Step):
    """Removes Gutenberg's header, licence, small print, credits and transcribers' notes. Drops no book.

    A file that contains only boilerplate becomes empty. :class:`~filters.books.quality.BookQuality` then drops it.
    """

    NAME: ClassVar[str] = "gutenberg"
    DATA_VERSION: ClassVar[int] = 2

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Removes the boilerplate from the column ``text``. Returns two signals: how many characters were removed
        before the first kept line, and how many after it.
        """
        books = [strip(text) for text in batch.column("text").to_pylist()]
        return Outcome(
            verdict=pa.nulls(batch.num_rows, pa.string()),
            columns={"text": pa.array([book.text for book in books], pa.string())},
            signals={
                "gutenberg_header_chars": pa.array([float(book.header_chars) for book in books], pa.float64()),
                "gutenberg_footer_chars": pa.array([float(book.footer_chars) for book in books], pa.float64()),
            },
        )
