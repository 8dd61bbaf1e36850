"""Defines the dedup across sources. This step drops a document if an earlier source or an earlier run has the same
document or a similar one.

The code that runs the step is in ``pipeline/clean/dedup/across.py``. In the configuration file, ``dedup: across`` lists
sources in order. Every source in this list gets the step, except the first. The first source gets it only if ``dedup:
against`` names an earlier run (:mod:`pipeline.settings.dedup_settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from filters.rules import Rule
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.min_hash_step import ALL, CARD_BYTES, KEY_BYTES, MinHashDedup

ACROSS = "across_sources"
"""The name of the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcrossDedup(DedupStep):
    """Drops a document if a kept document of an earlier source has the same text or a similar text. The kept text is
    similar if it contains a large share of the document's word n-grams: more than ``near.max_overlap``. With
    ``near.measure: jaccard``, it is similar if the Jaccard similarity of the two texts is above ``near.max_overlap``.

    Earlier sources are the sources before this one in ``dedup: across``, and all sources of the outputs in ``dedup:
    against``. Documents of this source are not compared with each other.
    """

    EQUAL: ClassVar[str] = "duplicate_across_sources"
    NEAR: ClassVar[str] = "near_duplicate_across_sources"
    SIGNAL: ClassVar[str] = "across_overlap"
    """The name of a signal (a number that is stored for a document). Only dropped documents have this signal. It is the
    overlap with the kept document, by the ``measure`` of ``near``. It is 1 for equal texts.
    """

    NAME: str = ACROSS
    before: tuple[str, ...] = field(default=(), compare=False)
    """The names of the earlier sources, in order. The documents are compared with the documents of these sources."""
    exact: bool = True
    """True to drop documents whose text is equal to a kept text."""
    near: MinHashDedup | None = field(default_factory=MinHashDedup)
    """The settings of the search for near duplicates; None to drop only equal texts."""
    DATA_VERSION: int = 1
    rule: str = field(default="", compare=False)
    cite: str = field(default="ours; Broder 1997 (containment, MinHash)", compare=False)

    def __post_init__(self) -> None:
        if not self.exact and self.near is None:
            raise ValueError("exact and near are both off: nothing would be compared")
        if self.near is not None and self.near.scope != ALL:
            raise ValueError("near.scope cannot be set: documents of all kinds are compared")

    @property
    def reasons(self) -> tuple[str, ...]:
        return (*([self.EQUAL] if self.exact else []), *([self.NEAR] if self.near else []))

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (Rule(self.NEAR, self.SIGNAL, ">", self.near.max_overlap, "ours"),) if self.near else ()

    @property
    def travels(self) -> str:
        keys = "a key (24 bytes) of its text" + (", and for each of its bands and sampled n-grams" if self.near else "")
        return f"per document, also of the stored indexes of {', '.join(self.before)}: {keys}; the id and the address"

    def key_bytes(self, num_docs: float, text_bytes: float) -> float:
        """Estimates how many bytes are sent between workers for the documents of this source. For each document, its
        keys (hashes that are compared) and a card (its id and where it is stored) are sent. The keys of earlier sources
        are not included, because they are read from stored indexes.
        """
        near = 0.0 if self.near is None else self.near.key_bytes(num_docs, text_bytes)
        return near + num_docs * (KEY_BYTES if self.near is not None else KEY_BYTES + CARD_BYTES)

    @property
    def needs_earlier_dumps_only(self) -> bool:
        return True

    def index_rule(self) -> Mapping[str, Any]:
        """Returns the settings that determine the content of an index. An index stores the keys (hashes) of a source's
        documents for later comparisons. Two indexes can be compared only if their rules are equal.

        The example has only two entries, because the settings of ``near`` are absent.

        >>> AcrossDedup(near=None).index_rule()
        {'version': 1, 'near': False}
        """
        names = ("ngram_words", "method", "threshold", "num_perm", "seed", "keep_one_in", "min_ngrams")
        rule = {"version": INDEX_VERSION, "near": self.near is not None}
        if self.near is None:
            return rule
        version = {"near_version": self.near.DATA_VERSION}
        return rule | version | {name: getattr(self.near, name) for name in names}


INDEX_VERSION = 1
"""The version of the indexes: of their format and of how their content is computed. An index of a different version is
refused.
"""
