"""Decides which documents are held out for validation."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa

from mixtures.subset import VALIDATION, Cut, held_out_by_share, held_out_by_tokens, order_hashes
from pipeline.sources import SOURCES

_VALIDATION_SEED = 0
"""The seed of the hashes. It is the same in all runs, so every run holds out the same documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Selects the documents of a source to hold out for validation.

    If ``share`` is given, this share of all documents is held out. Otherwise, if ``cut`` is given, the document that it
    names is held out, and all documents with smaller hashes. If neither is given, no document is held out.
    """

    share: Decimal | None = None
    cut: Cut | None = None

    def mask(self, source: str, doc_ids: pa.Array, num_tokens: np.ndarray) -> np.ndarray:
        """Returns a mask of the documents that are held out."""
        if self.share is None and self.cut is None:
            return np.zeros(len(doc_ids), dtype=bool)
        hashes = validation_hashes(source, doc_ids)
        if self.share is not None:
            return held_out_by_share(hashes, self.share)
        assert self.cut is not None
        return held_out_by_tokens(hashes, doc_ids.to_pylist(), num_tokens, self.cut)


def validation_hashes(source: str, doc_ids: pa.Array) -> np.ndarray:
    """Returns one hash per document. The documents with the smallest hashes are held out for validation.

    If the source defines a hash of its own, this hash is used. Otherwise the hash of the document's id is used.
    """
    own = SOURCES[source].split_hash if source in SOURCES else None
    if own is not None:
        return np.array([own(doc_id) for doc_id in doc_ids.to_pylist()], np.uint64)
    return order_hashes(_VALIDATION_SEED, source, doc_ids, 0, purpose=VALIDATION)
