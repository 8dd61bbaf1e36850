"""Makes the part of ``stats/SOURCE.json`` about a near dedup: how much the removed documents overlapped, the largest
groups of duplicates, and the languages and hosts that lost the most documents.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.clean import counts as c

LARGEST = 10
"""The number of groups that the statistics list. The statistics also list this many languages and this many hosts."""
_BINS = 20
BIN_WIDTH = 1 / _BINS
"""The width of a bin of overlaps. An overlap is a share, from 0 to 1."""


def overlap_bin(overlap: float) -> str:
    """Returns the name of the bin that contains an overlap. The name is the lower end of the bin.

    A bin is 0.05 wide. The overlap 1 has its own bin.

    >>> overlap_bin(0.8999), overlap_bin(0.9), overlap_bin(1.0)
    ('0.85', '0.90', '1.00')
    """
    return f"{int(overlap * _BINS + 1e-9) / _BINS:.2f}"


def near_stats(source: str, counts: Mapping[c.CountKey, int], suffix: str = "") -> dict[str, Any]:
    """Returns statistics about the documents that a source's near dedup removed. Returns an empty dict if it removed
    none.

    If the source was cleaned dump by dump, each dump reports only the languages and hosts that lost the most documents.
    So the sum for a language or host includes only the dumps that reported it.

    ``suffix`` selects the dedup. It is empty for the source's own near dedup, and ``counts.ACROSS`` for the dedup
    across sources. In this example, 2 of 5 English documents were removed, both with an overlap of 0.90 to 0.95:

    >>> counts = {("c4", "@overlaps", "0.90"): 2, ("c4", "@removed", "language\\t5\\t\\ten"): 2}
    >>> near_stats("c4", counts)
    {'overlaps': {'0.90': 2}, 'languages': [{'name': 'en', 'documents': 5, 'removed': 2}]}
    """
    overlaps: Counter[str] = Counter()
    shares: dict[str, dict[str, dict[str, Any]]] = {"language": {}, "host": {}}
    for (name, stage, row), number in counts.items():
        if name == source and stage == c.OVERLAPS_STAGE + suffix:
            overlaps[row] += number
        elif name == source and stage == c.REMOVED_STAGE + suffix:
            kind, num_docs, _, what = row.split("\t", 3)
            one = shares[kind].setdefault(what, {"name": what, "documents": 0, "removed": 0})
            one["documents"] += int(num_docs)
            one["removed"] += number
    found = {
        "overlaps": dict(sorted(overlaps.items())),
        "largest_groups": largest_groups(source, counts, suffix),
        "languages": _most_removed(shares["language"].values()),
        "hosts": _most_removed(shares["host"].values()),
    }
    return {name: value for name, value in found.items() if value}


def largest_groups(source: str, counts: Mapping[c.CountKey, int], suffix: str = "") -> list[dict[str, Any]]:
    """Returns the largest groups of duplicates of a source. A group is a kept document and the documents that were
    removed as its duplicates.

    An entry has the number of documents in the group, the id of the kept document, and the ids of some removed
    documents.
    """
    wanted = (source, c.LARGEST_STAGE + suffix)
    found = [(-size, row) for (name, stage, row), size in counts.items() if (name, stage) == wanted]
    return [{"documents": -negative, **json.loads(row)} for negative, row in sorted(found)[:LARGEST]]


def _most_removed(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (-row["removed"], row["name"]))[:LARGEST]
