"""Computes MinHash signatures of many documents in arrays. The signatures are equal bit for bit to those of
``datasketch.MinHash``.

A signature has ``num_perm`` numbers. The fraction of positions at which two signatures have equal numbers estimates the
Jaccard similarity of two documents. Locality-sensitive hashing (LSH) cuts a signature into bands of rows. Documents
that agree in all rows of one band are candidates: with b bands of r rows, two documents of similarity J become
candidates with a probability of 1 - (1 - J^r)^b (Leskovec et al., Mining of Massive Datasets, section 3.4). This module
only finds candidates. A later step compares the n-grams of the candidates, and decides which candidates are removed.

The permutations are equal to those of ``datasketch.MinHash(num_perm, seed)`` with the scheme ``affine32``. To query our
signatures with datasketch, pass it our hash function:

>>> import datasketch
>>> theirs = datasketch.MinHash(num_perm=16, seed=1, hashfunc=ngram_hash)
>>> theirs.update(b"it was the best of")
>>> from filters.near.ngrams import ngram_sets
>>> ours = signatures(ngram_sets(["It was the BEST of"], ngram_words=5), num_perm=16, seed=1)
>>> bool((theirs.hashvalues == ours[0]).all())
True
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.books.overlap import Hashes, mix, ngram_hashes, normalise, word_hashes
from filters.near.hashing import lowest_permuted

Signatures = npt.NDArray[np.uint32]
"""An array of shape (number of documents, num_perm). If a document has no n-grams, all bits of its row are 1. Such
documents must not get bands, because all of them would match each other."""

SCHEME = "affine32"


def ngram_hash(ngram: bytes) -> int:
    """Returns the 32-bit hash of an n-gram: the upper half of our 64-bit hash.

    The n-gram must consist of normalised words with one space between them. The function is slow and meant for queries;
    :func:`signatures` reuses hashes that were computed before.

    >>> ngram_hash(b"it was the best of") == ngram_hash(b"it was the worst of")
    False
    """
    words, _ = word_hashes(ngram)
    return int(ngram_hashes(words, words.size)[0] >> np.uint64(32))


Permutations = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]
"""The factors and the summands of the permutations, modulo 2^32."""


@functools.cache
def permutations(num_perm: int, seed: int) -> Permutations:
    """Returns the permutations that ``datasketch.MinHash`` uses for this seed."""
    import datasketch  # here, because it imports much of SciPy, which a run without this dedup does not need

    a, b = datasketch.MinHash(num_perm=num_perm, seed=seed, scheme=SCHEME).permutations
    return np.asarray(a, np.uint32), np.asarray(b, np.uint32)


class Bands(NamedTuple):
    """Describes how LSH splits a signature: into ``num_bands`` bands of ``num_rows`` numbers each. These are the first
    numbers of the signature. Any further numbers are not used."""

    num_bands: int
    num_rows: int


@functools.cache
def bands_of(threshold: float, num_perm: int) -> Bands:
    """Returns the bands that ``datasketch.MinHashLSH`` chooses for signatures of ``num_perm`` numbers.

    Pairs with a Jaccard similarity of at least ``threshold`` should be found.

    >>> bands_of(0.5, 64)
    Bands(num_bands=14, num_rows=4)
    """
    import datasketch

    index = datasketch.MinHashLSH(threshold=threshold, num_perm=num_perm)
    return Bands(index.b, index.r)


def signatures(sets: Sequence[Hashes], *, num_perm: int, seed: int, num_used: int | None = None) -> Signatures:
    """Returns the signatures of documents from their n-grams.

    Args:
        sets: the 64-bit hashes that :func:`filters.near.ngrams.ngram_sets` returns.
        num_used: how many numbers of each signature to compute; None for all. The bands may need only the first
            numbers.
    """
    together = np.concatenate([*sets, np.empty(0, np.uint64)]) >> np.uint64(32)
    return _signatures(together.astype(np.uint32), [len(one) for one in sets], permutations(num_perm, seed), num_used)


def signatures_sha1(texts: Sequence[str], *, ngram_words: int, num_perm: int, seed: int) -> Signatures:
    """Returns signatures made with datasketch's default hash function (SHA-1), for comparison with sketches that
    datasketch made.

    This function calls SHA-1 once per n-gram, so it is several times slower than :func:`signatures`.
    """
    sets = [_sha1_hashes(text, ngram_words) for text in texts]
    together = np.concatenate([*sets, np.empty(0, np.uint32)])
    return _signatures(together, [len(one) for one in sets], permutations(num_perm, seed), None)


def _sha1_hashes(text: str, ngram_words: int) -> npt.NDArray[np.uint32]:
    words = normalise(text).split()
    grams = {b" ".join(words[at : at + ngram_words]) for at in range(len(words) - ngram_words + 1)}
    return np.frombuffer(b"".join(hashlib.sha1(gram, usedforsecurity=False).digest()[:4] for gram in grams), "<u4")


def _signatures(
    hashes: npt.NDArray[np.uint32], sizes: Sequence[int], permuted_by: Permutations, num_used: int | None
) -> Signatures:
    factors, summands = (np.ascontiguousarray(one[:num_used]) for one in permuted_by)
    found = np.full((len(sizes), factors.size), 0xFFFFFFFF, np.uint32)
    ends = np.cumsum([0, *sizes], dtype=np.int64)
    assert ends[-1] == hashes.size, "a hash without a document"
    assert factors.size == summands.size, "a permutation without a summand"
    lowest_permuted(hashes, ends, factors, summands, found)
    return found


def band_keys(found: Signatures, bands: Bands) -> Hashes:
    """Returns a 64-bit key per band of each signature, as an array of shape (documents, bands).

    The number of the band is part of the key, so equal numbers in two different bands give different keys.

    >>> keys = band_keys(np.array([[1, 2, 3, 4], [1, 2, 9, 9]], np.uint32), Bands(2, 2))
    >>> (keys[0] == keys[1]).tolist()
    [True, False]
    """
    rows = found[:, : bands.num_bands * bands.num_rows].reshape(len(found), *bands)
    keys = np.broadcast_to(np.arange(1, bands.num_bands + 1, dtype=np.uint64), rows.shape[:2]).copy()
    for row in range(bands.num_rows):
        keys *= np.uint64(0xFF51AFD7ED558CCD)
        keys += rows[:, :, row]
        keys = mix(keys)
    return keys


def sampled(hashes: Hashes, keep_one_in: int) -> Hashes:
    """Returns a sample of a document's n-grams. It contains the n-grams whose hash is at most 1 / ``keep_one_in`` of
    the largest possible hash.

    If two documents share an n-gram, either both samples contain it or neither does. So the samples show whether one
    document is contained in another.
    """
    limit = np.uint64(((1 << 64) - 1) // keep_one_in)
    return hashes[: int(np.searchsorted(hashes, limit, side="right"))]
