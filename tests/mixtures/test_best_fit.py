"""Tests best-fit packing: no document that fits into a sequence is cut, no token is lost or repeated, and loading can
resume anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtures.best_fit import count_rows, pack, split_documents
from mixtures.loader import PADDING, Loader, LoaderSettings, Place
from mixtures.storage import RemoteStorage
from mixtures.stream import TokenStream

Rows = list[tuple[str, str, int, list[int]]]


def best_fit_by_hand(sizes: list[int], capacity: int) -> list[int]:
    """Packs in the simplest way: the longest document first, each into the fullest sequence that has room. Returns the
    free room of each sequence, sorted.
    """
    rooms: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [room for room in rooms if room >= size]
        if fitting:
            rooms[rooms.index(min(fitting))] -= size
        else:
            rooms.append(capacity - size)
    return sorted(rooms)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 30))
def test_the_packing_is_best_fit_decreasing(lengths: list[int], seq_len: int) -> None:
    plan = pack(np.array(lengths, np.int32), seq_len)
    _, _, sizes = split_documents(np.array(lengths), seq_len)
    used = [int(plan.lengths[a:b].sum()) for a, b in zip(plan.ends, plan.ends[1:], strict=False)]
    assert sorted(seq_len + 1 - n for n in used) == best_fit_by_hand(sizes.tolist(), seq_len + 1)
    assert count_rows(np.array(lengths, np.int32), seq_len) == plan.num_rows
    pieces: dict[int, list[tuple[int, int]]] = {}
    for document, begin, length in zip(plan.documents, plan.begins, plan.lengths, strict=True):
        pieces.setdefault(int(document), []).append((int(begin), int(length)))
    for document, size in enumerate(lengths):
        if size <= seq_len + 1:
            assert pieces.get(document, []) == ([(0, size)] if size else [])
        else:
            wanted = [(b, min(seq_len + 1, size - b)) for b in range(0, size - 1, seq_len)]
            assert sorted(pieces[document]) == wanted
            assert wanted[-1][0] + wanted[-1][1] == size
            assert all(length >= 2 for _, length in wanted)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=40), st.integers(4, 30))
def test_rows_begin_with_a_document(lengths: list[int], seq_len: int) -> None:
    plan = pack(np.array(lengths), seq_len)
    for a, b in zip(plan.ends, plan.ends[1:], strict=False):
        begins = plan.begins[a:b]
        has_document = (begins == 0).any()
        assert begins[0] == 0 or not has_document
        fresh = plan.documents[a:b][begins == 0]
        assert (np.diff(fresh) > 0).all()
    first = [int(plan.documents[a:b].min()) for a, b in zip(plan.ends, plan.ends[1:], strict=False)]
    assert first == sorted(first)


def test_padding_of_documents_as_they_are_distributed() -> None:
    """Document lengths are log-normal, as in web pages. Under 1 % of the tokens are padding, with sequences of 2,048
    and of 4,096 tokens.
    """
    lengths = (2 + np.random.default_rng(1).lognormal(6, 1.1, 20_000)).astype(np.int64)
    for seq_len in (2_048, 4_096):
        plan = pack(lengths, seq_len)
        assert 1 - plan.lengths.sum() / (plan.num_rows * (seq_len + 1)) < 0.01
        assert ((lengths[plan.documents] <= seq_len + 1) <= (plan.lengths == lengths[plan.documents])).all()


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, rows: Rows, make_output: Callable[[Path, Rows], Path]) -> Path:
    return make_output(tmp_path_factory.mktemp("best") / "out", rows)


def made(**changed: Any) -> LoaderSettings:
    return LoaderSettings(**{"seq_len": 200, "batch_size": 2, "packing": "best_fit", "drop_last": False, **changed})


def numbers(batches: Any) -> list[int]:
    return [n for batch in batches for n in batch.sequences.tolist()]


@pytest.mark.parametrize("shuffle", [False, True])
def test_every_document_is_given_once_and_whole_where_it_fits(out: Path, rows: Rows, shuffle: bool) -> None:
    loader = Loader(out, made(shuffle=shuffle))
    ids = {(source, doc_id, epoch): ids for source, doc_id, epoch, ids in rows}
    found: dict[tuple[str, str, int], list[tuple[int, list[int]]]] = {}
    padding = total = 0
    for batch in loader:
        sources, segments = batch.sources(), batch.segment_ids()
        for row, number in enumerate(batch.sequences.tolist()):
            pieces = loader.documents(number)
            assert len(pieces) + (PADDING in sources[row]) == segments[row].max() + 1
            for segment, piece in enumerate(pieces):
                tokens = batch.input_ids[row][segments[row] == segment].tolist()
                assert tokens == batch.input_ids[row, piece.at : piece.at + piece.num_tokens].tolist()
                assert {loader.stream.source_names[s] for s in sources[row][segments[row] == segment]} == {piece.source}
                key = piece.source, piece.doc_id, piece.epoch
                found.setdefault(key, []).append((piece.begin, tokens))
            is_padding = sources[row] == PADDING
            assert set(batch.input_ids[row][is_padding].tolist()) <= {2}
            padding, total = padding + int(is_padding.sum()), total + is_padding.size
    assert found.keys() == ids.keys()
    for key, pieces in found.items():
        whole = ids[key]
        assert len(pieces) == max(1, -(-(len(whole) - 1) // 200))
        for begin, tokens in pieces:
            assert tokens == whole[begin : begin + 201]
    assert padding / total < 0.08  # of a handful of long documents


def test_steps_are_the_same_whatever_the_ranks_and_workers(out: Path) -> None:
    def steps(num_ranks: int, batch_size: int, num_workers: int) -> list[list[int]]:
        found: dict[int, list[int]] = {}
        for rank in range(num_ranks):
            for worker in range(num_workers):
                place = Place(rank=rank, num_ranks=num_ranks, worker=worker, num_workers=num_workers)
                for i, batch in enumerate(Loader(out, made(batch_size=batch_size, epochs=2), place=place)):
                    found.setdefault(i * num_workers + worker, []).extend(batch.sequences.tolist())
        return [found[i] for i in sorted(found)]

    once = steps(1, 6, 1)
    assert len(once) > 20
    assert steps(3, 2, 1) == steps(2, 3, 3) == once


@pytest.mark.parametrize("stop", [0, 1, 40, 64, 97])
def test_a_resumed_loader_goes_on_where_it_stopped(out: Path, stop: int) -> None:
    whole = numbers(Loader(out, made(epochs=2)))
    first = Loader(out, made(epochs=2))
    before = [n for _, batch in zip(range(stop), first, strict=False) for n in batch.sequences.tolist()]
    again = Loader(out, made(epochs=2, batch_size=5))
    again.load_state_dict(first.state_dict())
    assert before + numbers(again) == whole
    assert Counter(whole) == dict.fromkeys(whole, 2)


def test_epochs_and_seeds_have_orders_of_their_own(out: Path) -> None:
    whole, num = numbers(Loader(out, made(epochs=2))), Loader(out, made()).num_sequences
    assert len(whole) == 2 * num
    assert sorted(whole[:num]) == sorted(whole[num:])
    assert whole[:num] != whole[num:]
    assert numbers(Loader(out, made(seed=1))) != whole[:num]
    assert numbers(Loader(out, made(shuffle=False))) == sorted(whole[:num])


@pytest.mark.parametrize("steps", [0, 3, 30])
def test_another_length_goes_on_with_the_next_shard(out: Path, steps: int) -> None:
    first = Loader(out, made(seq_len=100))
    used = [n for _, batch in zip(range(steps), first, strict=False) for n in batch.sequences.tolist()]
    second = Loader(out, made(seq_len=300))
    second.load_state_dict(first.state_dict())
    rest = numbers(second)
    begun = {n >> 32 for n in used}
    assert {n >> 32 for n in rest} == set(range(5)) - begun
    assert len(rest) == sum(second.stream.row_counts[300][shard] for shard in set(range(5)) - begun)


def test_the_other_packing_is_another_order(out: Path) -> None:
    state = Loader(out, made()).state_dict()
    with pytest.raises(ValueError, match="the state is of packing best_fit, this loader of concatenate"):
        Loader(out, made(packing="concatenate")).load_state_dict(state)


def test_a_store_is_refused_with_the_way_out(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = TokenStream(out)
    monkeypatch.setattr(type(stream.storage), "is_remote", True)
    assert RemoteStorage.is_remote
    with pytest.raises(ValueError, match="needs the shards on a local disk"):
        Loader(stream, made())
