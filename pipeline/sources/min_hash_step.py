"""Defines the near dedup that any source can have. A near dedup drops documents that are almost equal to a kept
document. This module has the settings. The code that runs the dedup is in ``pipeline/clean/dedup``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import pyarrow as pa

from filters.rules import Rule
from pipeline.sources.dedup_steps import DedupStep, check_scope

ALL = "all"
KEY_BYTES, CARD_BYTES = 24, 170
"""Sizes in bytes of what workers exchange. A key is a hash. It is sent with a rank: 16 bytes that identify the key's
document and decide which of two documents is kept. A card describes a document: its id, its host, and where its text
and its n-grams are stored.
"""
TEXT_BYTES_PER_NGRAM = 6.5
"""The average number of bytes of text per distinct word 5-gram (a sequence of five words). We measured 2.74 million
distinct 5-grams in 17.8 MB of pages, code and books.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinHashDedup(DedupStep):
    """Drops a document if its overlap with a kept document is above ``max_overlap``. The overlap says how many word
    n-grams (sequences of ``ngram_words`` words) two documents share. The setting ``measure`` says how it is computed.

    Pairs of documents that may be similar are found first, by MinHash signatures and by samples of n-grams. Then all
    n-grams of the two documents are compared. The document with more n-grams is kept. If both have the same number, the
    document with the smaller hash (of id, text and further columns) is kept. Documents with fewer than ``min_ngrams``
    n-grams are not compared.
    """

    REASON: ClassVar[str] = "near_duplicate"
    SIGNAL: ClassVar[str] = "overlap"
    """The name of a signal (a number that is stored for a document). Only dropped documents have this signal. It is the
    overlap with the kept document, by the chosen ``measure``.
    """
    COUNTED_SETTINGS: ClassVar[frozenset[str]] = frozenset({"max_overlap"})
    GROUP_SIZE: ClassVar[str] = "near_dedup_group_size"
    """The name of a column of kept documents. It contains 1 + the number of documents that were dropped as duplicates
    of this document.
    """

    NAME: str = "near_dedup"
    max_overlap: float = 0.8
    """A document is dropped if its overlap with a kept document is above this value. The value must be at least 0.3 and
    below 1.
    """
    measure: Literal["containment", "jaccard"] = "containment"
    """How the overlap of two documents is computed. ``containment``: the number of shared n-grams divided by the number
    of n-grams of the smaller document. ``jaccard``: the number of shared n-grams divided by the number of distinct
    n-grams of both documents together. Each distinct n-gram of a document is counted once.
    """
    scope: str = ALL
    """The documents that are compared with each other. With ``all``, these are all documents. With the name of a
    column, these are documents with the same value in this column.
    """
    ngram_words: int = 5
    method: Literal["both", "minhash", "sampled"] = "both"
    """The method that finds pairs of documents to compare. MinHash misses a document that is a part of a much longer
    document. Sampling misses very short documents.
    """
    threshold: float = 0.5
    """A Jaccard similarity. MinHash finds most pairs of documents that are more similar than this value.
    ``datasketch.MinHashLSH`` computes from this value how many bands a signature is split into.
    """
    num_perm: int = 64
    seed: int = 1
    keep_one_in: int = 16
    """A sample contains about one of every ``keep_one_in`` n-grams of a document."""
    min_ngrams: int = 10
    DATA_VERSION: int = 1
    rule: str = field(default="", compare=False)
    cite: str = field(default="Broder 1997 (containment, MinHash); verification ours", compare=False)

    def __post_init__(self) -> None:
        at_least = {"ngram_words": 1, "num_perm": 2, "keep_one_in": 1, "min_ngrams": 1}
        for name, smallest in at_least.items():
            if getattr(self, name) < smallest:
                raise ValueError(f"{name} must be at least {smallest}, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to below 2**32, not {self.seed}")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must be above 0 and below 1, not {self.threshold}")
        if not 0.3 <= self.max_overlap < 1:
            raise ValueError(f"max_overlap must be from 0.3 to below 1, not {self.max_overlap}: the search does not "
                             "find overlaps below 0.3")  # fmt: skip

    def check(self, columns: Collection[str]) -> None:
        check_scope(self.NAME, self.scope, {ALL, "language"}, columns)

    @property
    def reasons(self) -> tuple[str, ...]:
        return (self.REASON,)

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (Rule(self.REASON, self.SIGNAL, ">", self.max_overlap, "ours"),)

    def overlap(self, containment: float, jaccard: float) -> float:
        """Returns the overlap of two documents in the chosen ``measure``: ``containment`` or ``jaccard``. A document is
        dropped if its overlap is above ``max_overlap``.
        """
        return containment if self.measure == "containment" else jaccard

    def may_fall_above(self, before: Self) -> float | None:
        return -math.inf if self.max_overlap < before.max_overlap else None  # overlaps of kept documents are not stored

    @property
    def columns(self) -> Mapping[str, pa.DataType]:
        return {self.GROUP_SIZE: pa.int64()}

    @property
    def travels(self) -> str:
        keys = {"both": "its bands and sampled n-grams", "minhash": "its bands", "sampled": "its sampled n-grams"}
        return f"per document: a key (24 bytes) for each of {keys[self.method]}, the id and the address"

    def key_bytes(self, num_docs: float, text_bytes: float) -> float:
        """Estimates how many bytes the workers exchange for this dedup.

        For each document, the workers exchange keys and one card. The keys are the hashes of its MinHash bands and of
        its sampled n-grams. The card contains its id, its host, and where its text and its n-grams are stored. The
        example estimates the bytes for one document with 2,234 bytes of text.

        >>> round(MinHashDedup().key_bytes(1, 2234))
        1022
        """
        from filters.near.minhash import bands_of  # here, because it imports datasketch

        num_bands = bands_of(self.threshold, self.num_perm).num_bands if self.method != "sampled" else 0
        share = 1 / self.keep_one_in if self.method != "minhash" else 0.0
        num_keys = num_docs * num_bands + share * text_bytes / TEXT_BYTES_PER_NGRAM
        return num_docs * CARD_BYTES + num_keys * KEY_BYTES

    @property
    def names_kept(self) -> bool:
        return True

    @property
    def needs_earlier_dumps_only(self) -> bool:
        return self.scope in ("dump", "group")
