"""Defines a plan: the tokens and epochs of each source."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class SourceTokens:
    """Holds the number of documents of a source, and the number of their tokens (with bos and eos). Documents that are
    held out for validation are not counted."""

    tokens: int
    documents: int
    used: int = 0
    """Tokens that earlier stages used, summed over their epochs. 0 if the mixture does not continue another mixture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """Describes a source's contribution to the stream."""

    source: str
    weight: Decimal
    """The recipe's weight, in percent of the stream's tokens."""
    tokens: int
    """Tokens in the stream, over all epochs."""
    available_tokens: int
    available_documents: int

    begin_tokens: int = 0
    """Tokens that earlier stages used, summed over their epochs. The source continues after them."""

    @property
    def first_epoch(self) -> int:
        """The epoch in which the source's tokens in this stream begin, counted from 0. It is 0 if the mixture does not
        continue another mixture."""
        return self.begin_tokens // self.available_tokens

    @property
    def whole_epochs(self) -> int:
        """Number of epochs that are complete at the end of the stream, including the epochs of earlier stages."""
        return self._end // self.available_tokens

    @property
    def remainder_tokens(self) -> int:
        """Number of the source's tokens in this stream that belong to the partial epoch at the end. 0 if the source
        ends with a whole epoch. The partial epoch has the number ``whole_epochs``, because epochs are numbered from 0.
        """
        return self.tokens if self.first_epoch == self.whole_epochs else self._end % self.available_tokens

    @property
    def num_epochs(self) -> int:
        """Number of epochs that the stream contains wholly or in part. The first of these epochs is ``first_epoch``."""
        return self.whole_epochs - self.first_epoch + (self._end % self.available_tokens > 0)

    @property
    def _end(self) -> int:
        return self.begin_tokens + self.tokens

    @property
    def epochs(self) -> Fraction:
        """The average number of times that a token of the source occurs in this stream."""
        return Fraction(self.tokens, self.available_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Describes a planned stream: its length, and the tokens of each source. ``sources`` lists only the sources that
    have tokens, in the recipe's order.
    """

    recipe: str
    tokens: int
    sources: tuple[SourcePlan, ...]
    shared_out: tuple[str, ...] = ()
    """Sources that had too few tokens. Their weight, or a part of it, went to the other sources."""
    asked_tokens: int = 0
    """The length that the user or the recipe wanted. ``tokens`` is less if a source has too few tokens for this
    length. 0 if nobody asked for a length.
    """
    limited_by: str = ""
    """The source that has too few tokens for a longer stream. Empty if the stream is as long as ``--tokens`` or the
    recipe's ``tokens`` says."""

    def share(self, source: str) -> Fraction:
        """Returns the source's share of the stream, in percent."""
        return next(Fraction(100 * s.tokens, self.tokens) for s in self.sources if s.source == source)


class PlanError(ValueError):
    """Raised if the mixture cannot be planned from the available tokens. The message says why. If a source is too
    small, the message also says which length would fit.
    """
