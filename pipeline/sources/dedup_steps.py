"""The steps that need all documents of a source: exact, line and near dedup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from filters.ccnet.line_hashes import LINE_HASHES


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactDedup:
    """Of all documents of the source whose ``key`` column is equal, one is kept. A null key equals nothing.

    The one kept has the greatest ``newest`` column or the smallest ``earliest`` column (if either is named; nulls
    last), then the smallest hash of its id, then the smallest id: never the first that was read.
    """

    NAME: str
    reason: str
    key: str
    newest: str | None = None
    earliest: str | None = None
    DATA_VERSION: int = 1

    def __post_init__(self) -> None:
        if self.newest and self.earliest:
            raise ValueError(f"{self.NAME}: newest or earliest, not both")

    @property
    def is_ordered(self) -> bool:
        """Whether a column decides, before the hashes do."""
        return bool(self.newest or self.earliest)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDedup:
    """Lines that stand in several documents go; a line repeated inside one document keeps its first copy.

    ``keep="ccnet"``: a line that stands in two documents of its scope goes everywhere.
    ``keep="first"``: it stays in the document whose ``rank`` column has the smallest MD5 (C4's rule, by its url).
    ``lines`` names the function of ``filters.ccnet.line_hashes``. ``scope`` is a column whose value
    bounds the comparison (``dump``; ``group`` may be the hidden ``_group``), or ``all`` or ``document``.
    """

    NAME: str = "line_dedup"
    lines: str = "ccnet"
    keep: str = "ccnet"
    scope: str = "all"
    rank: str = "id"
    DATA_VERSION: int = 1

    def __post_init__(self) -> None:
        if self.keep not in ("ccnet", "first"):
            raise ValueError(f"{self.NAME}: keep must be ccnet or first, not {self.keep!r}")
        if self.lines not in LINE_HASHES:
            raise ValueError(f"{self.NAME}: lines must be one of {', '.join(LINE_HASHES)}, not {self.lines!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDedup:
    """Of documents whose word n-grams overlap (shared over the smaller's) by more than ``max_overlap``, one is kept."""

    REASON: ClassVar[str] = "near_duplicate"
    SIGNAL: ClassVar[str] = "overlap"
    """The signal of a document that stays: its overlap with the one most like it that stays too."""
    TOLD: ClassVar[float] = 0.5
    """Overlaps from here on are told. Ours: what lies below the limit, not all that shares a phrase."""

    NAME: str = "near_dedup"
    max_overlap: float = 0.9
    ngram_words: int = 5
    DATA_VERSION: int = 1
