"""What the jobs of the mix phase are told: plain values, no Beam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pipeline.tokenize.held_out import HeldOut
from pipeline.tokenize.parts import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class CountJob:
    """Counting what is held out and what is left, by source."""

    parts: tuple[Parts, ...]
    """The token files, by source."""
    shares: Mapping[str, Decimal]
    wanted_tokens: Mapping[str, int]
    """Tokens to hold out, for sources that name a number; at most what there is."""
    result_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShare:
    """What the plan gives one source."""

    whole_epochs: int
    remainder_tokens: int
    """Tokens of the last, partial pass: the documents with the smallest hashes, the last one cut."""
    held_out: HeldOut


MIX_VERSION = 2
"""Raised when the same token files and plan would give other shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixJob:
    """The global shuffle."""

    parts: tuple[Parts, ...]
    """The token files, by source."""
    shares: Mapping[str, SourceShare]
    source_names: tuple[str, ...]
    """All sources of the recipe, sorted: the dictionary of the shards' source column."""
    seed: int
    num_shards: int
    num_validation_shards: Mapping[str, int]
    output: str
    vocab_size: int
    metadata: Mapping[str, str]
    result_path: str
    """Where the lines about all shards are written, once all are."""
    shuffle_dir: str | None
    progress_dir: str | None = None
    version: int = MIX_VERSION
