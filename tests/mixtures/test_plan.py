"""Tests the plan of a mixture. It is exact to the token, obeys the limit of epochs, and is as long as possible. If
there is no plan, the message says why.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtures.config import recipe_of_config
from mixtures.plan.__main__ import main
from mixtures.plan.deal import deal, format_table, plan, unique_tokens
from mixtures.plan.shares import PlanError, SourceTokens
from mixtures.recipe import Recipe, load_recipe
from mixtures.recipe_values import HoldOut


def recipe(weights: dict[str, str], epochs: str = "2", tokens: int = 10**9, missing: str = "error") -> Recipe:
    return Recipe(
        name="test",
        weights={s: Decimal(w) for s, w in weights.items()},
        max_epochs=dict.fromkeys(weights, Decimal(epochs)),
        tokens=tokens,
        missing=missing,  # type: ignore[arg-type]
    )


@st.composite
def weight_maps(draw: st.DrawFn) -> dict[str, str]:
    """Draws weights with up to two decimals that add up to 100."""
    cuts = sorted({*draw(st.sets(st.integers(1, 9_999), max_size=6)), 10_000})
    parts = [b - a for a, b in zip([0, *cuts], cuts, strict=False)]
    return {f"s{i}": f"{part / 100:.2f}" for i, part in enumerate(parts)}


@given(weight_maps(), st.integers(0, 10**13))
def test_the_deal_is_exact_and_within_one_of_the_quota(weights: dict[str, str], num_tokens: int) -> None:
    dealt = deal(num_tokens, {s: Decimal(w) for s, w in weights.items()})
    assert sum(dealt.values()) == num_tokens
    assert all(abs(dealt[s] - Fraction(w) / 100 * num_tokens) < 1 for s, w in weights.items())


def test_equal_remainders_go_by_weight_then_by_name() -> None:
    assert deal(1, {"b": Decimal(25), "a": Decimal(25), "c": Decimal(50)}) == {"b": 0, "a": 0, "c": 1}
    assert deal(1, {"b": Decimal(50), "a": Decimal(50)}) == {"b": 0, "a": 1}


def fits(made: Recipe, have: dict[str, SourceTokens], num_tokens: int) -> bool:
    dealt = deal(num_tokens, made.weights)
    return all(dealt[s] <= Fraction(made.max_epochs[s]) * have[s].tokens for s in dealt)


@settings(max_examples=30, deadline=None)
@given(weight_maps(), st.data())
def test_without_a_number_it_is_the_longest_that_fits(weights: dict[str, str], data: st.DataObject) -> None:
    made = recipe(weights, epochs=data.draw(st.sampled_from(["1", "1.1", "2.45"])))
    have = {s: SourceTokens(data.draw(st.integers(1, 400)), 1) for s in weights}
    longest = max((n for n in range(3_000) if fits(made, have, n)), default=0)
    try:
        planned = plan(made, have)
    except PlanError as error:
        assert "none falls to" in str(error)  # noqa: PT017
        assert 0 in deal(longest, made.weights).values()
        return
    assert planned.tokens == longest
    for source in planned.sources:
        assert source.whole_epochs * source.available_tokens + source.remainder_tokens == source.tokens
        assert source.epochs <= Fraction(made.max_epochs[source.source])
        assert source.num_epochs <= 255


def test_no_longer_than_the_recipe_says() -> None:
    planned = plan(
        recipe({"a": "60", "b": "40"}, tokens=50), {"a": SourceTokens(10**6, 9), "b": SourceTokens(10**6, 9)}
    )
    assert [s.tokens for s in planned.sources] == [30, 20]


def test_what_is_too_small_is_said_with_what_fits() -> None:
    have = {"a": SourceTokens(600, 3), "b": SourceTokens(100, 2)}
    made = recipe({"a": "60", "b": "40"})
    with pytest.raises(PlanError) as caught:
        plan(made, have, 1_000)
    message = str(caught.value)
    assert "b has 100 tokens, 400 are wanted of it, and it may be seen at most 2 times" in message
    assert "at most 501 tokens fit (--tokens 501)" in message
    assert message.splitlines()[0].startswith("source")
    assert plan(made, have, 501).tokens == 501
    with pytest.raises(PlanError, match="at most 501 tokens fit"):
        plan(made, have, 502)


@pytest.mark.parametrize(
    ("have", "said"),
    [
        ({"a": SourceTokens(9, 1)}, "no tokens: give input for it, take it out of the recipe, or set"),
        (
            {"a": SourceTokens(9, 1), "b": SourceTokens(0, 0)},
            r"no tokens \(of b there is input, but nothing of it was kept: .*\): give other input for it",
        ),
    ],
)
def test_a_source_without_tokens_is_an_error_or_is_shared_out(have: dict[str, SourceTokens], said: str) -> None:
    with pytest.raises(PlanError, match=f"b has a weight but {said}") as caught:
        plan(recipe({"a": "60", "b": "40"}), have)
    assert str(caught.value).splitlines()[1].split()[:3] == ["a", "60", "9"]
    planned = plan(recipe({"a": "60", "b": "40"}, missing="share"), have)
    assert [(s.source, s.tokens) for s in planned.sources] == [("a", 18)]
    assert planned.shared_out == ("b",)
    with pytest.raises(PlanError):
        plan(recipe({"a": "60", "b": "40"}, missing="share"), {})


def test_what_a_small_source_lacks_is_shared_out_by_weight() -> None:
    made = recipe({"a": "60", "b": "20", "c": "20"}, missing="share")
    have = {"a": SourceTokens(9_000, 9), "b": SourceTokens(50, 9), "c": SourceTokens(9_000, 9)}
    planned = plan(made, have, 1_000)
    assert {s.source: s.tokens for s in planned.sources} == {"a": 675, "b": 100, "c": 225}
    assert planned.shared_out == ("b",)
    assert "shared out among the others: b" in format_table(made, planned)
    with pytest.raises(PlanError, match="tokens fit"):
        plan(made, have, 40_000)


def test_every_source_with_a_weight_has_tokens() -> None:
    have = dict.fromkeys("ab", SourceTokens(1_000, 9))
    with pytest.raises(PlanError, match="none falls to b, which has a weight: a stream of 50 or more"):
        plan(recipe({"a": "98", "b": "2"}), have, 10)
    assert plan(recipe({"a": "98", "b": "2"}), have, 50).sources[1].tokens == 1


@pytest.mark.parametrize("num_tokens", [0, -5])
def test_a_stream_has_tokens(num_tokens: int) -> None:
    with pytest.raises(PlanError, match="ask for a positive number"):
        plan(recipe({"a": "100"}), {"a": SourceTokens(5, 1)}, num_tokens)


def test_what_the_recipe_does_not_know_is_named() -> None:
    with pytest.raises(PlanError, match="no weight for z"):
        plan(recipe({"a": "100"}), {"a": SourceTokens(5, 1), "z": SourceTokens(5, 1)})


def test_the_papers_numbers() -> None:
    """Compares the unique tokens, in billions, that the paper's Table 1 implies for a training on 1.4T tokens."""
    unique = unique_tokens(load_recipe("llama"), 1_400_000_000_000)
    assert {s: f"{float(n) / 1e9:.1f}" for s, n in unique.items()} == {
        "common_crawl": "852.7",
        "c4": "198.1",
        "github": "98.4",
        "wikipedia": "25.7",
        "books": "28.3",
        "arxiv": "33.0",
        "stack_exchange": "27.2",
    }


@pytest.fixture
def stats(tmp_path: Path) -> Path:
    folder = tmp_path / "out/stats"
    folder.mkdir(parents=True)
    for source, tokens in unique_tokens(load_recipe("llama"), 1_400_000_000_000).items():
        text = json.dumps(
            {"source": source, "documents": {"in": 9, "kept": 7, "dropped": 2}, "tokens": int(tokens) + 1}
        )
        (folder / f"{source}.json").write_text(text)
    return tmp_path / "out"


def test_the_command_prints_both_directions(stats: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "llama"]) == 0
    assert "common_crawl        67.0       938.0B    1.10                852.7B     3300" in capsys.readouterr().out
    assert main(["--config", "llama", "--stats", str(stats)]) == 0
    table = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert table["common_crawl"][4:7] == ["938,000,000,000", "67.000", "1.100"]
    assert table["wikipedia"][6] == "2.450"
    assert table["total"][4] == "1,400,000,000,000"
    assert (
        main(["--config", "llama", "--stats", str(stats / "stats"), "--epochs", "wikipedia=2.45", "github=0.64"]) == 0
    )
    table = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert table["github"][2:4] == ["0.64", "63,000,000,000"]
    weights = [float(row[4]) for source, row in table.items() if source not in ("source", "total")]
    assert len(weights) == 7
    assert sum(weights) == pytest.approx(100, abs=7 * 0.00005)  # four decimals are printed


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--stats", "{out}", "--tokens", "2e12"], "tokens fit"),
        (["--stats", "{out}", "--tokens", "few"], "--tokens: 'few' is not a whole number of tokens"),
        (["--stats", "{out}", "--tokens", "-1"], "-1' is not a whole number of tokens"),
        (["--stats", "{out}", "--epochs", "moon=2"], "moon is not among"),
        (["--stats", "{out}", "--epochs", "c4"], "write c4=2"),
        (["--stats", "{out}/.."], "holds no SOURCE.json"),
        (["--stats", "{out}/shards"], "shards: there is no such folder"),
        (["--epochs", "c4=2"], "--epochs needs --stats"),
        (["--continue-from", "{out}"], "--continue-from needs --stats"),
        (["--stats", "{out}", "--continue-from", "{out}"], "is not there: this is no output of a finished run"),
        (["--config", "{out}/absent"], "cannot read the recipe"),
    ],
)
def test_a_wrong_request_is_said(stats: Path, capsys: pytest.CaptureFixture[str], args: list[str], said: str) -> None:
    assert main([arg.replace("{out}", str(stats)) for arg in args]) == 2
    assert said in capsys.readouterr().err


def test_weights_that_do_not_add_up_and_a_source_without_tokens(
    stats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path(str(files("mixtures.recipes") / "llama.yaml")).read_text().replace("    c4: 15.0", "    c4: 14.9")
    (stats / "odd.yaml").write_text(text)
    assert main(["--config", str(stats / "odd.yaml"), "--stats", str(stats)]) == 2
    assert "weights add up to 99.9, 0.1 too little: they must add up to 100" in capsys.readouterr().err
    (stats / "stats/books.json").write_text('{"tokens": 0, "documents": {"kept": 0}}')
    assert main(["--stats", str(stats)]) == 2
    assert "of books there is input, but nothing of it was kept" in capsys.readouterr().err
    (stats / "stats/books.json").unlink()
    assert main(["--stats", str(stats)]) == 2
    assert "books has a weight but no tokens: give input for it" in capsys.readouterr().err


def test_a_stream_that_is_too_short_names_the_source_that_limits_it() -> None:
    have = {"web": SourceTokens(1_000, 10), "books": SourceTokens(30, 3)}
    wished = recipe({"web": "90", "books": "10"}, tokens=100_000)
    made = plan(wished, have)
    assert (made.tokens, made.asked_tokens, made.limited_by) == (605, 100_000, "books")
    said = format_table(wished, made).splitlines()[-1]
    assert said.startswith("the stream has 605 of the 100,000 tokens that mixture.tokens asks for, because books")
    assert "it has 30 tokens, may be seen at most 2 times, and is 10 % of the stream" in said
    held = replace(wished, validation={"books": HoldOut(share=Decimal("0.1"))})
    assert "it has 30 tokens (without those held out for validation), may" in format_table(held, made).splitlines()[-1]
    enough = plan(recipe({"web": "90", "books": "10"}, tokens=600), have)
    assert (enough.tokens, enough.limited_by) == (600, "")
    assert "limits it" not in format_table(wished, enough)


def test_a_length_that_nobody_asked_for_is_not_named() -> None:
    wished = replace(recipe({"web": "90", "books": "10"}, tokens=100_000), is_length_inherited=True)
    have = {"web": SourceTokens(1_000, 10), "books": SourceTokens(30, 3)}
    made = plan(wished, have)
    assert (made.tokens, made.asked_tokens, made.limited_by) == (605, 0, "books")
    assert format_table(wished, made).splitlines()[-1].startswith("the stream has 605 tokens, because books limits it")
    even = {"web": SourceTokens(901, 10), "books": SourceTokens(100, 3)}
    assert "limits it" not in format_table(wished, plan(wished, even)), "both are used as often as they may be"
    asked = plan(replace(wished, length="at_most"), have, 50_000)
    assert "605 of the 50,000 tokens that were asked for" in format_table(wished, asked)
    with pytest.raises(PlanError) as caught:
        plan(wished, {"web": have["web"]})
    assert "90,000" not in str(caught.value)


LENGTHS = [
    ("corpora: {mine: {files: x.jsonl}}", ["mine"], True),
    ("mixture: {weights: {books: 100}}", ["books"], True),
    ("mixture: {epochs: {books: 1}}", ["books"], True),
    ("mixture: {weights: {books: 100}, tokens: 1B}", ["books"], False),
    ("mixture: {weights: {books: 100}, length: exact}", ["books"], False),
    ("recipe: llama\nmixture: {weights: {books: 100}}", ["books"], True),
    ("recipe: llama\nmixture: {weights: {books: 100}, tokens: 1B}", ["books"], False),
    ("recipe: llama\nmixture: {missing: share}", ["books"], False),
    ("mixture: {missing: share}", ["books"], False),
    ("corpora: {mine: {files: x.jsonl}}\nmixture: {tokens: 1B}", ["mine"], False),
]


@pytest.mark.parametrize(("text", "inputs", "is_inherited"), LENGTHS)
def test_a_length_is_asked_for_if_a_file_names_it_or_takes_a_whole_recipe(
    text: str, inputs: list[str], is_inherited: bool
) -> None:
    found = recipe_of_config(yaml.safe_load(f"name: test\n{text}"), default="llama", inputs=inputs)
    assert found.is_length_inherited is is_inherited


def test_a_configuration_without_a_length_is_planned_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stats").mkdir()
    (tmp_path / "stats" / "books.json").write_text('{"tokens": 100, "documents": {"kept": 2}}')
    (tmp_path / "run.yaml").write_text("name: mine\nmixture: {weights: {books: 100}, max_epochs: 1}\n")
    assert main(["--config", str(tmp_path / "run.yaml"), "--stats", str(tmp_path)]) == 0
    assert "limits it" not in capsys.readouterr().out


@pytest.mark.parametrize("num_tokens", [100, 599, 605, 606, 5_000])
def test_a_length_is_exact_or_at_most_whoever_gives_it(num_tokens: int) -> None:
    """The number of tokens can come from the recipe or from the command. The plan, or the error, is the same for
    both.
    """
    have = {"web": SourceTokens(1_000, 10), "books": SourceTokens(30, 3)}
    for length in ("exact", "at_most"):
        of_recipe = replace(recipe({"web": "90", "books": "10"}, tokens=num_tokens), length=length)
        of_flag = replace(recipe({"web": "90", "books": "10"}, tokens=7), length=length)
        if length == "exact" and num_tokens > 605:
            for one, flag in ((of_recipe, None), (of_flag, num_tokens)):
                with pytest.raises(PlanError, match="at most 605 tokens fit"):
                    plan(one, have, flag)
            continue
        made = plan(of_recipe, have)
        assert made == plan(of_flag, have, num_tokens)
        assert made.tokens == min(num_tokens, 605)


def test_the_flag_is_exact_and_the_recipe_at_most_unless_the_recipe_says() -> None:
    have = {"web": SourceTokens(1_000, 10), "books": SourceTokens(30, 3)}
    wished = recipe({"web": "90", "books": "10"}, tokens=100_000)
    assert plan(wished, have).tokens == 605
    with pytest.raises(PlanError, match="at most 605 tokens fit"):
        plan(wished, have, 100_000)


def test_statistics_that_cannot_be_read_are_named(stats: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stats / "stats/c4.json").write_text('{"tokens": null, "documents": {"kept": 5}}')
    assert main(["--stats", str(stats)]) == 2
    assert "c4.json: its tokens are not counted yet" in capsys.readouterr().err
    (stats / "stats/c4.json").write_text("{}")
    assert main(["--stats", str(stats)]) == 2
    assert "c4.json is not the statistics of a source" in capsys.readouterr().err


def test_of_a_runs_configuration_file_the_recipe_is_read(stats: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stats / "run.yaml"
    path.write_text(
        "models: m\noutput: o\nrun: {sample_docs: 3}\nmixture: {weights: {c4: 75, books: 25}, tokens: 1000}\n"
    )
    assert main(["--config", str(path)]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in table if row and row[0] in ("c4", "books", "arxiv")] == [["c4", "75"], ["books", "25"]]
    path.write_text("models: m\nmixtures: {}\n")
    assert main(["--config", str(path)]) == 2
    assert "mixtures is not known; did you mean mixture?" in capsys.readouterr().err


def test_a_continued_mixture_has_less_left(stats: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tokens that earlier stages used count as used, even if their documents have been removed since then."""
    recipe = tmp_path / "two.yaml"
    recipe.write_text("name: two\nmixture: {weights: {c4: 50, books: 50}, tokens: 1_000_000_000_000, max_epochs: 1}\n")
    command = ["--config", str(recipe), "--stats", str(stats)]
    assert main(command) == 0
    before = _totals(capsys.readouterr().out)
    of_stage = {"weight": 50, "share": 50, "documents": 1, "available_tokens": 1, "available_documents": 1, "epochs": 1}
    manifest = {
        "format": 1, "recipe": "r", "seed": 0, "tokens": 1, "documents": 1, "validation": {}, "shards": [],
        "tokenizer": {"sha256": "0", "vocab_size": 9, "bos_id": 1, "eos_id": 2},
        "sources": {"books": {**of_stage, "tokens": 600}},
        "stages": [{"sources": {"books": {"tokens": 300}}}],
        "forgotten": [{"tokens": {"books": 100}}],
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert main([*command, "--continue-from", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert before - _totals(said) == 2 * 1_000
    assert "is not counted, so a run may find a few tokens less" in said


def _totals(table: str) -> int:
    """Returns the number of tokens of the whole stream from the printed table."""
    (line,) = (line.split() for line in table.splitlines() if line.startswith("total"))
    return int(line[4].replace(",", ""))
