"""Compares a recount under other thresholds, which uses the recorded signals, with a second run. They agree, or the
recount says that the signals are not enough.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from small import Small, make, prose

from pipeline.report.__main__ import main
from pipeline.report.compare import count_rows, reason_rows, share_rows
from pipeline.report.output_state import read_state
from pipeline.report.recount import Recount, recount, scaled
from pipeline.report.set_option import parse_changes
from pipeline.report.settings import Difference, differences, settings_of

pytestmark = pytest.mark.slow
NUM_WORDS = (20, 60, 100, 200, 300, 500)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Returns a corpus with books of many lengths, so that some are above and some below any limit."""
    corpus = make(tmp_path_factory.mktemp("corpus"))
    for number in NUM_WORDS:
        (corpus.root / "books" / f"of{number}.txt").write_text(prose(f"of {number}", number))
    return corpus


@pytest.fixture(scope="module")
def out(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    done = tmp_path_factory.mktemp("run") / "out"
    assert small.run(done) == 0
    return done


def recounted(out: Path, *settings: str, share: float = 1.0) -> Recount:
    state = read_state(str(out))
    ((name, changes),) = parse_changes(state, settings).items()
    return scaled(recount(state, name, changes, share=share))


@pytest.mark.parametrize("limit", [51, 250, 2000])
def test_it_is_what_a_second_run_does(small: Small, out: Path, tmp_path: Path, limit: int) -> None:
    found = recounted(out, f"books.book_quality.min_num_words={limit}")
    config = small.config.read_text().replace("min_num_words: 50", f"min_num_words: {limit}")
    (tmp_path / "config.yaml").write_text(config)
    second = small.args(tmp_path / "second", "--phase=clean", "--sources=books")
    second[1] = str(tmp_path / "config.yaml")
    from pipeline.run import main as run

    assert run(second) == 0
    really = read_state(str(tmp_path / "second")).source("books")
    assert really is not None
    assert really.stats is not None
    kept = really.stats["documents"]["kept"]
    assert found.least <= kept <= found.most
    # What was kept before is told exactly; what comes back waits for the dedups behind.
    assert found.still_kept + found.come_back.total() == kept
    assert found.fall.total() + found.still_kept == found.kept_before


def test_the_mixture_that_follows(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(out), "--set", "books.book_quality.min_num_words=400"]) == 0
    said = capsys.readouterr().out
    before = json.loads((out / "manifest.json").read_text())["sources"]["books"]["available_tokens"]
    (line,) = [x for x in said.splitlines() if x.startswith("books") and "40" in x]
    now = int(line.split()[2].replace(",", ""))
    assert 0 < now < before
    assert "kept in the run would be dropped as book_quality: too_few_words" in said
    assert "near_dedup would then compare other documents" in said
    assert line.split()[-3] == "40.000"


def test_a_mixture_that_could_not_be_made_is_told(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(out), "--set", "books.min_num_words=1000000"]) == 0
    said = capsys.readouterr().out
    assert "it could not be made" in said
    assert "books" in said


def test_what_comes_back_has_bounds(out: Path) -> None:
    found = recounted(out, "books.book_quality.min_num_words=0")
    assert found.come_back["book_quality"] == 2
    assert found.surely_back == 0
    assert found.most - found.least == 2
    assert found.least <= found.likely <= found.most


def test_a_step_that_is_left_out(out: Path) -> None:
    found = recounted(out, "books.near_dedup=off", "books.book_quality=off")
    assert found.come_back.total() == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["books.min_num_words"], "write SOURCE.STEP.FIELD=VALUE"),
        (["books=3"], "write SOURCE.STEP.FIELD=VALUE"),
        (["github.code_quality.max_line_chars=3"], "the run has no source github; it has: books, c4"),
        (["books.min_words=3"], "no step of books has min_words; did you mean min_num_words?; its steps: gutenberg"),
        (["books.book_quality.min_num_words=many"], "min_num_words must be a whole number, not 'many'"),
        (["books.book_quality.min_num_words=[1"], "is not a value"),
        (["books.book_quality=3"], "book_quality is a step: write book_quality.FIELD=VALUE, or book_quality=off"),
        (["c4.perplexity.middle=3"], "no cut-offs of any language"),
        (["books.duplicate_id=off"], "duplicate_id cannot be off"),
    ],
)
def test_a_wrong_setting_is_one_line(
    out: Path, capsys: pytest.CaptureFixture[str], settings: list[str], said: str
) -> None:
    assert main([str(out), *(x for s in settings for x in ("--set", s))]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_where_the_signals_do_not_suffice(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(out), "--set", "books.near_dedup.max_overlap=0.4", "--set", "c4.bad_words.drop_share=0.5"]) == 0
    said = capsys.readouterr().out
    assert "the signals do not suffice: bad_words: what drop_share would change was not counted" in said
    assert "are unknown at near_dedup" in said


def test_two_runs_beside_each_other(
    small: Small, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    text = small.config.read_text().replace("{c4: 60, books: 40}", "{c4: 50, books: 50}")
    config.write_text(text.replace("min_num_words: 50", "min_num_words: 250"))
    args = small.args(tmp_path / "other", "--seed=3")
    args[1] = str(config)
    from pipeline.run import main as run

    assert run(args) == 0
    capsys.readouterr()
    assert main([str(out), str(tmp_path / "other")]) == 0
    said = capsys.readouterr().out
    assert "sources.books.book_quality.min_num_words" in said
    a, b = read_state(str(out)), read_state(str(tmp_path / "other"))
    changed = {d.name: (d.this, d.other) for d in differences(settings_of(a), settings_of(b))}
    assert changed == {
        "mixture.weights.books": ("40", "50"),
        "mixture.weights.c4": ("60", "50"),
        "run.seed": ("0", "3"),
        "sources.books.book_quality.min_num_words": ("50", "250"),
    }
    rows = {(r[0], r[1]): r[2:] for r in reason_rows(a, b)}
    assert rows["books", "book_quality: too_few_words"][:2] == ("2", "5")
    shares = {r[0]: (Decimal(r[1]).quantize(Decimal(1)), Decimal(r[2]).quantize(Decimal(1))) for r in share_rows(a, b)}
    assert shares == {"c4": (60, 50), "books": (40, 50)}
    counts = {(r[0], r[1]): r[2:] for r in count_rows(a, b)}
    kept = counts["books", "documents kept"]
    assert int(kept[0]) - int(kept[1]) == 3
    assert counts["c4", "documents kept"][2] == "="


def test_a_run_beside_itself(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(out), str(out)]) == 0
    said = capsys.readouterr().out
    for what in ("settings", "versions and models", "inputs"):
        assert f"{what}: nothing differs" in said


def test_a_run_beside_an_unfinished_one(
    small: Small, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert small.run(tmp_path / "clean", "--phase=clean", "--sources=books") == 0
    capsys.readouterr()
    assert main([str(out), str(tmp_path / "clean")]) == 0
    said = capsys.readouterr().out
    assert "B was cleaned, not mixed" in said
    assert main([str(out), str(tmp_path / "nothing")]) == 2
    assert main([str(out), str(out), str(out)]) == 2
    assert main([str(out), str(out), "--set", "books.min_num_words=3"]) == 2
    assert main([str(out), "--set", "books.min_num_words=3", "--share", "0"]) == 2


def test_what_ran_is_told(out: Path) -> None:
    page = (out / "report" / "index.html").read_text()
    assert "Compared with the recipe llama as it is now." in page
    assert "llama, on which small builds" in page
    assert "sources.books.book_quality.min_num_words" in page
    record = read_state(str(out)).record
    assert record["finished"] is True
    assert set(record["jobs"]) == {"clean", "tokenize", "mix"}
    steps = record["steps"]["books"]
    assert steps["book_quality"]["documents"] == 5 + 1 + len(NUM_WORDS)
    assert steps["book_quality"]["busy_s"] > 0
    assert record["memory"]["driver_peak_bytes"] > 50e6
    table = page[page.index('class="group"') :]
    of_books = table[table.index("<bdi>books</bdi>") :]
    assert "<bdi>book_quality</bdi>" in of_books.split('class="group"')[0]


def test_differences() -> None:
    assert differences({"a": "1"}, {}, only_common=True) == []
    assert differences({"a": "1"}, {}) == [Difference("a", "1", "-")]
