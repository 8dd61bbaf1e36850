"""The address of a batch, and the output part that it goes to."""

from __future__ import annotations

import struct

BATCH_ID = struct.Struct(">III")
"""A batch's identity: unit, chunk of an unpacked unit, number in it. Big-endian, so that bytes sort as numbers."""


ROW = struct.Struct(">I")
"""A row number in a batch."""

TAG_REF = 0
"""Behind the batch id stands a tag: 0 for the reference to the batch, else 1 + the place of the global step."""


TAG_ATTRIBUTES = 255
"""The tag of what a join says of a batch's rows."""


PART_NAME = "part-{:05d}-of-{:05d}.parquet"
"""The name of a file of clean or dropped documents, by its number and how many there are."""


def part_name(part: int, num_parts: int) -> str:
    """
    >>> part_name(3, 12)
    'part-00003-of-00012.parquet'
    """
    return PART_NAME.format(part, num_parts)


_STRIDE = 1_000_003
"""Between the first parts of two units: a prime over any number of parts, so that units of one batch each are dealt out
evenly too."""


def part_of(batch_id: bytes, num_parts: int) -> int:
    """The part of the output a batch goes to: a function of its identity alone.

    Dealt out in turn, not by hash: a part is what a worker does alone, and of a few batches a hash would give one part
    twice what it gives another.

    >>> sorted(part_of(BATCH_ID.pack(unit, 0, 1), 4) for unit in range(8))
    [0, 0, 1, 1, 2, 2, 3, 3]
    >>> sorted(part_of(BATCH_ID.pack(0, 0, number), 4) for number in range(1, 9))
    [0, 0, 1, 1, 2, 2, 3, 3]
    """
    unit, chunk, number = BATCH_ID.unpack(batch_id)
    return int(unit * _STRIDE + chunk + number) % num_parts
