"""Defines the address of a document, and chooses the output part of a batch. An address is a batch id and a row
number.
"""

from __future__ import annotations

import struct

BATCH_ID = struct.Struct(">III")
"""Packs the id of a batch. The id has three numbers: the unit; the chunk of the unit (0 unless the unit was unpacked);
and the batch in the chunk. The numbers are big-endian, so packed ids sort like the numbers.
"""

ROW = struct.Struct(">I")
"""Packs the number of a row in a batch."""

ADDRESS_BYTES = BATCH_ID.size + ROW.size
"""The number of bytes of a document's address: the id of its batch and its row."""

TAG_REF = 0
"""The tag of a payload that refers to a spilled batch.

The pass that opens a batch gets payloads. A payload is the batch id, a tag byte and a body. The tag names the kind of
the body. With ``TAG_REF`` the body is a reference to the spilled batch. With ``TAG_ATTRIBUTES`` the body has columns
from a join. All remaining tags belong to dedups, and the body is a verdict of the dedup with this tag (see
:class:`pipeline.clean.segments.GlobalStep`).
"""

TAG_ATTRIBUTES = 255
"""The tag of a payload with columns that a join found for a row of the batch."""

PART_NAME = "part-{:05d}-of-{:05d}.parquet"
"""The name of a file of clean or dropped documents. The name contains the file's number and the number of files."""


def part_name(part: int, num_parts: int) -> str:
    """Returns the name of an output part.

    >>> part_name(3, 12)
    'part-00003-of-00012.parquet'
    """
    return PART_NAME.format(part, num_parts)


_STRIDE = 1_000_003
"""The distance between the first parts of consecutive units. The distance is a prime larger than any number of parts.
So batches are spread evenly over the parts even if each unit has only one batch."""


def part_of(batch_id: bytes, num_parts: int) -> int:
    """Returns the number of the output part that a batch goes to. The number depends only on the id of the batch.

    Consecutive batches go to consecutive parts. A hash of the id would be less even: with few batches, some parts would
    get twice as many batches as the average. One worker writes a whole part, so a part with more batches takes longer.

    >>> sorted(part_of(BATCH_ID.pack(unit, 0, 1), 4) for unit in range(8))
    [0, 0, 1, 1, 2, 2, 3, 3]
    >>> sorted(part_of(BATCH_ID.pack(0, 0, number), 4) for number in range(1, 9))
    [0, 0, 1, 1, 2, 2, 3, 3]
    """
    unit, chunk, number = BATCH_ID.unpack(batch_id)
    return int(unit * _STRIDE + chunk + number) % num_parts
