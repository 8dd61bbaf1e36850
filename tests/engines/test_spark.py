"""Tests a whole run on a real Spark with two workers, which are killed. Also tests clusters that are not ready for a
run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from equal import assert_equal
from private_folder import needs_mounts, private
from rehearsal import Checkout
from spark import Spark
from started import Started, assert_folder_is_missed, assert_unfinished, process_workers, small_flags

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(1200)]


def test_seven_sources(
    spark: Spark, workers: list[str], checkout: Checkout, models: Path, local_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = checkout.run(
        *spark.flags, *workers, "--config", checkout.config("all"), "--models", str(models), "--output", str(out),
        *checkout.input_flags(), timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert_equal(out, local_run)
    assert spark.hosts() == {"127.0.0.2", "127.0.0.3"}


def test_a_worker_is_lost_while_cleaning_and_another_while_mixing(
    spark: Spark, workers: list[str], checkout: Checkout, models: Path, small_run: Path, tmp_path: Path,
    runs: list[Started],
) -> None:  # fmt: skip
    before = spark.num_ended()
    run = Started(checkout, tmp_path / "out", [*spark.flags, *workers, *small_flags(checkout, models)])
    runs.append(run)
    run.wait_until(lambda: spark.num_ended() > before + 25)
    assert "clean: done" not in run.log
    spark.end("w1")
    run.wait_until(lambda: "count: done" in run.log)
    spark.back("w1")
    before = spark.num_ended()
    run.wait_until(lambda: spark.num_ended() > before + 2)
    spark.end("w2")
    assert run.wait() == 0, run.log[-3000:]
    spark.back("w2")
    assert spark.log("job_server").count("Lost executor") >= 2
    assert_equal(run.out, small_run)


def test_workers_without_this_package(spark: Spark, checkout: Checkout, models: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bare = process_workers(tmp_path, sys._base_executable, tmp_path / "empty")  # type: ignore[attr-defined]
    run = Started(checkout, tmp_path / "out", [*spark.flags, *bare, *small_flags(checkout, models)])
    assert run.wait() == 1
    assert "a worker ended as soon as it was started, with status 1" in run.last_line
    assert_unfinished(run)


@needs_mounts
def test_a_folder_that_only_the_driver_sees(
    spark: Spark, workers: list[str], checkout: Checkout, models: Path, tmp_path: Path
) -> None:
    """One worker sees a different, empty folder at the path of the run's folder. A mount namespace does this."""
    out = tmp_path / "shared" / "out"
    out.parent.mkdir()
    spark.end("w1")
    spark.back("w1", private(out.parent))
    try:
        assert_folder_is_missed(Started(checkout, out, [*spark.flags, *workers, *small_flags(checkout, models)]))
    finally:
        spark.end("w1")
        spark.back("w1")


def test_a_master_that_is_gone(  # the last test: the cluster is lost
    spark: Spark, workers: list[str], checkout: Checkout, models: Path, tmp_path: Path
) -> None:
    spark.end("master")
    run = Started(checkout, tmp_path / "out", [*spark.flags, *workers, *small_flags(checkout, models)])
    assert run.wait() == 1
    assert run.last_line.startswith("error: job clean failed: Spark's master does not answer the job server")
    assert_unfinished(run)
    spark.end("job_server")
    run = Started(checkout, tmp_path / "out", [*spark.flags, *workers, *small_flags(checkout, models)])
    assert run.wait() == 2
    assert "nothing answers there" in run.last_line
