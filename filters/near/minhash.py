"""MinHash signatures, equal to those of ``datasketch.MinHash`` bit for bit, computed in arrays.

A signature has ``num_perm`` numbers. The share of equal numbers of two signatures estimates the Jaccard similarity of
two documents. Locality-sensitive hashing (LSH) cuts a signature into bands of rows. Documents that agree in all rows of
one band are candidates: with b bands of r rows, two documents of similarity J become candidates with a probability of
1 - (1 - J^r)^b (Leskovec et al., Mining of Massive Datasets, section 3.4). Here candidates are only nominated: the
n-grams decide.

The permutations are those of ``datasketch.MinHash(num_perm, seed)`` under its scheme ``affine32``. To query our
signatures with datasketch, give it the hash function that made them:

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

import datasketch
import numpy as np
import numpy.typing as npt

from filters.books.overlap import Hashes, mix, ngram_hashes, normalise, word_hashes

Signatures = npt.NDArray[np.uint32]
"""(number of documents, num_perm). A document without n-grams has only ones: it equals no document's signature here,
because it gets no band."""

SCHEME = "affine32"
_BLOCK = 1 << 16
"""Numbers that are permuted at once: 256 kB stay in a core's cache."""


def ngram_hash(ngram: bytes) -> int:
    """Returns the 32-bit hash of an n-gram (normalised words with one space between): the upper half of our 64 bits.

    It is slow and meant for queries: :func:`signatures` takes the hashes that exist anyway.

    >>> ngram_hash(b"it was the best of") == ngram_hash(b"it was the worst of")
    False
    """
    words, _ = word_hashes(ngram)
    return int(ngram_hashes(words, words.size)[0] >> np.uint64(32))


Permutations = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]
"""The factors and summands of the permutations, modulo 2^32."""


@functools.cache
def permutations(num_perm: int, seed: int) -> Permutations:
    """Returns the permutations of ``datasketch.MinHash``."""
    a, b = datasketch.MinHash(num_perm=num_perm, seed=seed, scheme=SCHEME).permutations
    return np.asarray(a, np.uint32), np.asarray(b, np.uint32)


class Bands(NamedTuple):
    """How LSH cuts a signature: its first ``num_bands * num_rows`` numbers are used."""

    num_bands: int
    num_rows: int


@functools.cache
def bands_of(threshold: float, num_perm: int) -> Bands:
    """Returns the bands that ``datasketch.MinHashLSH`` chooses for a threshold.

    >>> bands_of(0.5, 64)
    Bands(num_bands=14, num_rows=4)
    """
    index = datasketch.MinHashLSH(threshold=threshold, num_perm=num_perm)
    return Bands(index.b, index.r)


def signatures(sets: Sequence[Hashes], *, num_perm: int, seed: int, num_used: int | None = None) -> Signatures:
    """Returns the signatures of documents, from the sets of 64-bit hashes of :func:`filters.near.ngrams.ngram_sets`.

    ``num_used`` numbers of each are computed, if the bands need no more; the default is all.
    """
    together = np.concatenate([*sets, np.empty(0, np.uint64)]) >> np.uint64(32)
    return _signatures(together.astype(np.uint32), [len(one) for one in sets], permutations(num_perm, seed), num_used)


def signatures_sha1(texts: Sequence[str], *, ngram_words: int, num_perm: int, seed: int) -> Signatures:
    """Returns signatures with datasketch's own hash function, SHA-1 of each n-gram: for users of other sketches.

    A call of SHA-1 for each n-gram makes this several times slower than :func:`signatures`.
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
    factors, summands = (one[:num_used, None] for one in permuted_by)
    num_perm = len(factors)
    found = np.full((len(sizes), num_perm), 0xFFFFFFFF, np.uint32)
    space = np.empty(max(_BLOCK, num_perm), np.uint32)
    per_block = max(1, _BLOCK // num_perm)
    mixed = _fmix(hashes)
    end = 0
    for signature, size in zip(found, sizes, strict=True):
        first, end = end, end + size
        for start in range(first, end, per_block):
            block = mixed[start : min(start + per_block, end)]
            permuted = space[: num_perm * block.size].reshape(num_perm, block.size)
            np.multiply(factors, block, out=permuted)
            np.add(permuted, summands, out=permuted)
            if start == first:
                np.minimum.reduce(permuted, axis=1, out=signature)
            else:
                np.minimum(signature, permuted.min(axis=1), out=signature)
    return found


def _fmix(hashes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The finaliser of MurmurHash3 for 32 bits, with which datasketch mixes every hash first."""
    hashes = hashes ^ (hashes >> np.uint32(16))
    hashes *= np.uint32(0x85EBCA6B)
    hashes ^= hashes >> np.uint32(13)
    hashes *= np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


def band_keys(found: Signatures, bands: Bands) -> Hashes:
    """Returns a 64-bit key of each band of each signature: (documents, bands). Bands differ in all keys by number.

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
    """Returns the sample of a document's n-grams by which containment is found: a mixed hash decides.

    The same n-gram is in the sample of every document that contains it, or of none.
    """
    limit = np.uint64(((1 << 64) - 1) // keep_one_in)
    return hashes[: int(np.searchsorted(hashes, limit, side="right"))]
