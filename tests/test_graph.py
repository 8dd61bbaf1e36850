"""Compares the outline of the graph with the golden file, so that every change of the graph is noticed."""

from __future__ import annotations

import difflib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """Returns the module ``tests/make_graph.py``, which is a command."""
    spec = importlib.util.spec_from_file_location("make_graph", Path(__file__).with_name("make_graph.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def outline(maker: ModuleType) -> str:
    text: str = maker.outline()
    return text


def test_the_graph_is_the_golden_one(maker: ModuleType, outline: str) -> None:
    golden = maker.GOLDEN.read_text("utf-8")
    changed = "\n".join(
        difflib.unified_diff(golden.splitlines(), outline.splitlines(), "golden", "now", lineterm="", n=1)
    )
    assert not changed, f"the graph changed; if that is meant, run `make golden` and look at its diff:\n{changed}"


def test_batches_of_documents_are_never_elements(outline: str) -> None:
    """Texts are spilled to files. Stages send each other only references, keys and counts, as bytes and numbers."""
    grouped = [line for line in outline.splitlines() if line.startswith("    ") and "IterableCoder" in line]
    assert len(grouped) > 20
    assert "RecordBatchCoder" not in outline
    assert "Pickle" not in outline
    assert "Dill" not in outline


def test_every_source_and_every_dedup_is_in_it(outline: str) -> None:
    from mixtures.recipe import load_recipe
    from pipeline.clean.segments import is_local
    from pipeline.sources import SOURCES

    names = load_recipe("sample").weights
    assert len(names) >= 7
    for name in names:
        assert f"\n{name}/finish\n" in outline
        for step in SOURCES[name].steps:
            if not is_local(step):
                assert f"\n{name}/dedup_{step.NAME}" in outline or f"_{step.NAME}" in outline, (name, step.NAME)
