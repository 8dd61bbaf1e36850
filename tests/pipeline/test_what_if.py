"""Compares a what-if with a real second run, for a source that the recipe divides by language, and an estimate whose
numbers are no bound with the run that follows.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.__main__ import main as report
from pipeline.run import main
from tokenizer.train.training import TrainSettings, train

pytestmark = pytest.mark.slow

NUM_PAGES = 80
_WORDS = {
    "en": (
        "the and of to in that with which because there every would",
        "river stone bridge water letter garden winter morning light field horse village window music bread",
    ),
    "de": (
        "der die das und nicht mit weil dort jede sich wurde für",
        "fluss stein brücke wasser brief garten winter morgen licht feld pferd dorf fenster musik brot",
    ),
}
CONFIG = """
name: webende
mixture:
  weights: {{common_crawl: {{weight: 100, by: language, en: 1, other: 1}}}}
  max_epochs: 2
  validation: {{share: 0.1}}
  missing: share
sources:
  common_crawl:
    min_length: {{min_chars: {min_chars}}}
    language: {{languages: [{languages}], min_score: 0.4}}
    perplexity: off
    reference: off
"""
Run = Callable[..., Path]


def text(language: str, seed: str, num_words: int) -> str:
    """Returns sentences in a language, which depend only on the arguments."""
    chosen = random.Random(seed)
    small, large = (words.split() for words in _WORDS[language])
    words = [chosen.choice(small if i % 2 else large) for i in range(num_words)]
    lines = [" ".join(words[i : i + 12]).capitalize() + "." for i in range(0, num_words, 12)]
    return "\n".join(lines) + "\n"


def write_wet(path: Path, texts: Sequence[str]) -> None:
    head = "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://a.example/{0}\r\n"
    head += "WARC-Date: 2019-07-15T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:{0}>\r\n"
    head += "Content-Type: text/plain\r\nContent-Length: {1}\r\n\r\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for number, one in enumerate(texts):
            data = f"Page {number}\n{one}".encode()
            file.write(head.format(number, len(data)).encode() + data + b"\r\n\r\n")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Returns a function that runs the pipeline on pages of very different lengths, of which a quarter are German."""
    root = tmp_path_factory.mktemp("pages")
    texts = [text("en" if n % 4 else "de", f"page {n}", 70 + (n * n * 37) % 900) for n in range(NUM_PAGES)]
    write_wet(root / "CC-MAIN-2019-30" / "a.warc.wet", texts)
    train(texts, root / "t", TrainSettings(vocab_size=400, lower_vocab_size=True))
    done: dict[str, Path] = {}

    def made(languages: str, min_chars: int) -> Path:
        name = f"{languages}-{min_chars}".replace(" ", "")
        if name not in done:
            (root / f"{name}.yaml").write_text(CONFIG.format(languages=languages, min_chars=min_chars))
            given = ["--config", str(root / f"{name}.yaml"), f"--input=common_crawl={root}/CC-MAIN-2019-30"]
            command = [*given, f"--output={root / name}", f"--tokenizer={root}/t.model", "--direct_num_workers=1"]
            assert main(command) == 0
            done[name] = root / name
        return done[name]

    return made


def foreseen(out: Path, setting: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, tuple[int, int]], str]:
    """Returns the available tokens and documents of each part that the what-if foresees, and all that it prints."""
    capsys.readouterr()
    assert report([str(out), "--set", setting]) == 0
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines() if line.startswith(("common_crawl:en ", "common_crawl:other "))]
    return {row[0]: (int(row[2].replace(",", "")), int(row[3].replace(",", ""))) for row in rows}, said


def real(out: Path) -> dict[str, tuple[int, int]]:
    found = json.loads((out / "manifest.json").read_text())["sources"]
    return {name: (line["available_tokens"], line["available_documents"]) for name, line in found.items()}


@pytest.mark.parametrize(
    ("setting", "second"),
    [("language.languages=[en]", ("en", 300)), ("min_length.min_chars=2500", ("en, de", 2500))],
)
def test_what_falls_is_exact_for_each_part(run: Run, capsys: Any, setting: str, second: tuple[str, int]) -> None:
    """The parts are not scaled alike: the first change drops one of them, and leaves the other as it is."""
    found, _ = foreseen(run("en, de", 300), f"common_crawl.{setting}", capsys)
    assert found == real(run(*second))


def test_a_part_that_comes_back_has_the_tokens_of_its_own_documents(run: Run, capsys: Any) -> None:
    """German has more tokens per character than English with this tokenizer. No German page was kept, so the texts in
    dropped/ show how many.
    """
    found, said = foreseen(run("en", 300), "common_crawl.language.languages=[en, de]", capsys)
    really = real(run("en, de", 300))
    assert found["common_crawl:en"] == really["common_crawl:en"]
    assert found["common_crawl:other"][1] == really["common_crawl:other"][1]
    assert found["common_crawl:other"][0] == pytest.approx(really["common_crawl:other"][0], rel=0.05)
    assert "divided among the parts" not in said


def test_short_documents_that_come_back_do_not_count_as_average_ones(run: Run, capsys: Any) -> None:
    """The pages that come back are shorter than all that were kept. Their language was not determined when they were
    dropped, so they are divided like the kept ones.
    """
    before, really = run("en, de", 2500), real(run("en, de", 300))
    found, said = foreseen(before, "common_crawl.min_length.min_chars=300", capsys)
    total, wanted = (sum(tokens for tokens, _ in one.values()) for one in (found, really))
    assert total == pytest.approx(wanted, rel=0.03)
    mean = sum(t for t, _ in real(before).values()) / sum(d for _, d in real(before).values())
    assert mean * sum(d for _, d in really.values()) > 1.2 * wanted, "with the average it would be far too many"
    assert "dropped/ does not show the language of" in said
    for name, (tokens, _) in found.items():
        assert tokens == pytest.approx(really[name][0], rel=0.35)


def test_an_estimate_before_a_line_dedup_is_no_bound(tmp_path: Path, capsys: Any) -> None:
    """The pages are German, below a long English menu that all have. Without the line dedup, they count as English. So
    the run keeps more pages than the estimate says.
    """
    menu = text("en", "menu", 600)
    write_wet(tmp_path / "CC-MAIN-2019-30" / "a.wet", [menu + text("de", f"p{n}", 80) for n in range(12)])
    given = [f"--input=common_crawl={tmp_path}/CC-MAIN-2019-30", f"--output={tmp_path}/out", "--phase=clean"]
    (tmp_path / "c.yaml").write_text(
        "name: german\nmixture: {weights: {common_crawl: 100}}\n"
        "sources: {common_crawl: {language: {languages: [de], min_score: 0.3}, perplexity: off, reference: off}}\n"
    )
    command = ["--config", str(tmp_path / "c.yaml"), *given, "--direct_num_workers=1"]
    assert main([*command, "--estimate", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)["sources"]["common_crawl"]
    assert (one["is_bound"], one["may_keep_more"]) == (False, ["language"])
    assert main([*command, "--estimate"]) == 0
    said = capsys.readouterr().out
    assert "≈ means about, and no bound" in said
    assert "common_crawl language" in said
    assert main(command) == 0
    kept = json.loads((tmp_path / "out" / "stats" / "common_crawl.json").read_text())["documents"]["kept"]
    assert kept > one["num_docs"]


def test_a_part_that_no_document_can_have_is_refused_at_once(tmp_path: Path, capsys: Any) -> None:
    write_wet(tmp_path / "CC-MAIN-2019-30" / "a.wet", [text("en", "p", 90)])
    config = CONFIG.format(languages="en, de", min_chars=300)
    given = [f"--input=common_crawl={tmp_path}/CC-MAIN-2019-30", f"--output={tmp_path}/out"]
    for value, by, said in (
        ("deu", "language", "no document will have the language deu; did you mean de? (sources.common_crawl.language."
         "languages keeps de, en)"),
        ("tale", "bucket", "no document will have the bucket tale"),
    ):  # fmt: skip
        text_of = config.replace("by: language, en: 1", f"by: {by}, {value}: 1")
        (tmp_path / "c.yaml").write_text(text_of.replace("    perplexity: off\n", "") if by == "bucket" else text_of)
        for more in ([], ["--estimate"]):
            assert main(["--config", str(tmp_path / "c.yaml"), *given, *more]) == 2
            assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "clean").exists()


def test_an_estimate_says_nothing_of_an_output_that_it_does_not_write(tmp_path: Path, capsys: Any) -> None:
    write_wet(tmp_path / "CC-MAIN-2019-30" / "a.wet", [text("en", f"p{n}", 90) for n in range(3)])
    config = CONFIG.format(languages="en, de", min_chars=300).replace("en: 1, other: 1", "en: 1, de: 1")
    (tmp_path / "c.yaml").write_text("recipe: llama\n" + config.replace("  missing: share\n", ""))
    given = [f"--input=common_crawl={tmp_path}/CC-MAIN-2019-30", f"--output={tmp_path}/out", "--estimate"]
    assert main(["--config", str(tmp_path / "c.yaml"), *given]) == 0
    said = capsys.readouterr().out
    assert "common_crawl:de has a weight but no tokens" in said
    assert "dropped/ and the report" not in said
    assert "700,000,000,000" not in said, "nobody asked for the recipe's length"


def test_cut_offs_of_another_language_leave_the_step_out_of_an_estimate(tmp_path: Path, capsys: Any) -> None:
    """A run refuses to start without the language's column in cutoff.csv. An estimate needs no models at all."""
    write_wet(tmp_path / "CC-MAIN-2019-30" / "a.wet", [text("en", f"p{n}", 90) for n in range(3)])
    models = tmp_path / "models"
    models.mkdir()
    for name in ("en.arpa.bin", "en.sp.model"):
        (models / name).write_bytes(b"not read")
    (models / "cutoff.csv").write_text(",de\n30,340\n60,520\n")
    given = [f"--input=common_crawl={tmp_path}/CC-MAIN-2019-30", f"--output={tmp_path}/out", f"--models={models}"]
    assert main([*given, "--phase=clean"]) == 2
    assert "has no column for en; compute it" in capsys.readouterr().err
    assert main([*given, "--phase=clean", "--estimate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sources"]["common_crawl"]["left_out"] == ["perplexity", "reference"]
