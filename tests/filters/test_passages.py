"""Tests the windows of the passage dedup. They depend only on the text, and texts that share a passage share windows.
If possible, a cut begins and ends between lines or words.
"""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.near import passages
from filters.near.passages import (
    BORDER_BYTES,
    STRIDE,
    Windows,
    begin_of_cut,
    cut_passages,
    end_of_cut,
    first_copies,
    windows_of,
)

NUM_BYTES = 150
REPETITIVE = ["la " * 150, "-" * 700, "\n" * 300, "The tide rises. " * 60, "é中" * 90]
PARTS = st.lists(st.one_of(st.text(max_size=40), st.sampled_from(REPETITIVE)), max_size=6).map("".join)


def words(seed: int, num_bytes: int) -> str:
    draw = random.Random(seed)
    return "".join(draw.choice("abcdefg hijklmn opqrst\n") for _ in range(num_bytes))


def windows_by_hand(text: str) -> list[tuple[int, bytes]]:
    """Returns (position, bytes) of each window in a text."""
    found = windows_of(pa.array([text]), NUM_BYTES)
    data = text.encode()
    assert len(found.hashes) == len(found.begins) == found.doc_offsets[-1]
    return [(at, data[at : at + NUM_BYTES]) for at in found.begins.tolist()]


@given(st.lists(PARTS, max_size=4), st.integers(1, 60))
def test_windows_depend_neither_on_other_texts_nor_on_chunks(texts: list[str], chunk: int) -> None:
    whole = windows_of(pa.array(["x", *texts], pa.string())[1:], NUM_BYTES)
    for number, text in enumerate(texts):
        own = slice(int(whole.doc_offsets[number]), int(whole.doc_offsets[number + 1]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(passages, "_CHUNK_BYTES", chunk)
            alone = windows_of(pa.array([text], pa.large_string()), NUM_BYTES)
        assert alone.hashes.tolist() == whole.hashes[own].tolist()
        assert alone.begins.tolist() == whole.begins[own].tolist()
        assert all(len(data) == NUM_BYTES for _, data in windows_by_hand(text))


@given(st.integers(0, 1000), st.text(max_size=90), st.text(max_size=90), st.integers(0, 400))
def test_windows_of_a_shared_passage_cover_it(seed: int, before: str, after: str, more: int) -> None:
    shared = words(seed, NUM_BYTES + STRIDE - 1 + more)
    one, two = windows_by_hand(before + shared), windows_by_hand(shared + after)
    common = {data for _, data in one} & {data for _, data in two}
    begin = len(before.encode())
    places = sorted(at - begin for at, data in one if data in common)
    assert places[0] < STRIDE
    assert places[-1] + NUM_BYTES > len(shared) - STRIDE
    assert np.diff(places).max(initial=0) <= STRIDE


@pytest.mark.parametrize("more", [1, 5, 64, 127, 700])
@pytest.mark.parametrize("pieces", [["-", " ", "0, ", "| --- "], [chr(code) for code in range(0x21, 0x800)]])
def test_a_shared_passage_that_begins_with_a_run_shares_a_window(pieces: list[str], more: int) -> None:
    """Neither the run nor the text after it is long enough for a window, so a shared window must cross their border.

    A run is a repeated piece. The hash of the piece decides whether windows begin everywhere in the run. So many pieces
    are tried.
    """
    for piece in pieces:
        before = piece * (more // len(piece.encode()) + 1)
        run = (piece * 200).encode()[: NUM_BYTES - 1].decode("utf-8", "ignore")
        shared = run + words(more, NUM_BYTES + STRIDE - len(run.encode()))
        one = windows_by_hand(words(1, 50) + shared + words(3, 300))
        two = windows_by_hand(words(2, 70) + before + shared + words(4, 300))
        assert {data for _, data in one} & {data for _, data in two}, piece


@pytest.mark.parametrize(
    "text", ["a" * 151, "a" * 3000, "x = [" + "0, " * 400 + "]", "| 0 | 0 | 0 |\n" * 100, "né " * 200]
)
def test_of_a_text_that_repeats_itself_the_first_window_stays(text: str) -> None:
    windows = windows_of(pa.array(["another", text, text[::-1]]), NUM_BYTES)
    first = first_copies(windows)
    assert (first <= np.arange(len(first))).all()
    assert (windows.hashes[first] == windows.hashes).all()
    found = cut_passages(pa.array(["another", text, text[::-1]]), windows, first != np.arange(len(first)), NUM_BYTES)
    for whole, left in zip((text, text[::-1]), found.text.to_pylist()[1:], strict=True):
        assert len(left.encode()) >= NUM_BYTES
        assert left.startswith(whole.encode()[: NUM_BYTES - 4].decode("utf-8", "ignore"))


def test_windows_are_few() -> None:
    """Varied text has one window per 64 bytes, and a repeated piece has one per 128 bytes (roughly)."""
    varied, plain = words(1, 200_000), "-" * 200_000
    assert 200_000 / 75 < len(windows_by_hand(varied)) < 200_000 / 55
    assert len(windows_by_hand(plain)) <= 200_000 / STRIDE + 1
    assert len(windows_by_hand("ab" * 100_000)) <= 200_000 / 60
    assert windows_by_hand("x" * (NUM_BYTES - 1)) == []


@given(PARTS, st.data())
def test_only_whole_characters_inside_repeated_windows_are_cut(text: str, data: st.DataObject) -> None:
    windows = windows_of(pa.array([text]), NUM_BYTES)
    is_repeated = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(windows.begins), max_size=len(windows.begins))), bool
    )
    found = cut_passages(pa.array([text]), windows, is_repeated, NUM_BYTES)
    (left,) = found.text.to_pylist()
    raw = text.encode()
    assert len(raw) - len(left.encode()) == found.num_bytes[0]
    assert (found.num_bytes[0] > 0) == (found.num_passages[0] > 0)
    covered = np.zeros(len(raw), bool)
    first = first_copies(windows)
    for number in np.flatnonzero(is_repeated).tolist():
        kept_end = 0 if is_repeated[first[number]] else int(windows.begins[first[number]]) + NUM_BYTES
        covered[max(windows.begins[number], kept_end) : windows.begins[number] + NUM_BYTES] = True
    must_stay = raw.translate(None) if not covered.any() else bytes(np.frombuffer(raw, np.uint8)[~covered])
    rest = iter(left.encode())
    assert all(byte in rest for byte in must_stay)  # what no window covers stays, in order
    num_borders = 2 * int(np.count_nonzero(np.diff(covered.astype(int), prepend=0) == 1))
    assert int(covered.sum()) - int(found.num_bytes[0]) <= num_borders * (BORDER_BYTES + 1) or found.num_bytes[0] == 0


@pytest.mark.parametrize(
    ("text", "passage", "left"),
    [
        ("one\n" + "x" * 300 + "\ntwo", (2, 306), "one\ntwo"),
        ("one two three " + "x" * 300 + " four five", (5, 318), "one two four five"),
        ("x" * 300 + "\ntwo", (0, 304), ""),
        ("中" * 200, (301, 452), "中" * 151),
        ("a" * 10 + "\n" + "b" * 300, (4, 311), "a" * 10 + "\n"),
        ("a" * 400, (100, 300), "a" * 200),
    ],
)
def test_where_a_cut_begins_and_ends(text: str, passage: tuple[int, int], left: str) -> None:
    begin, end = passage
    size = end - begin
    windows = Windows(np.zeros(1, np.uint64), np.array([begin]), np.array([0, 1]))
    found = cut_passages(pa.array([text, ""])[:1], windows, np.array([True]), size)
    assert found.text.to_pylist() == [left]
    assert found.num_passages.tolist() == [1]


@given(st.text(max_size=400), st.integers(0, 400))
def test_borders_lie_between_characters_and_near_the_place(text: str, place: int) -> None:
    data = text.encode()
    place = min(place, len(data))
    begin, end = begin_of_cut(data, place), end_of_cut(data, place)
    assert max(0, place - BORDER_BYTES) - 4 <= end <= place <= begin <= min(len(data), place + BORDER_BYTES + 1)
    for at in (begin, end):
        data[:at].decode()
