"""Drops documents with too few characters, counted as CCNet does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from filters.rules import Rule, first_broken
from filters.step import Models, Outcome, Step

_CCNET = "CCNet, cc_net/mine.py: min_len=300, len(raw_content) in cc_net/process_wet_file.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinLength(Step):
    """Drops documents with fewer than ``min_chars`` characters (code points, including line ends and spaces).

    The default is the limit of CCNet. As in CCNet, the limit applies before the line dedup. The title of a page is not
    counted.

    >>> MinLength(min_chars=3).apply(pa.record_batch({"text": ["ab", "abc"]}), {}).verdict.to_pylist()
    ['too_short', None]
    """

    NAME: ClassVar[str] = "min_length"
    CITE: ClassVar[str] = "CCNet, mine.py min_len"
    DATA_VERSION: ClassVar[int] = 1
    IS_BLIND_TO_CUTS: ClassVar[bool] = True
    REASONS: ClassVar[tuple[str, ...]] = ("too_short",)

    min_chars: int = 300

    def __post_init__(self) -> None:
        if self.min_chars < 0:
            raise ValueError(f"{self.NAME}: min_chars must be 0 or more, not {self.min_chars}")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Returns the limit as a rule."""
        return (Rule("too_short", "num_chars", "<", self.min_chars, _CCNET),)

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        signals = {"num_chars": _num_chars(batch)}
        verdict, detail = first_broken(signals, self.rules)
        return Outcome(verdict=verdict, detail=detail, signals=signals)


@dataclass(frozen=True, slots=True, kw_only=True)
class MinLengthAfterDedup(Step):
    """Drops documents that are empty or have fewer than ``min_chars`` characters after the line dedup.

    CCNet itself drops only documents that are empty after the line dedup (``min_chars=0``). The default of 100 is our
    choice: if fewer than 100 characters of a page remain, most of the page repeats other pages.

    >>> MinLengthAfterDedup(min_chars=3).apply(pa.record_batch({"text": ["", "ab", "abc"]}), {}).verdict.to_pylist()
    ['empty_after_dedup', 'too_short_after_dedup', None]
    """

    NAME: ClassVar[str] = "min_length_after_dedup"
    CITE: ClassVar[str] = "CCNet: nothing left; 100 is ours"
    DATA_VERSION: ClassVar[int] = 1
    IS_BLIND_TO_CUTS: ClassVar[bool] = True
    REASONS: ClassVar[tuple[str, ...]] = ("empty_after_dedup", "too_short_after_dedup")

    min_chars: int = 100

    def __post_init__(self) -> None:
        if self.min_chars < 0:
            raise ValueError(f"{self.NAME}: min_chars must be 0 or more, not {self.min_chars}")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Returns the limits as rules. The signal has another name than that of :class:`MinLength`, so that both are
        stored.
        """
        ccnet = "CCNet, cc_net/dedup.py: a document without a line left"
        return (
            Rule("empty_after_dedup", "num_chars_after_dedup", "<", 1, ccnet),
            Rule("too_short_after_dedup", "num_chars_after_dedup", "<", self.min_chars, "ours"),
        )

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        signals = {"num_chars_after_dedup": _num_chars(batch)}
        verdict, detail = first_broken(signals, self.rules)
        return Outcome(verdict=verdict, detail=detail, signals=signals)


def _num_chars(batch: pa.RecordBatch) -> pa.Array:
    return pc.utf8_length(batch.column("text")).cast(pa.float64())
