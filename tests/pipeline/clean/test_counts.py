"""Tests that counts are consistent: a stage keeps or drops each document that it gets, and the next stage gets all
documents that it keeps.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clean import counts as c

STAGES = ("language", "rules", "dedup")
REASONS = ("too_short", "low_score")


@st.composite
def runs(draw: st.DrawFn) -> tuple[dict[c.CountKey, int], int, int]:
    """Draws consistent counts of a source, and the numbers of documents and of dropped rows that it writes."""
    number = draw(st.integers(0, 50))
    counts: Counter[c.CountKey] = Counter({("s", c.READ_STAGE, c.DOCS_KEPT): number})
    dropped = 0
    for stage in STAGES:
        counts["s", stage, c.DOCS_IN] = number
        for reason in REASONS:
            gone = draw(st.integers(0, number))
            counts["s", stage, c.DROPPED + reason] = gone
            number, dropped = number - gone, dropped + gone
        counts["s", stage, c.DOCS_KEPT] = number
    records = draw(st.integers(0, 9))
    counts["s", "records", "not_json"] = records
    counts["s", "records", c.BAD_RECORDS] = records
    counts["s", "records", c.UNREADABLE_FILES] = draw(st.integers(0, 3))
    sent = draw(st.integers(0, 9))
    counts["s", c.GRAPH, c.SENT + "keys"] = counts["s", c.GRAPH, c.RECEIVED + "keys"] = sent
    return dict(counts), number, dropped + records


def check(counts: dict[c.CountKey, int], num_written: int, num_dropped: int) -> None:
    c.check_conservation(counts)
    c.check_chain("s", STAGES, counts, num_written=num_written, num_dropped_written=num_dropped)


@given(runs())
def test_a_run_that_lost_nothing_passes(run: Any) -> None:
    check(*run)


COUNTED = [(stage, what) for stage in STAGES for what in (c.DOCS_IN, c.DOCS_KEPT, *(c.DROPPED + r for r in REASONS))]
COUNTED += [(c.READ_STAGE, c.DOCS_KEPT), ("records", "not_json"), (c.GRAPH, c.SENT + "keys")]
COUNTED += [(c.GRAPH, c.RECEIVED + "keys")]


@given(runs(), st.sampled_from(COUNTED), st.sampled_from([-1, 1, 100]))
def test_any_number_that_is_off_is_noticed(run: Any, place: tuple[str, str], off: int) -> None:
    counts, *written = run
    counts["s", *place] = counts.get(("s", *place), 0) + off
    with pytest.raises(c.LostRecords):
        check(counts, *written)


@given(runs(), st.sampled_from([(1, 0), (-1, 0), (0, 1), (0, -1)]))
def test_files_that_hold_more_or_less_are_noticed(run: Any, off: tuple[int, int]) -> None:
    counts, num_written, num_dropped = run
    with pytest.raises(c.LostRecords):
        check(counts, num_written + off[0], num_dropped + off[1])


def test_the_message_names_source_stage_and_numbers() -> None:
    counts = {("books", "rules", c.DOCS_IN): 3, ("books", "rules", c.DOCS_KEPT): 1, ("books", "rules", "dropped:x"): 1}
    with pytest.raises(c.LostRecords, match=r"books, stage rules: 3 documents in, 1 kept \+ 1 dropped"):
        c.check_conservation(counts)
    handed = {("books", c.GRAPH, c.SENT + "keys"): 5, ("books", c.GRAPH, c.RECEIVED + "keys"): 4}
    with pytest.raises(c.LostRecords, match="books: 5 keys were sent, 4 arrived"):
        c.check_conservation(handed)
    with pytest.raises(c.LostRecords, match="books: 5 keys were sent, 0 arrived"):
        c.check_conservation({("books", c.GRAPH, c.SENT + "keys"): 5})


def test_statistics_have_the_contract_s_form() -> None:
    counts = {
        ("s", c.READ_STAGE, c.DOCS_KEPT): 10,
        ("s", c.READ_STAGE, c.BYTES_KEPT): 900,
        ("s", c.READ_STAGE, c.LINES_KEPT): 30,
        ("s", "language", c.DOCS_IN): 10,
        ("s", "language", c.DOCS_KEPT): 7,
        ("s", "language", c.BYTES_IN): 900,
        ("s", "language", c.BYTES_KEPT): 650,
        ("s", "language", "dropped:other_language"): 2,
        ("s", "language", "dropped:low_score"): 1,
        ("s", "lines", c.DOCS_IN): 7,
        ("s", "lines", c.DOCS_KEPT): 7,
        ("s", "lines", c.BYTES_IN): 650,
        ("s", "lines", c.BYTES_KEPT): 600,
        ("s", "lines", c.LINES_IN): 25,
        ("s", "lines", c.LINES_KEPT): 20,
        ("s", c.WRITE_STAGE, c.LINES_KEPT): 20,
        ("s", "records", "not_json"): 2,
        ("s", "records", c.BAD_RECORDS): 2,
        ("other", "language", c.DOCS_IN): 99,
    }
    assert c.stats_of("s", counts, ["language", "lines"]) == {
        "source": "s",
        "documents": {"in": 10, "kept": 7, "dropped": 3},
        "bytes": {"in": 900, "kept": 600},
        "lines": {"in": 30, "kept": 20},
        "stages": [
            {"stage": "language", "in": 10, "kept": 7, "dropped": {"low_score": 1, "other_language": 2},
             "bytes": {"in": 900, "kept": 650}},
            {"stage": "lines", "in": 7, "kept": 7, "dropped": {}, "bytes": {"in": 650, "kept": 600},
             "lines": {"in": 25, "kept": 20}},
        ],
        "records": {"not_json": 2},
        "bad_records": 2,
        "unreadable_files": 0,
        "tokens": None,
    }  # fmt: skip


def test_statistics_of_a_source_of_which_nothing_came() -> None:
    stats = c.stats_of("s", {}, ["language"])
    assert stats["documents"] == {"in": 0, "kept": 0, "dropped": 0}
    assert [(s["stage"], s["in"]) for s in stats["stages"]] == [("language", 0)]
