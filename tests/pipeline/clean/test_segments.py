"""Tests how a source's steps are split into passes: a new pass begins at each dedup."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.exclude import Excluded
from pipeline.clean.segments import Segment, is_local, segments, segments_of, stage_names
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
    """Returns the positions of the steps in the order in which they are applied to a document."""
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
        assert after.verdicts[-len(before.dedups) :] == before.dedups
        if before.spills:
            assert after.verdicts == before.dedups
            assert after.origin == before.index
        else:  # no text changed: the next pass opens the same batches, with all verdicts
            assert after.verdicts == before.verdicts + before.dedups
            assert after.origin == before.origin
        kinds = {type(g.step) for g in before.dedups}
        assert len(kinds) == 1
        assert len(before.dedups) == 1 or kinds == {ExactDedup}, "only a chain of exact dedups is asked at once"
    assert found[0].origin == (0 if first_opens else -1)


@given(STEPS)
def test_steps_are_told_apart_by_their_place(steps: list[AnyStep]) -> None:
    asked = [g for s in segments(steps) for g in s.dedups]
    assert [g.tag for g in asked] == [n + 1 for n, step in enumerate(steps) if not is_local(step)]
    assert all(steps[g.tag - 1] is g.step for g in asked)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_ends_and_its_stages_have_names(name: str) -> None:
    source = SOURCES[name]
    assert segments_of(source)[-1].is_last
    num_stages = len(source.steps) + len(source.join.STAGES if source.join else ())
    assert len(set(stage_names(source))) == num_stages


def test_a_tag_fits_into_its_byte() -> None:
    assert max(len(source.steps) for source in SOURCES.values()) < 200
