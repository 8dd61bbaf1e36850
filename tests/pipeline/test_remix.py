"""Tests several mixtures of one clean corpus. The tokenizer is kept, and each mixture may have its own folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from small import CONFIG, Small, prose, shard_sums

from mixtures.forget.__main__ import main as forget
from mixtures.loader import Loader, LoaderSettings
from mixtures.manifest import NEW_MANIFEST
from pipeline.output.paths import Layout
from pipeline.progress.run_record import read_record
from pipeline.run import main
from tokenizer.train.training import TrainSettings, train

pytestmark = pytest.mark.slow


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Writes the small corpus's recipe with another name and other weights. Returns its path."""
    path = tmp_path / "anneal.yaml"
    assert CONFIG.count("weights: {") == 1
    begin = CONFIG.index("weights: {")
    path.write_text(CONFIG[:begin] + "weights: {c4: 25, books: 75}" + CONFIG[CONFIG.index("}", begin) + 1 :])
    return path


def mix(out: Path, *more: str) -> int:
    return main(["--phase=mix", f"--output={out}", "--direct_num_workers=1", *more])


def tokenizer_of(out: Path) -> str:
    return hashlib.sha256((out / "tokenizer.model").read_bytes()).hexdigest()


def manifest_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found


def files_of(out: Path) -> dict[str, tuple[int, int]]:
    """Returns a dict from every file except the lock to its (size, modification time)."""
    paths = [path for path in out.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(out)): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def test_other_weights_keep_the_tokenizer_and_say_so(out: Path, other: Path, capsys: Any) -> None:
    before = tokenizer_of(out)
    assert mix(out, f"--config={other}") == 0
    said = capsys.readouterr().err
    assert tokenizer_of(out) == before
    assert "tokenizer: kept, because shards" in said
    assert "although the weights changed; --retrain-tokenizer trains another" in said
    assert "mix: replaces the 4 shards of recipe small" in said
    assert "holds the 4 shards of recipe" not in said, "it is the same recipe with other weights"


def test_another_recipe_is_told_before_the_work(out: Path, other: Path, tmp_path: Path, capsys: Any) -> None:
    renamed = tmp_path / "renamed.yaml"
    renamed.write_text(other.read_text().replace("name: small", "name: second"))
    assert mix(out, f"--config={renamed}") == 0
    said = capsys.readouterr().err
    early = said.index("holds the 4 shards of recipe small")
    assert "which this run of recipe second will replace; interrupt it now to keep them" in said
    assert early < said.index("tokenizer: kept")
    assert mix(out, f"--config={renamed}") == 0
    assert "will replace" not in capsys.readouterr().err


def test_asked_for_another_tokenizer_is_trained_and_that_is_said(out: Path, other: Path, capsys: Any) -> None:
    before = tokenizer_of(out)
    assert mix(out, f"--config={other}", "--retrain-tokenizer") == 0
    said = capsys.readouterr().err
    assert tokenizer_of(out) != before
    assert "tokenizer: trained on this mixture; it replaces another tokenizer, with which the shards" in said
    assert mix(out, f"--config={other}") == 0
    assert "tokenizer: the one that was trained on this mixture before" in capsys.readouterr().err


def test_without_shards_another_mixture_trains_another_tokenizer(small: Small, tmp_path: Path, other: Path) -> None:
    """If a run was stopped before it wrote shards, nothing depends on its tokenizer. So another mixture trains a new
    one.
    """
    out = tmp_path / "out"
    assert small.run(out, "--tokens=99999999") == 2  # the tokenizer is made, the mixture cannot be
    before = tokenizer_of(out)
    assert mix(out, f"--config={other}") == 0
    assert tokenizer_of(out) != before


@pytest.mark.parametrize("killed", ["no manifest", "no marker"])
def test_the_tokenizer_stays_where_only_one_trace_of_its_shards_is_left(out: Path, other: Path, killed: str) -> None:
    before = tokenizer_of(out)
    (out / ("manifest.json" if killed == "no manifest" else ".work/steps/tokenizer.json")).unlink()
    assert mix(out, f"--config={other}") == 0
    assert tokenizer_of(out) == before


def test_a_tokenizer_that_was_named_stays_when_it_is_not_named_again(small: Small, tmp_path: Path, other: Path) -> None:
    own = train([prose("own", 3000)], None, TrainSettings(vocab_size=300, lower_vocab_size=True))
    (tmp_path / "own.model").write_bytes(own.model)
    out = tmp_path / "out"
    assert small.run(out, f"--tokenizer={tmp_path}/own.model") == 0
    (out / "manifest.json").unlink()
    assert mix(out, f"--config={other}") == 0
    assert tokenizer_of(out) == own.sha256


def test_a_mixture_beside_the_first_leaves_it_as_it_is(
    small: Small, small_done: Path, out: Path, tmp_path: Path, other: Path, capsys: Any
) -> None:
    before = files_of(out)
    second = tmp_path / "second"
    assert mix(second, f"--config={other}", f"--from={out}") == 0
    said = capsys.readouterr().err
    assert files_of(out) == before
    assert f"tokenizer: the one of {out}" in said
    assert "tokenize: done" not in said, "the token files are those of the first"
    assert tokenizer_of(second) == tokenizer_of(out)
    assert not (second / "clean").exists()
    assert not (second / ".work" / "tokens").exists()
    in_place = tmp_path / "in_place"
    shutil.copytree(small_done, in_place)
    assert mix(in_place, f"--config={other}") == 0
    assert shard_sums(second) == shard_sums(in_place)
    assert manifest_of(second) | {"created": ""} == manifest_of(in_place) | {"created": ""}
    assert json.loads((second / "stats" / "c4.json").read_text()) == json.loads((out / "stats" / "c4.json").read_text())
    assert "holds 45 documents" in (second / "report" / "index.html").read_text()
    assert mix(second, f"--config={other}", f"--from={out}") == 0
    assert "mix: already complete" in capsys.readouterr().err
    assert next(iter(Loader(second, LoaderSettings(seq_len=64, batch_size=2)))).input_ids.shape == (2, 65)


def test_a_mixture_beside_with_a_tokenizer_of_its_own(out: Path, tmp_path: Path, other: Path) -> None:
    before = files_of(out)
    second = tmp_path / "second"
    assert mix(second, f"--config={other}", f"--from={out}", "--retrain-tokenizer") == 0
    assert tokenizer_of(second) != tokenizer_of(out)
    assert (second / ".work" / "tokens" / "c4").exists()
    assert files_of(out) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--phase=all", "--from={out}"], "--from takes the clean documents of another run: it needs --phase=mix"),
        (["--from={out}/../second"], "--from and --output are both"),
        (["--from={tmp}/nothing"], "there is no output of a run"),
        (["--from={out}", "--tokenizer={out}/tokenizer.model", "--retrain-tokenizer"], "give one of the two"),
    ],
)
def test_requests_that_cannot_be_meant(
    out: Path, tmp_path: Path, other: Path, flags: list[str], message: str, capsys: Any
) -> None:
    given = [flag.format(out=out, tmp=tmp_path) for flag in flags]
    assert mix(tmp_path / "second", f"--config={other}", *given) == 2
    assert message in capsys.readouterr().err


def test_a_corpus_that_is_being_written_is_not_read(out: Path, tmp_path: Path, other: Path, capsys: Any) -> None:
    import fcntl

    with (out / ".work" / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert mix(tmp_path / "second", f"--config={other}", f"--from={out}") == 2
    assert "another run writes to it" in capsys.readouterr().err


def test_hugging_faces_form_of_the_tokenizer_lies_in_the_output(out: Path) -> None:
    from tokenizer.hugging_face import tokenizer_json

    assert (out / "tokenizer.json").read_text(encoding="utf-8") == tokenizer_json(
        (out / "tokenizer.model").read_bytes()
    )


@pytest.mark.parametrize(
    ("mixture", "shares"),
    [
        ("weights: {temperature: 0, sources: [c4, books]}", {"c4": 50.0, "books": 50.0}),
        ("weights: {relative: {c4: 1, books: 3}}", {"c4": 25.0, "books": 75.0}),
        ("weights: {c4: 1, books: 3}", {"c4": 25.0, "books": 75.0}),
        ("weights: {c4: 33.3333, books: 66.6666}", {"c4": 33.3333, "books": 66.6667}),
    ],
)
def test_weights_in_other_forms(out: Path, tmp_path: Path, mixture: str, shares: dict[str, float]) -> None:
    path = tmp_path / "form.yaml"
    path.write_text(f"name: form\nmixture:\n  {mixture}\n  max_epochs: 9\n  tokens: 1000000\n")
    assert mix(out, f"--config={path}") == 0
    sources = manifest_of(out)["sources"]
    assert {s: round(v["share"], 3) for s, v in sources.items()} == {s: round(w, 3) for s, w in shares.items()}


def test_epochs_are_proportions_where_more_may_be_seen(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "form.yaml"
    path.write_text("name: form\nmixture:\n  epochs: {c4: 1, books: 2}\n  max_epochs: 9\n  tokens: 1000000\n")
    assert mix(out, f"--config={path}") == 0
    assert {s: v["epochs"] for s, v in manifest_of(out)["sources"].items()} == {"c4": 4.5, "books": 9.0}


def test_epochs_alone_make_whole_epochs(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "epochs.yaml"
    path.write_text("name: form\nmixture:\n  epochs: {c4: 1, books: 2}\n  tokens: 1000000\n")
    assert mix(out, f"--config={path}") == 0
    manifest = manifest_of(out)
    assert {s: v["epochs"] for s, v in manifest["sources"].items()} == {"c4": 1.0, "books": 2.0}
    assert {v["cut_document"] for v in manifest["sources"].values()} == {None}


def test_a_new_mixture_does_not_bring_back_what_was_forgotten(
    out: Path, other: Path, tmp_path: Path, capsys: Any
) -> None:
    """The removed documents stay removed in the same output and in a new output that is mixed from it, also after a
    second removal.
    """
    gone = [documents_of(out)[place] for place in (0, -1)]
    for doc_id in gone:
        assert forget([str(out), "--id", doc_id]) == 0
        capsys.readouterr()
        before = files_of(out / "shards")
        for target in (["--config", str(other), f"--output={out}"],
                       ["--config", str(other), f"--output={tmp_path / 'new'}", f"--from={out}"]):  # fmt: skip
            assert main(["--phase=mix", "--direct_num_workers=1", *target]) == 2
            said = capsys.readouterr().err.splitlines()[-1]
            assert f"documents that mixtures.forget took out of {out} would be in the new shards" in said
            assert "--exclude" in said
        assert files_of(out / "shards") == before
        listed = tmp_path / "exclude.txt"
        listed.write_text("".join(path.read_text() for path in sorted((out / "forgotten").glob("*.txt"))))
        assert main(["--phase=mix", "--direct_num_workers=1", "--config", str(other), f"--output={out}",
                     f"--exclude={listed}"]) == 0  # fmt: skip
        assert doc_id not in set(documents_of(out))
    assert sorted((out / "forgotten").glob("*.txt")) == [out / "forgotten" / f"0000{n}.txt" for n in (1, 2)]


def documents_of(out: Path) -> list[str]:
    """Returns the ids of the documents in the shards, in order."""
    found: list[str] = []
    for path in sorted((out / "shards").iterdir()):
        found += pa.ipc.open_file(path).read_all().column("doc_id").to_pylist()
    return found


def test_a_new_mixture_deletes_what_a_killed_removal_has_left(out: Path, other: Path) -> None:
    """A killed removal can leave a file with a manifest. The new mixture deletes it, because the next removal would
    replace the new manifest by it.
    """
    left = out / NEW_MANIFEST
    manifest = json.loads((out / "manifest.json").read_text())
    left.write_text(json.dumps({"manifest": {**manifest, "forgotten": []}, "renames": []}))
    assert mix(out, f"--config={other}") == 0
    assert not left.exists()


def test_a_mixture_that_fails_is_not_taken_for_the_one_before(
    out: Path, other: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """The old shards are deleted before the new ones are written. So the old marker and the old record are deleted
    too.
    """

    def wrong(*_: Any, **__: Any) -> None:
        raise ValueError("the shards are not those of the plan")

    monkeypatch.setattr("pipeline.mix.phase.build_manifest", wrong)
    assert mix(out, f"--config={other}") == 2
    assert "are not those of the plan" in capsys.readouterr().err
    assert not (out / "manifest.json").exists()
    assert read_record(Layout(str(out)))["finished"] is False


def test_a_run_that_cleans_again_says_which_shards_no_longer_count(small: Small, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    assert small.run(out) == 0
    assert "no longer count" not in capsys.readouterr().err
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG.replace("sources: {", "sources: {c4: {line_dedup: off}, "))
    assert small.run(out, f"--config={other}", "--phase=clean") == 0
    said = capsys.readouterr().err
    assert "shards of recipe small (seed 0, " in said
    assert f"tokens) in {out} are of other clean documents than this run writes, so they no longer count" in said
    assert not (out / "manifest.json").exists()


def test_a_second_run_leaves_the_record_of_the_tokenizer_as_it_is(out: Path, small: Small) -> None:
    """The record is compared byte for byte: a run that does nothing must not even change the order of its keys."""
    before = (out / ".work" / "steps" / "tokenizer.json").read_bytes()
    assert b'"shards"' in before
    assert mix(out, f"--config={small.config}") == 0
    assert (out / ".work" / "steps" / "tokenizer.json").read_bytes() == before
