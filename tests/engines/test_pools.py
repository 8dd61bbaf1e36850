"""Tests that a run ends with one line if a worker does not see the run's folder. No output may look complete."""

from __future__ import annotations

from pathlib import Path

import pytest
from private_folder import needs_mounts, private
from rehearsal import LOADED, Checkout, small_config
from service import job_service

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(600)]


@needs_mounts
def test_a_worker_with_a_disk_of_its_own_is_told(checkout: Checkout, models: Path, tmp_path: Path) -> None:
    """The worker sees a different, empty folder at the path of the run's folder. A mount namespace does this."""
    out = tmp_path / "shared" / "out"
    out.parent.mkdir()
    with job_service(checkout, tmp_path / "services.log", before_pool=private(out.parent)) as flags:
        done = checkout.run(
            *flags, "--config", small_config(checkout), "--models", str(models), "--output", str(out),
            *checkout.input_flags(sources=LOADED),
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: job clean failed: --output: the worker on "), done.stderr[-2000:]
    assert f"does not see {out}/.work/probes, into which this run wrote a file just now" in last
    assert not (out / "manifest.json").exists()
    assert not list(out.glob(".work/**/probe*"))
