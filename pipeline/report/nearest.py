"""Chooses kept documents that the page shows beside dropped ones.

Some drop reasons compare a signal (a measured number) with a limit. For these reasons, the page shows the kept
documents nearest to the limit. For a dropped copy, the page shows its original. For all other reasons, it shows random
kept documents.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clean.ledger import MAX_SAMPLE_CHARS, sample_hash
from pipeline.clean.origin import Origin, origin_of
from pipeline.report.documents import Floats
from pipeline.report.limits import Limit
from pipeline.report.passages import Passage, Span

EXCERPT_CHARS = 1600
KEPT_PER_REASON = 30
_UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class NearestDocument:
    """Holds a document that the page shows: a part of its text, and its columns."""

    doc_id: str
    text: str
    language: str = _UNKNOWN
    detail: str = ""
    signals: Mapping[str, float] = field(default_factory=dict)
    url: str = ""
    title: str = ""
    date: str = ""
    starts_at: int = 0
    """The number of the document's characters that are before ``text``."""
    num_chars: int = 0
    """The number of characters of the stored text. The stored text of a dropped document has at most 20,000
    characters.
    """
    is_beginning: bool = False
    """True if only the beginning of the text is stored. ``num_chars`` is then the length of this beginning, and the
    length of the whole text is not known."""
    marks: tuple[Span, ...] = ()
    """The passages that decided whether the document was dropped or kept, as places in ``text``."""
    why: str = ""
    """A few words about the marks."""


def excerpt(document: NearestDocument, max_chars: int, passage: Passage | None = None) -> NearestDocument:
    """Returns a document whose text is shortened to at most ``max_chars`` characters around ``passage``.

    Without a passage, the text is cut around the passages that are already marked in the document.

    >>> one = NearestDocument("a", "0123456789" * 10, num_chars=100)
    >>> short = excerpt(one, 20, Passage(((50, 55),), "why"))
    >>> short.starts_at, short.text, short.marks
    (45, '56789012345678901234', ((5, 10),))
    """
    spans = document.marks if passage is None else passage.spans
    text = document.text
    start = 0
    if spans and len(text) > max_chars and spans[0][1] > max_chars * 3 // 4:
        start = max(0, min(spans[0][0] - max_chars // 4, len(text) - max_chars))
    end = start + max_chars
    marks = tuple((max(a, start) - start, min(b, end) - start) for a, b in spans if a < end and b > start)
    return replace(
        document,
        text=text[start:end],
        starts_at=document.starts_at + start,
        num_chars=document.num_chars or len(text),
        marks=marks,
        why=(document.why if passage is None else passage.says) if marks else "",
    )


class Kept:
    """Collects three kinds of kept documents: those nearest to each limit of a signal, random ones, and the originals
    of dropped copies.
    """

    def __init__(self, limits: Sequence[Limit], wanted: set[str]) -> None:
        self._limits, self._wanted = limits, wanted
        self._near: list[list[tuple[float, int, NearestDocument]]] = [[] for _ in limits]
        self._any: list[tuple[float, int, NearestDocument]] = []
        self.by_id: dict[str, NearestDocument] = {}

    def look_at(
        self, batch: pa.RecordBatch, ids: Sequence[str], languages: Sequence[str], signals: Mapping[str, Floats]
    ) -> None:
        hashes = [sample_hash(i) for i in ids]
        texts, origins = batch.column("text"), origin_of(batch)

        def shown(row: int) -> NearestDocument:
            own = {name: float(v[row]) for name, v in signals.items() if v[row] == v[row]}
            text = pc.utf8_slice_codeunits(texts.slice(row, 1), 0, MAX_SAMPLE_CHARS)[0].as_py()
            num_chars = pc.utf8_length(texts.slice(row, 1))[0].as_py()
            return NearestDocument(
                ids[row], text, languages[row], "", own, *_values(origins, row), num_chars=num_chars
            )  # fmt: skip

        for row, doc_id in enumerate(ids):
            if doc_id in self._wanted:
                self.by_id[doc_id] = shown(row)
            _offer(self._any, 0.0, hashes[row], row, shown)
        for place, limit in enumerate(self._limits):
            values = signals.get(limit.signal)
            if values is None:
                continue
            for row, distance in enumerate(np.abs(values - limit.value).tolist()):
                is_its = limit.language in (None, languages[row]) and languages[row] not in limit.not_of
                if distance == distance and is_its:
                    _offer(self._near[place], distance, hashes[row], row, shown)

    def near(self, limit: Limit) -> list[NearestDocument]:
        return _in_order(self._near[self._limits.index(limit)])

    def any(self) -> list[NearestDocument]:
        return _in_order(self._any)


def _values(origins: Origin, row: int) -> tuple[str, str, str]:
    url, title, date = (values[row].as_py() or "" for values in origins)
    return url, title, date


def _offer(heap: list[tuple[float, int, NearestDocument]], distance: float, order: int, row: int, shown: Any) -> None:
    """Adds a document to the heap if it is one of the documents nearest to the limit. A full heap then loses its
    farthest document.

    If two documents are equally near, the one with the smaller hash stays in the heap.
    """
    key = (-distance, -order)
    if len(heap) < KEPT_PER_REASON:
        heapq.heappush(heap, (*key, shown(row)))
    elif key > heap[0][:2]:
        heapq.heapreplace(heap, (*key, shown(row)))


def _in_order(heap: Sequence[tuple[float, int, NearestDocument]]) -> list[NearestDocument]:
    return [shown for *_, shown in sorted(heap, key=lambda entry: entry[:2], reverse=True)]
