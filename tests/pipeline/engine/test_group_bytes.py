"""Grouping through files gives the same groups as the shuffle of the engine, sorted by bytes."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.group_bytes import GroupBytes, MergedRuns, _Spill
from pipeline.engine.runner import LocalRunner
from pipeline.files.checked import DamagedFile

PAIRS = st.lists(st.tuples(st.integers(0, 19), st.binary(max_size=40)), max_size=200)


def grouped(parts: list[list[tuple[int, bytes]]], spill_dir: str | None, **bounds: int) -> dict[int, list[bytes]]:
    with tempfile.TemporaryDirectory() as out:
        p = beam.Pipeline(runner=LocalRunner())
        inputs = tuple(p | f"in{i}" >> beam.Create(part) for i, part in enumerate(parts))
        groups = inputs | GroupBytes(20, spill_dir, **bounds)
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
        assert grouped(parts, spill, buffer_bytes=500, merge_bytes=1000) == expected(parts)
    assert grouped(parts, None) == expected(parts)
    assert grouped(parts, None, buffer_bytes=500, merge_bytes=1000) == expected(parts)  # through the worker's own disk


def test_a_group_can_be_read_twice(tmp_path: Path) -> None:
    pairs = [(3, bytes([i % 7]) * 1000) for i in range(500)]
    with beam.Pipeline(runner=LocalRunner()) as p:
        groups = p | beam.Create(pairs) | GroupBytes(20, str(tmp_path), buffer_bytes=20_000)
        twice = groups | beam.MapTuple(lambda key, payloads: (key, len(list(payloads)), len(list(payloads))))
        assert_that(twice, equal_to([(3, 500, 500)]))


def test_payload_larger_than_a_chunk(tmp_path: Path) -> None:
    large = b"x" * 300_000
    with beam.Pipeline(runner=LocalRunner()) as p:
        groups = p | beam.Create([(0, large), (0, b"a"), (1, b"b")]) | GroupBytes(2, str(tmp_path), merge_bytes=1)
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
