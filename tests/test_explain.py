"""Tests that ``--explain`` prints the passes that a run makes. Every transform that it names is in the graph, in this
order.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.clean.segments import segments
from pipeline.explain import explain
from pipeline.run import main
from pipeline.sources import SOURCES
from pipeline.sources.dedup_steps import ExactDedup, LineDedup, NearDedup

GOLDEN = Path(__file__).parent / "golden" / "graph.txt"
_TRANSFORMS = re.compile(r"transforms?: ([\w, ]+)")


def transforms(text: str) -> list[str]:
    return [name for found in _TRANSFORMS.findall(text) for name in found.split(", ")]


@pytest.mark.parametrize("name", SOURCES)
def test_the_transforms_are_those_of_the_graph(name: str) -> None:
    clean = GOLDEN.read_text("utf-8").split("== tokenize", 1)[0]
    labels = set(re.findall(rf"^{name}/(\w+)$", clean, re.MULTILINE))
    if not labels:
        pytest.skip("the golden graph has the sources of the sample")
    not_explained = {label for label in labels if label.startswith("gather_")} | {"units", "spread"}
    named = transforms(explain(SOURCES[name]))
    assert len(named) == len(set(named))
    assert labels - not_explained == set(named)


@pytest.mark.parametrize("name", SOURCES)
def test_every_step_is_in_it_once_and_in_order(name: str) -> None:
    source, text = SOURCES[name], explain(SOURCES[name])
    run = re.findall(r"(?:runs|decides) (\w+)(?:, then (\w+))?", text)
    assert [step for steps in run for step in steps if step] == [step.NAME for step in source.steps]
    assert max(map(len, text.splitlines())) <= 120


def test_the_passes_are_those_of_the_segments() -> None:
    source = SOURCES["common_crawl"]
    text = explain(source)
    assert len(re.findall(r"^pass \d", text, re.MULTILINE)) == len(segments(source.steps)) == 3
    assert "sends to line_dedup, per line: a hash (8 bytes)" in text
    assert "spills nothing: the next pass opens the same documents again" in text
    assert "decides duplicate_id, then duplicate_digest, for all documents" in text
    assert "every dump is cleaned by itself" in text
    assert "every dump" not in explain(SOURCES["books"])


@pytest.mark.parametrize("step", [ExactDedup(NAME="a", reason="a", key="id"), LineDedup(), NearDedup()])
def test_every_kind_of_dedup_says_what_travels(step: ExactDedup | LineDedup | NearDedup) -> None:
    assert re.search(r"\d", step.travels)


def test_the_command_explains_a_source_with_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text("sources: {books: {near_dedup: off, duplicate_id: {key: url}}}\n")
    assert main(["--explain", "books", "--config", "run.yaml"]) == 0
    text = capsys.readouterr().out
    assert "near_dedup" not in text
    assert "2 passes over the text" in text
    assert "a hash of url" in text
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"], "nothing is written"


def test_a_source_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--explain", "bookz"]) == 2
    assert "did you mean books?" in capsys.readouterr().err
