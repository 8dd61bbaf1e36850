"""Tests that batch ids are sorted by their numbers, and that batches are spread evenly over the output files."""

from __future__ import annotations

from pipeline.clean.batch_address import BATCH_ID, part_of


def test_batches_are_spread_evenly_over_parts_by_their_identity() -> None:
    ids = [BATCH_ID.pack(unit, 0, number) for unit in range(40) for number in range(1, 51)]
    parts = [part_of(i, 16) for i in ids]
    assert parts == [part_of(i, 16) for i in ids]
    filled = [parts.count(p) for p in range(16)]
    assert sum(filled) == 2000
    assert min(filled) > 80, "each would get 125"


def test_batch_ids_sort_as_their_numbers() -> None:
    numbers = [(0, 0, 1), (0, 0, 255), (0, 0, 256), (0, 1, 0), (1, 0, 0), (256, 0, 0), (2**32 - 1, 0, 0)]
    packed = [BATCH_ID.pack(*n) for n in numbers]
    assert packed == sorted(packed)
