"""Tests exports to the formats of other trainers. Plain code here reads each file byte by byte; the other project's
reader reads it too, if it is installed.
"""

from __future__ import annotations

import csv
import gzip
import json
import struct
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixtures.export.layouts
from mixtures.export.__main__ import main
from mixtures.export.arrayrecord import example
from mixtures.export.layouts import export
from tokenizer.model_file import fields

Rows = list[tuple[str, str, int, list[int]]]


@pytest.fixture
def ordered(rows: Rows) -> Rows:
    """Returns the documents in the order of the shards."""
    return [row for shard in range(5) for row in rows[shard::5]]


@pytest.mark.parametrize("count_rows", [1, 7, 1 << 20])
def test_megatron(
    output: Path, tmp_path: Path, ordered: Rows, monkeypatch: pytest.MonkeyPatch, count_rows: int
) -> None:
    monkeypatch.setattr(mixtures.export.layouts, "_COUNT_ROWS", count_rows)
    data, index = export(output, tmp_path / "m", "megatron")
    assert [data.name, index.name] == ["train.bin", "train.idx"]
    ids = np.fromfile(data, "<u2")
    assert ids.tolist() == [i for row in ordered for i in row[3]]
    head, raw = index.read_bytes()[:34], index.read_bytes()[34:]
    magic, version, code, sequences, documents = struct.unpack("<9sQBQQ", head)
    num = len(ordered)
    assert (magic, version, code, sequences, documents) == (b"MMIDIDX\0\0", 1, 8, num, num + 1)
    lengths = np.frombuffer(raw, "<i4", num)
    pointers = np.frombuffer(raw, "<i8", num, 4 * num)
    ends = np.frombuffer(raw, "<i8", num + 1, 12 * num)
    assert len(raw) == 12 * num + 8 * (num + 1)
    assert lengths.tolist() == [len(row[3]) for row in ordered]
    assert pointers.tolist() == [2 * n for n in np.cumsum(lengths, dtype=int) - lengths]
    assert ends.tolist() == list(range(num + 1))


def test_datatrove(output: Path, tmp_path: Path, ordered: Rows, rows: Rows) -> None:
    files = export(output, tmp_path / "d", "datatrove")
    assert [f.name for f in files[:3]] == [f"train-00000-of-00005.ds{end}" for end in ("", ".index", ".metadata")]
    assert len(files) == 15
    assert [i for f in files[::3] for i in np.fromfile(f, "<u2").tolist()] == [i for row in ordered for i in row[3]]
    ends = np.fromfile(files[1], "<u8").tolist()
    assert ends == np.cumsum([len(row[3]) for row in rows[0::5]]).tolist()
    assert files[2].read_text().splitlines()[:2] == ["tokenizer.model|2", str(ends[-1])]


def test_dolma(output: Path, tmp_path: Path, rows: Rows) -> None:
    files = export(output, tmp_path / "o", "dolma", shards_per_file=2)
    assert [f.name for f in files] == [f"train-{i:05d}-of-00003.{end}" for i in range(3) for end in ("npy", "csv.gz")]
    ids = np.memmap(files[0], "<u2", "r")
    part = [*rows[0::5], *rows[1::5]]
    with gzip.open(files[1], "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert len(lines) == len(part)
    for number, ((start, end, doc_id, source, row), wanted) in enumerate(zip(lines, part, strict=True)):
        assert ids[int(start) : int(end)].tolist() == wanted[3]
        assert (doc_id, source, int(row)) == (wanted[1], wanted[0], number)
    again = export(output, tmp_path / "again", "dolma", shards_per_file=2)
    assert [f.read_bytes() for f in again] == [f.read_bytes() for f in files]


def test_mds(output: Path, tmp_path: Path, ordered: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixtures.export.mds.SHARD_BYTES", 20_000)
    *shards, index = export(output, tmp_path / "s", "mds")
    assert [path.relative_to(tmp_path / "s").as_posix() for path in shards[:2]] == [
        "train/shard.00000.mds",
        "train/shard.00001.mds",
    ]
    listed = json.loads(index.read_text())["shards"]
    assert [one["raw_data"]["bytes"] for one in listed] == [path.stat().st_size for path in shards]
    found = []
    for one, path in zip(listed, shards, strict=True):
        data = path.read_bytes()
        (count,) = struct.unpack_from("<I", data)
        assert count == one["samples"]
        begins = np.frombuffer(data, "<u4", count + 1, 4).tolist()
        assert json.loads(data[4 + 4 * (count + 1) : begins[0]])["column_names"] == ["doc_id", "source", "tokens"]
        assert begins[-1] == len(data)
        for begin in begins[:-1]:
            sizes = struct.unpack_from("<3I", data, begin)
            ends = np.cumsum([begin + 12, *sizes]).tolist()
            doc_id, source, tokens = (data[a:b] for a, b in pairwise(ends))
            width = 1 << (tokens[0] & 3)
            assert tokens[0] >> 2 == 1
            ids = np.frombuffer(tokens, "<u2", -1, 1 + width).tolist()
            assert len(ids) == int.from_bytes(tokens[1 : 1 + width], "little")
            found.append((source.decode(), doc_id.decode(), ids))
    assert found == [(source, doc_id, ids) for source, doc_id, _, ids in ordered]


def test_an_example_is_protobuf() -> None:
    ids = np.array([0, 1, 127, 128, 16_383, 16_384, 65_535, 2_097_152, 4_294_967_295], np.uint32)
    (features,) = fields(example("d\u00e9", "c4", ids))
    found = {}
    for _, _, entry in fields(features[2]):  # type: ignore[arg-type]
        (_, _, name), (_, _, feature) = fields(entry)  # type: ignore[arg-type]
        ((kind, _, values),) = fields(feature)  # type: ignore[arg-type]
        ((_, _, value),) = fields(values)  # type: ignore[arg-type]
        found[name] = (kind, value)
    assert found[b"doc_id"] == (1, "d\u00e9".encode())
    assert found[b"source"] == (1, b"c4")
    kind, packed = found[b"text"]
    assert kind == 3
    assert isinstance(packed, bytes)
    marks = b"".join(b"\x08" + one for one in _split(packed))
    assert [value for _, _, value in fields(marks)] == ids.tolist()


def _split(packed: bytes) -> list[bytes]:
    numbers, begin = [], 0
    for at, byte in enumerate(packed):
        if byte < 0x80:
            numbers.append(packed[begin : at + 1])
            begin = at + 1
    return numbers


def test_an_absent_array_record_is_named(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "array_record.python.array_record_module", None)
    assert main([str(output), str(tmp_path / "a"), "--format", "arrayrecord"]) == 2
    assert "pip install array-record" in capsys.readouterr().err


def test_validation_documents(output: Path, tmp_path: Path) -> None:
    data, _ = export(output, tmp_path / "v", "megatron", validation_source="c4")
    assert data.name == "validation-c4.bin"
    assert 0 < len(np.fromfile(data, "<u2")) < 200


def test_large_vocabularies_are_int32(output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, index = export(output, tmp_path / "s", "megatron")
    monkeypatch.setattr(mixtures.export.layouts, "id_dtype", lambda _: np.dtype(np.uint32))
    wide, wide_index = export(output, tmp_path / "w", "megatron")
    assert np.fromfile(wide, "<i4").tolist() == np.fromfile(data, "<u2").tolist()
    assert (index.read_bytes()[17], wide_index.read_bytes()[17]) == (8, 4)


def test_nothing_half_written_is_left(output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(mixtures.export.layouts.np, "cumsum", broken)
    with pytest.raises(RuntimeError):
        export(output, tmp_path / "m", "megatron")
    assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["{out}/absent", "{to}"], "/absent: there is no such folder"),
        (["{out}", "{to}", "--validation", "books"], "holds no validation documents of books, but of c4"),
        (["{out}", "{to}", "--shards-per-file", "0"], "shards_per_file 0 is not a positive number"),
        (["{out}", "{out}/manifest.json/x"], "Not a directory; what the path takes for a folder is a file"),
    ],
)
def test_a_wrong_request_is_one_line(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], said: str
) -> None:
    filled = [arg.replace("{out}", str(output)).replace("{to}", str(tmp_path / "to")) for arg in args]
    assert main([*filled, "--format", "dolma"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_harmed_shard_is_named_before_anything_is_written(output: Path, tmp_path: Path) -> None:
    (output / "shards/train-00004-of-00005.arrow").unlink()
    with pytest.raises(ValueError, match=r"train-00004-of-00005\.arrow is missing"):
        export(output, tmp_path / "to", "datatrove")
    assert not (tmp_path / "to").exists()


def test_the_command_names_what_it_wrote(output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(output), str(tmp_path / "m"), "--format", "megatron"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(str(tmp_path / "m/train.idx"))


@pytest.fixture
def exported(output: Path, tmp_path: Path) -> Callable[[str], list[Path]]:
    return lambda form: export(output, tmp_path / form, form)  # type: ignore[arg-type]


@pytest.mark.train
def test_megatrons_own_reader(exported: Callable[[str], list[Path]], ordered: Rows) -> None:
    reader = pytest.importorskip("megatron.core.datasets.indexed_dataset", reason="make test-train installs it")
    data = reader.IndexedDataset(str(exported("megatron")[0]).removesuffix(".bin"))
    assert len(data) == len(ordered)
    assert [data[i].tolist() for i in range(len(data))] == [row[3] for row in ordered]
    assert data.document_indices.tolist() == list(range(len(ordered) + 1))


@pytest.mark.train
def test_datatroves_own_reader(exported: Callable[[str], list[Path]], rows: Rows) -> None:
    reader = pytest.importorskip("datatrove.utils.dataset", reason="make test-train installs it")
    path = exported("datatrove")[0]
    data = reader.DatatroveFileDataset(str(path), 99, token_size=2, return_positions=True)
    stream = [i for row in rows[0::5] for i in row[3]]
    places = [i for row in rows[0::5] for i in range(len(row[3]))]
    assert len(data) == len(stream) // 100 > 10
    for number in range(len(data)):
        item, at = data[number], slice(100 * number, 100 * number + 100)
        assert item["input_ids"].tolist() == stream[at]
        begun = [p for p, place in enumerate(places[at]) if place == 0]
        assert item["positions"].tolist()[begun[0] if begun else 100 :] == places[at][begun[0] if begun else 100 :]


@pytest.mark.train
def test_mds_own_reader(exported: Callable[[str], list[Path]], ordered: Rows) -> None:
    streaming = pytest.importorskip("streaming", reason="make test-train installs it")
    data = streaming.LocalDataset(str(exported("mds")[-1].parent))
    assert len(data) == len(ordered)
    found = [(data[i]["source"], data[i]["doc_id"], data[i]["tokens"].tolist()) for i in range(len(data))]
    assert found == [(source, doc_id, ids) for source, doc_id, _, ids in ordered]


@pytest.mark.train
def test_arrayrecords_own_reader(exported: Callable[[str], list[Path]], ordered: Rows) -> None:
    """Reads the export with Grain, and parses its records with protobuf and the published definition of
    tf.train.Example.
    """
    grain = pytest.importorskip("grain", reason="make test-train installs it")
    parse = _example_parser()
    data = grain.sources.ArrayRecordDataSource([str(path) for path in exported("arrayrecord")])
    assert len(data) == len(ordered)
    for number, (source, doc_id, _, ids) in enumerate(ordered):
        features = parse(data[number]).features.feature
        assert list(features["text"].int64_list.value) == ids
        assert features["doc_id"].bytes_list.value[0].decode() == doc_id
        assert features["source"].bytes_list.value[0].decode() == source


def _example_parser() -> Callable[[bytes], Any]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto

    def add(message: Any, name: str, number: int, kind: int, **more: Any) -> None:
        message.field.add(name=name, number=number, type=kind, label=more.pop("label", kinds.LABEL_OPTIONAL), **more)

    repeated = kinds.LABEL_REPEATED
    add(file.message_type.add(name="BytesList"), "value", 1, kinds.TYPE_BYTES, label=repeated)
    add(file.message_type.add(name="Int64List"), "value", 1, kinds.TYPE_INT64, label=repeated)
    feature = file.message_type.add(name="Feature")
    add(feature, "bytes_list", 1, kinds.TYPE_MESSAGE, type_name=".tensorflow.BytesList")
    add(feature, "int64_list", 3, kinds.TYPE_MESSAGE, type_name=".tensorflow.Int64List")
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, kinds.TYPE_STRING)
    add(entry, "value", 2, kinds.TYPE_MESSAGE, type_name=".tensorflow.Feature")
    add(features, "feature", 1, kinds.TYPE_MESSAGE, label=repeated, type_name=".tensorflow.Features.FeatureEntry")
    example = file.message_type.add(name="Example")
    add(example, "features", 1, kinds.TYPE_MESSAGE, type_name=".tensorflow.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))
    return lambda data: kind.FromString(data)
