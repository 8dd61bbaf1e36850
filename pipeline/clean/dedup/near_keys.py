"""Makes the data that a document sends to the near dedup: a sketch of its shingles, and a reference to all its shingles
in a spill file.

A shingle is the hash of a word n-gram. A sketch is a sample of a document's shingles: all hashes below a threshold.
Documents are called books here, because this near dedup was made for books. It works for any source.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xxhash

from filters.books.overlap import shingles, sketch
from pipeline.clean.batch_address import ADDRESS_BYTES
from pipeline.files.spill import Blob, SpillFile, blob_bytes, blob_from

_HEAD = struct.Struct(">QIIH")  # key of the book, hashes in the whole sketch, number of shingles, bytes of the id
_INFO = struct.Struct(">QIH")  # number of shingles, number of hashes in the sketch, bytes of the id


class Book(NamedTuple):
    """Describes a document in the near dedup: its shingles, a sketch of them, and its address."""

    key: int
    """A hash of the address. Two books with the same id have different keys."""
    address: bytes
    num_shingles: int
    sketched: np.ndarray
    shingles_blob: Blob
    document_id: str

    def info(self, num_buckets: int) -> tuple[int, bytes]:
        """Returns the info of the book as (bucket, payload). The info has the values from which exact overlaps are
        computed.

        The payload is the key, a 0 byte, and these values.
        """
        name = self.document_id.encode()
        body = _INFO.pack(self.num_shingles, len(self.sketched), len(name)) + name + self.address
        return self.key % num_buckets, self.key.to_bytes(8, "big") + b"\0" + body + blob_bytes(self.shingles_blob)

    def sketch_payloads(self, num_buckets: int) -> Iterator[tuple[int, bytes]]:
        """Divides the sketch of the book among the buckets. Yields (bucket, payload) for each bucket that gets hashes.

        A payload has the key of the book, the number of hashes in the sketch, the number of all shingles, the id, and
        the hashes in this bucket. The id decides the order of books of equal length.
        """
        name = self.document_id.encode()
        head = _HEAD.pack(self.key, len(self.sketched), self.num_shingles, len(name)) + name
        buckets = self.sketched % np.uint64(num_buckets)
        order = np.argsort(buckets, kind="stable")
        hashes, buckets = self.sketched[order].astype("<u8"), buckets[order]
        starts = np.flatnonzero(np.diff(buckets, prepend=np.uint64(num_buckets)))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(hashes)], strict=False):
            yield int(buckets[start]), head + hashes[start:end].tobytes()


def signature(document_id: str, text: str, address: bytes, ngram_words: int, spill: SpillFile) -> Book:
    """Writes all shingles of a book to a spill file. Returns the book with a sketch (a sample of its shingles)."""
    found = shingles(text, ngram_words=ngram_words)
    blob = spill.append(found.astype("<u8").tobytes())
    key = xxhash.xxh3_64_intdigest(address, seed=3)
    return Book(key, address, len(found), sketch(found), blob, document_id)


class SketchSlice(NamedTuple):
    """Holds a part of a book's sketch: the hashes that belong to one bucket. A payload of :meth:`Book.sketch_payloads`
    has the same values as bytes."""

    key: int
    sketch_size: int
    num_shingles: int
    document_id: str
    hashes: np.ndarray


def parse_sketch(payload: bytes) -> SketchSlice:
    """Parses a payload that :meth:`Book.sketch_payloads` made."""
    key, size, num_shingles, name_bytes = _HEAD.unpack_from(payload)
    at = _HEAD.size + name_bytes
    name = payload[_HEAD.size : at].decode()
    return SketchSlice(key, size, num_shingles, name, np.frombuffer(payload, "<u8", offset=at))


class BookInfo(NamedTuple):
    """Holds the values of a :class:`Book` that are needed to compute its exact overlap with another book."""

    num_shingles: int
    sketch_size: int
    document_id: str
    address: bytes
    shingles_blob: Blob

    def shingles(self) -> np.ndarray:
        """Returns all shingles of the book, read from the spill file."""
        return np.frombuffer(self.shingles_blob.read(), "<u8")


def parse_info(body: bytes) -> BookInfo:
    """Parses a payload that :meth:`Book.info` made. ``body`` is the payload without the key and the 0 byte."""
    num_shingles, sketch_size, name_bytes = _INFO.unpack_from(body)
    at = _INFO.size + name_bytes
    name = body[_INFO.size : at].decode()
    address, blob = body[at : at + ADDRESS_BYTES], blob_from(body[at + ADDRESS_BYTES :])
    return BookInfo(num_shingles, sketch_size, name, address, blob)
