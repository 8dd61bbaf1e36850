"""Tests that an error in the configuration names the file, and the line if the file contains the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixtures.config_files import naming_file
from mixtures.plan.__main__ import main as plan
from mixtures.setting_error import SettingError
from mixtures.strict_yaml import line_of
from pipeline.settings.settings import parse

CASES = [
    # a weight is misspelt, and max_epochs has the right name: the weight is named
    (
        "mixture:\n  weights: {boks: 60, arxiv: 40}\n  max_epochs: {books: 2}",
        3,
        "'boks' is not a source; did you mean books?",
    ),
    ("mixture:\n  weights:\n    relative:\n      boks: 6", 5, "mixture.weights.relative: 'boks' is not a source"),
    ("mixture:\n  weights: {arxiv: 100}\n  max_epochs: {arxv: 2}", 4, "did you mean arxiv?"),
    ("mixture:\n  weights:\n    books: 60\n    arxiv: 50", 3, "weights add up to 110"),
    ("mixture:\n  weights:\n    books: 0\n    arxiv: 100", 4, "weight of books is 0"),
    ("mixture: {tokens: many}", 2, "tokens is 'many', which is not a number"),
    ("mixture:\n  validation:\n    books: {share: 2}", 4, "validation share 2 is not between 0 and 1"),
    ("mixture:\n  wieghts: {books: 100}", 3, "did you mean weights?"),
    ("sources:\n  books:\n    near_dedup:\n      max_overlap: 90", 5, "must be from 0 to 1, not 90"),
    ("sources:\n  books:\n    near_dedup:\n      max_overlp: 0.9", 5, "did you mean max_overlap?"),
    ("sources:\n  books:\n    nea_dedup: {}", 4, "did you mean near_dedup?"),
    ("sources:\n  wikipedia:\n    wiki_languages:\n      wikis: [eng]", 5, "'eng' is not known"),
    ("tokenizer:\n  vocabsize: 3", 2, "did you mean vocab_size?"),
    ("seed: -4", 2, "is not a whole number from 0"),
    ("seeed: 4", 2, "did you mean seed?"),
    ("dedup:\n  across: [bokos, c4]", 3, "did you mean books?"),
    ("dedup:\n  acros: [books, c4]", 3, "did you mean across?"),
    ("run:\n  sample_doc: 4", 3, "did you mean sample_docs?"),
    ("inputs:\n  boks: x", 3, "did you mean books?"),
    ("decontamination:\n  sets:\n  - {nme: x, path: y}", 4, "did you mean name?"),
    ("corpora:\n  mine:\n    files: x\n    colums: {}", 5, "did you mean columns?"),
    ("corpora:\n  mine:\n    files: x\n    steps: [gopher_qualty]", 5, "did you mean gopher_quality?"),
]


@pytest.mark.parametrize(("text", "line", "said"), CASES)
def test_a_wrong_setting_is_named_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"recipe: llama\n{text}\n")
    with pytest.raises(ValueError, match=r"run\.yaml") as error:
        parse(["--config", str(path), "--input=books=x", "--input=wikipedia=x"])
    assert type(error.value) is ValueError, "the command takes every other class for a fault of its own"
    assert str(error.value).startswith(f"{path}, line {line}: ")
    assert said in str(error.value)


def test_a_setting_of_the_named_recipe_is_named_there(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("name: base\nmixture:\n  weights: {books: 90}\n  tokens: 5\n")
    (tmp_path / "run.yaml").write_text(f"recipe: {tmp_path}/base.yaml\nmixture: {{tokens: 9}}\n")
    with pytest.raises(ValueError, match=r"^\S+/base.yaml, line 3: weights add up to 90"):
        parse(["--config", f"{tmp_path}/run.yaml", "--input=books=x"])


def test_a_recipe_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean llama"):
        parse(["--config", "lama"])
    (tmp_path / "run.yaml").write_text("recipe: modren\n")
    with pytest.raises(ValueError, match=r"^\S+/run.yaml: cannot read the recipe modren: .*; did you mean modern\?"):
        parse(["--config", f"{tmp_path}/run.yaml"])


def test_an_error_of_a_flag_does_not_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("recipe: llama\n")
    for flags in (
        ["--input=boks=x"],
        ["--sources=boks"],
        ["--explain=boks"],
        ["--input=books=x", "--accept-removal=c4x"],
    ):
        with pytest.raises(ValueError, match=r"^--[a-z-]+: '\w+' is not a source; did you mean (books|c4)\?"):
            parse(["--config", f"{tmp_path}/run.yaml", *flags])


def test_other_commands_name_the_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.yaml").write_text("recipe: llama\nmixture:\n  weights: {books: 60, arxiv: 50}\n")
    assert plan(["--config", f"{tmp_path}/run.yaml"]) == 2
    assert capsys.readouterr().err.startswith(f"mixtures.plan: {tmp_path}/run.yaml, line 3: weights add up to 110")


def test_lines_of_keys() -> None:
    text = "a:\n  b.c:\n    d: 1\n  b:\n    x: 2\nlist:\n- 1\n- e: 3\n  f: 4\n"
    assert [line_of(text, where) for where in ("a", "a.b.c.d", "a.b.x", "list[1].f", "list[0]")] == [1, 3, 5, 9, 7]
    assert [line_of(text, where) for where in ("", "z", "a.b.y", "list[2]", "list[1].g", "list.x")] == [None] * 6
    assert line_of("", "a") is None


def test_without_a_file_the_message_stays() -> None:
    with pytest.raises(ValueError, match=r"^x$"), naming_file(None):
        raise SettingError("x", "a.b")
