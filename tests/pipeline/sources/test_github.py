"""Tests reading BigQuery's exports of GitHub."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from itertools import permutations

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources.github import avro as github_avro
from pipeline.sources.github.reader import SOURCE, GitHubReader, check_tables, choice_hash, choose_copy
from pipeline.sources.source import InputFile, Rejected, TableRow

CONTENTS = [
    {"id": "a1", "size": 6, "content": "a = 1\n", "binary": False, "copies": 1},
    {"id": "b2", "size": 9, "content": None, "binary": True, "copies": 1},
    {"id": "c3", "size": 9, "content": None, "binary": False, "copies": 1},
    {"id": "d4", "size": 7, "content": "ü = 2\n", "binary": False, "copies": 2},
]
FILES = [
    {"repo_name": "a/b", "ref": "refs/heads/master", "path": "x.py", "mode": 33188, "id": "a1"},
    {"repo_name": "a/b", "ref": "refs/heads/master", "path": "link", "mode": 40960, "id": "d4"},
]
LICENCES = [{"repo_name": "a/b", "license": "mit"}, {"repo_name": "c/d", "license": None}]
JOINED = [
    {"id": "a1", "content": "a = 1\n", "repo_name": "a/b", "path": "x.py", "license": "mit", "size": 6},
    {"id": "d4", "content": "b = 1\n", "repo_name": "a/b", "path": "y.py", "license": None, "size": 6},
]
AVRO = {
    "type": "record",
    "name": "Root",
    "fields": [
        {"name": "id", "type": ["null", "string"]},
        {"name": "content", "type": ["null", "string"]},
        {"name": "binary", "type": ["null", "boolean"]},
        {"name": "size", "type": ["null", "long"]},
    ],
}


def from_disk(path):
    return open(path, "rb")


def as_json(rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=2)
    return sink.getvalue()


def as_avro(rows, codec="deflate", sync_interval=16_000):
    sink = io.BytesIO()
    schema = fastavro.parse_schema(AVRO)
    fastavro.writer(sink, schema, [{k: row.get(k) for k in ("id", "content", "binary", "size")} for row in rows],
                    codec=codec, sync_interval=sync_interval)  # fmt: skip
    return sink.getvalue()


def units_of(files):
    return GitHubReader().units(
        [InputFile(name, len(data)) for name, data in files.items()], lambda path: io.BytesIO(files[path])
    )


def read_all(files):
    return {
        unit.path: list(GitHubReader().read(unit, lambda path: io.BytesIO(files[path]))) for unit in units_of(files)
    }


def with_partners(contents):
    return {**contents, "files-000.json": as_json(FILES), "licenses-000.json": as_json(LICENCES)}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("contents-000000000000.json.gz", gzip.compress(as_json(CONTENTS), mtime=0)),
        ("contents-000000000000.json", as_json(CONTENTS)),
        ("contents-000000000000.parquet", as_parquet(CONTENTS)),
        ("contents-000000000000.avro", as_avro(CONTENTS)),
        ("contents-000000000000.avro", as_avro(CONTENTS, codec="null")),
    ],
)
def test_contents_in_every_format(name, data):
    records = read_all(with_partners({name: data}))[name]
    documents = [record for record in records if not isinstance(record, Rejected)]
    empty = {"repo_name": None, "path": None, "license": None, "_choice": None}
    assert documents == [
        {"id": "a1", "text": "a = 1\n", "size_bytes": 6, **empty},
        {"id": "d4", "text": "ü = 2\n", "size_bytes": 7, **empty},
    ]
    faults = [(record.reason, record.detail, record.is_bad) for record in records if isinstance(record, Rejected)]
    assert faults == [("binary_content", "b2", False), ("no_content", "c3", False)]


def test_rows_of_the_other_tables():
    records = read_all(with_partners({"contents.json": as_json(CONTENTS)}))
    assert records["files-000.json"][0] == TableRow("files", {"id": "a1", "repo_name": "a/b", "path": "x.py"})
    assert records["files-000.json"][1].reason == "symlink"
    assert records["licenses-000.json"] == [
        TableRow("licenses", {"repo_name": "a/b", "license": "mit"}),
        TableRow("licenses", {"repo_name": "c/d", "license": None}),
    ]


@pytest.mark.parametrize("name", ["github-0001.json", "contents-0001.json"])
def test_a_joined_table_is_told_by_its_columns(name):
    records = read_all({name: as_json(JOINED)})[name]
    assert records[0] == {
        "id": "a1", "text": "a = 1\n", "repo_name": "a/b", "path": "x.py", "license": "mit", "size_bytes": 6,
        "_choice": choice_hash("a/b", "x.py"),
    }  # fmt: skip
    assert records[1]["license"] is None


def test_a_joined_table_without_ids():
    rows = [{key: value for key, value in row.items() if key != "id"} for row in JOINED]
    assert [record["id"] for record in read_all({"a.parquet": as_parquet(rows)})["a.parquet"]] == [
        "a/b/x.py",
        "a/b/y.py",
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.csv": b""}, r"a\.csv.*\.parquet"),
        ({"a.json": b'{"text": "a", "sha": 1}\n'}, r"a\.json is none of the tables.*columns are text, sha"),
        ({"contents-0.json": b'{"id": "a", "text": "b"}\n'}, r"lacks content of the table contents; it has id, text"),
        ({"contents-0.json": as_json(CONTENTS)}, "contents without files and licenses"),
        ({"contents-0.json": as_json(CONTENTS), "files-0.json": as_json(FILES)}, "contents, files without licenses"),
        ({"licenses-0.json": as_json(LICENCES)}, "licenses without contents and files"),
    ],
)
def test_requests_that_cannot_be_met(files, message):
    with pytest.raises(ValueError, match=message):
        units_of(files)


def test_no_tables_at_all_are_no_fault():
    check_tables([])


def test_columns_missing_in_a_later_shard_are_named():
    files = with_partners({"contents-0.json": as_json(CONTENTS), "contents-1.json": b'{"id": "a", "text": "b"}\n'})
    (record,) = read_all(files)["contents-1.json"]
    assert (record.reason, record.detail) == ("missing_column", "contents needs content; found: id, text")


def test_content_that_is_no_text():
    rows = b'{"id": "a", "content": 5}\n{"id": null, "content": "x"}\n{"id": "c", "content": "a\\udc00"}\nnot json\n'
    records = read_all(with_partners({"contents.json": rows}))["contents.json"]
    reasons = [record.reason if isinstance(record, Rejected) else record["text"] for record in records]
    assert reasons == ["content_is_no_text", "no_id", "a\ufffd", "not_json"]


def test_behind_a_broken_block_of_avro_reading_goes_on():
    rows = [{"id": f"{n}", "content": f"text {n} " * 20, "binary": False, "size": n} for n in range(60)]
    data = bytearray(as_avro(rows, sync_interval=2_000))
    whole = read_all(with_partners({"contents.avro": bytes(data)}))["contents.avro"]
    assert len(whole) == 60
    data[len(data) // 2] ^= 0xFF
    records = read_all(with_partners({"contents.avro": bytes(data)}))["contents.avro"]
    assert Counter(isinstance(record, Rejected) for record in records)[True] == 1
    kept = [record["id"] for record in records if not isinstance(record, Rejected)]
    assert kept[0] == "0"
    assert kept[-1] == "59"
    assert 40 < len(kept) < 60


def test_a_bomb_in_avro_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(github_avro, "MAX_BLOCK_BYTES", 1 << 20)
    data = as_avro([{"id": "a", "content": "a" * (8 << 20), "binary": False, "size": 1}])
    (record,) = read_all(with_partners({"contents.avro": data}))["contents.avro"]
    assert record.reason == "damaged_avro"
    assert "1048576" in record.detail


@pytest.mark.parametrize("name", ["contents-1.avro", "contents-1.parquet"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_cut_files_are_named(name, share):
    data = as_avro(CONTENTS * 50) if name.endswith("avro") else as_parquet(CONTENTS * 50)
    files = with_partners({"contents-0.json": as_json(CONTENTS), name: data[: int(len(data) * share)]})
    records = read_all(files)[name]
    assert [record.reason for record in records if isinstance(record, Rejected) and record.is_bad] == [
        "damaged_avro" if name.endswith("avro") else "damaged_parquet"
    ]


def is_row(one):
    return not isinstance(one, Rejected)


@pytest.mark.slow
def test_no_changed_bit_of_a_parquet_table_loses_a_row_without_a_word():
    """Changes one bit of each byte in turn. Each time, either all rows are still the same, or a rejection names the
    file, or an error names a column.
    """
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(CONTENTS), sink, row_group_size=2, write_page_checksum=True)
    sound = sink.getvalue()
    rows = [row for row in read_all(with_partners({"contents.parquet": sound}))["contents.parquet"] if is_row(row)]
    num_said = 0
    for place in range(len(sound)):
        data = bytearray(sound)
        data[place] ^= 1 << place % 8
        try:
            given = read_all(with_partners({"contents.parquet": bytes(data)}))["contents.parquet"]
        except ValueError as error:  # a missing column is a wrong setting
            given = [Rejected(location=str(error), reason="setting")]
        said = [one for one in given if isinstance(one, Rejected) and one.is_bad]
        assert all("contents.parquet" in one.location for one in said)
        is_said = bool(said)
        num_said += is_said
        assert is_said or [row for row in given if is_row(row)] == rows, f"byte {place}"
    assert num_said > len(sound) / 4


def test_the_copy_chosen_does_not_depend_on_order():
    candidates = [
        ("a/a", "x.py", "mit"),
        ("b/b", "y.py", "apache-2.0"),
        ("c/c", "x.py", "gpl-3.0"),
        ("d/d", "x.py", None),
    ]
    chosen = {choose_copy(order) for order in permutations(candidates)}
    assert len(chosen) == 1
    assert chosen <= set(candidates[:2])
    assert choose_copy([]) is None
    assert choose_copy(candidates[2:]) in candidates[2:]
    assert choose_copy(candidates, families=("gpl-*",)) == candidates[2]


def test_a_joined_table_keeps_the_copy_that_the_join_would_choose():
    candidates = [(f"{n}/r", "x.py", "mit") for n in range(9)]
    greatest = max(candidates, key=lambda candidate: choice_hash(*candidate[:2]))
    assert choose_copy(candidates) == greatest
    assert next(step for step in SOURCE.steps if step.NAME == "duplicate_id").newest == "_choice"


@pytest.mark.real
def test_real_export(corpus_data):
    paths = sorted((corpus_data / "github" / "dev").iterdir())
    reader = GitHubReader()
    units = reader.units([InputFile(str(path), path.stat().st_size) for path in paths], from_disk)
    records = [record for unit in units for record in reader.read(unit, from_disk)]
    assert not [record for record in records if isinstance(record, Rejected) and record.is_bad]
    licences = {
        r.row["repo_name"]: r.row["license"] for r in records if isinstance(r, TableRow) and r.table == "licenses"
    }
    files: dict[str, list] = {}
    for record in records:
        if isinstance(record, TableRow) and record.table == "files":
            row = record.row
            files.setdefault(row["id"], []).append((row["repo_name"], row["path"], licences.get(row["repo_name"])))
    chosen = [choose_copy(files.get(r["id"], ())) for r in records if isinstance(r, dict)]
    by_licence = Counter(copy[2] for copy in chosen if copy)
    assert by_licence["agpl-3.0"] > 5
    assert sum(by_licence.values()) > 1_500
    licence = SOURCE.steps[0].apply(pa.record_batch({"license": pa.array([copy[2] for copy in chosen if copy])}), {})
    assert Counter(licence.verdict.to_pylist()) == {
        "licence_not_permitted": by_licence["agpl-3.0"], None: sum(by_licence.values()) - by_licence["agpl-3.0"]
    }  # fmt: skip
