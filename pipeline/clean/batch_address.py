"""Defines the address of a document: the id of the document's batch, and the document's row number in the batch.

Also chooses the output part of each batch. An output part is a numbered file in ``clean/``.
"""

from __future__ import annotations

import struct

BATCH_ID = struct.Struct(">III")
"""Packs the id of a batch. The id consists of three numbers: the number of the unit (a piece of the input); the number
of the chunk; and the number of the batch in the chunk. A container such as .7z is unpacked into several chunks. For all
other units, the number of the chunk is 0. The numbers are big-endian, so packed ids sort like the numbers."""

ROW = struct.Struct(">I")
"""Packs a row number in a batch."""

ADDRESS_BYTES = BATCH_ID.size + ROW.size
"""The size in bytes of a document's address: the batch id and the row number."""

TAG_REF = 0
"""The tag of a payload that refers to a spilled batch (a batch that an earlier pass wrote to disk).

The pass that opens a batch gets payloads. A payload is a batch id, a tag byte and a body. The tag says what the body
is. With ``TAG_REF``, the body is a reference to the spilled batch. With ``TAG_ATTRIBUTES``, the body has columns from a
join. Any other tag is the tag of a dedup, and the body is a verdict of this dedup (see
:class:`pipeline.clean.segments.GlobalStep`).
"""

TAG_ATTRIBUTES = 255
"""The tag of a payload with columns that a join found for a row of the batch."""

PART_NAME = "part-{:05d}-of-{:05d}.parquet"
"""The format of the file names in ``clean/`` and ``dropped/``. The two fields are the file's number and the number of
files."""


def part_name(part: int, num_parts: int) -> str:
    """Returns the file name of an output part. ``part`` is the part's number, from 0.

    >>> part_name(3, 12)
    'part-00003-of-00012.parquet'
    """
    return PART_NAME.format(part, num_parts)


_STRIDE = 1_000_003
"""A prime number that is larger than any number of parts. :func:`part_of` multiplies the unit's number by it. So the
batches are spread evenly over the parts even if each unit has only one batch."""


def part_of(batch_id: bytes, num_parts: int) -> int:
    """Returns the number of the output part that a batch goes to. The number depends only on the id of the batch.

    Consecutive batches go to consecutive parts. A hash of the id would be less even: with few batches, some parts would
    get twice as many batches as the average. One worker writes a whole part, so a part with more batches takes longer.

    In both examples, 8 batches go to 4 parts, and each part gets 2 batches. In the first example, each batch is from
    another unit (a piece of the input). In the second example, all batches are from the same unit:

    >>> sorted(part_of(BATCH_ID.pack(unit, 0, 1), 4) for unit in range(8))
    [0, 0, 1, 1, 2, 2, 3, 3]
    >>> sorted(part_of(BATCH_ID.pack(0, 0, number), 4) for number in range(1, 9))
    [0, 0, 1, 1, 2, 2, 3, 3]
    """
    unit, chunk, number = BATCH_ID.unpack(batch_id)
    return int(unit * _STRIDE + chunk + number) % num_parts
