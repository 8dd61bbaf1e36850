"""Tests the line dedup, which compares packed hashes. It removes the same lines as a comparison of whole texts."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clean.batch_address import BATCH_ID
from pipeline.clean.dedup.line_keys import line_payloads, lines_to_keep, lost_lines, parse_line_payload
from pipeline.sources.dedup_steps import LineDedup

LINES = st.lists(
    st.sampled_from(["a", "b", "c", "A", "A ", "", " “", "12", "34", "c1", "c2"]), min_size=1, max_size=5
).map("\n".join)
DOCS = st.lists(LINES, min_size=1, max_size=8)


def deduped(
    texts: list[str], step: LineDedup, batch_size: int, scopes: list[str | None] | None = None
) -> list[list[str]]:
    """Runs both passes of the line dedup on packed hashes, as the pipeline does. Returns the kept lines of each
    text.
    """
    batches = {}
    for number, start in enumerate(range(0, len(texts), batch_size)):
        part = texts[start : start + batch_size]
        columns = {"id": [f"d{start + i}" for i in range(len(part))], "text": part}
        if scopes:
            columns["scope"] = scopes[start : start + batch_size]
        batches[BATCH_ID.pack(number, 0, 1)] = pa.record_batch(
            {n: pa.array(v, pa.string()) for n, v in columns.items()}
        )
    buckets = defaultdict(list)
    for batch_id, batch in batches.items():
        for bucket, payload in line_payloads(batch, batch_id, step, 16):
            buckets[bucket].append(parse_line_payload(payload, step.keep))
    lost = defaultdict(list)
    for parsed in buckets.values():
        gone = lost_lines([p[1] for p in parsed], [p[2] for p in parsed], step.keep)
        for (batch_id, _, _), hashes in zip(parsed, gone, strict=True):
            lost[batch_id].append(hashes)
    kept = []
    for batch_id, batch in batches.items():
        hashes = np.concatenate(lost[batch_id]) if lost[batch_id] else np.empty(0, np.uint64)
        keep, lines = lines_to_keep(batch, step, hashes)
        all_lines = [line for text in batch.column("text").to_pylist() for line in text.split("\n")]
        for row in range(batch.num_rows):
            kept.append([all_lines[i] for i in np.flatnonzero(keep & (lines.documents == row))])
    return kept


def norm(line: str) -> str:
    """Returns CCNet's normal form of a line, for the characters that these tests use."""
    return "".join("0" if c.isdigit() else c for c in line.strip().lower() if c != "“")


def plain_ccnet(texts: list[str]) -> list[list[str]]:
    holders = defaultdict(set)
    for doc, text in enumerate(texts):
        for line in text.split("\n"):
            holders[norm(line)].add(doc)
    kept = []
    for text in texts:
        seen, lines = set(), []
        for line in text.split("\n"):
            if len(holders[norm(line)]) == 1 and norm(line) not in seen:
                seen.add(norm(line))
                lines.append(line)
        kept.append(lines)
    return kept


@given(DOCS, st.integers(1, 5))
def test_ccnet_rule(texts: list[str], batch_size: int) -> None:
    assert deduped(texts, LineDedup(keep="ccnet"), batch_size) == plain_ccnet(texts)


@given(DOCS, st.integers(1, 5))
def test_first_rule_keeps_one_copy_by_hash_of_the_id(texts: list[str], batch_size: int) -> None:
    kept = deduped(texts, LineDedup(keep="first"), batch_size)
    copies = [norm(line) for lines in kept for line in lines]
    assert sorted(copies) == sorted({norm(line) for text in texts for line in text.split("\n")})
    ranks = {i: hashlib.md5(f"d{i}".encode()).hexdigest() for i in range(len(texts))}
    for doc, lines in enumerate(kept):
        for line in lines:
            holders = [i for i, t in enumerate(texts) if norm(line) in map(norm, t.split("\n"))]
            assert doc == min(holders, key=ranks.__getitem__)


@given(DOCS, st.data())
def test_scopes_do_not_meet_and_null_takes_no_part(texts: list[str], data: st.DataObject) -> None:
    scopes = data.draw(st.lists(st.sampled_from(["one", "two", None]), min_size=len(texts), max_size=len(texts)))
    kept = deduped(texts, LineDedup(keep="ccnet", scope="scope"), 3, scopes)
    for scope in ("one", "two"):
        members = [i for i, s in enumerate(scopes) if s == scope]
        assert [kept[i] for i in members] == plain_ccnet([texts[i] for i in members])
    for i in (i for i, s in enumerate(scopes) if s is None):
        assert kept[i] == texts[i].split("\n")


@given(DOCS)
def test_scope_document_drops_repeats_only(texts: list[str]) -> None:
    expected = [list({norm(x): x for x in reversed(t.split("\n"))}.values())[::-1] for t in texts]
    found = deduped(texts, LineDedup(scope="document"), 3)
    assert [sorted(map(norm, f)) for f in found] == [sorted(map(norm, e)) for e in expected]


def test_the_first_of_many_equal_lines_stays() -> None:
    batch = pa.record_batch({"id": ["long", "many"], "text": ["Wört 12 " * 600_000, "\n" * 300_000]})
    keep, lines = lines_to_keep(batch, LineDedup(), np.empty(0, np.uint64))
    assert np.flatnonzero(keep).tolist() == [0, 1]
    assert np.bincount(lines.documents).tolist() == [1, 300_001]
