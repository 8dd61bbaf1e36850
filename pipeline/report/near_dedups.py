"""Computes the values that the page shows about a near dedup (the removal of near duplicates): the overlaps of
documents, the largest groups of near duplicates, and the removed shares.

All values come from ``stats/SOURCE.json``. The near dedup of the source ``books`` has no such statistics. The page
shows the overlaps of books among the distributions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.clean.near_stats import BIN_WIDTH
from pipeline.report.charts import Bar, bars
from pipeline.report.nearest import NearestDocument
from pipeline.report.output_state import SourceState
from pipeline.sources.across_step import ACROSS
from pipeline.sources.min_hash_step import MinHashDedup

NEAR = "near_dedup"
"""The key of the statistics about a source's near dedup. For the dedup across sources, the key is `ACROSS`."""
_MEMBER_CHARS = 280
"""The page shows this many characters of each member of a group."""


def members_of_groups(source: SourceState) -> set[str]:
    """Returns the ids of the documents that a source's statistics list for the largest groups of near duplicates."""
    stats = source.stats or {}
    groups = [group for key in (NEAR, ACROSS) for group in (stats.get(key) or {}).get("largest_groups", ())]
    return {name for group in groups for name in (group["kept"], *group["removed"])}


def near_dedups(source: SourceState, members: Mapping[str, NearestDocument]) -> list[dict[str, Any]]:
    """Returns the values that the page shows about two dedups of a source. The near dedup compares the documents of the
    source with each other. The dedup across sources compares them with earlier sources.

    If one of these two dedups removed no documents, the list has no entry for it.
    """
    found = (_near_dedup(source, members, key) for key in (NEAR, ACROSS))
    return [one for one in found if one is not None]


def _near_dedup(source: SourceState, members: Mapping[str, NearestDocument], key: str) -> dict[str, Any] | None:
    """Returns the values that the page shows about one dedup. Returns None if the dedup removed no documents.

    Args:
        key: the key of the dedup's statistics.
        members: documents in the largest groups, by their id. Only documents whose text was read are included.
    """
    stats = source.stats or {}
    found, names = stats.get(key), {MinHashDedup().NAME if key == NEAR else ACROSS}
    stage = next((row for row in stats.get("stages", ()) if row["stage"] in names), None)
    if not found or stage is None:
        return None
    num_removed = sum(stage["dropped"].values())
    return {
        "title": "Near dedup" if key == NEAR else "Dedup across sources",
        "is_across": key == ACROSS,
        "removed": num_removed,
        "documents": stage["in"],
        "share": num_removed / stage["in"],
        "chart": _overlaps(found.get("overlaps", {}), source.name),
        "groups": [_group(group, members) for group in found.get("largest_groups", ())],
        "shares": [_share("source", source.name, stage["in"], num_removed), *_shares(found)],
    }


def _overlaps(overlaps: Mapping[str, int], name: str) -> str:
    total = sum(overlaps.values())
    drawn = [
        Bar(bin_title(low), number, f"{number:,} ({100 * number / total:.1f} %)", colour="fell")
        for low, number in sorted(overlaps.items())
    ]
    return bars(drawn, alt=f"Documents that the near dedup of {name} removed, by their overlap with the kept document")


def bin_title(low: str) -> str:
    """Returns the label of a bar in the chart of overlaps. A bar stands for a range of overlaps, and ``low`` is the
    lower end of the range. The statistics identify the range by ``low``.

    >>> bin_title("0.85"), bin_title("1.00")
    ('0.85 to 0.90', '1')
    """
    return "1" if float(low) >= 1 else f"{low} to {float(low) + BIN_WIDTH:.2f}"


def _group(group: Mapping[str, Any], members: Mapping[str, NearestDocument]) -> dict[str, Any]:
    """Returns a group of near duplicates as the page shows it, with the texts of its members. The statistics list only
    some members, so the result also says how many are not listed.
    """
    return {
        "documents": group["documents"],
        "kept": _member(group["kept"], members),
        "removed": [_member(name, members) for name in group["removed"]],
        "num_more": group["documents"] - 1 - len(group["removed"]),
    }


def _member(name: str, members: Mapping[str, NearestDocument]) -> dict[str, str]:
    one = members.get(name)
    if one is None:
        return {"id": name, "title": "", "text": ""}
    text = one.text[:_MEMBER_CHARS]
    return {"id": name, "title": one.title or one.url, "text": text + ("…" if one.num_chars > len(text) else "")}


def _shares(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for kind, rows in (("language", found.get("languages", ())), ("host", found.get("hosts", ()))):
        for row in rows:
            yield _share(kind, row["name"], row["documents"], row["removed"])


def _share(kind: str, name: str, documents: int, removed: int) -> dict[str, Any]:
    share = removed / documents if documents else 0.0
    return {"kind": kind, "name": name, "documents": documents, "removed": removed, "share": share}
