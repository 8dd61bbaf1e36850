"""Tests the overlap of books: words in the spellings of several editions, sampling, candidates, and which of two books
is kept.
"""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.books.boilerplate import strip
from filters.books.overlap import KEEP_ONE_IN, normalise, overlap, shingles, sketch
from filters.books.overlap_groups import is_at_risk, is_candidate, miss_probability, pairs_of_bucket, ranks, resolve


def _book(name: str, num_words: int) -> list[str]:
    return [f"{name}{number}" for number in range(num_words)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("“It’s _very_ fine—isn’t it?”", "\"It's very fine--isn't it?\""),
        ("café Noël ÉCOLE", "cafe Noel ecole"),
        ("cafe\u0301", "café"),
        ("Häuser für Möwen, Straße", "Haeuser fuer Moewen, Strasse"),
        ("Häuser für Möwen", "Hauser fur Mowen"),
        ("œuvre Æsop ﬁne", "oeuvre AEsop fine"),
        ("ΚΑΛΗ μέρα", "καλη μερα"),
        ("ЁЛКА", "ёлка"),
        ("one\ntwo\t three\u00a0four", "One two three four"),
        ("smørrebrød Łódź", "smorrebrod Lodz"),
    ],
)
def test_editions_spell_a_word_in_one_way(one: str, other: str) -> None:
    assert normalise(one).split() == normalise(other).split()


@pytest.mark.parametrize(
    ("one", "other"), [("ab", "a b"), ("a1", "a2"), ("кот", "код"), ("我是", "是我"), ("ab", "ba")]
)
def test_different_words_stay_different(one: str, other: str) -> None:
    assert normalise(one).split() != normalise(other).split()


@given(
    st.lists(
        st.sampled_from(["the", "of", "and", "to", "a", "in", "that", "is", "was", "he", "für", "été"]), max_size=60
    ),
    st.integers(1, 6),
)
def test_shingles_are_the_set_of_word_ngrams(words: list[str], width: int) -> None:
    folded = [word.replace("ü", "u").replace("é", "e") for word in words]
    wanted = {tuple(folded[at : at + width]) for at in range(max(1, len(folded) - width + 1))} if words else set()
    found = shingles(" ".join(words), ngram_words=width)
    assert len(found) == len(wanted)
    assert found.dtype == np.uint64
    assert (found[1:] > found[:-1]).all()


def test_shingles_do_not_depend_on_how_the_text_is_cut_into_blocks() -> None:
    words = _book("w", 100_000)  # over two blocks of 256 kB
    whole = set(shingles(" ".join(words)).tolist())
    pieces = [shingles(" ".join(words[at : at + 104])) for at in range(0, 100_000, 100)]
    assert whole == set(np.concatenate(pieces).tolist())
    assert len(whole) == 99_996


def test_odd_texts() -> None:
    assert shingles("").size == 0
    assert shingles("... --- !!!").size == 0
    assert shingles("two words").size == 1
    assert shingles("x" * 1_000_000).size == 1
    assert shingles("\ud800 a").size == 1
    assert overlap(shingles(""), shingles("one two three four five")) == 0.0
    with pytest.raises(ValueError, match="ngram_words"):
        shingles("a", ngram_words=0)


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_overlap_is_the_shared_over_the_smaller(one: set[int], other: set[int]) -> None:
    a, b = (np.array(sorted(values), np.uint64) for values in (one, other))
    wanted = len(one & other) / min(len(one), len(other)) if one and other else 0.0
    assert overlap(a, b) == overlap(b, a) == wanted


@pytest.mark.parametrize(("share", "goes"), [(0.80, False), (0.88, False), (0.92, True), (0.97, True)])
@pytest.mark.parametrize("num_words", [1_000, 20_000])
def test_made_overlaps_fall_on_the_right_side(share: float, goes: bool, num_words: int) -> None:
    book = _book("w", num_words)
    changed = _book("other", num_words - round(share * num_words))
    edition = book[: num_words - len(changed)] + changed
    omnibus = _book("before", 3 * num_words) + book + _book("after", 2 * num_words)
    sets = {"book": shingles(" ".join(omnibus)), "edition": shingles(" ".join(edition))}
    found = overlap(sets["book"], sets["edition"])
    assert found == pytest.approx(share, abs=0.005)
    shared = len(np.intersect1d(sketch(sets["book"]), sketch(sets["edition"])))
    assert is_candidate(shared, len(sketch(sets["book"])), len(sketch(sets["edition"])))
    dropped = resolve({name: len(found) for name, found in sets.items()}, [("book", "edition", found)])
    assert dropped == ({"edition": ("book", found)} if goes else {})


def test_a_sketch_is_one_sample_for_all_books() -> None:
    book, other = shingles(" ".join(_book("w", 50_000))), shingles(" ".join(_book("w", 25_000)))
    assert len(sketch(book)) == pytest.approx(len(book) / KEEP_ONE_IN, rel=0.15)
    assert set(sketch(other).tolist()) == set(other.tolist()) & set(sketch(book).tolist())
    assert (sketch(book, keep_one_in=1) == book).all()


def test_the_stated_miss_probability_is_what_is_drawn() -> None:
    draws, num_shingles, keep_one_in = 40_000, 300, 64  # books too short for the dedup, so that misses can be counted
    random_source = np.random.default_rng(0)
    shared = random_source.binomial(round(num_shingles * 0.9), 1 / keep_one_in, draws)
    others = random_source.binomial(round(num_shingles * 0.1), 1 / keep_one_in, draws)
    missed = sum(
        not is_candidate(int(both), 10**6, int(both + rest)) for both, rest in zip(shared, others, strict=True)
    )
    assert missed / draws == pytest.approx(miss_probability(num_shingles), rel=0.15)
    assert miss_probability(996) < 1e-5


def _pairs_by_hand(entries: set[tuple[int, int]]) -> dict[tuple[int, int], int]:
    counts: dict[tuple[int, int], int] = {}
    for _, group in itertools.groupby(sorted(entries), key=lambda entry: entry[0]):
        for pair in itertools.combinations([book for _, book in group], 2):
            counts[pair] = counts.get(pair, 0) + 1
    return counts


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=60), st.randoms(use_true_random=False))
def test_a_bucket_counts_every_pair(entries: list[tuple[int, int]], shuffle: random.Random) -> None:
    shuffle.shuffle(entries)
    hashes = np.array([entry[0] for entry in entries], np.uint64)
    books = np.array([entry[1] for entry in entries], np.uint64)
    found = pairs_of_bucket(hashes, books, books.astype(np.int64))
    wanted = _pairs_by_hand(set(entries))
    assert dict(zip(map(tuple, found.pairs.tolist()), found.counts.tolist(), strict=True)) == wanted
    assert found.capped_books.size == 0


def test_a_common_shingle_costs_linear_work_and_is_told() -> None:
    num_books = 5_000
    books = np.arange(num_books, dtype=np.uint64)
    order = ranks((np.arange(num_books) % 700).tolist(), [f"{book:04}" for book in books])  # first 699, then 1399
    found = pairs_of_bucket(np.full(num_books, 7, np.uint64), books, order, max_books_per_shingle=64, num_leaders=8)
    assert len(found.pairs) == sum(num_books - 1 - leader for leader in range(8))
    met = set(found.pairs.ravel().tolist())
    assert met == set(range(num_books))  # everyone meets the leaders
    assert [699, 4] in found.pairs.tolist() or [4, 699] in found.pairs.tolist()
    assert found.capped_books.tolist() == books.tolist()
    assert found.capped_counts.tolist() == [1] * num_books
    assert is_at_risk(4, 12)
    assert not is_at_risk(3, 12)


def test_three_hundred_editions_of_one_book_leave_one() -> None:
    words = _book("w", 6_000)
    sets = {f"edition{number:03}": shingles(" ".join(words[number:])) for number in range(300)}
    sketches = {name: sketch(found) for name, found in sets.items()}
    names = sorted(sketches)
    lengths = [len(sketches[name]) for name in names]
    found = pairs_of_bucket(
        np.concatenate([sketches[name] for name in names]),
        np.repeat(np.arange(300, dtype=np.uint64), lengths),
        np.repeat(ranks([len(sets[name]) for name in names], names), lengths),
    )
    pairs = [
        (names[a], names[b], overlap(sets[names[a]], sets[names[b]]))
        for (a, b), shared in zip(found.pairs.tolist(), found.counts.tolist(), strict=True)
        if is_candidate(shared, len(sketches[names[a]]), len(sketches[names[b]]))
    ]
    assert len(pairs) < 8 * 300
    assert sorted(resolve({name: len(found) for name, found in sets.items()}, pairs)) == names[1:]


def test_a_story_in_two_anthologies_takes_neither_away() -> None:
    story = _book("story", 2_000)
    texts = {
        "anthology1": _book("a", 20_000) + story,
        "anthology2": story + _book("b", 20_000),
        "story": story,
    }
    sets = {name: shingles(" ".join(words)) for name, words in texts.items()}
    pairs = [(a, b, overlap(sets[a], sets[b])) for a, b in itertools.combinations(sets, 2)]
    dropped = resolve({name: len(found) for name, found in sets.items()}, pairs)
    assert dropped == {"story": ("anthology1", 1.0)}


def test_a_chain_loses_only_its_middle() -> None:
    size = {"a": 1_000, "b": 990, "c": 980, "d": 970}
    pairs = [("a", "b", 0.95), ("b", "c", 0.95), ("c", "d", 0.95)]
    assert resolve(size, pairs) == {"b": ("a", 0.95), "d": ("c", 0.95)}


def test_equal_books_are_decided_by_id_and_the_closest_is_named() -> None:
    size = {"x": 10, "y": 10, "z": 5, "w": 20}
    assert resolve(size, [("y", "x", 1.0)]) == {"y": ("x", 1.0)}
    assert resolve(size, [("z", "w", 0.92), ("x", "z", 0.99)]) == {"z": ("x", 0.99)}
    assert resolve(size, [("z", "w", 0.95), ("x", "z", 0.95)]) == {"z": ("w", 0.95)}
    with pytest.raises(KeyError):
        resolve({"x": 1}, [("x", "unknown", 0.99)])


@given(
    st.dictionaries(st.sampled_from("abcdefghij"), st.integers(1, 5), min_size=2),
    st.data(),
    st.randoms(use_true_random=False),
)
def test_whatever_goes_stands_in_a_book_that_stays(
    size: dict[str, int], data: st.DataObject, shuffle: random.Random
) -> None:
    every = list(itertools.combinations(sorted(size), 2))
    pairs = [(a, b, data.draw(st.sampled_from([0.5, 0.9, 0.91, 1.0]))) for a, b in every]
    dropped = resolve(size, pairs)
    for book, (kept, share) in dropped.items():
        assert kept not in dropped
        assert share > 0.9
        assert (-size[kept], kept) < (-size[book], book)
        assert share == max(found for a, b, found in pairs if {a, b} == {kept, book})
    stay = sorted(set(size) - set(dropped))
    assert not any(found > 0.9 for a, b, found in pairs if a in stay and b in stay)
    shuffled = [(b, a, found) for a, b, found in pairs]
    shuffle.shuffle(shuffled)
    assert resolve(size, shuffled) == dropped


@pytest.mark.real
def test_every_real_edition_is_found_and_no_two_books_are_joined(corpus_data: Path) -> None:
    sets, numbers = {}, {}
    for path in sorted((corpus_data / "books").rglob("*.txt")):
        if path.name == "pandp09.txt":
            continue
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig" if path.name.endswith("-0.txt") else "latin-1").replace("\r\n", "\n")
        sets[path.name] = shingles(strip(text).text)
        numbers[path.name] = next(
            part for part in path.relative_to(corpus_data / "books").parts if re.fullmatch(r"\d+", part)
        )
    sketches = {name: sketch(found) for name, found in sets.items()}
    verified = []
    for a, b in itertools.combinations(sets, 2):
        share = overlap(sets[a], sets[b])
        shared = len(np.intersect1d(sketches[a], sketches[b]))
        assert is_candidate(shared, len(sketches[a]), len(sketches[b])) == (numbers[a] == numbers[b]), (a, b)
        assert (share > 0.95) == (numbers[a] == numbers[b]), (a, b, share)
        assert share > 0.95 or share < 0.01, (a, b, share)
        verified.append((a, b, share))
    dropped = resolve({name: len(found) for name, found in sets.items()}, verified)
    assert len(sets) == 29
    assert sorted(numbers[name] for name in sets if name not in dropped) == sorted(set(numbers.values()))
    assert all(numbers[name] == numbers[kept] for name, (kept, _) in dropped.items())
