"""Runs Beam jobs on a few hosts without a cluster: a job service on one host, and a pool of workers on each.

    python -m pipeline.job_service pool --port 50000                                   (on every host with workers)
    python -m pipeline.job_service serve --pools one:50000,two:50000 --num_workers 8   (on one that all can reach)
    python -m pipeline.run --runner=PortableRunner --job_endpoint=localhost:8099 \\
        --environment_type=EXTERNAL --environment_config=HOST:50001 --input ... --output ...

The hosts share a file system or a store, and each has this package installed. Shuffled data goes through the memory of
the serving host, so this is for tens of GB. For more, use Dataflow, Flink or Spark. This module changes three things in
Beam's portable job service, which has only one worker, requests it from only one address, and waits for ever for a
worker that was killed. It changes one thing in Beam's worker pool, whose workers do not get the options of the run.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent import futures
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.runners.portability import local_job_service, local_job_service_main
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

from pipeline.engine.watched_connection import WatchedConnection
from pipeline.engine.worker import PARENT_VARIABLE
from tokenizer.interrupts import as_command

_NO_FLUSHER = 0
"""The time limit in milliseconds after which a data channel sends its buffer. 0 is no limit. With a limit, Beam starts
a second thread, which loses records."""


class PoolOfPools(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Distributes the requested workers over the pools in turn."""

    def __init__(self, addresses: Sequence[str]) -> None:
        channels = (grpc.insecure_channel(address) for address in addresses)
        self._stubs = [beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel) for channel in channels]
        self._turns = itertools.cycle(range(len(addresses)))
        self._pool_of: dict[str, int] = {}

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's own name
        turn = self._pool_of[request.worker_id] = next(self._turns)
        return self._stubs[turn].StartWorker(request)

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802
        turn = self._pool_of.get(request.worker_id)
        return beam_fn_api_pb2.StopWorkerResponse() if turn is None else self._stubs[turn].StopWorker(request)


class Pool(BeamFnExternalWorkerPoolServicer):  # type: ignore[misc]
    """Starts each requested worker as a process of this Python, with the options of the run.

    Beam's own pool starts whatever the path calls "python", and tells it no options, for example no address of a store.
    """

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's own name
        given = {name: getattr(request, f"{name}_endpoint").url for name in ("provision", "control", "logging")}
        addresses = [f"--{name}_endpoint={url}" for name, url in given.items() if url]
        command = [sys.executable, "-m", "pipeline.engine.boot", f"--id={request.worker_id}", *addresses]
        environment = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
        self._worker_processes[request.worker_id] = subprocess.Popen(command, env=environment)
        return beam_fn_api_pb2.StartWorkerResponse()


def serve(*, port: int, pool_port: int, pools: Sequence[str], num_workers: int, start_seconds: float) -> None:
    """Serves jobs until the process is stopped."""
    WatchedConnection.start_seconds = start_seconds
    server = grpc.server(futures.ThreadPoolExecutor(max(8, num_workers)))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(PoolOfPools(pools), server)
    server.add_insecure_port(f"[::]:{pool_port}")
    server.start()

    class ManyWorkers(fn_runner.FnApiRunner):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._num_workers = num_workers

    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = _NO_FLUSHER
    worker_handlers.ControlConnection = WatchedConnection  # type: ignore[misc]
    local_job_service.fn_runner.FnApiRunner = ManyWorkers  # type: ignore[misc]
    local_job_service_main.run(["--port", str(port)])


def pool(*, port: int) -> None:
    """Starts a process for each requested worker, until this process is stopped."""
    _, server = Pool.start(use_process=True, port=port)
    threading.Event().wait()
    server.stop(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. It ends only when it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.job_service", description=str(__doc__).split("\n\n")[0])
    commands = parser.add_subparsers(required=True, dest="command", metavar="serve|pool")
    service = commands.add_parser("serve", help="the job service, on one host")
    service.add_argument("--port", type=int, default=8099, help="for jobs (default: 8099)")
    service.add_argument("--pool_port", type=int, default=50001, help="for --environment_config (default: 50001)")
    service.add_argument("--pools", required=True, help="addresses of the worker pools, HOST:PORT with commas between")
    service.add_argument("--num_workers", type=int, required=True, help="worker processes, over all hosts")
    service.add_argument("--start_seconds", type=float, default=600.0,
                         help="in which a worker must call, or it counts as lost (default: 600)")  # fmt: skip
    workers = commands.add_parser("pool", help="a worker pool, on every host that works")
    workers.add_argument("--port", type=int, default=50000, help="where it listens (default: 50000)")
    flags = parser.parse_args(arguments)
    if flags.command == "pool":
        pool(port=flags.port)
    else:
        serve(port=flags.port, pool_port=flags.pool_port, pools=flags.pools.split(","),
              num_workers=flags.num_workers, start_seconds=flags.start_seconds)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(as_command(main))
