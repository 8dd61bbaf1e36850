"""The address of a batch of documents, and the output part that the batch goes to."""

from __future__ import annotations

import struct

BATCH_ID = struct.Struct(">III")
"""Packs the id of a batch: the numbers of the unit, the chunk (0 unless the unit was unpacked), and the batch in it.
Big-endian, so that packed ids sort as their numbers do."""

ROW = struct.Struct(">I")
"""Packs the number of a row in a batch."""

ADDRESS_BYTES = BATCH_ID.size + ROW.size
"""The size of the address of a document: the id of its batch and its row."""

TAG_REF = 0
"""The tag of a payload that refers to a spilled batch.

What is sent to the pass that opens a batch is the batch id, a tag byte and a body. The tag says what the body is: this
one, ``TAG_ATTRIBUTES``, or a verdict of the dedup that has this tag (see :class:`pipeline.clean.segments.GlobalStep`).
"""

TAG_ATTRIBUTES = 255
"""The tag of columns that a join found for a row of the batch."""

PART_NAME = "part-{:05d}-of-{:05d}.parquet"
"""The name of a file of clean or dropped documents, from its number and the number of files."""


def part_name(part: int, num_parts: int) -> str:
    """Returns the name of an output part.

    >>> part_name(3, 12)
    'part-00003-of-00012.parquet'
    """
    return PART_NAME.format(part, num_parts)


_STRIDE = 1_000_003
"""The distance between the first parts of consecutive units. It is a prime larger than any number of parts, so that
units of a single batch are spread evenly too."""


def part_of(batch_id: bytes, num_parts: int) -> int:
    """Returns the output part that a batch goes to. It depends on the id of the batch alone.

    Batches go to the parts in turn, not by hash. A single worker writes a part, and if there are few batches, a hash
    would give some parts twice as many as others.

    >>> sorted(part_of(BATCH_ID.pack(unit, 0, 1), 4) for unit in range(8))
    [0, 0, 1, 1, 2, 2, 3, 3]
    >>> sorted(part_of(BATCH_ID.pack(0, 0, number), 4) for number in range(1, 9))
    [0, 0, 1, 1, 2, 2, 3, 3]
    """
    unit, chunk, number = BATCH_ID.unpack(batch_id)
    return int(unit * _STRIDE + chunk + number) % num_parts
