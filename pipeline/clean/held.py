"""Holds back each source whose near dedup removed too many documents, until the user accepts the removals.

A source is held back if a removal exceeds a ceiling. A ceiling is the largest share of documents that a near dedup may
remove. All files of a held-back source are written. But its marker gets a special name (:func:`held_path`), so the
source does not count as complete. To accept the removals, the user runs the same command with ``--accept-removal
SOURCE``. This run renames the marker and does not clean the source again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.clean import counts as c
from pipeline.clean.job import SourceJob
from pipeline.clean.near_stats import largest_groups
from pipeline.failures import RunFailed
from pipeline.files.files import delete_tree
from pipeline.output.markers import read_marker, write_marker

_HELD = ".held"
_MAX_NAMED = 10


def held_path(marker: str) -> str:
    """Returns the path of the marker that a source gets if it is held back. ``marker`` is the path of the marker that
    the source gets if it is complete.
    """
    return marker + _HELD


def broken_ceilings(job: SourceJob, counts: Mapping[c.CountKey, int]) -> str:
    """Returns a message about the ceilings (largest allowed shares) that the near dedup of a source exceeded. Returns
    "" if no ceiling was exceeded.
    """
    rows = []
    for (source, stage, row), num_removed in counts.items():
        if source == job.source.name and stage == c.CEILING_STAGE:
            step, kind, num_docs, dump, name = row.split("\t", 4)
            what = ("the source" if kind == "source" else f"{kind} {name}") + (f" in {dump}" if dump else "")
            rows.append((["source", "language", "host"].index(kind), -num_removed, step, kind, what, int(num_docs)))
    if not rows:
        return ""
    lines = []
    for _, negative, step, kind, what, number in sorted(rows)[:_MAX_NAMED]:
        share, ceiling = -negative / number, job.ceilings.share_of(kind)
        lines.append(
            f"{step} removed {-negative:,} of {number:,} documents ({share:.1%}) of {what}, "
            f"more than the ceiling of {ceiling:.0%}"
        )
    if len(rows) > _MAX_NAMED:
        lines.append(f"and {len(rows) - _MAX_NAMED:,} more languages or hosts are above their ceilings")
    groups = [one for suffix in ("", c.ACROSS) for one in largest_groups(job.source.name, counts, suffix)]
    groups = sorted(groups, key=lambda group: -int(group["documents"]))[:_MAX_NAMED]
    return "\n".join([*lines, *_largest(groups)])


def _largest(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"  {g['documents']:,} documents: {g['kept']} kept; {', '.join(g['removed'])} ... removed" for g in groups]
    return ["The largest groups:", *lines] if lines else []


def refuse_or_accept(jobs: Iterable[SourceJob], accepted: Iterable[str]) -> None:
    """Makes held-back sources complete if the user accepts their removals. ``accepted`` has the names of these sources.

    Raises:
        RunFailed: a held-back source is not in ``accepted``. The message says how many documents were removed, and
            lists the largest groups of duplicates.
    """
    refused = []
    for job in jobs:
        path = held_path(job.places.marker)
        held = read_marker(path)
        if held is None or held.get("fingerprint") != job.fingerprint:
            continue
        if job.source.name in accepted:
            message = held.pop("refused")
            write_marker(job.places.marker, {**held, "accepted": message})
            delete_tree(path)
        else:
            refused.append((job, held["refused"]))
    if refused:
        job = refused[0][0]
        messages = "\n".join(f"{one.label}: {message}" for one, message in refused)
        flags = " ".join(f"--accept-removal {name}" for name in sorted({one.source.name for one, _ in refused}))
        raise RunFailed(
            f"{messages}\nThe source is not complete. Look at some pairs with `python -m mixtures.inspect --pair "
            f"{job.places.pairs_dir.rpartition('/')[0]}`. To accept the removal, run the same command with {flags} "
            "(nothing is cleaned again). Otherwise change the settings of the near dedup, or the ceilings under dedup: "
            "in the configuration file."
        )
