"""Runs of the real engines on which one worker has no space left. No output may look complete, and the next run
continues.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from equal import assert_equal
from flink import Flink
from private_folder import needs_mounts, private
from rehearsal import Checkout
from spark import Spark
from started import Started, assert_unfinished, process_workers, small_flags, with_tiny_buffers

pytestmark = [pytest.mark.slow, pytest.mark.engines, needs_mounts, pytest.mark.timeout(900)]

_FULL = "4k"
"""Python accepts a temporary folder of this size, because its own test file fits in. A bucket of lines does not."""
_WORDS = "No space left on device"


@pytest.fixture
def tiny(checkout: Checkout, tmp_path: Path) -> Checkout:
    return with_tiny_buffers(checkout, tmp_path)


def flags_of(tiny: Checkout, folder: Path, models: Path, cluster: Spark | Flink) -> list[str]:
    """Returns the flags of a run whose workers have the temporary folder ``folder/full``."""
    workers = process_workers(folder, sys.executable, tiny.root, {"TMPDIR": str(folder / "full")})
    return [*cluster.flags, *workers, *small_flags(tiny, models)]


@pytest.fixture
def full(tmp_path: Path) -> Path:
    (tmp_path / "full").mkdir()
    return tmp_path / "full"


def assert_ends_well(
    cluster: Spark | Flink, tiny: Checkout, out: Path, flags: Sequence[str], small_run: Path,
    repair: Callable[[], None], *, must_succeed: bool = False, must_be_told: bool = True,
) -> None:  # fmt: skip
    """Fails if a run is neither equal nor ended by one line, or if it does not continue after ``repair``.

    The engine tries a lost task again. If it chooses the other worker, the run succeeds. On a busy machine Spark can
    give all tasks that need the disk to the other worker from the start (``must_be_told`` is False).
    """
    before = {path: path.stat().st_size for path in logs_of(cluster, out.parent)}
    run = Started(tiny, out, flags)
    try:
        status = run.wait(400)
    finally:
        repair()
    logs = [path.read_bytes()[before.get(path, 0) :] for path in logs_of(cluster, out.parent)]
    is_told = any(_WORDS.encode() in log for log in [*logs, run.log.encode()])
    assert is_told or not must_be_told, "the disk was not full"
    print(status, run.last_line)
    assert status == 0 or not must_succeed
    if status:
        assert status == 1, run.log[-3000:]
        assert run.last_line.startswith("error: job ")
        assert _WORDS in run.last_line
        assert_unfinished(run)
        again = Started(tiny, out, flags)
        assert again.wait(400) == 0, again.log[-3000:]
    assert_equal(out, small_run)


def logs_of(cluster: Spark | Flink, folder: Path) -> list[Path]:
    """Returns the logs of the engine's servers and of all workers."""
    logs = [*(cluster.folder / "log").iterdir(), *cluster.folder.rglob("stderr"), *(folder / "workers").rglob("*")]
    return [path for path in logs if path.is_file()]


@pytest.mark.parametrize("is_python", [True, False], ids=["python", "java"])
def test_one_spark_worker_has_a_full_disk(
    spark: Spark, tiny: Checkout, models: Path, small_run: Path, full: Path, is_python: bool
) -> None:
    """The temporary folder of its Python workers is full, or the folder in which Spark keeps shuffled data. In the
    second case Spark starts the executor of this worker again and again, and the run succeeds on the other worker.
    """
    flags = flags_of(tiny, full.parent, models, spark)
    folder = full if is_python else spark.local_folder("w1")
    folder.mkdir(exist_ok=True)
    replace_spark(spark, before=private(folder, _FULL))
    assert_ends_well(
        spark, tiny, full.parent / "out", flags, small_run, lambda: replace_spark(spark),
        must_succeed=not is_python, must_be_told=not is_python,
    )  # fmt: skip


@pytest.mark.parametrize("is_python", [True, False], ids=["python", "java"])
def test_one_taskmanager_has_a_full_disk(
    flink: Flink, tiny: Checkout, models: Path, small_run: Path, full: Path, is_python: bool
) -> None:
    """The temporary folder of its Python workers is full, or the folder in which it stores the jar of the job."""
    flags = flags_of(tiny, full.parent, models, flink)
    if is_python:
        replace_flink(flink, before=private(full, _FULL))
    else:
        replace_flink(flink, before=private(full, "1m"), more={"blob.storage.directory": full})
    assert_ends_well(flink, tiny, full.parent / "out", flags, small_run, lambda: replace_flink(flink))


def replace_spark(spark: Spark, before: Sequence[str] = ()) -> None:
    spark.end("w1")
    spark.back("w1", before)
    spark.until_whole()


def replace_flink(flink: Flink, before: Sequence[str] = (), more: Mapping[str, object] | None = None) -> None:
    flink.end("tm1")
    flink.back("tm1", before, more)
    flink.until_whole()
