"""What travels of a book in place of its text: a sketch of its shingles, and where all of them were spilled."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xxhash

from filters.overlap import shingles, sketch
from pipeline.files import Blob, SpillFile, blob_bytes, blob_from

PLACE_BYTES = 16
"""A batch id and a row."""
_HEAD = struct.Struct(">QI")  # key, number of hashes in the whole sketch
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
        """(bucket of hashes, key + size of the sketch + hashes of that bucket)."""
        buckets = self.sketched % np.uint64(num_buckets)
        for bucket in np.unique(buckets).tolist():
            yield (
                bucket,
                _HEAD.pack(self.key, len(self.sketched)) + self.sketched[buckets == bucket].astype("<u8").tobytes(),
            )


def signature(document_id: str, text: str, place: bytes, ngram_words: int, spill: SpillFile) -> Book:
    """Takes a book's shingles, spills them all, and keeps a sketch."""
    found = shingles(text, ngram_words=ngram_words)
    blob = spill.append(found.astype("<u8").tobytes())
    key = xxhash.xxh3_64_intdigest(place, seed=3)
    return Book(key, place, len(found), sketch(found), blob, document_id)


def sketch_length(payload: bytes) -> int:
    return (len(payload) - _HEAD.size) // 8


def parse_sketch(payload: bytes) -> tuple[int, int, np.ndarray]:
    """(key, size of the whole sketch, hashes) of a payload of :meth:`Book.sketch_payloads`."""
    key, size = _HEAD.unpack_from(payload)
    return key, size, np.frombuffer(payload, "<u8", offset=_HEAD.size)


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
