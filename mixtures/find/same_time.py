"""Shows at no cost whether a shard was written or copied after its index was made.

For this, the file of the index gets the modification time of the shard. If the shard is written again or copied, the
two times differ. Then the shard's checksum decides whether the index still fits.
"""

from __future__ import annotations

import os
from pathlib import Path


def has_time_of(index: Path, shard: Path) -> bool:
    """Returns True if the index has the modification time of the shard."""
    return index.stat().st_mtime_ns == shard.stat().st_mtime_ns


def set_time(index: Path, shard_time_ns: int) -> None:
    """Sets the modification time of an index to that of its shard, in nanoseconds.

    The caller must look up the shard's time before it reads the shard. If the shard is written again while it is read,
    the two times then differ.
    """
    os.utime(index, ns=(shard_time_ns, shard_time_ns))
