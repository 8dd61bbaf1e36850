"""Tests the command that prints documents from shards: each with its text, its source, and its shard and row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixtures.find.__main__ import main as find
from mixtures.inspect.__main__ import main
from mixtures.shares.__main__ import main as shares
from mixtures.verify.__main__ import main as verify
from tokenizer.encode import Encoder
from tokenizer.train.training import TrainSettings, train

Rows = list[tuple[str, str, int, list[int]]]
Says = Callable[..., tuple[int, str, str]]


@pytest.fixture
def says(output: Path, capsys: pytest.CaptureFixture[str]) -> Says:
    def run(*args: str) -> tuple[int, str, str]:
        status = main([arg.replace("{out}", str(output)) for arg in args])
        return (status, *capsys.readouterr())

    return run


def test_a_document_is_found_by_its_id_in_every_epoch(says: Says, rows: Rows, encoder: Encoder) -> None:
    source, doc_id, _, ids = next(row for row in rows if row[2] == 1 and len(row[3]) > 20)
    status, out, err = says("{out}/shards", "--id", doc_id, "--max-chars", "100000")
    assert (status, err) == (0, "")
    heads = [line for line in out.splitlines() if line.startswith("=== ")]
    assert sorted(head.split("epoch ")[1][0] for head in heads) == ["0", "1"]
    assert all(head.startswith(f"=== {source}  {doc_id}  epoch") for head in heads)
    assert f"{len(ids):,} tokens" in out
    assert encoder.decode(ids).splitlines()[0] in out


def test_the_cut_document_says_so(says: Says, rows: Rows) -> None:
    cut = next(row for row in rows if len(row[3]) == 17)
    _, out, _ = says("{out}", "--id", cut[1])
    assert out.count("cut before its end") == 1
    assert "epoch 1  17 tokens, cut before its end" in out


def test_documents_are_chosen_by_source_text_and_number(says: Says) -> None:
    _, out, _ = says("{out}/shards", "--source", "books", "-n", "3")
    assert out.count("=== books") == out.count("=== ") == 3
    _, out, _ = says("{out}/validation", "--grep", "number 2")
    assert out.count("=== ") == 1
    assert "Held out, number 2." in out
    _, out, _ = says("{out}/shards/train-00000-of-00005.arrow", "-n", "1", "--max-chars", "10")
    assert "more]" in out
    status, out, err = says("{out}", "--id", "nowhere")
    assert (status, out) == (1, "")
    assert "no document of 6 shards matches" in err


def test_a_dropped_document_is_looked_for_among_the_dropped(
    tmp_path: Path, encoder: Encoder, make_output: Callable[[Path, Rows], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = make_output(tmp_path / "out", [("books", "kept", 0, encoder.encode("a kept book"))])
    missing = [str(out), "--id", "a b"]
    assert main(missing) == 1
    assert capsys.readouterr().err.endswith("shards matches\n"), "nothing was dropped"
    rows = pa.table({"id": ["a b"], "text": ["a text"]})
    for name, said in (("dropped", "it was dropped"), ("clean", "it was kept, but is not in the stream")):
        (out / name / "books").mkdir(parents=True)
        assert main(missing) == 1
        if name == "dropped":
            assert capsys.readouterr().err.endswith(f" matches, nor of {out}/dropped\n")
        pq.write_table(rows, out / name / "books" / "part-00000-of-00001.parquet")
        assert main(missing) == 1
        command = f"python -m mixtures.inspect {out}/{name} --id 'a b'"
        assert capsys.readouterr().err.endswith(f"matches; {said}: {command}\n")
    (out / "clean" / "books" / "part-00000-of-00001.parquet").write_bytes(b"damaged")
    (out / "dropped" / "books" / "part-00000-of-00001.parquet").unlink()
    assert main(missing) == 1
    assert "it may be here: python -m mixtures.inspect" in capsys.readouterr().err


def test_find_says_where_a_document_is_that_no_shard_has(
    tmp_path: Path, encoder: Encoder, make_output: Callable[[Path, Rows], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = make_output(tmp_path / "out", [("books", "kept", 0, encoder.encode("a kept book"))])
    assert find([str(out), "--make-index"]) == 0
    (out / "clean" / "books").mkdir(parents=True)
    pq.write_table(pa.table({"id": ["a b"]}), out / "clean" / "books" / "part-00000-of-00001.parquet")
    assert find([str(out), "--id", "a b"]) == 1
    assert f"in the stream: python -m mixtures.inspect {out}/clean --id 'a b'\n" in capsys.readouterr().err
    assert find([str(out), "no shard has this long string"]) == 1
    command = f"python -m mixtures.inspect {out}/clean --grep 'no shard has this long string'\n"
    assert capsys.readouterr().err.endswith(command)


def test_the_output_above_a_folder_is_named(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (shares, verify):
        assert command([str(output / "shards")]) == 2
        assert "it is a folder of the output" in capsys.readouterr().err
    assert shares([str(output.parent)]) == 2
    assert "it is a folder" not in capsys.readouterr().err


def test_what_cannot_be_printed_is_spelled(
    tmp_path: Path, encoder: Encoder, make_output: Callable[[Path, Rows], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ids = encoder.encode_batch(["bell \x07 escape \x1b[31m"])[0].as_py()
    books = ("books", "b", 1, encoder.encode_batch(["cut"])[0].as_py()[:2])
    out = make_output(tmp_path / "odd", [("c4", "x", 0, ids), books, ("wikipedia", "w", 0, ids[:1])])
    assert main([str(out / "shards")]) == 0
    printed = capsys.readouterr().out
    assert "bell \\x07 escape \\x1b[31m" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["{out}/absent"], "is not there"),
        (["{out}/report"], "holds no shard"),
        (["{out}/manifest.json"], "is not a readable shard"),
        (["{out}", "-n", "0"], "-n 0 is not a positive number"),
        (["{out}", "--tokenizer", "{out}/manifest.json"], "is JSON, but not a tokenizer.json: it has no model"),
        (["{out}", "--tokenizer", "{out}/shards/train-00000-of-00005.arrow"], "not a SentencePiece model"),
        (["{out}", "--tokenizer", "{out}/absent.model"], "cannot read the tokenizer"),
        (["{out}", "--tokenizer", "{out}/other.model"], "this one is"),
    ],
)
def test_a_wrong_request_is_one_line(says: Says, output: Path, args: list[str], said: str) -> None:
    (output / "report").mkdir()
    (output / "other.model").write_bytes(train(["other text " * 50], None, TrainSettings(vocab_size=280)).model)
    status, out, err = says(*args)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_shard_without_its_tokenizer_asks_for_it(output: Path, says: Says) -> None:
    (output / "tokenizer.model").unlink()
    status, _, err = says("{out}/shards")
    assert status == 2
    assert "there is no tokenizer.model beside" in err


def test_documents_as_json(says: Says, rows: Rows, encoder: Encoder) -> None:
    source, doc_id, _, ids = next(row for row in rows if row[2] == 1 and len(row[3]) > 20)
    status, out, err = says("{out}/shards", "--id", doc_id, "--json", "--max-chars", "3")
    assert (status, err) == (0, "")
    found = sorted(map(json.loads, out.splitlines()), key=lambda one: one["epoch"])
    assert [(one["source"], one["id"], one["epoch"], one["tokens"]) for one in found] == [
        (source, doc_id, 0, len(ids)), (source, doc_id, 1, len(ids))
    ]  # fmt: skip
    assert all(one["text"] == encoder.decode(ids) for one in found), "the whole text"
    status, _, err = says("{out}/shards", "--json", "--pager")
    assert status == 2
    assert "keep one of them" in err
