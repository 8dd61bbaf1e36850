"""Tests the file of a shard: its content, that its bytes depend only on the rows, and which rows are refused."""

from __future__ import annotations

import hashlib
import io
import itertools
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixtures.shards
from mixtures.shards import ShardInfo, ShardMetadata, num_shards, shard_schema, write_shard

METADATA = ShardMetadata(
    recipe="r", seed=7, tokenizer_sha256="ab" * 32, vocab_size=32_000, bos_id=1, eos_id=2
)  # fmt: skip
Row = tuple[str, str, int, list[int]]
ROWS = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.text(max_size=5), st.integers(0, 255), st.lists(st.integers(0, 31_999), max_size=9)
    ),
    max_size=30,
)


def written(batches: list[pa.RecordBatch], **changed: Any) -> tuple[bytes, ShardInfo]:
    sink = io.BytesIO()
    given_args = {"path": "shards/x.arrow", "sources": ("c", "a", "b"), "metadata": METADATA, **changed}
    return (lambda info: (sink.getvalue(), info))(write_shard(sink, batches, **given_args))


UINT16 = pa.uint16()


def batch_of(rows: list[Row], ids: pa.DataType = UINT16) -> pa.RecordBatch:
    source, doc_id, epoch, input_ids = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.record_batch(
        {
            "epoch": pa.array(epoch, pa.uint8()),
            "doc_id": pa.array(doc_id, pa.string()),
            "source": pa.array(source, pa.string()),
            "input_ids": pa.array(input_ids, pa.list_(ids)),
        }
    )


def test_the_form_is_the_contracts() -> None:
    data, info = written([batch_of([("b", "x", 3, [1, 5, 2]), ("a", "y", 0, [1, 2])])])
    reader = pa.ipc.open_file(pa.py_buffer(data))
    kinds = {field.name: str(field.type) for field in reader.schema}
    assert kinds["doc_id"] == "string"
    assert kinds["epoch"] == "uint8"
    assert kinds["input_ids"] == "list<item: uint16>"
    assert kinds["source"] == "dictionary<values=string, indices=int8, ordered=0>"
    assert reader.schema.names == ["input_ids", "source", "doc_id", "epoch"]
    assert ShardMetadata.of(reader.schema) == METADATA
    assert reader.schema.metadata[b"vocab_size"] == b"32000"
    assert asdict(info) == {
        "path": "shards/x.arrow",
        "rows": 2,
        "tokens": 5,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "sources": {"a": 2, "b": 3},
    }
    table = reader.read_all()
    assert table["source"].combine_chunks().dictionary.to_pylist() == ["a", "b", "c"]
    assert table.to_pylist()[0] == {"input_ids": [1, 5, 2], "source": "b", "doc_id": "x", "epoch": 3}


def test_large_vocabularies_have_uint32() -> None:
    large = ShardMetadata(**{**asdict(METADATA), "vocab_size": 70_000})
    data, _ = written([batch_of([("a", "x", 0, [69_999])], pa.uint32())], metadata=large)
    assert pa.ipc.open_file(pa.py_buffer(data)).read_all()["input_ids"].to_pylist() == [[69_999]]
    assert shard_schema(65_536).field("input_ids").type.value_type == pa.uint16()
    assert shard_schema(65_537).field("input_ids").type.value_type == pa.uint32()


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 30), max_size=4))
def test_bytes_do_not_depend_on_how_rows_came(rows: list[Row], cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixtures.shards, "MAX_BATCH_ROWS", 4)
        patch.setattr(mixtures.shards, "MAX_BATCH_TOKENS", 20)
        whole, info = written([batch_of(rows)])
        borders = [0, *sorted(min(c, len(rows)) for c in cuts), len(rows)]
        parts = [batch_of(rows[a:b]) for a, b in itertools.pairwise(borders)]
        parts = [part.set_column(2, "source", part.column("source").dictionary_encode()) for part in parts]
        assert written(parts) == (whole, info)
    reader = pa.ipc.open_file(pa.py_buffer(whole))
    batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
    assert all(len(b) <= 4 for b in batches)
    assert all(len(b) == 1 or len(b.column("input_ids").flatten()) <= 20 for b in batches)
    found = reader.read_all().select(["source", "doc_id", "epoch", "input_ids"])
    assert list(zip(*(column.to_pylist() for column in found.columns), strict=True)) == rows
    assert (info.rows, info.tokens) == (len(rows), sum(len(row[3]) for row in rows))


def test_what_does_not_belong_is_refused() -> None:
    with pytest.raises(ValueError, match="a row is of source z, which the recipe lacks"):
        written([batch_of([("z", "x", 0, [1])])])
    with pytest.raises(ValueError, match="id 32000 is not below the vocabulary's 32000"):
        written([batch_of([("a", "x", 0, [32_000])])])
    with pytest.raises(ValueError, match="its metadata lacks format"):
        ShardMetadata.of(shard_schema(5))
    later = shard_schema(5).with_metadata({**METADATA.as_bytes(), b"format": b"2"})
    with pytest.raises(ValueError, match="its format is 2, this version reads 1"):
        ShardMetadata.of(later)


@given(st.integers(0, 10**13), st.sampled_from([2, 4]), st.integers(1024, 2**30))
def test_there_are_enough_shards(tokens: int, width: int, target: int) -> None:
    number = num_shards(tokens, width, target)
    assert number >= 1
    assert number * target >= tokens * width
    assert number == 1 or (number - 1) * target < tokens * width


def test_shards_can_be_memory_mapped(tmp_path: Any) -> None:
    data, _ = written([batch_of([("a", "x", 0, list(range(1_000)))])])
    (tmp_path / "x.arrow").write_bytes(data)
    before = pa.total_allocated_bytes()
    with pa.memory_map(str(tmp_path / "x.arrow")) as file:
        ids = pa.ipc.open_file(file).get_batch(0).column("input_ids").values.to_numpy(zero_copy_only=True)
        assert pa.total_allocated_bytes() - before < 500
        assert (ids == np.arange(1_000)).all()
