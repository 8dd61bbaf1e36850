"""How a source's steps are cut into passes, and its input into parts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filters.exclude import Excluded
from pipeline.clean.batch_address import BATCH_ID, part_of
from pipeline.clean.segments import Segment, is_local, segments, stage_names
from pipeline.clean.sizing import scale_of
from pipeline.sources import SOURCES
from pipeline.sources.dedup_steps import ExactDedup, LineDedup, NearDedup
from pipeline.sources.source import AnyStep

LOCAL = Excluded()
KINDS: dict[str, AnyStep] = {
    "local": LOCAL,
    "exact": ExactDedup(NAME="e", reason="e", key="id"),
    "lines": LineDedup(),
    "near": NearDedup(),
}
STEPS = st.lists(st.sampled_from(sorted(KINDS)).map(KINDS.__getitem__), max_size=9)


def passed(found: list[Segment], steps: list[AnyStep]) -> list[int]:
    """The places of the steps, in the order in which a document meets them when it is decided upon."""
    order: list[int] = []
    position = 0
    for number, segment in enumerate(found):
        if number + 1 == len(found) or segment.spills:
            order += [g.tag - 1 for g in segment.verdicts]
            for step in segment.local:
                position = steps.index(step, position) if order and position else steps.index(step)
                while position in order:
                    position = steps.index(step, position + 1)
                order.append(position)
    return order


@given(STEPS, st.booleans())
def test_every_step_is_passed_once_and_in_order(steps: list[AnyStep], first_opens: bool) -> None:
    found = segments(steps, first_opens=first_opens)
    assert passed(found, steps) == list(range(len(steps)))


@given(STEPS, st.booleans())
def test_what_is_asked_is_answered_in_the_next_pass(steps: list[AnyStep], first_opens: bool) -> None:
    found = segments(steps, first_opens=first_opens)
    assert [s.index for s in found] == list(range(first_opens, len(found) + first_opens))
    assert [s.is_last for s in found] == [False] * (len(found) - 1) + [True]
    for before, after in itertools.pairwise(found):
        assert after.verdicts[-len(before.ask) :] == before.ask
        if before.spills:
            assert after.verdicts == before.ask
            assert after.origin == before.index
        else:  # nothing changed: the next pass opens what this one opened, and is told all of it again
            assert after.verdicts == before.verdicts + before.ask
            assert after.origin == before.origin
        kinds = {type(g.step) for g in before.ask}
        assert len(kinds) == 1
        assert len(before.ask) == 1 or kinds == {ExactDedup}, "only a chain of exact dedups is asked at once"
    assert found[0].origin == (0 if first_opens else -1)


@given(STEPS)
def test_steps_are_told_apart_by_their_place(steps: list[AnyStep]) -> None:
    asked = [g for s in segments(steps) for g in s.ask]
    assert [g.tag for g in asked] == [n + 1 for n, step in enumerate(steps) if not is_local(step)]
    assert all(steps[g.tag - 1] is g.step for g in asked)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_ends_and_its_stages_have_names(name: str) -> None:
    steps = SOURCES[name].steps
    assert segments(steps)[-1].is_last
    assert len(set(stage_names(steps))) == len(steps)


def test_a_tag_fits_into_its_byte() -> None:
    assert max(len(source.steps) for source in SOURCES.values()) < 200


@given(st.integers(0, 10**16))
def test_a_source_is_cut_so_that_what_a_worker_holds_is_bounded(num_bytes: int) -> None:
    scale = scale_of(num_bytes)
    assert scale.num_parts >= 1
    assert num_bytes <= scale.num_parts * (256 << 20), "a part is at most 256 MB of stored input"
    assert scale.num_parts <= 64 or num_bytes / scale.num_parts > (200 << 20), "and no smaller than it must be"
    assert scale.num_line_buckets & (scale.num_line_buckets - 1) == 0, "a power of two"
    assert scale.num_key_buckets >= min(16, scale.num_parts)


@given(st.lists(st.integers(0, 10**13), min_size=2, max_size=9))
@example([(64 << 20) + 1, 99_308_352])  # 65 parts, then 64, in an earlier rule
@example([(16 << 30) - 1, 16 << 30, (16 << 30) + 1])
def test_more_input_is_never_fewer_parts(sizes: list[int]) -> None:
    scales = [scale_of(n) for n in sorted(sizes)]
    for name in ("num_parts", "num_line_buckets", "num_key_buckets"):
        values = [getattr(s, name) for s in scales]
        assert values == sorted(values)


def test_sources_of_up_to_64_mb_have_a_part_per_mb() -> None:
    mega = 1 << 20
    sizes = (0, 1, mega, mega + 1, 40 * mega, 64 * mega - 1, 64 * mega)
    assert [scale_of(n).num_parts for n in sizes] == [1, 1, 1, 2, 40, 64, 64]


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
