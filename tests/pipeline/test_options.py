"""Tests the flags of the command, and the line that a wrong request gets. Nothing runs here."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.runner import choose_engine
from pipeline.run import main
from pipeline.settings.settings import RunLimits, Settings, parse
from pipeline.sources import SOURCES

GIVEN = ["--input=books=b/*.txt"]


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return str(path)


def with_config(tmp_path: Path, text: str, *flags: str) -> Settings:
    return parse(["--config", config(tmp_path, text), *flags])


def test_nothing_asked_for_is_the_sample_into_out() -> None:
    settings = parse([])
    assert settings.is_sample
    assert (settings.output, settings.phase, settings.seed, settings.fraction) == ("out", "all", 0, 1.0)
    assert settings.recipe.name == "sample"
    assert tuple(settings.sources) == tuple(settings.recipe.weights)
    assert settings.limits == RunLimits()
    assert settings.num_tokens is None
    assert not settings.overwrite
    assert not settings.estimate


def test_the_paper_s_recipe_is_the_default_when_inputs_are_given() -> None:
    settings = parse(GIVEN)
    assert settings.recipe.name == "llama"
    assert tuple(settings.sources) == ("books",)
    assert parse(["--phase=mix"]).recipe.name == "llama"


def test_every_flag_arrives() -> None:
    flags = [
        "--input=books=a/*.txt", "--input=books=b", "--input=c4=s3://bucket/c4/*", "--sources", "books, c4",
        "--models=m", "--tokens=1.5e3", "--output=some/where/", "--phase=clean", "--seed=7", "--fraction=0.25",
        "--overwrite", "--estimate", "--direct_num_workers=2",
    ]  # fmt: skip
    settings = parse(flags)
    assert settings.inputs == {"books": ("a/*.txt", "b"), "c4": ("s3://bucket/c4/*",)}
    assert tuple(settings.sources) == ("c4", "books")
    assert (settings.models, settings.output, settings.phase, settings.seed) == ("m", "some/where", "clean", 7)
    assert (settings.num_tokens, settings.fraction, settings.overwrite, settings.estimate) == (1500, 0.25, True, True)
    assert settings.beam_args == ("--direct_num_workers=2",)


@pytest.mark.parametrize(
    ("given", "number"),
    [("1", 1), ("1_000", 1000), ("1.4e12", 1_400_000_000_000), ("1.4T", 1_400_000_000_000), ("3e0", 3)],
)
def test_numbers_of_tokens(given: str, number: int) -> None:
    assert parse(["--tokens", given]).num_tokens == number


def test_beam_s_options_pass_with_an_equals_sign_and_without() -> None:
    assert parse(["--direct_num_workers", "2"]).beam_args == ("--direct_num_workers", "2")
    assert choose_engine(parse(["--direct_num_workers", "2"]).beam_args).num_workers == 2


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    text = "{seed: 3, output: from_file, models: file_models, inputs: {books: f.txt, c4: [g, h]}}"
    from_file = with_config(tmp_path, text)
    assert (from_file.seed, from_file.output, from_file.models) == (3, "from_file", "file_models")
    assert from_file.inputs == {"books": ("f.txt",), "c4": ("g", "h")}
    won = with_config(tmp_path, text, "--seed=4", "--output=o", "--models=m", "--input=books=x")
    assert (won.seed, won.output, won.models) == (4, "o", "m")
    assert won.inputs == {"books": ("x",), "c4": ("g", "h")}


def test_the_file_lies_over_the_recipe_it_names(tmp_path: Path) -> None:
    text = """
recipe: llama
mixture: {tokens: 5000, missing: share}
tokenizer: {vocab_size: 8000}
sources: {books: {near_dedup: {max_overlap: 0.8}}}
run: {sample_docs: 0, max_bad_share: 1}
"""
    settings = with_config(tmp_path, text, *GIVEN)
    recipe = settings.recipe
    assert (recipe.tokens, recipe.missing) == (5000, "share")
    assert recipe.weights == parse(GIVEN).recipe.weights
    assert recipe.tokenizer["vocab_size"] == 8000
    assert "character_coverage" in recipe.tokenizer, "what the file does not name stays the recipe's"
    (step,) = [s for s in settings.sources["books"].steps if s.NAME == "near_dedup"]
    assert step.max_overlap == 0.8  # type: ignore[union-attr]
    assert (settings.limits.sample_docs, settings.limits.max_bad_share) == (0, 1)


def test_weights_of_the_file_are_meant_as_a_whole(tmp_path: Path) -> None:
    """The paper's epochs stay only for the sources that the file gives a weight."""
    text = "{recipe: llama, mixture: {weights: {books: 60, wikipedia: 40}}}"
    recipe = with_config(tmp_path, text).recipe
    assert recipe.weights == {"books": Decimal(60), "wikipedia": Decimal(40)}
    assert recipe.max_epochs == {"books": Decimal("2.23"), "wikipedia": Decimal("2.45")}


def test_validation_of_the_file_is_meant_as_a_whole(tmp_path: Path) -> None:
    recipe = with_config(tmp_path, "{recipe: sample, mixture: {validation: {books: {tokens: 10}}}}").recipe
    assert set(recipe.validation) == {"books"}


def test_a_tokenizer_is_a_path_or_the_settings_of_one(tmp_path: Path) -> None:
    (tmp_path / "t.model").write_bytes(b"")
    assert with_config(tmp_path, f"tokenizer: {tmp_path}/t.model").tokenizer == f"{tmp_path}/t.model"
    assert with_config(tmp_path, "tokenizer: {vocab_size: 300}").tokenizer is None


WRONG_FLAGS: list[tuple[list[str], str]] = [
    (["--nope"], "--nope is not a flag"),
    (["--outptu=x"], "did you mean --output?"),
    (["--direct_num_worker=2"], "did you mean --direct_num_workers?"),
    (["-x"], "-x is not a flag"),
    (["stray"], "'stray' belongs to no flag; put values that hold spaces or globs in quotes"),
    (["mix.yaml"], "'mix.yaml' belongs to no flag; did you mean --config mix.yaml?"),
    (["--sources", "books,", "c4"], "'c4' belongs to no flag"),
    (["--direct_num_workers=many"], "--direct_num_workers: invalid int value"),
    (["--input", "books"], "write SOURCE=GLOB"),
    (["--input=books="], "write SOURCE=GLOB"),
    (["--input=book=x"], "'book' is not a source; did you mean books?"),
    (["--input=zzz=x"], "'zzz' is not a source (there are: common_crawl, c4,"),
    (["--sources=bok"], "did you mean books?"),
    (["--sources=,"], "names no source"),
    (["--sources=books,c4", *GIVEN], "c4 has no input; add --input c4=GLOB"),
    (["--seed=x"], "--seed: 'x' is not a whole number"),
    (["--seed=-1"], "--seed: '-1' is not a whole number"),
    (["--seed=9223372036854775808"], "below 2**63"),
    (["--tokens=x"], "--tokens: 'x' is not a whole number of tokens"),
    (["--tokens=0"], "--tokens: '0'"),
    (["--tokens=1.5"], "--tokens: '1.5'"),
    (["--tokens=inf"], "--tokens: 'inf'"),
    (["--tokens=nan"], "--tokens: 'nan'"),
    (["--tokens"], "--tokens: expected one argument"),
    (["--fraction=0"], "--fraction: '0' is not a number above 0 and at most 1"),
    (["--fraction=1.01"], "--fraction: '1.01'"),
    (["--fraction=nan"], "--fraction: 'nan'"),
    (["--fraction=half"], "--fraction: 'half'"),
    (["--phase=cleaning"], "--phase: invalid choice"),
    (["--output="], "--output: the name of a folder is wanted"),
    (["--config=there/is/none.yaml"], "--config: there is no file there/is/none.yaml"),
    (["--config=nosuchrecipe"], "nosuchrecipe"),
    (["--tokenizer=none.model"], "--tokenizer: there is no file none.model"),
    (["--exclude=none.txt"], "--exclude: there is no file none.txt"),
    (["--runner=PrismRunner"], "--runner=PrismRunner is refused"),
    (["--runner=NoSuchRunner"], "--runner=NoSuchRunner"),
    (["--direct_num_workers=-2"], "must be 1 or more"),
    (["--estimate", "--phase=mix"], "--phase=mix has none"),
]

WRONG_FILES: list[tuple[str, str]] = [
    ("", "must be a mapping"),
    ("- books", "must be a mapping"),
    ("a: [1,", "not YAML"),
    ("inptus: {books: x}", "inptus is not known; did you mean inputs?"),
    ("zzz: 1", "zzz is not known (there are: recipe, inputs,"),
    ("seed: many", "seed in the config file: 'many'"),
    ("seed: 1.5", "seed in the config file: 1.5"),
    ("output: 3", "output in the config file must be a path, not 3"),
    ("models: [a]", "models in the config file must be a path"),
    ("exclude: 3", "exclude in the config file must be a path"),
    ("recipe: 3", "recipe in the config file must be a path"),
    ("recipe: nosuchrecipe", "nosuchrecipe"),
    ("inputs: [books]", "must map a source to its globs"),
    ("inputs: {books: }", "inputs.books in the config file must be a glob or a list of globs"),
    ("inputs: {books: []}", "inputs.books"),
    ("inputs: {books: [3]}", "inputs.books"),
    ("inputs: {book: x}", "did you mean books?"),
    ("run: 3", "run must be a mapping of settings"),
    ("run: {sample_doc: 3}", "run.sample_doc is not a setting; did you mean sample_docs?"),
    ("run: {sample_docs: -1}", "run: sample_docs must be 0 or more"),
    ("run: {sample_docs: 1.5}", "run.sample_docs must be a whole number"),
    ("run: {max_bad_share: 2}", "run.max_bad_share must be from 0 to 1, not 2 (write 0.02 for 2 %)"),
    ("run: {max_bad_share: x}", "run.max_bad_share must be a number"),
    ("run: {max_bad_records: true}", "run.max_bad_records must be a whole number"),
    ("mixture: {weights: {books: 50, c4: 49}}", "weights add up to 99, 1 too little: they must add up to 100"),
    ("mixture: {weights: {bookz: 100}}", "mixture.weights: 'bookz' is not a source; did you mean books?"),
    ("mixture: {weights: {books: 100}, max_epochs: {c4: 1}}", "c4"),
    ("mixture: {missing: ignore}", "missing is 'ignore': it must be error or share"),
    ("mixture: {length: long}", "length is 'long': it must be at_most or exact"),
    ("mixture: {tokens: 100 M B}", "tokens is '100 M B', which is not a number"),
    ("mixture: {weights: {c4: {weight: 100, en: 2}}}", "weights.c4.by must name the column whose values are weighed"),
    ("mixture: {epochs: {c4: {by: language, weight: 2, en: 1}}}", "epochs.c4 holds weight or epochs"),
    ("mixture: {parts: {c4: {by: language}}}", "parts.c4: no value of language is named"),
    ("mixture: {token: 3}", "token"),
    ("mixture: ", "mixture must be a mapping"),
    ("tokenizer: {vocab: 3}", "tokenizer holds vocab"),
    ("tokenizer: {vocab_size: 3}", "vocab_size 3 is too small"),
    ("tokenizer: {vocab_size: many}", "tokenizer.vocab_size is 'many'"),
    ("tokenizer: none.model", "--tokenizer: there is no file none.model"),
    ("sources: {bookz: {}}", "sources: 'bookz' is not a source; did you mean books?"),
    ("sources: {books: {nope: {}}}", "sources.books.nope is not known; there are: reader,"),
    ("sources: {books: {near_dedup: {overlap: 1}}}", "sources.books.near_dedup.overlap is not a setting"),
    ("sources: {books: {near_dedup: {max_overlap: x}}}", "sources.books.near_dedup.max_overlap must be a number"),
    ("sources: {books: 3}", "sources.books must be a mapping"),
    ("sources: 3", "sources must be a mapping"),
]


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Makes a wrong request. Checks that the status is 2 and that stderr has exactly one line. Returns this line."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    return captured.err


@pytest.mark.parametrize(("flags", "said"), WRONG_FLAGS, ids=[" ".join(f) for f, _ in WRONG_FLAGS])
def test_a_wrong_flag_gets_one_line(flags: list[str], said: str, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in told(flags, capsys)
    assert not list(tmp_path.iterdir()), "a wrong request writes nothing"


@pytest.mark.parametrize(("text", "said"), WRONG_FILES, ids=[t or "empty" for t, _ in WRONG_FILES])
def test_a_wrong_file_gets_one_line(text: str, said: str, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    line = told(["--config", config(tmp_path, text)], capsys)
    assert said in line
    assert [p.name for p in tmp_path.iterdir()] == ["run.yaml"]


def test_a_file_that_is_not_text(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00")
    assert "run.yaml: not UTF-8" in told(["--config", str(tmp_path / "run.yaml")], capsys)


def test_help_names_every_flag_and_source(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(f"--{flag}" in said for flag in (
        "config", "input", "sources", "models", "tokenizer", "tokens", "output", "phase", "seed", "fraction", "exclude",
        "overwrite", "estimate",
    ))  # fmt: skip
    assert all(source in said for source in SOURCES)
