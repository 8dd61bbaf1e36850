"""Tests decontamination: reading evaluation sets, writing their index, and searching finished shards, with the
certificate about the result.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from filters.decontaminate.build import MAX_WORDS, TooManyWords, build_index
from filters.decontaminate.index import STATES
from filters.decontaminate.items import EvalSet, Item, SetRules
from filters.decontaminate.match import find
from mixtures.decontaminate.__main__ import main
from mixtures.decontaminate.certificate import certify, list_shards
from mixtures.decontaminate.read_sets import checksum_of, items_of
from mixtures.decontaminate.settings import SetSettings, parse_settings, read_settings
from mixtures.decontaminate.summary import Summary
from mixtures.decontaminate.table import key_of, make_index, open_table, write_table

ROWS: list[dict[str, Any]] = [
    {"q": "How many bolts of cloth does the tailor's robe take in all?", "a": "3", "n": {"t": "A passage."}},
    {"q": "中国的首都是哪个城市", "a": "北京", "n": {"t": "مرحبا بالعالم"}},
]


def set_of(file: Path, **more: Any) -> SetSettings:
    return SetSettings(**{"name": "mine", "path": str(file), "question": "q", "answer": "a", **more})


def written(path: Path, rows: Sequence[Any]) -> Path:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    if path.suffix == ".zst":
        data = zstandard.compress(data)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_every_form_gives_the_same_items(tmp_path: Path, name: str) -> None:
    one = set_of(written(tmp_path / name, ROWS), passage="n.t")
    assert list(items_of(one)) == [
        Item(id="0", question=ROWS[0]["q"], answer="3", passage="A passage."),
        Item(id="1", question=ROWS[1]["q"], answer="北京", passage="مرحبا بالعالم"),
    ]
    assert list(items_of(set_of(tmp_path, passage="n.t"))) == list(items_of(one))


def test_answers_and_choices_of_the_usual_forms(tmp_path: Path) -> None:
    rows = [
        {"q": "?", "a": ["one", "two"], "c": {"text": ["x", "y"], "label": ["A", "B"]}},
        {"q": "?", "a": True, "c": [{"text": "x"}, {"text": "y"}]},
        {"q": "?", "a": 1, "c": ["x", "y"]},
        {"q": None, "a": [], "c": None},
    ]
    items = list(items_of(set_of(written(tmp_path / "a.jsonl", rows), choices="c")))
    assert [(item.answer, item.choices) for item in items] == [
        ("one", ("x", "y")), ("yes", ("x", "y")), ("1", ("x", "y")), ("", ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        ([], {}, r"set mine: .*a\.jsonl has no item"),
        (ROWS, {"question": "prompt"}, r"row 1 has no column 'prompt'; it has: a, n, q"),
        (ROWS, {"passage": "n.text"}, r"row 1 has no column 'n\.text'"),
        ([{"q": {"x": 1}, "a": ""}], {}, r"row 1: q must be a text or a number, not"),
        ([{"q": "?", "a": "", "c": "A"}], {"choices": "c"}, "c must be a list of choices, not 'A'"),
        ([[1]], {}, "line 1 is no JSON object"),
        (ROWS, {"path": "s3://bucket/a.jsonl"}, "not on this machine; copy the set here first"),
        (ROWS, {"path": "nowhere/*.jsonl"}, "matches nothing"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, rows: list[Any], more: dict[str, Any], message: str) -> None:
    one = set_of(written(tmp_path / "a.jsonl", rows), **more)
    with pytest.raises(ValueError, match=message):
        list(items_of(one))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"{not json\n", "cannot be read as JSON lines"),
        ("a.jsonl", b'{"q": "\xff"}\n', "cannot be read as JSON lines"),
        ("a.jsonl.gz", gzip.compress(b'{"q": "x", "a": ""}\n' * 999, mtime=0)[:-20], "cannot be read as JSON lines"),
        ("a.jsonl.zst", b"no zstd", "cannot be read as JSON lines"),
        ("a.parquet", b"no parquet", "cannot be read as Parquet"),
        ("a.csv", b"q,a\n", r"has no file that ends in \.jsonl"),
    ],
    ids=["no_json", "no_utf8", "cut_gzip", "no_zstd", "no_parquet", "unknown_form"],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        list(items_of(set_of(tmp_path / name)))


def test_a_parquet_file_without_the_column(tmp_path: Path) -> None:
    written(tmp_path / "a.parquet", [{"prompt": "x", "target": "y"}])
    with pytest.raises(ValueError, match=r"a\.parquet has no column 'q'; it has: prompt, target"):
        list(items_of(set_of(tmp_path / "a.parquet")))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sets": []}, "there is none to check against"),
        ({}, "there is none to check against"),
        ("mine.jsonl", "must be a mapping with sets, or a list of sets"),
        ([{"name": "x", "path": "y"}], "name the column of its question, passage or code"),
        ([{"path": "y", "question": "q"}], "needs a name and a path"),
        ([{"name": "x", "path": "y", "question": "q"}] * 2, "two sets have the name 'x'"),
        ([{"name": "x", "path": "y", "question": "q", "action": "burn"}], "action must be"),
        ([{"name": "x", "path": "y", "prompt": "q"}], "prompt"),
        ({"sets": "nowhere.yaml"}, "there is no file of evaluation sets"),
    ],
)
def test_settings_that_do_not_fit(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_settings(given)


def test_a_file_of_sets_names_paths_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    written(tmp_path / "evals/mine.jsonl", ROWS)
    path = tmp_path / "evals/sets.yaml"
    path.write_text("sets: [{name: mine, path: mine.jsonl, question: q, action: mark}]")
    assert [item.question for item in items_of(read_settings(str(path)).sets[0])] == [row["q"] for row in ROWS]
    named = parse_settings({"sets": str(path), "action": "cut"})
    assert [(one.rules("1", named).action, one.rules("1", named).public_action) for one in named.sets] == [
        ("mark", "mark")
    ]


def test_the_table_is_the_same_file_every_time_and_is_checked(tmp_path: Path) -> None:
    settings = parse_settings([{"name": "mine", "path": str(written(tmp_path / "a.jsonl", ROWS)), "question": "q"}])
    paths = [tmp_path / "1.evals", tmp_path / "2.evals"]
    for path in paths:
        with path.open("wb") as sink:
            write_table(make_index(settings), {"mine": checksum_of(settings.sets[0])}, sink)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    text = "said: how many bolts of cloth does the tailor's robe take in all"
    assert find(open_table(paths[0]), [text]) == find(make_index(settings), [text]) != []
    whole = paths[0].read_bytes()
    for damaged in (whole[:100], b"", b"x" * len(whole)):
        paths[1].write_bytes(damaged)
        with pytest.raises(ValueError, match=r"2\.evals (cannot be read|is not)"):
            open_table(paths[1])
    before = key_of(settings)
    written(tmp_path / "a.jsonl", ROWS[:1])
    assert key_of(settings) != before


def test_the_order_of_items_changes_nothing_that_is_found() -> None:
    items = [
        Item(id=str(n), question=f"which harbour number {n} has the lamp of the old keeper {n * 7}") for n in range(9)
    ]
    text = " ".join(item.question for item in items[3:5])
    found = []
    for order in (items, items[::-1]):
        index = build_index([EvalSet(SetRules(name="s"), order)])
        found.append(
            sorted((order[int(index.piece_items[hit.piece])].id, hit.start_char) for hit in find(index, [text]))
        )
    assert found[0] == found[1]
    assert {item for item, _ in found[0]} == {"3", "4"}


def random_items(number: int, num_words: int) -> list[Item]:
    words = np.random.default_rng(1).integers(0, 60_000, (number, num_words)).tolist()
    return [Item(id=str(n), question=" ".join(f"w{word}" for word in row)) for n, row in enumerate(words)]


@pytest.mark.slow
def test_a_large_set_stays_within_15_bytes_per_ngram() -> None:
    """Checks the limit of 300 MB for 20 million n-grams, with a set of 1/16 of that size.

    The sizes of the tables are powers of two. So in the smaller set, the same share of the tables is unused.
    """
    index = build_index([EvalSet(SetRules(name="large"), random_items(12_500, 105))])
    assert len(index.seeds.places) == 1_250_000
    assert index.matching_bytes <= 15 * 1_250_000


@pytest.mark.slow
def test_a_set_with_very_many_items_is_counted_without_a_name_in_memory_for_each() -> None:
    index = build_index([EvalSet(SetRules(name="many"), random_items(30_000, 9))])
    summary = Summary(index)
    held = sum(array.nbytes for array in (summary._keys, summary._order))
    assert held <= 16 * index.num_pieces
    row = {"set": "many", "item": "17", "part": "question", "num_same_items": 1, "class": "contamination",
           "source": "books", "id": "b"}  # fmt: skip
    summary.add([row])
    (found,) = [item for item in summary.items() if item["hits"]]
    assert (found["item"], found["documents"], found["sources"]) == ("17", 1, ["books"])


def test_too_many_words_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_WORDS > 20_000_000
    monkeypatch.setattr("filters.decontaminate.build.MAX_WORDS", 100)
    with pytest.raises(TooManyWords, match="leave the column of their passages out"):
        build_index([EvalSet(SetRules(name="large"), random_items(20, 9))])


def test_items_that_cannot_be_found_are_listed(tmp_path: Path) -> None:
    rows = [{"q": "Why?", "a": "x"}, {"q": "What is the answer?", "a": "42"}, *ROWS]
    settings = parse_settings([
        {"name": "mine", "path": str(written(tmp_path / "a.jsonl", rows)), "question": "q", "answer": "a"}
    ])  # fmt: skip
    (said,) = Summary(make_index(settings)).sets({"mine": "abc"})
    assert (said["items"], said["items_searched"], said["not_searched"]) == (4, 2, ["0", "1"])
    assert (said["too_short"], said["too_common"], said["sha256"]) == (1, 1, "abc")
    states = [item["state"] for item in Summary(make_index(settings)).items()]
    assert states == ["too_short", "too_common", "findable", "needs_answer"]
    assert set(states) == set(STATES)


# Finished shards


def sets_for(output: Path, tmp_path: Path, rows: list[tuple[str, str, int, list[int]]], encoder: Any) -> Path:
    """Writes an evaluation set with two items from a document of the shards, and one item that is in no shard."""
    text = encoder.decode(rows[0][3]).split()
    items = [
        {"k": "there", "q": " ".join(text[20:60]), "p": ""},
        {"k": "passage", "q": "", "p": " ".join(text[60:130])},
        {"k": "nowhere", "q": "which harbours of eldoria close when the northern beacons burn green", "p": ""},
    ]
    written(tmp_path / "evals.jsonl", items)
    path = tmp_path / "sets.yaml"
    path.write_text("sets: [{name: mine, path: evals.jsonl, id: k, question: q, passage: p}]")
    return path


def test_shards_are_certified(
    output: Path, tmp_path: Path, rows: Any, encoder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = sets_for(output, tmp_path, rows, encoder)
    for workers in (1, 2):
        to = str(tmp_path / f"c{workers}")
        assert main([str(output), "--sets", str(sets), "--output", to, "--workers", str(workers)]) == 1
    said = capsys.readouterr().out
    assert "CONTAMINATED" in said
    assert "item:     " + " ".join(encoder.decode(rows[0][3]).split()[20:24]) in said
    names = sorted(path.name for path in (tmp_path / "c1").iterdir())
    assert names == ["certificate.json", "hits-00000-of-00001.parquet", "items.parquet"]
    for name in names:
        assert (tmp_path / "c1" / name).read_bytes() == (tmp_path / "c2" / name).read_bytes(), name
    found = json.loads((tmp_path / "c1/certificate.json").read_text())
    manifest = json.loads((output / "manifest.json").read_text())
    assert [(one["path"], one["sha256"]) for one in found["shards"]] == [
        (one["path"], one["sha256"]) for one in manifest["shards"]
    ]
    assert (found["documents"], found["tokens"]) == (manifest["documents"], manifest["tokens"])
    hits = pq.read_table(tmp_path / "c1/hits-00000-of-00001.parquet").to_pylist()
    assert {(hit["item"], hit["class"]) for hit in hits} == {("there", "contamination"), ("passage", "public_passage")}
    assert {hit["action"] for hit in hits} == {"mark"}
    assert rows[0][1] in {hit["id"] for hit in hits}
    items = {row["item"]: row for row in pq.read_table(tmp_path / "c1/items.parquet").to_pylist()}
    assert items["nowhere"]["documents"] == 0
    assert min(items[name]["documents"] for name in ("there", "passage")) > 0
    assert items["nowhere"]["text"] == "which harbours of eldoria close when the northern beacons burn green"
    text = encoder.decode(rows[0][3]).split()
    assert [len(items[name]["text"]) for name in ("there", "passage")] == [160, 160]
    assert " ".join(text[20:60]).startswith(items["there"]["text"].removesuffix("..."))
    assert " ".join(text[60:130]).startswith(items["passage"]["text"].removesuffix("..."))


def test_clean_shards_and_shards_by_name(output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "e.jsonl", [{"q": "which harbours of eldoria close when the northern beacons burn green"}])
    (tmp_path / "s.yaml").write_text("[{name: none, path: e.jsonl, question: q}]")
    shards = sorted(map(str, (output / "shards").glob("*.arrow")))[:2]
    assert main([*shards, "--sets", str(tmp_path / "s.yaml"), "--output", str(tmp_path / "c")]) == 0
    assert "2 shards: no item was found" in capsys.readouterr().out
    assert json.loads((tmp_path / "c/certificate.json").read_text())["is_clean"] is True


def test_what_cannot_be_certified(output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "e.jsonl", [{"q": "which harbours of eldoria close when the northern beacons burn green"}])
    sets = tmp_path / "s.yaml"
    sets.write_text("[{name: none, path: e.jsonl, question: q}]")
    shutil.copytree(output, tmp_path / "copy")
    certify(list_shards([str(tmp_path / "copy")], None), read_settings(str(sets)), tmp_path / "c", 1)
    shard = tmp_path / "copy/shards/train-00001-of-00005.arrow"
    shutil.copy(tmp_path / "copy/shards/train-00000-of-00005.arrow", shard)
    to = ["--sets", str(sets), "--output", str(tmp_path / "c")]
    for arguments, message in [
        ([str(tmp_path / "copy"), *to], "is not the shard that the manifest lists"),
        ([str(tmp_path / "copy/gone.arrow"), *to], "is not there"),
        ([str(tmp_path), "--sets", str(tmp_path / "none.yaml")], "there is no file of evaluation sets"),
        ([str(output), "--sets", str(sets), "--workers", "0"], "--workers must be 1 or more"),
    ]:
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    assert not (tmp_path / "c/certificate.json").exists(), "an old certificate does not outlive a failed search"
    assert not list((tmp_path / "c").glob(".search-*"))
