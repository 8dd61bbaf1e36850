"""The sample a tokenizer is trained on is the same whether the driver reads all text or workers pick out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import tokenizer_phase
from pipeline.engine import choose_engine
from pipeline.layout import Layout
from pipeline.options import Settings, parse
from pipeline.tokenizer_phase import draw_sample
from tokenizer.sample import Sample

SOURCES = {"common_crawl": (70, 900, 40), "books": (20, 9_000, 9), "c4": (10, 30, 300)}
"""weight, bytes of a document, documents"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A run with clean documents of three sources in several parts."""
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
            ids = [f"{source}/{i}" for i in range(part, num_docs, 3)]
            pq.write_table(pa.table({"id": ids, "text": texts[part::3]}), folder / f"part-{part:05d}-of-00003.parquet")
        stats = Path(layout.stats(source))
        stats.parent.mkdir(parents=True, exist_ok=True)
        stats.write_text(f'{{"bytes": {{"kept": {sum(len(t.encode()) for t in texts)}}}}}')
    paths = {s: [f"{layout.clean(s)}/part-{i:05d}-of-00003.parquet" for i in range(3)] for s in SOURCES}
    monkeypatch.setattr(tokenizer_phase, "clean_parts", lambda _, source: paths[source])
    return layout


class Runs:
    """Runs jobs as the whole run does, and counts them."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, build: Any) -> None:
        engine = choose_engine(["--direct_num_workers=1"])
        self.names.append(name)
        with beam.Pipeline(runner=engine.runner, options=engine.options) as p:
            build(p)


def drawn(settings: Settings, layout: Layout, max_bytes: int) -> tuple[Sample, list[str]]:
    runs = Runs()
    return draw_sample(settings, layout, list(SOURCES), max_bytes, runs), runs.names


@pytest.mark.parametrize("max_bytes", [2_000, 20_000, 60_000])
def test_workers_pick_the_drivers_sample(
    settings: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch, max_bytes: int
) -> None:
    monkeypatch.setattr(tokenizer_phase, "_READ_ALL_SHARE", 10**6)
    by_driver, names = drawn(settings, layout, max_bytes)
    assert names == []
    monkeypatch.setattr(tokenizer_phase, "_READ_ALL_SHARE", 0)
    by_workers, names = drawn(settings, layout, max_bytes)
    assert set(names) == {"sample"}
    assert by_workers == by_driver
    assert by_driver.text_bytes == pytest.approx(max_bytes, abs=9)
    assert by_driver.source_bytes["books"] == pytest.approx(max_bytes * 0.2, abs=4)
    assert not Path(layout.work, "sample").exists()


def test_too_few_are_picked_again(settings: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_phase, "_READ_ALL_SHARE", 10**6)
    by_driver, _ = drawn(settings, layout, 20_000)
    monkeypatch.setattr(tokenizer_phase, "_READ_ALL_SHARE", 0)
    monkeypatch.setattr(tokenizer_phase, "_MARGIN", tokenizer_phase._MIN_SHARE)
    by_workers, names = drawn(settings, layout, 20_000)
    assert len(names) > 2
    assert by_workers == by_driver


def test_a_source_without_text_is_said(settings: Settings, layout: Layout) -> None:
    Path(layout.stats("c4")).write_text('{"bytes": {"kept": 0}}')
    with pytest.raises(ValueError, match="c4 has a weight but no tokens"):
        drawn(settings, layout, 2_000)
    shared = replace(settings, recipe=replace(settings.recipe, missing="share"))
    sample, _ = drawn(shared, layout, 9_000)
    assert set(sample.source_bytes) == {"common_crawl", "books"}


def test_a_tokenizer_that_is_none_is_named(settings: Settings, layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "x.model").write_bytes(b"not a model")
    given = replace(settings, tokenizer=str(tmp_path / "x.model"))
    with pytest.raises(ValueError, match=r"--tokenizer .*x\.model: the tokenizer is not a SentencePiece model"):
        tokenizer_phase.get_tokenizer(given, layout, list(SOURCES), Runs())
