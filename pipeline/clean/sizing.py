"""Chooses the numbers of output parts and of buckets into which the data of a source are divided.

A bucket has the keys that a dedup compares together. A larger input gets more buckets, so a worker does not need more
memory.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Says into how many parts (output files) and buckets (keys that are compared together) a source is divided.

    A worker holds or streams one part or bucket at a time. So its memory is limited, however large the input is.
    """

    num_parts: int
    """The number of output parts. A worker streams one part."""
    num_line_buckets: int
    """The number of buckets of line hashes. A worker holds one bucket in memory. A line takes 17 bytes of memory, and
    68 bytes while the worker sorts the bucket. Repetitions of a line in the same batch take no memory.
    """
    num_key_buckets: int
    """The number of buckets of document keys and of rows of joins. A worker streams one bucket."""
    num_lookup_buckets: int = 16
    """The number of buckets in which keys of new documents are compared with stored keys. A worker holds one bucket in
    memory. A key takes 24 bytes of memory, and 100 bytes while the worker sorts the bucket."""


_PART_BYTES = (1 << 20, 256 << 20)
"""The smallest and the largest size of a part, in bytes of stored input. Up to 64 parts, a part has 1 MB. With larger
inputs the parts grow up to 256 MB, and then their number grows."""
_MANY_PARTS = 64
"""This number of parts keeps all workers of a machine busy. There are more parts only if a part would exceed 256 MB."""


LINES_PER_BUCKET = 250_000
"""The target number of lines per bucket. ``_NUM_LINE_BUCKETS`` limits the number of buckets."""

_NUM_LINE_BUCKETS = (16, 8192)
"""The smallest and the largest number of line buckets. At least 16 buckets are needed so that several workers can share
the lines. The lines of a batch (about 90,000) are packed into one payload per bucket. With more than 8192 buckets, a
payload would have only a few lines. For inputs of more than 2e9 lines the buckets grow. For 1e11 lines a bucket has 12
million lines.
"""

_INPUT_BYTES_PER_LINE = 15
"""The number of compressed input bytes per line. A line of web text has about 45 bytes (44 in 500 pages of real WET
files). Compression reduces them to a third.
"""

MAX_BUCKET_LINES = 16_000_000
"""The largest number of lines that a process holds in memory. A larger bucket is split on the worker's disk."""


def lines_of_input(num_input_bytes: int) -> int:
    """Returns the approximate number of lines in an input of web text, estimated from its compressed size."""
    return num_input_bytes // _INPUT_BYTES_PER_LINE


def scale_of(num_input_bytes: int) -> Scale:
    """Returns the numbers of parts and buckets for an input of this compressed size.

    >>> scale_of(2_500_000).num_parts, scale_of(10**9).num_parts, scale_of(10**12).num_parts
    (3, 64, 3726)
    """
    smallest, largest = (-(-num_input_bytes // part_bytes) for part_bytes in _PART_BYTES)
    num_parts = max(1, min(smallest, _MANY_PARTS), largest)  # each of the three terms grows with the input
    num_lines = lines_of_input(num_input_bytes)
    return Scale(
        num_parts=num_parts,
        num_line_buckets=_power_of_two(
            min(max(num_lines // LINES_PER_BUCKET, _NUM_LINE_BUCKETS[0]), _NUM_LINE_BUCKETS[1])
        ),
        num_key_buckets=max(16, num_parts),
    )


COMPILE_BYTES = 64 << 20
"""Compiled loops are used instead of NumPy if the input has at least this many stored bytes per worker process. For
this many bytes of web pages, they save 5 seconds. The compiler takes 1 second in each process, or 5 seconds if no
machine code is stored yet (measured)."""
_MANY_PROCESSES = 1024
"""The assumed number of worker processes if the engine does not report it. If the true number is smaller, each
process has more input, so compiled loops save even more time."""


def is_worth_compiling(num_input_bytes: int, num_processes: int) -> bool:
    """Returns True if steps should use compiled loops instead of NumPy. Both give the same results.

    ``num_processes`` is the number of worker processes. It is 0 if the number is unknown, as on a cluster.

    >>> is_worth_compiling(10**8, 1), is_worth_compiling(10**8, 2), is_worth_compiling(10**12, 0)
    (True, False, True)
    """
    return num_input_bytes >= COMPILE_BYTES * (num_processes or _MANY_PROCESSES)


def _power_of_two(number: int) -> int:
    """Returns the smallest power of two that is at least ``number``.

    >>> _power_of_two(16), _power_of_two(17)
    (16, 32)
    """
    return 1 << (number - 1).bit_length()
