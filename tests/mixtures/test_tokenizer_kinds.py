"""Tests all programs that read tokens with two more kinds of tokenizers, a tokenizer.json and a rank file. They have
70,000 ids, so ids are uint32, and they have an eos but no bos.
"""

from __future__ import annotations

import base64
import csv
import gzip
import json
import pydoc_data.topics
import struct
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixtures.decoder import find_tokenizer, load_decoder
from mixtures.decontaminate.__main__ import main as decontaminate
from mixtures.decontaminate.certificate import list_shards
from mixtures.export.arrayrecord import example
from mixtures.export.layouts import export
from mixtures.find.__main__ import main as find
from mixtures.find.make import make_indexes
from mixtures.find.search import Finder, FoundRow
from mixtures.forget.removal import forget
from mixtures.grain import IGNORED_LABEL, PackedSource
from mixtures.inspect.__main__ import main as inspect
from mixtures.loader import Loader, LoaderSettings
from mixtures.manifest import read_manifest
from mixtures.verify.checks import verify
from tokenizer.encode import Encoder
from tokenizer.encoder_settings import EncoderSettings

Rows = list[tuple[str, str, int, list[int]]]
VOCAB_SIZE = 70_000
TOPICS = list(pydoc_data.topics.topics.values())
FIRST_WORD = 69_000
"""Ids from this number on are words. So each shard has ids that do not fit into uint16."""


def byte_level_json() -> bytes:
    """Returns a tokenizer.json of GPT-2's kind. All pieces that were learned have ids above 65,535."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<|endoftext|>"], show_progress=False, initial_alphabet=alphabet
    )
    made.train_from_iterator(TOPICS[:30], trainer)
    content = json.loads(made.to_str())
    learned = content["model"]["vocab"]
    shift = VOCAB_SIZE - len(learned)
    content["model"]["vocab"] = {f"unused{i}": i for i in range(shift)} | {t: i + shift for t, i in learned.items()}
    content["added_tokens"][0]["id"] += shift
    return json.dumps(content).encode()


def ranks_with_a_hole() -> bytes:
    """Returns a rank file in which one rank below the largest is missing. It is the id of the control token, as in
    p50k_base.
    """
    words = sorted({f" {word}".encode() for text in TOPICS[:9] for word in text.split() if word.isalpha()})[:200]
    parts = sorted({word[:k] for word in words for k in range(2, len(word) + 1)}, key=lambda part: (len(part), part))
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += [b"\xff\xfe" + number.to_bytes(3, "big") for number in range(FIRST_WORD - len(tokens))] + parts
    assert len(tokens) < VOCAB_SIZE
    tokens += [b"\xff\xfd" + number.to_bytes(3, "big") for number in range(VOCAB_SIZE - 1 - len(tokens))]
    numbers = [rank + (rank >= FIRST_WORD) for rank in range(len(tokens))]
    lines = (base64.b64encode(token) + b" %d\n" % rank for token, rank in zip(tokens, numbers, strict=True))
    return b"".join(lines)


def settings_of(kind: str) -> EncoderSettings:
    if kind == "tokenizer.json":
        return EncoderSettings(bos=False, eos="<|endoftext|>")
    return EncoderSettings(bos=False, pattern="r50k_base", special_tokens=(("<|endoftext|>", FIRST_WORD),))


@pytest.fixture(scope="module", params=["tokenizer.json", "tokenizer.tiktoken"])
def kind(request: pytest.FixtureRequest) -> str:
    """Returns the name of the tokenizer's file."""
    return str(request.param)


@pytest.fixture(scope="module")
def one(kind: str) -> Encoder:
    data = byte_level_json() if kind == "tokenizer.json" else ranks_with_a_hole()
    made = Encoder.load(data, settings=settings_of(kind))
    assert (made.file_name, made.vocab_size, made.bos_id, made.dtype) == (kind, VOCAB_SIZE, -1, np.uint32)
    return made


@pytest.fixture(scope="module")
def its_rows(one: Encoder, rows_by: Callable[[Encoder], Rows]) -> Rows:
    found = rows_by(one)
    assert max(max(ids) for *_, ids in found) > 65_535
    return found


@pytest.fixture(scope="module")
def texts(one: Encoder, its_rows: Rows) -> list[str]:
    """Returns the text of every row. Each text is the beginning of a text in `pydoc_data.topics`."""
    found = [one.decode(ids) for *_, ids in its_rows]
    known = {text[:4_000] for text in TOPICS}
    assert sum(text in known for text in found) >= len(found) - 1  # one is cut
    return found


@pytest.fixture(scope="module")
def out(
    tmp_path_factory: pytest.TempPathFactory,
    one: Encoder,
    its_rows: Rows,
    write_output_of: Callable[[Path, Encoder, Rows], Path],
) -> Path:
    return write_output_of(tmp_path_factory.mktemp("kinds") / "out", one, its_rows)


@pytest.fixture
def own(tmp_path: Path, one: Encoder, its_rows: Rows, write_output_of: Callable[[Path, Encoder, Rows], Path]) -> Path:
    """Returns an output that a test may change."""
    return write_output_of(tmp_path / "out", one, its_rows)


def in_order(rows: Rows) -> Rows:
    """Returns the rows in the order of the shards."""
    return [row for shard in range(5) for row in rows[shard::5]]


def places(hits: list[FoundRow]) -> set[tuple[str, int]]:
    return {(hit.shard, hit.row) for hit in hits}


# Decoding


def test_the_decoder_is_found_and_knows_its_control_tokens(out: Path, one: Encoder, kind: str, its_rows: Rows) -> None:
    path = find_tokenizer(out / "shards/train-00000-of-00005.arrow")
    assert path == out / kind
    decoder = load_decoder(path)
    assert decoder.sha256 == one.sha256 == read_manifest(out)["tokenizer"]["sha256"]
    assert decoder.codec.control == {"<|endoftext|>": one.eos_id}
    assert decoder.decode(its_rows[0][3]) == one.decode(its_rows[0][3])
    assert "endoftext" not in decoder.decode([one.eos_id])


def test_a_rank_file_without_its_manifest_says_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.tiktoken"
    path.write_bytes(ranks_with_a_hole())
    with pytest.raises(ValueError, match=f"1 holes in its ranks, the first is {FIRST_WORD}"):
        load_decoder(path)


def test_inspect(out: Path, its_rows: Rows, texts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    source, doc_id, epoch, ids = its_rows[0]
    args = ["--source", source, "--id", doc_id, "--epoch", str(epoch), "--max-chars", "100000", "--no-pager"]
    assert inspect([str(out), *args]) == 0
    shown = capsys.readouterr().out
    assert f"{len(ids):,} tokens" in shown
    assert texts[0].splitlines()[0] in shown
    assert "cut before its end" not in shown


# Find and forget


def test_find(own: Path, its_rows: Rows, texts: list[str], kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(make_indexes(own)) == 6
    finder = Finder(own)
    scanned = {(hit.shard, hit.row): hit.text or "" for hit in finder.scan("e")}
    assert {text for text in texts if "e" in text} == {text for text in scanned.values() if "Held out" not in text}
    num_hits = 0
    for number in range(0, len(texts), 5):
        wanted = texts[number][40:90]
        if len(wanted.encode()) < 20:
            continue
        hits = list(finder.text(wanted))
        assert places(hits) == {place for place, text in scanned.items() if wanted in text}
        assert its_rows[number][1] in {hit.doc_id for hit in hits}
        num_hits += len(hits)
    assert num_hits > 10
    assert find([str(own), texts[0][40:90]]) == 0
    assert its_rows[0][1] in capsys.readouterr().out
    (own / kind).write_bytes((own / kind).read_bytes() + b"\n")
    assert find([str(own), texts[0][40:90]]) == 2
    assert f"{kind} is not the tokenizer that made the shards" in capsys.readouterr().err


def test_forget(own: Path, its_rows: Rows, texts: list[str]) -> None:
    make_indexes(own)
    before = read_manifest(own)
    source, doc_id, _, _ = its_rows[0]
    gone = [ids for _, name, _, ids in its_rows if name == doc_id]
    found = forget(own, [doc_id], when="2026-11-29T09:00:00+00:00")
    assert found.documents == {(source, doc_id)}
    assert dict(found.tokens) == {source: sum(map(len, gone))}
    after = read_manifest(own)
    assert after["tokenizer"] == before["tokenizer"]
    assert after["tokens"] == before["tokens"] - sum(map(len, gone))
    assert list(verify(own)) == []
    left = []
    for path in sorted((own / "shards").iterdir()):
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        assert table.schema.field("input_ids").type == pa.list_(pa.uint32())
        left += list(zip(table["doc_id"].to_pylist(), table["input_ids"].to_pylist(), strict=True))
    assert left == [(name, ids) for _, name, _, ids in in_order(its_rows) if name != doc_id]
    make_indexes(own)
    assert doc_id not in {hit.doc_id for hit in Finder(own).text(texts[0][40:90])}


# Grain


@pytest.mark.parametrize("packing", ["concatenate", "best_fit"])
def test_grain(out: Path, one: Encoder, packing: Any) -> None:
    settings = LoaderSettings(seq_len=64, batch_size=4, packing=packing, drop_last=False)
    plain, maxtext, titan = (PackedSource(out, settings, form=form) for form in ("plain", "maxtext", "torchtitan"))
    wanted = [row for batch in Loader(out, settings) for row in batch.input_ids.tolist()]
    assert len(plain) == len(wanted) > 100
    num_ends = num_wide = 0
    every = (source.__getitems__(range(len(wanted))) for source in (plain, maxtext, titan))
    for first, second, (third, labels), row in zip(*every, wanted, strict=True):
        ids = np.array(row)
        assert first["input_ids"].tolist() == second["inputs"].tolist() == third["input"].tolist() == ids[:-1].tolist()
        assert first["labels"].tolist() == second["targets"].tolist() == ids[1:].tolist()
        num_wide += int((second["inputs"] > 65_535).sum())
        is_document = second["inputs_segmentation"] > 0
        is_end = (ids[:-1] == one.eos_id) & is_document
        begins = np.flatnonzero(is_end[:-1] & is_document[1:]) + 1  # no bos: a document begins behind an eos
        assert (second["inputs_position"][begins] == 0).all()
        assert (np.diff(second["inputs_segmentation"])[begins - 1] == 1).all()
        assert (labels[is_end] == IGNORED_LABEL).all()
        assert (second["targets_segmentation"][is_end] == 0).all()
        num_ends += int(is_end.sum())
    assert num_ends > 60
    assert num_wide > 1_000


# Certificates


def test_certificates(
    out: Path, tmp_path: Path, its_rows: Rows, texts: list[str], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = next(i for i, text in enumerate(texts) if len(text.split()) > 70)
    question = " ".join(texts[number].split()[20:60])
    items = [{"q": question}, {"q": "which harbours of eldoria close when the northern beacons burn green"}]
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (tmp_path / "s.yaml").write_text("[{name: mine, path: e.jsonl, question: q}]")
    shards = sorted(map(str, (out / "shards").iterdir()))
    assert list_shards([str(out)], None).tokenizer == list_shards(shards, None).tokenizer == out / kind
    for given, workers in (([str(out)], 1), (shards, 1), ([str(out)], 2)):
        to = tmp_path / f"c{len(given)}-{workers}"
        args = ["--sets", str(tmp_path / "s.yaml"), "--output", str(to), "--workers", str(workers)]
        assert decontaminate([*given, *args]) == 1
        assert "CONTAMINATED" in capsys.readouterr().out
        certificate = json.loads((to / "certificate.json").read_text())
        manifest = read_manifest(out)
        assert (certificate["documents"], certificate["tokens"]) == (manifest["documents"], manifest["tokens"])
        hits = pq.read_table(to / "hits-00000-of-00001.parquet").to_pylist()
        assert its_rows[number][1] in {hit["id"] for hit in hits}
        assert {hit["item"] for hit in hits} == {"0"}


# Exports


def test_megatron(out: Path, tmp_path: Path, its_rows: Rows) -> None:
    data, index = export(out, tmp_path / "m", "megatron")
    assert index.read_bytes()[17] == 4, "int32"
    assert np.fromfile(data, "<i4").tolist() == [i for *_, ids in in_order(its_rows) for i in ids]


def test_datatrove(out: Path, tmp_path: Path, its_rows: Rows, kind: str) -> None:
    data, index, metadata = export(out, tmp_path / "d", "datatrove", shards_per_file=9)
    assert np.fromfile(data, "<u4").tolist() == [i for *_, ids in in_order(its_rows) for i in ids]
    ends = np.cumsum([len(ids) for *_, ids in in_order(its_rows)]).tolist()
    assert np.fromfile(index, "<u8").tolist() == ends
    assert metadata.read_text().splitlines()[:2] == [f"{kind}|4", str(ends[-1])]


def test_dolma(out: Path, tmp_path: Path, its_rows: Rows) -> None:
    data, rows = export(out, tmp_path / "o", "dolma", shards_per_file=9)
    ids = np.memmap(data, "<u4", "r")
    with gzip.open(rows, "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    found = [(doc_id, ids[int(begin) : int(end)].tolist()) for begin, end, doc_id, _, _ in lines]
    assert found == [(doc_id, one) for _, doc_id, _, one in in_order(its_rows)]


def test_mds(out: Path, tmp_path: Path, its_rows: Rows) -> None:
    *shards, index = export(out, tmp_path / "s", "mds")
    assert json.loads(index.read_text())["shards"][0]["column_encodings"] == ["str", "str", "ndarray:uint32"]
    found = []
    for path in shards:
        data = path.read_bytes()
        (count,) = struct.unpack_from("<I", data)
        for begin in np.frombuffer(data, "<u4", count, 4).tolist():
            sizes = struct.unpack_from("<3I", data, begin)
            doc_id, _, tokens = (data[a:b] for a, b in pairwise(np.cumsum([begin + 12, *sizes]).tolist()))
            found.append((doc_id.decode(), np.frombuffer(tokens, "<u4", -1, 1 + (1 << (tokens[0] & 3))).tolist()))
    assert found == [(doc_id, ids) for _, doc_id, _, ids in in_order(its_rows)]


def test_arrayrecord(out: Path, tmp_path: Path, its_rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer is replaced by one that keeps the records. `test_an_example_is_protobuf` parses such a record."""
    records: list[bytes] = []

    class Writer:
        def __init__(self, path: str, options: str) -> None:
            Path(path).touch()
            assert options == "group_size:1"

        def write(self, record: bytes) -> None:
            records.append(record)

        def close(self) -> None:
            pass

    module = ModuleType("array_record.python.array_record_module")
    module.ArrayRecordWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "array_record", ModuleType("array_record"))
    monkeypatch.setitem(sys.modules, "array_record.python", ModuleType("array_record.python"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    export(out, tmp_path / "a", "arrayrecord")
    expected = [example(doc_id, source, np.array(ids, np.uint32)) for source, doc_id, _, ids in in_order(its_rows)]
    assert records == expected
