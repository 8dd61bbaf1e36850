"""Compares the line dedup of a run with CCNet's and C4's rules, applied line by line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.ccnet.line_hashes import drop_lines
from pipeline.clean.batch_address import BATCH_ID
from pipeline.clean.dedup.line_keys import line_payloads, lines_to_keep, lost_lines, parse_line_payload
from pipeline.sources.dedup_steps import LineDedup

NUM_BUCKETS = 4
Kept = tuple[list[str], list[int], list[int]]
"""Three lists with one entry per document: its text, the number of kept lines, and the number of lines before."""
CCNET = LineDedup(lines="ccnet", keep="ccnet", scope="all")
C4 = LineDedup(lines="c4", keep="first", scope="all", rank="url")


def batches_of(texts: Sequence[str], sizes: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yields documents in batches of the given sizes. A last batch has the remaining documents."""
    ids = [f"id-{number}" for number in range(len(texts))]
    whole = pa.record_batch({"id": ids, "url": [f"http://{one}/" for one in ids], "text": pa.array(texts, pa.string())})
    at = 0
    for size in [*sizes, len(texts)]:
        if at < len(texts):
            yield whole.slice(at, size)
        at += size


def both_passes(batches: Sequence[pa.RecordBatch], step: LineDedup) -> Kept:
    """Calls the functions of the clean phase one after the other: keys of each batch, verdicts of each bucket, removal
    of lines.
    """
    buckets: dict[int, list[bytes]] = {}
    for number, batch in enumerate(batches):
        for bucket, payload in line_payloads(batch, number.to_bytes(BATCH_ID.size, "big"), step, NUM_BUCKETS):
            buckets.setdefault(bucket, []).append(payload)
    lost: dict[int, list[np.ndarray]] = {}
    for payloads in buckets.values():
        parsed = [parse_line_payload(payload, step.keep) for payload in payloads]
        for (batch_id, _, _), gone in zip(
            parsed, lost_lines([p[1] for p in parsed], [p[2] for p in parsed], step.keep), strict=True
        ):
            lost.setdefault(int.from_bytes(batch_id, "big"), []).append(gone)
    found: Kept = ([], [], [])
    for number, batch in enumerate(batches):
        keep, _ = lines_to_keep(batch, step, np.concatenate(lost.get(number, [np.empty(0, np.uint64)])))
        kept = drop_lines(batch.column("text"), ~keep)
        for column, array in zip(found, (kept.text, kept.num_lines, kept.original_num_lines), strict=True):
            column += array.to_pylist()
    return found


def by_hand(batches: Sequence[pa.RecordBatch], step: LineDedup) -> Kept:
    """Does the same line by line. Of CCNet's normalisation it applies only case and digits, so the lines must need
    nothing else.
    """
    documents = [document for batch in batches for document in batch.to_pylist()]

    def key(line: str) -> str:
        line = line.strip().lower()
        return "".join("0" if char.isdigit() else char for char in line) if step.lines == "ccnet" else line

    holders: dict[str, set[str]] = {}
    for document in documents:
        for line in document["text"].split("\n"):
            holders.setdefault(key(line), set()).add(document["url"])
    found: Kept = ([], [], [])
    for document in documents:
        seen: set[str] = set()
        lines = []
        for line in document["text"].split("\n"):
            one = key(line)
            best = min(holders[one], key=lambda url: hashlib.md5(url.encode()).hexdigest())
            is_kept = len(holders[one]) == 1 if step.keep == "ccnet" else best == document["url"]
            if is_kept and one not in seen:
                lines.append(line)
            seen.add(one)
        for column, value in zip(found, ("\n".join(lines), len(lines), document["text"].count("\n") + 1), strict=True):
            column.append(value)
    return found


def test_what_ccnets_two_passes_leave() -> None:
    batches = list(batches_of(["A\nB\nB\nC", "a\nD\nD", "A"], [2]))
    assert both_passes(batches, CCNET) == (["B\nC", "D", ""], [2, 1, 0], [4, 3, 1])


@pytest.mark.parametrize("step", [CCNET, C4], ids=["ccnet", "c4"])
@given(
    texts=st.lists(
        st.lists(st.text(st.sampled_from("ab1 B2Ü"), max_size=3), min_size=1, max_size=4).map("\n".join),
        min_size=1,
        max_size=7,
    ),
    sizes=st.lists(st.integers(1, 3), max_size=4),
)
@settings(deadline=None)
def test_both_passes_are_those_done_by_hand(step: LineDedup, texts: list[str], sizes: list[int]) -> None:
    batches = list(batches_of(texts, sizes))
    assert both_passes(batches, step) == by_hand(batches, step)


def test_documents_without_a_url_share_no_line() -> None:
    """These documents are ranked by their ids. If their ranks were equal, each of them would keep a shared line."""
    rows = [{"id": name, "url": None, "text": "one line\nof " + name} for name in ("a", "b", "c")]
    batch = pa.RecordBatch.from_pylist(
        rows, schema=pa.schema({"id": pa.string(), "url": pa.string(), "text": pa.string()})
    )
    texts, num_lines, _ = both_passes([batch.slice(0, 2), batch.slice(2)], C4)
    assert sorted(num_lines) == [1, 1, 2]
    assert "\n".join(texts).count("one line") == 1
