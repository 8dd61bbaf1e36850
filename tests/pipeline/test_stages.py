"""Tests mixtures that continue each other as stages. Each source continues where it stopped, and nothing else
changes.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small import CONFIG, Small, make, manifest_of, rows_of, shard_sums

from mixtures.loader import Loader, LoaderSettings
from mixtures.verify.__main__ import main as verify
from pipeline.run import main

pytestmark = pytest.mark.slow


def recipe(folder: Path, weights: str, *changes: tuple[str, str]) -> Path:
    """Writes the small corpus's recipe with other weights."""
    begin = CONFIG.index("weights: {")
    text = CONFIG[:begin] + weights + CONFIG[CONFIG.index("}", begin) + 1 :]
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = folder / "stage.yaml"
    path.write_text(text)
    return path


def go_on(before: Path, output: Path, config: Path, *more: str) -> int:
    return main(["--phase=mix", f"--continue-from={before}", f"--output={output}", f"--config={config}",
                 "--direct_num_workers=1", *more])  # fmt: skip


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Returns three stages. The first two use parts of the first epoch. The third uses all that remains of three
    epochs.
    """
    root = tmp_path_factory.mktemp("stages")
    small = make(root / "small")
    outs = [root / name for name in ("one", "two", "three")]
    assert small.run(outs[0], "--tokens=9000", "--seed=4") == 0
    config = recipe(root, "weights: {c4: 25, books: 75}")
    assert go_on(outs[0], outs[1], config, "--tokens=5000") == 0
    assert go_on(outs[1], outs[2], config, f"--from={outs[0]}") == 0
    return outs


@pytest.fixture
def first(stages: list[Path], tmp_path: Path) -> Path:
    """Returns a copy of the first stage."""
    return Path(shutil.copytree(stages[0], tmp_path / "one"))


def test_a_source_goes_on_where_it_stopped(stages: list[Path]) -> None:
    """Over all stages together, each epoch of a source has each document at most once, in the order of the hashes."""
    rows = [(number, *row) for number, out in enumerate(stages) for row in rows_of(out)]
    times = Counter((source, doc_id, epoch) for _, source, doc_id, epoch, _ in rows)
    assert set(times.values()) == {1}
    per_stage = [{(s, i) for n, s, i, e, _ in rows if n == stage and e == 0} for stage in range(3)]
    assert all(per_stage)
    assert not per_stage[0] & per_stage[1]
    assert not (per_stage[0] | per_stage[1]) & per_stage[2]
    trained = {(s, i) for _, s, i, _, _ in rows}
    assert set.union(*per_stage) == trained, "what the first two stages left of epoch 0 is in the third"
    books = manifest_of(stages[2])["sources"]["books"]
    assert (books["begin_epoch"], books["end_epoch"], books["end_document"]) == (0, 3, None)


def test_only_the_last_document_of_each_range_is_cut(stages: list[Path]) -> None:
    whole = {(s, i): ids for out in stages for s, i, _, ids in rows_of(out) if ids[-1] == 2}
    for out in stages:
        cut = {s: line["cut_document"] for s, line in manifest_of(out)["sources"].items()}
        for source, doc_id, epoch, ids in rows_of(out):
            if ids[-1] != 2:
                assert (doc_id, epoch) == (cut[source], manifest_of(out)["sources"][source]["end_epoch"])
                assert whole.get((source, doc_id), ids)[: len(ids)] == ids


def test_validation_seed_and_tokenizer_stay(stages: list[Path]) -> None:
    held = [sorted(rows_of(out, "validation")) for out in stages]
    assert held[0]
    assert held[0] == held[1] == held[2]
    assert {manifest_of(out)["seed"] for out in stages} == {4}
    assert len({(out / "tokenizer.model").read_bytes() for out in stages}) == 1
    one, two, three = (manifest_of(out)["tokenizer"] for out in stages)
    assert (one == two == three, one["trained"]["bytes"] > 0) == (True, True)
    trained = {row[:2] for out in stages for row in rows_of(out)}
    assert not trained & {row[:2] for row in held[0]}


def test_budgets_and_weights_are_each_stage_s_own(stages: list[Path]) -> None:
    two = manifest_of(stages[1])
    assert two["tokens"] == 5_000
    assert {s: line["tokens"] for s, line in two["sources"].items()} == {"c4": 1_250, "books": 3_750}
    assert sum(len(row[3]) for row in rows_of(stages[1])) == 5_000


def test_one_manifest_describes_all_stages(stages: list[Path], capsys: Any) -> None:
    three = manifest_of(stages[2])
    assert [stage["path"] for stage in three["stages"]] == ["../one", "../two"]
    for stage, out in zip(three["stages"], stages, strict=False):
        whole = manifest_of(out)
        assert {k: stage[k] for k in ("tokens", "fingerprint", "sources", "recipe")} == {
            k: whole[k] for k in ("tokens", "fingerprint", "sources", "recipe")
        }
    assert verify([str(stages[2])]) == 0


def test_verify_compares_the_stages(stages: list[Path], tmp_path: Path, capsys: Any) -> None:
    copies = [Path(shutil.copytree(out, tmp_path / out.name)) for out in stages[:2]]
    manifest = manifest_of(copies[1])
    manifest["stages"][0]["path"] = "."  # the second stage after itself
    manifest["stages"][0]["fingerprint"] = manifest["fingerprint"]
    (copies[1] / "manifest.json").write_text(json.dumps(manifest))
    assert verify([str(copies[1])]) == 1
    assert "9 rows repeat a document within an epoch" in capsys.readouterr().err


def test_a_stage_made_again_is_the_same(stages: list[Path], first: Path, tmp_path: Path, capsys: Any) -> None:
    config = recipe(tmp_path, "weights: {c4: 25, books: 75}")
    assert go_on(first, tmp_path / "two", config, "--tokens=5000") == 0
    assert shard_sums(tmp_path / "two") == shard_sums(stages[1])
    assert go_on(first, tmp_path / "two", config, "--tokens=5000") == 0
    assert "mix: already complete" in capsys.readouterr().err
    assert go_on(first, tmp_path / "two", config, "--tokens=4000") == 0
    assert manifest_of(tmp_path / "two")["tokens"] == 4_000


def test_a_number_of_tokens_stays_held_out_when_documents_come_in(tmp_path: Path) -> None:
    """If the held-out documents were chosen again, new documents with small hashes would replace some of them."""
    small = make(tmp_path / "small")
    config = recipe(tmp_path, "weights: {c4: 60, books: 40}", ("validation: {share: 0.1}", "validation: {tokens: 700}"))
    before = ["--config", str(config), *small.inputs(), "--direct_num_workers=1"]
    few = [a.replace("*.json.gz", "c4-train.00000*.json.gz") for a in before]
    assert main([*few, f"--output={tmp_path}/one", "--tokens=3000"]) == 0
    held = {row[:2] for row in rows_of(tmp_path / "one", "validation")}
    trained = {row[:2] for row in rows_of(tmp_path / "one")}
    assert main([*before, f"--output={tmp_path}/clean", "--phase=clean"]) == 0
    assert go_on(tmp_path / "one", tmp_path / "two", config, f"--from={tmp_path}/clean") == 0
    now = {row[:2] for row in rows_of(tmp_path / "two", "validation")}
    assert held <= now
    assert not now & trained
    assert not held & {row[:2] for row in rows_of(tmp_path / "two")}
    assert len({row[1] for row in rows_of(tmp_path / "two") if row[0] == "c4"}) > 15
    assert verify([str(tmp_path / "two")]) == 0


def test_a_source_that_has_run_out_is_named(first: Path, tmp_path: Path, capsys: Any) -> None:
    once = recipe(tmp_path, "weights: {c4: 50, books: 50}", ("max_epochs: 3", "max_epochs: {c4: 0.6, books: 2}"))
    assert go_on(first, tmp_path / "two", once) == 2
    said = capsys.readouterr().err
    assert "c4 has run out: earlier stages took" in said
    assert "it may be seen at most 0.6 times over all stages: raise its max_epochs" in said
    shared = recipe(tmp_path, "missing: share\n  weights: {c4: 50, books: 50}",
                    ("max_epochs: 3", "max_epochs: {c4: 0.6, books: 2}"))  # fmt: skip
    assert go_on(first, tmp_path / "two", shared) == 0
    assert set(manifest_of(tmp_path / "two")["sources"]) == {"books"}


def test_too_many_tokens_are_refused_with_what_is_left(first: Path, tmp_path: Path, capsys: Any) -> None:
    assert go_on(first, tmp_path / "two", recipe(tmp_path, "weights: {c4: 50, books: 50}"), "--tokens=90000") == 2
    said = capsys.readouterr().err
    assert "earlier stages took" in said
    assert "tokens fit (--tokens" in said


def test_epochs_of_a_stage_count_that_stage(first: Path, tmp_path: Path) -> None:
    config = recipe(tmp_path, "epochs: {c4: 1, books: 2}", ("  max_epochs: 3\n", ""))
    assert go_on(first, tmp_path / "two", config) == 0
    assert {s: line["epochs"] for s, line in manifest_of(tmp_path / "two")["sources"].items()} == {"c4": 1, "books": 2}
    begun = {s: (v["begin_epoch"], v["end_epoch"]) for s, v in manifest_of(tmp_path / "two")["sources"].items()}
    assert begun == {"c4": (0, 1), "books": (0, 2)}


Wrong = Callable[[Path, Path], list[str]]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--seed=9"], "--seed 9: {one} has seed 4"),
        (["--retrain-tokenizer"], "--continue-from keeps the tokenizer"),
        (["--tokenizer={other}"], "is not the tokenizer of {one}, which this mixture continues"),
        (["--phase=all"], "--continue-from makes a further mixture of clean documents: it needs --phase=mix"),
        (["--output={one}"], "--continue-from and --output are both {one}"),
        (["--continue-from={one}/clean"], "there is no output of a run"),
    ],
)
def test_requests_that_contradict_the_first_stage(
    first: Path, tmp_path: Path, capsys: Any, more: list[str], said: str
) -> None:
    from tokenizer.train.training import TrainSettings, train

    (tmp_path / "other.model").write_bytes(train(["some other text"] * 9, None, TrainSettings(
        vocab_size=300, lower_vocab_size=True)).model)  # fmt: skip
    filled = [arg.replace("{one}", str(first)).replace("{other}", f"{tmp_path}/other.model") for arg in more]
    assert go_on(first, tmp_path / "two", recipe(tmp_path, "weights: {c4: 25, books: 75}"), *filled) == 2
    assert said.replace("{one}", str(first)) in capsys.readouterr().err


@pytest.mark.parametrize("share", ["0.2", "0.05"])
def test_another_validation_share_is_refused(first: Path, tmp_path: Path, capsys: Any, share: str) -> None:
    config = recipe(tmp_path, "weights: {c4: 25, books: 75}", ("share: 0.1", f"share: {share}"))
    assert go_on(first, tmp_path / "two", config) == 2
    assert f"is share {share}, and earlier stages held out share 0.1" in capsys.readouterr().err
    without = recipe(tmp_path, "weights: {c4: 25, books: 75}", ("  validation: {share: 0.1}\n", ""))
    assert go_on(first, tmp_path / "two", without, "--tokens=2000") == 0
    assert sorted(rows_of(tmp_path / "two", "validation")) == sorted(rows_of(first, "validation"))


def test_a_stage_that_was_replaced_is_refused(small: Small, stages: list[Path], tmp_path: Path, capsys: Any) -> None:
    copies = [Path(shutil.copytree(out, tmp_path / out.name)) for out in stages[:2]]
    config = recipe(tmp_path, "weights: {c4: 25, books: 75}")
    assert (
        main(["--phase=mix", f"--output={copies[0]}", f"--config={config}", "--seed=4", "--direct_num_workers=1"]) == 0
    )
    with pytest.raises(ValueError, match=r"stage 1 of .* its shards were replaced by others"):
        Loader(copies[1], LoaderSettings(seq_len=64, batch_size=2))
    assert go_on(copies[1], tmp_path / "three", config, f"--from={copies[0]}") == 2
    assert "its earlier stage in ../one was replaced by another mixture" in capsys.readouterr().err
    shutil.rmtree(copies[0])
    with pytest.raises(ValueError, match=r"stage 1 of .*: there is no such folder"):
        Loader(copies[1], LoaderSettings(seq_len=64, batch_size=2))


def test_a_shard_that_is_gone_is_named(first: Path, tmp_path: Path, capsys: Any) -> None:
    next((first / "shards").iterdir()).unlink()
    assert go_on(first, tmp_path / "two", recipe(tmp_path, "weights: {c4: 25, books: 75}")) == 2
    assert "a shard is gone or was changed" in capsys.readouterr().err
