"""Tests runs on several hosts, which are network namespaces: Beam's job service on one, worker pools on the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hosts import Hosts, NotPermitted
from rehearsal import LOADED, Checkout, shard_sums, small_config

pytestmark = [pytest.mark.slow, pytest.mark.cloud, pytest.mark.timeout(600)]

JOB_PORT, POOL_PORT = 8099, 50000
WORKERS = ("one", "two")


def manifest_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text())


@dataclass
class Cluster:
    """Describes a driver's host with the job service, and two hosts with one worker pool each."""

    hosts: Hosts
    checkout: Checkout
    env: dict[str, str]

    def start_run(self, out: Path, models: Path) -> subprocess.Popen[str]:
        command = [
            sys.executable, "-m", "pipeline.run", "--runner=PortableRunner", f"--job_endpoint=localhost:{JOB_PORT}",
            "--environment_type=EXTERNAL", f"--environment_config=driver.test:{POOL_PORT}",
            "--config", small_config(self.checkout), "--models", str(models), "--output", str(out),
            *self.checkout.input_flags(sources=LOADED),
        ]  # fmt: skip
        return self.hosts.exec(
            "driver", command, self.env, cwd=self.checkout.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def workers(self, name: str) -> list[int]:
        """Returns the ids of a host's worker processes, without the pool that starts them."""
        found = []
        for pid in self.hosts.processes(name):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"pipeline.engine.worker" in command:
                found.append(pid)
        return found


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # its own group: it was started in a session of its own
    process.wait(20)


@pytest.fixture
def cluster(checkout: Checkout, tmp_path: Path) -> Iterator[Cluster]:
    hosts = Hosts(["driver", *WORKERS])
    try:
        hosts.__enter__()
    except NotPermitted as error:
        pytest.skip(f"no network namespaces here: {error}")
    started = []
    env = {**os.environ, "PYTHONPATH": str(checkout.root), "PYTHONUNBUFFERED": "1"}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    try:
        with open(tmp_path / "services.log", "w") as log:
            for name in WORKERS:
                pool = [sys.executable, "-m", "pipeline.job_service", "pool", f"--port={POOL_PORT}"]
                started.append(hosts.exec(name, pool, env, stdout=log, stderr=log, cwd=tmp_path))
            pools = ",".join(f"{name}.test:{POOL_PORT}" for name in WORKERS)
            service = [sys.executable, "-m", "pipeline.job_service", "serve", "--num_workers=4", "--start_seconds=180",
                       f"--pools={pools}",
                       f"--port={JOB_PORT}", f"--pool_port={POOL_PORT}"]  # fmt: skip
            started.append(hosts.exec("driver", service, env, stdout=log, stderr=log, cwd=tmp_path))
            _wait_for_listeners(
                hosts, env, [("localhost", JOB_PORT), *((f"{n}.test", POOL_PORT) for n in ("driver", *WORKERS))]
            )
            yield Cluster(hosts, checkout, env)
    finally:
        for process in started:
            _end(process)
        hosts.__exit__()


def _wait_for_listeners(hosts: Hosts, env: dict[str, str], wanted: list[tuple[str, int]], seconds: float = 60) -> None:
    probe = (
        "import socket,sys,time\n"
        "for a in sys.argv[1:]:\n"
        "  host, port = a.split(':')\n"
        f"  end = time.time() + {seconds}\n"
        "  while True:\n"
        "    try: socket.create_connection((host, int(port)), 2).close(); break\n"
        "    except OSError:\n"
        "      if time.time() > end: raise\n"
        "      time.sleep(0.3)\n"
    )
    addresses = [f"{name}:{port}" for name, port in wanted]
    waiting = hosts.exec("driver", [sys.executable, "-c", probe, *addresses], env, stderr=subprocess.PIPE)
    _, said = waiting.communicate(timeout=seconds * 2)
    assert waiting.returncode == 0, said


def test_two_hosts_give_the_same_shards(cluster: Cluster, models: Path, small_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = cluster.start_run(out, models)
    said, complained = done.communicate(timeout=500)
    assert done.returncode == 0, complained[-3000:] + said[-500:]
    assert shard_sums(manifest_of(out)) == shard_sums(manifest_of(small_run))
    went = {name: cluster.hosts.sent_bytes(name) for name in WORKERS}
    print("over the wire:", {name: f"{n / 1e6:.1f} MB" for name, n in went.items()})
    assert all(n > 500_000 for n in went.values()), "both hosts worked"


def test_a_killed_worker_leaves_nothing_that_looks_whole(
    cluster: Cluster, models: Path, small_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = cluster.start_run(out, models)
    deadline = time.monotonic() + 120
    while not (victims := cluster.workers("two")):
        assert time.monotonic() < deadline
        assert done.poll() is None, done.communicate()[1][-3000:]
        time.sleep(0.2)
    while cluster.hosts.sent_bytes("two") < 600_000:  # it is in the middle of its work: text went over its wire
        assert time.monotonic() < deadline
        assert done.poll() is None, done.communicate()[1][-3000:]
        time.sleep(0.1)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    try:
        _, complained = done.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        _end(done)
        pytest.fail("the run hangs after its worker was killed")
    print(f"the run ended {time.monotonic() - killed:.1f} s after the kill, status {done.returncode}")
    if done.returncode == 0:  # an engine that tries again may end right
        assert shard_sums(manifest_of(out)) == shard_sums(manifest_of(small_run))
        return
    assert "error: job clean failed" in complained, complained[-3000:]
    assert not (out / "manifest.json").exists()
    assert not list((out / ".work" / "steps").glob("clean-*.json"))
