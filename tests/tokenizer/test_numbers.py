"""Tests that a number as people write it means the same in every flag and every file."""

from __future__ import annotations

import argparse
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtures.plan.__main__ import main as plan_command
from mixtures.recipe import load_recipe
from pipeline.scale.__main__ import main as scale_command
from pipeline.settings.settings import parse
from tokenizer.numbers import number_of, tokens_flag, whole_number
from tokenizer.train.training import TrainSettings

HUNDRED_MILLION = ("100000000", "100_000_000", "100M", "100m", "0.1B", "100e6", "1e8", "1E8", "100000K", "1.0e+8")


@pytest.mark.parametrize("text", HUNDRED_MILLION)
def test_every_way_to_write_a_hundred_million(text: str, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"name: r\nmixture: {{weights: {{c4: 100}}, tokens: {text}, validation: {{tokens: {text}}}}}\n")
    read = load_recipe(recipe)
    assert (read.tokens, read.validation["c4"].tokens) == (10**8, 10**8)
    assert parse(["--tokens", text]).num_tokens == 10**8
    assert parse(["--config", str(recipe)]).recipe.tokens == 10**8
    assert TrainSettings.of({"max_sample_bytes": text}).max_sample_bytes == 10**8


def test_the_commands_read_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for text in ("1.4T", "1.4e12", "1_400_000_000_000"):
        assert plan_command(["--tokens", text]) == 0
        assert scale_command(["--tokens", text]) in (0, None)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]
    assert "1,400.0B" in said[0]


@given(st.integers(1, 10**15), st.sampled_from(["", "K", "M", "B", "T"]))
def test_a_suffix_is_a_power_of_a_thousand(number: int, suffix: str) -> None:
    factor = 1000 ** "KMBT".find(suffix) * 1000 if suffix else 1
    assert whole_number(f"{number:_}{suffix}") == number * factor
    assert number_of(f"{number}{suffix}") == Decimal(number) * factor


@pytest.mark.parametrize("text", ["", "M", "x", "1.5", "0", "-1M", "nan", "inf", "1e999", "100 MB", "0.0001K", "1e31"])
def test_what_is_no_number_of_tokens(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number of tokens, such as 1000000, 100M"):
        tokens_flag(text)
