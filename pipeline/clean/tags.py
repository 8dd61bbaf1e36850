"""Defines the names of a pass's outputs, the byte form of a signal, and the names that the progress display uses."""

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
    """Packs a measurement of a global step.

    The first byte is ``SIGNAL_MARK``. It distinguishes a measurement from a detail, which is UTF-8 and never begins
    with this byte.

    >>> len(signal_bytes(0.5)), signal_bytes(0.5)[:1] == SIGNAL_MARK
    (9, True)
    """
    return SIGNAL.pack(SIGNAL_MARK, value)


def key_tag(index: int) -> str:
    """Returns the name of the output with the keys for the dedup at position ``index`` of a chain."""
    return f"{KEYS}_{index}"


def pass_label(source: str, segment: Segment) -> str:
    """Returns the name by which the progress display calls a pass over spilled batches.

    >>> pass_label("books", Segment(1, (), (), ()))
    'books: write'
    """
    names = [s.NAME for s in segment.local] or [global_step.step.NAME for global_step in segment.dedups]
    return f"{source}: {names[0] if names else 'write'}"
