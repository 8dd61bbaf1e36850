"""Chooses documents by hash. If the last epoch of a source is partial, this module chooses its documents, exact to the
token.

A document's place in the order is a hash of its id, a named purpose, a seed, its source and the epoch. So the choice
does not depend on files, batches or workers. Choosing takes two passes over pairs of (hash, number of tokens):

1. Every worker makes a :func:`histogram` of tokens by the top 16 bits of the hash. The histograms are added with ``+``.
2. :func:`find_bucket` returns the bucket in which the wanted number of tokens is reached. :func:`cut` then looks only
   at the documents in that bucket. :func:`cut` returns the last document of the subset, and how many tokens of this
   document are kept.

A document is in the subset if its (hash, id) is smaller than the (hash, id) of the last document. The last document
keeps its first tokens.
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
    """Returns the number of tokens for each value of the hash's top 16 bits. If the documents are divided, the
    histograms of the parts add up to the histogram of the whole.
    """
    tokens = np.zeros(NUM_BUCKETS, np.int64)
    np.add.at(tokens, (hashes >> _BUCKET_SHIFT).astype(np.int64), np.asarray(num_tokens, np.int64))
    return tokens


def find_bucket(tokens_by_bucket: Counts, wanted_tokens: int) -> tuple[int, int]:
    """Returns the bucket in which the sum of tokens reaches ``wanted_tokens``, and the sum of the tokens in all buckets
    before it.

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
        """True if the last document loses tokens at its end, and so its eos."""
        return self.last_doc_tokens_kept < self.last_doc_tokens


def cut(hashes: Hashes, doc_ids: Sequence[str], num_tokens: Counts, wanted_in_bucket: int) -> Cut:
    """Returns the end of the subset. The arguments describe the documents of its last bucket, in any order.

    ``wanted_in_bucket`` is the number of tokens that the whole source should give, minus the tokens in earlier buckets.
    Equal hashes are ordered by id. Raises ValueError if the bucket has fewer tokens than ``wanted_in_bucket``.
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
    """Returns the number of tokens of each document that are in the subset. For the last document, this can be a part
    of its tokens. For all other documents, it is all or none.
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
    """Describes the part of an epoch that earlier stages used: all documents up to a certain document, in the order of
    the hashes.
    """

    epoch: int
    last_hash: int
    last_doc_id: str

    @classmethod
    def at(cls, seed: int, source: str, epoch: int, last_doc_id: str) -> Begun:
        """Returns the used part of an epoch, if ``last_doc_id`` is the last document that was used.

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
    """Returns the first hash of each shard except the first shard. The bounds are chosen so that shards have almost
    equal numbers of tokens.

    ``tokens_by_bucket`` is the :func:`histogram` of the documents' places in the order. A document that occurs several
    times is counted each time. A bucket is 1/65,536 of the range of hashes. Tokens are assumed to be spread evenly
    within a bucket. So each bound is wrong by at most one document, plus the difference between the real and the even
    spread in its bucket. The bounds do not change the order itself.

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
    """Returns, for each place in the order, the number of the shard that it belongs to."""
    return np.asarray(np.searchsorted(bounds, places, "right"), np.int64)


def share_threshold(share: Decimal) -> int:
    """Returns a hash as threshold. On average, this share of all documents has a smaller hash.

    >>> share_threshold(Decimal("0.5")) == 2**63
    True
    """
    return int(share * 2**64)


def held_out_by_share(hashes: Hashes, share: Decimal) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns a mask of the documents that are held out for validation, if a share of the documents is held out.

    These are the documents whose hash for the purpose ``validation`` is below the threshold.
    """
    return np.asarray(hashes < np.uint64(share_threshold(share)))


def held_out_by_tokens(
    hashes: Hashes, doc_ids: Sequence[str] | pa.Array, num_tokens: Counts, end: Cut
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns a mask of the documents that are held out to reach a number of validation tokens: whole documents, up to
    ``end``.

    These documents have at least the wanted number of tokens. If the last document were left out, they would have
    fewer.
    """
    return np.asarray(tokens_kept(hashes, doc_ids, num_tokens, end) > 0)
