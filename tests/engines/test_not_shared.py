"""Workers that do not see the run's folder end the run in one line, before anything that looks whole is written."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rehearsal import LOADED, Checkout, small_config

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(600)]


def _ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare")
def test_a_worker_with_a_disk_of_its_own_is_told(checkout: Checkout, models: Path, tmp_path: Path) -> None:
    """The worker's host has a folder of the same name, which is another folder: a mount namespace of its own."""
    shared = tmp_path / "shared"
    shared.mkdir()
    port, pool_port, pool = _ports(3)
    env = {**os.environ, "PYTHONPATH": str(checkout.root)}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    module = [sys.executable, "-m", "pipeline.job_service"]
    private = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{shared}" && exec "$@"', "sh"]
    commands = [
        [*private, *module, "pool", "--port", str(pool)],
        [*module, "serve", "--port", str(port), "--pool_port", str(pool_port), "--pools", f"localhost:{pool}",
         "--num_workers", "1", "--start_seconds", "120"],
    ]  # fmt: skip
    started = []
    with open(tmp_path / "services.log", "wb") as log:
        for command in commands:
            started.append(subprocess.Popen(command, env=env, cwd=checkout.root, stdout=log, stderr=log,
                                            start_new_session=True))  # fmt: skip
    try:
        end = time.monotonic() + 120
        for one in (port, pool):
            while True:
                try:
                    socket.create_connection(("localhost", one), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < end, (tmp_path / "services.log").read_text()
                    time.sleep(0.3)
        out = shared / "out"
        done = checkout.run(
            "--runner=PortableRunner", f"--job_endpoint=localhost:{port}", "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool_port}", "--config", small_config(checkout),
            "--models", str(models), "--output", str(out), *checkout.input_flags(sources=LOADED),
        )  # fmt: skip
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: job clean failed: --output: the worker on "), done.stderr[-2000:]
    assert f"does not see {out}/.work, into which this run wrote a file just now" in last
    assert not (out / "manifest.json").exists()
    assert not list(out.glob(".work/**/probe*"))
