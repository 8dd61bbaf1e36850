"""Decides which near-duplicates are removed. A document is removed only if a document that it overlaps is kept.

The input consists of verified pairs: pairs of documents whose overlap was measured and is large enough.

Documents are ordered by rank. Documents of the source that is first in the list of sources come first. Within a source,
the documents with the most n-grams come first. Documents with equally many n-grams are ordered by a hash of all their
columns, including the id and the text. So the order does not depend on the division into files or on the number of
workers. If two documents are equal in all these respects, the place where they were read decides.

The documents are judged in this order. A document is removed if it forms a verified pair with an earlier document that
is kept. For example, if A overlaps B and B overlaps C, but A does not overlap C, then only B is removed: C overlaps no
kept document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

import xxhash

RANK_BYTES = 16
_HASH_BYTES, _PLACE_BYTES = 5, 7
MAX_PRIORITY = 0xFF
_MAX_NGRAMS = 0xFFFFFF
"""If a document has more n-grams than this (100 MB of text), it is ranked as if it had exactly this many."""

Edge = TypeVar("Edge")


def rank_of(priority: int, num_ngrams: int, content: bytes, place: bytes) -> bytes:
    """Returns the rank of a document as 16 bytes. Of two documents, the document whose rank sorts first is kept.

    Args:
        priority: the position of the document's source in the list of sources, from 0.
        num_ngrams: the length of the document in n-grams. In a source, longer documents sort first.
        content: the document's id, text and other columns, or a hash of them. The rank contains 5 bytes of a hash of
            ``content``.
        place: the place where the document was read. Every document has a different place. The rank contains 7 bytes of
            a hash of ``place``, so that equal documents have different ranks. Among a million equal documents, the
            probability that two ranks are equal is one in 100,000.

    >>> rank_of(0, 9, b"b", b"1") < rank_of(0, 8, b"a", b"2") < rank_of(1, 100, b"a", b"3")
    True
    """
    assert 0 <= priority <= MAX_PRIORITY, priority
    count = _MAX_NGRAMS - min(num_ngrams, _MAX_NGRAMS)
    hashes = xxhash.xxh3_64_digest(content)[:_HASH_BYTES] + xxhash.xxh3_64_digest(place)[:_PLACE_BYTES]
    return bytes([priority]) + count.to_bytes(3, "big") + hashes


def num_ngrams_of(high: int) -> int:
    """Returns the number of n-grams of a document, from the first 8 bytes of its rank.

    >>> num_ngrams_of(int.from_bytes(rank_of(3, 1234, b"x", b"")[:8], "big"))
    1234
    """
    return _MAX_NGRAMS - (high >> 32 & _MAX_NGRAMS)


def resolve(edges: Iterable[tuple[bytes, bytes, float, Edge]]) -> Iterator[tuple[bytes, bytes, float, Edge]]:
    """Decides which documents are removed. Yields one edge (verified pair) per removed document: the edge that links it
    to the kept document.

    If a removed document overlaps several kept documents, the edge with the greatest overlap is chosen. Of edges with
    equal overlaps, the edge to the document with the first rank is chosen. The function holds the ranks of all removed
    documents in memory, about 100 bytes each.

    Args:
        edges: tuples of (rank of the document that may be removed, rank of an earlier document, overlap, any value),
            sorted by the first element.

    In the example, b overlaps a, and c overlaps b. Only b is removed, because c overlaps no document that is kept:

    >>> a, b, c = (rank_of(0, n, b"x", b"") for n in (9, 8, 7))
    >>> [(removed == b, kept == a) for removed, kept, _, _ in resolve([(b, a, 0.9, ()), (c, b, 0.9, ())])]
    [(True, True)]
    """
    removed: set[bytes] = set()
    for document, its in groupby(edges, key=itemgetter(0)):
        best = None
        for edge in its:
            assert edge[1] < document, "an edge to a document of a later rank"
            if edge[1] not in removed and (best is None or (-edge[2], edge[1]) < (-best[2], best[1])):
                best = edge
        if best is not None:
            removed.add(document)
            yield best
