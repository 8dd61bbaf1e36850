"""Tests that the recipe in a run's record is the one that the run used, and that ``mixtures.plan --stats`` uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small import CONFIG, Small

from mixtures.plan.__main__ import main as plan
from mixtures.recorded_recipe import recorded_recipe
from pipeline.progress.run_record import settings_said
from pipeline.settings.settings import parse

MIXTURES = [
    "weights: {c4: 60, books: 40}",
    "weights: {c4: 1, books: 3}",
    "weights: {c4: 33.3333, books: 66.6666}",
    "epochs: {c4: 1, books: 2}",
    "weights: {temperature: 0.7, sources: [c4, books]}",
    "weights: {c4: 60, books: {weight: 40, by: language, en: 3, other: 1}}",
    "length: exact\n  weights: {c4: 60, books: 40}",
]


@pytest.mark.parametrize("mixture", MIXTURES)
def test_what_is_recorded_is_what_was_asked(mixture: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(CONFIG.replace("weights: {c4: 60, books: 40}", mixture))
    settings = parse(["--config", f"{tmp_path}/run.yaml", "--input=c4=x", "--input=books=x"])
    record = tmp_path / "out" / ".work" / "run.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"settings": settings_said(settings)}, default=str))
    for folder in (tmp_path / "out", tmp_path / "out" / "stats"):
        found = recorded_recipe(folder)
        assert found is not None
        wanted = settings.recipe
        assert (found.name, found.tokens, found.length, found.missing) == (
            wanted.name, wanted.tokens, wanted.length, wanted.missing
        )  # fmt: skip
        assert found.max_epochs == wanted.max_epochs
        assert found.validation == wanted.validation
        assert found.rule == wanted.rule
        assert found.parts == wanted.parts
        assert found.is_length_inherited == wanted.is_length_inherited
        assert {s: round(w, 9) for s, w in found.weights.items()} == {s: round(w, 9) for s, w in wanted.weights.items()}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"settings": {"recipe": {"name": "x"}}}', '{"settings": []}'])
def test_a_record_of_something_else_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / ".work").mkdir()
    (tmp_path / ".work" / "run.json").write_text(text)
    assert recorded_recipe(tmp_path) is None
    assert recorded_recipe(tmp_path / "nowhere") is None


def test_the_plan_of_a_finished_run_is_that_of_its_recipe(small: Small, small_done: Path, capsys: Any) -> None:
    """The plan must not use the paper's recipe, because most of the paper's sources are missing in this output."""
    assert plan(["--stats", str(small_done)]) == 0
    own = capsys.readouterr().out
    assert own.endswith(f"recipe: small, of the run in {small_done}; --config FILE plans another one\n")
    assert plan(["--stats", str(small_done), "--config", str(small.config)]) == 0
    assert own.startswith(capsys.readouterr().out.rstrip("\n"))
    assert plan(["--stats", str(small_done), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "small"
