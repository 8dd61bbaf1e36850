"""What the jobs of the mix phase are told: plain values, no Beam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa

from mixtures.subset import VALIDATION, Cut, held_out_by_share, held_out_by_tokens, order_hashes
from pipeline.layout import Span
from pipeline.sources import SOURCES

_VALIDATION_SEED = 0
"""One for all runs: a document that was held out once is held out in every run, whatever its seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Which documents of a source are held out: a share of all, or all up to a cut; neither: none."""

    share: Decimal | None = None
    cut: Cut | None = None

    def mask(self, source: str, doc_ids: pa.Array, num_tokens: np.ndarray) -> np.ndarray:
        """bool, one a document."""
        if self.share is None and self.cut is None:
            return np.zeros(len(doc_ids), dtype=bool)
        hashes = validation_hashes(source, doc_ids)
        if self.share is not None:
            return held_out_by_share(hashes, self.share)
        assert self.cut is not None
        return held_out_by_tokens(hashes, doc_ids.to_pylist(), num_tokens, self.cut)


def validation_hashes(source: str, doc_ids: pa.Array) -> np.ndarray:
    """The hash a document by which documents are held out, smallest first: the source's own, or that of the id."""
    own = SOURCES[source].split_hash if source in SOURCES else None
    if own is not None:
        return np.array([own(doc_id) for doc_id in doc_ids.to_pylist()], np.uint64)
    return order_hashes(_VALIDATION_SEED, source, doc_ids, 0, purpose=VALIDATION)


@dataclass(frozen=True, slots=True)
class Parts:
    """The files of one source in a folder, by their number: at full scale their names would not fit into a graph."""

    source: str
    folder: str
    num_parts: int
    form: str
    """Of a file's name, by its number and how many there are."""
    only: tuple[int, int] | None = None
    """The first of those that are meant, and the one behind the last: the parts of a dump."""

    @property
    def numbers(self) -> range:
        """
        >>> Parts("books", "out", 4, "", only=(1, 3)).numbers
        range(1, 3)
        """
        return range(*(self.only or (0, self.num_parts)))

    def path(self, number: int) -> str:
        """
        >>> Parts("books", "out", 2, "part-{:05d}-of-{:05d}.parquet").path(1)
        'out/part-00001-of-00002.parquet'
        """
        return f"{self.folder}/{self.form.format(number, self.num_parts)}"


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
