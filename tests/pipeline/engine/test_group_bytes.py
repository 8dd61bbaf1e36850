"""Tests that grouping through files gives the same groups as the engine's shuffle. The values of a group are sorted by
their bytes.
"""

from __future__ import annotations

import pickle
import tempfile
from collections import defaultdict
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.group_bytes import GroupBytes, MergedRuns, _SortGroup, _Spill
from pipeline.engine.runner import LocalRunner
from pipeline.files.checked import DamagedFile
from pipeline.files.spill import Shuffle

PAIRS = st.lists(st.tuples(st.integers(0, 19), st.binary(max_size=40)), max_size=200)


def grouped(
    parts: list[list[tuple[int, bytes]]], shuffle: Shuffle, *, broken: bool = False, **bounds: int
) -> dict[int, list[bytes]]:
    with tempfile.TemporaryDirectory() as out:
        p = beam.Pipeline(runner=LocalRunner())
        inputs = tuple(p | f"in{i}" >> beam.Create(part) for i, part in enumerate(parts))
        groups = inputs | GroupBytes(20, shuffle, **bounds)
        groups = groups | beam.Reshuffle() if broken else groups
        lists = groups | beam.MapTuple(lambda key, payloads: (key, list(payloads)))
        _ = lists | beam.Map(lambda g: (Path(out) / str(g[0])).write_text(repr(g[1])))
        p.run().wait_until_finish()
        return {int(path.name): eval(path.read_text()) for path in Path(out).iterdir()}


def expected(parts: list[list[tuple[int, bytes]]]) -> dict[int, list[bytes]]:
    groups = defaultdict(list)
    for key, payload in (pair for part in parts for pair in part):
        groups[key].append(payload)
    return {key: sorted(payloads) for key, payloads in groups.items()}


@settings(max_examples=6, deadline=None)
@given(st.lists(PAIRS, min_size=1, max_size=3))
def test_equal_groups_both_ways(parts: list[list[tuple[int, bytes]]]) -> None:
    with tempfile.TemporaryDirectory() as spill:
        assert grouped(parts, Shuffle(spill), buffer_bytes=500, merge_bytes=1000) == expected(parts)
    with tempfile.TemporaryDirectory() as spill:
        by_engine = Shuffle(spill, by_reference=False)
        assert grouped(parts, by_engine) == expected(parts)
        assert grouped(parts, by_engine, buffer_bytes=500, merge_bytes=1000) == expected(parts)
        assert not list(Path(spill).iterdir()), "groups that stay in their stage are not copied"


@pytest.mark.parametrize("by_reference", [True, False])
def test_a_group_can_leave_its_stage(tmp_path: Path, by_reference: bool) -> None:
    """Flink and Spark materialise elements before every step with a side input. Here, a Reshuffle does the same."""
    pairs = [(i % 3, b"%06d" % i) for i in range(2000)]
    shuffle = Shuffle(str(tmp_path / "spill"), by_reference=by_reference)
    found = grouped([pairs], shuffle, broken=True, buffer_bytes=4 << 10)
    assert found == expected([pairs])
    assert sorted(map(len, found.values())) == [666, 667, 667]
    assert list((tmp_path / "spill").iterdir()), "the groups were larger than the buffer"


def test_a_group_that_left_its_process_outlives_its_files(tmp_path: Path) -> None:
    sort = _SortGroup(str(tmp_path / "spill"), 1000, 4000)
    payloads = [b"%04d" % (i * 7 % 500) for i in range(500)]
    groups = sort.process((4, payloads))
    key, group = next(groups)
    assert key == 4
    assert list(group) == list(group) == sorted(payloads)
    sent = pickle.dumps(group)
    assert not list(groups)
    with pytest.raises(FileNotFoundError):
        list(group)
    received = pickle.loads(sent)
    assert list(received) == list(received) == sorted(payloads)
    (file,) = (tmp_path / "spill").iterdir()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedFile):
        list(received)


def test_a_group_can_be_read_twice(tmp_path: Path) -> None:
    pairs = [(3, bytes([i % 7]) * 1000) for i in range(500)]
    with beam.Pipeline(runner=LocalRunner()) as p:
        groups = p | beam.Create(pairs) | GroupBytes(20, Shuffle(str(tmp_path)), buffer_bytes=20_000)
        twice = groups | beam.MapTuple(lambda key, payloads: (key, len(list(payloads)), len(list(payloads))))
        assert_that(twice, equal_to([(3, 500, 500)]))


def test_payload_larger_than_a_chunk(tmp_path: Path) -> None:
    large = b"x" * 300_000
    with beam.Pipeline(runner=LocalRunner()) as p:
        groups = (
            p | beam.Create([(0, large), (0, b"a"), (1, b"b")]) | GroupBytes(2, Shuffle(str(tmp_path)), merge_bytes=1)
        )
        sizes = groups | beam.MapTuple(lambda key, payloads: (key, [len(x) for x in payloads]))
        assert_that(sizes, equal_to([(0, [1, 300_000]), (1, [1])]))


def test_a_key_outside_its_range_is_a_bug(tmp_path: Path) -> None:
    spill = _Spill(4, str(tmp_path), 1000)
    spill.start_bundle()
    with pytest.raises(AssertionError):
        list(spill.process((4, b"x")))


def test_a_bundle_that_failed_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    spill = _Spill(4, str(tmp_path), 1 << 20)
    spill.start_bundle()
    assert list(spill.process((1, b"lost with its bundle"))) == []
    spill.start_bundle()
    assert list(spill.process((2, b"kept"))) == []
    references = [r.value for r in spill.finish_bundle()]
    assert len(references) == 1
    files = list(tmp_path.iterdir())
    assert [f.read_bytes()[4:] for f in files] == [b"kept"]


def test_a_cut_spill_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_bytes(b"\x05\x00\x00\x00hell")
    with pytest.raises(DamagedFile, match="8 of 9 bytes"):
        list(MergedRuns([(str(path), 0, 9, 0)], 1 << 20))
