"""Runs of the real engines on which one worker has no space left. No output may look complete, and the next run
continues.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from equal import assert_equal
from flink import Flink
from private_folder import needs_mounts, private
from rehearsal import Checkout
from spark import Spark
from started import Started, assert_unfinished, process_workers, small_flags, with_tiny_buffers

pytestmark = [pytest.mark.slow, pytest.mark.engines, needs_mounts, pytest.mark.timeout(900)]

_FULL = "16k"
"""Python accepts a temporary folder of this size, because its own test file fits in. A sorted group does not."""


@pytest.fixture
def tiny(checkout: Checkout, tmp_path: Path) -> Checkout:
    return with_tiny_buffers(checkout, tmp_path)


def flags_of(tiny: Checkout, folder: Path, models: Path, cluster: Spark | Flink) -> list[str]:
    """Returns the flags of a run whose workers have the temporary folder ``folder/tmp``."""
    (folder / "tmp").mkdir()
    workers = process_workers(folder, sys.executable, tiny.root, {"TMPDIR": str(folder / "tmp")})
    return [*cluster.flags, *workers, *small_flags(tiny, models)]


def assert_fails_then_continues(tiny: Checkout, out: Path, flags: Sequence[str], small_run: Path, repair: object) -> None:
    run = Started(tiny, out, flags)
    try:
        status = run.wait(400)
    finally:
        assert callable(repair)
        repair()
    assert status == 1, run.log[-3000:]
    assert "No space left on device" in run.last_line
    assert run.last_line.startswith("error: job ")
    assert_unfinished(run)
    again = Started(tiny, out, flags)
    assert again.wait(400) == 0, again.log[-3000:]
    assert_equal(out, small_run)


def test_the_temporary_folder_of_a_spark_worker_is_full(
    spark: Spark, tiny: Checkout, models: Path, small_run: Path, tmp_path: Path
) -> None:
    flags = flags_of(tiny, tmp_path, models, spark)
    replace_spark(spark, before=private(tmp_path / "tmp", _FULL))
    assert_fails_then_continues(tiny, tmp_path / "out", flags, small_run, lambda: replace_spark(spark))


def test_the_temporary_folder_of_a_taskmanager_s_workers_is_full(
    flink: Flink, tiny: Checkout, models: Path, small_run: Path, tmp_path: Path
) -> None:
    flags = flags_of(tiny, tmp_path, models, flink)
    replace_flink(flink, before=private(tmp_path / "tmp", _FULL))
    assert_fails_then_continues(tiny, tmp_path / "out", flags, small_run, lambda: replace_flink(flink))


def test_the_local_folder_of_a_taskmanager_is_full(
    flink: Flink, tiny: Checkout, models: Path, small_run: Path, tmp_path: Path
) -> None:
    flags = flags_of(tiny, tmp_path, models, flink)
    local = tmp_path / "local"
    local.mkdir()
    replace_flink(flink, before=private(local, _FULL), more={"io.tmp.dirs": local})
    assert_fails_then_continues(tiny, tmp_path / "out", flags, small_run, lambda: replace_flink(flink))


def replace_spark(spark: Spark, before: Sequence[str] = ()) -> None:
    spark.end("w1")
    spark.back("w1", before)
    spark.until_whole()


def replace_flink(flink: Flink, before: Sequence[str] = (), more: Mapping[str, object] | None = None) -> None:
    flink.end("tm1")
    flink.back("tm1", before, more)
    flink.until_whole()
