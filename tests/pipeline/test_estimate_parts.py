"""Compares the estimate of a divided source's parts with the run that follows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from small import prose

from pipeline.run import main
from tokenizer.train.training import TrainSettings, train

NUM_FILES = 24
CONFIG = """
name: parts
mixture:
  weights: {github: {weight: 9, by: programming_language, Python: 2, other: 1}, books: 91}
  tokens: 10M
tokenizer: {vocab_size: 400, lower_vocab_size: true}
"""


def code(number: int, ending: str) -> dict[str, Any]:
    """Returns a row of BigQuery's joined table. Files of Python are longer in some repositories than in others."""
    num_words = 300 + 70 * (number % 7)
    words = prose(f"file {number}", num_words).split()
    mark = "#" if ending == "py" else "//"
    lines = [f"name_{i} = call_{words[i]}({words[i + 1]!r})  {mark} {words[i + 2]}" for i in range(0, num_words - 3, 3)]
    return {
        "id": f"{number:040x}", "repo_name": f"owner/repo{number % 9}", "path": f"source/file{number}.{ending}",
        "license": "mit", "content": "\n".join(lines) + "\n",
    }  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with source code and books. The share of Python differs between the files of source code."""
    root = tmp_path_factory.mktemp("parts")
    for folder in ("github", "books"):
        (root / folder).mkdir()
    for index in range(NUM_FILES):
        rows = [code(100 * index + k, "py" if k % 8 < 2 + index % 4 else "java") for k in range(24)]
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (root / "github" / f"part-{index:02}.json.gz").write_bytes(gzip.compress(data, mtime=0))
    for number in range(6):
        (root / "books" / f"book{number}.txt").write_text(prose(f"book {number}", 3000))
    (root / "run.yaml").write_text(CONFIG)
    texts = [code(n, ending)["content"] for n in range(200) for ending in ("py", "java")]
    train(texts, root / "t", TrainSettings(vocab_size=2000, lower_vocab_size=True))  # fewer pieces split every name
    return root


def command(root: Path, *more: str) -> list[str]:
    given = [f"--input=github={root}/github/*.json.gz", f"--input=books={root}/books", f"--tokenizer={root}/t.model"]
    return ["--config", str(root / "run.yaml"), *given, "--direct_num_workers=1", *more]


@pytest.mark.slow
def test_parts_are_estimated_within_their_error(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(command(root, f"--output={out}", "--estimate", "--json")) == 0
    said = json.loads(capsys.readouterr().out)
    source = said["sources"]["github"]
    assert source["read_bytes"] < 0.8 * source["input_bytes"], "not everything was read"
    assert list(source["parts"]) == ["github:Python", "github:other"]
    assert main(command(root, f"--output={out}")) == 0
    capsys.readouterr()
    found = json.loads((out / "manifest.json").read_text())
    for name, part in source["parts"].items():
        real = found["sources"][name]
        assert 0 < part["error"] < 0.5
        assert abs(part["num_tokens"] - real["available_tokens"]) <= 3 * part["error"] * real["available_tokens"], name
        assert 0.7 < part["num_docs"] / real["available_documents"] < 1.4, name
    assert sum(part["num_tokens"] for part in source["parts"].values()) == pytest.approx(source["num_tokens"], abs=2)
    assert said["tokens"] == pytest.approx(found["tokens"], rel=0.3)
    assert said["limited_by"] in {*found["sources"]}


def test_parts_are_printed_and_planned(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(root, f"--output={tmp_path}/out", "--estimate")) == 0
    lines = capsys.readouterr().out.splitlines()
    planned = {line.split()[0]: line.split()[1] for line in lines if line.startswith("github:") and ": " not in line}
    assert planned == {"github:Python": "6", "github:other": "3"}
    tokens = [line.split("│")[8].strip() for line in lines if line.startswith(("│ github", "│   github:", "│ books"))]
    assert len(tokens) == 4
    assert all(one.startswith("≤ ") for one in tokens), "the tokens are a bound like the documents: they are counted"
    assert [line.split()[1] for line in lines if line.startswith("│   github:")] == ["github:Python", "github:other"]


def test_a_part_that_was_not_seen_is_named(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(CONFIG.replace("Python: 2", "Python: 2, Haskell: 1"))
    given = command(root, f"--output={tmp_path}/out", "--estimate")
    given[1] = str(config)
    assert main(given) == 0
    said = capsys.readouterr().out
    assert "github: no document of github:Haskell in the part that was read" in said
    config.write_text(CONFIG.replace("Python: 2", "python: 2"))
    assert main(given) == 2
    assert "no document will have the programming_language python; did you mean Python?" in capsys.readouterr().err
    config.write_text(CONFIG.replace("programming_language", "no_such_column"))
    assert main(given) == 2
    assert "no_such_column is not a column of its clean documents" in capsys.readouterr().err


@pytest.mark.slow
def test_a_column_that_a_join_fills_is_not_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the sample's GitHub, a join adds the paths from another table, so the language of a file is unknown before.
    Posts of Stack Exchange contain their site.
    """
    config = tmp_path / "run.yaml"
    config.write_text(
        "recipe: sample\nmixture:\n  weights:\n"
        "    github: {weight: 50, by: programming_language, Python: 2, other: 1}\n"
        "    stack_exchange: {weight: 50, by: site, other: 1}\n"
    )
    given = ["--config", str(config), "--sources", "github,stack_exchange", f"--output={tmp_path}/out", "--estimate"]
    assert main([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sources"]["github"]["parts"] == {}
    assert list(found["sources"]["stack_exchange"]["parts"]) == ["stack_exchange:other"]
    assert main(given) == 0
    assert "github: whole, not by programming_language, which a part of the input does not tell" in (
        capsys.readouterr().out
    )
