"""Tests PackedSequences in a DataLoader: passes, ranks, and the arguments for attention of variable length."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="make test-train installs it")

from torch.utils.data import DataLoader  # noqa: E402

from mixtures.loader import Batch, Loader, LoaderSettings  # noqa: E402
from mixtures.torch_dataset import PackedSequences, document_mask, tensors  # noqa: E402

pytestmark = pytest.mark.train
SETTINGS = LoaderSettings(seq_len=200, batch_size=4)
WORKERS: list[dict[str, Any]] = [
    {"num_workers": 0},
    {"num_workers": 2},
    {"num_workers": 2, "persistent_workers": True},
    {"num_workers": 2, "multiprocessing_context": "spawn"},
]
NAMES = ["none", "two", "persistent", "spawned"]


def numbers(batches: Any) -> list[int]:
    return [n for batch in batches for n in batch["sequences"].tolist()]


def passes_of(output: Path, num_passes: int, **changed: Any) -> list[list[int]]:
    """Returns the numbers of the sequences of each pass, as the plain loader returns them."""
    loader = Loader(output, LoaderSettings(**{"seq_len": 200, "batch_size": 4, **changed}))
    found = []
    for number in range(num_passes):
        loader.begin_pass(number)
        found.append([n for batch in loader for n in batch.sequences.tolist()])
    return found


@pytest.mark.parametrize("workers", WORKERS, ids=NAMES)
def test_every_iteration_is_the_next_pass(output: Path, workers: dict[str, Any]) -> None:
    wanted = passes_of(output, 3)
    assert wanted[0] != wanted[1]
    assert len(wanted[0]) == len(wanted[1]) > 100
    data = PackedSequences(output, SETTINGS)
    loader = DataLoader(data, batch_size=None, **workers)
    assert [numbers(loader) for _ in range(3)] == wanted
    assert len(loader) * 4 == len(data) * 4 == len(wanted[0])


@pytest.mark.parametrize("workers", WORKERS[:3], ids=NAMES[:3])
def test_a_pass_that_is_broken_off_is_followed_by_the_next(output: Path, workers: dict[str, Any]) -> None:
    wanted = passes_of(output, 2)
    loader = DataLoader(PackedSequences(output, SETTINGS), batch_size=None, **workers)
    for _, batch in zip(range(3), loader, strict=False):
        assert set(batch["sequences"].tolist()) <= set(wanted[0])
    assert numbers(loader) == wanted[1]


@pytest.mark.parametrize("workers", WORKERS[:3], ids=NAMES[:3])
def test_a_random_generator_that_is_seeded_alike_does_not_repeat_a_pass(output: Path, workers: dict[str, Any]) -> None:
    loader = DataLoader(PackedSequences(output, SETTINGS), batch_size=None, **workers)
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        found.append(numbers(loader))
    assert found == passes_of(output, 2)


@pytest.mark.parametrize("workers", WORKERS[:3], ids=NAMES[:3])
@pytest.mark.parametrize("used", ["some", "a pass", "more"])
def test_a_state_gives_the_rest_of_its_pass_and_then_the_next(output: Path, workers: dict[str, Any], used: str) -> None:
    wanted = passes_of(output, 3)
    per_pass = len(wanted[0]) // 4
    steps = {"some": 5, "a pass": per_pass, "more": per_pass + 7}[used]
    first = PackedSequences(output, SETTINGS)
    state = pickle.loads(pickle.dumps(first.state_after(steps)))
    data = PackedSequences(output, SETTINGS)
    data.load_state_dict(state)
    loader = DataLoader(data, batch_size=None, **workers)
    flat = [n for one in wanted for n in one]
    found = numbers(loader) + numbers(loader)
    assert found == flat[steps * 4 : steps * 4 + len(found)]
    assert len(found) > len(wanted[0])
    assert data.state_after(len(found) // 4) == first.state_after(steps + len(found) // 4)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stateful_dataloader_goes_from_pass_to_pass(output: Path, num_workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="make test-train installs it")
    wanted = passes_of(output, 3)

    def made() -> Any:
        return stateful.StatefulDataLoader(PackedSequences(output, SETTINGS), batch_size=None, num_workers=num_workers)

    loader = made()
    assert numbers(loader) == wanted[0]
    running = iter(loader)
    before = numbers(next(running) for _ in range(5))
    assert before == wanted[1][:20]
    state = loader.state_dict()
    again = made()
    again.load_state_dict(state)
    assert numbers(again) == wanted[1][20:]
    assert numbers(again) == wanted[2]


@pytest.mark.parametrize("workers", WORKERS[:3], ids=NAMES[:3])
def test_an_endless_pass_is_begun_once(output: Path, workers: dict[str, Any]) -> None:
    data = PackedSequences(output, LoaderSettings(seq_len=200, batch_size=4, epochs=None))
    with pytest.raises(TypeError, match="never ends"):
        len(data)
    loader = DataLoader(data, batch_size=None, **workers)
    used = numbers(batch for _, batch in zip(range(5), loader, strict=False))
    with pytest.raises(ValueError, match="epochs=None is one endless pass"):
        next(iter(loader))
    data = PackedSequences(output, data.settings)
    data.load_state_dict(PackedSequences(output, data.settings).state_after(5))
    loader = DataLoader(data, batch_size=None, **workers)
    used += numbers(batch for _, batch in zip(range(5), loader, strict=False))
    assert used == passes_of(output, 1)[0][:40]


def test_the_length_with_skips_is_not_known(output: Path) -> None:
    data = PackedSequences(output, LoaderSettings(seq_len=200, batch_size=4, skip_sequences=[(0, 8)]))
    with pytest.raises(TypeError, match="skip_sequences"):
        len(data)
    assert numbers(DataLoader(data, batch_size=None)) == passes_of(output, 1)[0][8:]


@pytest.mark.parametrize(
    ("environment", "ranks"),
    [({}, (0, 1)), ({"RANK": "1", "WORLD_SIZE": "3"}, (1, 3)), ({"WORLD_SIZE": "1"}, (0, 1)), ({"RANK": "1"}, (0, 1))],
)
def test_ranks_of_the_environment(
    output: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], ranks: tuple[int, int]
) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    data = PackedSequences(output, SETTINGS)
    assert (data._rank, data._num_ranks) == ranks
    given = PackedSequences(output, SETTINGS, rank=2, num_ranks=4)
    assert (given._rank, given._num_ranks) == (2, 4)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2 and RANK is not set"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "the environment's WORLD_SIZE is 'two'"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "rank 2 is not among 2"),
    ],
)
def test_ranks_that_are_not_known_are_refused(
    output: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        PackedSequences(output, SETTINGS)


def test_ranks_that_change_later_are_refused(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mixtures.torch_dataset as module

    monkeypatch.delenv("WORLD_SIZE", raising=False)
    data, given = PackedSequences(output, SETTINGS), PackedSequences(output, SETTINGS, rank=0, num_ranks=2)
    monkeypatch.setattr(module, "_initialised_ranks", lambda: (1, 2))
    with pytest.raises(ValueError, match=r"torch\.distributed now says rank 1 of 2: open it after init_process_group"):
        iter(data)
    assert numbers(iter(given))


def batches_of(output: Path, **changed: Any) -> list[Batch]:
    made = LoaderSettings(**{"seq_len": 96, "batch_size": 3, **changed})
    return [batch for _, batch in zip(range(150), Loader(output, made), strict=False)]


@pytest.mark.parametrize("packing", ["concatenate", "best_fit"])
def test_cumulative_lengths_are_the_mask(output: Path, packing: str) -> None:
    """Attention that treats each document alone, by ``cu_seqlens``, equals attention with the block-diagonal mask."""
    generator = torch.Generator().manual_seed(0)
    for batch in batches_of(output, packing=packing):
        made = tensors(batch)
        bounds = made["cu_seqlens"].tolist()
        assert bounds[0] == 0
        assert bounds[-1] == made["input_ids"].numel()
        assert max(np.diff(bounds)) == int(made["max_seqlen"])
        q, k, v = (torch.randn(3, 2, 96, 8, generator=generator) for _ in range(3))
        attention = torch.nn.functional.scaled_dot_product_attention
        dense = attention(q, k, v, attn_mask=document_mask(made["segment_ids"]))
        flat = [x.transpose(1, 2).reshape(-1, 2, 8) for x in (q, k, v)]
        pieces = []
        for begin, end in pairwise(bounds):
            one = [x[begin:end].transpose(0, 1)[None] for x in flat]
            pieces.append(attention(*one, is_causal=True)[0].transpose(0, 1))
        packed = torch.cat(pieces).reshape(3, 96, 2, 8).transpose(1, 2)
        torch.testing.assert_close(packed, dense)


@pytest.mark.parametrize("packing", ["concatenate", "best_fit"])
def test_positions_begin_at_the_cumulative_lengths(output: Path, packing: str) -> None:
    for batch in batches_of(output, packing=packing):
        made = tensors(batch)
        begins = torch.nonzero(made["position_ids"].flatten() == 0).flatten()
        assert begins.tolist() == made["cu_seqlens"][:-1].tolist()
        assert set(torch.diff(made["position_ids"].flatten()).tolist()) - {1} <= set(range(-96, 1))


@pytest.mark.parametrize("packing", ["concatenate", "best_fit"])
def test_the_loss_mask_leaves_out_the_label_after_an_eos(output: Path, packing: str) -> None:
    seen = 0
    for batch in batches_of(output, packing=packing):
        made = tensors(batch)
        after_eos = (made["input_ids"] == 2) & (made["segment_ids"] >= 0)
        assert not (after_eos & made["loss_mask"]).any()
        left = ~made["loss_mask"]
        is_padding = made["sources"] == -1
        assert (left == (after_eos | (made["labels"] == 1) | is_padding)).all()
        seen += int((left & ~is_padding).sum())
    assert seen > 10
