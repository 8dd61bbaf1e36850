"""The jobs of the tokenize phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pipeline.output.markers import PartSpan
from pipeline.tokenize.parts import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleJob:
    """Picks the documents from which a tokenizer's sample is drawn."""

    parts: tuple[Parts, ...]
    """The clean files."""
    below: Mapping[str, int]
    """By source, the hash below which documents are picked."""
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenJob:
    """Tokenizes one source, or one dump of it."""

    source: str
    parts: Parts
    """Its clean files."""
    tokenizer_path: str
    tokens_dir: str
    validation_share: Decimal | None
    """Share that is held out; if set, its documents and tokens are counted during tokenizing."""
    exclude_path: str | None
    marker: str
    fingerprint: str
    dump: str = ""
    progress_dir: str | None = None

    @property
    def label(self) -> str:
        """Name of its part of the graph."""
        return f"{self.source}@{self.dump}" if self.dump else self.source

    @property
    def tokens(self) -> str | PartSpan:
        """Folder of its token files, or its span of one."""
        return PartSpan(self.tokens_dir, *self.parts.only) if self.parts.only else self.tokens_dir
