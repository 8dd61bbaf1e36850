"""Defines names and byte formats that several passes use: the names of a pass's outputs, the bytes of a signal (a
measurement), and the names of passes in the progress display.
"""

from __future__ import annotations

import struct

from pipeline.clean.segments import Segment

REFS, KEYS, LINES, BOOKS, SKETCHES, COUNTS, DROPPED, SAMPLES, PARTS = (
    "refs", "keys", "lines", "books", "sketches", "counts", "dropped", "samples", "parts",
)  # fmt: skip
CARDS, RECORDS, GROUPS = "cards", "records", "groups"
"""These three constants and the nine before them are names of outputs of a pass. The near dedup by MinHash and the
dedup across sources use these three. If a pass sends keys to a chain of exact dedups, it has one output per dedup:
``keys_0``, ``keys_1``."""

SIGNAL = struct.Struct(">cd")
SIGNAL_MARK = b"\xff"
MEMBERS = struct.Struct(">cI")
MEMBERS_MARK = b"\xfe"
"""In a verdict about a kept document, this byte comes after the document's row number. The next bytes are the number of
documents that were dropped as duplicates of this document. Other verdicts have a signal or a detail (a text) in this
place, which never begins with this byte."""


def signal_bytes(value: float) -> bytes:
    """Encodes a dedup's measurement of a document, to be sent in a verdict about this document.

    The result is the byte ``SIGNAL_MARK`` and the 8 bytes of the number. A verdict that drops a document has a text
    instead, and UTF-8 text never begins with this byte.

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
    """Returns the name of a pass over spilled batches, for the progress display.

    In the example, the pass has no steps and sends no keys, so it only writes:

    >>> pass_label("books", Segment(1, (), (), ()))
    'books: write'
    """
    names = [s.NAME for s in segment.local] or [global_step.step.NAME for global_step in segment.dedups]
    return f"{source}: {names[0] if names else 'write'}"
