"""Tests the near dedup of texts: signatures, candidates, exact overlaps, and the choice of removed documents."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import datasketch
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filters.books.overlap import normalise, shingles
from filters.near.minhash import Bands, band_keys, bands_of, ngram_hash, sampled, signatures, signatures_sha1
from filters.near.ngrams import measured, ngram_sets
from filters.near.nominate import is_candidate, nominate
from filters.near.resolve import MAX_PRIORITY, num_ngrams_of, rank_of, resolve

WORDS = st.sampled_from(
    ["a", "the", "Straße", "ÆON", "queue", "it's", "我是", "x-y", "\u0301e", "42", "\ud800", "\xff"]
)
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(WORDS, max_size=40).map(" ".join),
    st.lists(WORDS, max_size=40).map("\n\t\x00".join),
)


def words_of(text: str) -> list[bytes]:
    return normalise(text).split()


def grams(text: str, width: int) -> set[bytes]:
    words = words_of(text)
    return {b" ".join(words[at : at + width]) for at in range(len(words) - width + 1)}


@given(st.lists(TEXTS, max_size=6), st.integers(1, 6), st.sampled_from([1, 16, 50]), st.integers(0, 2**32 - 1))
@example(["", " ", "\xff\xff \xff", "a b c d e"], 5, 16, 1)
def test_signatures_are_those_of_datasketch(texts: list[str], width: int, num_perm: int, seed: int) -> None:
    found = signatures(ngram_sets(texts, ngram_words=width), num_perm=num_perm, seed=seed)
    of_sha1 = signatures_sha1(texts, ngram_words=width, num_perm=num_perm, seed=seed)
    assert found.shape == of_sha1.shape == (len(texts), num_perm)
    for text, ours, ours_of_sha1 in zip(texts, found, of_sha1, strict=True):
        theirs = datasketch.MinHash(num_perm=num_perm, seed=seed, hashfunc=ngram_hash)
        with_sha1 = datasketch.MinHash(num_perm=num_perm, seed=seed)
        for gram in grams(text, width):
            theirs.update(gram)
            with_sha1.update(gram)
        assert ours.tolist() == theirs.hashvalues.tolist()
        assert ours_of_sha1.tolist() == with_sha1.hashvalues.tolist()


def test_signatures_of_long_texts_are_those_of_datasketch() -> None:
    text = " ".join(f"{a}{b}{c}" for a, b, c in itertools.product("abcdefghijklmnop", repeat=3))
    theirs = datasketch.MinHash(num_perm=64, seed=7, hashfunc=ngram_hash)
    theirs.update_batch(list(grams(text, 5)))
    ours = signatures(ngram_sets(["short", text, ""], ngram_words=5), num_perm=64, seed=7)
    assert ours[1].tolist() == theirs.hashvalues.tolist()
    used = signatures(ngram_sets([text], ngram_words=5), num_perm=64, seed=7, num_used=56)
    assert used[0].tolist() == theirs.hashvalues[:56].tolist()


def test_datasketchs_index_finds_documents_by_our_signatures() -> None:
    text = " ".join(f"{a}{b}" for a, b in itertools.product("abcdefghijklmnop", repeat=2))
    near = text.replace("aa ab", "zz zy")
    first, second, other = signatures(ngram_sets([text, near, text[::-1]], ngram_words=5), num_perm=64, seed=1)
    index = datasketch.MinHashLSH(threshold=0.5, num_perm=64)
    assert Bands(index.b, index.r) == bands_of(0.5, 64)
    index.insert(
        "first", datasketch.MinHash(num_perm=64, seed=1, hashvalues=first, hashfunc=ngram_hash, scheme="affine32")
    )
    query = [
        datasketch.MinHash(num_perm=64, seed=1, hashvalues=one, hashfunc=ngram_hash, scheme="affine32")
        for one in (second, other)
    ]
    assert [index.query(one) for one in query] == [["first"], []]
    keys = band_keys(np.stack([first, second, other]), bands_of(0.5, 64))
    assert (keys[0] == keys[1]).any()
    assert not (keys[0] == keys[2]).any()


@given(st.lists(TEXTS, max_size=8), st.integers(1, 7))
def test_ngram_sets_of_a_batch_are_those_of_each_text(texts: list[str], width: int) -> None:
    together = ngram_sets(texts, ngram_words=width)
    assert len(together) == len(texts)
    for text, found in zip(texts, together, strict=True):
        assert len(found) == len(grams(text, width))
        alone = shingles(text, ngram_words=width) if grams(text, width) else np.empty(0, np.uint64)
        assert found.tolist() == alone.tolist()


def test_a_word_longer_than_a_block_is_the_same_wherever_it_stands() -> None:
    long = "one two " + "x" * 600_000 + " three four five six"
    (alone,) = ngram_sets([long], ngram_words=3)
    _, behind, _ = ngram_sets(["y " * 131_071, long, "end"], ngram_words=3)
    assert len(alone) > 4
    assert alone.tolist() == behind.tolist()


@given(st.lists(st.text("ab ", max_size=40), min_size=2, max_size=6))
def test_short_and_empty_documents_never_match(texts: list[str]) -> None:
    for one, two in itertools.combinations(ngram_sets(texts, ngram_words=5), 2):
        found = measured(one, two)
        if not one.size or not two.size:
            assert found == (0, 0.0, 0.0)
        else:
            shared = len(set(one.tolist()) & set(two.tolist()))
            assert found == (shared, shared / one.size, shared / len(set(one.tolist()) | set(two.tolist())))


def test_a_sample_is_the_same_one_of_every_document() -> None:
    hashes = np.sort(np.random.default_rng(1).integers(0, 2**64, 16_000, np.uint64))
    found = sampled(hashes, 16)
    assert 850 < len(found) < 1150
    assert np.isin(sampled(hashes[::3], 16), found).all()
    assert len(sampled(hashes, 1)) == len(hashes)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), max_size=60))
def test_documents_of_a_rare_key_are_all_paired(entries: Sequence[tuple[int, int]]) -> None:
    keys, documents = np.array([e[0] for e in entries], np.uint64), np.array([e[1] for e in entries], np.int64)
    found = nominate(keys, documents)
    expected: dict[tuple[int, int], int] = {}
    for key in range(6):
        members = sorted({d for k, d in entries if k == key})
        for pair in itertools.combinations(members, 2):
            expected[pair] = expected.get(pair, 0) + 1
    assert {tuple(p): n for p, n in zip(found.pairs.tolist(), found.counts.tolist(), strict=True)} == expected
    assert found.pairs.tolist() == sorted(found.pairs.tolist())
    assert found.num_not_compared == 0


@pytest.mark.parametrize("num_documents", [65, 1000])
def test_a_common_key_pairs_each_document_with_leaders_and_neighbours(num_documents: int) -> None:
    documents = np.tile(np.arange(num_documents), 3)
    keys = np.repeat(np.array([7, 8, 9], np.uint64), num_documents)
    found = nominate(keys, documents)
    pairs = {tuple(p) for p in found.pairs.tolist()}
    assert all((leader, other) in pairs for leader in range(8) for other in range(leader + 1, num_documents))
    assert all((other - 4, other) in pairs for other in range(12, num_documents))
    assert len(found.pairs) == len(pairs) <= 12 * num_documents
    assert set(found.counts.tolist()) == {3}  # all three keys count, and are paired once
    assert found.num_not_compared == 3 * (num_documents * (num_documents - 1) // 2 - len(pairs))


def test_a_million_equal_documents_are_linear_work() -> None:
    num_documents = 1_000_000
    documents = np.tile(np.arange(num_documents), 4)
    keys = np.repeat(np.arange(4, dtype=np.uint64), num_documents)
    start = time.process_time()
    found = nominate(keys, documents)
    assert 10 * num_documents < len(found.pairs) <= 12 * num_documents
    assert time.process_time() - start < 60


def test_too_many_leaders_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 4"):
        nominate(np.empty(0, np.uint64), np.empty(0, np.int64), max_documents_per_key=4)


def test_a_pair_is_a_candidate_by_one_band_or_by_enough_sampled_ngrams() -> None:
    assert is_candidate(1, 0, 1000.0)
    assert [is_candidate(0, n, 100.0) for n in (69, 70)] == [False, True]
    assert [is_candidate(0, n, 9.0) for n in (1, 2)] == [False, True]
    assert [is_candidate(0, n, 0.5) for n in (0, 1)] == [False, True]


def test_documents_are_ranked_by_source_then_length_then_content() -> None:
    order = [
        rank_of(0, 900, b"a", b"2"),
        *sorted(rank_of(0, 800, name, b"1") for name in (b"a", b"b", b"c")),
        rank_of(1, 10**9, b"a", b"1"),
        rank_of(1, 2**24 - 2, b"a", b"1"),
        rank_of(MAX_PRIORITY, 1, b"", b""),
    ]
    assert order == sorted(order)
    assert len({rank_of(0, 5, b"same", str(place).encode()) for place in range(100_000)}) == 100_000
    # where it was read decides last
    pairs = itertools.product((b"a", b"b"), (b"1", b"2"))
    assert sorted(rank_of(0, 5, c, p)[:9] for c, p in pairs) == sorted(
        2 * [rank_of(0, 5, c, b"")[:9] for c in (b"a", b"b")]
    )
    assert num_ngrams_of(int.from_bytes(order[0][:8], "big")) == 900


EDGES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([0.85, 0.9, 1.0])).filter(lambda e: e[0] != e[1]),
    max_size=30,
)


@given(EDGES)
@example([(0, 1, 0.9), (1, 2, 0.9)])
def test_each_document_is_removed_for_one_that_is_kept(drawn: list[tuple[int, int, float]]) -> None:
    names = [rank_of(0, 100 - n, b"x", b"") for n in range(10)]
    best = {(max(a, b), min(a, b)): overlap for a, b, overlap in drawn}
    edges = sorted((names[a], names[b], overlap, (a, b)) for (a, b), overlap in best.items())
    gone = {edge[3][0]: edge for edge in resolve(edges)}
    for number, (_, kept, overlap, (_, other)) in gone.items():
        assert names[other] == kept
        assert other not in gone
        rivals = [o for (a, b), o in best.items() if a == number and b not in gone]
        assert overlap == max(rivals)
    for number in set(range(10)) - set(gone):  # none that stays overlaps one before it that stays
        assert not [b for a, b in best if a == number and b not in gone]
