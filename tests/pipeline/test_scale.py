"""Tests the table of the costs of the paper's mixture. It adds up, it follows its inputs, and it names its largest
items.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mixtures.recipe import load_recipe
from pipeline.preflight.memory import BASE_BYTES
from pipeline.scale import costs as scale
from pipeline.scale.__main__ import main
from pipeline.scale.rates import RATES_FILE, clean_mb_per_s, mix_mb_per_s
from pipeline.scale.skew import skew

ROOT = Path(__file__).parents[2]


def test_every_source_of_the_paper_is_in_it() -> None:
    assert [s.name for s in scale.SOURCES] == list(load_recipe("llama").weights)
    stages = [stage for s in scale.SOURCES for stage in scale.stages_of(s)]
    assert all(s.cpu_hours > 0 and s.process_gb >= BASE_BYTES / 1e9 for s in stages)
    assert {s.source for s in stages if s.stage == "line dedup"} == {"common_crawl", "c4"}
    assert {s.source for s in stages if s.stage == "join of texts"} == {"github", "stack_exchange"}
    assert max(s.process_gb for s in stages) < 4, "a machine of 4 GB a core is enough"


def test_the_funnel_gives_the_papers_sizes() -> None:
    """For each source, the computed size of the kept text differs from the paper's Table 1 (GB on disk) by at most a
    tenth.
    """
    table = {
        "common_crawl": 3300,
        "c4": 783,
        "github": 328,
        "wikipedia": 83,
        "books": 85,
        "arxiv": 92,
        "stack_exchange": 78,
    }
    for s in scale.SOURCES:
        assert s.text_tb * s.kept * 1000 == pytest.approx(table[s.name], rel=0.1), s.name


def test_speeds_are_those_of_the_measured_file() -> None:
    """``benchmarks/whole_runs.py`` wrote the file of rates. The rates in it follow from its seconds and sizes."""
    measured = json.loads(RATES_FILE.read_text())
    assert list(measured["sources"]) == [s.name for s in scale.SOURCES]
    for s in scale.SOURCES:
        one = measured["sources"][s.name]
        seconds, text = one["seconds"], one["text_mb"]
        rate = (text[1] - text[0]) / (seconds[1] - seconds[0])
        assert clean_mb_per_s(s.name) == pytest.approx(rate, rel=0.05)
        clean = next(stage for stage in scale.stages_of(s) if stage.stage == "clean")
        assert clean.cpu_hours == pytest.approx(s.text_tb * 1e6 / one["text_mb_per_s"] / 3600)
        mixed = next(stage for stage in scale.stages_of(s) if stage.stage == "tokenize, mix")
        assert mixed.cpu_hours == pytest.approx(s.text_tb * s.kept * 1e6 / mix_mb_per_s() / 3600)
    mix = measured["mix"]
    assert mix_mb_per_s() == pytest.approx(
        (mix["text_mb"][1] - mix["text_mb"][0]) / (mix["seconds"][1] - mix["seconds"][0]), rel=0.05
    )


def test_the_documents_have_the_computed_hours() -> None:
    text = (ROOT / "docs" / "scale.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| CPU hours"))
    total = float(re.search(r"about ([\d,]+)", row)[1].replace(",", ""))  # type: ignore[index]
    stages = scale.all_stages(1.4e12)
    assert total == pytest.approx(sum(s.cpu_hours for s in stages), rel=0.01)
    crawl = float(re.search(r"([\d,]+) for cleaning CommonCrawl", row)[1].replace(",", ""))  # type: ignore[index]
    assert crawl == pytest.approx(stages[0].cpu_hours, rel=0.01)


def test_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--keys", "1e6", "--days", "2", "--price_cpu_hour", "1"]) == 0
    said = capsys.readouterr().out
    for word in (
        "line dedup",
        "tokenize, mix",
        "in 2 days",
        "ledger of what was dropped",
        "mixing: documents to shards",
    ):
        assert word in said


def test_skew_is_bounded_once_a_batch() -> None:
    many = {"num_keys": 10**6, "num_buckets": 64, "exponent": 1.0, "most": 1e5}
    free, bound = skew("free", cap=1e18, **many), skew("bound", cap=50.0, **many)
    assert free.ratio > 1.5 * bound.ratio
    assert bound.ratio < 1.2
    assert free.num_occurrences > bound.num_occurrences >= 10**6
