"""The jobs of the tokenize phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pipeline.output.markers import Span
from pipeline.tokenize.parts import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleJob:
    """Picking what a tokenizer's sample is drawn from."""

    parts: tuple[Parts, ...]
    """The clean files."""
    below: Mapping[str, int]
    """By source: documents whose hash is smaller are picked."""
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenJob:
    """Tokenizing one source, or one dump of it."""

    source: str
    parts: Parts
    """Its clean files."""
    tokenizer_path: str
    tokens_dir: str
    validation_share: Decimal | None
    """If a share is held out, how much that is can be counted on the way."""
    exclude_path: str | None
    marker: str
    fingerprint: str
    dump: str = ""
    progress_dir: str | None = None

    @property
    def label(self) -> str:
        """What its part of the graph is called."""
        return f"{self.source}@{self.dump}" if self.dump else self.source

    @property
    def tokens(self) -> str | Span:
        """Where its token files lie."""
        return Span(self.tokens_dir, *self.parts.only) if self.parts.only else self.tokens_dir
