"""The jobs of the mix phase. They are plain values without Beam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pyarrow as pa

from mixtures.subset import Begun, Cut, order_hashes
from pipeline.files.spill import Shuffle
from pipeline.tokenize.held_out import HeldOut
from pipeline.tokenize.parts import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class CountJob:
    """The job that counts, by source, the documents and tokens that are held out and those that are left."""

    parts: tuple[Parts, ...]
    """The token files, by source."""
    shares: Mapping[str, Decimal]
    wanted_tokens: Mapping[str, int]
    """The number of tokens to hold out, for each source whose rule is a number. At most the tokens of the source."""
    result_path: str
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    """The last document that an earlier stage held out, for sources of which it held out a number of tokens."""
    begun: Mapping[str, Begun] = field(default_factory=dict)
    """The epoch in which an earlier stage stopped, for sources of which it took a part of an epoch."""
    seed: int = 0
    """The seed of the stages. It orders the documents within an epoch that an earlier stage began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShare:
    """The part of the plan that is about one source."""

    whole_epochs: int
    """The number of complete epochs, with those of earlier stages. The last, partial epoch has this number (from 0)."""
    remainder_tokens: int
    """The number of tokens in the last, partial epoch: documents with the smallest hashes, the last of which is cut."""
    held_out: HeldOut
    first_epoch: int = 0
    """The epoch in which the source begins. Earlier stages took the epochs before."""
    begun: Begun | None = None
    """The part of the first epoch that earlier stages took; None if they took nothing of it."""

    def left(self, source: str, epoch: int, seed: int, doc_ids: pa.Array) -> np.ndarray:
        """Returns a mask of the documents of an epoch that earlier stages did not take."""
        if self.begun is None or self.begun.epoch != epoch:
            return np.ones(len(doc_ids), dtype=bool)
        taken: np.ndarray = self.begun.taken(order_hashes(seed, source, doc_ids, epoch), doc_ids)
        return ~taken


MIX_VERSION = 2
"""Data version of the shards. Increase it when the same token files and plan would give other shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixJob:
    """The job that shuffles all documents and writes the shards."""

    parts: tuple[Parts, ...]
    """The token files, by source."""
    shares: Mapping[str, SourceShare]
    source_names: tuple[str, ...]
    """All sources of the recipe, sorted. They are the dictionary of the shards' source column."""
    seed: int
    num_shards: int
    num_validation_shards: Mapping[str, int]
    output: str
    vocab_size: int
    metadata: Mapping[str, str]
    result_path: str
    """The path of the result: the manifest's lines about all shards, written when all shards are complete."""
    shuffle: Shuffle
    progress_dir: str | None = None
    version: int = MIX_VERSION
