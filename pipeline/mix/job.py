"""The jobs of the mix phase: plain values, without Beam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pipeline.tokenize.held_out import HeldOut
from pipeline.tokenize.parts import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class CountJob:
    """Counts what is held out and what is left, by source."""

    parts: tuple[Parts, ...]
    """The token files, by source."""
    shares: Mapping[str, Decimal]
    wanted_tokens: Mapping[str, int]
    """Tokens to hold out, for sources that name a number; at most what there is."""
    result_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShare:
    """A source's part of the plan."""

    whole_epochs: int
    remainder_tokens: int
    """Tokens of the last, partial epoch: the documents with the smallest hashes, the last one cut."""
    held_out: HeldOut


MIX_VERSION = 2
"""Data version of the shards. Increase it when the same token files and plan would give others."""


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
    """Path of the result: the manifest lines of all shards, written once all are done."""
    shuffle_dir: str | None
    progress_dir: str | None = None
    version: int = MIX_VERSION
