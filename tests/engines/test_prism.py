"""Tests a whole run on Beam's Prism. Its fusion and its data plane are implemented differently from the local
runner's.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from equal import assert_equal
from rehearsal import Checkout

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(1500)]


@pytest.fixture
def endpoint(prism: Path, tmp_path: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(prism), "--job_port", str(port), "--serve_http=false"]
    with (
        open(tmp_path / "prism.log", "wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True) as server,
    ):
        try:
            end = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("localhost", port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < end, (tmp_path / "prism.log").read_text()
                    time.sleep(0.2)
            yield f"localhost:{port}"
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def test_seven_sources_through_the_boot_program(
    endpoint: str, workers: list[str], checkout: Checkout, models: Path, local_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = checkout.run(
        "--runner=PortableRunner", f"--job_endpoint={endpoint}", *workers, "--config", checkout.config("all"),
        "--models", str(models), "--output", str(out), *checkout.input_flags(), timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert_equal(out, local_run)
    assert len(list((tmp_path / "workers").iterdir())) >= 3, "each job had a worker that the boot program started"
