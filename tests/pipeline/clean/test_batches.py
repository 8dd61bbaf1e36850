"""Tests record batches of documents: their encoding as bytes, their sizes, and their signals."""

from __future__ import annotations

import math
import pickle
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clean import batches as d
from pipeline.sources import SOURCES

ROWS = st.lists(st.fixed_dictionaries({"id": st.text(max_size=5), "text": st.text(max_size=30)}), max_size=20)


def batch_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=pa.schema({"id": pa.string(), "text": pa.string()}))


@given(ROWS)
def test_the_coder_gives_back_what_it_was_given(rows: list[dict[str, Any]]) -> None:
    batch = batch_of(rows)
    coder = beam.coders.registry.get_coder(pa.RecordBatch)
    assert isinstance(coder, d.RecordBatchCoder), "Beam would pickle"
    assert coder.decode(coder.encode(batch)).equals(batch)
    assert coder.encode(batch) == coder.encode(batch)
    assert coder.is_deterministic()


def test_the_bytes_of_a_slice_are_those_of_its_rows() -> None:
    """A pickle of a slice contains the whole batch: 10 MB for 10 of 10,000 rows. Our encoding of the slice contains
    only its 10 rows.
    """
    parent = batch_of([{"id": str(i), "text": "x" * 1000 + str(i)} for i in range(10_000)])
    part = parent.slice(5000, 10)
    assert len(d.batch_to_bytes(part)) < 20_000 < len(pickle.dumps(part))
    assert d.batch_from_bytes(d.batch_to_bytes(part)).equals(part)


@given(st.lists(st.one_of(st.none(), st.integers(0, 4000)), max_size=60))
def test_batches_hold_every_document_once_and_in_order(sizes: list[int | None]) -> None:
    documents = [None if s is None else {"id": str(n), "text": "x" * s} for n, s in enumerate(sizes)]
    found = list(d.batches(documents, source="s", columns={}))
    rows = [row for batch in found if batch is not None for row in batch.to_pylist()]
    assert [(r["id"], r["text"]) for r in rows] == [(x["id"], x["text"]) for x in documents if x]
    assert sum(batch is None for batch in found) == sizes.count(None), "a reader that finds nothing is heard"
    assert all(batch.num_rows > 0 for batch in found if batch is not None)


def test_batches_are_bounded_in_documents_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [{"id": str(n), "text": "x"} for n in range(d.MAX_BATCH_DOCS * 2 + 1)]
    assert [b.num_rows for b in d.batches(many, source="s", columns={}) if b] == [d.MAX_BATCH_DOCS] * 2 + [1]
    monkeypatch.setattr(d, "MAX_BATCH_BYTES", 1000)
    long = [{"id": str(n), "text": "x" * 400} for n in range(7)]
    assert [b.num_rows for b in d.batches(long, source="s", columns={}) if b] == [3, 3, 1]


def test_what_a_reader_leaves_out_is_filled() -> None:
    columns = {"url": pa.string(), "year": pa.int64()}
    documents = [{"id": "a", "text": "t", "url": "u"}, {"id": "b", "text": "", "language": "de", "year": 3}]
    (batch,) = d.batches(documents, source="books", columns=columns)
    assert batch is not None
    assert batch.schema == d.reader_schema(columns)
    assert batch.to_pylist() == [
        {"id": "a", "text": "t", "source": "books", "language": "und", "url": "u", "year": None},
        {"id": "b", "text": "", "source": "books", "language": "de", "url": None, "year": 3},
    ]


def test_a_document_without_an_id_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="a document without id"):
        list(d.batches([{"text": "t"}], source="s", columns={}))


def test_columns_are_replaced_in_their_place_and_added_behind() -> None:
    batch = batch_of([{"id": "a", "text": "t"}])
    found = d.set_columns(batch, {"text": pa.array(["u"]), "n": pa.array([1])})
    assert found.schema.names == ["id", "text", "n"]
    assert found.to_pylist() == [{"id": "a", "text": "u", "n": 1}]
    assert batch.to_pylist() == [{"id": "a", "text": "t"}], "the batch itself is left as it is"
    with pytest.raises(AssertionError):
        d.set_columns(batch, {"n": pa.array([1, 2])})


SIGNALS = st.lists(st.tuples(*[st.one_of(st.none(), st.floats(allow_nan=False))] * 3), max_size=12)


@given(SIGNALS, st.integers(0, 5))
def test_signals_become_a_list_without_what_was_not_measured(rows: list[tuple[float | None, ...]], start: int) -> None:
    names = ("a", "b", "c")
    columns = {d.SIGNAL_PREFIX + n: pa.array([r[i] for r in rows], pa.float64()) for i, n in enumerate(names)}
    batch = pa.record_batch({"id": pa.array([""] * len(rows), pa.string()), **columns}).slice(min(start, len(rows)))
    found = d.signals_list(batch)
    assert found.type == d.SIGNALS_TYPE
    wanted = [
        [{"name": n, "value": v} for n, v in zip(names, row, strict=True) if v is not None] for row in rows[start:]
    ]
    assert found.to_pylist() == wanted


def test_no_signals_at_all_are_empty_lists() -> None:
    assert d.signals_list(batch_of([{"id": "a", "text": ""}] * 2)).to_pylist() == [[], []]


def test_a_signal_that_is_not_a_number_stays_one() -> None:
    batch = pa.record_batch({d.SIGNAL_PREFIX + "a": pa.array([math.nan])})
    ((pair,),) = d.signals_list(batch).to_pylist()
    assert math.isnan(pair["value"])


@given(st.lists(st.text("ab\n\r é", max_size=12), max_size=6))
def test_the_bytes_of_texts_are_those_of_utf_8(texts: list[str]) -> None:
    assert d.text_bytes(pa.array(texts, pa.string())) == sum(len(t.encode()) for t in texts)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_s_batches_can_be_made(name: str) -> None:
    columns = SOURCES[name].reader.COLUMNS
    (batch,) = d.batches([{"id": "a", "text": "t"}], source=name, columns=columns)
    assert batch is not None
    assert batch.schema.names == [*d.BASE_COLUMNS, *columns]
