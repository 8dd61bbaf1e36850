"""Describes the jobs of the mix phase as plain values, without Beam.

A stage is one mixture in a series of mixtures. Each stage continues the earlier stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pyarrow as pa

from mixtures.parts import PartRule
from mixtures.subset import Begun, Cut, order_hashes
from pipeline.files.spill import Shuffle
from pipeline.tokenize.held_out import HeldOut
from pipeline.tokenize.parts import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class CountJob:
    """Describes the job that counts documents and tokens. For each source, it counts the held-out ones and the
    remaining ones.
    """

    parts: tuple[Parts, ...]
    """The token files, by source."""
    shares: Mapping[str, Decimal]
    wanted_tokens: Mapping[str, int]
    """The number of tokens to hold out, by source. It is at most the number of tokens in the source. A source has an
    entry only if the recipe holds out a number of its tokens, not a share of its documents."""
    result_path: str
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    """Maps a source to the last document that an earlier stage held out. A source has an entry only if the recipe holds
    out a number of its tokens, not a share of its documents.
    """
    begun: Mapping[str, Begun] = field(default_factory=dict)
    """Maps a source to the part of an epoch that an earlier stage took. Sources without a partial epoch have no
    entry.
    """
    seed: int = 0
    """The seed, which is the same in all stages. It decides the order of the documents in an epoch that an earlier
    stage began."""
    rules: Mapping[str, PartRule] = field(default_factory=dict)
    """The rules by which sources are divided. If a source is divided, ``begun`` and the counts have one entry per
    part.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShare:
    """Holds what the plan says about one source. A source that the recipe divides has one such entry per part."""

    whole_epochs: int
    """The number of complete epochs, including epochs of earlier stages. Epochs are numbered from 0, so the last,
    partial epoch has this number."""
    remainder_tokens: int
    """The number of tokens that this stage takes from the last, partial epoch. The stage takes the documents with the
    smallest hashes, except documents that are held out or that earlier stages took in this epoch. The last document
    loses the tokens at its end if all its tokens would be too many.
    """
    held_out: HeldOut
    first_epoch: int = 0
    """The first epoch of the source in this stage. Earlier stages took all epochs before it."""
    begun: Begun | None = None
    """The part of the first epoch that earlier stages took; None if they took nothing of this epoch."""

    def left(self, source: str, epoch: int, seed: int, doc_ids: pa.Array) -> np.ndarray:
        """Returns a mask of ``doc_ids``. It is True for documents that no earlier stage took in this epoch."""
        if self.begun is None or self.begun.epoch != epoch:
            return np.ones(len(doc_ids), dtype=bool)
        taken: np.ndarray = self.begun.taken(order_hashes(seed, source, doc_ids, epoch), doc_ids)
        return ~taken


MIX_VERSION = 2
"""Data version of the shards. Increase it when unchanged token files and an unchanged plan would give different
shards.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixJob:
    """Describes the job that shuffles all documents and writes the shards."""

    parts: tuple[Parts, ...]
    """The token files, by source."""
    shares: Mapping[str, SourceShare]
    """Maps each source to its share. A divided source has one entry per part instead."""
    source_names: tuple[str, ...]
    """The names of all sources and parts of the recipe, sorted. The source column of the shards is dictionary-encoded
    with these names."""
    seed: int
    num_shards: int
    num_validation_shards: Mapping[str, int]
    """Maps each source to its number of validation shards. A divided source has one entry, not one per part."""
    output: str
    vocab_size: int
    metadata: Mapping[str, str]
    result_path: str
    """The path of the result file. When all shards are complete, the job writes the manifest's entries about the shards
    to this file."""
    shuffle: Shuffle
    progress_dir: str | None = None
    version: int = MIX_VERSION
    rules: Mapping[str, PartRule] = field(default_factory=dict)
    """The rules by which sources are divided."""
