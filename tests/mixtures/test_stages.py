"""Tests a loader that reads several stages one after the other. It resumes exactly in each stage, with any ranks,
workers, packing and length.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixtures.inspect.__main__ import main as inspect
from mixtures.loader import Loader, LoaderSettings, Place
from mixtures.manifest import read_manifest, stage_of
from mixtures.stages import StagedStream, open_stages
from mixtures.stream import TokenStream

Rows = list[tuple[str, str, int, list[int]]]
SETTINGS = LoaderSettings(seq_len=64, batch_size=2, drop_last=False)
PACKINGS = ("concatenate", "best_fit")
NUM_RANDOM_CASES = int(os.environ.get("NUM_RESUME_CASES", "150"))


@pytest.fixture(scope="module")
def stages(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows, make_output: Callable[[Path, Rows], Path]
) -> list[Path]:
    """Returns three stages of different sizes. The second has no books. The third is longer than the first two
    together.
    """
    folder = tmp_path_factory.mktemp("stages")
    parts = [rows[:12], [row for row in rows[12:30] if row[0] != "books"], rows[30:]]
    outs = [make_output(folder / name, part) for name, part in zip(("one", "two", "three"), parts, strict=True)]
    listed: list[dict[str, Any]] = []
    for out in outs:
        manifest = read_manifest(out)
        if out.name == "two":
            del manifest["sources"]["books"]
        if listed:
            manifest["stages"] = list(listed)
        (out / "manifest.json").write_text(json.dumps(manifest))
        listed.append(stage_of(manifest, f"../{out.name}"))
    return outs


def rows_given(loaders: list[Loader], num_steps: int) -> list[Any]:
    """Returns the sequences of the first ``num_steps`` steps, from all ranks and workers, in the order of the steps and
    then of the ranks.
    """
    running: list[Iterator[Any]] = [iter(loader) for loader in loaders]
    workers = loaders[0].place.num_workers
    found = []
    for step in range(num_steps):
        for loader, batches in zip(loaders, running, strict=True):
            if loader.place.worker == step % workers:
                batch = next(batches, None)
                found += (
                    [] if batch is None else list(zip(batch.sequences.tolist(), batch.input_ids.tolist(), strict=True))
                )
    return found


def made(
    out: Path | StagedStream | TokenStream, settings: LoaderSettings, num_ranks: int, workers: int
) -> list[Loader]:
    return [
        Loader(out, settings, place=Place(rank=r, num_ranks=num_ranks, worker=w, num_workers=workers))
        for r in range(num_ranks)
        for w in range(workers)
    ]


def whole_of(out: Any, settings: LoaderSettings) -> list[Any]:
    loader = Loader(out, replace(settings, batch_size=1))
    return rows_given([loader], loader.steps_left())


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_stages_follow_one_another(stages: list[Path], packing: Any, shuffle: bool) -> None:
    settings = replace(SETTINGS, packing=packing, shuffle=shuffle)
    whole = whole_of(stages[2], settings)
    alone = [whole_of(TokenStream(out), settings) for out in stages]
    assert [ids for _, ids in whole] == [ids for one in alone for _, ids in one]
    numbers = [number for number, _ in whole]
    assert len(set(numbers)) == len(numbers)
    assert len(whole_of(stages[1], settings)) == len(alone[0]) + len(alone[1])


@pytest.mark.parametrize("packing", PACKINGS)
def test_an_epoch_is_all_stages_in_an_order_of_its_own(stages: list[Path], packing: Any) -> None:
    once = whole_of(stages[2], replace(SETTINGS, packing=packing))
    twice = whole_of(stages[2], replace(SETTINGS, packing=packing, epochs=2))
    assert twice[: len(once)] == once
    assert sorted(twice[len(once) :]) == sorted(once)
    assert twice[len(once) :] != once


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 8])
@pytest.mark.parametrize("packing", PACKINGS)
def test_every_rank_count_reads_the_same_tokens(stages: list[Path], packing: Any, num_ranks: int) -> None:
    """A run stops at any step and resumes with any number of ranks. It reads the same tokens, also across the borders
    of stages.
    """
    settings = replace(SETTINGS, packing=packing)
    stream = open_stages(stages[2])
    whole = whole_of(stream, settings)
    steps = Loader(stream, settings, place=Place(num_ranks=num_ranks)).steps_left()
    for stop in range(0, steps, max(1, steps // 7)):
        first = made(stream, settings, num_ranks, 1)
        got = rows_given(first, stop)
        for others in (1, 2, 3, 8):
            rest = made(stream, settings, others, 1)
            for loader in rest:
                loader.load_state_dict(first[0].state_dict())
            assert got + rows_given(rest, rest[0].steps_left()) == whole


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("num_stages", [1, 2])
def test_the_checkpoint_of_an_earlier_stage_goes_on_into_the_next(
    stages: list[Path], packing: Any, num_stages: int
) -> None:
    settings = replace(SETTINGS, packing=packing)
    whole, last = whole_of(stages[2], settings), Loader(stages[num_stages - 1], settings)
    for steps in (0, 3, last.steps_left()):
        loader = Loader(stages[2], settings)
        loader.load_state_dict(last.state_after(steps))
        places = min(2 * steps, last.num_sequences)
        assert rows_given([loader], loader.steps_left()) == whole[places:]


def test_a_checkpoint_that_began_its_stage_again_is_refused(stages: list[Path]) -> None:
    again = Loader(stages[0], replace(SETTINGS, epochs=None))
    state = again.state_after(again.num_sequences)  # two sequences per step
    loader = Loader(stages[2], replace(SETTINGS, epochs=None))
    with pytest.raises(ValueError, match=r"it began them again, so the next stage does not follow"):
        loader.load_state_dict(state)


def test_the_state_of_a_later_stage_alone_is_other_data(stages: list[Path]) -> None:
    alone = Loader(TokenStream(stages[2]), SETTINGS).state_after(3)
    with pytest.raises(ValueError, match="the state is of other data"):
        Loader(stages[2], SETTINGS).load_state_dict(alone)
    with pytest.raises(ValueError, match="the state is of other data"):
        Loader(stages[1], SETTINGS).load_state_dict(Loader(stages[2], SETTINGS).state_after(3))


@pytest.mark.parametrize("steps", [0, 5, 40, 90, 130])
@pytest.mark.parametrize(("before", "after"), [(32, 128), (128, 32)])
def test_another_length_goes_on_within_the_stages(stages: list[Path], before: int, after: int, steps: int) -> None:
    def settings_of(seq_len: int) -> LoaderSettings:
        return replace(SETTINGS, seq_len=seq_len, max_seq_len=128)

    first = Loader(stages[2], settings_of(before))
    steps = min(steps, first.steps_left())
    used = len(rows_given([first], steps)) * before
    second = Loader(stages[2], settings_of(after))
    second.load_state_dict(first.state_dict())
    whole = whole_of(stages[2], settings_of(after))
    assert rows_given([second], second.steps_left()) == whole[-(-used // after) :]


def test_best_fit_goes_on_with_the_next_shard_of_the_same_stage(stages: list[Path]) -> None:
    settings = replace(SETTINGS, packing="best_fit", shuffle=False)
    first = Loader(stages[2], settings)
    state = first.state_after((Loader(stages[0], settings).num_sequences + 3) // 2)
    longer = Loader(stages[2], replace(settings, seq_len=128))
    longer.load_state_dict(state)
    number = int(next(iter(longer)).sequences[0])
    assert (number >> 56, (number & (2**56 - 1)) >> 32) == (1, 1), "the second shard of the second stage"


def test_skipped_places_count_over_all_stages(stages: list[Path]) -> None:
    whole = whole_of(stages[2], SETTINGS)
    border = Loader(stages[0], SETTINGS).num_sequences
    loader = Loader(stages[2], replace(SETTINGS, skip_sequences=[(border - 3, border + 4)]))
    assert rows_given([loader], loader.steps_left()) == whole[: border - 3] + whole[border + 4 :]


def test_sources_and_documents_are_named_alike_in_all_stages(stages: list[Path]) -> None:
    stream = open_stages(stages[2])
    loader = Loader(stream, replace(SETTINGS, seq_len=256))
    seen = set()
    for batch in loader:
        names = [stream.source_names[n] for n in batch.segment_sources]
        told = [one for number in batch.sequences.tolist() for one in loader.documents(number)]
        assert [one.source for one in told] == names
        seen |= {(one.shard.split("shards/")[0], one.source) for one in told}
    assert {(folder, source) for folder, source in seen if source == "books"} == {("../one/", "books"), ("", "books")}
    assert {folder for folder, _ in seen} == {"../one/", "../two/", ""}


def test_inspect_lists_a_step_of_an_earlier_stage(stages: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect([str(stages[2]), "--step", "1", "--seq-len", "64", "--batch-size", "4"]) == 0
    assert "(../one/shards/train-" in capsys.readouterr().out


@pytest.mark.slow
def test_random_resumes_over_packings_and_stages(stages: list[Path]) -> None:
    """Stops and resumes at random, with random ranks, workers, batch sizes, packings and stages. The tokens must not
    differ.
    """
    chosen = random.Random(21)
    streams = [open_stages(out) for out in stages]
    wholes: dict[Any, list[Any]] = {}
    num_given = 0
    for _ in range(NUM_RANDOM_CASES):
        last = chosen.randrange(3)
        settings = LoaderSettings(
            seq_len=chosen.choice([16, 64, 200]),
            batch_size=chosen.randint(1, 5),
            packing=chosen.choice(PACKINGS),
            seed=chosen.randrange(2),
            shuffle=chosen.random() < 0.8,
            drop_last=False,
            epochs=chosen.randint(1, 2),
        )
        key = (last, replace(settings, batch_size=1))
        whole = wholes.setdefault(key, whole_of(streams[last], settings))
        place, stream = 0, streams[chosen.randint(0, last)] if settings.epochs == 1 else streams[last]
        state = None
        for _ in range(4):
            settings = replace(settings, batch_size=chosen.randint(1, 5))
            loaders = made(stream, settings, chosen.choice([1, 2, 3, 8]), chosen.randint(1, 3))
            for loader in loaders:
                if state is not None:
                    loader.load_state_dict(state)
            steps = chosen.randint(0, loaders[0].steps_left())
            got = rows_given(loaders, steps)
            assert got == whole[place : place + len(got)], (settings, place)
            place += len(got)
            state = loaders[0].state_dict() if len(loaders) == 1 else [
                loader.state_dict() for loader in loaders if loader.place.rank == 0
            ]  # fmt: skip
            stream = streams[last]
        num_given += place
    assert num_given > 10 * NUM_RANDOM_CASES
