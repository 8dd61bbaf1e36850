"""Tests a whole run on a real Flink with two TaskManagers. A TaskManager is killed during the run."""

from __future__ import annotations

from pathlib import Path

import pytest
from equal import assert_equal
from flink import Flink
from rehearsal import Checkout
from started import Started, small_flags

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(1200)]


def test_seven_sources(
    flink: Flink, workers: list[str], checkout: Checkout, models: Path, local_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = checkout.run(
        *flink.flags, *workers, "--config", checkout.config("all"), "--models", str(models), "--output", str(out),
        *checkout.input_flags(), timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert_equal(out, local_run)
    assert flink.hosts() == {"127.0.0.2", "127.0.0.3"}


def test_a_taskmanager_is_lost_while_cleaning_and_another_while_mixing(
    flink: Flink, workers: list[str], checkout: Checkout, models: Path, small_run: Path, tmp_path: Path,
    runs: list[Started],
) -> None:  # fmt: skip
    before = flink.num_ended()
    run = Started(checkout, tmp_path / "out", [*flink.flags, *workers, *small_flags(checkout, models)])
    runs.append(run)
    run.wait_until(lambda: flink.num_ended() > before + 25)
    assert "clean: done" not in run.log
    flink.end("tm1")
    run.wait_until(lambda: "count: done" in run.log)
    flink.back("tm1")
    before = flink.num_ended()
    run.wait_until(lambda: flink.num_ended() > before + 2)
    flink.end("tm2")
    assert run.wait() == 0, run.log[-3000:]
    flink.back("tm2")
    for name in ("tm1", "tm2"):
        assert f"TaskManager with id {name} is no longer reachable" in flink.log("jobmanager")
    assert_equal(run.out, small_run)
