"""Starts the project's job service with one pool of workers, both on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rehearsal import Checkout


@contextmanager
def job_service(checkout: Checkout, log: Path, *, before_pool: Sequence[str] = ()) -> Iterator[list[str]]:
    """Starts the service. Yields the flags of a run that uses it. The command of the pool gets the prefix
    ``before_pool``.
    """
    port, pool_port, pool = _ports(3)
    env = {**os.environ, "PYTHONPATH": str(checkout.root)}
    module = [sys.executable, "-m", "pipeline.job_service"]
    commands = [
        [*before_pool, *module, "pool", "--port", str(pool)],
        [*module, "serve", "--port", str(port), "--pool_port", str(pool_port), "--pools", f"localhost:{pool}",
         "--num_workers", "1", "--start_seconds", "120"],
    ]  # fmt: skip
    started = []
    try:
        with open(log, "wb") as sink:
            for command in commands:
                started.append(subprocess.Popen(command, env=env, cwd=checkout.root, stdout=sink, stderr=sink,
                                                start_new_session=True))  # fmt: skip
        for one in (port, pool):
            _wait_for(one, log)
        yield ["--runner=PortableRunner", f"--job_endpoint=localhost:{port}", "--environment_type=EXTERNAL",
               f"--environment_config=localhost:{pool_port}"]  # fmt: skip
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def _wait_for(port: int, log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("localhost", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.3)


def _ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for one in sockets:
        one.close()
    return ports
