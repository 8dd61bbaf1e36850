"""What travels of a book in place of its text: a sketch of its shingles, and where all of them were spilled."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xxhash

from filters.books.overlap import shingles, sketch
from pipeline.files.spill import Blob, SpillFile, blob_bytes, blob_from

PLACE_BYTES = 16
"""A batch id and a row."""
_HEAD = struct.Struct(">QIIH")  # key, number of hashes in the whole sketch, of shingles, bytes of the id
_INFO = struct.Struct(">QIH")  # number of shingles, of sketched ones, bytes of the id


class Book(NamedTuple):
    """A book as the near dedup sees it."""

    key: int
    """A hash of its place: two books of one id stay two."""
    place: bytes
    num_shingles: int
    sketched: np.ndarray
    shingles_blob: Blob
    document_id: str

    def info(self, num_buckets: int) -> tuple[int, bytes]:
        """(bucket of its key, key + 0 + all that the verification needs)."""
        name = self.document_id.encode()
        body = _INFO.pack(self.num_shingles, len(self.sketched), len(name)) + name + self.place
        return self.key % num_buckets, self.key.to_bytes(8, "big") + b"\0" + body + blob_bytes(self.shingles_blob)

    def sketch_payloads(self, num_buckets: int) -> Iterator[tuple[int, bytes]]:
        """(bucket of hashes, key + sizes + id + hashes of that bucket); the id since it decides between equal books."""
        name = self.document_id.encode()
        head = _HEAD.pack(self.key, len(self.sketched), self.num_shingles, len(name)) + name
        buckets = self.sketched % np.uint64(num_buckets)
        order = np.argsort(buckets, kind="stable")
        hashes, buckets = self.sketched[order].astype("<u8"), buckets[order]
        starts = np.flatnonzero(np.diff(buckets, prepend=np.uint64(num_buckets)))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(hashes)], strict=False):
            yield int(buckets[start]), head + hashes[start:end].tobytes()


def signature(document_id: str, text: str, place: bytes, ngram_words: int, spill: SpillFile) -> Book:
    """Takes a book's shingles, spills them all, and keeps a sketch."""
    found = shingles(text, ngram_words=ngram_words)
    blob = spill.append(found.astype("<u8").tobytes())
    key = xxhash.xxh3_64_intdigest(place, seed=3)
    return Book(key, place, len(found), sketch(found), blob, document_id)


class SketchPart(NamedTuple):
    """A payload of :meth:`Book.sketch_payloads`."""

    key: int
    sketch_size: int
    num_shingles: int
    document_id: str
    hashes: np.ndarray


def parse_sketch(payload: bytes) -> SketchPart:
    key, size, num_shingles, name_bytes = _HEAD.unpack_from(payload)
    at = _HEAD.size + name_bytes
    name = payload[_HEAD.size : at].decode()
    return SketchPart(key, size, num_shingles, name, np.frombuffer(payload, "<u8", offset=at))


class BookInfo(NamedTuple):
    num_shingles: int
    sketch_size: int
    document_id: str
    place: bytes
    shingles_blob: Blob

    def shingles(self) -> np.ndarray:
        return np.frombuffer(self.shingles_blob.read(), "<u8")


def parse_info(body: bytes) -> BookInfo:
    """What :meth:`Book.info` wrote behind key and 0."""
    num_shingles, sketch_size, name_bytes = _INFO.unpack_from(body)
    at = _INFO.size + name_bytes
    name = body[_INFO.size : at].decode()
    return BookInfo(num_shingles, sketch_size, name, body[at : at + PLACE_BYTES], blob_from(body[at + PLACE_BYTES :]))
