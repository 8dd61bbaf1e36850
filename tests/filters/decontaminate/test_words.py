"""Tests how texts are split into words: the machine code gives the same words as its Python function, for any text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.decontaminate import index, words
from filters.decontaminate.index import likely_ngrams, make_seeds, ngram_hashes
from filters.decontaminate.words import HashedWords, find_words, split_words

PARTS = [
    *"aBß1&#;- \n\0é文中ท한", "&amp;", "&nbsp;", "&#233;", "&shy;", "&eacute", "e\u0301", "\u00ad", "\ufb01", "\ud800",
    "\U00010400", "\U0001f600", "\U00020000", "&#x41;", "&ThickSpace;", "&fjlig;", "\u200d",
]  # fmt: skip
TEXTS = st.lists(st.lists(st.sampled_from(PARTS), max_size=12).map("".join), max_size=4)


def values(found: HashedWords) -> list[list[int]]:
    return [getattr(found, name).tolist() for name in ("hashes", "starts", "ends", "offsets")]


@given(TEXTS)
@settings(max_examples=300)
def test_machine_code_and_python_agree(texts: list[str]) -> None:
    compiled = values(split_words(texts))
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):
        patch.setattr(words, "find_words", find_words.python)
        assert values(split_words(texts)) == compiled


@given(TEXTS)
def test_a_text_has_the_same_words_alone(texts: list[str]) -> None:
    together = split_words(texts)
    for number, text in enumerate(texts):
        part = slice(int(together.offsets[number]), int(together.offsets[number + 1]))
        alone = split_words([text])
        assert [alone.hashes.tolist(), alone.starts.tolist(), alone.ends.tolist()] == [
            together.hashes[part].tolist(), together.starts[part].tolist(), together.ends[part].tolist(),
        ]  # fmt: skip


@pytest.mark.parametrize("character", ["a", "é", "中"])
def test_a_word_without_end_has_the_same_parts_behind_other_texts(character: str) -> None:
    text = character * 150_000
    alone, behind = split_words([text]), split_words(["some words", text])
    assert behind.hashes[2:].tolist() == alone.hashes.tolist()
    assert alone.ends.tolist()[-1] == len(text)


@pytest.mark.parametrize("text", ["a b " * 50_000, "中" * 70_000, "a" * 65_536 + " b", "é " * 40_000])
def test_the_arrays_have_room_for_the_words_of_every_text(text: str) -> None:
    found = split_words([text] * 2)
    assert len(found.hashes) % 2 == 0
    assert (found.ends > found.starts).all()
    assert found.ends.max() <= len(text)


@given(st.lists(st.lists(st.integers(0, 5), max_size=9), max_size=5), st.integers(1, 4), st.integers(1, 3), st.data())
def test_ngrams_of_machine_code_are_those_of_numpy(
    documents: list[list[int]], num_words: int, stride: int, data: st.DataObject
) -> None:
    """The fast filter may pass n-grams that are not in the set, but must never miss one that is."""
    hashed = np.array([word for document in documents for word in document], dtype=np.uint64)
    offsets = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    every = np.array(
        [place for first, end in pairwise(offsets.tolist()) for place in range(first, end - num_words + 1, stride)],
        dtype=np.int64,
    )
    hashes = ngram_hashes(hashed, every, num_words)
    known = sorted(data.draw(st.sets(st.sampled_from(range(len(every)))))) if len(every) else []
    seeds = make_seeds(hashes[known], every[known], num_words)
    places, at = seeds.look_up(hashed, offsets, stride)
    assert set(zip(places.tolist(), at.tolist(), strict=True)) >= {
        (int(every[i]), int(every[j])) for i in range(len(every)) for j in known if hashes[i] == hashes[j]
    }
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):
        patch.setattr(index, "likely_ngrams", likely_ngrams.python)
        again = seeds.look_up(hashed, offsets, stride)
    assert [places.tolist(), at.tolist()] == [again[0].tolist(), again[1].tolist()]
