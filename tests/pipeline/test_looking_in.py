"""Tests commands that show an output: the whole folder, clean/ and dropped/, with this project's command and with
Hugging Face's datasets.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small import Small, prose

from mixtures.inspect.__main__ import main
from pipeline.run import main as run

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


def test_dropped_documents_are_chosen_by_stage_and_reason(small_done: Path, capsys: Any) -> None:
    """For the whole output folder, the command reads the files in ``dropped/`` and not the shards."""
    assert main([str(small_done), "--stage", "book_quality"]) == 0
    (head,) = heads(capsys)
    assert "dropped by book_quality: too_few_words" in head
    assert main([str(small_done), "--reason", "not_json"]) == 0
    (head,) = heads(capsys)
    assert "dropped by records: not_json" in head
    assert main([str(small_done), "--stage", "book_quality", "--reason", "not_json"]) == 1
    assert main([str(small_done / "clean"), "--stage", "book_quality"]) == 1
    assert main([str(small_done / "shards"), "--stage", "book_quality"]) == 1
    assert main([str(small_done), "--stage", "gutenberg"]) == 1, "a stage that dropped nothing"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--source", "boks"], "there is no source 'boks' here; did you mean books?"),
        (["--stage", "book_qualty"], "there is no stage 'book_qualty' here; did you mean book_quality?"),
        (["--reason", "too_few_word"], "no document was dropped as 'too_few_word'; did you mean too_few_words?"),
        (["--pair", "--source", "boks"], "there is no source 'boks' here; did you mean books?"),
    ],
)
@pytest.mark.parametrize("folder", ["", "clean", "dropped", "shards", "validation"])
def test_misspelt_names_are_refused(
    small_done: Path, flags: list[str], said: str, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if folder and flags[0] != "--source":
        folder = "dropped" if "--pair" not in flags else ""
    assert main([str(small_done / folder), *flags]) == 2
    assert capsys.readouterr().err == f"mixtures.inspect: {said}\n"


def test_pairs_of_books_are_those_of_dropped(small: Small, tmp_path: Path, capsys: Any) -> None:
    """The near dedup of books writes no ``dedup/``, so the pairs come from ``dropped/``. A long book is shown from its
    first difference on.
    """
    folder = tmp_path / "books"
    folder.mkdir()
    text = prose("one book", 4000)
    (folder / "a.txt").write_text(text)
    words = text.split(" ")
    words[2500] = "UNLIKE"
    (folder / "b.txt").write_text(" ".join(words))
    out = tmp_path / "out"
    assert run(small.args(out, f"--input=books={folder}", "--phase=clean")) == 0
    capsys.readouterr()
    assert main([str(out), "--pair", "--max-chars", "600"]) == 0
    shown = capsys.readouterr().out
    assert "=== books  near_dedup  overlap 0.99" in shown
    assert "characters that both have]" in shown
    assert "[UNLIKE" in shown
    assert main([str(out), "--pair", "--json"]) == 0
    (pair,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert pair["removed_text"].split()[:9] == pair["kept_text"].split()[:9]
    assert main([str(out), "--pair", "--id", pair["kept_id"]]) == 0
    assert main([str(out), "--pair", "--id", "nobody"]) == 1
    capsys.readouterr()
    assert main([str(out), "--rejected"]) == 2
    assert "the near dedup of books writes no such sample" in capsys.readouterr().err


def test_an_output_in_which_no_near_dedup_removed_anything(small_done: Path, capsys: Any) -> None:
    assert main([str(small_done), "--pair", "--source", "c4"]) == 2
    assert "no near dedup removed a document of c4; in a run's configuration" in capsys.readouterr().err


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
