"""A plan and its parts: each source's tokens and epochs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class SourceTokens:
    """What there is of a source: tokens (bos and eos counted) and documents, validation already taken out."""

    tokens: int
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """What a source gives to the stream."""

    source: str
    weight: Decimal
    """The recipe's, in percent of the stream's tokens."""
    tokens: int
    """Wanted of it, over all epochs."""
    available_tokens: int
    available_documents: int

    @property
    def whole_epochs(self) -> int:
        """How often every document of it stands in the stream."""
        return self.tokens // self.available_tokens

    @property
    def remainder_tokens(self) -> int:
        """Tokens of the last, partial epoch, whose number is ``whole_epochs``; 0 where there is none."""
        return self.tokens % self.available_tokens

    @property
    def num_epochs(self) -> int:
        """Epochs begun: the ``epoch`` column holds 0 to this minus one."""
        return self.whole_epochs + (self.remainder_tokens > 0)

    @property
    def epochs(self) -> Fraction:
        """How often a token of it is seen on average."""
        return Fraction(self.tokens, self.available_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole stream; ``sources`` in the recipe's order, those without tokens left out."""

    recipe: str
    tokens: int
    sources: tuple[SourcePlan, ...]
    shared_out: tuple[str, ...] = ()
    """Sources that had too little, whose weight (or what they lacked of it) went to the others."""

    def share(self, source: str) -> Fraction:
        """The source's part of the stream, in percent."""
        return next(Fraction(100 * s.tokens, self.tokens) for s in self.sources if s.source == source)


class PlanError(ValueError):
    """The mixture cannot be made of what there is; the message holds the table and what would fit."""
