"""Defines the counts: how many documents each stage took in, kept and dropped. The counts are exact. The counts of all
workers are summed.

The key of a count is ``(source, stage, name)``. The constants below are names and prefixes of names. For example, the
number of documents that a stage dropped for REASON has the name ``dropped:REASON``. Some counts belong to no stage.
Their keys have a pseudo-stage instead, whose name begins with ``@``.

Beam's own counters are not used, because they can count a retried bundle twice.
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
"""The prefix of a note's name. A note is a number that a stage reports in addition to its kept and dropped documents. A
note is stored even if it is 0."""
BAD_RECORDS, UNREADABLE_FILES = "bad_records", "unreadable_files"

# Both the sender and the receiver count the records that one stage of the graph sends to another. The two numbers must
# be equal.
SENT, RECEIVED = "sent:", "received:"

READ_STAGE, WRITE_STAGE = "read", "clean"
ROWS_STAGE, ROWS = "@rows", "rows"
"""The pseudo-stage and the name of one count: the number of rows that workers send to ``dropped/``. It is counted only
if some of the dropped documents get no row."""
WON_STAGE = "@won"
"""The pseudo-stage of the keys that a dump won. A dump wins a key if an exact dedup keeps a document of the dump for
this key. The name of a count is the name of the dedup. The count is the number of won keys."""
CEILING_STAGE = "@ceilings"
"""The pseudo-stage of exceeded ceilings. A ceiling is the largest share of documents that a near dedup may remove. The
count is the number of removed documents. The name of a count has five parts, separated by tabs: the step; the word
``source``, ``language`` or ``host``; the number of documents before the removal; the dump (empty for the whole source);
and the language or host (empty for the word ``source``)."""
LARGEST_STAGE = "@largest"
"""The pseudo-stage of the largest groups of duplicates that a near dedup found. The count is the number of documents in
the group. The name of a count is JSON with the id of the kept document and the ids of some removed documents."""
OVERLAPS_STAGE = "@overlaps"
"""The pseudo-stage of the documents that a near dedup removed, counted by overlap. The name of a count is a bin of
overlaps with the kept document (:func:`pipeline.clean.near_stats.overlap_bin`)."""
REMOVED_STAGE = "@removed"
"""The pseudo-stage of the documents that a near dedup removed, counted by language and by host. The name of a count has
four parts, separated by tabs: the word ``language`` or ``host``; the number of all documents in this language or from
this host; the dump (empty for the whole source); and the language or host."""
PAIR_FILES_STAGE = "@pair_files"
"""The pseudo-stage of files with rejected pairs. The count is the number of such files that a near dedup wrote."""
ACROSS = ":across"
"""A suffix for the names of the pseudo-stages above. With the suffix, they count what the dedup across sources did."""
GRAPH = "@graph"
"""The pseudo-stage of the records that stages send to each other."""


class LostRecords(AssertionError):  # noqa: N818 - the name says what happened
    """Raised if two counts differ although they must be equal. Then records were lost or doubled. The cause is a bug in
    this project, or in the engine (the program that runs the Beam jobs).
    """


def check_conservation(counts: Mapping[CountKey, int]) -> None:
    """Checks two things. Each stage kept or dropped every document that it took in. Each stage received every record
    that another stage sent to it.

    Raises:
        LostRecords: two numbers differ although they must be equal. The message names the source and the stages.

    In this example, 3 documents were taken in, 2 were kept and 1 was dropped. So nothing is raised:

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
    """Checks that no document was lost between two stages, or between the last stage and the files.

    Args:
        stages: the names of the stages, in the order in which documents pass them.
        num_written: number of documents in the clean files.
        num_dropped_written: number of rows in the dropped files.
        is_share: True if only some of the dropped documents get a row. Then the number of rows in the files must equal
            the number of rows that workers sent. If False, the number of rows must equal the number of dropped
            documents.

    Raises:
        LostRecords: two numbers differ. The message names the stages between which documents were lost or doubled.
    """
    before, num_before = READ_STAGE, counts.get((source, READ_STAGE, DOCS_KEPT), 0)
    for stage in stages:
        num_in = counts.get((source, stage, DOCS_IN), 0)
        if num_in != num_before:
            raise LostRecords(f"{source}: {num_before} documents left stage {before}, {num_in} reached stage {stage}")
        before, num_before = stage, counts.get((source, stage, DOCS_KEPT), 0)
    if num_written != num_before:
        raise LostRecords(f"{source}: {num_before} documents left stage {before}, {num_written} are in the clean files")
    num_dropped = sum(n for (s, stage, what), n in counts.items() if s == source and what.startswith(DROPPED))
    num_dropped += sum(
        n for (s, stage, what), n in counts.items()
        if s == source and stage == "records" and what not in (BAD_RECORDS, UNREADABLE_FILES)
    )  # fmt: skip
    if is_share:
        num_dropped = counts.get((source, ROWS_STAGE, ROWS), 0)
    if num_dropped != num_dropped_written:
        raise LostRecords(f"{source}: {num_dropped} were dropped, {num_dropped_written} are in the dropped files")


def stats_of(source: str, counts: Mapping[CountKey, int], stages: Sequence[str]) -> dict[str, Any]:
    """Returns the content of ``stats/SOURCE.json``. ``stages`` lists the stages in the order in which documents pass
    them.
    """

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
