"""Tests corpora that a configuration declares. All formats give the same documents. A fault gives a reason or a message
of one line.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.output.fingerprint import fingerprint
from pipeline.sources.corpora import reader as reader_module
from pipeline.sources.corpora.declare import corpus_source
from pipeline.sources.source import InputFile, Rejected, Source

COLUMNS = {
    "text": "body",
    "id": "key",
    "url": "meta.source.url",
    "score": {"path": "meta.score", "type": "float"},
    "pages": {"path": "pages", "type": "integer", "is_optional": True},
}
ROWS = [
    {
        "body": f"Text {n} of the corpus.",
        "key": n,
        "meta": {"source": {"url": f"https://a.example/{n}"}, "score": n / 4},
    }
    for n in range(5)
]


def open_file(path: str) -> Any:
    return Path(path).open("rb")


def write_json(path: Path, rows: Sequence[Any]) -> None:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    pack = gzip.compress if path.suffix == ".gz" else zstandard.compress if path.suffix == ".zst" else bytes
    path.write_bytes(pack(data))


def write_table(path: Path, table: pa.Table) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=2)
    else:
        maker = pa.ipc.new_stream if path.name.endswith("stream.arrow") else pa.ipc.new_file
        with maker(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)


def declared(**more: Any) -> Source:
    return corpus_source("mine", {"columns": COLUMNS, **more})


def found(source: Source, *paths: Path) -> Iterator[Any]:
    files = [InputFile(str(path), path.stat().st_size) for path in paths]
    for unit in source.reader.units(files, open_file):
        yield from source.reader.read(unit, open_file)


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.json.gz", "a.jsonl.zst", "a.ndjson", "a.parquet", "file.arrow", "stream.arrow"]
)
def test_every_form_gives_the_same_documents(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if "json" in name:
        write_json(path, ROWS)
    else:
        write_table(path, pa.Table.from_pylist(ROWS))
    documents = list(found(declared(), path))
    assert documents == [
        {"text": row["body"], "id": str(n), "url": f"https://a.example/{n}", "score": n / 4, "pages": None}
        for n, row in enumerate(ROWS)
    ]


def test_a_form_that_is_named_reads_files_of_any_name(tmp_path: Path) -> None:
    write_json(tmp_path / "part-0", ROWS)
    assert not declared().reader.knows("part-0")
    assert len(list(found(declared(form="json"), tmp_path / "part-0"))) == len(ROWS)


def test_a_row_without_an_id_has_the_hash_of_its_text(tmp_path: Path) -> None:
    write_json(tmp_path / "a.jsonl", [{"text": "One", "id": "x"}, {"text": "Two", "id": None}, {"text": "Two"}])
    source = corpus_source("mine", {"columns": ["text", "id"]})
    ids = [document["id"] for document in found(source, tmp_path / "a.jsonl")]
    assert ids[0] == "x"
    assert ids[1] == ids[2] == "sha256:" + hashlib.sha256(b"Two").hexdigest()


def test_an_id_of_several_columns_and_constants(tmp_path: Path) -> None:
    write_json(tmp_path / "a.jsonl", [{"text": "One", "repo": "a/b", "path": "c.py"}])
    source = corpus_source(
        "mine", {"columns": {"id": ["repo", "path"]}, "constants": {"language": "de", "dump": "2024-10"}}
    )
    assert list(found(source, tmp_path / "a.jsonl")) == [
        {"text": "One", "id": "a/b/c.py", "language": "de", "dump": "2024-10"}
    ]
    assert list(source.reader.COLUMNS) == ["dump"]


def test_a_folder_that_datasets_saved(tmp_path: Path) -> None:
    folder = tmp_path / "saved" / "train"
    folder.mkdir(parents=True)
    for name in ("data-00000-of-00001.stream.arrow", "cache-1f.arrow"):
        write_table(folder / name, pa.Table.from_pylist(ROWS))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.stream.arrow"}]}))
    (tmp_path / "saved" / "dataset_dict.json").write_text(json.dumps({"splits": ["train"]}))
    reader = declared().reader
    data = str(folder / "data-00000-of-00001.stream.arrow")
    assert reader.expand(str(folder), open_file) == [data]
    assert reader.expand(str(tmp_path / "saved"), open_file) == [data]
    assert reader.expand(data, open_file) is None
    assert reader.expand(str(tmp_path / "*.arrow"), open_file) is None
    assert not reader.knows(str(folder / "cache-1f.arrow"))
    (tmp_path / "saved" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    with pytest.raises(ValueError, match=r"holds the splits train, test: name one, such as .*saved/train"):
        reader.expand(str(tmp_path / "saved"), open_file)


def test_a_large_parquet_file_is_split_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "a.parquet", pa.Table.from_pylist(ROWS))
    whole = list(found(declared(), tmp_path / "a.parquet"))
    monkeypatch.setattr(reader_module, "UNIT_BYTES", 1)
    units = declared().reader.units([InputFile(str(tmp_path / "a.parquet"), 1000)], open_file)
    assert [(unit.start, unit.end) for unit in units] == [(0, 1), (1, 2), (2, 3)]
    assert [one for unit in units for one in declared().reader.read(unit, open_file)] == whole


def reasons(records: Iterator[Any]) -> list[str]:
    return [record.reason if isinstance(record, Rejected) else "" for record in records]


def test_bad_rows_cost_themselves_alone(tmp_path: Path) -> None:
    good = ROWS[0]
    rows = [
        good, [1], "text", {"other": 1}, {**good, "body": None}, {**good, "body": ["a"]}, {**good, "body": 7},
        {**good, "body": " \n"}, {**good, "meta": {"score": "high"}}, {**good, "body": "x" * 100},
        {**good, "pages": 2.5},
        good,
    ]  # fmt: skip
    write_json(tmp_path / "a.jsonl", rows)
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b'{"body": "\xff"}\n{"body": \n')
    assert reasons(found(declared(max_text_bytes=50), tmp_path / "a.jsonl")) == [
        "", "not_an_object", "not_an_object", "missing_column", "no_content", "text_is_no_text", "text_is_no_text",
        "no_content", "wrong_type", "text_too_large", "wrong_type", "", "not_utf8", "not_json",
    ]  # fmt: skip


def test_the_details_name_the_column_and_those_that_there_are(tmp_path: Path) -> None:
    write_json(
        tmp_path / "a.jsonl", [ROWS[0], {"title": "x", "meta": {"score": 1}}, {**ROWS[0], "meta": {"score": "x"}}]
    )
    _, missing, wrong = found(declared(), tmp_path / "a.jsonl")
    assert missing.location.endswith("a.jsonl:2")
    assert missing.detail == "no column body for text; there are: meta.score, title"
    assert wrong.detail == "score (meta.score): 'x' is not a number"


def test_a_column_of_bytes_is_text_where_it_is_utf8(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array(["ä".encode(), b"\xff", None], pa.binary())})
    write_table(tmp_path / "a.parquet", table)
    first, *others = found(corpus_source("mine", {}), tmp_path / "a.parquet")
    assert first["text"] == "ä"
    assert reasons(iter(others)) == ["not_utf8", "no_content"]


def test_strings_that_are_not_utf8_cost_their_own_row(tmp_path: Path) -> None:
    wrong = pa.array([b"one", b"\xff", b"three"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": wrong}), tmp_path / "a.parquet")
    assert reasons(found(corpus_source("mine", {}), tmp_path / "a.parquet")) == ["", "not_utf8", ""]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"content": ["a"], "id": [1]},
            r"a.parquet has no column text for text; there are: content, id; set columns.text",
        ),
        ({"text": [["a"]]}, r"a.parquet: the column text is no text but list<"),
        ({"text": [1]}, r"the column text is no text but int64; name another one as columns.text \(there are: text\)"),
    ],
)
def test_the_first_file_is_checked_before_a_run(tmp_path: Path, table: Mapping[str, Any], message: str) -> None:
    write_table(tmp_path / "a.parquet", pa.table(table))
    with pytest.raises(ValueError, match=message):
        list(found(corpus_source("mine", {}), tmp_path / "a.parquet"))


def test_a_later_file_of_another_shape_is_one_rejection(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", pa.table({"text": ["a"]}))
    write_table(tmp_path / "b.parquet", pa.table({"body": ["b"]}))
    write_table(tmp_path / "c.parquet", pa.table({"text": [["c"]]}))
    first, second, third = found(corpus_source("mine", {}), *(tmp_path / f"{name}.parquet" for name in "abc"))
    assert first["text"] == "a"
    assert (second.reason, second.is_whole_file) == ("missing_column", True)
    assert second.detail == "no column text for text; there are: body"
    assert (third.reason, third.is_whole_file) == ("text_is_no_text", True)


def test_json_that_is_no_lines_or_lacks_a_column_is_said_before_a_run(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "a"}]\n')
    with pytest.raises(ValueError, match=r"a.json is not JSON lines, one object per line: not_an_object in .*a.json:1"):
        list(found(corpus_source("mine", {}), tmp_path / "a.json"))
    write_json(tmp_path / "b.jsonl", ROWS)
    with pytest.raises(ValueError, match=r"b.jsonl has no column meta.link for url; there are: .*meta.source.url"):
        list(found(corpus_source("mine", {"columns": {"text": "body", "url": "meta.link"}}), tmp_path / "b.jsonl"))


@pytest.mark.parametrize("name", ["a.parquet", "file.arrow", "stream.arrow"])
def test_a_file_cut_anywhere_is_reported_and_never_raises(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, pa.Table.from_pylist(ROWS))
    data = (tmp_path / name).read_bytes()
    for length in range(0, len(data), 97):
        (tmp_path / name).write_bytes(data[:length])
        records = list(found(declared(), tmp_path / name))
        bad = [record for record in records if isinstance(record, Rejected)]
        assert all(record.reason in ("damaged_parquet", "damaged_arrow") for record in bad)
        is_whole = name == "stream.arrow" and len(records) - len(bad) == len(ROWS)  # only its end mark is lost
        assert bad or is_whole or length == 0 or (name == "stream.arrow" and len(records) % 2 == 0)


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"colums": {}}, r"corpora.mine.colums is not known; did you mean columns\?"),
        ({"columns": {"text": 3}}, r"corpora.mine.columns.text must be the name of a column, or its path"),
        ({"columns": {"n": {"path": "a", "type": "int"}}}, r"columns.n.type must be one of string, integer, float"),
        ({"columns": {"source": "a"}}, r"'source' cannot be a column's name"),
        ({"columns": {"_x": "a"}}, r"'_x' cannot be a column's name"),
        ({"columns": {"url": ["a", "b"]}}, r"columns.url must be one column; only the id can be made of several"),
        ({"constants": {"text": "a"}}, r"constants.text: every document has a text of its own"),
        ({"form": "avro"}, r"corpora.mine: form must be one of json, parquet, arrow, not 'avro'"),
        ({"steps": ["gopher"]}, r"corpora.mine.steps\[0\]: 'gopher' is not a step"),
        ({"steps": ["min_length", "min_length"]}, r"corpora.mine.steps has min_length twice"),
        ({"steps": ["exact_dedup"]}, r"steps\[0\].exact_dedup needs a key"),
        ({"steps": [{"exact_dedup": {"key": "link"}}]}, r"duplicate_link: key must be one of id, language, text"),
        ({"steps": ["licence"]}, r"corpora.mine: mine: the step licence reads the column license"),
        ({"steps": [{"min_length": {"min_char": 3}}]}, r"min_length.min_char is not a setting; did you mean min_chars"),
        ({"files": 3}, r"corpora.mine.files must be a glob or a list of globs, not 3"),
        ({"licence": True}, r"corpora.mine.licence.name must be a text, not True"),
    ],
)
def test_a_wrong_declaration_is_one_line_that_names_the_place(declaration: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corpus_source("mine", declaration)


def test_a_declared_source_is_a_plain_value() -> None:
    source = declared(steps=["min_length", {"line_dedup": {"keep": "first"}}], licence="CC0", files="a/*")
    again = pickle.loads(pickle.dumps(source))
    assert again == source
    assert [step.NAME for step in again.steps] == ["duplicate_id", "min_length", "line_dedup"]
    assert fingerprint(again.reader, again.steps) == fingerprint(source.reader, source.steps)
    assert fingerprint(declared(form="json").reader) != fingerprint(declared().reader)
    assert isinstance(hash(source.reader), int)


def _read(path: Path) -> tuple[list[Any], list[Rejected]]:
    """Reads a file as a run does. Returns its documents and its rejected records."""
    one = list(found(declared(), path))
    return [d for d in one if isinstance(d, dict)], [d for d in one if isinstance(d, Rejected)]


@pytest.mark.slow
def test_no_changed_bit_of_a_parquet_file_loses_a_document_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes one bit of each byte in turn. For some of these files, pyarrow would crash if it read the statistics of
    the columns.
    """
    monkeypatch.setattr(reader_module, "UNIT_BYTES", 100)
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, pa.Table.from_pylist(ROWS).schema, write_page_checksum=True) as writer:
        writer.write_table(pa.Table.from_pylist(ROWS[:3]))
        writer.write_table(pa.Table.from_pylist(ROWS[3:]))
    sound = path.read_bytes()
    documents, rejected = _read(path)
    assert (len(documents), rejected) == (5, [])
    changed = []
    for place in range(len(sound)):
        data = bytearray(sound)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            given, rejected = _read(path)
        except ValueError as error:  # a missing column is a wrong setting
            given, rejected = [], [Rejected(location=str(error), reason="setting")]
        if (given != documents and not rejected) or any("a.parquet" not in one.location for one in rejected):
            changed.append((place, given, rejected))
    assert not changed
