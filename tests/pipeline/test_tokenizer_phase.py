"""Tests the sample for training a tokenizer. It is the same whether the driver reads all text or workers choose
texts.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import graph
from pipeline.engine.runner import choose_engine
from pipeline.output.paths import Layout
from pipeline.settings.settings import Settings, parse
from pipeline.tokenize import choose_tokenizer as tokenizer_phase
from pipeline.tokenize import draw_sample as sampling
from pipeline.tokenize.draw_sample import draw_sample
from pipeline.tokenize.job import SampleJob
from tokenizer.train.sample import Sample

SOURCES = {"common_crawl": (70, 900, 40), "books": (20, 9_000, 9), "c4": (10, 30, 300)}
"""For each source: its weight, the bytes of a document, and the number of documents."""
URLS = ("https://www.crawl.example/{}", "https://other.example/{}")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Returns the settings of a run with a recipe of three sources."""
    lines = [f"    {source}: {weight}" for source, (weight, _, _) in SOURCES.items()]
    recipe = ["name: t", "mixture:", "  weights:", *lines, "  max_epochs: 4", "  tokens: 1000000"]
    (tmp_path / "recipe.yaml").write_text("\n".join(recipe) + "\n")
    return parse(["--config", str(tmp_path / "recipe.yaml"), "--output", str(tmp_path / "out"), "--phase", "mix"])


@pytest.fixture
def layout(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Layout:
    layout = Layout(settings.output)
    for source, (_, doc_bytes, num_docs) in SOURCES.items():
        texts = [f"{source} {i} é ".encode() * doc_bytes for i in range(num_docs)]
        texts = [text[: doc_bytes + 7 * i].decode("utf-8", "ignore") for i, text in enumerate(texts)]
        folder = Path(layout.clean(source))
        folder.mkdir(parents=True)
        for part in range(3):
            numbers = range(part, num_docs, 3)
            urls = [URLS[i % 2].format(i) if source == "common_crawl" else None for i in numbers]
            rows = {
                "id": [f"{source}/{i}" for i in numbers],
                "text": texts[part::3],
                "url": pa.array(urls, pa.string()),
            }
            pq.write_table(pa.table(rows), folder / f"part-{part:05d}-of-00003.parquet")
        stats = Path(layout.stats(source))
        stats.parent.mkdir(parents=True, exist_ok=True)
        documents, num_bytes = {"in": len(texts), "kept": len(texts)}, sum(len(t.encode()) for t in texts)
        stats.write_text(json.dumps({"documents": documents, "bytes": {"kept": num_bytes}}))
    paths = {s: [f"{layout.clean(s)}/part-{i:05d}-of-00003.parquet" for i in range(3)] for s in SOURCES}
    monkeypatch.setattr(sampling, "clean_parts", lambda _, source: paths[source])
    monkeypatch.setattr(tokenizer_phase, "clean_parts", lambda _, source: paths[source])
    return layout


class Runs:
    """Runs jobs as a whole run does, and records their names."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, job: SampleJob) -> None:
        engine = choose_engine(["--direct_num_workers=1"])
        self.names.append("sample")
        with beam.Pipeline(runner=engine.runner, options=engine.options) as p:
            graph.sample(p, job)


def drawn(settings: Settings, layout: Layout, max_bytes: int) -> tuple[Sample, list[str]]:
    runs = Runs()
    return draw_sample(settings, layout, list(SOURCES), max_bytes, runs), runs.names


@pytest.mark.parametrize("max_bytes", [2_000, 20_000, 60_000])
def test_workers_pick_the_drivers_sample(
    settings: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch, max_bytes: int
) -> None:
    monkeypatch.setattr(sampling, "_READ_ALL_SHARE", 10**6)
    by_driver, names = drawn(settings, layout, max_bytes)
    assert names == []
    monkeypatch.setattr(sampling, "_READ_ALL_SHARE", 0)
    by_workers, names = drawn(settings, layout, max_bytes)
    assert set(names) == {"sample"}
    assert by_workers == by_driver
    assert by_driver.text_bytes == pytest.approx(max_bytes, abs=9)
    assert by_driver.source_bytes["books"] == pytest.approx(max_bytes * 0.2, abs=4)
    assert not Path(layout.work, "sample").exists()


def test_too_few_are_picked_again(settings: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_READ_ALL_SHARE", 10**6)
    by_driver, _ = drawn(settings, layout, 20_000)
    monkeypatch.setattr(sampling, "_READ_ALL_SHARE", 0)
    monkeypatch.setattr(sampling, "_MARGIN", sampling._MIN_SHARE)
    by_workers, names = drawn(settings, layout, 20_000)
    assert len(names) > 2
    assert by_workers == by_driver


def documents_of(sample: Sample) -> set[str]:
    """Returns the ids of the documents in a sample. The sample has no space between two texts."""
    found = re.findall(rf"({'|'.join(SOURCES)}) (\d+) é", "".join(sample.texts))
    return {f"{source}/{number}" for source, number in found}


def excluding(settings: Settings, tmp_path: Path, *lines: str) -> Settings:
    path = tmp_path / "exclude.txt"
    path.write_text("\n".join(("# a benchmark's pages", *lines)))
    return replace(settings, exclude=str(path))


@pytest.mark.parametrize("max_bytes", [20_000, 90_000])
def test_excluded_documents_are_not_in_the_sample(
    settings: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, max_bytes: int
) -> None:
    monkeypatch.setattr(sampling, "_READ_ALL_SHARE", 10**6)
    plain = documents_of(drawn(settings, layout, max_bytes)[0])
    ids = {min(i for i in plain if i.startswith(source)) for source in ("books", "c4")}
    assert "common_crawl/0" in plain or max_bytes < 90_000
    given = excluding(settings, tmp_path, "crawl.example", *ids)
    samples = []
    for share in (10**6, 0):  # read by the driver, picked by workers
        monkeypatch.setattr(sampling, "_READ_ALL_SHARE", share)
        samples.append(drawn(given, layout, max_bytes)[0])
    left = documents_of(samples[0])
    assert not left & ids, "what must not be in the output must not shape its vocabulary"
    assert {int(i.split("/")[1]) % 2 for i in left if i.startswith("common_crawl")} == {1}
    num_bytes = 0
    for source in SOURCES:  # the same as if the documents had never been
        for path in sorted(Path(layout.clean(source)).iterdir()):
            rows = pq.read_table(path).to_pylist()
            kept = [r for r in rows if r["id"] not in ids and "//www.crawl." not in (r["url"] or "")]
            num_bytes += sum(len(r["text"].encode()) for r in kept)
            pq.write_table(pa.Table.from_pylist(kept, schema=pq.read_schema(path)), path)
        Path(layout.stats(source)).write_text(f'{{"bytes": {{"kept": {num_bytes}}}}}')
        num_bytes = 0
    for share in (10**6, 0):
        monkeypatch.setattr(sampling, "_READ_ALL_SHARE", share)
        samples.append(drawn(settings, layout, max_bytes)[0])
    assert samples == [samples[0]] * 4


def test_another_list_is_another_tokenizer(settings: Settings, layout: Layout, tmp_path: Path) -> None:
    recipe = replace(settings.recipe, tokenizer={"vocab_size": 300, "lower_vocab_size": True})
    settings = replace(settings, recipe=recipe)

    def made(given: Settings) -> tuple[str, str]:
        encoder = tokenizer_phase.get_tokenizer(given, layout, list(SOURCES), Runs())
        return encoder.sha256, json.loads(Path(layout.marker("tokenizer")).read_text())["fingerprint"]

    plain = made(settings)
    without_a_book = made(excluding(settings, tmp_path, "books/2"))
    without_two = made(excluding(settings, tmp_path, "books/2", "books/3"))
    assert len({plain, without_a_book, without_two}) == 3
    assert made(excluding(settings, tmp_path, "books/2")) == without_a_book
    assert made(settings) == plain


def test_a_source_without_text_is_said(settings: Settings, layout: Layout) -> None:
    nothing = {"documents": {"in": 3, "kept": 0}, "bytes": {"kept": 0}, "stages": []}
    Path(layout.stats("c4")).write_text(json.dumps(nothing))
    with pytest.raises(ValueError, match="c4: all 3 documents were dropped"):
        drawn(settings, layout, 2_000)
    shared = replace(settings, recipe=replace(settings.recipe, missing="share"))
    sample, _ = drawn(shared, layout, 9_000)
    assert set(sample.source_bytes) == {"common_crawl", "books"}


def test_a_tokenizer_that_is_none_is_named(settings: Settings, layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "x.model").write_bytes(b"not a model")
    given = replace(settings, tokenizer=str(tmp_path / "x.model"))
    with pytest.raises(ValueError, match=r"--tokenizer .*x\.model: the tokenizer is not a SentencePiece model"):
        tokenizer_phase.get_tokenizer(given, layout, list(SOURCES), Runs())
