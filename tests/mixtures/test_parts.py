"""Tests weights for parts of a source: what a recipe may contain, the exact division of tokens, and which documents
belong to a part.
"""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtures.config import recipe_of_config
from mixtures.part_rows import check_column, part_numbers
from mixtures.parts import OTHER, PartRule, source_of
from mixtures.plan.__main__ import main
from mixtures.plan.by_part import by_part
from mixtures.plan.deal import deal, plan
from mixtures.plan.shares import PlanError, SourceTokens
from mixtures.recipe import Recipe, recipe_of

GITHUB = {"weight": 9, "by": "programming_language", "python": 2, "other": 1}


def recipe(**mixture: Any) -> Recipe:
    said = {"tokens": 10**6, "max_epochs": 4, **mixture}
    return recipe_of({"name": "t", "mixture": {key: value for key, value in said.items() if value is not None}})


def have(**tokens: int) -> dict[str, SourceTokens]:
    return {name.replace("__", ":"): SourceTokens(number, 10) for name, number in tokens.items()}


def tokens_of(made: Recipe, available: dict[str, SourceTokens], num_tokens: int | None = None) -> dict[str, int]:
    return {s.source: s.tokens for s in plan(made, available, num_tokens).sources}


def test_a_source_keeps_its_weight_and_is_divided_inside() -> None:
    available = have(web=10**6, github__python=10**5, github__other=10**5)
    found = tokens_of(recipe(weights={"web": 91, "github": GITHUB}), available, 90_000)
    assert found == {"web": 81_900, "github:python": 5_400, "github:other": 2_700}


@pytest.mark.parametrize(
    "mixture",
    [
        {"weights": {"web": 91, "github": GITHUB}},
        {"weights": {"relative": {"web": 182, "github": GITHUB | {"weight": 18}}}},
        {"weights": {"web": 91, "github": 9}, "parts": {"github": {k: v for k, v in GITHUB.items() if k != "weight"}}},
    ],
)
def test_all_ways_to_say_it_are_one(mixture: dict[str, Any]) -> None:
    made = by_part(recipe(**mixture))
    assert {s: f"{w:f}" for s, w in made.weights.items()} == {"web": "91", "github:python": "6", "github:other": "3"}
    assert sum(made.exact_weights().values()) == 100


def test_parts_may_be_laid_over_a_recipe_without_its_weights() -> None:
    config = {"recipe": "llama", "mixture": {"parts": {"github": {"by": "programming_language", "python": 1}}}}
    made = recipe_of_config(config, default="llama")
    assert made.weights["github"] == Decimal("4.5")
    assert by_part(made).exact_weights()["github:python"] == Fraction(9, 2)


def test_epochs_by_part_are_seen_as_often_as_said() -> None:
    made = recipe(epochs={"common_crawl": {"by": "bucket", "head": 4, "middle": 1}, "c4": 2}, max_epochs=None)
    available = have(common_crawl__head=1_000, common_crawl__middle=7_000, c4=500)
    assert tokens_of(made, available) == {"common_crawl:head": 4_000, "common_crawl:middle": 7_000, "c4": 1_000}


def test_epochs_inside_a_fixed_weight_share_it_by_epochs_and_size() -> None:
    curve = {"weight": 50, "by": "bucket", "epochs": {"head": 4, "middle": 1}}
    made = recipe(weights={"common_crawl": curve, "c4": 50})
    available = have(common_crawl__head=1_000, common_crawl__middle=6_000, c4=10_000)
    found = tokens_of(made, available, 10_000)
    assert found == {"common_crawl:head": 2_000, "common_crawl:middle": 3_000, "c4": 5_000}


def test_a_temperature_weighs_sources_by_all_their_parts() -> None:
    parts = {"github": {"by": "programming_language", "python": 3, "other": 1}}
    made = recipe(weights={"temperature": 0.5, "sources": ["web", "github"]}, parts=parts, max_epochs=200)
    available = have(web=900, github__python=60, github__other=40)
    assert tokens_of(made, available, 4_000) == {"web": 3_000, "github:python": 750, "github:other": 250}


def test_limits_by_part() -> None:
    made = by_part(recipe(weights={"web": 91, "github": GITHUB}, max_epochs={"web": 3, "github": {"python": 2}}))
    assert made.max_epochs == {"web": Decimal(3), "github:python": Decimal(2), "github:other": Decimal(1)}
    made = by_part(recipe(weights={"web": 91, "github": GITHUB}, max_epochs={"github": 5}))
    assert made.max_epochs == {"web": Decimal(1), "github:python": Decimal(5), "github:other": Decimal(5)}


def test_the_longest_stream_is_that_of_the_part_with_the_least_room() -> None:
    made = recipe(weights={"web": 91, "github": GITHUB}, max_epochs={"web": 3, "github": {"python": 2, "other": 1}})
    available = have(web=10**6, github__python=300, github__other=10**6)
    assert tokens_of(made, available)["github:python"] == 600


def test_a_part_without_tokens_leaves_its_share_to_its_source() -> None:
    available = have(web=10**6, github__python=10**5, github__other=0)
    with pytest.raises(PlanError, match="github:other has a weight but no tokens"):
        plan(recipe(weights={"web": 91, "github": GITHUB}), available, 1_000)
    made = plan(recipe(weights={"web": 91, "github": GITHUB}, missing="share"), available, 1_000)
    assert {s.source: s.tokens for s in made.sources} == {"web": 910, "github:python": 90}
    assert made.shared_out == ("github:other",)


@st.composite
def divided(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, SourceTokens], dict[str, Fraction]]:
    """Draws three dicts: relative weights of some sources and their parts, the available tokens of each part, and the
    exact share of each part in the stream.
    """
    weights: dict[str, Any] = {}
    available: dict[str, SourceTokens] = {}
    shares: dict[str, Fraction] = {}
    for number in range(draw(st.integers(1, 4))):
        source, weight = f"s{number}", draw(st.integers(1, 1_000))
        values = draw(st.lists(st.sampled_from(["a", "b", "C++", "über", OTHER]), unique=True, max_size=4))
        inside = {value: draw(st.integers(1, 99)) for value in values}
        weights[source] = {"weight": weight, "by": "x", **inside} if inside else weight
        for value, own in (inside or {"": 1}).items():
            name = f"{source}:{value}" if value else source
            shares[name] = Fraction(weight * own, sum(inside.values()) or 1)
            available[name] = SourceTokens(draw(st.integers(10**6, 10**9)), 1)
    total = sum(shares.values(), Fraction(0))
    return weights, available, {name: share / total for name, share in shares.items()}


@settings(max_examples=200)
@given(divided(), st.integers(10**6, 10**8))
def test_parts_are_exact_by_the_largest_remainder(
    drawn: tuple[dict[str, Any], dict[str, SourceTokens], dict[str, Fraction]], num_tokens: int
) -> None:
    weights, available, shares = drawn
    made = recipe(weights={"relative": weights}, max_epochs=255, tokens=10**9)
    found = tokens_of(made, available, num_tokens)
    assert found == deal(num_tokens, shares)
    assert sum(found.values()) == num_tokens
    for source in weights:
        quota = sum((share for name, share in shares.items() if source_of(name) == source), Fraction(0)) * num_tokens
        own = [n for name, n in found.items() if source_of(name) == source]
        assert abs(sum(own) - quota) < len(own)


@given(st.lists(st.sampled_from(["", "a", "b", "A", "a ", "other", "c"]), max_size=30), st.booleans())
def test_every_document_is_in_one_part_or_left_out(values: list[str], has_other: bool) -> None:
    named = {"b": Decimal(1), "a": Decimal(2)} | ({OTHER: Decimal(1)} if has_other else {})
    numbers = part_numbers(PartRule(by="x", weights=named), pa.array(values, pa.string())).tolist()
    assert numbers == [{"b": 0, "a": 1}.get(value, 2 if has_other else -1) for value in values]


@pytest.mark.parametrize(
    ("mixture", "said"),
    [
        ({"weights": {"a": {"by": "x", "v": 1}}}, "weights.a has no weight, the source's own"),
        ({"weights": {"a": {"weight": 100, "v": 1}}}, "weights.a.by must name the column"),
        ({"weights": {"a": {"weight": 100, "by": "x"}}}, "weights.a: no value of x is named"),
        ({"weights": {"a": {"weight": 100, "by": "x", "v": 0}}}, "weights.a: x v has 0: it must be above 0"),
        ({"weights": {"a": {"weight": 100, "by": "x", "v": "much"}}}, "weights.a.v is 'much', which is not a number"),
        ({"weights": {"a": {"weight": 100, "by": "x", True: 1}}}, "weights.a: YAML reads a value as True: put it in"),
        ({"weights": {"a": {"weight": 100, "by": "x", "v\n": 1}}}, r"weights.a: 'v\\n' cannot name a part"),
        ({"weights": {"a": {"weight": 90, "by": "x", "v": 1}, "b": 5}}, "weights add up to 95"),
        ({"weights": {"a": 100}, "parts": {"b": {"by": "x", "v": 1}}}, "parts holds b, which is not among a"),
        (
            {"weights": {"a": {"weight": 100, "by": "x", "v": 1}}, "parts": {"a": {"by": "x", "v": 1}}},
            "a is divided in",
        ),
        ({"weights": {"a": 100}, "max_epochs": {"a": {"v": 1}}}, "max_epochs.a has limits of parts, and a is not"),
        (
            {"weights": {"a": {"weight": 100, "by": "x", "v": 1}}, "max_epochs": {"a": {"w": 1}}},
            "max_epochs.a: max_epochs",
        ),
        (
            {"weights": {"a": {"weight": 100, "by": "x", "v": 1}}, "max_epochs": {"a": {"v": 256}}},
            "max_epochs.a: max_ep",
        ),
        (
            {"epochs": {"a": 1}, "parts": {"a": {"by": "x", "v": 1}}},
            "epochs.a is divided: give the epochs of each value",
        ),
        ({"epochs": {"a": {"weight": 1, "by": "x", "v": 1}}}, "epochs.a holds weight or epochs"),
        (
            {"weights": {"a": {"weight": 100, "by": "x", "epochs": {"v": 1}, "w": 2}}},
            "weights.a holds epochs and weights",
        ),
        (
            {"weights": {"a": {"weight": 100, "by": "x", **{f"v{n}": 1 for n in range(128)}}}},
            "128 sources and parts: at",
        ),
    ],
)
def test_what_cannot_be_meant_is_said(mixture: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        recipe(**mixture)


def test_an_unknown_column_is_one_line_that_names_those_there_are() -> None:
    schema = pa.schema({"id": pa.string(), "text": pa.string(), "bucket": pa.string(), "tags": pa.list_(pa.string())})
    with pytest.raises(
        ValueError, match=r"^parts of a: buckets is not a column of its clean documents; there are: bucket$"
    ):
        check_column("parts of a", "buckets", schema)
    with pytest.raises(ValueError, match=r"^parts of a: tags cannot be compared as text; there are: bucket$"):
        check_column("parts of a", "tags", schema)
    check_column("parts of a", "host", pa.schema({"url": pa.string()}))


def stats(folder: Path, source: str, tokens: int, parts: dict[str, Any] | None = None) -> None:
    folder.mkdir(exist_ok=True)
    text = {"tokens": tokens, "documents": {"kept": 10}, **({"parts": parts} if parts else {})}
    (folder / f"{source}.json").write_text(json.dumps(text))


def test_the_command_plans_parts_from_the_counts_of_a_run(tmp_path: Path, capsys: Any) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        "name: t\nmixture:\n  tokens: 1000\n  max_epochs: 4\n"
        "  weights: {web: 91, github: {weight: 9, by: lang, python: 2, other: 1}}\n"
    )
    stats(tmp_path / "stats", "web", 900)
    counted = {"python": {"documents": 4, "tokens": 60}, "go": {"documents": 1, "tokens": 5}}
    parts = {"by": "lang", "documents": 10, "values": counted, "left_out": {"documents": 5, "tokens": 35}}
    stats(tmp_path / "stats", "github", 100, parts)
    assert main(["--config", str(config), "--stats", str(tmp_path)]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert lines["github:python"][:4] == ["6", "60", "4", "60"]
    assert lines["github:other"][:4] == ["3", "40", "6", "30"]
    assert main(["--config", str(config)]) == 0
    assert "github:python         6           60    4.00" in capsys.readouterr().out
    config.write_text(config.read_text().replace("python", "rust"))
    assert main(["--config", str(config), "--stats", str(tmp_path)]) == 2
    assert "the tokens of lang rust are not counted; a run's mix phase" in capsys.readouterr().err
