"""Which documents of the verified pairs go: each only for a document that stays.

Documents stay in an order: the source that comes first in the list of sources, then the document with the most n-grams,
then the smallest hash of the id, the text and the other columns. The order depends neither on files nor on workers.
Only documents that are equal in all of that are ordered by where they were read. Documents are taken in this order. A
document goes if a verified pair joins it with a document before it that stays. So no document goes for one that is
itself removed: in a chain A, B, C in which only neighbours overlap, B alone goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

import xxhash

STANDING_BYTES = 16
_HASH_BYTES, _PLACE_BYTES = 5, 7
MAX_PRIORITY = 0xFF
_MAX_NGRAMS = 0xFFFFFF
"""Documents with more n-grams (100 MB of text) stand as if they had so many."""

Edge = TypeVar("Edge")


def standing(priority: int, num_ngrams: int, content: bytes, place: bytes) -> bytes:
    """Returns the place of a document in the order in which documents stay, as 16 bytes that sort as the order does.

    Args:
        priority: of its source; 0 stays first.
        content: its id, its text and its other columns, or a hash of them. 5 bytes of a hash of it come next.
        place: where it was read. No two documents have the same. 7 bytes of a hash of it come last, so that equal
            documents (a million of them have one chance in 100,000 to be taken for one another) differ too.

    >>> standing(0, 9, b"b", b"1") < standing(0, 8, b"a", b"2") < standing(1, 100, b"a", b"3")
    True
    """
    assert 0 <= priority <= MAX_PRIORITY, priority
    count = _MAX_NGRAMS - min(num_ngrams, _MAX_NGRAMS)
    hashes = xxhash.xxh3_64_digest(content)[:_HASH_BYTES] + xxhash.xxh3_64_digest(place)[:_PLACE_BYTES]
    return bytes([priority]) + count.to_bytes(3, "big") + hashes


def num_ngrams_of(high: int) -> int:
    """Returns the number of n-grams of a document, from the first 8 bytes of its standing.

    >>> num_ngrams_of(int.from_bytes(standing(3, 1234, b"x", b"")[:8], "big"))
    1234
    """
    return _MAX_NGRAMS - (high >> 32 & _MAX_NGRAMS)


def resolve(edges: Iterable[tuple[bytes, bytes, float, Edge]]) -> Iterator[tuple[bytes, bytes, float, Edge]]:
    """Yields, for each document that goes, the edge to the document that it goes for.

    Each edge is (standing of the one that may go, standing of the one before it, overlap, anything). Edges come sorted
    by the first. If several documents that stay overlap it, it goes for the one with the greatest overlap, then for the
    one that stays first. Memory: the standings of the documents that go, about 100 bytes each.

    >>> a, b, c = (standing(0, n, b"x", b"") for n in (9, 8, 7))
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
