"""Finds pairs of books that may overlap, and decides which book of a verified pair is dropped.

The pairs are found from samples of the books' shingles (hashed word 5-grams). This is the second half of
:mod:`filters.books.overlap`, whose docstring describes all the steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.books.overlap import KEEP_ONE_IN, Hashes

MAX_BOOKS_PER_SHINGLE = 64
"""A shingle that is in more than this number of books is called common. Our choice: a shingle that is in 64 books makes
2,016 pairs of books."""
NUM_LEADERS = 8
"""A book with a common shingle is paired with this many of the longest books that have the shingle."""
MIN_SHARED = 1 / 3
"""A pair is verified if at least this fraction of the smaller sketch is in the larger sketch. Our choice: the fraction
is so far below 0.9 that a true pair (an overlap over 0.9) of the shortest books (1,000 words) is missed only five times
in a million. Two different books share a much smaller fraction (under 0.01 in real editions), so hardly any such pair
is verified."""


@dataclass(frozen=True, slots=True)
class BucketPairs:
    """Holds the pairs of books whose sketches (samples of shingles) share shingles in one bucket. A bucket contains a
    part of all hashes.

    The sum of a pair's counts over all buckets is the number of shingles that the two sketches share.
    """

    pairs: npt.NDArray[np.uint64]
    """The pairs of book keys, of shape (n, 2). The smaller key of a pair comes first. Each pair occurs once. The pairs
    are sorted."""
    counts: npt.NDArray[np.int64]
    """For each pair, the number of shingles in this bucket that the two sketches share. The shape is (n)."""
    capped_books: npt.NDArray[np.uint64]
    """Keys of the books that have a common shingle (see ``MAX_BOOKS_PER_SHINGLE``) in this bucket, sorted."""
    capped_counts: npt.NDArray[np.int64]
    """The number of common shingles in this bucket for each book in ``capped_books``."""


def ranks(num_shingles: Sequence[int], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Returns the rank of each book: the book's position in the order in which :func:`resolve` judges the books. The
    longest book (the book with the most shingles) has the rank 0. Books of equal length are ordered by name.

    >>> ranks([3, 9, 3], ["b", "c", "a"]).tolist()
    [2, 0, 1]
    """
    # The order must be that of resolve(). Books with a common shingle are compared only with the first of them in this
    # order (the leaders). If resolve() dropped a leader because of a book that it judges earlier but that is not among
    # the leaders, the books that were compared only with the leaders would stay.
    order = sorted(range(len(names)), key=lambda i: (-num_shingles[i], names[i]))
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order))
    return found


def _pairs_of_rare(book_keys: Hashes, starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> list[Hashes]:
    """Returns one pair for each shingle (a hashed word 5-gram) and each two books that contain the shingle.

    The books that contain shingle i are the ``sizes[i]`` entries of ``book_keys`` that begin at ``starts[i]``.
    """
    found: list[Hashes] = []
    for size in np.unique(sizes):
        if size < 2:
            continue
        runs = book_keys[starts[sizes == size][:, None] + np.arange(size)]
        left, right = np.triu_indices(int(size), 1)
        found.append(np.stack([runs[:, left].ravel(), runs[:, right].ravel()], axis=1))
    return found


def _pairs_of_common(book_keys: Hashes, book_ranks: npt.NDArray[np.int64], num_leaders: int) -> Hashes:
    """Returns the pairs of books for one common shingle. Each book that contains the shingle is paired with the
    ``num_leaders`` longest books that contain it.

    The number of pairs grows linearly with the number of books.
    """
    ranked = book_keys[np.argsort(book_ranks)]
    leader, follower = np.triu_indices(num_leaders, 1, ranked.size)
    return np.stack([ranked[leader], ranked[follower]], axis=1)


def pairs_of_bucket(
    hashes: Hashes,
    book_keys: Hashes,
    book_ranks: npt.NDArray[np.int64],
    *,
    max_books_per_shingle: int = MAX_BOOKS_PER_SHINGLE,
    num_leaders: int = NUM_LEADERS,
) -> BucketPairs:
    """Returns the pairs of books that share shingles in one bucket, with the number of shared shingles. Only the
    shingles in the books' sketches (samples of shingles) are counted.

    ``hashes[i]`` is a shingle of the book ``book_keys[i]``. ``book_ranks[i]`` is the rank of this book among the
    bucket's books, in the order of :func:`resolve` (see :func:`ranks`). The entries of the three arrays may come in any
    order. A repeated entry counts once.

    If a shingle is in up to ``max_books_per_shingle`` books, every two of these books are a pair. A shingle in more
    books is called *common*. Common shingles come from a licence, a psalm, or a book in three hundred editions, for
    example. Each book with a common shingle is paired only with the ``num_leaders`` longest books that have it, because
    :func:`resolve` judges the longest books first. So the work grows linearly with the number of entries, even if a
    shingle is very frequent. The restriction to the longest books has three consequences:

    * each edition of a book with three hundred editions is still paired with the longest edition, which is kept;
    * if common shingles make up at most ``MAX_CAPPED`` of a book's sketch, the rest of the sketch nearly always finds
      the book's pairs;
    * if common shingles make up more of the sketch, pairs with books other than the longest may be missed.
      ``capped_counts`` shows such books (see :func:`is_at_risk`).

    >>> hashes, books = np.array([5, 5, 5, 9], np.uint64), np.array([1, 2, 3, 3], np.uint64)
    >>> found = pairs_of_bucket(hashes, books, np.array([0, 1, 2, 2]))
    >>> found.pairs.tolist(), found.counts.tolist()
    ([[1, 2], [1, 3], [2, 3]], [1, 1, 1])
    """
    if not 1 <= num_leaders < max_books_per_shingle:
        raise ValueError(f"num_leaders must be from 1 to under max_books_per_shingle, not {num_leaders}")
    order = np.lexsort((book_keys, hashes))
    hashes, book_keys, book_ranks = hashes[order], book_keys[order], np.asarray(book_ranks)[order]
    if hashes.size:
        is_new = np.ones(hashes.size, np.bool_)
        is_new[1:] = (hashes[1:] != hashes[:-1]) | (book_keys[1:] != book_keys[:-1])
        hashes, book_keys, book_ranks = hashes[is_new], book_keys[is_new], book_ranks[is_new]
    starts = (
        np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]])) if hashes.size else np.empty(0, np.int64)
    )
    sizes = np.diff(np.append(starts, hashes.size))

    is_common = sizes > max_books_per_shingle
    found = _pairs_of_rare(book_keys, starts[~is_common], sizes[~is_common])
    capped: list[Hashes] = []
    for start, size in zip(starts[is_common], sizes[is_common], strict=True):
        holders = slice(int(start), int(start + size))
        found.append(_pairs_of_common(book_keys[holders], book_ranks[holders], num_leaders))
        capped.append(book_keys[holders])
    pairs, counts = _count_rows(np.concatenate(found) if found else np.empty((0, 2), np.uint64))
    capped_books, capped_counts = np.unique(np.concatenate([np.empty(0, np.uint64), *capped]), return_counts=True)
    return BucketPairs(pairs, counts, capped_books, capped_counts)


def _count_rows(pairs: Hashes) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Returns the distinct pairs, sorted, and how often each pair occurs. (1, 2) and (2, 1) are the same pair.

    In every returned pair, the smaller key comes first.
    """
    pairs = np.sort(pairs, axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    if not len(pairs):
        return pairs, np.empty(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], (pairs[1:] != pairs[:-1]).any(axis=1)]))
    return pairs[starts], np.diff(np.append(starts, len(pairs)))


def is_candidate(num_shared: int, sketch_size_a: int, sketch_size_b: int, *, min_shared: float = MIN_SHARED) -> bool:
    """Returns True if a pair must be verified with the books' full sets of shingles.

    This is the case if the pair shares at least ``min_shared`` of the smaller sketch (sample of shingles). In the
    example the smaller sketch has 15 shingles, and a third of them is 5.

    >>> is_candidate(5, 15, 400), is_candidate(4, 15, 400)
    (True, False)
    """
    return num_shared > 0 and num_shared >= min_shared * min(sketch_size_a, sketch_size_b)


MAX_CAPPED = 0.25
"""Maximum share of common shingles (see ``MAX_BOOKS_PER_SHINGLE``) in the sketch of a book that is not at risk. If
common shingles make up this share, at least 0.9 - 0.25 = 0.65 of the sketch of a true pair (an overlap over 0.9) are,
on average, shared shingles that are not common. This is well above ``MIN_SHARED``: under 1 % of the true pairs are
missed for the shortest books (1,000 words), and far fewer for longer books."""


def is_at_risk(num_capped: int, sketch_size: int) -> bool:
    """Returns True if the search could miss a book that overlaps with this book, because too many shingles in this
    book's sketch are common. Common shingles (see ``MAX_BOOKS_PER_SHINGLE``) are not searched for.
    """
    return num_capped > MAX_CAPPED * sketch_size


def _poisson(count: int, mean: float) -> float:
    """Returns the probability of the value ``count`` in a Poisson distribution with this mean."""
    if mean <= 0:
        return float(count == 0)
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


def miss_probability(
    num_shingles: int,
    *,
    max_overlap: float = 0.9,
    keep_one_in: int = KEEP_ONE_IN,
    min_shared: float = MIN_SHARED,
    share_capped: float = 0.0,
) -> float:
    """Returns the probability that the dedup misses (does not verify) a pair of books whose overlap is exactly
    ``max_overlap``. Pairs with a larger overlap are missed less often.

    The smaller book has ``num_shingles`` shingles. Its sketch contains each of these shingles with a probability of 1 /
    ``keep_one_in``. X is the number of shingles in this sketch that are in the larger book and are not common (see
    ``MAX_BOOKS_PER_SHINGLE``). Common shingles are the share ``share_capped`` of the book. Y is the number of all other
    shingles in this sketch. The pair is missed if X is 0, or if X is less than ``min_shared`` times X + Y. X and Y have
    binomial distributions. The function uses Poisson distributions instead, which have heavier tails, so the result is
    slightly too high.

    In the example, books of 1,000 words (996 shingles) are missed five times in a million.

    >>> f"{miss_probability(996):.0e}", miss_probability(3_000) < 1e-12
    ('5e-06', True)
    """
    mean_shared = num_shingles * (max_overlap - share_capped) / keep_one_in
    mean_others = num_shingles / keep_one_in - mean_shared
    ratio = (1 - min_shared) / min_shared if min_shared > 0 else math.inf
    missed, tail = 0.0, 1.0  # tail: the probability that Y > shared * ratio
    num_others = 0
    for shared in range(int(mean_shared + 40 * math.sqrt(mean_shared) + 40)):
        while num_others <= shared * ratio and tail > 0 and math.isfinite(ratio):
            mass = _poisson(num_others, mean_others)
            tail, num_others = max(0.0, tail - mass), num_others + 1
        chance = _poisson(shared, mean_shared)
        missed += chance if shared == 0 else chance * tail
    return missed


def resolve(
    num_shingles: Mapping[str, int], pairs: Iterable[tuple[str, str, float]], *, max_overlap: float = 0.9
) -> dict[str, tuple[str, float]]:
    """Returns a mapping of the books to drop. A key is the id of a dropped book. The value is the id of the kept book
    that contains the dropped book, and the overlap of the two.

    ``num_shingles`` maps the id of each book to its number of shingles. ``pairs`` contains the verified pairs: two ids
    and the books' :func:`filters.books.overlap.overlap` (the share of the smaller book that is in the larger book).

    Books are judged in order of length (number of shingles), the longest first. Books of equal length are judged in
    order of id. A book is dropped if more than ``max_overlap`` of the book's own shingles are in one book that was
    judged earlier and is kept. So every dropped book is contained in a kept book. If B is mostly in A, C is mostly in
    B, and C is not in A, then only B is dropped. Two anthologies that share one story both stay. The result does not
    depend on the order of the pairs. Time and memory grow linearly with the number of pairs.

    Raises:
        KeyError: a pair names a book that is not in ``num_shingles``.

    >>> resolve({"omnibus": 90, "novel": 30, "story": 9}, [("novel", "omnibus", 0.97), ("story", "novel", 0.9)])
    {'novel': ('omnibus', 0.97)}
    """
    rank = {book: (-num_shingles[book], book) for book in num_shingles}
    longer: dict[str, list[tuple[str, float]]] = {}
    for a, b, share in pairs:
        if a == b or not share > max_overlap:
            continue
        first, second = (a, b) if rank[a] < rank[b] else (b, a)
        longer.setdefault(second, []).append((first, share))
    dropped: dict[str, tuple[str, float]] = {}
    for book in sorted(longer, key=rank.__getitem__):
        kept = [(-share, rank[other], other) for other, share in longer[book] if other not in dropped]
        if kept:
            share, _, other = min(kept)
            dropped[book] = (other, -share)
    return dropped
