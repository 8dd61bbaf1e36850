"""Computes the keys of documents for the dedup across sources, and defines the byte layouts of the records.

New documents are those of the source that is cleaned. Kept documents are those of earlier sources. A document has three
kinds of keys: a hash of its text, the bands of its MinHash signature, and its sampled n-grams.

A record is a key, and the rank of the document that has the key. A rank identifies a document, and documents are sorted
by rank. The records of new documents are sent to the comparison. The records of kept documents are made from an index.
This module does not use Beam.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from filters.books.overlap import Hashes
from filters.near.minhash import band_keys, bands_of, sampled, signatures
from filters.near.ngrams import ngram_sets
from filters.near.resolve import RANK_BYTES, rank_of
from filters.urls import site_of
from pipeline.clean.batch_address import ROW
from pipeline.clean.dedup.exact_keys import other_columns
from pipeline.clean.dedup.min_hash_keys import RECORD, Card, content_hash
from pipeline.files.spill import SpillFile
from pipeline.sources.across_step import AcrossDedup

KINDS = np.uint64(3)
SAMPLE, BAND, TEXT = np.uint64(0), np.uint64(1), np.uint64(2)
"""The lowest two bits of a key show what the key is: a sampled n-gram, a band, or a hash of a text."""
NEW = 0xFF
"""The first byte of the rank of a new document. The ranks of kept documents begin with the number of their index."""
MAX_INDEXES = 0xFF
HASH_BYTES = 16

_PART_BITS, _ROW_BITS, _TIE_BITS = 22, 28, 14
_MAX_NGRAMS = 0xFFFFFF
_RANK = struct.Struct(">QQ")


class DocumentKeys(NamedTuple):
    """Holds the keys of the documents of a batch."""

    hashes: list[bytes]
    """One hash per text, 16 bytes each."""
    sets: list[Hashes]
    """The n-grams of each document, as hashes. The list is empty if only whole texts are compared."""
    is_compared: np.ndarray
    """One value per document: True if the document has enough n-grams to be compared by them. Other documents are
    compared only by the hash of the whole text."""
    bands: Hashes
    """The bands of the documents that are compared by n-grams: one row per document, in the order of the documents."""
    samples: list[Hashes]
    """The sampled n-grams of each document that is compared by n-grams."""


def text_hash(text: str) -> bytes:
    """Returns the hash of a text, 16 bytes. Texts with equal hashes are taken to be equal."""
    return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))


def keys_of(texts: Sequence[str], step: AcrossDedup) -> DocumentKeys:
    """Computes the keys of the documents that have these texts.

    A text with too few n-grams is compared only as a whole, not by its n-grams:

    >>> keys_of(["one two three"], AcrossDedup()).is_compared.tolist()
    [False]
    """
    hashes, near = [text_hash(text) for text in texts], step.near
    if near is None:
        return DocumentKeys(hashes, [], np.zeros(len(texts), np.bool_), np.empty((0, 0), np.uint64), [])
    sets = ngram_sets(texts, ngram_words=near.ngram_words)
    is_compared = np.array([len(one) >= near.min_ngrams for one in sets], np.bool_)
    compared = [one for one in sets if len(one) >= near.min_ngrams]
    bands = np.empty((len(compared), 0), np.uint64)
    if near.method in ("both", "minhash"):
        wanted = bands_of(near.threshold, near.num_perm)
        num_used = wanted.num_bands * wanted.num_rows
        found = signatures(compared, num_perm=near.num_perm, seed=near.seed, num_used=num_used)
        bands = band_keys(found, wanted)
    samples = [one[:0] for one in compared]
    if near.method in ("both", "sampled"):
        samples = [sampled(one, near.keep_one_in) for one in compared]
    return DocumentKeys(hashes, sets, is_compared, bands, samples)


def text_keys(hashes: Sequence[bytes]) -> Hashes:
    """Returns one key per text. The keys are made from the hashes of the texts."""
    both = np.frombuffer(b"".join(hashes), "<u8").reshape(len(hashes), 2)
    return (both[:, 0] & ~KINDS) | TEXT


def records_of(ranks: np.ndarray, texts: Hashes, bands: Hashes, owners: tuple[np.ndarray, np.ndarray],
               samples: Hashes) -> np.ndarray:  # fmt: skip
    """Returns the records of documents: one record per key, with the key and the document's rank.

    Args:
        ranks: one rank per document, as two numbers.
        texts: one key per document, made from its text; empty if whole texts are not compared.
        bands: the bands of all documents.
        owners: two arrays. The first has the number of the document that each band belongs to. The second has the
            number of the document that each sampled n-gram belongs to.
        samples: the sampled n-grams of all documents.
    """
    keys = np.concatenate([texts, (bands & ~KINDS) | BAND, (samples & ~KINDS) | SAMPLE])
    documents = np.concatenate([np.arange(len(texts)), *owners])
    records = np.empty(len(keys), RECORD)
    records["key"], records["high"], records["low"] = keys, ranks[documents, 0], ranks[documents, 1]
    return records


class NewDocument(NamedTuple):
    """Describes a new document for the dedup across sources. The document's keys are sent separately, as records."""

    rank: bytes
    text_hash: bytes
    card: Card

    def payload(self) -> bytes:
        """Returns the hash of the text and then the card, as bytes.

        :func:`new_cards` adds the rank and a mark before these bytes.
        """
        return self.text_hash + self.card.to_bytes()

    @classmethod
    def of(cls, rank: bytes, payload: bytes) -> NewDocument:
        """Reads a document from its rank and the bytes of :meth:`payload`."""
        return cls(rank, payload[:HASH_BYTES], Card.of(payload[HASH_BYTES:]))


def new_documents(
    batch: pa.RecordBatch, batch_id: bytes, rows: Sequence[int], step: AcrossDedup, spill: SpillFile
) -> tuple[list[NewDocument], np.ndarray]:
    """Spills the n-grams of the documents in a batch to disk. Returns the documents that take part in the dedup, and
    the records of these documents.

    A document takes part if it has enough n-grams. If the step also compares whole texts, every document with a text
    takes part.
    """
    ids, languages, texts = (batch.column(name).to_pylist() for name in ("id", "language", "text"))
    urls = batch.column("url").to_pylist() if "url" in batch.schema.names else [None] * batch.num_rows
    others, keys = other_columns(batch), keys_of(texts, step)
    found: list[NewDocument] = []
    places = np.full(len(ids), -1)
    for index, (name, text, is_compared) in enumerate(zip(ids, texts, keys.is_compared.tolist(), strict=True)):
        if not is_compared and not (step.exact and text):
            continue
        ngrams = keys.sets[index] if is_compared else np.empty(0, np.uint64)
        blob = spill.append(ngrams.astype("<u8").tobytes())
        address = batch_id + ROW.pack(rows[index])
        card = Card(address, name, languages[index] or "und", site_of(urls[index] or ""), blob)
        rank = rank_of(NEW, len(ngrams), content_hash(name, text, others[index]), address)
        places[index] = len(found)
        found.append(NewDocument(rank, keys.hashes[index], card))
    ranks = np.frombuffer(b"".join(one.rank for one in found), ">u8").reshape(len(found), 2)
    compared = places[keys.is_compared]
    of_bands = np.repeat(compared, keys.bands.shape[1])
    of_samples = np.repeat(compared, [len(one) for one in keys.samples])
    samples = np.concatenate([*keys.samples, np.empty(0, np.uint64)])
    own = text_keys([one.text_hash for one in found]) if step.exact else np.empty(0, np.uint64)
    return found, records_of(ranks, own, keys.bands.ravel(), (of_bands, of_samples), samples)


def kept_ranks(number: int, part: int, first_row: int, num_ngrams: np.ndarray, ties: Hashes) -> np.ndarray:
    """Returns the ranks of kept documents. The documents are in consecutive rows of an index file, from ``first_row``
    on.

    A rank identifies a document, and documents are sorted by rank. It consists of two 64-bit numbers. They contain, in
    this order: the number of the index; the number of n-grams, stored so that longer documents sort first; a hash of
    the document (``ties``); and the place of the document (``part`` and row).
    """
    assert number < MAX_INDEXES, number
    assert part < 1 << _PART_BITS, f"{part}: an index has too many parts"
    assert first_row + len(ties) <= 1 << _ROW_BITS, f"part {part} has too many documents for an index"
    lengths = np.uint64(_MAX_NGRAMS) - np.minimum(num_ngrams, _MAX_NGRAMS).astype(np.uint64)
    high = np.uint64(number << 56) | (lengths << np.uint64(32)) | (ties >> np.uint64(32))
    place = np.uint64(part << _ROW_BITS) + np.arange(first_row, first_row + len(ties), dtype=np.uint64)
    low = ((ties & np.uint64((1 << _TIE_BITS) - 1)) << np.uint64(_PART_BITS + _ROW_BITS)) | place
    return np.stack([high, low], axis=1)


class Place(NamedTuple):
    """Says where a kept document is: the number of its index, the number of the index file (part), and the row in this
    file.
    """

    number: int
    part: int
    row: int

    @classmethod
    def of(cls, rank: bytes) -> Place:
        """Reads the place from the rank of a kept document.

        >>> ranks = kept_ranks(3, 7, 41, np.array([120]), np.array([2**63], np.uint64)).astype(">u8")
        >>> Place.of(ranks[0].tobytes())
        Place(number=3, part=7, row=41)
        """
        high, low = _RANK.unpack(rank)
        return cls(high >> 56, low >> _ROW_BITS & ((1 << _PART_BITS) - 1), low & ((1 << _ROW_BITS) - 1))


def new_cards(documents: Sequence[NewDocument], mark: bytes, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Yields (bucket, payload) for each new document. The payload consists of the document's rank, ``mark``, the hash
    of its text, and its card (a short description).

    The byte ``mark`` distinguishes these payloads from others that begin with the rank.
    """
    for one in documents:
        yield int.from_bytes(one.rank[8:RANK_BYTES], "big") % num_buckets, one.rank + mark + one.payload()
