"""Tests the loader: each token is returned exactly once, with any ranks, workers, shuffle windows and interruptions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mixtures.loader
import mixtures.shards
from mixtures.loader import Batch, Loader, LoaderSettings, Place
from mixtures.permutation import Permutation
from mixtures.stream import TokenStream

Rows = list[tuple[str, str, int, list[int]]]


@pytest.fixture(scope="module")
def small(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows, make_output: Callable[[Path, Rows], Path]
) -> tuple[Path, Rows]:
    """Returns an output whose shards have many record batches, and its documents in the order of the stream."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixtures.shards, "MAX_BATCH_TOKENS", 3_000)
        folder = make_output(tmp_path_factory.mktemp("small") / "out", rows)
    return folder, [row for shard in range(5) for row in rows[shard::5]]


def flat(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Computes the stream in the simplest way. Returns four arrays with one entry per token: its id, the number of its
    document, its position in the document, and the number of its source in the sorted list of sources.
    """
    names = sorted({row[0] for row in rows})
    ids = np.concatenate([row[3] for row in rows])
    lengths = [len(row[3]) for row in rows]
    document = np.repeat(np.arange(len(rows)), lengths)
    place = np.concatenate([np.arange(n) for n in lengths])
    source = np.repeat([names.index(row[0]) for row in rows], lengths)
    return ids, document, place, source


def all_of(loader: Loader) -> list[Batch]:
    return list(loader)


def numbers(batches: list[Batch]) -> list[int]:
    return [n for batch in batches for n in batch.sequences.tolist()]


@pytest.mark.parametrize("seq_len", [7, 64, 1_000])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_batch_is_what_the_stream_holds_there(small: tuple[Path, Rows], seq_len: int, shuffle: bool) -> None:
    folder, rows = small
    ids, document, place, source = flat(rows)
    loader = Loader(folder, LoaderSettings(seq_len=seq_len, batch_size=3, shuffle=shuffle, drop_last=False))
    assert loader.stream.num_tokens == len(ids)
    seen = 0
    for batch in loader:
        segments, positions, sources = batch.segment_ids(), batch.positions(), batch.sources()
        for row, number in enumerate(batch.sequences.tolist()):
            at = slice(number * seq_len, (number + 1) * seq_len + 1)
            assert (batch.input_ids[row] == ids[at]).all()
            assert (segments[row] == document[at] - document[at][0]).all()
            assert (sources[row] == source[at]).all()
            begins = np.flatnonzero(np.diff(document[at], prepend=-1))
            in_segment = np.arange(seq_len + 1) - np.repeat(begins, np.diff(begins, append=seq_len + 1))
            assert (positions[row] == in_segment).all()
            whole = document[at] != document[at][0]
            assert (positions[row][whole] == place[at][whole]).all()
            seen += 1
    assert seen == (len(ids) - 1) // seq_len


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_each_sequence_to_exactly_one(small: tuple[Path, Rows], data: st.DataObject) -> None:
    seq_len, batch_size = data.draw(st.integers(50, 900)), data.draw(st.integers(1, 4))
    num_ranks, num_workers = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    made = LoaderSettings(
        seq_len=seq_len,
        batch_size=batch_size,
        seed=data.draw(st.integers(0, 3)),
        window_sequences=data.draw(st.sampled_from([None, 0, 1, 7, 50])),
        epochs=data.draw(st.integers(1, 3)),
        drop_last=data.draw(st.booleans()),
    )
    stream = TokenStream(small[0])
    places = [
        Place(rank=r, num_ranks=num_ranks, worker=w, num_workers=num_workers)
        for r in range(num_ranks)
        for w in range(num_workers)
    ]
    loaders = [Loader(stream, made, place=place) for place in places]
    given_out = sorted(n for loader in loaders for n in numbers(all_of(loader)))
    total = loaders[0].num_sequences * (made.epochs or 1)
    wanted = total - total % (batch_size * num_ranks) if made.drop_last else total
    assert len(given_out) == wanted
    counts = np.bincount(given_out, minlength=loaders[0].num_sequences)
    if not made.drop_last:
        assert set(counts.tolist()) == {made.epochs}
    assert counts.max() <= (made.epochs or 1)


def test_steps_are_the_same_whatever_the_ranks_and_workers(small: tuple[Path, Rows]) -> None:
    def steps(num_ranks: int, batch_size: int, num_workers: int) -> list[list[int]]:
        made = LoaderSettings(seq_len=128, batch_size=batch_size, epochs=2)
        out: dict[int, list[int]] = {}
        for rank in range(num_ranks):
            for worker in range(num_workers):
                place = Place(rank=rank, num_ranks=num_ranks, worker=worker, num_workers=num_workers)
                for i, batch in enumerate(Loader(small[0], made, place=place)):
                    out.setdefault(i * num_workers + worker, []).extend(batch.sequences.tolist())
        return [out[i] for i in sorted(out)]

    once = steps(1, 12, 1)
    assert len(once) > 20
    assert steps(3, 4, 1) == steps(2, 6, 3) == once


def test_the_order_depends_on_seed_epoch_and_window_only(small: tuple[Path, Rows]) -> None:
    def order(**changed: Any) -> list[int]:
        return numbers(all_of(Loader(small[0], LoaderSettings(**{"seq_len": 64, "batch_size": 1, **changed}))))

    once = order(seed=1)
    num = len(once)
    assert once == order(seed=1)
    assert once != order(seed=2)
    assert sorted(once) == list(range(num))
    twice = order(seed=1, epochs=2)
    assert twice[:num] == once
    assert twice[num:] != once
    assert sorted(twice[num:]) == sorted(once)
    assert order(shuffle=False) == list(range(num))
    windowed = order(seed=1, window_sequences=100)
    for first in range(0, num, 100):
        part = windowed[first : first + 100]
        assert sorted(part) == list(range(first, min(first + 100, num)))
        assert len(part) < 3 or part != sorted(part)


@pytest.mark.parametrize("window", [0, 30])
@pytest.mark.parametrize("stop", [0, 1, 63, 64, 65, 150])
def test_a_resumed_loader_goes_on_where_it_stopped(small: tuple[Path, Rows], stop: int, window: int) -> None:
    made = LoaderSettings(seq_len=64, batch_size=2, epochs=2, window_sequences=window)
    whole = numbers(all_of(Loader(small[0], made)))
    first = Loader(small[0], made)
    before = [n for _, batch in zip(range(stop), first, strict=False) for n in batch.sequences.tolist()]
    state = first.state_dict()
    again = Loader(small[0], made)
    again.load_state_dict(state)
    assert before + numbers(all_of(again)) == whole
    assert before + numbers(all_of(first)) == whole  # and the first goes on as well
    assert Loader(small[0], made).state_after(stop)["sequences"] == state["sequences"]


def test_a_state_is_for_other_ranks_and_workers_too(small: tuple[Path, Rows]) -> None:
    made = LoaderSettings(seq_len=64, batch_size=4)
    whole = numbers(all_of(Loader(small[0], made)))
    workers = [Loader(small[0], made, place=Place(worker=w, num_workers=3)) for w in range(3)]
    running = [iter(worker) for worker in workers]
    used = [n for step in range(7) for n in next(running[step % 3]).sequences.tolist()]
    next(running[1])  # made ahead, but not used: the trainer's own count decides
    states = [worker.state_dict() for worker in workers]
    states[1] = {**states[1], "sequences": states[1]["sequences"] - 3 * 4}
    rest: dict[int, list[int]] = {}
    for rank in range(2):
        loader = Loader(small[0], LoaderSettings(seq_len=64, batch_size=2), place=Place(rank=rank, num_ranks=2))
        loader.load_state_dict(states)
        for i, batch in enumerate(loader):
            rest.setdefault(i, []).extend(batch.sequences.tolist())
    assert used + [n for i in sorted(rest) for n in rest[i]] == whole
    alone = Loader(small[0], made)
    with pytest.raises(ValueError, match="one of 3 workers: give the states of all"):
        alone.load_state_dict(states[2])


def test_a_worker_takes_its_own_state_again(small: tuple[Path, Rows]) -> None:
    made = LoaderSettings(seq_len=64, batch_size=2)
    place = Place(worker=2, num_workers=3)
    whole = numbers(all_of(Loader(small[0], made, place=place)))
    first = Loader(small[0], made, place=place)
    running = iter(first)
    before = [n for _ in range(4) for n in next(running).sequences.tolist()]
    again = Loader(small[0], made, place=place)
    again.load_state_dict(first.state_dict())
    assert before + numbers(all_of(again)) == whole


def test_a_state_may_be_loaded_while_iterating(small: tuple[Path, Rows]) -> None:
    loader = Loader(small[0], LoaderSettings(seq_len=64, batch_size=2))
    running = iter(loader)
    start = loader.state_dict()
    first = [next(running).sequences.tolist() for _ in range(3)]
    loader.load_state_dict(start)
    assert [next(running).sequences.tolist() for _ in range(3)] == first


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seq_len": 65}, "the state is of seq_len 64, this loader of 65"),
        ({"seed": 9}, "the state is of seed 0, this loader of 9"),
        ({"shuffle": False}, "the state is of shuffle 1, this loader of 0"),
        ({"window_sequences": 5}, "the state is of window_sequences 0, this loader of 5"),
    ],
)
def test_a_state_of_another_order_is_refused(small: tuple[Path, Rows], changed: dict[str, Any], said: str) -> None:
    state = Loader(small[0], LoaderSettings(seq_len=64, batch_size=2)).state_dict()
    other = Loader(small[0], LoaderSettings(**{"seq_len": 64, "batch_size": 2, **changed}))
    with pytest.raises(ValueError, match=said):
        other.load_state_dict(state)
    with pytest.raises(ValueError, match="no state to go on from"):
        other.load_state_dict([])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seq_len": 0}, "seq_len 0 is not a positive number"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"epochs": 0}, "epochs 0"),
        ({"window_sequences": -1}, "window_sequences -1"),
        ({"seq_len": 10**9}, "make 0 sequences of 1000000000, fewer than the 2 of a step"),
    ],
)
def test_settings_that_cannot_be_meant(small: tuple[Path, Rows], changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Loader(small[0], LoaderSettings(**{"seq_len": 64, "batch_size": 2, **changed}))
    with pytest.raises(ValueError, match="rank 2 is not among 2"):
        Place(rank=2, num_ranks=2)


def test_an_endless_loader_does_not_end(small: tuple[Path, Rows]) -> None:
    loader = Loader(small[0], LoaderSettings(seq_len=900, batch_size=5, epochs=None))
    taken = [n for _, batch in zip(range(loader.num_sequences), loader, strict=False) for n in batch.sequences.tolist()]
    assert np.bincount(taken).tolist() == [5] * loader.num_sequences


def test_validation_documents_are_a_stream_too(small: tuple[Path, Rows]) -> None:
    stream = TokenStream(small[0], validation_source="c4")
    assert 0 < stream.num_tokens < 200
    batch = next(iter(Loader(stream, LoaderSettings(seq_len=10, batch_size=1, shuffle=False))))
    assert stream.source_names[int(batch.segment_sources[0])] == "c4"
    with pytest.raises(ValueError, match="no validation documents of books, but of c4"):
        TokenStream(small[0], validation_source="books")


def test_neither_beam_nor_torch_is_imported(small: tuple[Path, Rows]) -> None:
    code = (
        "import sys\n"
        "from mixtures.loader import Loader, LoaderSettings\n"
        f"next(iter(Loader({str(small[0])!r}, LoaderSettings(seq_len=64, batch_size=2))))\n"
        "assert not {'torch', 'apache_beam', 'fsspec', 'datasets', 'pipeline'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_plain_pyarrow_opens_the_shards_as_they_are(small: tuple[Path, Rows]) -> None:
    folder, rows = small
    tables = []
    for path in sorted((folder / "shards").iterdir()):
        with pa.memory_map(str(path)) as file:
            tables.append(pa.ipc.open_file(file).read_all())
    table = pa.concat_tables(tables)
    found = zip(*(table[name].to_pylist() for name in ("source", "doc_id", "epoch", "input_ids")), strict=True)
    assert list(found) == rows


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5_000), st.integers(0, 2**64 - 1))
def test_a_permutation_has_every_number_once(size: int, key: int) -> None:
    shuffled = Permutation(size, key=key)
    assert sorted(shuffled(np.arange(size)).tolist()) == list(range(size))
    at = size // 2
    assert shuffled(np.array([at])).tolist() == [shuffled(np.arange(size)).tolist()[at]]


def test_a_permutation_mixes() -> None:
    """Neighbours get places that are far apart: in a random order, their mean distance is a third of the length."""
    size = 1_000_003
    placed = Permutation(size, key=5)(np.arange(20_000))
    distance = np.abs(np.diff(placed)).mean() / size
    assert 0.32 < distance < 0.345
    assert np.bincount(placed * 10 // size, minlength=10).std() < 100
