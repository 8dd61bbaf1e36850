"""Tests libraries that trainers use: PyTorch's loaders and Hugging Face datasets. Also kills and resumes the training
example.
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

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="make test-train installs it")

from mixtures.loader import Loader, LoaderSettings  # noqa: E402
from mixtures.torch_dataset import PackedSequences, document_mask, tensors  # noqa: E402

pytestmark = pytest.mark.train
Rows = list[tuple[str, str, int, list[int]]]
SETTINGS = LoaderSettings(seq_len=64, batch_size=4)
EXAMPLE = Path(__file__).parents[2] / "examples" / "train.py"


def numbers(batches: Any) -> list[int]:
    return [n for batch in batches for n in batch["sequences"].tolist()]


def test_tensors_are_the_batch(output: Path) -> None:
    batch = next(iter(Loader(output, SETTINGS)))
    made = tensors(batch)
    assert (made["input_ids"].numpy() == batch.input_ids[:, :-1]).all()
    assert (made["labels"].numpy() == batch.input_ids[:, 1:]).all()
    assert (made["sources"].numpy() == batch.sources()[:, 1:]).all()
    assert (made["position_ids"].numpy() == batch.positions()[:, :-1]).all()
    assert (made["segment_ids"].numpy() == batch.segment_ids()[:, :-1]).all()
    kinds = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in made.items()}
    assert kinds == {
        "input_ids": "int64", "labels": "int64", "segment_ids": "int32", "position_ids": "int64", "sources": "int8",
        "sequences": "int64", "loss_mask": "bool", "cu_seqlens": "int32", "max_seqlen": "int32",
    }  # fmt: skip


def test_the_mask_keeps_documents_apart(output: Path) -> None:
    made = tensors(next(iter(Loader(output, SETTINGS))))
    mask = document_mask(made["segment_ids"])
    assert mask.shape == (4, 1, 64, 64)
    segments = made["segment_ids"].numpy()
    for b, i, j in np.random.default_rng(1).integers(0, [4, 64, 64], (500, 3)).tolist():
        assert bool(mask[b, 0, i, j]) == (j <= i and segments[b, i] == segments[b, j])


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_a_dataloader_gives_every_sequence_once_in_the_loaders_order(output: Path, num_workers: int) -> None:
    from torch.utils.data import DataLoader

    whole = [n for batch in Loader(output, SETTINGS) for n in batch.sequences.tolist()]
    data = PackedSequences(output, SETTINGS)
    assert numbers(DataLoader(data, batch_size=None, num_workers=num_workers)) == whole


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stateful_dataloader_resumes(output: Path, num_workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="make test-train installs it")

    def made() -> Any:
        return stateful.StatefulDataLoader(PackedSequences(output, SETTINGS), batch_size=None, num_workers=num_workers)

    whole = numbers(made())
    loader = made()
    running = iter(loader)
    before = numbers(next(running) for _ in range(7))
    state = loader.state_dict()
    again = made()
    again.load_state_dict(state)
    assert before + numbers(again) == whole


def test_the_number_of_steps_is_state_enough(output: Path) -> None:
    from torch.utils.data import DataLoader

    whole = numbers(DataLoader(PackedSequences(output, SETTINGS), batch_size=None))
    data = PackedSequences(output, SETTINGS)
    running = iter(DataLoader(data, batch_size=None, num_workers=2))
    before = numbers(next(running) for _ in range(5))
    rest: dict[int, list[int]] = {}
    for rank in range(2):
        half = PackedSequences(output, LoaderSettings(seq_len=64, batch_size=2), rank=rank, num_ranks=2)
        half.load_state_dict(data.state_after(5))
        for i, batch in enumerate(DataLoader(half, batch_size=None, num_workers=rank)):
            rest.setdefault(i, []).extend(batch["sequences"].tolist())
    assert before + [n for i in sorted(rest) for n in rest[i]] == whole


def test_hugging_face_datasets_open_the_shards_as_they_are(output: Path, rows: Rows, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="make test-train installs it")
    files = sorted(map(str, (output / "shards").iterdir()))
    ordered = [row for shard in range(5) for row in rows[shard::5]]
    loaded = datasets.load_dataset("arrow", data_files=files, split="train", cache_dir=str(tmp_path))
    assert loaded.num_rows == len(ordered)
    for found, (source, doc_id, epoch, ids) in zip(loaded, ordered, strict=True):
        assert (found["source"], found["doc_id"], found["epoch"], found["input_ids"]) == (source, doc_id, epoch, ids)
    streamed = datasets.load_dataset("arrow", data_files=files, split="train", streaming=True)
    assert [row["doc_id"] for row in streamed] == [row[1] for row in ordered]


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows, make_output: Callable[[Path, Rows], Path]
) -> tuple[Path, Path, list[dict[str, Any]]]:
    """Trains on an output without interruption. Returns the folder of the training, the output, and the losses."""
    pytest.importorskip("transformers", reason="make test-train installs it")
    folder = tmp_path_factory.mktemp("train")
    output = make_output(folder / "out", rows)
    subprocess.run(command(output, folder / "whole"), check=True, stdout=subprocess.DEVNULL, env=environment())
    return folder, output, losses_of(folder / "whole")


def command(output: Path, checkpoints: Path, *more: str) -> list[str]:
    small = "--steps=40 --seq-len=64 --batch-size=8 --width=64 --layers=2 --heads=2 --checkpoint-steps=10 --threads=1"
    learning = "--learning-rate=5e-3"
    return [
        sys.executable,
        str(EXAMPLE),
        str(output),
        "--checkpoints",
        str(checkpoints),
        *small.split(),
        learning,
        *more,
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])}


def losses_of(checkpoints: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (checkpoints / "losses.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_loss_falls(trained: tuple[Path, Path, list[dict[str, Any]]]) -> None:
    _, _, lines = trained
    losses = [line["loss"] for line in lines]
    assert [line["step"] for line in lines] == list(range(40))
    assert losses[0] == pytest.approx(np.log(600), abs=0.3)  # of a model that knows nothing of 600 pieces
    assert np.mean(losses[-5:]) < losses[0] - 1
    assert all(set(line["sources"]) <= {"books", "c4", "wikipedia"} and line["sources"] for line in lines)
    rates = [line["learning_rate"] for line in lines]
    assert max(rates) == pytest.approx(5e-3)
    assert rates.index(max(rates)) in (3, 4)
    assert rates[-1] == pytest.approx(5e-4, rel=0.05)


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_losses(trained: tuple[Path, Path, list[dict[str, Any]]]) -> None:
    folder, output, whole = trained
    checkpoints = folder / "killed"
    running = subprocess.Popen(command(output, checkpoints), stdout=subprocess.DEVNULL, env=environment())
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        if (checkpoints / "checkpoint.pt").exists() and len(losses_of(checkpoints)) > 13:
            break
        time.sleep(0.02)
    assert running.poll() is None, "it ended before it could be killed"
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert 13 < len(losses_of(checkpoints)) < 40
    done = subprocess.run(command(output, checkpoints), check=True, capture_output=True, text=True, env=environment())
    assert "going on after step" in done.stdout
    assert losses_of(checkpoints) == whole


@pytest.mark.slow
def test_stopped_and_resumed_with_workers_gives_the_same_losses(
    trained: tuple[Path, Path, list[dict[str, Any]]],
) -> None:
    folder, output, whole = trained
    checkpoints = folder / "stopped"
    for more in (("--stop-after=17",), ("--workers=2",)):
        subprocess.run(command(output, checkpoints, *more), check=True, stdout=subprocess.DEVNULL, env=environment())
    assert losses_of(checkpoints) == whole


@pytest.mark.slow
def test_a_wrong_request_is_one_line(trained: tuple[Path, Path, list[dict[str, Any]]]) -> None:
    folder, _, _ = trained
    done = subprocess.run(command(folder, folder / "x"), capture_output=True, text=True, env=environment())
    assert done.returncode == 2
    assert "manifest.json is not there" in done.stderr
    assert done.stderr.count("\n") == 1
