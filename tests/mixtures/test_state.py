"""Tests which loaders accept a state: those with the same data and order. Batch size, length and skipped sequences may
differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtures.loader import Batch, Loader, LoaderSettings, Place
from mixtures.loader_settings import Skips
from mixtures.manifest import read_manifest
from mixtures.stream import TokenStream
from mixtures.verify.__main__ import main as verify

Rows = list[tuple[str, str, int, list[int]]]
SETTINGS = LoaderSettings(seq_len=64, batch_size=2)


def numbers(batches: Any) -> list[int]:
    return [n for batch in batches for n in batch.sequences.tolist()]


def tokens_of(batches: list[Batch], seq_len: int) -> list[int]:
    """Returns the position in the stream of each input token of the batches. It follows from the numbers of the
    sequences, if documents are concatenated and ``window_sequences`` is 0.
    """
    return [n * seq_len + i for n in numbers(batches) for i in range(seq_len)]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, rows: Rows, make_output: Callable[[Path, Rows], Path]) -> Path:
    return make_output(tmp_path_factory.mktemp("state") / "out", rows)


@pytest.fixture(scope="module")
def others(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows, make_output: Callable[[Path, Rows], Path]
) -> dict[str, Path]:
    """Returns outputs with equally many tokens: one in another order, one with one different token, and one that is
    equal.
    """
    folder = tmp_path_factory.mktemp("others")
    source, doc_id, epoch, ids = rows[5]
    changed = [*rows[:5], (source, doc_id, epoch, [*ids[:3], ids[3] - 1, *ids[4:]]), *rows[6:]]
    return {
        "order": make_output(folder / "order", rows[::-1]),
        "token": make_output(folder / "token", changed),
        "same": make_output(folder / "same", rows),
    }


@pytest.mark.parametrize("other", ["order", "token"])
def test_a_state_of_other_data_is_refused(out: Path, others: dict[str, Path], other: str) -> None:
    state = Loader(out, SETTINGS).state_after(5)
    loader = Loader(others[other], SETTINGS)
    assert loader.stream.num_tokens == TokenStream(out).num_tokens
    with pytest.raises(ValueError, match=r"the state is of other data .* set accept_other_data"):
        loader.load_state_dict(state)
    accepting = Loader(others[other], LoaderSettings(seq_len=64, batch_size=2, accept_other_data=True))
    accepting.load_state_dict(state)
    assert accepting.state_dict()["sequences"] == 10


def test_the_same_data_elsewhere_takes_the_state(out: Path, others: dict[str, Path]) -> None:
    loader = Loader(others["same"], SETTINGS)
    loader.load_state_dict(Loader(out, SETTINGS).state_after(5))
    assert numbers(loader) == numbers(Loader(out, SETTINGS))[10:]


def test_a_state_without_a_fingerprint_is_refused(out: Path) -> None:
    state = {k: v for k, v in Loader(out, SETTINGS).state_after(5).items() if k != "data"}
    with pytest.raises(ValueError, match="which it does not name"):
        Loader(out, SETTINGS).load_state_dict(state)


def test_a_state_of_validation_is_not_one_of_training(out: Path) -> None:
    held = Loader(TokenStream(out, validation_source="c4"), LoaderSettings(seq_len=8, batch_size=1, shuffle=False))
    training = Loader(out, LoaderSettings(seq_len=8, batch_size=1, shuffle=False))
    with pytest.raises(ValueError, match="of other data"):
        training.load_state_dict(held.state_dict())


def test_the_manifest_names_the_fingerprint_and_verify_checks_it(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = read_manifest(output)
    assert manifest["fingerprint"] == TokenStream(output).fingerprint
    (output / "manifest.json").write_text(json.dumps({**manifest, "fingerprint": "0" * 64}))
    assert verify([str(output)]) == 1
    assert "its fingerprint is not that of the shards it lists" in capsys.readouterr().err
    older = {k: v for k, v in manifest.items() if k != "fingerprint"}
    (output / "manifest.json").write_text(json.dumps(older))
    assert verify([str(output)]) == 0
    assert TokenStream(output).fingerprint == manifest["fingerprint"]


@pytest.mark.parametrize(("before", "after", "steps"), [(32, 128, 12), (128, 32, 5), (64, 128, 3), (32, 128, 5)])
@pytest.mark.parametrize("window", [None, 40])
def test_another_length_goes_on_after_what_was_used(
    out: Path, before: int, after: int, steps: int, window: int | None
) -> None:
    def settings_of(seq_len: int) -> LoaderSettings:
        return LoaderSettings(
            seq_len=seq_len, max_seq_len=128, batch_size=2, drop_last=False, window_sequences=window, epochs=2
        )

    first = Loader(out, settings_of(before))
    used = tokens_of([batch for _, batch in zip(range(steps), first, strict=False)], before)
    second = Loader(out, settings_of(after))
    second.load_state_dict(first.state_dict())
    rest = tokens_of(list(second), after)
    whole = tokens_of(list(Loader(out, settings_of(after))), after)
    left_out = -(steps * 2 * before) % after
    counts = np.bincount(used + rest, minlength=max(whole) + 1)
    assert (counts <= 2).all()
    assert len(used) + len(rest) == len(whole) - left_out
    assert rest == whole[len(used) + left_out :]


def test_a_length_that_was_not_planned_for_is_refused(out: Path) -> None:
    state = Loader(out, SETTINGS).state_after(5)
    with pytest.raises(ValueError, match=r"the state is of seq_len 64, this loader of 128: .* max_seq_len"):
        Loader(out, LoaderSettings(seq_len=128, batch_size=2)).load_state_dict(state)
    shorter = Loader(out, LoaderSettings(seq_len=32, max_seq_len=64, batch_size=2))
    shorter.load_state_dict(state)
    assert shorter.state_dict()["sequences"] == 20
    with pytest.raises(ValueError, match="max_seq_len 65 is not a multiple of seq_len 64"):
        LoaderSettings(seq_len=64, max_seq_len=65, batch_size=1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=0, max_size=8).map(sorted))
def test_skips_are_the_places_without_the_ranges(borders: list[int]) -> None:
    ranges = [(a, b) for a, b in zip(borders[::2], borders[1::2], strict=False) if a < b]
    skips = Skips(ranges)
    kept = [p for p in range(60) if not any(a <= p < b for a, b in ranges)]
    assert [int(skips.place(n)) for n in range(len(kept))] == kept
    assert skips.place(np.arange(len(kept))).tolist() == kept
    assert [skips.count(p) for p in range(60)] == [sum(k < p for k in kept) for p in range(60)]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_skipped_steps_are_left_out_and_the_rest_stays(out: Path, num_workers: int) -> None:
    whole = [batch.sequences.tolist() for batch in Loader(out, SETTINGS)]
    made = LoaderSettings(seq_len=64, batch_size=2, skip_sequences=[(8, 20), (24, 26)])
    found: dict[int, list[int]] = {}
    for worker in range(num_workers):
        for i, batch in enumerate(Loader(out, made, place=Place(worker=worker, num_workers=num_workers))):
            found[i * num_workers + worker] = batch.sequences.tolist()
    assert [found[i] for i in sorted(found)] == [*whole[:4], *whole[10:12], *whole[13:]]
    loader = Loader(out, made)
    assert loader.steps_left() == len(whole) - 7
    assert loader.sequences_of_step(4).tolist() == whole[10]


def test_skipping_after_the_fact_goes_back_and_around(out: Path) -> None:
    """A training that failed in step 12 resumes after step 9, and skips the data of steps 10 to 12."""
    whole = [batch.sequences.tolist() for batch in Loader(out, SETTINGS)]
    state = Loader(out, SETTINGS).state_after(9)
    again = Loader(out, LoaderSettings(seq_len=64, batch_size=2, skip_sequences=[(20, 26)]))
    again.load_state_dict(state)
    running = iter(again)
    assert [next(running).sequences.tolist() for _ in range(3)] == [whole[9], whole[13], whole[14]]
    plain = Loader(out, SETTINGS)
    plain.load_state_dict(again.state_dict())
    assert next(iter(plain)).sequences.tolist() == whole[15]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"skip_sequences": [(3, 3)]}, "are not ranges"),
        ({"skip_sequences": [(-1, 3)]}, "are not ranges"),
        ({"skip_sequences": [(5, 9), (3, 4)]}, "not in order, or overlap"),
        ({"skip_sequences": [(3, 6), (5, 9)]}, "not in order, or overlap"),
        ({"packing": "worst_fit"}, "packing 'worst_fit' is not among concatenate, best_fit"),
        ({"packing": "best_fit", "max_seq_len": 64}, "max_seq_len is for packing concatenate"),
        ({"packing": "best_fit", "window_sequences": 9}, "window_sequences is for packing concatenate"),
    ],
)
def test_settings_that_cannot_be_meant(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoaderSettings(**{"seq_len": 64, "batch_size": 2, **changed})


def test_passes_follow_one_another(out: Path) -> None:
    two = LoaderSettings(seq_len=64, batch_size=1, epochs=2)
    whole = numbers(Loader(out, two))
    loader = Loader(out, LoaderSettings(seq_len=64, batch_size=1))
    found = []
    for number in range(2):
        loader.begin_pass(number)
        found += numbers(loader)
        assert loader.steps_left() >= 0
    assert found == whole
    loader.load_state_dict(Loader(out, two).state_after(len(whole) // 2 + 3))
    assert numbers(loader) == whole[len(whole) // 2 + 3 :]


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_one_workers_state_counts_steps_of_one_size(out: Path, batch_size: int) -> None:
    """The state of a single worker counts steps. If the batch size changes, it does not say where the other workers
    are, and half of the data would be repeated.
    """

    def loader(worker: int, batch_size: int) -> Loader:
        place = Place(worker=worker, num_workers=2)
        return Loader(out, LoaderSettings(seq_len=64, batch_size=batch_size), place=place)

    states = []
    for worker in range(2):
        one = loader(worker, 2)
        batches = iter(one)
        for _ in range(3):
            next(batches)
        states.append(one.state_dict())
    again = [loader(worker, batch_size) for worker in range(2)]
    if batch_size != 2:
        with pytest.raises(
            ValueError, match=r"with 2 sequences of 64 tokens in a step; this loader has \d of 64: give"
        ):
            again[0].load_state_dict(states[0])
        for one in again:
            one.load_state_dict(states)
    else:
        for one, state in zip(again, states, strict=True):
            one.load_state_dict(state)
    rest = sorted(number for one in again for number in numbers(one))
    assert len(set(rest)) == len(rest) == len(numbers(Loader(out, SETTINGS))) - 12
