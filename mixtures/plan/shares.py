"""A plan and its parts: each source's tokens and epochs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class SourceTokens:
    """The tokens (with bos and eos) and documents of a source, without those held out for validation."""

    tokens: int
    documents: int
    used: int = 0
    """Tokens that earlier stages took, each whole epoch counted again; 0 in a mixture that continues none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """A source's contribution to the stream."""

    source: str
    weight: Decimal
    """The recipe's weight, in percent of the stream's tokens."""
    tokens: int
    """Tokens in the stream, over all epochs."""
    available_tokens: int
    available_documents: int

    begin_tokens: int = 0
    """Tokens that earlier stages took. The source goes on from there: the stream holds a range of its epochs."""

    @property
    def first_epoch(self) -> int:
        """The epoch in which the source's documents begin: 0 unless the mixture continues another."""
        return self.begin_tokens // self.available_tokens

    @property
    def whole_epochs(self) -> int:
        """Epochs that are complete at the end of the stream, those of earlier stages included."""
        return self._end // self.available_tokens

    @property
    def remainder_tokens(self) -> int:
        """Tokens of the last, partial epoch, whose number is ``whole_epochs``; 0 if there is none."""
        return self.tokens if self.first_epoch == self.whole_epochs else self._end % self.available_tokens

    @property
    def num_epochs(self) -> int:
        """Epochs that have documents in the stream; their numbers begin with ``first_epoch``."""
        return self.whole_epochs - self.first_epoch + (self._end % self.available_tokens > 0)

    @property
    def _end(self) -> int:
        return self.begin_tokens + self.tokens

    @property
    def epochs(self) -> Fraction:
        """Times that a token of the source is seen on average."""
        return Fraction(self.tokens, self.available_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of the whole stream; ``sources`` are in the recipe's order, without those that have no tokens."""

    recipe: str
    tokens: int
    sources: tuple[SourcePlan, ...]
    shared_out: tuple[str, ...] = ()
    """Sources that had too few tokens, so that their weight, or a part of it, went to the others."""

    def share(self, source: str) -> Fraction:
        """Returns the source's share of the stream, in percent."""
        return next(Fraction(100 * s.tokens, self.tokens) for s in self.sources if s.source == source)


class PlanError(ValueError):
    """Raised when the mixture cannot be made from the tokens there are; the message holds the table and what would
    fit."""
