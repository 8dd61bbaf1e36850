"""Describes the jobs of the tokenize phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from mixtures.parts import PartRule
from pipeline.output.markers import PartSpan
from pipeline.tokenize.parts import Parts
from tokenizer.encoder_settings import EncoderSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleJob:
    """Describes the job that picks documents. The tokenizer's training sample is drawn from these documents."""

    parts: tuple[Parts, ...]
    """The clean files, by source."""
    below: Mapping[str, int]
    """Maps each source to a limit. Documents whose hash is below the limit are picked."""
    folder: str
    rules: Mapping[str, PartRule] = field(default_factory=dict)
    """Maps each source to the rule that leaves documents out of the mixture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenJob:
    """Describes the job that tokenizes one source, or one dump of a source."""

    source: str
    parts: Parts
    """The clean files to tokenize."""
    tokenizer_path: str
    encoder: EncoderSettings
    """The settings of the tokenizer, including those that were read from the tokenizer itself. The tokenizer was
    already compared with its reference library."""
    tokens_dir: str
    validation_share: Decimal | None
    """The share of documents to hold out. If it is not None, the held-out documents and tokens are counted during
    tokenization."""
    exclude_path: str | None
    marker: str
    fingerprint: str
    dump: str = ""
    part_column: str | None = None
    """The column by which the recipe divides the source. The token files contain this column too."""
    progress_dir: str | None = None

    @property
    def label(self) -> str:
        """The name of the job in Beam's graph: ``SOURCE``, or ``SOURCE@DUMP``."""
        return f"{self.source}@{self.dump}" if self.dump else self.source

    @property
    def tokens(self) -> str | PartSpan:
        """The folder of the job's token files. If the job is for one dump of the source, the value also says which
        files of the folder belong to this dump.
        """
        return PartSpan(self.tokens_dir, *self.parts.only) if self.parts.only else self.tokens_dir
