"""Tests that the shortcuts for building a graph give what Beam gives."""
# ruff: noqa: B008  (this is how Beam declares states and timers)

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import BytesCoder
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions, WorkerOptions
from apache_beam.transforms import userstate
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer

from pipeline.engine import beam_start
from pipeline.engine.beam_start import ParsedOptions, inspect_each_class_once, specs_of

SEEN = BagStateSpec("seen", BytesCoder())
LATE = TimerSpec("late", TimeDomain.WATERMARK)


class Plain(beam.DoFn):
    def process(self, element: Any, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        yield element


class Stateful(beam.DoFn):
    def process(
        self, element: Any, seen: Any = beam.DoFn.StateParam(SEEN), late: Any = beam.DoFn.TimerParam(LATE)
    ) -> None:
        pass

    @on_timer(LATE)
    def expired(self, seen: Any = beam.DoFn.StateParam(SEEN)) -> None:
        pass


def plain(element: Any, more: int = 3) -> list[Any]:
    return [element, more]


def stateful(element: Any, seen: Any = beam.DoFn.StateParam(SEEN)) -> list[Any]:
    return [element]


def wrapped(function: Any) -> Any:
    return beam.FlatMap(function).dofn


@pytest.mark.parametrize("_", [1, 2], ids=["first object", "second object"])
@pytest.mark.parametrize(
    ("dofn", "num"),
    [(Plain(), (0, 0)), (Stateful(), (1, 1)), (wrapped(plain), (0, 0)), (wrapped(stateful), (0, 0)),
     (wrapped(lambda x: [x]), (0, 0)), (beam.Map(len).dofn, (0, 0))],
    ids=["plain", "stateful", "function", "stateful function", "lambda", "builtin"],
)  # fmt: skip
def test_states_and_timers_are_those_that_beam_finds(dofn: Any, num: tuple[int, int], _: int) -> None:
    found = specs_of(dofn)
    assert found == beam_start._specs_of(dofn)
    assert (len(found[0]), len(found[1])) == num


def test_two_objects_with_the_same_parameter_twice_are_refused_as_by_beam() -> None:
    def twice(element: Any, one: Any = beam.DoFn.StateParam(SEEN), two: Any = beam.DoFn.StateParam(SEEN)) -> list[Any]:
        return []

    for _ in range(2):
        with pytest.raises(ValueError, match="duplicate process method parameters"):
            specs_of(wrapped(twice))


def test_beam_uses_it() -> None:
    inspect_each_class_once()
    assert userstate.get_dofn_specs is specs_of
    assert userstate.is_stateful_dofn(Stateful())
    assert not userstate.is_stateful_dofn(Plain())


def test_views_share_their_values() -> None:
    flags = ["--direct_num_workers=3", "--runner=DirectRunner", "--experiments=a", "--unknown_flag=5"]
    beams, ours = PipelineOptions(flags), ParsedOptions(flags)
    for options in (beams, ours):
        options.view_as(DirectOptions).direct_num_workers = 2
        options.view_as(WorkerOptions).default_sdk_harness_log_level = "ERROR"
    assert ours.get_all_options() == beams.get_all_options()
    assert ours.view_as(DirectOptions) is ours.view_as(DirectOptions)
    assert ours.view_as(StandardOptions).view_as(DirectOptions).direct_num_workers == 2


def test_a_copy_has_values_of_its_own() -> None:
    options = ParsedOptions(["--direct_num_workers=3"])
    options.view_as(DirectOptions)
    other = copy.deepcopy(options)
    other.view_as(DirectOptions).direct_num_workers = 4
    assert (options.view_as(DirectOptions).direct_num_workers, other.view_as(DirectOptions).direct_num_workers) == (
        3,
        4,
    )
    assert isinstance(other, ParsedOptions)
