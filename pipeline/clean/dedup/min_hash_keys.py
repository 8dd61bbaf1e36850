"""Defines the byte layouts of the records and cards that documents send to the near dedup instead of their texts.

A rank identifies a document. Documents are sorted by rank, and of two documents that overlap, the one with the smaller
rank is kept. A record is a key and the rank of the document that has the key. A key is a band of the MinHash signature,
or a sampled n-gram. The records of a batch are packed by bucket.

A card has everything that the dedup needs to verify and report a document: the document's address, id, language and
host, and a reference to its n-grams on disk. This module does not use Beam.
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
from filters.near.ngrams import Measured, ngram_sets
from filters.near.resolve import RANK_BYTES, rank_of
from filters.urls import site_of
from pipeline.clean.batch_address import ADDRESS_BYTES, ROW
from pipeline.clean.dedup.exact_keys import other_columns
from pipeline.clean.dedup.line_keys import scopes_of
from pipeline.files.spill import Blob, SpillFile, blob_bytes, blob_from
from pipeline.sources.min_hash_step import ALL, MinHashDedup

RECORD = np.dtype([("key", "<u8"), ("high", "<u8"), ("low", "<u8")])
"""The NumPy type of a record: a key, and the rank of a document as two numbers. The lowest bit of a key shows its kind:
1 for a band, 0 for an n-gram."""

_LENGTHS = struct.Struct(">IHH")
_SHARE = struct.Struct(">ddI")


class Card(NamedTuple):
    """Holds everything that the near dedup needs to know about a document, except its rank."""

    address: bytes
    document_id: str
    language: str
    host: str
    ngrams: Blob
    """A reference to the document's n-grams in a spill file (a temporary file). The n-grams are stored as sorted 64-bit
    hashes."""

    def to_bytes(self) -> bytes:
        fields = [self.document_id.encode(), self.language.encode(), self.host.encode()]
        return self.address + _LENGTHS.pack(*map(len, fields)) + b"".join(fields) + blob_bytes(self.ngrams)

    @classmethod
    def of(cls, data: bytes) -> Card:
        """Reads a card from its bytes.

        >>> card = Card(bytes(16), "id", "en", "example.org", Blob("spill/x", 3, 5, 7))
        >>> Card.of(card.to_bytes()) == card
        True
        """
        at, fields = ADDRESS_BYTES + _LENGTHS.size, []
        for length in _LENGTHS.unpack_from(data, ADDRESS_BYTES):
            fields.append(data[at : at + length].decode())
            at += length
        return cls(data[:ADDRESS_BYTES], fields[0], fields[1], fields[2], blob_from(data[at:]))

    def read_ngrams(self) -> Hashes:
        """Reads the document's n-grams from the spill file."""
        return np.frombuffer(self.ngrams.read(), "<u8")


def id_in(card: bytes) -> bytes:
    """Returns the id of a document as UTF-8. ``card`` is the document's card as bytes. The other fields are not
    read.
    """
    start = ADDRESS_BYTES + _LENGTHS.size
    return card[start : start + _LENGTHS.unpack_from(card, ADDRESS_BYTES)[0]]


def ngrams_in(card: bytes) -> bytes:
    """Returns the reference to a document's n-grams, as bytes. ``card`` is the document's card as bytes.

    >>> card = Card(bytes(16), "id", "en", "example.org", Blob("spill/x", 3, 5, 7))
    >>> id_in(card.to_bytes()), ngrams_in(card.to_bytes()) == blob_bytes(card.ngrams)
    (b'id', True)
    """
    return card[ADDRESS_BYTES + _LENGTHS.size + sum(_LENGTHS.unpack_from(card, ADDRESS_BYTES)) :]


class Overlap(NamedTuple):
    """Describes a pair of documents and their overlap. If the overlap is above the limit and the document ``kept`` is
    kept, the document ``removed`` is removed.
    """

    removed: Card
    kept: Card
    containment: float
    """The share of the n-grams of ``removed`` that are also in ``kept``, from 0 to 1."""
    jaccard: float
    num_shared: int

    def to_bytes(self) -> bytes:
        found = Measured(self.num_shared, self.containment, self.jaccard)
        return overlap_bytes(found, self.removed.to_bytes(), self.kept.to_bytes())

    @classmethod
    def of(cls, data: bytes) -> Overlap:
        """Reads a pair from its bytes.

        >>> card = Card(bytes(16), "id", "en", "example.org", Blob("spill/x", 3, 5, 7))
        >>> Overlap.of(Overlap(card, card, 1.0, 0.5, 8).to_bytes()) == Overlap(card, card, 1.0, 0.5, 8)
        True
        """
        containment, jaccard, num_shared = _SHARE.unpack_from(data)
        start = _SHARE.size + 4
        end = start + int.from_bytes(data[_SHARE.size : start], "big")
        return cls(Card.of(data[start:end]), Card.of(data[end:]), containment, jaccard, num_shared)


def overlap_bytes(found: Measured, removed: bytes, kept: bytes) -> bytes:
    """Returns a pair as bytes. ``found`` has the overlap; ``removed`` and ``kept`` are the cards as bytes."""
    head = _SHARE.pack(found.containment, found.jaccard, found.num_shared)
    return b"".join((head, len(removed).to_bytes(4, "big"), removed, kept))


def overlaps_of(data: bytes, at: int) -> tuple[float, float]:
    """Returns the containment and the Jaccard similarity of a pair. The bytes of the pair begin at position ``at`` of
    ``data``."""
    containment, jaccard, _ = _SHARE.unpack_from(data, at)
    return containment, jaccard


class Keyed(NamedTuple):
    """Holds the cards and the records of a batch's documents. Documents that take no part in the near dedup are left
    out.
    """

    cards: list[tuple[bytes, Card]]
    """The rank and the card of each document."""
    records: np.ndarray


def hosts_of(batch: pa.RecordBatch) -> list[str]:
    """Returns the host of each document's URL. A document without a host gets ""."""
    if "url" not in batch.schema.names:
        return [""] * batch.num_rows
    return [site_of(url or "") for url in batch.column("url").to_pylist()]


def keyed(
    batch: pa.RecordBatch, batch_id: bytes, rows: Sequence[int], step: MinHashDedup, spill: SpillFile, *,
    hosts: Sequence[str],
) -> Keyed:  # fmt: skip
    """Returns what a batch's documents send to the near dedup: one :class:`Card` per document, and one record for each
    key of a document. Writes the n-grams of the documents to the spill file.

    A document gets no card and no records if it has fewer than ``min_ngrams`` n-grams, or if its scope is None
    (:func:`scopes_of`). ``hosts`` has the host of each document's URL, or "".
    """
    ids, languages, texts = (batch.column(name).to_pylist() for name in ("id", "language", "text"))
    others = other_columns(batch)
    scopes = [""] * batch.num_rows if step.scope == ALL else scopes_of(batch, step.scope)
    sets = ngram_sets(texts, ngram_words=step.ngram_words)
    cards, compared, salts = [], [], []
    for index, (ngrams, scope) in enumerate(zip(sets, scopes, strict=True)):
        if len(ngrams) >= step.min_ngrams and scope is not None:
            blob = spill.append(ngrams.astype("<u8").tobytes())
            address = batch_id + ROW.pack(rows[index])
            card = Card(address, ids[index], languages[index] or "und", hosts[index], blob)
            content = content_hash(ids[index], texts[index], others[index])
            cards.append((rank_of(0, len(ngrams), content, address), card))
            compared.append(ngrams)
            salts.append(0 if step.scope == ALL else xxhash.xxh3_64_intdigest(scope.encode()))
    return Keyed(cards, _records([one for one, _ in cards], compared, np.array(salts, np.uint64), step))


def content_hash(document_id: str, text: str, others: tuple[object, ...]) -> bytes:
    """Returns a hash of a document. The hash decides the order of documents that have equally many n-grams."""
    digest = xxhash.xxh3_64(document_id.encode())
    digest.update(b"\0")
    digest.update(text.encode("utf-8", "replace"))
    digest.update(repr(others).encode("utf-8", "replace"))
    return digest.digest()


def _records(ranks: list[bytes], sets: list[Hashes], salts: np.ndarray, step: MinHashDedup) -> np.ndarray:
    """Returns the records of the documents. A document has one record per key.

    ``salts`` has a number for each document's scope, which is mixed into the keys. So documents of different scopes
    never share a key, and only documents of the same scope are compared.
    """
    own = np.frombuffer(b"".join(ranks), ">u8").reshape(len(ranks), 2)
    found = []
    if step.method in ("both", "minhash"):
        bands = bands_of(step.threshold, step.num_perm)
        num_used = bands.num_bands * bands.num_rows
        of_bands = band_keys(signatures(sets, num_perm=step.num_perm, seed=step.seed, num_used=num_used), bands)
        owners = np.repeat(np.arange(len(sets)), bands.num_bands)
        found.append(((of_bands.ravel() ^ salts[owners]) | np.uint64(1), owners))
    if step.method in ("both", "sampled"):
        samples = [sampled(one, step.keep_one_in) for one in sets]
        owners = np.repeat(np.arange(len(sets)), [len(one) for one in samples])
        of_samples = np.concatenate([*samples, np.empty(0, np.uint64)])
        found.append(((of_samples ^ salts[owners]) & ~np.uint64(1), owners))
    keys, owners = (np.concatenate(columns) for columns in zip(*found, strict=True))
    records = np.empty(len(keys), RECORD)
    records["key"], records["high"], records["low"] = keys, own[owners, 0], own[owners, 1]
    return records


_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def packed_records(records: np.ndarray, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Groups records by bucket. Yields (bucket, payload). The payload has the bytes of the bucket's records. The bucket
    of a record depends only on its key.

    ``num_buckets`` must be a power of two.
    """
    shift = np.uint64(64 - (num_buckets.bit_length() - 1))
    # Sampled n-grams are small numbers. The product spreads them over the buckets.
    buckets = (records["key"] * _SPREAD) >> shift if num_buckets > 1 else np.zeros(len(records), np.uint64)
    order = np.argsort(buckets.astype(np.uint32), kind="stable")
    records, buckets = records[order], buckets[order]
    starts = np.flatnonzero(np.diff(buckets, prepend=np.uint64(num_buckets)))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(records)], strict=False):
        yield int(buckets[start]), records[start:end].tobytes()


def card_bucket(rank: bytes, num_buckets: int) -> int:
    """Returns the number of the bucket that a document's :class:`Card` goes to. It depends only on the document's
    rank.
    """
    assert len(rank) == RANK_BYTES, len(rank)
    return int.from_bytes(rank[8:], "big") % num_buckets
