"""Makes and reads the index of one shard. The index shows which blocks of rows contain a given piece of text, and which
rows have a given id.

A block consists of the rows that begin within the same 8,192 tokens of the shard. A bucket stands for all pieces whose
numbers (:func:`mixtures.find.grams.minima`) have the same upper bits. The index stores which buckets occur in which
blocks, and takes at most 0.3 of the shard's bytes. If it would be larger, it has fewer buckets. A search then decodes
more blocks that do not contain its string.

Layout, little-endian: magic, the shard's SHA-256, nine counts; the first row of each block and the end of the last
(uint32); the rows sorted by a hash of their ids (uint32); the entries of `common.CommonPieces` (uint32); the three
parts of `postings.Numbers`; the checksums of `checked_file`. `postings.Numbers` has the number
``bucket * num_blocks + block`` for each bucket that occurs in a block.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from mixtures.find.checked_file import CheckedArray, CheckedFile, checksum_bytes, with_checksums
from mixtures.find.common import COUNTED_BLOCKS, CommonPieces, count_common
from mixtures.find.grams import SEPARATOR, minima
from mixtures.find.limits import MAX_SHARE
from mixtures.find.postings import Numbers, encode, encoded_bytes
from mixtures.shards import ShardInfo, read_batches
from tokenizer.encode import Encoder

Array = np.ndarray[Any, Any]

BLOCK_TOKENS = 8_192
FOLDER = "index"

_MAGIC = b"LMXFIND4"
_HEADER = struct.Struct("<8s32s9Q")
_MAX_BUCKET_BITS = 32
_MAX_COMMON_SHARE = 0.01
"""Largest size of the common pieces in an index, as a fraction of its shard's size."""
_PART_NUMBERS = 1 << 21
_FEW_FALSE_BLOCKS = 1 << 12
"""The target for false candidates: when a piece is looked up, one in this many blocks is decoded although it lacks the
piece. A larger index would hardly be faster."""


def index_path(folder: Path, info: ShardInfo) -> Path:
    """Returns the path of a shard's index.

    >>> info = ShardInfo(path="shards/train-0.arrow", rows=0, tokens=0, bytes=0, sha256="", sources={})
    >>> index_path(Path("out"), info).as_posix()
    'out/index/shards/train-0.find'
    """
    return folder / FOLDER / Path(info.path).with_suffix(".find")


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Holds the index of a shard. If it was read from a file, its arrays are memory-mapped, and their checksums are
    compared when they are used."""

    sha256: str
    """Checksum of the shard from which the index was made."""
    bucket_bits: int
    """How many upper bits of a piece's number (:func:`mixtures.find.grams.minima`) are used to choose its bucket."""
    block_rows: Array
    """The first row of each block, then the end of the last block."""
    id_rows: Array | CheckedArray
    """The shard's rows, sorted by `id_hash`."""
    common: CommonPieces
    """The common pieces of the shard. They decide which pieces of a text are sampled."""
    numbers: Numbers
    """The pairs of bucket and block, each as the number ``bucket * num_blocks + block``."""

    @classmethod
    def read(cls, path: Path, *, is_whole: bool = False) -> ShardIndex:
        """Opens the file of an index. If ``is_whole`` is True, compares the whole file with its checksums now.
        Otherwise, each part is compared when it is used.

        Raises:
            ValueError: the file is damaged or incomplete, or has a different version.
        """
        file = CheckedFile(path)
        if is_whole:
            file.read(0, file.num_bytes)
        if file.num_bytes < _HEADER.size:
            raise file.damaged()
        magic, sha256, *counts = _HEADER.unpack(file.read(0, _HEADER.size).tobytes())
        num_rows, num_blocks, num_common, bucket_bits, count, low_bits, low, high, samples = counts
        sizes = [4 * (num_blocks + 1), 4 * num_rows, 4 * num_common, low, high, 4 * samples]
        if magic != _MAGIC or file.num_bytes != _HEADER.size + sum(sizes):
            raise file.damaged()
        ends = (_HEADER.size + np.cumsum([0, *sizes])).tolist()
        types = ("<u4", "<u4", "<u4", "u1", "u1", "<u4")
        block_rows, id_rows, common, *parts = (
            CheckedArray(file, begin, end, dtype) for (begin, end), dtype in zip(pairwise(ends), types, strict=True)
        )
        numbers = Numbers(count, low_bits, *parts)
        return cls(sha256.hex(), bucket_bits, block_rows[:], id_rows, CommonPieces(common), numbers)

    @property
    def num_blocks(self) -> int:
        return len(self.block_rows) - 1

    def candidates(self, wanted: bytes) -> Array:
        """Returns the blocks that may contain a string of at least 20 bytes. The result has every block that contains
        the string, and a few other blocks."""
        found, pieces = np.arange(self.num_blocks), minima(wanted, self.common)
        for bucket in np.unique(
            pieces >> np.uint32(32 - self.bucket_bits) if self.bucket_bits else pieces * 0
        ).tolist():
            begin = bucket * self.num_blocks
            here = self.numbers.between(begin, begin + self.num_blocks) - begin
            found = np.intersect1d(found, here, assume_unique=True)
            if not len(found):
                break
        return found

    def rows(self, blocks: Array) -> list[tuple[int, int]]:
        """Returns the ranges of rows in these blocks. A range is a pair: its first row, and the row after its last.

        Neighbouring blocks are joined into one range. ``blocks`` is sorted.
        """
        is_first = np.diff(blocks, prepend=-2) != 1
        lasts = blocks[np.append(is_first[1:], True)]
        return list(zip(self.block_rows[blocks[is_first]].tolist(), self.block_rows[lasts + 1].tolist(), strict=True))

    def as_bytes(self) -> bytes:
        """Returns the index in the format of its file."""
        n = self.numbers
        entries = self.common.entries
        counts = (len(self.id_rows), self.num_blocks, len(entries), self.bucket_bits, n.count, n.low_bits)
        head = _HEADER.pack(
            _MAGIC, bytes.fromhex(self.sha256), *counts, len(n.low), len(n.high), len(n.samples)
        )  # fmt: skip
        rows = (self.block_rows.astype("<u4"), self.id_rows[:].astype("<u4"))
        arrays = (*rows, entries[:].astype("<u4"), n.low[:], n.high[:], n.samples[:])
        return with_checksums(head + b"".join(array.tobytes() for array in arrays))


def make_index(shard: Path, info: ShardInfo, encoder: Encoder) -> ShardIndex:
    """Returns the index of a shard. Decodes the whole shard, and some of its blocks twice. This needs memory of about
    six times the shard's size.

    Args:
        encoder: the tokenizer that made the shard's ids.
    """
    block_of_row: list[Array] = []
    postings: list[Array] = []
    id_hashes: list[int] = []
    begin, common = 0, _common_pieces(shard, info, encoder)
    table = common.table()
    with pa.memory_map(str(shard)) as mapped:
        for batch in read_batches(pa.ipc.open_file(mapped)):
            slots, begin = _slots(batch, begin)
            block_of_row.append(slots)
            id_hashes += map(id_hash, batch.column("doc_id").to_pylist())
            for slot, texts in _texts_by_slot(batch, slots, encoder):
                postings.append(minima(texts, table).astype(np.uint64) << np.uint64(32) | np.uint64(slot))
    slots = np.concatenate(block_of_row) if block_of_row else np.empty(0, np.int64)
    used, first_rows = np.unique(slots, return_index=True)
    found = np.concatenate(postings) if postings else np.empty(0, np.uint64)
    del postings
    block_rows = np.append(first_rows, len(slots)).astype(np.uint32)
    id_rows = np.argsort(np.array(id_hashes, np.uint64), kind="stable").astype(np.uint32)
    most = int(MAX_SHARE * info.bytes)
    room = most - checksum_bytes(most) - _HEADER.size - block_rows.nbytes - id_rows.nbytes - common.entries[:].nbytes
    bits = _bucket_bits(len(found), len(used), room)
    numbers = _numbers(found, used, bits)
    return ShardIndex(info.sha256, bits, block_rows, id_rows, common, encode(numbers, max(1, len(used) << bits)))


def _common_pieces(shard: Path, info: ShardInfo, encoder: Encoder) -> CommonPieces:
    """Returns the common pieces of a shard. Counts pieces in about 2,048 blocks, at regular distances."""
    step = 1 + info.tokens // BLOCK_TOKENS // COUNTED_BLOCKS

    def texts() -> Iterator[bytes]:
        begin = 0
        with pa.memory_map(str(shard)) as mapped:
            for batch in read_batches(pa.ipc.open_file(mapped)):
                slots, end = _slots(batch, begin)
                yield from (data for _, data in _texts_by_slot(batch, slots, encoder, step))
                begin = end

    return count_common(texts(), most_entries=int(_MAX_COMMON_SHARE * info.bytes) // 4)


def _slots(batch: pa.RecordBatch, begin: int) -> tuple[Array, int]:
    """Returns the slot of each row in a batch, and the position in the shard at which the next batch begins.

    A row's slot is the position of its first token in the shard, divided by 8,192 and rounded down. ``begin`` is the
    position of the batch's first token.
    """
    lengths = pc.list_value_length(batch.column("input_ids")).to_numpy().astype(np.int64)
    ends = begin + np.cumsum(lengths)
    return (ends - lengths) // BLOCK_TOKENS, int(ends[-1]) if len(ends) else begin


def _numbers(found: Array, slots: Array, bucket_bits: int) -> Array:
    """Returns the sorted, distinct numbers ``bucket * num_blocks + block``.

    There are millions of numbers. To save memory, they are computed in parts and written into the array ``found``.

    Args:
        found: each piece's hash (32 bits), followed by its slot (32 bits). The array is overwritten.
        slots: the slots that have rows, sorted. The index of a slot in this array is the number of its block.
        bucket_bits: how many bits of a hash choose its bucket.
    """
    found.sort()
    shift, numbers, end, done = np.uint64(64 - bucket_bits), found.view(np.int64), 0, 0
    while end < len(found):
        begin, end = end, min(end + _PART_NUMBERS, len(found))
        if end < len(found) and bucket_bits:  # a bucket is not divided
            bucket = int(found[end - 1] >> shift)
            end = len(found) if bucket + 1 >> bucket_bits else int(found.searchsorted(np.uint64(bucket + 1) << shift))
        elif not bucket_bits:
            end = len(found)
        part = found[begin:end]
        buckets = (part >> shift).astype(np.int64) if bucket_bits else np.zeros(len(part), np.int64)
        blocks = slots.searchsorted((part & np.uint64(2**32 - 1)).astype(np.int64))
        distinct = np.unique(buckets * len(slots) + blocks)
        numbers[done : done + len(distinct)] = distinct
        done += len(distinct)
    return numbers[:done]


def id_hash(doc_id: str) -> int:
    """Returns the hash of an id. `ShardIndex.id_rows` is sorted by these hashes."""
    return xxhash.xxh3_64_intdigest(doc_id.encode())


def _bucket_bits(count: int, num_blocks: int, room: int) -> int:
    """Returns how many bits of a piece's hash choose its bucket.

    The result is as large as possible, unless more bits would hardly make searches faster. The numbers of the index may
    take at most ``room`` bytes.
    """
    bits = 0
    while bits < _MAX_BUCKET_BITS and (num_blocks << bits) < count * _FEW_FALSE_BLOCKS:
        if encoded_bytes(count, num_blocks << (bits + 1)) > room:
            break
        bits += 1
    return bits


def _texts_by_slot(batch: pa.RecordBatch, slots: Array, encoder: Encoder, step: int = 1) -> Iterator[tuple[int, bytes]]:
    """Yields, for every ``step``-th block in this batch, its slot and the texts of its rows. A block may continue in
    the next batch.
    """
    borders = np.flatnonzero(np.diff(slots, prepend=-1)).tolist()
    for first, end in zip(borders, [*borders[1:], len(slots)], strict=True):
        if slots[first] % step:
            continue
        texts = encoder.decode_batch(batch.column("input_ids").slice(first, end - first))
        yield int(slots[first]), SEPARATOR.join(text.encode() for text in texts)
