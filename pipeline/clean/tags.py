"""The names of the outputs of a pass, and the bytes that a global step sends back."""

from __future__ import annotations

import struct

from pipeline.clean.segments import Segment

REFS, KEYS, LINES, BOOKS, SKETCHES, COUNTS, DROPPED, SAMPLES, PARTS = (
    "refs", "keys", "lines", "books", "sketches", "counts", "dropped", "samples", "parts",
)  # fmt: skip
"""Tags of what a segment puts out; ``keys`` has a tag for each contest of a chain: ``keys_0``, ``keys_1``."""

SIGNAL = struct.Struct(">cd")
SIGNAL_MARK = b"\xff"


def signal_bytes(value: float) -> bytes:
    """Packs what a global step measured of a row. The first byte is one with which no detail (UTF-8) begins.

    >>> len(signal_bytes(0.5)), signal_bytes(0.5)[:1] == SIGNAL_MARK
    (9, True)
    """
    return SIGNAL.pack(SIGNAL_MARK, value)


def key_tag(index: int) -> str:
    return f"{KEYS}_{index}"


def pass_label(source: str, segment: Segment) -> str:
    """What a pass over spilled batches is called where progress is shown.

    >>> pass_label("books", Segment(1, (), (), ()))
    'books: write'
    """
    names = [s.NAME for s in segment.local] or [a.step.NAME for a in segment.ask]
    return f"{source}: {names[0] if names else 'write'}"
