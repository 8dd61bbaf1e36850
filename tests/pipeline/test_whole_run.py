"""Tests a run over an earlier output. It does only the work that is not complete, and writes the same bytes as a run
from scratch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small import CONFIG, Small, prose, shard_sums, write_c4

from pipeline import graph
from pipeline.clean import phase as clean_phase
from pipeline.run import main
from pipeline.sources import SOURCES
from pipeline.tokenize import choose_tokenizer as tokenizer_phase
from tokenizer.train.training import TrainSettings, train

pytestmark = pytest.mark.slow


class Done:
    """Records the jobs that a run starts, for example ``clean-books``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: list[str] = []
        names: dict[str, Callable[[Any], list[str]]] = {
            "clean": lambda jobs: [f"clean-{job.label}" for job in jobs],
            "tokenize": lambda jobs: [f"tokens-{job.label}" for job in jobs],
            "mix": lambda job: ["mix"],
        }
        for name, labels in names.items():
            monkeypatch.setattr(graph, name, self._noting(getattr(graph, name), labels))
        monkeypatch.setattr(tokenizer_phase, "train", self._noting(tokenizer_phase.train, lambda _: ["train"]))

    def _noting(self, function: Any, labels: Callable[[Any], list[str]]) -> Any:
        def noted(first: Any, second: Any, *others: Any, **more: Any) -> Any:
            self.jobs += labels(second)
            return function(first, second, *others, **more)

        return noted


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Done:
    return Done(monkeypatch)


EVERYTHING_AFTER_CLEANING = ["train", "tokens-c4", "tokens-books", "mix"]


def manifest_of(out: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return manifest


def undated(out: Path) -> dict[str, Any]:
    return manifest_of(out) | {"created": ""}


def with_config(small: Small, tmp_path: Path, old: str, new: str) -> str:
    assert CONFIG.count(old) == 1
    path = tmp_path / "changed.yaml"
    path.write_text(CONFIG.replace(old, new))
    return f"--config={path}"


def test_nothing_is_done_twice(small: Small, small_done: Path, out: Path, done: Done, capsys: Any) -> None:
    assert small.run(out) == 0
    assert done.jobs == []
    assert (out / "manifest.json").read_bytes() == (small_done / "manifest.json").read_bytes()
    assert shard_sums(out) == shard_sums(small_done)
    printed = capsys.readouterr()
    assert "c4, books already complete" in printed.err
    assert "mix: already complete" in printed.err
    assert "60.0000 %" in printed.out, "the table is printed all the same"


def test_a_changed_setting_of_one_source_redoes_it_and_what_follows(
    small: Small, out: Path, done: Done, tmp_path: Path
) -> None:
    config = with_config(small, tmp_path, "{min_num_words: 50}", "{min_num_words: 10}")
    before = {p: p.stat().st_mtime_ns for p in (out / "clean" / "c4").iterdir()}
    assert small.run(out, config) == 0
    assert done.jobs == ["clean-books", "tokens-books", "mix"], "the tokenizer stays"
    assert {p: p.stat().st_mtime_ns for p in (out / "clean" / "c4").iterdir()} == before
    assert json.loads((out / "stats" / "books.json").read_text())["documents"] == {"in": 6, "kept": 6, "dropped": 0}


def test_with_a_tokenizer_of_its_own_only_the_changed_source_is_tokenized_again(
    small: Small, out: Path, done: Done, tmp_path: Path
) -> None:
    model = str(out / "tokenizer.model")
    given = f"--tokenizer={tmp_path / 'own.model'}"
    Path(tmp_path / "own.model").write_bytes(Path(model).read_bytes())
    assert small.run(out, given) == 0
    assert done.jobs == [], "it is the same tokenizer"
    assert small.run(out, given, with_config(small, tmp_path, "{min_num_words: 50}", "{min_num_words: 10}")) == 0
    assert done.jobs == ["clean-books", "tokens-books", "mix"]


def test_another_tokenizer_redoes_the_tokens_of_all(small: Small, out: Path, done: Done, tmp_path: Path) -> None:
    own = train([prose("own", 3000)], None, TrainSettings(vocab_size=300, lower_vocab_size=True))
    (tmp_path / "own.model").write_bytes(own.model)
    assert small.run(out, f"--tokenizer={tmp_path}/own.model") == 0
    assert done.jobs == ["tokens-c4", "tokens-books", "mix"]
    assert manifest_of(out)["tokenizer"]["sha256"] == own.sha256
    assert (out / "tokenizer.model").read_bytes() == own.model


def test_a_manifest_never_stands_beside_another_tokenizer(
    small: Small, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = train([prose("own", 3000)], None, TrainSettings(vocab_size=300, lower_vocab_size=True))
    (tmp_path / "own.model").write_bytes(own.model)

    def killed(*_: Any, **__: Any) -> None:
        raise _Killed

    monkeypatch.setattr("pipeline.phases.tokens.token_jobs", killed)
    with pytest.raises(_Killed):
        small.run(out, f"--tokenizer={tmp_path}/own.model")
    assert (out / "tokenizer.model").read_bytes() == own.model
    assert not (out / "manifest.json").exists()


def test_a_raised_data_version_redoes_its_source(
    small: Small, out: Path, done: Done, monkeypatch: pytest.MonkeyPatch, small_done: Path
) -> None:
    (step,) = [s for s in SOURCES["books"].steps if s.NAME == "book_quality"]
    monkeypatch.setattr(type(step), "DATA_VERSION", step.DATA_VERSION + 1)
    assert small.run(out) == 0
    assert done.jobs == ["clean-books", "tokens-books", "mix"], "the tokenizer stays"
    assert shard_sums(out) == shard_sums(small_done), "the step itself did not change"


def test_a_raised_data_version_of_a_reader_and_of_a_dedup(
    small: Small, out: Path, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(SOURCES["c4"].reader), "DATA_VERSION", 99)
    assert small.run(out, "--phase=clean") == 0
    assert done.jobs == ["clean-c4"]
    monkeypatch.setattr(clean_phase, "DATA_VERSION", 99)
    assert small.run(out, "--phase=clean") == 0
    assert done.jobs == ["clean-c4", "clean-c4", "clean-books"]


def test_a_new_file_of_one_source_redoes_it(small: Small, out: Path, done: Done, tmp_path: Path) -> None:
    write_c4(tmp_path / "more.json.gz", range(900, 905))
    more = [*small.inputs(), f"--input=c4={tmp_path}/more.json.gz"]
    assert small.run(out, *more) == 0
    assert done.jobs == ["clean-c4", "tokens-c4", "mix"]
    assert json.loads((out / "stats" / "c4.json").read_text())["documents"]["kept"] == 50


def test_overlapping_globs_are_one_input(small: Small, out: Path, done: Done) -> None:
    again = [*small.inputs(), f"--input=c4={small.root}/c4/c4-train.00000*", f"--input=c4={small.root}/c4"]
    assert small.run(out, *again) == 0
    assert done.jobs == []


def test_another_seed_redoes_the_mix_alone(small: Small, small_done: Path, out: Path, done: Done) -> None:
    assert small.run(out, "--seed=1") == 0
    assert done.jobs == ["mix"]
    assert shard_sums(out) != shard_sums(small_done)
    assert small.run(out) == 0
    assert shard_sums(out) == shard_sums(small_done)


def test_another_length_redoes_the_mix_alone(small: Small, out: Path, done: Done) -> None:
    assert small.run(out, "--tokens=10001") == 0
    assert done.jobs == ["mix"]
    manifest = manifest_of(out)
    assert manifest["tokens"] == 10001
    assert {s: v["tokens"] for s, v in manifest["sources"].items()} == {"c4": 6001, "books": 4000}


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def remove(path: Path) -> None:
    path.unlink()


def part(out: Path, folder: str) -> Path:
    return sorted((out / folder).glob("part-*"))[0]


Harm = Callable[[Path], object]

DAMAGES: dict[str, tuple[list[Harm], list[str]]] = {
    "clean parts": (
        [lambda out: cut(part(out, "clean/c4")), lambda out: remove(part(out, "clean/books"))],
        ["clean-c4", "clean-books"],
    ),
    "dropped parts and a marker": (
        [lambda out: cut(out / ".work/steps/clean-c4.json"), lambda out: remove(part(out, "dropped/books"))],
        ["clean-c4", "clean-books"],
    ),
    "statistics": ([lambda out: remove(out / "stats" / "books.json")], ["clean-books"]),
    "token files": (
        [lambda out: remove(part(out, ".work/tokens/c4")), lambda out: cut(part(out, ".work/tokens/books"))],
        ["tokens-c4", "tokens-books"],
    ),
    "a shard is gone": ([lambda out: remove(out / "shards/train-00001-of-00004.arrow")], []),
    "a shard is cut": ([lambda out: cut(out / "shards/train-00001-of-00004.arrow")], []),
    "a validation shard is gone": ([lambda out: remove(next((out / "validation").iterdir()))], []),
    "the manifest is gone": ([lambda out: remove(out / "manifest.json")], []),
    "the manifest is cut": ([lambda out: cut(out / "manifest.json")], []),
    "the manifest is of another form": ([lambda out: (out / "manifest.json").write_text("[]")], []),
    "the tokenizer is gone": ([lambda out: remove(out / "tokenizer.model")], ["train"]),
    "the tokenizer is another": ([lambda out: (out / "tokenizer.model").write_bytes(b"x")], ["train"]),
}
"""Ways to damage an output. Each has a list of functions that do the damage, and the jobs before the mix that repair
it.
"""


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_done_again(damage: str, small: Small, small_done: Path, out: Path, done: Done) -> None:
    harms, jobs = DAMAGES[damage]
    for harm in harms:
        harm(out)
    assert small.run(out) == 0
    assert [job for job in done.jobs if job != "mix"] == jobs
    assert undated(out) == undated(small_done)
    assert shard_sums(out) == shard_sums(small_done)
    for folder in ("clean", "dropped"):
        for source in ("c4", "books"):
            (old,), (new,) = (list((o / folder / source).iterdir()) for o in (small_done, out))
            assert pq.read_table(old).equals(pq.read_table(new))
    done.jobs.clear()
    assert small.run(out) == 0
    assert done.jobs == []


def test_a_lost_card_is_written_again_without_a_new_mix(small: Small, small_done: Path, out: Path, done: Done) -> None:
    remove(out / "README.md")
    assert small.run(out) == 0
    assert done.jobs == []
    assert (out / "README.md").read_text() == (small_done / "README.md").read_text()


def test_a_changed_byte_in_a_clean_part_is_noticed(small: Small, small_done: Path, out: Path, capsys: Any) -> None:
    path = part(out, "clean/books")
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    remove(out / ".work/steps/tokens-books.json")  # so that the part is read again
    assert small.run(out, "--seed=9") == 1
    said = capsys.readouterr().err
    assert f"error: {path} is damaged" in said  # the driver compares the tokenizer on texts of this part first
    assert "Traceback" not in said
    assert shard_sums(out) == shard_sums(small_done), "the earlier mixture stays"
    path.unlink()
    assert small.run(out, "--seed=9") == 0


def test_mixing_what_is_damaged_is_refused(small: Small, out: Path, capsys: Any) -> None:
    remove(part(out, "clean/books"))
    assert main(["--config", str(small.config), "--phase=mix", f"--output={out}"]) == 2
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert last_line.startswith("error: books: its clean documents in")
    assert "--phase=clean --input books=GLOB" in last_line


def test_the_phases_apart_come_to_the_same(small: Small, small_done: Path, tmp_path: Path, done: Done) -> None:
    out = tmp_path / "out"
    assert small.run(out, "--phase=clean", "--sources=books") == 0
    assert small.run(out, "--phase=clean") == 0
    assert done.jobs == ["clean-books", "clean-c4"]
    assert not (out / "manifest.json").exists()
    assert main(["--config", str(small.config), "--phase=mix", f"--output={out}"]) == 0
    assert done.jobs[2:] == EVERYTHING_AFTER_CLEANING
    assert shard_sums(out) == shard_sums(small_done)
    assert undated(out) == undated(small_done), "the inputs and models of the clean phase stand in it too"


def test_starting_over(small: Small, small_done: Path, out: Path, done: Done) -> None:
    (out / "mine.txt").write_text("not the run's")
    assert small.run(out, "--overwrite") == 0
    assert done.jobs == ["clean-c4", "clean-books", *EVERYTHING_AFTER_CLEANING]
    assert shard_sums(out) == shard_sums(small_done)
    assert (out / "mine.txt").exists()


def test_starting_the_mix_over_leaves_the_clean_documents(
    small: Small, small_done: Path, out: Path, done: Done
) -> None:
    assert main(["--config", str(small.config), "--phase=mix", f"--output={out}", "--overwrite"]) == 0
    assert done.jobs == EVERYTHING_AFTER_CLEANING
    assert shard_sums(out) == shard_sums(small_done)


@pytest.mark.parametrize("wrong", ["--input=c4=none/*.gz", "--models=none", "--exclude=none", "--fraction=7"])
def test_a_wrong_request_to_start_over_deletes_nothing(wrong: str, small: Small, small_done: Path, out: Path) -> None:
    assert small.run(out, "--overwrite", wrong) == 2
    assert undated(out) == undated(small_done)
    assert shard_sums(out) == shard_sums(small_done)
    assert part(out, "clean/books").exists()


def test_a_share_of_the_files(small: Small, tmp_path: Path, done: Done) -> None:
    out = tmp_path / "out"
    assert small.run(out, "--phase=clean", "--fraction=0.01") == 0
    inputs = {
        s: json.loads((out / f".work/steps/clean-{s}.json").read_text())["about"]["inputs"] for s in ("c4", "books")
    }
    assert {s: i["files"] for s, i in inputs.items()} == {"c4": 1, "books": 1}
    assert small.run(out, "--phase=clean", "--fraction=0.01") == 0
    assert done.jobs == ["clean-c4", "clean-books"]
    assert small.run(out, "--phase=clean") == 0
    assert done.jobs[2:] == ["clean-c4", "clean-books"], "another share is another input"


def excluded(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "exclude.txt"
    path.write_text("\n".join(("# opt-outs", *lines)))
    return f"--exclude={path}"


def clean_rows(out: Path, source: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / "clean" / source).to_pylist()
    return rows


def test_takedowns_are_applied_in_both_phases(small: Small, small_done: Path, out: Path, tmp_path: Path) -> None:
    book = clean_rows(out, "books")[0]["id"]
    given = excluded(tmp_path, "site0.example", book)
    assert main(["--config", str(small.config), "--phase=mix", f"--output={out}", given]) == 0
    stats = {s: json.loads((out / "stats" / f"{s}.json").read_text()) for s in ("c4", "books")}
    assert {s: v["excluded_in_mix"] for s, v in stats.items()} == {"c4": 9, "books": 1}
    assert len(clean_rows(out, "c4")) == 45, "the clean documents are as they were"
    assert small.run(out, given) == 0
    assert {r["url"].split("/")[2] for r in clean_rows(out, "c4")} == {f"site{n}.example" for n in range(1, 5)}
    dropped = pq.read_table(out / "dropped" / "books").to_pylist()
    assert [(r["id"], r["stage"], r["detail"]) for r in dropped if r["reason"] == "excluded"] == [
        (book, "excluded", book)
    ]
    changed = excluded(tmp_path, "site1.example")
    assert main(["--config", str(small.config), "--phase=mix", f"--output={out}", changed]) == 0
    stats = json.loads((out / "stats" / "c4.json").read_text())
    assert stats["excluded_in_mix"] == 9, "another list of the same name is another list"


class _Killed(BaseException):
    """Plays SIGKILL, so that a run stops at an exact place."""


PLACES = (
    "pipeline.phases.graph.clean",
    "pipeline.tokenize.choose_tokenizer.train",
    "pipeline.phases.graph.tokenize",
    "pipeline.phases.graph.mix",
    "pipeline.mix.phase.write_manifest",
)
"""The functions at which a run is stopped, in the order in which it calls them."""


def test_what_is_killed_never_looks_finished(
    small: Small, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with another setting begins to replace a complete output. It is stopped at each place in turn, and finally
    completed.
    """
    config = with_config(small, tmp_path, "{min_num_words: 50}", "{min_num_words: 10}")

    def killed(*_: Any, **__: Any) -> None:
        raise _Killed

    for place in PLACES:
        with monkeypatch.context() as patch:
            patch.setattr(place, killed)
            with pytest.raises(_Killed):
                small.run(out, config, "--retrain-tokenizer")
        assert not (out / "manifest.json").exists(), place
    assert small.run(out, config) == 0
    other = tmp_path / "other"
    assert small.run(other, config) == 0
    assert shard_sums(out) == shard_sums(other)
    assert undated(out) == undated(other)
    assert not list(out.glob(".work/spill*/*"))


def test_a_killed_process_is_continued(small: Small, small_done: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline.run", *small.args(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 100
    while not list(out.glob(".work/spill*/*/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(out.glob(".work/spill*/*/*")), "killed in the middle of its work"
    assert not (out / "manifest.json").exists()
    assert small.run(out) == 0
    assert shard_sums(out) == shard_sums(small_done)
    assert not list(out.glob(".work/spill*/*"))
