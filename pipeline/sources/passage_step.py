"""Defines the dedup of passages. It finds long passages that several documents share, and removes them from all of
these documents except one. This module has the settings. The code that runs the dedup is in ``pipeline/clean/dedup``.

The dedup compares windows: parts of a text with a fixed number of bytes (:mod:`filters.near.passages`).
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
"""The size in bytes of what is sent per window: the window's hash, and the rank of its document. (The document with the
smallest rank keeps a shared passage. The rank is a hash of the id.)"""
WINDOW_DISTANCE = 67.5
"""The average number of bytes from the beginning of a window to the beginning of the next window. Windows overlap,
because a window is longer. We measured this number on 100 MB of web pages.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageDedup(DedupStep):
    """Removes a passage from a document if a different document contains the same bytes and keeps them. If a passage is
    repeated inside one document, the first copy is kept.

    A passage of fewer than ``min_bytes`` bytes is never removed. A passage of at least ``min_bytes`` + 127 bytes is
    always found. At each end of a passage, up to 127 bytes may remain. Up to 128 more bytes may remain there, because
    the removed part begins and ends between two lines or words if possible. A document is dropped if only white space
    remains of it.
    """

    REASON: ClassVar[str] = "no_text_left"
    SIGNAL: ClassVar[str] = "repeated_bytes"
    """The name of a signal (a number that is stored for a document): how many bytes were removed."""
    parts: ClassVar[str] = "passages"
    rank: ClassVar[str] = "id"
    """The name of a column. If several documents share a passage, the document whose value in this column has the
    smallest MD5 keeps it.
    """
    keep: ClassVar[str] = "first"
    """``first``: one of the documents that share a passage keeps it. :class:`LineDedup` has a setting of the same name.
    """

    NAME: str = "passage_dedup"
    min_bytes: int = 500
    """The length of the shortest passage that is removed, in bytes of UTF-8. The default is from OLMo 3."""
    scope: str = "all"
    """The documents that are compared with each other. With ``all``, these are all documents. With ``document``, each
    document is compared only with itself. With the name of a column, documents with equal values in this column are
    compared."""
    DATA_VERSION: int = 1
    rule: str = field(default="", compare=False)
    cite: str = field(default="Lee et al. 2022 (arXiv:2107.06499); 500 bytes: OLMo 3; search ours", compare=False)

    def __post_init__(self) -> None:
        if self.min_bytes < STRIDE:
            raise ValueError(f"{self.NAME}: min_bytes must be at least {STRIDE}, not {self.min_bytes}")

    def hashed(self, texts: pa.Array) -> LineHashes:
        """Returns the hashes of the windows of each text. A window is a part of a text with ``min_bytes`` bytes.
        :mod:`filters.near.passages` chooses the places at which windows begin.
        """
        found = windows_of(texts, self.min_bytes)
        return LineHashes(found.hashes, found.doc_offsets)

    def num_hashes(self, texts: pa.Array) -> pa.Array:
        """Returns the number of hashes of each text, if the texts are not compared: always 0. Without a comparison, no
        hashes are needed.
        """
        return pa.array([0] * len(texts), pa.int64())

    @property
    def reasons(self) -> tuple[str, ...]:
        return (self.REASON,)

    @property
    def travels(self) -> str:
        return "per 64 bytes of text: a hash and the document's rank (16 bytes)"

    def key_bytes(self, num_docs: float, text_bytes: float) -> float:
        """Estimates how many bytes the workers exchange for this dedup. For each window (a part of a text with
        ``min_bytes`` bytes), they exchange a hash of the window and the rank of the document.

        The example estimates the bytes for one document with 2,234 bytes of text. With the scope ``document``, nothing
        is exchanged.

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
