"""Defines names and byte formats that passes share.

They are the names of a pass's outputs, the bytes of a measurement (signal), and the names in the progress display.
"""

from __future__ import annotations

import struct

from pipeline.clean.segments import Segment

REFS, KEYS, LINES, BOOKS, SKETCHES, COUNTS, DROPPED, SAMPLES, PARTS = (
    "refs", "keys", "lines", "books", "sketches", "counts", "dropped", "samples", "parts",
)  # fmt: skip
CARDS, RECORDS, GROUPS = "cards", "records", "groups"
"""These and the constants above are names of outputs of a pass. A chain of exact dedups has one output per dedup:
``keys_0``, ``keys_1``."""

SIGNAL = struct.Struct(">cd")
SIGNAL_MARK = b"\xff"
MEMBERS = struct.Struct(">cI")
MEMBERS_MARK = b"\xfe"
"""The first byte of a payload about a kept document. The payload contains the number of documents that were dropped as
its duplicates. No detail begins with this byte."""


def signal_bytes(value: float) -> bytes:
    """Converts a dedup's measurement to bytes, as a verdict carries it.

    The first byte ``SIGNAL_MARK`` marks a measurement. Other verdicts carry the detail of a drop instead. A detail is
    UTF-8, which never begins with this byte.

    >>> len(signal_bytes(0.5)), signal_bytes(0.5)[:1] == SIGNAL_MARK
    (9, True)
    """
    return SIGNAL.pack(SIGNAL_MARK, value)


def key_tag(index: int) -> str:
    """Returns the name of the output that has the keys for one of several exact dedups.

    ``index`` is the position of the dedup in its chain (exact dedups that follow each other).
    """
    return f"{KEYS}_{index}"


def pass_label(source: str, segment: Segment) -> str:
    """Returns the name by which the progress display calls a pass over spilled batches.

    >>> pass_label("books", Segment(1, (), (), ()))
    'books: write'
    """
    names = [s.NAME for s in segment.local] or [global_step.step.NAME for global_step in segment.dedups]
    return f"{source}: {names[0] if names else 'write'}"
