"""Tests whole runs with two additional corpora from a configuration: counts, shards, report, card, and resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from small import prose, shard_sums

from mixtures.loader import Loader
from mixtures.loader_settings import LoaderSettings
from pipeline import graph
from pipeline.run import main
from pipeline.settings.settings import parse

pytestmark = pytest.mark.slow

CONFIG = """
name: two
corpora:
  fineweb:
    files: {root}/fineweb/*.parquet
    columns: {{id: id, url: meta.url, language: lang, score: {{path: meta.score, type: float}}}}
    licence: {{name: ODC-By 1.0, link: "https://opendatacommons.org/licenses/by/1-0/"}}
    cite: "FineWeb, arXiv:2406.17557"
    steps:
      - min_length: {{min_chars: 100}}
      - exact_dedup: {{key: text}}
      - near_dedup
      - fineweb_quality
      - line_dedup: {{keep: first}}
  mine:
    files: {root}/mine/*
    columns: {{text: body, date: when}}
tokenizer: {{vocab_size: 400, lower_vocab_size: true}}
shards: {{target_bytes: 20_000}}
sources: {{fineweb: {{min_length: {{min_chars: 200}}}}}}
"""


def write_inputs(root: Path) -> None:
    (root / "fineweb").mkdir()
    (root / "mine").mkdir()
    rows: list[dict[str, Any]] = [
        {
            "id": f"d{n}",
            "text": prose(f"web {n}", 90),
            "meta": {"url": f"https://a.example/{n}", "score": n / 8},
            "lang": "en",
        }
        for n in range(40)
    ]
    rows[5]["text"] = None
    rows[6]["text"] = rows[7]["text"]
    rows[8]["text"] = "Too short. " * 12
    rows[9]["id"] = "d10"
    rows[12]["text"] = f"{rows[13]['text']}A last sentence that only this page has.\n"
    for number in range(2):
        pq.write_table(pa.Table.from_pylist(rows[number::2]), root / "fineweb" / f"{number}.parquet", row_group_size=8)
    lines: list[Any] = [{"body": prose(f"own {n}", 120), "when": "2024"} for n in range(30)]
    lines[3:6] = [[1], {"other": 1}, {"body": ["a"]}]
    for number in range(2):
        text = "".join(json.dumps(line) + "\n" for line in lines[number * 15 : number * 15 + 15])
        (root / "mine" / f"{number}.jsonl").write_text(text)
    (root / "two.yaml").write_text(CONFIG.format(root=root))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    write_inputs(folder)
    assert run(folder, folder / "out") == 0
    return folder


def run(root: Path, out: Path, *more: str, workers: int = 1) -> int:
    return main(["--config", f"{root}/two.yaml", "--output", str(out), f"--direct_num_workers={workers}", *more])


def stats_of(out: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "stats" / f"{name}.json").read_text())
    return found


def test_every_document_is_counted(root: Path) -> None:
    fineweb, mine = stats_of(root / "out", "fineweb"), stats_of(root / "out", "mine")
    assert fineweb["records"] == {"no_content": 1}
    assert {row["stage"]: row["dropped"] for row in fineweb["stages"]} == {
        "duplicate_id": {"duplicate_id": 1}, "min_length": {"too_short": 1}, "duplicate_text": {"duplicate_text": 1},
        "near_dedup": {"near_duplicate": 1}, "fineweb_quality": {}, "line_dedup": {},
    }  # fmt: skip
    assert fineweb["documents"] == {"in": 39, "kept": 35, "dropped": 4}
    assert mine["records"] == {"missing_column": 1, "not_an_object": 1, "text_is_no_text": 1}
    assert mine["documents"] == {"in": 27, "kept": 27, "dropped": 0}
    rows = ds.dataset(root / "out" / "clean" / "fineweb", format="parquet").to_table().to_pylist()
    assert len(rows) == 35
    assert {row["url"] for row in rows} <= {f"https://a.example/{n}" for n in range(40)}
    assert all(row["score"] is not None and row["language"] == "en" for row in rows)
    assert {row["id"]: row["near_dedup_group_size"] for row in rows if row["near_dedup_group_size"] != 1} == {"d12": 2}
    dropped = ds.dataset(root / "out" / "dropped" / "mine", format="parquet").to_table().to_pylist()
    assert sorted(row["reason"] for row in dropped) == ["missing_column", "not_an_object", "text_is_no_text"]


def test_the_loader_the_card_and_the_report_know_them(root: Path) -> None:
    out = root / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    assert {name: one["epochs"] for name, one in manifest["sources"].items()} == {"fineweb": 1.0, "mine": 1.0}
    batch = next(iter(Loader(out, LoaderSettings(seq_len=64, batch_size=4))))
    assert batch.input_ids.shape[0] == 4
    card = (out / "README.md").read_text()
    assert "| fineweb | ODC-By 1.0 ([text](https://opendatacommons.org/licenses/by/1-0/)) |" in card
    assert "fineweb: FineWeb, arXiv:2406.17557" in card
    assert "Wikipedia" not in card
    page = (out / "report" / "index.html").read_text()
    for wanted in (
        "fineweb_quality",
        "share of short lines",
        "duplicate_text",
        "text_is_no_text",
        "1 of 36 documents (2.8 %) were removed",
    ):
        assert wanted in page


def test_other_limits_are_judged_from_the_signals(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline.report.__main__ import main as report

    assert report([str(root / "out"), "--set", "fineweb.fineweb_quality.min_ending_lines=2"]) == 0
    printed = capsys.readouterr()
    assert "too_few_lines_end_sentences" in printed.out + printed.err


def test_two_workers_make_the_same_bytes(root: Path, tmp_path: Path) -> None:
    assert run(root, tmp_path / "out", workers=2) == 0
    assert shard_sums(tmp_path / "out") == shard_sums(root / "out")


def test_nothing_is_done_twice_and_another_column_redoes_its_corpus(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[str] = []
    clean = graph.clean

    def noted(pipeline: Any, given: Any) -> Any:
        jobs.extend(job.label for job in given)
        return clean(pipeline, given)

    monkeypatch.setattr(graph, "clean", noted)
    assert run(root, root / "out") == 0
    assert jobs == []
    text = (root / "two.yaml").read_text()
    (root / "two.yaml").write_text(text.replace("date: when", "date: when, day: when"))
    try:
        assert run(root, root / "out") == 0
    finally:
        (root / "two.yaml").write_text(text)
    assert jobs == ["mine"]


def test_estimate_and_explain(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, tmp_path / "none", "--explain", "fineweb") == 0
    explained = capsys.readouterr().out
    assert explained.startswith("fineweb: 6 steps, ")
    assert "runs fineweb_quality: may drop the document" in explained
    assert run(root, tmp_path / "none", "--estimate") == 0
    estimated = capsys.readouterr().out
    assert "fineweb" in estimated
    assert "mine" in estimated
    assert not (tmp_path / "none").exists()


SIX_LINES = """name: six
corpora:
  dolma:
    files: dolma/*.json.gz
    columns: [text, id]
    licence: ODC-By 1.0
"""


def test_six_lines_are_enough(tmp_path: Path) -> None:
    (tmp_path / "six.yaml").write_text(SIX_LINES)
    settings = parse(["--config", str(tmp_path / "six.yaml")])
    assert settings.inputs == {"dolma": ("dolma/*.json.gz",)}
    assert list(settings.recipe.weights) == ["dolma"]
    assert [step.NAME for step in settings.sources["dolma"].steps] == ["duplicate_id"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("corpora: {books: {files: a}}", "corpora.books: books is a source already; choose another name"),
        ("corpora: {A-b: {files: a}}", "corpora.A-b: a name is lower-case letters"),
        ("inputs: {minne: a}\ncorpora: {mine: {files: a}}", "'minne' is not a source; did you mean mine?"),
        ("sources: {books: {steps: [gutenberg]}}\ninputs: {books: a}", "sources.books.steps lacks duplicate_id"),
        ("sources: {books: {steps: [duplicate_id, code_header]}}\ninputs: {books: a}",
         "books: the step code_header reads the column programming_language"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(tmp_path: Path, config: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(config)
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        parse(["--config", str(tmp_path / "c.yaml")])
    assert message in str(error.value)


def test_another_list_of_steps_for_a_source_in_code(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "inputs: {books: a}\nsources: {books: {steps: [gutenberg, gopher_quality: {min_words: 9}, duplicate_id],"
        " gopher_quality: {max_words: 99}}}"
    )
    steps = parse(["--config", str(tmp_path / "c.yaml")]).sources["books"].steps
    assert [step.NAME for step in steps] == ["gutenberg", "gopher_quality", "duplicate_id"]
    assert (steps[1].min_words, steps[1].max_words) == (9, 99)  # type: ignore[union-attr]
