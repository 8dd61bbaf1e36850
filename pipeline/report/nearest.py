"""Chooses kept documents that the page shows beside dropped ones.

They are the documents nearest to each limit, some random documents, and the originals of dropped copies.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clean.ledger import sample_hash
from pipeline.report.documents import Floats
from pipeline.report.limits import Limit

EXCERPT_CHARS = 1600
KEPT_PER_REASON = 30
_UNKNOWN = ""


@dataclass(slots=True)
class NearestDocument:
    """A document that the page shows."""

    doc_id: str
    text: str
    language: str = _UNKNOWN
    detail: str = ""
    signals: Mapping[str, float] = field(default_factory=dict)


class Kept:
    """Collects kept documents: the nearest to each limit, random ones, and the originals of dropped copies."""

    def __init__(self, limits: Sequence[Limit], wanted: set[str]) -> None:
        self._limits, self._wanted = limits, wanted
        self._near: list[list[tuple[float, int, NearestDocument]]] = [[] for _ in limits]
        self._any: list[tuple[float, int, NearestDocument]] = []
        self.by_id: dict[str, NearestDocument] = {}

    def look_at(
        self, batch: pa.RecordBatch, ids: Sequence[str], languages: Sequence[str], signals: Mapping[str, Floats]
    ) -> None:
        hashes = [sample_hash(i) for i in ids]
        texts = batch.column("text")

        def shown(row: int) -> NearestDocument:
            own = {name: float(v[row]) for name, v in signals.items() if v[row] == v[row]}
            text = pc.utf8_slice_codeunits(texts.slice(row, 1), 0, EXCERPT_CHARS)[0].as_py()
            return NearestDocument(ids[row], text, languages[row], "", own)

        for row, doc_id in enumerate(ids):
            if doc_id in self._wanted:
                self.by_id[doc_id] = shown(row)
            _offer(self._any, 0.0, hashes[row], row, shown)
        for place, limit in enumerate(self._limits):
            values = signals.get(limit.signal)
            if values is None:
                continue
            for row, distance in enumerate(np.abs(values - limit.value).tolist()):
                is_its = limit.language is None or limit.language == languages[row]
                if distance == distance and is_its:
                    _offer(self._near[place], distance, hashes[row], row, shown)

    def near(self, limit: Limit) -> list[NearestDocument]:
        return _in_order(self._near[self._limits.index(limit)])

    def any(self) -> list[NearestDocument]:
        return _in_order(self._any)


def _offer(heap: list[tuple[float, int, NearestDocument]], distance: float, order: int, row: int, shown: Any) -> None:
    """Adds a document to the heap if it is among the nearest.

    Of two equally near documents, the document with the smaller hash stays in the heap.
    """
    key = (-distance, -order)
    if len(heap) < KEPT_PER_REASON:
        heapq.heappush(heap, (*key, shown(row)))
    elif key > heap[0][:2]:
        heapq.heapreplace(heap, (*key, shown(row)))


def _in_order(heap: Sequence[tuple[float, int, NearestDocument]]) -> list[NearestDocument]:
    return [shown for *_, shown in sorted(heap, key=lambda entry: entry[:2], reverse=True)]
