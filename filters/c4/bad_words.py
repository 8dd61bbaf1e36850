"""Drops pages that contain a word from a list, as C4's last filter does. The original uses the public list LDNOOBW.

The project does not ship this list. A user gives a list of words and phrases as the model ``bad_words``. Without a
list, every page is kept and no signal is written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from filters.c4.lines_and_pages import is_judged
from filters.step import Models, Outcome, Step

_MAX_LISTS_CACHED = 4


@lru_cache(maxsize=_MAX_LISTS_CACHED)
def _patterns(words: tuple[str, ...], is_spaced: bool) -> tuple[str, re.Pattern[str]]:
    """Returns two patterns: a fast pattern for RE2, and an exact pattern for Python. Python tests only the pages that
    RE2 finds.

    The fast pattern matches every page that the exact pattern matches, and a few further pages. In these pages a letter
    outside ASCII is next to the word. For RE2 such a letter is a non-word character (``\\W``), for Python it is not.
    """
    exact = "|".join(re.escape(word) for word in words)
    coarse = "|".join(rf"\Q{word}\E" for word in words)
    if not is_spaced:
        return f"(?:{coarse})", re.compile(exact)
    return rf"(?:[^0-9A-Za-z_]|^)(?:{coarse})(?:[^0-9A-Za-z_]|$)", re.compile(rf"(?:\W|^)({exact})(?:\W|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class BadWords(Step):
    """Drops pages that contain a word from the user's list.

    If ``is_spaced`` is true, only whole words are found. If it is false, a word of the list is also found inside other
    words. c4_utils does so for Japanese, Thai and Chinese, which do not separate words by spaces.

    The page is lower-cased before the search, but the words of the list are not. Only the fraction ``drop_share`` of
    the pages with such a word is dropped. As in c4_utils (``filter_fraction``), the MD5 of a page's url decides whether
    the page is dropped. If the source has no urls, the MD5 of the page's id decides.
    """

    NAME: ClassVar[str] = "bad_words"
    CITE: ClassVar[str] = "C4, c4_utils get_badwords_filter_fn"
    DATA_VERSION: ClassVar[int] = 1
    MODELS: ClassVar[tuple[str, ...]] = ("bad_words",)
    REASONS: ClassVar[tuple[str, ...]] = ("bad_word",)

    drop_share: float = 1.0  # c4_utils filter_fraction
    is_spaced: bool = True
    is_for_published: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.drop_share <= 1.0:
            raise ValueError(f"bad_words: drop_share must be from 0 to 1, not {self.drop_share}")

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Decides which pages are dropped. The detail of a dropped page is the first word found."""
        words: Sequence[str] = models.get("bad_words") or ()
        none = pa.nulls(batch.num_rows, pa.string())
        if not words:
            return Outcome(verdict=none, detail=none)
        coarse, exact = _patterns(tuple(words), self.is_spaced)
        judged = is_judged(batch, is_for_published=self.is_for_published)
        lower = [text.lower() for text in batch.column("text").to_pylist()]
        may_match = pc.match_substring_regex(pa.array(lower, pa.string()), coarse).to_pylist()
        found: list[str | None] = [None] * batch.num_rows
        for row, text in enumerate(lower):
            if judged[row] and may_match[row] and (match := exact.search(text)):
                found[row] = match.group(1) if self.is_spaced else match.group()
        dropped = [word is not None and self._is_in_share(batch, row) for row, word in enumerate(found)]
        return Outcome(
            verdict=pa.array(["bad_word" if is_out else None for is_out in dropped], pa.string()),
            detail=pa.array([w if is_out else None for w, is_out in zip(found, dropped, strict=True)], pa.string()),
            signals={"num_bad_words_found": pa.array([float(w is not None) for w in found], pa.float64())},
        )

    def _is_in_share(self, batch: pa.RecordBatch, row: int) -> bool:
        if self.drop_share == 1.0:
            return True
        key = "_url_key" if "_url_key" in batch.schema.names else "id"
        numerator, denominator = self.drop_share.as_integer_ratio()
        digest = hashlib.md5((batch.column(key)[row].as_py() or "").encode(), usedforsecurity=False).hexdigest()
        return int(digest, 16) % denominator < numerator
