"""Tests that the shortcuts for building a graph give what Beam gives."""
# ruff: noqa: B008  (this is how Beam declares states and timers)

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import BytesCoder
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.transforms import core, userstate
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


class Owner:
    def stateful(self, element: Any, seen: Any = beam.DoFn.StateParam(SEEN)) -> list[Any]:
        return [element]


def with_exceptions(dofn: beam.DoFn) -> beam.DoFn:
    """Returns a wrapper of Beam that gives its object the method ``process`` of the wrapped object."""
    return core._ExceptionHandlingWrapperDoFn(
        dofn, dead_letter_tag="bad", exc_class=Exception, partial=False, on_failure_callback=None,
        allow_unsafe_userstate_in_process=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "num"),
    [
        pytest.param(Plain, (0, 0), id="plain"),
        pytest.param(Stateful, (1, 1), id="stateful"),
        pytest.param(lambda: wrapped(plain), (0, 0), id="function"),
        pytest.param(lambda: wrapped(lambda x: [x]), (0, 0), id="lambda"),
        pytest.param(lambda: beam.Map(len).dofn, (0, 0), id="builtin"),
        pytest.param(lambda: wrapped(stateful), (0, 0), id="stateful function, which Beam leaves out"),
        pytest.param(lambda: wrapped(Owner().stateful), (1, 0), id="stateful bound method"),
        pytest.param(lambda: with_exceptions(Plain()), (0, 0), id="plain in a wrapper"),
        pytest.param(lambda: with_exceptions(Stateful()), (1, 1), id="stateful in a wrapper"),
    ],
)
def test_states_and_timers_are_those_that_beam_finds(
    made: Callable[[], beam.DoFn], num: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_start, "_known", {})
    others = [wrapped(plain), Plain(), with_exceptions(Plain())]
    for dofn in (made(), made(), *others, made()):
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


@pytest.mark.parametrize("kind", [PipelineOptions, ParsedOptions])
def test_a_copy_does_not_act_for_the_account_of_the_launcher(kind: type[PipelineOptions]) -> None:
    options = kind(["--impersonate_service_account=a@b", "--direct_num_workers=3"])
    assert options.view_as(GoogleCloudOptions).impersonate_service_account == "a@b"
    assert options.view_as(DirectOptions).direct_num_workers == 3
    other = copy.deepcopy(options)
    assert other.view_as(GoogleCloudOptions).impersonate_service_account is None
    other.view_as(DirectOptions).direct_num_workers = 4
    assert other.get_all_options(drop_default=True) == {"direct_num_workers": 4}
