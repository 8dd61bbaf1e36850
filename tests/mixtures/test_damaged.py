"""Tests damaged outputs. Whichever byte of a shard or value of a manifest is wrong, each command prints one line per
fault and does not crash.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixtures.export.__main__ import main as export
from mixtures.inspect.__main__ import main
from mixtures.loader import Loader, LoaderSettings
from mixtures.shares.__main__ import main as shares
from mixtures.verify.__main__ import main as verify
from tokenizer.train.training import TrainSettings, train

SHARD = "shards/train-00001-of-00005.arrow"
MAY_BE = ("sources", "validation", "shards", "cut_document", "path", "end_document", "held_out")
"""Keys of the manifest that may be missing, or whose values are not read."""
WRONG = ("is gone", None, -1, "x", [], {}, [1], 1.5, True, 10**30)


def load(output: Path) -> int:
    """Reads all batches with the loader. Returns 0; 2 if the loader raises ValueError; -1 if its message has several
    lines.
    """
    try:
        for batch in Loader(output, LoaderSettings(seq_len=256, batch_size=4)):
            assert batch.sources().shape == batch.input_ids.shape
    except ValueError as error:
        return 2 if "\n" not in str(error) else -1
    return 0


COMMANDS: dict[str, Callable[[Path], int]] = {
    "verify": lambda output: verify([str(output)]),
    "load": load,
    "export": lambda output: export([str(output), str(output / "exported"), "--format", "dolma"]),
    "shares": lambda output: shares([str(output), "--seq-len", "64"]),
    "inspect": lambda output: main([str(output / "shards"), "-n", "200", "--max-chars", "9"]),
}


@pytest.fixture(params=sorted(COMMANDS))
def command(request: pytest.FixtureRequest) -> Callable[[Path], int]:
    return COMMANDS[request.param]


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_never_ends_in_a_crash(
    output: Path, command: Callable[[Path], int], capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    whole = (output / SHARD).read_bytes()
    rng = random.Random(seed)
    for _ in range(30):
        data = bytearray(whole)
        place = rng.choice([rng.randrange(2_500), len(data) - 1 - rng.randrange(3_500), rng.randrange(len(data))])
        data[place] ^= 1 << rng.randrange(8)
        (output / SHARD).write_bytes(data)
        status = command(output)
        said = capsys.readouterr().err
        if command in (COMMANDS["verify"], COMMANDS["export"]):
            assert status != 0, f"byte {place} has changed unseen"
            assert "train-00001-of-00005.arrow" in said
        assert status >= 0
        assert said.count("\n") <= 1
    (output / SHARD).write_bytes(whole)
    assert command(output) == 0


def rewritten(output: Path, **said: str) -> None:
    """Changes the metadata of a shard, and updates the shard's entry in the manifest."""
    with pa.OSFile(str(output / SHARD)) as file:
        table = pa.ipc.open_file(file).read_all()
    metadata = {**table.schema.metadata, **{name.encode(): value.encode() for name, value in said.items()}}
    with (output / SHARD).open("wb") as sink, pa.ipc.new_file(sink, table.schema.with_metadata(metadata)) as writer:
        writer.write_table(table.replace_schema_metadata(metadata))
    manifest = json.loads((output / "manifest.json").read_text())
    data = (output / SHARD).read_bytes()
    manifest["shards"][1].update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (output / "manifest.json").write_text(json.dumps(manifest))


HARMS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (lambda output: (output / SHARD).write_bytes((output / SHARD).read_bytes()[:-100]), "bytes"),
    "empty": (lambda output: (output / SHARD).write_bytes(b""), "0 bytes"),
    "of another run": (
        lambda output: rewritten(output, seed="4", recipe="other"),
        "is of another run: its recipe is other",
    ),
    "of another vocabulary": (lambda output: rewritten(output, vocab_size="650"), "another run: its vocabulary is 650"),
    "of another tokenizer": (lambda output: rewritten(output, tokenizer_sha256="9" * 64), "its tokenizer is 99999"),
}


@pytest.mark.parametrize("harm", sorted(HARMS))
@pytest.mark.parametrize("name", ["verify", "export", "shares"])
def test_a_harmed_shard_is_one_line_of_every_command(
    output: Path, capsys: pytest.CaptureFixture[str], name: str, harm: str
) -> None:
    do, expected = HARMS[harm]
    do(output)
    assert COMMANDS[name](output) in (1, 2)
    said = capsys.readouterr()
    of_manifest = said.err.count("its fingerprint")  # of the shards that the manifest names: one line more
    assert said.err.count("\n") == 1 + of_manifest
    assert f"{output}/{SHARD}" in said.err
    assert expected in said.err
    assert "manifest line: " in said.err
    assert said.out == ""
    assert not (output / "exported").exists()


@pytest.mark.parametrize("harm", ["truncated", "empty", "of another tokenizer"])
def test_a_harmed_shard_is_one_line_of_inspect(output: Path, capsys: pytest.CaptureFixture[str], harm: str) -> None:
    HARMS[harm][0](output)
    assert main([str(output / SHARD)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert SHARD in said


@pytest.mark.parametrize("folder", ["clean", "dropped"])
def test_one_changed_letter_of_a_part_is_one_line_of_inspect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    part = tmp_path / folder / "books/part-00000-of-00001.parquet"
    part.parent.mkdir(parents=True)
    table = pa.table({"id": ["a", "b"], "text": ["first text", "second text"], "source": ["books", "books"]})
    pq.write_table(table, part, compression="none", use_dictionary=False, write_page_checksum=True)
    assert main([str(part.parent)]) == 0
    assert "second text" in capsys.readouterr().out
    part.write_bytes(part.read_bytes().replace(b"second text", b"Second text"))
    assert main([str(part.parent)]) == 2
    said = capsys.readouterr()
    assert "Second" not in said.out
    assert said.err.count("\n") == 1
    assert f"{part} is not a readable Parquet file: could not verify page integrity" in said.err


def test_the_tokenizer_of_another_run(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model, said in (
        (train(["other text " * 50], None, TrainSettings(vocab_size=280)).model, "holds ids of the tokenizer"),
        (b"no model", "not a SentencePiece model"),
    ):
        (output / "tokenizer.model").write_bytes(model)
        assert verify([str(output)]) == 1
        assert "tokenizer.model: checksum" in capsys.readouterr().err
        assert main([str(output / "shards")]) == 2
        assert said in capsys.readouterr().err


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yields the path of each value in the manifest. Of a list, only the first element is visited."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


@pytest.mark.parametrize(
    "part", ["tokenizer", "sources", "validation", "shards", "tokens", "documents", "seed", "recipe"]
)
def test_a_wrong_value_in_the_manifest_never_ends_in_a_crash(
    output: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    whole = json.loads((output / "manifest.json").read_text())
    found = [place for place in places(whole) if place[0] == part]
    assert found
    for place in found:
        for wrong in WRONG:
            manifest = copy.deepcopy(whole)
            holder = manifest
            for key in place[:-1]:
                holder = holder[key]
            if wrong == "is gone":
                del holder[place[-1]]
            else:
                holder[place[-1]] = wrong
            (output / "manifest.json").write_text(json.dumps(manifest))
            statuses = [verify([str(output)]), load(output)]
            said = capsys.readouterr().err.splitlines()
            assert -1 not in statuses
            assert all(line.startswith("mixtures.verify: ") for line in said)
            if isinstance(wrong, list | dict | None) and place[-1] not in MAY_BE:
                assert statuses == [2, 2], (place, wrong, said)
