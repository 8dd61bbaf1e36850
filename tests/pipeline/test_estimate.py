"""Compares an estimate with the run that follows: errors, bounds, an estimate without models, and an estimate of a
multiple of the input.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import py7zr
import pytest
from small import prose

from pipeline.estimate.read_unit import _documents
from pipeline.estimate.sample import _spread, relative_error
from pipeline.run import main
from pipeline.sources.corpora.reader import CorpusReader
from pipeline.sources.source import Rejected, Unit
from tokenizer.train.training import TrainSettings, train

NUM_FILES = 40
CONFIG = "name: one\nmixture: {weights: {c4: 100}, tokens: 10M}\ntokenizer: {vocab_size: 400, lower_vocab_size: true}\n"


def page(number: int, num_words: int) -> str:
    row = {"url": f"https://site.example/{number}", "timestamp": "2019-04-25T12:57:54Z"}
    return json.dumps({**row, "text": prose(f"page {number}", num_words)}) + "\n"


@pytest.fixture(scope="module")
def skewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of forty files. Most have a few long pages. Every fifth file has many short pages, and less text
    per stored byte.
    """
    root = tmp_path_factory.mktemp("skewed")
    number = 0
    for index in range(NUM_FILES):
        num_pages, num_words = (60, 14) if index % 5 == 0 else (1 + index % 7, 400 + 90 * (index % 11))
        rows = "".join(page(number + k, num_words) for k in range(num_pages))
        number += num_pages
        path = root / "c4" / f"c4-train.{index:05}-of-{NUM_FILES:05}.json.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(rows.encode(), mtime=0))
    (root / "run.yaml").write_text(CONFIG)
    encoded = train([prose(f"text {n}", 400) for n in range(60)], root / "t", TrainSettings(vocab_size=300))
    assert encoded.vocab_size == 300
    return root


def asked(root: Path, out: Path, *more: str) -> list[str]:
    given = ["--config", str(root / "run.yaml"), f"--input=c4={root}/c4/*.json.gz", f"--output={out}"]
    return [*given, f"--tokenizer={root}/t.model", "--direct_num_workers=1", *more]


def estimate(root: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main(asked(root, root / "none", "--estimate", "--json", *more)) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert not (root / "none").exists()
    return found


@pytest.mark.slow
def test_the_run_is_within_the_error_that_is_printed(skewed: Path, tmp_path: Path, capsys: Any) -> None:
    """The estimate reads only some of the forty files, which differ. The inputs have no duplicates, so the run reaches
    the bounds.
    """
    said = estimate(skewed, capsys)["sources"]["c4"]
    assert main(asked(skewed, tmp_path / "out")) == 0
    capsys.readouterr()
    stats = json.loads((tmp_path / "out" / "stats" / "c4.json").read_text())
    assert 0 < said["read_bytes"] < 0.7 * said["input_bytes"], "not everything was read"
    assert 0 < said["error"] < 0.5
    text = stats["bytes"]["kept"]
    assert abs(said["text_bytes"] - text) <= 3 * said["error"] * text, (said, text)
    assert abs(said["num_tokens"] - stats["tokens"]) <= 3 * said["error"] * stats["tokens"]
    assert 0.5 < said["num_docs"] / stats["documents"]["kept"] < 2


def test_a_small_input_is_read_whole_and_exact(skewed: Path, tmp_path: Path, capsys: Any) -> None:
    files = f"--input=c4={skewed}/c4/c4-train.0000*.json.gz"
    command = asked(skewed, tmp_path / "out", "--estimate", "--json")
    command[2] = files
    assert main(command) == 0
    said = json.loads(capsys.readouterr().out)["sources"]["c4"]
    assert said["error"] == 0
    command = [*asked(skewed, tmp_path / "out"), "--phase=clean"]
    command[2] = files
    assert main(command) == 0
    stats = json.loads((tmp_path / "out" / "stats" / "c4.json").read_text())
    assert said["num_docs"] == stats["documents"]["kept"]
    assert said["text_bytes"] == stats["bytes"]["kept"]


def test_times_scales_the_estimate(skewed: Path, capsys: Any) -> None:
    once, many = (estimate(skewed, capsys, *more) for more in ((), ("--times=100",)))
    one, other = once["sources"]["c4"], many["sources"]["c4"]
    for name in ("num_docs", "text_bytes", "input_bytes", "num_units"):
        assert other[name] == pytest.approx(100 * one[name])
    assert other["num_tokens"] == pytest.approx(100 * one["num_tokens"], rel=1e-3)
    assert 20 < other["cpu_hours"] / one["cpu_hours"] < 500, "it is measured twice"
    assert many["tokens"] == pytest.approx(100 * once["tokens"], rel=1e-3) or many["tokens"] == many["asked_tokens"]
    assert main(["--estimate", "--times=0"]) == 2
    assert "--times: '0' is not a number above 0" in capsys.readouterr().err


def test_what_is_printed(skewed: Path, capsys: Any) -> None:
    assert main(asked(skewed, skewed / "none", "--dry-run")) == 0
    said = capsys.readouterr().out
    assert "≤ means at most" not in said, "no number has this mark"
    assert "≈ means about, and no bound: dedups remove documents, and one of them also removes parts of texts" in said
    assert "c4 c4_english, bad_words\n" in said
    assert "± " in said
    assert "c4 limits it" in said
    number = r"(?:under 1|\d+) s"
    assert re.search(rf"CPU time in all: {number}, {number} of it for the mix; and the start of the workers: ", said)
    assert "0.00 GB" not in said
    assert f"tokens counted with {skewed}/t.model" in said


def test_it_works_without_models(tmp_path: Path, capsys: Any) -> None:
    """A run without models is refused, but an estimate works. The steps without a model then keep all documents."""
    record = "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://a.example/{0}\r\n"
    record += "WARC-Date: 2019-07-15T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:{0}>\r\n"
    record += "Content-Type: text/plain\r\nContent-Length: {1}\r\n\r\n"
    wet = tmp_path / "CC-MAIN-2019-30" / "a.warc.wet"
    wet.parent.mkdir()
    with wet.open("wb") as file:
        for number in range(5):
            text = prose(f"page {number}", 300).encode()
            file.write(record.format(number, len(text)).encode() + text + b"\r\n\r\n")
    given = ["--phase=clean", f"--input=common_crawl={wet}", f"--output={tmp_path}/out", f"--models={tmp_path}"]
    assert main(given) == 2
    missing = capsys.readouterr().err
    perplexity, reference = missing.splitlines()
    assert perplexity.startswith("error: common_crawl: the model for step 'perplexity'")
    assert reference.startswith("error: common_crawl: the model for step 'reference'")
    assert main([*given, "--estimate"]) == 0
    said = capsys.readouterr().out
    assert "because the models of perplexity, reference are missing, so all documents pass" in said
    assert len(re.findall(r"≈ [\d.]", said)) == 3, (
        "documents, text and tokens: the language is judged after the line dedup"
    )
    assert main([*given, "--estimate", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)["sources"]["common_crawl"]
    assert one["left_out"] == ["perplexity", "reference"]
    assert one["num_docs"] == 5


def test_a_file_that_is_read_ahead_is_counted_to_its_end(tmp_path: Path, capsys: Any) -> None:
    """A reader reads a small file at once. If counting stopped at the 500th document, the bytes of the remaining
    documents would count as bytes without documents. Then an upper bound would be too low.
    """
    (tmp_path / "run.yaml").write_text(CONFIG)
    rows = "".join(page(number, 12) for number in range(1500))
    (tmp_path / "c4-train.00000-of-00001.json.gz").write_bytes(gzip.compress(rows.encode(), mtime=0))
    posts = "".join(
        f'<row Id="{n}" PostTypeId="1" Score="1" Title="Question {n}" Body="{prose(f"post {n}", 30)}" '
        'CreationDate="2020-01-01T00:00:00" LastActivityDate="2020-01-01T00:00:00" Tags="&lt;a&gt;"/>\n'
        for n in range(1, 1201)
    )
    site = tmp_path / "tea.stackexchange.com"
    site.mkdir()
    xml = f'<?xml version="1.0" encoding="utf-8"?>\n<posts>\n{posts}</posts>\n'
    with py7zr.SevenZipFile(tmp_path / "tea.stackexchange.com.7z", "w") as archive:
        archive.writestr(xml, "Posts.xml")
    inputs = [f"--input=c4={tmp_path}/*.json.gz", f"--input=stack_exchange={tmp_path}/*.7z"]
    config = tmp_path / "two.yaml"
    config.write_text("recipe: sample\nmixture: {weights: {c4: 50, stack_exchange: 50}}\n")
    assert main(["--config", str(config), *inputs, f"--output={tmp_path}/out", "--estimate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["sources"]
    assert found["c4"]["num_docs"] == pytest.approx(1500)
    assert (found["c4"]["is_bound"], found["stack_exchange"]["is_bound"]) == (False, True)
    assert found["stack_exchange"]["num_docs"] == pytest.approx(1200, rel=0.01), "the last row is in another chunk"


def test_units_are_spread_over_the_bytes() -> None:
    units = [Unit(path=str(n), num_bytes=1000 if n == 50 else 1, kind="text", start=0, end=1) for n in range(100)]
    chosen = _spread(units)
    assert {unit.path: weight for unit, weight in chosen}["50"] >= 14, "the file that has nearly everything"
    even = _spread([Unit(path=str(n), num_bytes=5, kind="text", start=0, end=5) for n in range(160)])
    assert [weight for _, weight in even] == [1.0] * 16
    assert {int(b.path) - int(a.path) for (a, _), (b, _) in pairwise(even)} == {10}


def test_an_error_needs_two_units() -> None:
    assert relative_error([(10, 5)], 0.1) is None
    assert relative_error([], 0.1) is None


def test_units_without_bytes_are_spread_too() -> None:
    units = [Unit(path=str(number), num_bytes=0) for number in range(40)]
    assert _spread(units) == [(unit, 1.0) for unit in units[:16]]


def test_rejected_rows_end_at_the_deadline() -> None:
    """Reading stops at the deadline, even if a unit has only rejected rows. Otherwise such a unit would be read to its
    end, however large it is.
    """
    given = 0

    class OnlyRejected(CorpusReader):
        def read(self, unit: Unit, open_file: Any) -> Iterator[Any]:
            nonlocal given
            for given in range(100_000):
                yield Rejected(location=f"a:{given}", reason="not_json")

    made: Any = SimpleNamespace(source=SimpleNamespace(reader=OnlyRejected(), join=None))
    assert list(_documents(made, Unit(path="a", num_bytes=1, kind="json"), [], time.monotonic())) == []
    assert given < 1000
