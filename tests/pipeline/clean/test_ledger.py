"""Tests the ledger, which counts each dropped document and writes a row for it. Only a limited sample of the rows has
texts.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clean import counts as c
from pipeline.clean import ledger as ledger_module
from pipeline.clean.batches import DROPPED_SCHEMA, SIGNAL_PREFIX
from pipeline.clean.ledger import MAX_SAMPLE_CHARS, Ledger, sample_hash, sample_hashes, without_text_above
from pipeline.sources.source import Rejected


def batch_of(texts: list[str], **columns: Any) -> pa.RecordBatch:
    ids = [f"doc-{i}" for i in range(len(texts))]
    language = pa.array(["und"] * len(texts), pa.string())
    return pa.record_batch({"id": ids, "text": pa.array(texts, pa.string()), "language": language, **columns})


VERDICTS = st.lists(st.tuples(st.text(max_size=9), st.sampled_from([None, "too_short", "low_score"])), max_size=20)


@given(VERDICTS)
def test_kept_and_dropped_are_all_there_were(rows: list[tuple[str, str | None]]) -> None:
    ledger = Ledger("books", 3)
    batch = batch_of([t for t, _ in rows])
    kept, is_kept = ledger.split("rules", batch, batch, pa.array([v for _, v in rows], pa.string()), None)
    assert kept.column("text").to_pylist() == [t for t, v in rows if v is None]
    assert is_kept.to_pylist() == [v is None for _, v in rows]
    counted = {what: n for (source, stage, what), n in ledger.counts.items() if (source, stage) == ("books", "rules")}
    wanted = Counter(c.DROPPED + v for _, v in rows if v)
    wanted.update({c.DOCS_IN: len(rows), c.DOCS_KEPT: sum(v is None for _, v in rows)})
    wanted[c.BYTES_IN] = sum(len(t.encode()) for t, _ in rows)
    wanted[c.BYTES_KEPT] = sum(len(t.encode()) for t, v in rows if v is None)
    assert counted == {what: n for what, n in wanted.items() if n}
    dropped = [r for taken in ledger.take_dropped() for r in taken.to_pylist()]
    assert [(r["id"], r["reason"]) for r in dropped] == [(f"doc-{i}", v) for i, (_, v) in enumerate(rows) if v]
    assert {(r["source"], r["stage"]) for r in dropped} <= {("books", "rules")}


def test_a_dropped_row_has_the_text_as_it_came_and_what_its_step_determined() -> None:
    ledger = Ledger("books", 10)
    before = batch_of(["as it came", "kept"])
    before = before.append_column("url", pa.array(["https://a.example/1", "https://a.example/2"]))
    before = before.append_column("timestamp", pa.array(["2019-04-18T10:52:03Z", None], pa.string()))
    found = {"language": ["de", "en"], SIGNAL_PREFIX + "score": pa.array([0.25, None], pa.float64())}
    after = batch_of(["edited", "kept"], **found)
    verdict = pa.array(["low_score", None], pa.string())
    ledger.split("rules", before, after, verdict, pa.array(["0.25", None], pa.string()))
    (rows,) = ledger.take_dropped()
    assert rows.schema == DROPPED_SCHEMA
    assert rows.to_pylist() == [
        {"id": "doc-0", "source": "books", "language": "de", "stage": "rules", "reason": "low_score",
         "detail": "0.25", "signals": [{"name": "score", "value": 0.25}], "url": "https://a.example/1", "title": None,
         "date": "2019-04-18T10:52:03Z", "text": "as it came"}
    ]  # fmt: skip
    assert list(ledger.take_dropped()) == [], "taken once"


def test_rejected_records_are_rows_with_their_place() -> None:
    ledger = Ledger("books", 10)
    ledger.reject(Rejected(location="a.txt:3", reason="not_json", detail="line 3"))
    ledger.reject(Rejected(location="a.pdf", reason="pdf", is_bad=False))
    ledger.reject(Rejected(location="b.gz", reason="truncated_gzip", is_whole_file=True))
    counted = {what: n for (_, stage, what), n in ledger.counts.items() if stage == "records"}
    assert counted == {"not_json": 1, "pdf": 1, "truncated_gzip": 1, c.BAD_RECORDS: 2, c.UNREADABLE_FILES: 1}
    (rows,) = ledger.take_dropped()
    found = [(r["id"], r["stage"], r["reason"], r["detail"], r["text"]) for r in rows.to_pylist()]
    assert rows.column("language").null_count == 3
    assert found == [
        ("a.txt:3", "records", "not_json", "line 3", None),
        ("a.pdf", "records", "pdf", "", None),
        ("b.gz", "records", "truncated_gzip", "", None),
    ]


def test_what_is_read_and_written_is_counted_in_documents_bytes_and_lines() -> None:
    ledger = Ledger("books", 10)
    ledger.read(batch_of(["é\nb", "c\n", ""]))
    ledger.write(batch_of(["é\nb"]))
    assert dict(ledger.counts) == {
        ("books", c.READ_STAGE, c.DOCS_KEPT): 3,
        ("books", c.READ_STAGE, c.BYTES_KEPT): 6,
        ("books", c.READ_STAGE, c.LINES_KEPT): 3,
        ("books", c.WRITE_STAGE, c.LINES_KEPT): 2,
    }


def dropped_rows(ids: list[str], reasons: list[str], sample_docs: int) -> pa.RecordBatch:
    """Returns the rows that a ledger writes for a batch in which every document is dropped."""
    batch = batch_of([f"text of {i}" for i in ids]).set_column(0, "id", pa.array(ids, pa.string()))
    ledger = Ledger("s", sample_docs)
    ledger.split("rules", batch, batch, pa.array(reasons, pa.string()), None)
    (rows,) = ledger.take_dropped()
    return rows


IDS = st.lists(st.text("abcdef", min_size=1, max_size=4), unique=True, max_size=30)


@given(IDS, st.integers(0, 5), st.integers(1, 7), st.randoms(use_true_random=False))
def test_the_sample_is_the_same_however_the_rows_lie(ids: list[str], size: int, parts: int, random: Any) -> None:
    """Each batch is sampled, and then all batches together. For each reason, the sample has the rows with the smallest
    hashes.
    """
    reasons = ["even" if len(i) % 2 == 0 else "odd" for i in ids]
    wanted = set()
    for reason in ("even", "odd"):
        members = [i for i, r in zip(ids, reasons, strict=True) if r == reason]
        wanted |= set(sorted(members, key=sample_hash)[:size])
    rows = list(zip(ids, reasons, strict=True))
    random.shuffle(rows)
    first = [
        dropped_rows([i for i, _ in part], [r for _, r in part], size) for n in range(parts) if (part := rows[n::parts])
    ]
    hashes: dict[tuple[str, str], list[int]] = {}
    for batch in first:
        for key, found in sample_hashes(batch).items():
            hashes.setdefault(key, []).extend(found)
    limits = {key: max(sorted(found)[:size], default=-1) for key, found in hashes.items()}
    last = [row for batch in first for row in without_text_above(batch, limits).to_pylist()]
    assert sorted(row["id"] for row in last) == sorted(ids), "rows are never lost, only texts"
    assert {row["id"] for row in last if row["text"] is not None} == wanted
    assert all(row["text"] in (None, f"text of {row['id']}") for row in last)


def test_only_sampled_rows_say_where_they_came_from() -> None:
    ids = [f"doc-{n}" for n in range(5)]
    columns = {"url": [f"https://a.example/{i}" for i in ids], "title": ids, "date": ["2019-04-18"] * 5}
    batch = batch_of([f"text of {i}" for i in ids], **columns)
    ledger = Ledger("books", 2)
    ledger.split("rules", batch, batch, pa.array(["too_long"] * 5), None)
    (rows,) = ledger.take_dropped()
    chosen = set(sorted(ids, key=sample_hash)[:2])
    for name in ("url", "title", "date", "text"):
        assert {r["id"] for r in rows.to_pylist() if r[name] is not None} == chosen, name


def test_a_long_text_is_cut_in_the_sample() -> None:
    ledger = Ledger("books", 1)
    batch = batch_of(["日" * (MAX_SAMPLE_CHARS + 5)])
    ledger.split("rules", batch, batch, pa.array(["too_long"]), None)
    (rows,) = ledger.take_dropped()
    assert rows.column("text").to_pylist() == ["日" * MAX_SAMPLE_CHARS]


def test_it_says_when_it_must_be_written_down(monkeypatch: Any) -> None:
    monkeypatch.setattr(ledger_module, "_FLUSH_ROWS", 3)
    ledger = Ledger("books", 1)
    for number in range(3):
        assert not ledger.is_full
        ledger.reject(Rejected(location=str(number), reason="x"))
    assert ledger.is_full
    assert [rows.num_rows for rows in ledger.take_dropped()] == [3]
    assert not ledger.is_full
    batch = batch_of(["x" * 20_000] * 2)
    monkeypatch.setattr(ledger_module, "_FLUSH_BYTES", 30_000)
    ledger.split("rules", batch, batch, pa.array(["a", "a"]), None)
    assert ledger.is_full


def test_handovers_are_counted_under_one_name() -> None:
    ledger = Ledger("books", 1)
    ledger.send("keys", 3)
    ledger.receive("keys", 3)
    ledger.send("nothing", 0)
    assert dict(ledger.counts) == {
        ("books", c.GRAPH, c.SENT + "keys"): 3,
        ("books", c.GRAPH, c.RECEIVED + "keys"): 3,
    }
