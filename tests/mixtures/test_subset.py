"""Tests a subset that is chosen by hashes. It is exact to the token, for any order of the documents and any division
into parts.
"""

from __future__ import annotations

import itertools
import random
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtures.subset import (
    Cut,
    cut,
    find_bucket,
    held_out_by_share,
    held_out_by_tokens,
    histogram,
    in_bucket,
    order_hashes,
    shard_bounds,
    shards_of,
    tokens_kept,
)

DOCS = st.dictionaries(
    st.text(max_size=8).filter(lambda t: t.isprintable()), st.integers(1, 50), min_size=1, max_size=40
)


def end_of(hashes: np.ndarray, ids: list[str], sizes: np.ndarray, wanted: int, num_parts: int) -> Cut:
    """Returns the end of the subset, computed as workers do it. First the histograms of all parts are added; then the
    documents of one bucket are sorted.
    """
    tokens = sum(histogram(hashes[i::num_parts], sizes[i::num_parts]) for i in range(num_parts))
    bucket, before = find_bucket(np.asarray(tokens), wanted)
    chosen = in_bucket(hashes, bucket)
    return cut(hashes[chosen], [i for i, c in zip(ids, chosen, strict=True) if c], sizes[chosen], wanted - before)


@given(DOCS, st.data(), st.randoms(), st.booleans())
def test_the_subset_holds_exactly_what_is_wanted(
    docs: dict[str, int], data: st.DataObject, order: random.Random, collide: bool
) -> None:
    ids, sizes = list(docs), np.array(list(docs.values()))
    wanted = data.draw(st.integers(1, int(sizes.sum())))
    hashes = order_hashes(1, "s", ids, 0)
    if collide:
        hashes = hashes & np.uint64(0xC000000000000000)  # four hashes for all: the ids must decide
    end = end_of(hashes, ids, sizes, wanted, data.draw(st.integers(1, 5)))
    kept = tokens_kept(hashes, ids, sizes, end)
    assert kept.sum() == wanted
    partly = (kept > 0) & (kept < sizes)
    assert partly.sum() == end.is_cut
    assert {i for i, k in zip(ids, kept, strict=True) if k} == {
        i for i, h in zip(ids, hashes.tolist(), strict=True) if (h, i) <= (end.last_hash, end.last_doc_id)
    }
    shuffled = list(range(len(ids)))
    order.shuffle(shuffled)
    again = end_of(hashes[shuffled], [ids[i] for i in shuffled], sizes[shuffled], wanted, 3)
    assert again == end
    assert (
        tokens_kept(hashes[shuffled], pa.array([ids[i] for i in shuffled]), sizes[shuffled], end) == kept[shuffled]
    ).all()


def test_a_larger_subset_holds_a_smaller_one() -> None:
    ids, sizes = [str(i) for i in range(2_000)], np.arange(1, 2_001)
    hashes = order_hashes(9, "s", ids, 2)
    kept = [
        tokens_kept(hashes, ids, sizes, end_of(hashes, ids, sizes, n, 4)) for n in (1, 999, 10**6, int(sizes.sum()))
    ]
    assert [int(k.sum()) for k in kept] == [1, 999, 10**6, int(sizes.sum())]
    assert all((a <= b).all() for a, b in itertools.pairwise(kept))
    assert (kept[-1] == sizes).all()


def test_more_than_there_is_cannot_be_chosen() -> None:
    tokens = histogram(order_hashes(0, "s", ["a", "b"], 0), np.array([3, 4]))
    for wanted in (0, 8, -1):
        with pytest.raises(ValueError, match=f"{wanted} tokens cannot be chosen of 7"):
            find_bucket(tokens, wanted)


def test_hashes_depend_on_everything_and_on_nothing_else() -> None:
    ids = ["1", "a", "é", "", "1" * 1_000]
    base = order_hashes(0, "books", ids, 0)
    assert base.dtype == np.uint64
    others = [
        order_hashes(1, "books", ids, 0),
        order_hashes(0, "book", ids, 0),
        order_hashes(0, "books", ids, 1),
        order_hashes(0, "books", ids, 0, purpose="order"),
        order_hashes(-1, "books", ids, 0),
    ]
    assert all((base != other).all() for other in others)
    assert (order_hashes(0, "books", pa.array(ids), 0) == base).all()
    # Frames: a purpose and a source must not run into one another.
    assert order_hashes(0, "bc", ["d"], 0, purpose="a") != order_hashes(0, "c", ["d"], 0, purpose="ab")


def test_the_order_is_what_it_was() -> None:
    """The hashes of the documents must never change, because they decide which documents are in a mixture, and in which
    order.
    """
    got = order_hashes(0, "wikipedia", ["en:12", "de:7"], 0, purpose="order").tolist()
    assert got == [7095963956745727067, 5728264109196819355]


def test_held_out_by_share() -> None:
    hashes = order_hashes(0, "s", [str(i) for i in range(20_000)], 0, purpose="validation")
    taken = held_out_by_share(hashes, Decimal("0.02"))
    assert 340 < taken.sum() < 460  # 400, four standard deviations
    assert (held_out_by_share(hashes, Decimal("0.05")) >= taken).all()


def test_held_out_by_tokens_takes_whole_documents() -> None:
    ids, sizes = [str(i) for i in range(500)], np.arange(1, 501)
    hashes = order_hashes(0, "s", ids, 0, purpose="validation")
    end = end_of(hashes, ids, sizes, 1_000, 3)
    taken = held_out_by_tokens(hashes, ids, sizes, end)
    assert 1_000 <= sizes[taken].sum() < 1_000 + end.last_doc_tokens


@given(DOCS, st.integers(1, 12), st.booleans())
def test_shards_are_cut_where_the_tokens_say(docs: dict[str, int], num_shards: int, collide: bool) -> None:
    ids, sizes = list(docs), np.array(list(docs.values()))
    hashes = order_hashes(1, "s", ids, 0, purpose="order")
    if collide:
        hashes = hashes & np.uint64(0xFFFF << 48)
    tokens = sum(histogram(hashes[i::3], sizes[i::3]) for i in range(3))
    bounds = shard_bounds(np.asarray(tokens), num_shards)
    shards = shards_of(hashes, bounds)
    assert len(bounds) == num_shards - 1
    assert (bounds[:-1] <= bounds[1:]).all()
    assert (np.sort(shards) == shards[np.argsort(hashes, kind="stable")]).all()  # the order is not touched
    assert 0 <= shards.min() <= shards.max() < num_shards
    held = np.bincount(shards, weights=sizes, minlength=num_shards)
    largest_bucket = int(np.asarray(tokens).max())
    assert np.abs(np.cumsum(held) - sizes.sum() * np.arange(1, num_shards + 1) / num_shards).max() <= largest_bucket + 1


def test_many_shards_are_of_almost_equal_size() -> None:
    lengths = 1 + np.random.default_rng(3).lognormal(6, 1.5, 300_000).astype(np.int64)
    hashes = order_hashes(0, "s", [str(i) for i in range(len(lengths))], 0, purpose="order")
    bounds = shard_bounds(histogram(hashes, lengths), 100)
    held = np.bincount(shards_of(hashes, bounds), weights=lengths, minlength=100)
    by_width = np.bincount(((hashes >> np.uint64(32)) * 100 >> np.uint64(32)).astype(int), weights=lengths)
    assert np.abs(held / held.mean() - 1).max() < 0.03
    assert np.abs(by_width / by_width.mean() - 1).max() > 0.05  # what cutting the hashes evenly would give
