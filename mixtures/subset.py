"""Chooses documents by hash, for example the documents of a partial epoch. The choice is exact to the token.

Documents are ordered by a hash of their id, a named purpose, a seed, their source and the epoch. So the choice does not
depend on files, batches or workers. Choosing takes two passes over pairs of (hash, number of tokens):

1. Every worker makes a :func:`histogram`: the number of tokens in each bucket. The top 16 bits of the hash are the
   number of the bucket. The histograms of all workers are added with ``+``.
2. :func:`find_bucket` returns the bucket in which the wanted number of tokens is reached. :func:`cut` then looks only
   at the documents in that bucket. :func:`cut` returns the last document of the subset, and how many tokens of this
   document are kept.

A document is in the subset if its (hash, id) is smaller than the (hash, id) of the last document. The last document is
also in the subset, but may keep only its first tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

SUBSET = "subset"
"""Purpose of hashes that choose the documents of a partial epoch."""
ORDER = "order"
"""Purpose of hashes that place documents in the global shuffle."""
VALIDATION = "validation"
"""Purpose of hashes that choose the documents held out for validation. These hashes are always computed with the epoch
0."""

NUM_BUCKETS = 65_536
_BUCKET_SHIFT = np.uint64(48)

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]


def order_hashes(
    seed: int, source: str, doc_ids: Sequence[str] | pa.Array, epoch: int, *, purpose: str = SUBSET
) -> Hashes:
    """Returns one 64-bit hash per document. It depends on all five arguments and on nothing else.

    The hash is XXH3 of the id, with XXH3 of the four remaining arguments as its seed. Names are hashed with their
    lengths, so that different arguments cannot give the same bytes.

    In this example, the order of the ids does not change the hashes, but the epoch does:

    >>> first, again = order_hashes(0, "books", ["11", "1342"], 0), order_hashes(0, "books", ["1342", "11"], 0)
    >>> bool((first == again[::-1]).all()), bool((first == order_hashes(0, "books", ["11", "1342"], 1)).any())
    (True, False)
    """
    names = [name.encode("utf-8") for name in (purpose, source)]
    frame = b"".join(len(name).to_bytes(4, "little") + name for name in names)
    key = xxhash.xxh3_64_intdigest(frame + seed.to_bytes(16, "little", signed=True) + epoch.to_bytes(2, "little"))
    ids = doc_ids.to_pylist() if isinstance(doc_ids, pa.Array | pa.ChunkedArray) else doc_ids
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(doc_id.encode("utf-8"), key) for doc_id in ids), np.uint64, len(ids))


def histogram(hashes: Hashes, num_tokens: Counts) -> Counts:
    """Returns the number of tokens in each bucket. The documents of a bucket have hashes with the same top 16 bits.

    If each worker counts a part of the documents, the sum of the workers' histograms is the histogram of all documents.
    """
    tokens = np.zeros(NUM_BUCKETS, np.int64)
    np.add.at(tokens, (hashes >> _BUCKET_SHIFT).astype(np.int64), np.asarray(num_tokens, np.int64))
    return tokens


def find_bucket(tokens_by_bucket: Counts, wanted_tokens: int) -> tuple[int, int]:
    """Finds the bucket in which the sum of tokens reaches ``wanted_tokens``. Returns its number, and the number of
    tokens in all earlier buckets.

    Raises:
        ValueError: ``wanted_tokens`` is below 1, or more than all tokens.
    """
    ends = np.cumsum(tokens_by_bucket)
    if not 0 < wanted_tokens <= int(ends[-1]):
        raise ValueError(f"{wanted_tokens} tokens cannot be chosen of {int(ends[-1])}")
    bucket = int(np.searchsorted(ends, wanted_tokens))
    return bucket, int(ends[bucket] - tokens_by_bucket[bucket])


def in_bucket(hashes: Hashes, bucket: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns a mask of the documents in this bucket (documents whose hashes have the same top 16 bits). :func:`cut`
    needs exactly these documents.
    """
    return np.asarray((hashes >> _BUCKET_SHIFT) == np.uint64(bucket))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Describes the end of a subset: its last document, and the number of tokens that this document keeps (at least
    one).
    """

    last_hash: int
    last_doc_id: str
    last_doc_tokens_kept: int
    last_doc_tokens: int

    @property
    def is_cut(self) -> bool:
        """True if the last document loses tokens at its end. Then it also loses its eos."""
        return self.last_doc_tokens_kept < self.last_doc_tokens


def cut(hashes: Hashes, doc_ids: Sequence[str], num_tokens: Counts, wanted_in_bucket: int) -> Cut:
    """Returns the last document of the subset, and how many of its tokens are kept.

    The arguments describe the documents of the last bucket, in any order. ``wanted_in_bucket`` is the number of tokens
    that the whole source should give, minus the tokens in earlier buckets. Equal hashes are ordered by id. Raises
    ValueError if the bucket has fewer tokens than ``wanted_in_bucket``.
    """
    order = sorted(range(len(doc_ids)), key=lambda i: (hashes[i], doc_ids[i]))
    left = wanted_in_bucket
    for i in order:
        if 0 < left <= num_tokens[i]:
            return Cut(
                last_hash=int(hashes[i]),
                last_doc_id=doc_ids[i],
                last_doc_tokens_kept=left,
                last_doc_tokens=int(num_tokens[i]),
            )
        left -= int(num_tokens[i])
    raise ValueError(f"{wanted_in_bucket} tokens cannot be chosen of {int(np.sum(num_tokens))}")


def tokens_kept(hashes: Hashes, doc_ids: Sequence[str] | pa.Array, num_tokens: Counts, end: Cut) -> Counts:
    """Returns, for each document, how many of its tokens are in the subset.

    This is all or none, except for the last document of the subset, which may keep only a part of its tokens.
    """
    kept = np.where(hashes < np.uint64(end.last_hash), num_tokens, 0).astype(np.int64)
    for i in np.flatnonzero(hashes == np.uint64(end.last_hash)):
        doc_id = str(doc_ids[int(i)])
        if doc_id == end.last_doc_id:
            kept[i] = end.last_doc_tokens_kept
        elif doc_id < end.last_doc_id:
            kept[i] = num_tokens[i]
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Describes the part of a source's epoch that earlier stages used. In the order of the hashes, these are all
    documents up to and including the document ``last_doc_id``.
    """

    epoch: int
    last_hash: int
    last_doc_id: str

    @classmethod
    def at(cls, seed: int, source: str, epoch: int, last_doc_id: str) -> Begun:
        """Returns the part of an epoch that ends with the document ``last_doc_id``. Computes the hash of this document
        as :func:`order_hashes` does:

        >>> first, second = sorted(order_hashes(0, "books", ["11", "1342"], 0).tolist())
        >>> Begun.at(0, "books", 0, "11").last_hash in (first, second)
        True
        """
        (last_hash,) = order_hashes(seed, source, [last_doc_id], epoch).tolist()
        return cls(epoch=epoch, last_hash=last_hash, last_doc_id=last_doc_id)

    def taken(self, hashes: Hashes, doc_ids: Sequence[str] | pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Returns a mask of the documents that the earlier stages used. Equal hashes are ordered by id, as in
        :func:`cut`.
        """
        taken = np.asarray(hashes < np.uint64(self.last_hash))
        for i in np.flatnonzero(hashes == np.uint64(self.last_hash)):
            taken[i] = str(doc_ids[int(i)]) <= self.last_doc_id
        return taken


def shard_bounds(tokens_by_bucket: Counts, num_shards: int) -> Hashes:
    """Returns the hashes at which the shards begin, except the first shard. All shards get almost equally many tokens.

    ``tokens_by_bucket`` is the :func:`histogram` of the hashes that order the documents. A document that occurs several
    times is counted each time. A bucket is 1/65,536 of the range of hashes. The tokens of a bucket are assumed to be
    spread evenly over its hashes. So the bounds are not exact, and shards differ a little in size. The bounds do not
    change the order of the documents.

    In this example, all buckets have equally many tokens, so the bounds are at 1/4, 2/4 and 3/4 of the range:

    >>> shard_bounds(np.full(65_536, 10), 4).tolist() == [1 << 62, 1 << 63, 3 << 62]
    True
    """
    ends = np.cumsum(tokens_by_bucket)
    total = int(ends[-1])
    bounds = np.empty(num_shards - 1, np.uint64)
    for shard in range(1, num_shards):
        wanted = total * shard // num_shards
        bucket = min(int(np.searchsorted(ends, wanted, "right")), NUM_BUCKETS - 1)
        within, size = wanted - int(ends[bucket] - tokens_by_bucket[bucket]), max(1, int(tokens_by_bucket[bucket]))
        bounds[shard - 1] = min((bucket << 48) + (within << 48) // size, 2**64 - 1)
    return bounds


def shards_of(places: Hashes, bounds: Hashes) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Returns, for each document, the number of its shard. ``places`` are the hashes that order the documents."""
    return np.asarray(np.searchsorted(bounds, places, "right"), np.int64)


def share_threshold(share: Decimal) -> int:
    """Returns the threshold for a share of documents. On average, this share of all documents has a smaller hash.

    >>> share_threshold(Decimal("0.5")) == 2**63
    True
    """
    return int(share * 2**64)


def held_out_by_share(hashes: Hashes, share: Decimal) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns a mask of the documents that are held out for validation, if the recipe holds out a share of the
    documents.

    ``hashes`` are made for the purpose ``validation``. A document is held out if its hash is below
    :func:`share_threshold`.
    """
    return np.asarray(hashes < np.uint64(share_threshold(share)))


def held_out_by_tokens(
    hashes: Hashes, doc_ids: Sequence[str] | pa.Array, num_tokens: Counts, end: Cut
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns a mask of the documents that are held out for validation, if the recipe holds out a number of tokens.

    Whole documents are held out, in the order of their hashes, up to and including the last document in ``end``.
    Together they have at least the wanted number of tokens. Without the last document, they would have fewer.
    """
    return np.asarray(tokens_kept(hashes, doc_ids, num_tokens, end) > 0)
