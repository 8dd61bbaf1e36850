"""Tests the data source for Grain: its records, their formats, and resuming from a state with any number of ranks."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixtures.grain import IGNORED_LABEL, PackedSource
from mixtures.loader import Loader, LoaderSettings, Place

Rows = list[tuple[str, str, int, list[int]]]
SETTINGS = LoaderSettings(seq_len=64, batch_size=4, drop_last=False)
PACKINGS = ("concatenate", "best_fit")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, rows: Rows, make_output: Callable[[Path, Rows], Path]) -> Path:
    return make_output(tmp_path_factory.mktemp("grain") / "out", rows[:14])


def whole_of(out: Path, settings: LoaderSettings) -> list[list[int]]:
    return [row for batch in Loader(out, settings) for row in batch.input_ids[:, :-1].tolist()]


@pytest.mark.parametrize("packing", PACKINGS)
def test_the_records_are_the_loaders_sequences(out: Path, packing: Any) -> None:
    settings = replace(SETTINGS, packing=packing, epochs=2, skip_sequences=[(3, 9)])
    source = PackedSource(out, settings)
    wanted = whole_of(out, settings)
    assert len(source) == len(wanted) > 40
    numbers = random.Random(1).sample(range(len(source)), 30)
    assert [record["input_ids"].tolist() for record in source.__getitems__(numbers)] == [wanted[i] for i in numbers]
    assert source[7]["input_ids"].tolist() == wanted[7]
    again = pickle.loads(pickle.dumps(source))
    assert (repr(again), again[7]["input_ids"].tolist()) == (repr(source), wanted[7])
    for wrong in (-1, len(source)):
        with pytest.raises(IndexError):
            source[wrong]
    later = PackedSource(out, settings, state=Loader(out, settings).state_after(2))
    assert repr(later) != repr(source), "Grain takes its state for any source that is printed alike"


@pytest.mark.parametrize("packing", PACKINGS)
def test_the_forms_agree(out: Path, packing: Any) -> None:
    settings = replace(SETTINGS, packing=packing)
    plain, maxtext, titan = (PackedSource(out, settings, form=form) for form in ("plain", "maxtext", "torchtitan"))
    num_silent = 0
    for number in range(len(plain)):
        one, two, (three, labels) = plain[number], maxtext[number], titan[number]
        assert one["input_ids"].tolist() == two["inputs"].tolist() == three["input"].tolist()
        assert one["labels"].tolist() == two["targets"].tolist()
        has_loss = one["loss_mask"]
        assert np.where(has_loss, one["labels"], IGNORED_LABEL).tolist() == labels.tolist()
        assert ((two["targets_segmentation"] > 0) == has_loss).all()
        is_document = two["inputs_segmentation"] > 0
        assert (two["inputs_segmentation"][is_document] == one["segment_ids"][is_document] + 1).all()
        assert (two["inputs_position"][is_document] == three["positions"][is_document]).all()
        assert (has_loss <= is_document).all()
        assert {array.dtype.name for array in two.values()} == {"int32"}
        num_silent += int((~has_loss).sum())
    assert num_silent > 10


@pytest.mark.parametrize("packing", PACKINGS)
def test_states_go_to_any_number_of_ranks_and_to_the_loader(out: Path, packing: Any) -> None:
    settings = replace(SETTINGS, packing=packing, epochs=2)
    wanted = whole_of(out, settings)
    generator = random.Random(5)
    for ranks in (1, 2, 3, 8):
        done = generator.randrange(1, len(wanted) - 9) // ranks * ranks
        first = PackedSource(out, settings)
        used = [one["input_ids"].tolist() for one in first.__getitems__(range(done))]
        state = first.state_after(done)
        for more in (1, 2, 3, 8):
            source = PackedSource(first.stream, settings, state=state)
            rest: dict[int, list[int]] = {}
            for rank in range(more):
                part = range(rank, len(source), more)
                records = source.__getitems__(part)
                rest |= {i: one["input_ids"].tolist() for i, one in zip(part, records, strict=True)}
                loader = Loader(first.stream, replace(settings, batch_size=1), place=Place(rank=rank, num_ranks=more))
                loader.load_state_dict(state)
                given = [batch.input_ids[0, :-1].tolist() for batch in loader]
                assert given == [rest[i] for i in part]
            assert used + [rest[i] for i in range(len(source))] == wanted


def test_wrong_requests_are_refused(out: Path) -> None:
    with pytest.raises(ValueError, match="epochs=None never ends"):
        PackedSource(out, replace(SETTINGS, epochs=None))
    with pytest.raises(ValueError, match="form 'x' is not among plain, maxtext, torchtitan, batch"):
        PackedSource(out, SETTINGS, form="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="of seed"):
        PackedSource(out, replace(SETTINGS, seed=1), state=PackedSource(out, SETTINGS).state_after(3))


@pytest.mark.train
@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_a_pipeline_of_grain(out: Path, ranks: int) -> None:
    grain = pytest.importorskip("grain", reason="make test-train installs it")
    source = PackedSource(out, SETTINGS, form="maxtext")
    wanted = whole_of(out, SETTINGS)
    found = {}
    for rank in range(ranks):
        data = grain.MapDataset.source(source)[rank::ranks]
        found |= {rank + i * ranks: data[i]["inputs"].tolist() for i in range(len(data))}
    assert [found[i] for i in range(len(found))] == wanted


@pytest.mark.train
def test_a_state_of_grain(out: Path) -> None:
    """Grain builds batches from our single sequences. Grain's own checkpoint resumes in the middle of a pass."""
    grain = pytest.importorskip("grain", reason="make test-train installs it")

    def batches() -> Any:
        source = PackedSource(out, SETTINGS, form="plain")
        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
        return iter(grain.MapDataset.source(source).to_iter_dataset(options).batch(3, drop_remainder=True))

    running = batches()
    first = [next(running)["input_ids"].tolist() for _ in range(5)]
    state = running.get_state()
    rest = [batch["input_ids"].tolist() for batch in running]
    again = batches()
    again.set_state(state)
    assert [batch["input_ids"].tolist() for batch in again] == rest
    wanted = whole_of(out, SETTINGS)
    flat = [row for batch in first + rest for row in batch]
    assert flat == wanted[: len(flat)]
    assert len(wanted) - len(flat) < 3


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_batches_are_those_of_the_loader_of_the_rank(
    out: Path, packing: Any, ranks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads the batches in order (the source then reads ahead), in other orders, from a pickled copy, and in threads.
    The data needs at least two packing plans.
    """
    monkeypatch.setattr("mixtures.loader._PLAN_TOKENS", 3_000)
    settings = replace(SETTINGS, packing=packing, epochs=2, skip_sequences=[(5, 7)])
    source = PackedSource(out, settings, form="batch")
    wanted: dict[int, Any] = {}
    for rank in range(ranks):
        place = Place(rank=rank, num_ranks=ranks)
        for i, batch in enumerate(Loader(source.stream, settings, place=place)):
            wanted[rank + i * ranks] = batch
    numbers = [i for i in range(len(source)) if i in wanted]
    assert len(source) - ranks < len(numbers) > 20
    jumbled = random.Random(2).sample(numbers, len(numbers))
    orders = [[i for rank in range(ranks) for i in numbers[rank::ranks]], jumbled, numbers[::-1]]
    for order in orders:
        for number in order:
            same(source[number], wanted[number])
    again = pickle.loads(pickle.dumps(source))
    with ThreadPoolExecutor(4) as pool:
        for number, record in zip(numbers, pool.map(again.__getitem__, numbers), strict=True):
            same(record, wanted[number])
    state = source.state_after(2 * ranks)
    rest = PackedSource(source.stream, settings, form="batch", state=state)
    same(rest[0], wanted[2 * ranks])


def same(record: dict[str, Any], batch: Any) -> None:
    assert record["input_ids"].dtype == record["position_ids"].dtype == record["cu_seqlens"].dtype == np.int32
    assert record["input_ids"].tolist() == batch.input_ids[:, :-1].tolist()
    assert record["labels"].tolist() == batch.input_ids[:, 1:].tolist()
    assert record["loss_mask"].tolist() == batch.loss_mask().tolist()
    assert record["position_ids"].tolist() == batch.positions()[:, :-1].tolist()
    assert record["sources"].tolist() == batch.sources()[:, 1:].tolist()
    assert record["cu_seqlens"].tolist() == batch.cu_seqlens().tolist()
    assert record["max_seqlen"] == batch.max_seqlen()
