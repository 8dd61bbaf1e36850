"""Tests requests that a real Flink cannot do, and clusters that are not ready: each ends with one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flink import Flink
from private_folder import needs_mounts, private
from rehearsal import Checkout
from started import Started, assert_folder_is_missed, assert_unfinished, process_workers, small_flags

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(600)]


@pytest.fixture
def restored(flink: Flink) -> Iterator[Flink]:
    """Yields a cluster whose TaskManagers a test replaces. Starts the usual ones after the test."""
    yield flink
    for name in ("tm1", "tm2"):
        flink.end(name)
        flink.back(name)
    flink.until_whole()


def test_workers_without_this_package(flink: Flink, checkout: Checkout, models: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bare = process_workers(tmp_path, sys._base_executable, tmp_path / "empty")  # type: ignore[attr-defined]
    run = Started(checkout, tmp_path / "out", [*flink.flags, *bare, *small_flags(checkout, models)])
    assert run.wait(300) == 1
    assert "a worker ended as soon as it was started, with status 1" in run.last_line
    assert_unfinished(run)


def test_a_boot_program_that_is_not_there(flink: Flink, checkout: Checkout, models: Path, tmp_path: Path) -> None:
    missing = f"--environment_config={json.dumps({'command': str(tmp_path / 'boot.sh')})}"
    flags = [*flink.flags, "--environment_type=PROCESS", missing, *small_flags(checkout, models)]
    run = Started(checkout, tmp_path / "out", flags)
    assert run.wait(300) == 1
    assert "cannot start the command of --environment_config (No such file or directory)" in run.last_line
    assert_unfinished(run)


@needs_mounts
def test_a_folder_that_only_the_driver_sees(
    restored: Flink, workers: list[str], checkout: Checkout, models: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shared" / "out"
    out.parent.mkdir()
    restored.end("tm1")
    restored.back("tm1", private(out.parent))
    restored.until_whole()
    assert_folder_is_missed(Started(checkout, out, [*restored.flags, *workers, *small_flags(checkout, models)]))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param({"taskmanager.memory.network.min": "2m", "taskmanager.memory.network.max": "2m"},
                     "Flink has too little network memory", id="network"),
        pytest.param({"taskmanager.memory.managed.size": "1m"}, "Flink has too little managed memory", id="managed"),
    ],
)  # fmt: skip
def test_taskmanagers_with_too_little_memory(
    restored: Flink, workers: list[str], checkout: Checkout, models: Path, tmp_path: Path, settings: dict[str, str],
    told: str,
) -> None:  # fmt: skip
    for name in ("tm1", "tm2"):
        restored.end(name)
        restored.back(name, more=settings)
    restored.until_whole()
    run = Started(checkout, tmp_path / "out", [*restored.flags, *workers, *small_flags(checkout, models)])
    assert run.wait(300) == 1
    assert told in run.last_line
    assert_unfinished(run)


def test_no_taskmanager(restored: Flink, workers: list[str], checkout: Checkout, models: Path, tmp_path: Path) -> None:
    for name in ("tm1", "tm2"):
        restored.end(name)
    run = Started(checkout, tmp_path / "out", [*restored.flags, *workers, *small_flags(checkout, models)])
    try:
        assert run.wait(300) == 1
    finally:
        for name in ("tm1", "tm2"):
            restored.back(name)
    assert "Flink has too few free slots" in run.last_line
    assert_unfinished(run)


@pytest.mark.parametrize("is_running", [False, True], ids=["before the run", "during the run"])
def test_a_jobmanager_that_is_gone(
    flink: Flink, workers: list[str], checkout: Checkout, models: Path, tmp_path: Path, is_running: bool,
    runs: list[Started],
) -> None:  # fmt: skip
    def start() -> Started:
        run = Started(checkout, tmp_path / "out", [*flink.flags, *workers, *small_flags(checkout, models)])
        runs.append(run)
        return run

    if is_running:
        run, before = start(), flink.num_ended()
        run.wait_until(lambda: flink.num_ended() > before + 3)
    flink.end("jobmanager")
    if not is_running:
        run = start()
    try:
        assert run.wait(300) == 1
    finally:
        flink.start_jobmanager()
        flink.until_whole()
    assert run.last_line.startswith("error: job clean failed: Flink's JobManager does not answer the job server")
    assert_unfinished(run)


def test_a_job_server_that_is_gone(
    flink: Flink, workers: list[str], checkout: Checkout, models: Path, tmp_path: Path
) -> None:
    flink.end("job_server")
    try:
        run = Started(checkout, tmp_path / "out", [*flink.flags, *workers, *small_flags(checkout, models)])
        assert run.wait(60) == 2
    finally:
        flink.start_job_server()
    assert "nothing answers there" in run.last_line
