"""Tests whole runs with a tokenizer.json of 70,000 ids and a rank file of 200,000 ids, both with an eos and no bos.
Also tests all programs that read the tokens.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiktoken
import tokenizers
from small import CONFIG, Small, prose

from mixtures.export.layouts import export
from mixtures.find.make import make_indexes
from mixtures.find.search import Finder
from mixtures.inspect.__main__ import main as inspect_main
from mixtures.loader import Loader, LoaderSettings
from mixtures.verify.__main__ import main as verify
from pipeline.run import main

pytestmark = pytest.mark.slow


def byte_level(folder: Path, vocab_size: int) -> Path:
    """Trains a tokenizer.json of GPT-2's kind. Moves the learned tokens to the highest ids of a larger vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False, initial_alphabet=alphabet
    )
    made.train_from_iterator([prose("train", 4000)], trainer)
    content = json.loads(made.to_str())
    learned = content["model"]["vocab"]
    shift = vocab_size - len(learned)
    content["model"]["vocab"] = {f"unused{i}": i for i in range(shift)} | {t: i + shift for t, i in learned.items()}
    content["added_tokens"][0]["id"] += shift
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def rank_file(folder: Path, vocab_size: int) -> Path:
    """Writes a rank file: all bytes, then tokens that occur in no text, then words. One id is left for
    <|endoftext|>.
    """
    words = [b" the", *(f" {word}".encode() for word in sorted(set(prose("words", 300).split())))]
    parts = {word[:k] for word in words for k in range(2, len(word) + 1)}  # so that every word can be merged
    merged = sorted(parts, key=lambda part: (len(part), part))
    tokens = [bytes([byte]) for byte in range(256)]
    num_unused = vocab_size - 1 - len(tokens) - len(merged)
    tokens += [b"\xff\xfe" + number.to_bytes(3, "big") for number in range(num_unused)] + merged
    path = folder / "own.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens)))
    return path


def reference(path: Path, vocab_size: int) -> Any:
    """Returns the reference library's function from a text to ids."""
    if path.suffix == ".json":
        reader = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        reader.encode_special_tokens = True
        return lambda text: reader.encode(text, add_special_tokens=False).ids
    from tiktoken.load import load_tiktoken_bpe
    from tiktoken_ext import openai_public

    ranks = load_tiktoken_bpe(str(path))
    end = {"<|endoftext|>": vocab_size - 1}
    encoding = tiktoken.Encoding("own", pat_str=openai_public.r50k_pat_str, mergeable_ranks=ranks, special_tokens=end)
    return encoding.encode_ordinary


def config(folder: Path, tokenizer: str, *, name: str = "own.yaml") -> Path:
    path = folder / name
    path.write_text(CONFIG.replace("tokenizer: {vocab_size: 400, lower_vocab_size: true}", f"tokenizer: {tokenizer}"))
    return path


@pytest.fixture(scope="module", params=["tokenizer.json of 70,000", "ranks of 200,000"])
def made(
    request: pytest.FixtureRequest, small_done: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, int]:
    """Returns (output, tokenizer file, vocabulary size) of a run whose documents end with eos and do not begin with
    bos.
    """
    folder = tmp_path_factory.mktemp("any")
    size = 70_000 if "json" in request.param else 200_000
    path = byte_level(folder, size) if size == 70_000 else rank_file(folder, size)
    pattern = "" if size == 70_000 else ", pattern: r50k_base"
    said = config(folder, f"{{path: {path}, bos: false, eos: true{pattern}}}")
    out = folder / "out"
    args = ["--phase=mix", f"--from={small_done}", f"--output={out}", f"--config={said}", "--direct_num_workers=1"]
    assert main([*args, "--tokens=12000"]) == 0
    return out, path, size


def rows_of(out: Path) -> list[tuple[str, int, list[int]]]:
    found = []
    for path in sorted((out / "shards").iterdir()):
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        assert table.schema.field("input_ids").type == pa.list_(pa.uint32())
        columns = (table[name].to_pylist() for name in ("doc_id", "epoch", "input_ids"))
        found += list(zip(*columns, strict=True))
    return found


def test_ids_are_the_reference_librarys(made: tuple[Path, Path, int], small_done: Path) -> None:
    out, path, size = made
    encode = reference(path, size)
    tables = (pq.read_table(file, columns=["id", "text"]) for file in (small_done / "clean").rglob("*.parquet"))
    texts = {i: t for table in tables for i, t in zip(*(table[n].to_pylist() for n in ("id", "text")), strict=True)}
    manifest = json.loads((out / "manifest.json").read_text())
    eos = manifest["tokenizer"]["eos_id"]
    assert (manifest["tokenizer"]["bos_id"], manifest["tokenizer"]["vocab_size"]) == (-1, size)
    cut = {line["cut_document"] for line in manifest["sources"].values()} - {None}
    rows = rows_of(out)
    assert max(max(ids) for _, _, ids in rows) > 65_535
    num_whole = 0
    for doc_id, _, ids in rows:
        whole = [*encode(texts[doc_id]), eos]
        assert ids == whole or (doc_id in cut and ids == whole[: len(ids)])
        num_whole += ids == whole
    assert num_whole > 20
    assert sum(len(ids) for _, _, ids in rows) == 12_000


def test_the_shards_carry_the_tokenizer(made: tuple[Path, Path, int], capsys: pytest.CaptureFixture[str]) -> None:
    out, path, _ = made
    line = json.loads((out / "manifest.json").read_text())["tokenizer"]
    assert (out / line["path"]).read_bytes() == path.read_bytes()
    assert line["path"] == ("tokenizer.json" if path.suffix == ".json" else "tokenizer.tiktoken")
    assert [file.name for file in out.glob("tokenizer.*")] == [line["path"]]
    assert line["settings"]["bos"] is False
    for shard in (out / "shards").iterdir():
        assert pa.ipc.open_file(str(shard)).schema.metadata[b"tokenizer_sha256"].decode() == line["sha256"]
    assert verify([str(out)]) == 0
    kept = (out / line["path"]).read_bytes()
    (out / line["path"]).write_bytes(kept + b"\n")
    try:
        assert verify([str(out)]) == 1
        assert "tokenizer of another run" in capsys.readouterr().err
    finally:
        (out / line["path"]).write_bytes(kept)


def test_everything_that_reads_tokens(
    made: tuple[Path, Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _, _ = made
    rows = rows_of(out)
    eos = json.loads((out / "manifest.json").read_text())["tokenizer"]["eos_id"]
    assert inspect_main([str(out), "-n", "3", "--no-pager"]) == 0
    shown = capsys.readouterr().out
    assert "river" in shown or "stone" in shown
    assert "endoftext" not in shown
    make_indexes(out)
    hit = next(Finder(out).scan("river"))
    assert hit.text is not None
    found = [(one.shard, one.row) for one in Finder(out).text(hit.text[10:60])]
    assert (hit.shard, hit.row) in found
    data, index = export(out, tmp_path / "m", "megatron")
    assert np.fromfile(data, "<i4").tolist() == [i for _, _, ids in rows for i in ids]
    assert index.stat().st_size > 0
    datatrove = export(out, tmp_path / "d", "datatrove")
    assert datatrove[2].read_text().splitlines()[0].endswith("|4")
    for packing in ("concatenate", "best_fit"):
        settings = LoaderSettings(seq_len=64, batch_size=4, packing=packing)  # type: ignore[arg-type]
        batches = list(Loader(str(out), settings))
        ids = np.concatenate([batch.input_ids.ravel() for batch in batches])
        assert ids.max() > 65_535
        mask = np.concatenate([batch.loss_mask() for batch in batches])
        is_end = np.concatenate([batch.input_ids[:, :-1] for batch in batches]) == eos
        assert is_end.sum() > 20
        assert not mask[is_end].any()  # the label behind an eos belongs to another document


def test_a_second_stage_keeps_the_settings(made: tuple[Path, Path, int], tmp_path: Path, small_done: Path) -> None:
    out, _, _ = made
    args = ["--phase=mix", f"--continue-from={out}", f"--from={small_done}", "--direct_num_workers=1", "--tokens=3000"]
    plain = config(tmp_path, "{vocab_size: 400, lower_vocab_size: true}")
    two = tmp_path / "two"
    assert main([*args, f"--output={two}", f"--config={plain}"]) == 0
    first, second = (json.loads((folder / "manifest.json").read_text())["tokenizer"] for folder in (out, two))
    assert first == second
    assert verify([str(two)]) == 0


def test_other_borders_in_a_second_stage_are_refused(
    made: tuple[Path, Path, int], small_done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _, _ = made
    other = config(tmp_path, '{bos: "<|endoftext|>"}')
    args = ["--phase=mix", f"--continue-from={out}", f"--from={small_done}", f"--config={other}"]
    assert main([*args, f"--output={tmp_path / 'x'}", "--direct_num_workers=1"]) == 2
    assert "leave bos, eos, pattern and special_tokens out" in capsys.readouterr().err


def test_bos_can_be_switched_off_for_a_trained_model(out: Path, small: Small, tmp_path: Path) -> None:
    before = json.loads((out / "manifest.json").read_text())
    assert "settings" not in before["tokenizer"]
    said = config(tmp_path, "{vocab_size: 400, lower_vocab_size: true, bos: false}")
    assert small.run(out, f"--config={said}") == 0
    after = json.loads((out / "manifest.json").read_text())
    assert after["tokenizer"]["sha256"] == before["tokenizer"]["sha256"]
    assert (before["tokenizer"]["bos_id"], after["tokenizer"]["bos_id"]) == (1, -1)
    assert verify([str(out)]) == 0


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{path: nowhere.json}", "there is no file nowhere.json"),
        ("{path: T, bos: false, eos: false}", "bos and eos are both false"),
        ("{path: T, vocab_size: 9}", "tokenizer has path, and vocab_size"),
        ("{path: T, eos: 3}", "tokenizer.eos is 3"),
        ("{path: T, special_tokens: [a]}", "must map the text of each token"),
        ("{path: T, eos: <none>}", "no control token <none>, which is to be its eos"),
    ],
)
def test_a_wrong_request_is_one_line(
    tmp_path: Path, small_done: Path, said: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path, said.replace("T", str(byte_level(tmp_path, 400))))
    args = ["--phase=mix", f"--from={small_done}", f"--output={tmp_path / 'o'}", f"--config={path}"]
    assert main([*args, "--direct_num_workers=1"]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
