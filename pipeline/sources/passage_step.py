"""Defines the dedup of passages, which cuts long passages that several documents share. This module holds its
settings.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from filters.ccnet.line_hashes import LineHashes
from filters.near.passages import STRIDE, windows_of
from pipeline.sources.dedup_steps import DedupStep, check_scope

KEY_BYTES = 16
"""The bytes of a window's hash and of its document's rank."""
WINDOW_DISTANCE = 67.5
"""The average distance of two windows, in bytes: 67.5 on 100 MB of web pages (measured)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageDedup(DedupStep):
    """Cuts a passage out of a document if another document has the same bytes and keeps them. If a passage is repeated
    inside one document, the first copy is kept.

    Every byte that is cut lies in a string of ``min_bytes`` bytes that another document or an earlier place of the same
    document has. Every string of at least ``min_bytes`` + 127 bytes that is in two places is found. At most 127 bytes
    at each of its ends remain, and then the cut is moved inwards to the border of a line or a word. A document of which
    only white space remains is dropped.
    """

    REASON: ClassVar[str] = "no_text_left"
    SIGNAL: ClassVar[str] = "repeated_bytes"
    """The name of the signal: the number of bytes that were cut."""
    parts: ClassVar[str] = "passages"
    rank: ClassVar[str] = "id"
    """The column that decides who keeps a passage: the document whose value there has the smallest MD5."""
    keep: ClassVar[str] = "first"
    """One of the compared documents keeps a passage, as with this value of ``LineDedup.keep``."""

    NAME: str = "passage_dedup"
    min_bytes: int = 500
    """The length of the shortest passage that is cut, in bytes of UTF-8. 500 is OLMo 3's value."""
    scope: str = "all"
    """The documents that are compared. With ``all``, these are all documents. With ``document``, each document is
    compared only with itself. With the name of a column, documents with equal values in this column are compared."""
    DATA_VERSION: int = 1
    rule: str = field(default="", compare=False)
    cite: str = field(default="Lee et al. 2022 (arXiv:2107.06499); 500 bytes: OLMo 3; search ours", compare=False)

    def __post_init__(self) -> None:
        if self.min_bytes < STRIDE:
            raise ValueError(f"{self.NAME}: min_bytes must be at least {STRIDE}, not {self.min_bytes}")

    def hashed(self, texts: pa.Array) -> LineHashes:
        """Returns the hashes of the windows of texts (:mod:`filters.near.passages`)."""
        found = windows_of(texts, self.min_bytes)
        return LineHashes(found.hashes, found.doc_offsets)

    def num_hashes(self, texts: pa.Array) -> pa.Array:
        """Returns 0 for each text: a document that is not compared needs no windows."""
        return pa.array([0] * len(texts), pa.int64())

    @property
    def reasons(self) -> tuple[str, ...]:
        return (self.REASON,)

    @property
    def travels(self) -> str:
        return "per 64 bytes of text: a hash and the document's rank (16 bytes)"

    def key_bytes(self, num_docs: float, text_bytes: float) -> float:
        """Estimates how many bytes the workers exchange for this dedup: a hash and a rank for each window.

        >>> round(PassageDedup().key_bytes(1, 2234)), PassageDedup(scope="document").key_bytes(1, 2234)
        (546, 0.0)
        """
        return 0.0 if self.scope == "document" else KEY_BYTES * (num_docs + text_bytes / WINDOW_DISTANCE)

    @property
    def compares_lines(self) -> bool:
        return self.scope != "document"

    @property
    def needs_earlier_dumps_only(self) -> bool:
        return self.scope in ("dump", "group", "document")

    def check(self, columns: Collection[str]) -> None:
        check_scope(self.NAME, self.scope, {"all", "document", "language"}, columns)
