"""The names of the outputs of a pass, and the bytes that a global step sends back."""

from __future__ import annotations

import struct

from pipeline.clean.segments import Segment

REFS, KEYS, LINES, BOOKS, SKETCHES, COUNTS, DROPPED, SAMPLES, PARTS = (
    "refs", "keys", "lines", "books", "sketches", "counts", "dropped", "samples", "parts",
)  # fmt: skip
"""Tags of what a segment puts out; ``keys`` has a tag for each contest of a chain: ``keys_0``, ``keys_1``."""

SIGNAL = struct.Struct(">cd")


def signal_bytes(value: float) -> bytes:
    """What a global step says of a row that it leaves; no detail of a verdict begins with a zero byte.

    >>> len(signal_bytes(0.5))
    9
    """
    return SIGNAL.pack(b"\0", value)


def key_tag(index: int) -> str:
    return f"{KEYS}_{index}"


def pass_label(source: str, segment: Segment) -> str:
    """What a pass over spilled batches is called where progress is shown.

    >>> pass_label("books", Segment(1, (), (), ()))
    'books: write'
    """
    names = [s.NAME for s in segment.local] or [a.step.NAME for a in segment.ask]
    return f"{source}: {names[0] if names else 'write'}"
