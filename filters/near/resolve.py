"""Which documents of the verified pairs go: each only for a document that stays.

Documents stay in an order: the source that comes first in the list of sources, then the document with the most n-grams,
then the smallest hash of the id. The order depends neither on files nor on workers. Documents are taken in it. A
document goes if a verified pair joins it with a document before it that stays. So no document goes for one that is
itself removed: in a chain A, B, C in which only neighbours overlap, B alone goes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

import xxhash

_STANDING = struct.Struct(">QQ")
STANDING_BYTES = _STANDING.size
MAX_PRIORITY = 0xFF
_MAX_NGRAMS = 0xFFFFFFFF

Edge = TypeVar("Edge")


def standing(priority: int, num_ngrams: int, document_id: str) -> bytes:
    """Returns the place of a document in the order in which documents stay, as 16 bytes that sort as the order does.

    The last 11 bytes are a hash of the id, so that documents differ in it.

    >>> standing(0, 9, "b") < standing(0, 8, "a") < standing(1, 100, "a")
    True
    """
    assert 0 <= priority <= MAX_PRIORITY, priority
    hashed = xxhash.xxh3_128_intdigest(document_id.encode())
    high = priority << 56 | (_MAX_NGRAMS - min(num_ngrams, _MAX_NGRAMS)) << 24 | (hashed >> 64) & 0xFFFFFF
    return _STANDING.pack(high, hashed & 0xFFFFFFFFFFFFFFFF)


def num_ngrams_of(high: int) -> int:
    """Returns the number of n-grams of a document, from the first 8 bytes of its standing.

    >>> num_ngrams_of(int.from_bytes(standing(3, 1234, "x")[:8], "big"))
    1234
    """
    return _MAX_NGRAMS - (high >> 24 & _MAX_NGRAMS)


def resolve(edges: Iterable[tuple[bytes, bytes, float, Edge]]) -> Iterator[tuple[bytes, bytes, float, Edge]]:
    """Yields, for each document that goes, the edge to the document that it goes for.

    Each edge is (standing of the one that may go, standing of the one before it, overlap, anything). Edges come sorted
    by the first. If several documents that stay overlap it, it goes for the one with the greatest overlap, then for the
    one that stays first. Memory: the standings of the documents that go, about 100 bytes each.

    >>> a, b, c = (standing(0, n, "x") for n in (9, 8, 7))
    >>> [(gone == b, kept == a) for gone, kept, _, _ in resolve([(b, a, 0.9, ()), (c, b, 0.9, ())])]
    [(True, True)]
    """
    gone: set[bytes] = set()
    for document, its in groupby(edges, key=itemgetter(0)):
        best = None
        for edge in its:
            assert edge[1] < document, "an edge to a document that stays later"
            if edge[1] not in gone and (best is None or (-edge[2], edge[1]) < (-best[2], best[1])):
                best = edge
        if best is not None:
            gone.add(document)
            yield best
