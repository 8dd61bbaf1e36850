"""Tests recipes: the included ones load, and a wrong one gets a message about its fault."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mixtures.recipe import load_recipe, recipe_of
from mixtures.recipe_values import HoldOut
from tokenizer.train.training import TrainSettings


def good() -> dict[str, Any]:
    return {"name": "t", "mixture": {"weights": {"a": 67.0, "b": 33.0}, "tokens": 1000}}


def test_llama_is_the_papers_table_1() -> None:
    recipe = load_recipe("llama")
    weights = {
        "common_crawl": "67.0",
        "c4": "15.0",
        "github": "4.5",
        "wikipedia": "4.5",
        "books": "4.5",
        "arxiv": "2.5",
    }
    assert recipe.weights == {s: Decimal(w) for s, w in {**weights, "stack_exchange": "2.0"}.items()}
    assert (recipe.max_epochs["wikipedia"], recipe.max_epochs["books"]) == (Decimal("2.45"), Decimal("2.23"))
    assert all(1 <= recipe.max_epochs[s] <= Decimal("1.1") for s in recipe.weights if s not in ("wikipedia", "books"))
    assert recipe.tokens == 1_400_000_000_000
    assert "2302.13971" in (recipe.paper.cite if recipe.paper else "")
    assert TrainSettings.of(recipe.tokenizer) == TrainSettings()


def test_the_sample_allows_four_epochs() -> None:
    recipe = load_recipe("sample")
    assert set(recipe.max_epochs.values()) == {Decimal(4)}
    assert recipe.weights == load_recipe("llama").weights
    assert TrainSettings.of(recipe.tokenizer).lower_vocab_size


def test_epochs_may_be_one_number_or_one_a_source() -> None:
    data = good()
    assert set(recipe_of(data).max_epochs.values()) == {Decimal(1)}
    data["mixture"]["max_epochs"] = 2.5
    assert set(recipe_of(data).max_epochs.values()) == {Decimal("2.5")}
    data["mixture"]["max_epochs"] = {"b": 3}
    assert recipe_of(data).max_epochs == {"a": Decimal(1), "b": Decimal(3)}


def test_validation_may_be_the_same_for_all_or_one_a_source() -> None:
    data = good()
    data["mixture"]["validation"] = {"share": 0.001}
    assert recipe_of(data).validation == dict.fromkeys("ab", HoldOut(share=Decimal("0.001")))
    data["mixture"]["validation"] = {"a": {"tokens": 5}}
    assert recipe_of(data).validation == {"a": HoldOut(tokens=5)}


def test_settings_of_sources_pass_through_untouched() -> None:
    data = good() | {"sources": {"a": {"gopher": {"max_share": 0.25, "words": ["x"]}}}}
    assert recipe_of(data).sources == {"a": {"gopher": {"max_share": 0.25, "words": ["x"]}}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weights": {"a": 67.0, "b": 32.9}}, "weights add up to 99.9, 0.1 too little: they must add up to 100"),
        ({"weights": {"a": 67.0, "b": 33.001}}, "weights add up to 100.001, 0.001 too much"),
        ({"weights": {"a": 100, "b": 0}}, "weight of b is 0"),
        ({"weights": {"a": "many", "b": 33}}, "weight of a is 'many', which is not a number"),
        ({"weights": {}}, "the recipe has no weights"),
        ({"weights": None}, "weights must be a mapping of names to values, and is missing"),
        ({"wieghts": {}}, "mixture holds wieghts, which is not among weights"),
        ({"max_epochs": {"c": 2}}, "max_epochs holds c, which is not among a, b"),
        ({"max_epochs": 256}, "max_epochs of a is 256: it must be above 0 and at most 255"),
        ({"max_epochs": True}, "max_epochs is True, which is not a number"),
        ({"tokens": None}, "tokens is missing"),
        ({"tokens": 1.5}, "tokens is 1.5, which is not a whole number"),
        ({"tokens": 0}, "tokens 0 is not a positive number"),
        ({"tokens": float("nan")}, "tokens is nan"),
        ({"missing": "ignore"}, "missing is 'ignore': it must be error or share"),
        ({"validation": {"share": 1}}, "validation share 1 is not between 0 and 1"),
        ({"validation": {"share": 0.1, "tokens": 5}}, "validation takes either share or tokens"),
        ({"validation": {"c": {"share": 0.1}}}, "validation holds c, which is not among a, b"),
        ({"weights": {f"s{i}": "0.78125" for i in range(128)}}, "128 sources: at most 127 fit"),
    ],
)
def test_what_cannot_be_meant_is_said(change: dict[str, Any], said: str) -> None:
    data = good()
    data["mixture"].update(change)
    with pytest.raises(ValueError, match="^" + said.replace("(", r"\(")):
        recipe_of(data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "not YAML"),
        ("- a\n- b\n", "the recipe must be a mapping"),
        ("", "the recipe must be a mapping of names to values, and is missing"),
        ("mixture: {weights: {a: 100}, tokens: 5}\n", "the recipe has no name"),
        ("nmae: x\n", "the recipe holds nmae"),
        ("name: x\nmixture: {weights: {a: 100}, tokens: 5}\nshards: {target_bytes: 5}\n", "below 1,024"),
    ],
)
def test_a_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"mine\.yaml(?:, line \d+)?: .*{said}"):
        load_recipe(path)
    with pytest.raises(ValueError, match="cannot read the recipe"):
        load_recipe(tmp_path / "absent.yaml")
