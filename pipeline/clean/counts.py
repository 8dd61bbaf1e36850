"""Exact counts as data: what every stage took in, kept and dropped, summed over all workers.

A count is ``(source, stage, what) -> int``. Beam's own counters are not used: they may count a retried
bundle twice. The names of ``what`` are the constants below; reasons stand behind ``dropped:``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

CountKey = tuple[str, str, str]

DOCS_IN, DOCS_KEPT = "docs_in", "docs_kept"
BYTES_IN, BYTES_KEPT = "bytes_in", "bytes_kept"
LINES_IN, LINES_KEPT = "lines_in", "lines_kept"
DROPPED = "dropped:"
NOTED = "noted:"
"""Documents that were kept and of which a stage has something to say; zero is written too."""
BAD_RECORDS, UNREADABLE_FILES = "bad_records", "unreadable_files"

# What goes from one stage of the graph to the next is counted on both sides; the ends must meet.
SENT, RECEIVED = "sent:", "received:"

READ_STAGE, WRITE_STAGE = "read", "clean"
ROWS_STAGE, ROWS = "@rows", "rows"
"""Where the rows of the ledger are counted, if not every dropped document gets one."""
WON_STAGE = "@won"
"""Where a dump's keys are counted that its documents won, by step."""
GRAPH = "@graph"
"""The pseudo-stage under which hand-overs between stages are counted."""


class LostRecords(AssertionError):  # noqa: N818 - the name says what happened
    """Counts in and out of two stages do not meet: something was lost or doubled. Never the user's fault."""


def check_conservation(counts: Mapping[CountKey, int]) -> None:
    """Compares what every stage took in with what came out of it and of the stages before it.

    Raises:
        LostRecords: names the source and the first place where the numbers do not meet.

    >>> counts = {("c4", "rules", DOCS_IN): 3, ("c4", "rules", DOCS_KEPT): 2, ("c4", "rules", "dropped:x"): 1}
    >>> check_conservation(counts)
    """
    faults = list(_stage_faults(counts)) + list(_handover_faults(counts))
    if faults:
        raise LostRecords(
            "records were lost or doubled between stages, the output is not written:\n" + "\n".join(faults)
        )


def _stage_faults(counts: Mapping[CountKey, int]) -> Iterable[str]:
    dropped: Counter[tuple[str, str]] = Counter()
    for (source, stage, what), number in counts.items():
        if what.startswith(DROPPED):
            dropped[source, stage] += number
    for (source, stage, what), number in counts.items():
        if what == DOCS_IN:
            kept = counts.get((source, stage, DOCS_KEPT), 0)
            if number != kept + dropped[source, stage]:
                yield f"{source}, stage {stage}: {number} documents in, {kept} kept + {dropped[source, stage]} dropped"


def _handover_faults(counts: Mapping[CountKey, int]) -> Iterable[str]:
    names = {(s, w.split(":", 1)[1]) for s, stage, w in counts if stage == GRAPH}
    for source, name in sorted(names):
        sent = counts.get((source, GRAPH, SENT + name), 0)
        received = counts.get((source, GRAPH, RECEIVED + name), 0)
        if sent != received:
            yield f"{source}: {sent} {name} were sent, {received} arrived"


def check_chain(source: str, stages: Sequence[str], counts: Mapping[CountKey, int], *, num_written: int,
                num_dropped_written: int, is_share: bool = False) -> None:  # fmt: skip
    """Compares each stage's documents in with the stage before it, and the files written with the last.

    ``is_share``: only a share of what was dropped has a row; the rows that were sent are compared with those that came.

    Raises:
        LostRecords: names the two stages between which documents were lost or doubled.
    """
    before, num_before = READ_STAGE, counts.get((source, READ_STAGE, DOCS_KEPT), 0)
    for stage in stages:
        num_in = counts.get((source, stage, DOCS_IN), 0)
        if num_in != num_before:
            raise LostRecords(f"{source}: {num_before} documents left stage {before}, {num_in} reached stage {stage}")
        before, num_before = stage, counts.get((source, stage, DOCS_KEPT), 0)
    if num_written != num_before:
        raise LostRecords(
            f"{source}: {num_before} documents left stage {before}, {num_written} stand in the clean files"
        )
    num_dropped = sum(n for (s, stage, what), n in counts.items() if s == source and what.startswith(DROPPED))
    num_dropped += sum(
        n for (s, stage, what), n in counts.items()
        if s == source and stage == "records" and what not in (BAD_RECORDS, UNREADABLE_FILES)
    )  # fmt: skip
    if is_share:
        num_dropped = counts.get((source, ROWS_STAGE, ROWS), 0)
    if num_dropped != num_dropped_written:
        raise LostRecords(f"{source}: {num_dropped} were dropped, {num_dropped_written} stand in the dropped files")


def stats_of(source: str, counts: Mapping[CountKey, int], stages: Sequence[str]) -> dict[str, Any]:
    """The content of ``stats/<source>.json``; ``stages`` in the order in which documents pass them."""

    def get(stage: str, what: str) -> int:
        return counts.get((source, stage, what), 0)

    rows = []
    for stage in stages:
        reasons = {
            what.removeprefix(DROPPED): number
            for (s, st, what), number in sorted(counts.items())
            if s == source and st == stage and what.startswith(DROPPED)
        }
        row: dict[str, Any] = {
            "stage": stage,
            "in": get(stage, DOCS_IN),
            "kept": get(stage, DOCS_KEPT),
            "dropped": reasons,
            "bytes": {"in": get(stage, BYTES_IN), "kept": get(stage, BYTES_KEPT)},
        }
        if get(stage, LINES_IN):
            row["lines"] = {"in": get(stage, LINES_IN), "kept": get(stage, LINES_KEPT)}
        noted = {
            what.removeprefix(NOTED): number
            for (s, st, what), number in sorted(counts.items())
            if s == source and st == stage and what.startswith(NOTED)
        }
        if noted:
            row["noted"] = noted
        rows.append(row)
    records = {
        what: number
        for (s, st, what), number in sorted(counts.items())
        if s == source and st == "records" and what not in (BAD_RECORDS, UNREADABLE_FILES)
    }
    docs_in = get(READ_STAGE, DOCS_KEPT)
    kept = rows[-1]["kept"] if rows else docs_in
    bytes_kept = rows[-1]["bytes"]["kept"] if rows else get(READ_STAGE, BYTES_KEPT)
    return {
        "source": source,
        "documents": {"in": docs_in, "kept": kept, "dropped": docs_in - kept},
        "bytes": {"in": get(READ_STAGE, BYTES_KEPT), "kept": bytes_kept},
        "lines": {"in": get(READ_STAGE, LINES_KEPT), "kept": get(WRITE_STAGE, LINES_KEPT)},
        "stages": rows,
        "records": records,
        "bad_records": get("records", BAD_RECORDS),
        "unreadable_files": get("records", UNREADABLE_FILES),
        "tokens": None,
    }
