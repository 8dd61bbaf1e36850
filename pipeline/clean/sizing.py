"""Cuts a source into parts and buckets, so that the memory of a worker is bounded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How a source is cut so that every worker's share is bounded, whatever the size of the input."""

    num_parts: int
    """Files of clean documents; a worker streams one."""
    num_line_buckets: int
    """Buckets of line hashes; a worker holds one, 17 bytes and a sort's working space a distinct line of a batch."""
    num_key_buckets: int
    """Buckets of document keys and join rows; a worker streams one."""


_PART_BYTES = (1 << 20, 256 << 20)
"""Stored bytes of input per part: 1 MB until there are 64 parts, then more and more, up to 256 MB."""
_MANY_PARTS = 64
"""Enough parts that all workers of a machine have work; more of them are made only when each would exceed 256 MB."""


LINES_PER_BUCKET = 250_000


_NUM_LINE_BUCKETS = (16, 8192)
"""The fewest, so that workers share them; and the most: a batch's lines (some 90,000) are cut by bucket, and with more
each line would travel on its own. Beyond 2e9 lines the buckets grow, to 12 million lines at 1e11."""


_INPUT_BYTES_PER_LINE = 15
"""A line of web text takes about 45 bytes, 15 of them in a .gz (the 500 pages of real WETs measured: 44)."""


MAX_BUCKET_LINES = 16_000_000
"""A larger bucket is parted once more on the worker's own disk, so that no process holds more lines than this."""


def lines_of_input(num_input_bytes: int) -> int:
    """About how many lines so many stored bytes of web text hold."""
    return num_input_bytes // _INPUT_BYTES_PER_LINE


def scale_of(num_input_bytes: int) -> Scale:
    """Chooses the cuts from the stored size of a source's input.

    >>> scale_of(2_500_000).num_parts, scale_of(10**9).num_parts, scale_of(10**12).num_parts
    (3, 64, 3726)
    """
    smallest, largest = (-(-num_input_bytes // part_bytes) for part_bytes in _PART_BYTES)
    num_parts = max(1, min(smallest, _MANY_PARTS), largest)  # each of the three grows with the input
    num_lines = lines_of_input(num_input_bytes)
    return Scale(
        num_parts=num_parts,
        num_line_buckets=_power_of_two(
            min(max(num_lines // LINES_PER_BUCKET, _NUM_LINE_BUCKETS[0]), _NUM_LINE_BUCKETS[1])
        ),
        num_key_buckets=max(16, num_parts),
    )


def _power_of_two(number: int) -> int:
    """The smallest power of two that is at least the number.

    >>> _power_of_two(16), _power_of_two(17)
    (16, 32)
    """
    return 1 << (number - 1).bit_length()
