"""What travels in place of texts gives the answers that comparing the texts themselves would give."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clean.batch_address import BATCH_ID
from pipeline.clean.dedup import exact_keys as k
from pipeline.clean.dedup.line_keys import line_payloads, lines_to_keep, lost_lines, parse_line_payload
from pipeline.sources.dedup_steps import ExactDedup, LineDedup

IDS = st.text("abcd", min_size=1, max_size=3)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": IDS,
            "text": st.sampled_from(["", "x", "y"]),
            "url": st.one_of(st.none(), st.sampled_from(["u", "v"])),
            "date": st.one_of(st.none(), st.sampled_from(["2019-01-01", "2020-05-05", "2020-05-06"])),
        }
    ),
    max_size=12,
)
STEPS = (
    ExactDedup(NAME="by_id", reason="duplicate_id", key="id"),
    ExactDedup(NAME="by_url", reason="duplicate_url", key="url", newest="date"),
)


def batch_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    columns = ("id", "text", "url", "date")
    return pa.record_batch({c: pa.array([r[c] for r in rows], pa.string()) for c in columns})


def survivors(rows: list[dict[str, Any]], batch_size: int) -> list[int]:
    """Runs the chain of contests on packed rows, as the transform does."""
    waiting: dict[int, list[bytes]] = defaultdict(list)
    for number, start in enumerate(range(0, len(rows), batch_size)):
        batch_id = BATCH_ID.pack(number, 0, 1)
        for index, payload in k.key_rows(
            batch_of(rows[start : start + batch_size]),
            batch_id,
            STEPS,
            np.arange(len(rows[start : start + batch_size])),
        ):
            waiting[index].append(payload)
    lost = set()
    for index in range(len(STEPS)):
        for _, group in itertools.groupby(sorted(waiting[index]), key=lambda p: p[: k.KEY_BYTES]):
            winner, *losers = (k.parse_key_row(p, STEPS, index) for p in group)
            for loser in losers:
                unit = BATCH_ID.unpack(loser.batch_id)[0]
                lost.add(unit * batch_size + loser.row)
            following = k.next_contest(winner, STEPS, index)
            if following:
                waiting[following[0]].append(following[1])
    return [i for i in range(len(rows)) if i not in lost]


def plain_survivors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rules, with dictionaries and the texts in hand."""

    def tie(row: dict[str, Any]) -> tuple[bytes, bytes]:
        return xxhash.xxh3_64_digest(row["id"].encode()), xxhash.xxh3_64_digest(row["text"].encode())

    by_id: dict[str, dict[str, Any]] = {}
    for row in rows:
        best = by_id.get(row["id"])
        if best is None or tie(row) < tie(best):
            by_id[row["id"]] = row
    kept, by_url = [], defaultdict(list)
    for row in by_id.values():
        (kept if row["url"] is None else by_url[row["url"]]).append(row)
    for group in by_url.values():
        newest = max(r["date"] or "" for r in group)
        kept.append(min((r for r in group if (r["date"] or "") == newest), key=tie))
    return kept


def shown(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted((r["id"], r["text"]) for r in rows)


@given(ROWS, st.integers(1, 4))
def test_exact_dedup_keeps_what_the_rules_keep(rows: list[dict[str, Any]], batch_size: int) -> None:
    # Rows equal in id and text may differ in url or date: which of those is kept is not promised.
    rows = list({(r["id"], r["text"]): r for r in rows}.values())
    kept = [rows[i] for i in survivors(rows, batch_size)]
    assert shown(kept) == shown(plain_survivors(rows))


@given(ROWS, st.randoms(use_true_random=False))
def test_exact_dedup_does_not_depend_on_order(rows: list[dict[str, Any]], random: Any) -> None:
    rows = list({(r["id"], r["text"]): r for r in rows}.values())
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert shown([rows[i] for i in survivors(rows, 3)]) == shown([shuffled[i] for i in survivors(shuffled, 2)])


def test_whole_numbers_are_not_compared_as_text() -> None:
    step = ExactDedup(NAME="v", reason="older", key="id", newest="version")
    batch = pa.record_batch({"id": ["p", "p"], "text": ["old", "new"], "version": [9, 10]})
    rows = sorted(
        payload for _, payload in k.key_rows(batch, BATCH_ID.pack(0, 0, 1), (step,), np.arange(batch.num_rows))
    )
    assert k.parse_key_row(rows[0], (step,), 0).row == 1


LINES = st.lists(st.sampled_from(["a", "b", "c", "A", "", "12", "34"]), min_size=1, max_size=5).map("\n".join)
DOCS = st.lists(LINES, min_size=1, max_size=8)


def deduped(
    texts: list[str], step: LineDedup, batch_size: int, scopes: list[str | None] | None = None
) -> list[list[str]]:
    """Runs both passes of the line dedup on packed hashes, as the transforms do."""
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
    """CCNet's normalisation, of the letters and digits used here."""
    return "".join("0" if c.isdigit() else c for c in line.lower())


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
