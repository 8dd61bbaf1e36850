"""The jobs of the mix phase: plain values, without Beam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pyarrow as pa

from mixtures.subset import Begun, Cut, order_hashes
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
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    """Ends of what an earlier stage held out, for sources of which it held out a number of tokens."""
    begun: Mapping[str, Begun] = field(default_factory=dict)
    """The epoch in which an earlier stage stopped, for sources of which it took a part of one."""
    seed: int = 0
    """The stages' seed, by which documents are ordered within the begun epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShare:
    """A source's part of the plan."""

    whole_epochs: int
    """Epochs that are complete at the end; the partial one has this number."""
    remainder_tokens: int
    """Tokens of the last, partial epoch: the documents with the smallest hashes, the last one cut."""
    held_out: HeldOut
    first_epoch: int = 0
    """The epoch in which the source begins; earlier stages took those before it."""
    begun: Begun | None = None
    """The part of the first epoch that earlier stages took."""

    def left(self, source: str, epoch: int, seed: int, doc_ids: pa.Array) -> np.ndarray:
        """Returns which documents of an epoch earlier stages did not take."""
        if self.begun is None or self.begun.epoch != epoch:
            return np.ones(len(doc_ids), dtype=bool)
        taken: np.ndarray = self.begun.taken(order_hashes(seed, source, doc_ids, epoch), doc_ids)
        return ~taken


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
