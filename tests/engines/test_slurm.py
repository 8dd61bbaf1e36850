"""Tests the Slurm script on a real Slurm with two nodes: a whole run, a lost node, and the time limit."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from daemons import SHORT_LIVED, Unavailable, free_range
from equal import assert_equal
from java_engines import CACHE, FLINK, FLINK_VERSION, engine_home, job_server
from rehearsal import LOADED, ROOT, Checkout, small_config
from slurm import Slurm

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(1500)]

SCRIPT = ROOT / "cluster" / "slurm.sbatch"
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL")


class Submitted:
    """Submits a run of two sources, and watches it."""

    def __init__(
        self,
        slurm: Slurm,
        checkout: Checkout,
        models: Path,
        out: Path,
        *flags: str,
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.slurm, self.out, self.log_path = slurm, out, out.with_suffix(".log")
        args = ["--config", small_config(checkout), "--models", str(models), *checkout.input_flags(sources=LOADED)]
        env = {
            "PYTHON": sys.executable, "PYTHONPATH": str(checkout.root), "PYTHONUNBUFFERED": "1", "OUT": str(out),
            "ARGS": " ".join(args), "WORKERS": "2", "PORT": str(free_range(14)),
            **SHORT_LIVED, **(more or {}),
        }  # fmt: skip
        wanted = ["--nodes=2", "--ntasks-per-node=1", "--mem=3000", f"--chdir={checkout.root}",
                  f"--output={self.log_path}", *flags]  # fmt: skip
        self.job = slurm.submit(SCRIPT, env, wanted)

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    @property
    def restarts(self) -> int:
        return int(self.slurm.field_of(self.job, "Restarts") or 0)

    def wait_until(self, is_so: Callable[[], bool], seconds: float = 600) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            state = self.slurm.field_of(self.job, "JobState")
            assert state not in ENDED or is_so(), f"{state}\n{self.log[-3000:]}"
            assert time.monotonic() < end, f"{state}\n{self.log[-3000:]}"
            time.sleep(0.5)

    def wait(self, seconds: float = 900) -> None:
        """Waits until the job has succeeded."""
        self.wait_until(lambda: self.slurm.field_of(self.job, "JobState") == "COMPLETED", seconds)

    def is_cleaning(self) -> bool:
        return bool(list(self.out.glob(".work/**/spill-*/*/*")))


def assert_survives_a_lost_node(run: Submitted, small_run: Path) -> None:
    """Kills a node in the middle of the clean phase. Fails unless the job is queued again, continues, and is equal."""
    run.wait_until(run.is_cleaning)
    run.slurm.kill("n2")
    run.wait_until(lambda: run.restarts >= 1)
    run.slurm.back("n2")
    run.wait()
    print(run.log)
    assert "start 2: nodes: n1,n2" in run.log
    assert "the run ended with status 0" in run.log
    assert_equal(run.out, small_run)


def test_a_run_goes_on_after_a_node_was_lost(
    slurm: Slurm, checkout: Checkout, models: Path, small_run: Path, tmp_path: Path
) -> None:
    run = Submitted(slurm, checkout, models, tmp_path / "out", "--time=30")
    assert_survives_a_lost_node(run, small_run)


def test_flink_in_the_allocation_goes_on_after_a_node_was_lost(
    slurm: Slurm, checkout: Checkout, models: Path, small_run: Path, tmp_path: Path
) -> None:
    package = FLINK[FLINK_VERSION]
    try:
        engine = {"FLINK_HOME": str(engine_home(CACHE, package)), "JOB_SERVER": str(job_server(CACHE, package))}
    except Unavailable as error:
        pytest.skip(f"Flink: {error}")
    more = {
        **engine,
        "ENGINE": "flink",
        "WORKERS": "4",
        "TASK_HEAP_MB": "700",
        "BOOT": str(ROOT / "cluster" / "boot.sh"),
    }
    run = Submitted(slurm, checkout, models, tmp_path / "out", "--time=30", more=more)
    assert_survives_a_lost_node(run, small_run)
    assert not list(tmp_path.glob("out.flink-*")), "a Flink that did its work leaves no logs"


def late_python(folder: Path, seconds: int) -> str:
    """Writes a program that works as Python does, and returns its path. The program waits for some seconds before it
    starts the run for the first time.
    """
    path = folder / "python"
    path.write_text(
        f'#!/bin/bash\nif [ "$2" = pipeline.run ] && mkdir "{folder}/was-late" 2>/dev/null; then sleep {seconds}; fi\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


def assert_continues(run: Submitted, small_run: Path) -> None:
    """Waits until the job was queued again and has ended. Fails unless its output is equal to that of a local run."""
    run.wait_until(lambda: "the time limit is near; queued again" in run.log)
    assert not (run.out / "manifest.json").exists(), "nothing looks complete"
    run.slurm.set(run.job, "TimeLimit=120")
    run.wait()
    print(run.log)
    assert "start 2: nodes: n1,n2" in run.log
    assert_equal(run.out, small_run)


def test_a_run_goes_on_after_the_time_limit(
    slurm: Slurm, checkout: Checkout, models: Path, small_run: Path, tmp_path: Path
) -> None:
    # The signal comes as soon as the job runs longer than the limit less 3600 s. Slurm looks once in half a minute, and
    # this run takes less. So its first start is late.
    more = {"PYTHON": late_python(tmp_path, 60)}
    run = Submitted(slurm, checkout, models, tmp_path / "out", "--time=60", "--signal=B:USR1@3600", more=more)
    assert_continues(run, small_run)


def test_a_run_that_cleans_goes_on_after_the_signal(
    slurm: Slurm, checkout: Checkout, models: Path, small_run: Path, tmp_path: Path
) -> None:
    run = Submitted(slurm, checkout, models, tmp_path / "out", "--time=30")
    run.wait_until(run.is_cleaning)
    slurm.signal(run.job, "USR1")
    assert_continues(run, small_run)
    assert "interrupted" in run.log, "the run itself was told to stop"


def test_the_signal_may_come_while_the_engine_starts(
    slurm: Slurm, checkout: Checkout, models: Path, small_run: Path, tmp_path: Path
) -> None:
    run = Submitted(slurm, checkout, models, tmp_path / "out", "--time=30")
    run.wait_until(lambda: "start 1: nodes: n1,n2" in run.log)
    assert not run.out.exists(), "the run has not started"
    slurm.signal(run.job, "USR1")
    assert_continues(run, small_run)


def test_a_wrong_request_is_not_tried_again(slurm: Slurm, checkout: Checkout, models: Path, tmp_path: Path) -> None:
    run = Submitted(slurm, checkout, models / "none", tmp_path / "out", "--time=30")
    run.wait_until(lambda: slurm.field_of(run.job, "JobState") == "FAILED", 300)
    assert "the run ended with status 2" in run.log
    assert "error: " in run.log
    assert run.restarts == 0
