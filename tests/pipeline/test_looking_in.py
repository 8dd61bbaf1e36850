"""Looking into an output: the whole folder, clean/ and dropped/, with our command and with Hugging Face's datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small import Small

from mixtures.inspect.__main__ import main

pytestmark = pytest.mark.slow


def heads(capsys: Any) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("=== ")]


def test_the_output_folder_is_its_shards(small_done: Path, capsys: Any) -> None:
    assert list((small_done / ".work" / "tokens").rglob("*.arrow")), "what must not be read"
    assert main([str(small_done), "-n", "9999"]) == 0
    found = heads(capsys)
    assert found
    assert {"/shards/" in head or "/validation/" in head for head in found} == {True}
    assert all("epoch " in head for head in found)


def test_clean_documents_are_shown(small_done: Path, capsys: Any) -> None:
    assert main([str(small_done / "clean"), "-n", "9999", "--max-chars", "10"]) == 0
    assert len(heads(capsys)) == 45 + 5
    assert main([str(small_done / "clean" / "books"), "-n", "9999"]) == 0
    found = heads(capsys)
    assert len(found) == 5
    assert all(head.startswith("=== books  book-") for head in found)
    doc_id = found[0].split()[2]
    assert main([str(small_done / "clean"), "--id", doc_id]) == 0
    assert len(heads(capsys)) == 1
    assert main([str(small_done / "clean"), "--source", "c4", "--grep", "river", "-n", "3"]) == 0
    assert len(heads(capsys)) == 3
    assert main([str(small_done / "clean"), "--epoch", "0"]) == 1


def test_dropped_documents_are_shown_with_their_reason(small_done: Path, capsys: Any) -> None:
    assert main([str(small_done / "dropped"), "-n", "9999"]) == 0
    found = heads(capsys)
    assert any("dropped by book_quality: too_few_words" in head for head in found)
    assert any("dropped by records: not_json" in head for head in found)
    assert main([str(small_done / "dropped"), "-n", "9999", "--json"]) == 0
    as_json = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(as_json) == len(found)
    assert {(one["stage"], one["reason"]) for one in as_json} >= {("book_quality", "too_few_words")}
    assert all("epoch" not in one for one in as_json)
    rows = sum(pq.read_table(path).num_rows for path in (small_done / "dropped").rglob("*.parquet"))
    assert len(found) == rows


def test_an_output_without_shards_shows_its_clean_documents(small: Small, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    assert small.run(out, "--phase=clean") == 0
    capsys.readouterr()
    assert main([str(out), "-n", "2"]) == 0
    assert all("/clean/" in head for head in heads(capsys))


def test_what_holds_no_documents_is_named(small_done: Path, tmp_path: Path, capsys: Any) -> None:
    import pyarrow as pa

    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty")]) == 2
    assert "holds no shard and no documents" in capsys.readouterr().err
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    assert main([str(tmp_path / "other.parquet")]) == 2
    assert "it has no column id, text" in capsys.readouterr().err
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really PAR1")
    assert main([str(tmp_path / "broken.parquet")]) == 2
    assert "is not a readable Parquet file" in capsys.readouterr().err


@pytest.mark.train
def test_hugging_face_datasets_load_clean_and_dropped(small_done: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="make test-train installs it")
    for folder in ("clean/c4", "clean/books", "dropped/c4", "dropped/books"):
        files = sorted(map(str, (small_done / folder).glob("*.parquet")))
        loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
        rows = pq.read_table(small_done / folder).to_pylist()
        assert loaded.num_rows == len(rows)
        assert loaded[0]["id"] == rows[0]["id"]
        assert loaded["signals"][:] == [row["signals"] for row in rows]
        streamed = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
        assert [row["id"] for row in streamed] == [row["id"] for row in rows]
