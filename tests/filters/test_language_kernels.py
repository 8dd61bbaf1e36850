"""Tests that compiled loops compute the same sums as NumPy, for any text, and wherever a block of words ends."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.language import compiled_sums
from filters.language.compiled_sums import BLOCK_BYTES, CompiledWordSums
from filters.language.word_kernels import find_ngrams
from filters.language.word_sums import TextSums, WordSums
from pipeline.models.fasttext_file import read_pruned_model
from pipeline.models.find import find_models

SPACES = " \n\r\t\v\f\0"
ALL_PLANES = [chr(code) for code in range(0, 0x110000, 61) if not 0xD800 <= code < 0xE000]
BLOCKS = "".join(f"{one}{two} " for one, two in itertools.pairwise(ALL_PLANES))


@pytest.fixture(scope="module")
def forms() -> tuple[WordSums, CompiledWordSums]:
    path = str(find_models(None)["language"])
    parts = read_pruned_model(path, fasttext.load_model(path))
    assert parts
    return WordSums(parts), CompiledWordSums(parts)


def are_equal(numpy: TextSums, compiled: TextSums, *, is_long: bool = False) -> None:
    """Fails if the sums of a text differ. With ``is_long``, texts with a word that does not fit into a block are not
    compared, because both forms leave these texts to fastText.
    """
    asked = compiled.is_asked if is_long else np.zeros(len(compiled.is_asked), bool)
    assert numpy.is_asked.tolist() == compiled.is_asked.tolist()
    assert numpy.num_rows[~asked].tolist() == compiled.num_rows[~asked].tolist()
    assert np.allclose(numpy.sums[:, ~asked], compiled.sums[:, ~asked], rtol=1e-12, atol=1e-10)
    assert np.allclose(numpy.passed[:, ~asked], compiled.passed[:, ~asked], rtol=1e-12, atol=1e-10)


texts = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        st.sampled_from([*SPACES, "</s>", "__label__en", "__label__", "the", "</s", "и" * 300, "日本", "😀😀"]),
    )
).map("".join)


@settings(max_examples=100, deadline=None)
@given(st.lists(texts, max_size=6), st.integers(0, 2))
@example(["", " ", SPACES, "\0", "a\0b", "a\x1cb c\u3000d", "a", "<", "<>", ">"], 0)
@example(["the sea </s> und das Meer", "__label__en und", "x__label__", "</s>", "a</s>"], 0)
@example([BLOCKS, BLOCKS.replace(" ", "")[:1000], BLOCKS[::-1]], 1)
def test_any_texts_have_numpys_sums(forms: Any, given_texts: list[str], first: int) -> None:
    array = pa.array(["another text"] * first + given_texts, pa.string()).slice(first)
    numpy, compiled = forms
    if len(array):
        are_equal(numpy.sum_texts(array), compiled.sum_texts(array))


def test_words_have_the_same_sums_to_the_last_bit(forms: Any) -> None:
    array = pa.array([word for word in BLOCKS.split(" ") if word and not set(word) & set(SPACES)])
    numpy, compiled = (form.sum_texts(array) for form in forms)
    assert (numpy.sums == compiled.sums).all()


@pytest.mark.parametrize("char", ["a", "é", "日", "😀"])
def test_a_block_may_end_anywhere(forms: Any, char: str) -> None:
    """Words of one character fill a block nearly to its end. Then comes a word of several characters."""
    size = len(char.encode()) + 2
    fillings = [f"{char} " * ((BLOCK_BYTES - room) // size) + f"x{'y' * (room % size)} " for room in range(3 * size)]
    array = pa.array([f"{filling}{char * 3} the sea" for filling in fillings])
    numpy, compiled = (form.sum_texts(array) for form in forms)
    are_equal(numpy, compiled)


@pytest.mark.parametrize("size", [BLOCK_BYTES - 4, BLOCK_BYTES - 3, BLOCK_BYTES - 2, BLOCK_BYTES - 1, BLOCK_BYTES,
                                  2 * BLOCK_BYTES, 1 << 20])  # fmt: skip
def test_a_word_that_does_not_fit_into_a_block_is_left_to_fasttext(forms: Any, size: int) -> None:
    """The word consists of U+0001, which has few n-grams in the model. So only the size of the word can be the
    reason.
    """
    word = "\x01" * size
    array = pa.array([word, f"the {word}", f"the sea {word} the sea", "the sea"])
    numpy, compiled = (form.sum_texts(array) for form in forms)
    are_equal(numpy, compiled, is_long=True)
    assert compiled.is_asked.tolist() == [size > BLOCK_BYTES - 3] * 3 + [False]


def test_bytes_that_are_not_utf8_stay_inside_the_block(forms: Any) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(1, 256, 20_000, dtype=np.uint8)
    is_start = (noise & 0xC0) != 0x80
    noise[3:][~(is_start[3:] | is_start[2:-1] | is_start[1:-2] | is_start[:-3])] = ord(
        "a"
    )  # at most four per character
    bounds = np.arange(0, 20_001, 100, dtype=np.int32)
    array = pa.Array.from_buffers(pa.string(), 200, [None, pa.py_buffer(bounds), pa.py_buffer(noise)])
    numpy, compiled = forms
    are_equal(numpy.sum_texts(array), compiled.sum_texts(array))


def test_a_missing_text_is_an_empty_one(forms: Any) -> None:
    _, compiled = forms
    found = compiled.sum_texts(pa.array(["skipped", None, "the sea", None]).slice(1))
    assert found.num_rows.tolist() == [0, *compiled.sum_texts(pa.array(["the sea"])).num_rows, 0]


@pytest.mark.parametrize("num_buckets", [1, 2, 3, 5000, 65_537, 2_000_000, 2**21, 2**24 - 3])
def test_buckets_are_remainders(num_buckets: int) -> None:
    """The compiled loop multiplies by an inverse. Multiples of the divisor and their neighbours are the hard cases."""
    multiples = np.random.default_rng(1).integers(0, 2**32 // num_buckets, 3000) * num_buckets
    hashes = np.concatenate([multiples, multiples - 1, [0, 1, 2**32 - 1, 2**32 - 2]]) % 2**32
    hashes = hashes.astype(np.uint32)
    count = len(hashes)
    rows, ngrams = np.zeros((2, count), np.int64)
    inverse = float(np.nextafter(1 / num_buckets, 1))
    kept = np.packbits(np.append(np.ones(num_buckets, bool), False), bitorder="little")
    row_of_bucket = np.arange(num_buckets, dtype=np.int32)
    found = find_ngrams(hashes, count, 1, np.zeros(count, np.int32), inverse, kept, row_of_bucket, ngrams, rows)
    assert found == count
    assert (rows == hashes % num_buckets).all()


def test_the_room_for_words_is_the_same_for_all_texts(forms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    before = compiled_sums._block
    monkeypatch.setattr(compiled_sums, "_block", lambda size: made.append(before(size)) or made[-1])
    _, compiled = forms
    for text in ("the sea", "the sea " * 100_000, "x" * 1_000_000):
        compiled.sum_texts(pa.array([text]))
    assert len({sum(array.nbytes for array in block) for block in made}) == 1
    assert sum(array.nbytes for array in made[0]) < 1 << 20


@pytest.mark.slow
@pytest.mark.parametrize("form", ["model", "model.compiled"])
def test_only_the_compiled_form_loads_the_compiler(form: str) -> None:
    code = (
        "import sys, pyarrow as pa\n"
        "from pipeline.models.load import load\n"
        "from pipeline.models.find import find_models\n"
        "model = load('language', find_models(None)['language'])\n"
        f"{form}.top_all(pa.array(['a']), lambda least, most: least == most)\n"
        "print('numba' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert said == str(form == "model.compiled")
