"""Tests the kernels of the rule sets: on hostile input they give the same results as plain Python, even if hashes
collide.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.rule_sets import known_words, lines, repetition, splitting, strings, texts, words
from filters.rule_sets.english_words import exceptions, split, units
from filters.rule_sets.fineweb import FineWebQuality
from filters.rule_sets.gopher import GopherQuality, GopherRepetition
from filters.text_column import bytes_of

STEPS = (GopherQuality(), GopherRepetition(), FineWebQuality())
PIECES = st.one_of(
    st.sampled_from(sorted(exceptions())),
    st.sampled_from(units()),
    st.sampled_from("aAzZéДд日ß79²½.,:;!?'’\"“”()[]<>-–—~…+*^=/@#$%€°_&|\u0301\x00\U0001f600😀"),
    st.sampled_from(
        ["..", "--", "---", "——", "……", "://", "www.", ".com", ".org/a", "a.b@c.de", "1.2.3.4", "10", "'s"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=3),
)
CHUNKS = st.lists(PIECES, min_size=1, max_size=8).map(lambda pieces: "".join("".join(pieces).split())).filter(bool)


def split_by_kernels(chunks: list[str]) -> list[tuple[str, ...]]:
    table = strings.Strings()
    numbers = [table.number_of(chunk) for chunk in chunks]
    ends, counts = known_words.split_all(table, 0)
    bounds = table.bounds.tolist()
    firsts = np.concatenate([[0], np.cumsum(counts)])
    found = []
    for number in numbers:
        cuts = [bounds[number], *ends[firsts[number] : firsts[number + 1]].tolist()]
        text, start = table.text(number), bounds[number]
        found.append(tuple(text[a - start : b - start] for a, b in pairwise(cuts)))
    return found


@settings(max_examples=500, deadline=None)
@given(st.lists(CHUNKS, min_size=1, max_size=8))
@example(["come--Mr.", "A" * 70 + ".com", "http://a.b", "x://example.com", "US$5km/h", "a" * 5_000, "(" * 2_000])
@example(["https://a.com?b", "https://example.com/a,b", "a-b.com", "A.com", "example.COM", "a.b.", "..com", "a..com"])
def test_splits_are_those_of_python(chunks: list[str]) -> None:
    assert split_by_kernels(chunks) == [split(chunk) for chunk in chunks]


@pytest.mark.slow
def test_most_runs_are_split_by_kernels() -> None:
    """The kernels split most strings, and do not leave them to Python. Otherwise the test above would compare Python
    with itself.
    """
    chunks = ["plain", "don't", "(U.K.,", "well-known?!", "https://example.com/a", "3.5km", "A.B", "end.", "“so”"]
    table = strings.Strings()
    for chunk in chunks:
        table.number_of(chunk)
    counts = np.empty(len(chunks), np.int64)
    ends = np.empty(table.num_chars, np.int64)
    arguments = (table.codes, table.bounds, known_words.kinds(), known_words.known())
    used = splitting.split_strings(*arguments, ends, counts)
    assert counts.tolist() == [len(split(chunk)) for chunk in chunks]
    again = np.empty_like(ends)
    assert splitting.split_strings.python(*arguments, again, np.empty_like(counts)) == used
    assert again[:used].tolist() == ends[:used].tolist()


@pytest.mark.slow
def test_every_character_alone() -> None:
    chunks = [
        chr(code) for code in range(texts.MAX_CODE + 1) if not 0xD800 <= code < 0xE000 and not chr(code).isspace()
    ]
    assert len(chunks) > 1_000_000
    assert [one for one in split_by_kernels(chunks) if len(one) != 1] == []
    table = words.words_of(pa.array(chunks))
    assert table.num_with_letter.tolist() == [int(chunk.isalpha()) for chunk in chunks]


def test_equal_hashes_do_not_make_strings_equal() -> None:
    parts = ["a string of some length", "another one that is long", "a string of some length", "", "x"]
    codes = strings.codes_of("".join(parts))
    ends = np.cumsum([len(part) for part in parts])
    starts = np.concatenate([[0], ends[:-1]])
    table = strings.Strings()
    keys, numbers = np.full(len(parts), -7), np.full(len(parts), -1, np.int32)
    assert strings.number_strings(table.arrays, codes, starts, ends, keys, numbers, 0) == len(parts)
    assert numbers.tolist() == [0, 1, 0, 2, 3]
    strings.look_up(table.arrays, keys, numbers)
    assert numbers.tolist() == [0] * 5
    strings.check_long(table.arrays, codes, starts, ends, keys, numbers)
    assert numbers.tolist() == [0, -1, 0, -1, -1]
    counts, bounds = np.zeros(17, np.int64), np.array([starts, ends, np.zeros(len(parts), np.int64)])
    lines.count_copies(codes, bounds, counts, 7)
    assert counts[7:9].tolist() == [1, len(parts[0])]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=40), st.integers(1, 3), st.integers(1, 3))
def test_numbers_of_strings(parts: list[str], num_strings: int, num_chars: int) -> None:
    table = strings.Strings(num_strings, num_chars)  # grows several times
    encoded = [part.encode("utf-32-le", "surrogatepass") for part in parts]
    codes = np.frombuffer(b"".join(encoded), np.int32)
    ends = np.cumsum([len(one) // 4 for one in encoded], dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(parts)]
    for _ in range(2):
        numbers = table.numbers(codes, starts, ends).tolist()
        different = {part: number for number, part in enumerate(dict.fromkeys(parts))}
        assert numbers == [different[part] for part in parts]
    assert len(table) == len(different)


def words_of_four(slot: int | None) -> list[str]:
    """Returns many words of four letters. With a ``slot``, returns only words that a weak hash (with the last step ``h
    ^ h >> 19``) puts into this slot of a table of 1,024 slots.
    """
    letters = np.arange(97, 123)
    found = np.stack(np.meshgrid(*[letters] * 4, indexing="ij"), -1).reshape(-1, 4)
    hashes = np.zeros(len(found), np.int64)
    for column in found.T:
        hashes = ((hashes ^ column) * 0x1000193) & ((1 << 38) - 1)
    found = found[(hashes ^ hashes >> 19) & 1023 == slot] if slot is not None else found[::1091]
    return ["".join(map(chr, row)) for row in found.tolist()]


def parts_of(chunks: list[str]) -> tuple[Any, Any]:
    """Returns the characters of the given lines, and an array with the starts, ends and hashes of the lines."""
    codes = strings.codes_of("\n".join(chunks))
    parts, row = np.zeros((3, len(chunks)), np.int64), np.zeros(17, np.int64)
    assert lines.read_lines.python(codes, 0, len(codes), lines.kinds(), parts, row) == len(chunks)
    again = np.zeros_like(parts)
    lines.read_lines(codes, 0, len(codes), lines.kinds(), again, row)
    assert again.tolist() == parts.tolist()
    return codes, parts


def test_lines_chosen_for_their_hashes_spread() -> None:
    chosen, others = words_of_four(7), words_of_four(None)
    assert min(len(chosen), len(others)) > 400
    for chunks in (chosen, others):
        assert 0 < lines.find_copies.python(*parts_of(chunks)) < 2 * len(chunks)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ab", min_size=1, max_size=3), min_size=2, max_size=40))
@example(["b", "a", "b", "b", "ab", "a", "ba", "ab"])
def test_sorting_finds_the_copies_that_the_hash_table_finds(chunks: list[str]) -> None:
    codes, parts = parts_of(chunks)
    is_copy = [chunk in chunks[:number] for number, chunk in enumerate(chunks)]
    for find in (lines.find_copies, lines.find_copies.python, lines.sort_copies, lines.sort_copies.python):
        found = parts.copy()
        assert find(codes, found) != -1
        assert (found[1] < 0).tolist() == is_copy
        assert abs(found).tolist() == parts.tolist()


@pytest.mark.parametrize("size", [3, 200])
def test_equal_hashes_do_not_make_the_search_quadratic(size: int) -> None:
    """All lines get the same hash. Even so, only few pairs of lines may be compared."""
    chunks = [chunk.rjust(size, "x") for chunk in words_of_four(None)]
    chunks += chunks[:50]
    codes, parts = parts_of(chunks)
    parts[2] = 7
    assert lines.find_copies(codes, parts.copy()) == lines.find_copies.python(codes, parts.copy()) == -1
    row = np.zeros(17, np.int64)
    lines.count_copies(codes, parts, row, 7)
    assert row[7:9].tolist() == [50, 50 * max(size, 4)]
    assert (parts[1] < 0).tolist() == [False] * (len(chunks) - 50) + [True] * 50


def probes_of(groups: list[tuple[int, int]]) -> int:
    """Returns the number of table slots that are read to insert all keys, which are different."""
    mask, slots, count = 2 * len(groups) - 1, set[int](), 0
    for one, two in groups:
        slot = repetition.hash_of.python(one << 32 | two) & mask
        assert slot == repetition.hash_of(one << 32 | two) & mask
        count += 1
        while slot in slots:
            slot = (slot + 1) & mask
            count += 1
        slots.add(slot)
    return count


@pytest.mark.parametrize("shift", range(8))
def test_runs_chosen_for_their_hashes_spread(shift: int) -> None:
    """The keys are chosen to have equal hashes in a weak hash function: one with the last step ``key ^ key >> 29``, if
    ``shift`` is 3.
    """
    assert probes_of([(number, 987_654 ^ number << shift) for number in range(1024)]) < 3 * 1024


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=40), st.data())
@example([1, 2, 1, 2, 3, 1, 2], None)
def test_sorting_finds_the_runs_that_the_hash_table_finds(ids: list[int], data: st.DataObject | None) -> None:
    places = np.arange(len(ids) - 1)
    if data:
        places = np.array(sorted(data.draw(st.sets(st.sampled_from(places.tolist())))), np.int64)
    results = []
    for group in (repetition.group_runs, repetition.group_runs.python):
        counts, firsts, found = np.zeros((3, len(ids)), np.int64)
        keys, slots = np.empty(len(ids), np.int64), np.empty(128, np.int32)
        number = group(places, np.array(ids), slots, keys, counts, firsts, found)
        results.append((number, counts[:number].tolist(), firsts[:number].tolist(), found.tolist()))
    for sort in (repetition.sort_runs, repetition.sort_runs.python):
        counts, firsts, found = np.zeros((3, len(ids)), np.int64)
        number = sort(places, np.array(ids), counts, firsts, found)
        results.append((number, counts[:number].tolist(), firsts[:number].tolist(), found.tolist()))
    assert results == results[:1] * 4


def test_runs_of_one_slot_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.tile(np.arange(300), 2)
    counts, firsts, found = np.zeros((3, len(ids)), np.int64)
    places, slots, keys = np.arange(len(ids) - 1), np.empty(2048, np.int32), np.empty(len(ids), np.int64)
    with monkeypatch.context() as patched:
        patched.setattr(repetition, "hash_of", lambda key: 7)
        assert repetition.group_runs.python(places, ids, slots, keys, counts, firsts, found) == -1
    bounds = np.arange(301) * 2
    results = np.zeros((2, 1, 9), np.int64)
    documents = ids.astype(np.int32), np.zeros(1, np.int64), np.array([len(ids)]), bounds, slots
    repetition.measure_runs(*documents, results[0])
    monkeypatch.setattr(repetition, "group_runs", lambda *arguments: -1)
    repetition.measure_runs.python(*documents, results[1])
    assert results[0].tolist() == results[1].tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), max_size=40), min_size=1, max_size=4))
def test_runs_are_those_of_the_python_function(documents: list[list[int]]) -> None:
    ids = np.array([word for one in documents for word in one], np.int32)
    ends = np.cumsum([len(one) for one in documents], dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    arguments = (ids, starts, ends, np.array([0, 1, 3, 6, 10]), np.empty(256, np.int32))
    found, expected = np.zeros((2, len(documents), 9), np.int64)
    repetition.measure_runs(*arguments, found)
    repetition.measure_runs.python(*arguments, expected)
    assert found.tolist() == expected.tolist()


def signals_of(column: pa.Array) -> list[Any]:
    return [
        [array.to_pylist() for array in (outcome.verdict, *outcome.signals.values())]
        for outcome in (step.apply(pa.record_batch({"text": column}), {}) for step in STEPS)
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab .\n日", max_size=8), max_size=8), st.data())
def test_texts_of_the_last_batch_are_recognised(documents: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.sampled_from(range(len(documents))), max_size=8) if documents else st.just([]))
    column, wanted = (pa.array(some, pa.string()) for some in (documents, [documents[row] for row in rows]))
    texts.forget()
    fresh = signals_of(wanted)
    texts.forget()
    signals_of(column)
    assert signals_of(wanted) == fresh
    kept = sorted(set(rows))
    found = np.zeros(len(kept), np.int64)
    chosen = column.take(pa.array(kept, pa.int64()))
    assert texts.find_rows(*bytes_of(column), *bytes_of(chosen), found)
    assert column.take(pa.array(found)).equals(chosen)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_slice_and_large_strings(kind: pa.DataType) -> None:
    documents = ["Not this one.", "The tide rises, and the tide falls.\n日本語。", "", "🌊 - #"]
    column = pa.array(documents, kind)[1:]
    assert signals_of(column) == signals_of(pa.array(documents[1:], pa.string()))
    assert [len(one.codes) for one in texts.groups_of(column)] == [sum(map(len, documents[1:]))]


def test_large_pages_and_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    page = "".join(f"The tide rises for the {number}th time, and falls.\n" for number in range(25_000))
    documents = ["", page, "x" * 1_000_000, "tide " * 200_000, "\n" * 1_000_000, "short", ". " * 500_000]
    assert len(page) > 1_000_000
    found = signals_of(pa.array(documents))
    monkeypatch.setattr(texts, "GROUP_BYTES", 1)
    texts.forget()
    assert signals_of(pa.array(documents)) == found
    assert [one[0] for one in signals_of(pa.array([], pa.string()))] == [[], [], []]
    assert found[1][1][1:4] == [len(page), 1_000_000, 1_000_000]
    assert found[0][1][:4] == [0.0, 25_000 * 9.0, 1.0, 200_000.0]


def test_bytes_that_are_not_utf_8_stay_inside_their_text() -> None:
    data = np.frombuffer(b"a\xf4\xff\xff\xffb\xe3\x81", np.uint8)
    codes, starts = np.full(len(data), -1, np.int32), np.zeros(3, np.int64)
    used = texts.decode(data, np.array([0, 6, len(data)]), codes, starts)
    assert starts.tolist() == [0, 3, 4]
    assert codes[:used].tolist() == [97, texts.MAX_CODE, 98, 0xFFFD]
