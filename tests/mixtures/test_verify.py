"""Tests that faults of an output are found and named, by the command and by the loader before training starts."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mixtures.shards import shard_schema
from mixtures.stream import TokenStream
from mixtures.verify.__main__ import main
from mixtures.verify.checks import verify

Rows = list[tuple[str, str, int, list[int]]]
Harm = Callable[[Path], None]
SHARD = "shards/train-00002-of-00005.arrow"


def test_a_whole_output_has_no_faults(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(verify(output)) == []
    assert main([str(output)]) == 0
    said = capsys.readouterr()
    assert "5 shards" in said.out
    assert "as the manifest says" in said.out
    assert said.err == ""
    assert TokenStream(output, checksums=True).num_tokens > 0


def cut_off(output: Path) -> None:
    data = (output / SHARD).read_bytes()
    (output / SHARD).write_bytes(data[: len(data) // 2])


def emptied(output: Path) -> None:
    (output / SHARD).write_bytes(b"")


def flipped(output: Path) -> None:
    data = bytearray((output / SHARD).read_bytes())
    data[len(data) // 2] ^= 1
    (output / SHARD).write_bytes(data)


def gone(output: Path) -> None:
    (output / SHARD).unlink()


def swapped(output: Path) -> None:
    shutil.copy(output / "shards/train-00001-of-00005.arrow", output / SHARD)


def of_another_seed(output: Path) -> None:
    rewritten(output, lambda reader: reader.schema.with_metadata({**reader.schema.metadata, b"seed": b"4"}))


def of_another_tokenizer(output: Path) -> None:
    rewritten(
        output, lambda reader: reader.schema.with_metadata({**reader.schema.metadata, b"tokenizer_sha256": b"9" * 64})
    )


def of_no_run(output: Path) -> None:
    rewritten(output, lambda reader: reader.schema.remove_metadata())


def rewritten(output: Path, schema: Callable[[Any], pa.Schema]) -> None:
    """Changes the schema of a shard, and updates the shard's entry in the manifest."""
    with pa.OSFile(str(output / SHARD)) as file:
        reader = pa.ipc.open_file(file)
        made, table = schema(reader), reader.read_all()
    with (output / SHARD).open("wb") as sink, pa.ipc.new_file(sink, made) as writer:
        writer.write_table(table.replace_schema_metadata(made.metadata))
    change(output, lambda m: m["shards"][2].update(bytes=(output / SHARD).stat().st_size))


def change(output: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    path = output / "manifest.json"
    manifest = json.loads(path.read_text())
    how(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            cut_off,
            r"train-00002-of-00005\.arrow has [\d,]+ bytes \(manifest line: 21 rows, [\d,]+ tokens, [\d,]+ bytes, ",
        ),
        (emptied, r"train-00002-of-00005\.arrow has 0 bytes"),
        (gone, r"train-00002-of-00005\.arrow is missing"),
        (swapped, r"train-00002-of-00005\.arrow has"),
        (of_another_seed, "is of another run: its seed is 4, the manifest's 3"),
        (of_another_tokenizer, "is of another run: its tokenizer is 9999"),
        (of_no_run, "it is not a shard of ours: its metadata lacks format"),
    ],
)
def test_a_harmed_shard_is_named_by_both(output: Path, harm: Harm, said: str) -> None:
    harm(output)
    with pytest.raises(ValueError, match=said):
        TokenStream(output)
    (fault,) = verify(output)  # one line, and none that follows from it
    assert re.search(said, fault)
    assert "\n" not in fault


def test_a_flipped_bit_is_found_by_checksum(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flipped(output)
    with pytest.raises(ValueError, match=r"train-00002-of-00005\.arrow has checksum .*manifest line"):
        TokenStream(output, checksums=True)
    assert main([str(output)]) == 1
    said = capsys.readouterr().err
    assert "train-00002-of-00005.arrow has checksum" in said
    assert said.count("\n") == 1


def test_a_file_that_is_no_arrow_file_is_named(output: Path) -> None:
    size = (output / SHARD).stat().st_size
    (output / SHARD).write_bytes(b"\0" * size)
    with pytest.raises(ValueError, match="is not a readable Arrow file"):
        TokenStream(output)
    (fault,) = verify(output)
    assert "is not a readable Arrow file" in fault


def test_two_harmed_shards_and_a_validation_shard_are_three_lines(output: Path) -> None:
    cut_off(output)
    (output / "shards/train-00004-of-00005.arrow").unlink()
    (output / "validation/c4-00000-of-00001.arrow").write_bytes(b"")
    faults = list(verify(output))
    assert [re.sub(r" \(.*| [\d,]+ bytes.*", "", fault.removeprefix(f"{output}/")) for fault in faults] == [
        "shards/train-00002-of-00005.arrow has",
        "shards/train-00004-of-00005.arrow is missing",
        "validation/c4-00000-of-00001.arrow has",
    ]
    change(output, lambda m: m["sources"]["c4"].update(tokens=5))  # what is no consequence is still said
    assert any(fault.startswith("c4: ") for fault in verify(output))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda m: m.update(tokens=m["tokens"] + 1), "all shards: "),
        (lambda m: m.update(documents=1), "the manifest says 1"),
        (lambda m: m["sources"]["c4"].update(tokens=5), "c4: "),
        (lambda m: m["sources"]["c4"].update(documents=5), "c4: "),
        (lambda m: m["shards"][0]["sources"].update(c4=1), "tokens by source are"),
        (lambda m: m["shards"][1].update(rows=1), "rows, the manifest says 1"),
        (lambda m: m["shards"][1].update(tokens=1), "tokens, the manifest says 1"),
        (lambda m: m["tokenizer"].update(sha256="0" * 64), "tokenizer.model: checksum"),
        (lambda m: m["validation"]["c4"].update(documents=9), "validation of c4: "),
        (lambda m: m["shards"].pop(), "is not in the manifest: a shard of another run?"),
        (lambda m: m["shards"].append(m["shards"][0]), "2 times"),
    ],
)
def test_a_manifest_that_says_something_else(output: Path, how: Callable[[dict[str, Any]], Any], said: str) -> None:
    change(output, how)
    assert any(said in fault for fault in verify(output))


def test_a_shard_of_another_run_among_them(output: Path) -> None:
    shutil.copy(output / SHARD, output / "shards/train-00007-of-00009.arrow")
    assert [f for f in verify(output) if "train-00007-of-00009.arrow is not in the manifest" in f]


def test_a_document_twice_in_an_epoch(
    tmp_path: Path, rows: Rows, make_output: Callable[[Path, Rows], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_output(tmp_path / "twice", [*rows, rows[3]])
    assert any("1 rows repeat a document within an epoch" in fault for fault in verify(whole))
    monkeypatch.setattr("mixtures.verify.checks._MAX_KEYS", 7)  # the keys through many temporary files
    assert any("1 rows repeat a document within an epoch" in fault for fault in verify(whole))
    held = make_output(tmp_path / "held", [*rows, ("c4", "held 2", 0, [1, 2])])
    assert any("1 rows repeat a document" in fault for fault in verify(held))


def test_ids_are_below_the_vocabulary(output: Path) -> None:
    change(output, lambda m: m["tokenizer"].update(vocab_size=300))
    rewritten(output, lambda reader: reader.schema.with_metadata({**reader.schema.metadata, b"vocab_size": b"300"}))
    digest = __import__("hashlib").sha256((output / SHARD).read_bytes()).hexdigest()
    change(output, lambda m: m["shards"][2].update(sha256=digest))
    assert any("is not below the vocabulary's 300" in fault for fault in verify(output))
    assert shard_schema(300) == shard_schema(600)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not there: this is no output of a finished run"),
        ("{", "is not JSON"),
        ("[]", "it has no format"),
        ('{"format": 9}', "has format 9, this version reads 1"),
        ('{"format": 1}', "is not a manifest: recipe is missing"),
    ],
)
def test_without_a_manifest_there_is_nothing_to_check(
    output: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    (output / "manifest.json").unlink()
    if text is not None:
        (output / "manifest.json").write_text(text)
    assert main([str(output)]) == 2
    assert said in capsys.readouterr().err
    with pytest.raises(ValueError, match="manifest"):
        TokenStream(output)


def test_a_manifest_that_leads_out_of_the_output(output: Path) -> None:
    for path in ("../x.arrow", "/etc/x.arrow"):
        change(output, lambda m, path=path: m["shards"][0].update(path=path))
        with pytest.raises(ValueError, match="leads out of the output"):
            list(verify(output))
