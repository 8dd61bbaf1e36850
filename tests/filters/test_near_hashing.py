"""Tests the machine code of the near dedup: each kernel against its Python function, and both against plain code."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filters.books.overlap import ASCII_TABLE, folded, hash_tables, ngram_hashes, normalise, shingles, word_hashes
from filters.near.folding import fold_table, has_sigma
from filters.near.hashing import (
    DONE,
    FULL,
    UNKNOWN,
    Found,
    Tables,
    Texts,
    count_shared,
    drop_repetitions,
    hash_ngrams,
    lowest_permuted,
)
from filters.near.ngrams import ngram_sets

PIECES = st.sampled_from(
    ["a", "ae", "oe", "Ue", "ee", "e", " ", "\n", "\0", "\x7f", "é", "E\u0301", "ß", "Ж", "我", "ﷺ", "\ud800",
     "\U0001f600", "\U0001d400", "x" * 40, "42", "½", "İ", "ς"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=30).map("".join))
SETS = st.lists(st.integers(0, 40), max_size=30, unique=True).map(lambda one: np.array(sorted(one), np.uint64))
FULL_RANGE = st.integers(0, 2**32 - 1)


def packed(texts: Sequence[str], *, width: int, space: int) -> tuple[Texts, Found]:
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    data = np.frombuffer(b"".join(encoded), np.uint8)
    return Texts(data, ends, np.zeros(len(texts), np.bool_)), Found(
        np.zeros(space, np.uint64), np.zeros(ends.size, np.int64), np.zeros(width, np.uint64)
    )


def hashed_in_order(text: str, width: int) -> list[int]:
    """Returns the hashes of a text's n-grams, in the order of the text, computed with numpy."""
    words, _ = word_hashes(b" " + normalise(text))
    return ngram_hashes(words, width).tolist() if words.size >= width else []


@given(st.lists(TEXTS, max_size=5), st.integers(1, 6))
@example(["", "a b c d e f", "\0\0", "ae oe ue aee"], 2)
def test_ngrams_are_hashed_like_those_of_books(texts: list[str], width: int) -> None:
    texts = [text for text in texts if not has_sigma(text)]
    table = fold_table(texts)
    tables = Tables(table.entries, table.pool, hash_tables()[0])
    found = []
    for function in (hash_ngrams, hash_ngrams.python):
        given_texts, space = packed(texts, width=width, space=500)
        with np.errstate(over="ignore"):
            assert function(given_texts, tables, space, 0) == (len(texts), DONE)
        found.append([space.grams[start:end].tolist() for start, end in itertools.pairwise(space.ends.tolist())])
    assert found[0] == found[1] == [hashed_in_order(text, width) for text in texts]


@pytest.mark.parametrize("function", [hash_ngrams, hash_ngrams.python], ids=["machine", "python"])
def test_hashing_stops_where_space_or_a_table_entry_is_missing(function: type[hash_ngrams]) -> None:  # type: ignore[valid-type]
    texts = ["one two", "three four five six", "seven \U000e0100x eight"]
    complete = fold_table(texts)
    table = complete._replace(entries=np.where(np.arange(0x110000) == 0xE0100, np.int32(0), complete.entries))
    given_texts, found = packed(texts, width=1, space=5)
    with np.errstate(over="ignore"):
        assert function(given_texts, Tables(*table, hash_tables()[0]), found, 0) == (1, FULL)
        found = found._replace(grams=np.concatenate([found.grams, np.zeros(9, np.uint64)]))
        assert function(given_texts, Tables(*table, hash_tables()[0]), found, 1) == (2, UNKNOWN)
        assert function(given_texts, Tables(*complete, hash_tables()[0]), found, 2) == (3, DONE)
    assert found.ends.tolist() == [0, 2, 6, 9]
    assert found.grams[:9].tolist() == [h for text in texts for h in hashed_in_order(text, 1)]


def test_characters_in_random_neighbourhoods() -> None:
    """Puts random characters next to each other, in texts of 500 characters."""
    shuffled = random.Random(1).sample(range(0x110000), 20_000)
    texts = ["".join(map(chr, shuffled[at : at + 500])) for at in range(0, len(shuffled), 500)]
    for text, found in zip(texts, ngram_sets(texts, ngram_words=1), strict=True):
        assert np.array_equal(found, shingles(text, ngram_words=1))


@given(st.text("aeoux é", max_size=40))
def test_ae_oe_and_ue_lose_their_second_letter(text: str) -> None:
    raw = folded(text, {}).translate(ASCII_TABLE)
    words, _ = word_hashes(raw.replace(b"ae", b"a").replace(b"oe", b"o").replace(b"ue", b"u"))
    (found,) = ngram_sets([text], ngram_words=1)
    assert found.tolist() == sorted(set(ngram_hashes(words, 1).tolist()))


@pytest.mark.parametrize("length", [2**18 - 2, 2**18 - 1, 2**18, 2**18 + 1, 2**19 - 2, 2**19 - 1, 2**19, 2**20 + 5])
@pytest.mark.parametrize("letter", ["x", "é", "我", "Ж"])
def test_long_words_are_cut_like_those_of_books(length: int, letter: str) -> None:
    text = "one two " + letter * length + " three four ae" + "e" * length
    (found,) = ngram_sets([text], ngram_words=1)
    assert found.tolist() == sorted(set(hashed_in_order(text, 1)))


def test_a_sigma_is_folded_by_its_place_in_the_word() -> None:
    texts = ["ΟΔΟΣ και ΣΑΣ ΟΔΟΣ", "\U0001d6baΟ\U0001d6ba", "οδος"]
    assert [has_sigma(text) for text in texts] == [True, True, False]
    for text, found in zip(texts, ngram_sets(texts, ngram_words=1), strict=True):
        assert np.array_equal(found, shingles(text, ngram_words=1))


@given(st.lists(st.lists(st.integers(0, 4), max_size=12).map(sorted), max_size=5))
def test_repetitions_are_removed_text_by_text(numbers: list[list[int]]) -> None:
    expected = [sorted(set(one)) for one in numbers]
    for function in (drop_repetitions, drop_repetitions.python):
        grams = np.array([n for one in numbers for n in one], np.uint64)
        ends = np.cumsum([0, *map(len, numbers)], dtype=np.int64)
        function(grams, ends)
        assert [grams[a:b].tolist() for a, b in itertools.pairwise(ends.tolist())] == expected


@given(st.lists(st.lists(FULL_RANGE, max_size=5), max_size=4), st.lists(st.tuples(FULL_RANGE, FULL_RANGE), max_size=5))
def test_signatures_of_machine_code_are_those_of_python(hashes: list[list[int]], by: list[tuple[int, int]]) -> None:
    together = np.array([h for one in hashes for h in one], np.uint32)
    ends = np.cumsum([0, *map(len, hashes)], dtype=np.int64)
    factors, summands = np.array([f for f, _ in by], np.uint32), np.array([s for _, s in by], np.uint32)
    found = []
    for function in (lowest_permuted, lowest_permuted.python):
        signatures = np.full((len(hashes), len(by)), 2**32 - 1, np.uint32)
        with np.errstate(over="ignore"):
            function(together, ends, factors, summands, signatures)
        found.append(signatures.tolist())
    assert found[0] == found[1]


@given(SETS, SETS, st.integers(1, 40))
@example(np.array([7], np.uint64), np.arange(100, dtype=np.uint64), 1)
@example(np.empty(0, np.uint64), np.empty(0, np.uint64), 1)
def test_shared_numbers_are_counted(one: np.ndarray, other: np.ndarray, times: int) -> None:
    larger = np.concatenate([other, np.arange(100, 100 + 20 * times, dtype=np.uint64)])
    for left, right in ((one, other), (other, one), (one, larger), (larger, one)):
        expected = len(set(left.tolist()) & set(right.tolist()))
        assert count_shared(left, right) == count_shared.python(left, right) == expected
