"""Tests the choice of the engine: it is the same on every machine, and no engine that may lose data is chosen."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DirectOptions, PortableOptions
from apache_beam.runners.portability import fn_api_runner
from apache_beam.runners.portability.fn_api_runner import worker_handlers

from pipeline.engine.runner import BYTES_PER_WORKER, WORKER_CACHE_MILLIS, LocalRunner, choose_engine


def mode(args: list[str], **more: int) -> tuple[int, str]:
    engine = choose_engine(args, **more)
    assert engine.is_local
    assert isinstance(engine.runner, LocalRunner)
    direct = engine.options.view_as(DirectOptions)
    assert direct.direct_num_workers == engine.num_workers
    return engine.num_workers, direct.direct_running_mode


@pytest.mark.parametrize("args", [[], ["--runner=DirectRunner"], ["--runner=FnApiRunner"]])
def test_the_local_runner_is_taken_by_its_class(args: list[str]) -> None:
    """If the engine were chosen by the name DirectRunner, Beam would first try to download another engine."""
    engine = choose_engine(args)
    assert issubclass(type(engine.runner), fn_api_runner.FnApiRunner)
    assert engine.num_workers == os.cpu_count()


@pytest.mark.parametrize(
    ("given", "num_workers", "running_mode"),
    [("1", 1, "in_memory"), ("2", 2, "multi_processing"), ("5", 5, "multi_processing")],
)
def test_workers_are_processes(given: str, num_workers: int, running_mode: str) -> None:
    assert mode([f"--direct_num_workers={given}"]) == (num_workers, running_mode)
    assert mode(["--direct_num_workers", given], num_bytes=1) == (num_workers, running_mode)


def test_nought_is_all_cores() -> None:
    assert mode(["--direct_num_workers=0"], num_bytes=1)[0] == os.cpu_count()


def test_a_small_input_gets_no_more_processes_than_it_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert mode([], num_bytes=0)[0] == 1
    assert mode([], num_bytes=BYTES_PER_WORKER)[0] == 1
    assert mode([], num_bytes=BYTES_PER_WORKER + 1)[0] == 2
    assert mode([], num_bytes=100 * BYTES_PER_WORKER)[0] == 4
    assert mode([])[0] == 4, "of an unknown size"


@pytest.mark.parametrize("runner", ["SparkRunner", "FlinkRunner"])
def test_workers_are_kept_between_stages(runner: str) -> None:
    """Worker processes are kept for the next stage. By default, Spark and Flink would end them after each stage."""
    kept = [choose_engine([f"--runner={runner}", *more]).options.view_as(PortableOptions).environment_cache_millis
            for more in ([], ["--environment_cache_millis=5"])]  # fmt: skip
    assert [int(kept_millis) for kept_millis in kept] == [WORKER_CACHE_MILLIS, 5]


def test_fewer_than_no_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="must be 1 or more, or 0 for all cores"):
        choose_engine(["--direct_num_workers=-1"])


@pytest.mark.parametrize("name", ["DaskRunner", "PySparkRunner", "InteractiveRunner", "PrismRunner"])
def test_runners_that_lose_data_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ValueError, match=rf"--runner={name} is refused: .{{20}}"):
        choose_engine([f"--runner={name}"])


def test_the_second_thread_that_drops_records_is_not_started() -> None:
    choose_engine([])
    assert worker_handlers.DATA_BUFFER_TIME_LIMIT_MS == 0


class _WhoRuns(beam.DoFn):
    def process(self, _: int) -> list[tuple[int, str, bool]]:
        return [(os.getpid(), sys.executable, "pipeline.engine.worker" in sys.modules["__main__"].__spec__.name)]


@pytest.mark.slow
def test_two_workers_are_this_python_running_our_program(tmp_path: Path) -> None:
    engine = choose_engine(["--direct_num_workers=2"])
    pipeline = beam.Pipeline(runner=engine.runner, options=engine.options)
    rows = pipeline | beam.Create(range(20)) | beam.Reshuffle() | beam.ParDo(_WhoRuns())
    _ = rows | beam.io.WriteToText(str(tmp_path / "who"))
    pipeline.run().wait_until_finish()
    found = {line for path in tmp_path.iterdir() for line in path.read_text().splitlines()}
    assert found
    for line in found:
        pid, program, is_ours = eval(line)
        assert pid != os.getpid()
        assert (program, is_ours) == (sys.executable, True)
