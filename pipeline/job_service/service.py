"""Runs the job service and the pools of workers.

The hosts share a file system or a store, and each has this package installed. Shuffled data goes through the memory of
the serving host, so this service is meant for tens of GB. For more data, use Dataflow, Flink or Spark. This module
removes four limits of Beam's own portable job service. Beam's service has only one worker, and it requests this worker
from only one address. If a worker was killed, the service waits for ever. It does not pass the options of the run to
the workers of a pool.
"""

from __future__ import annotations

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

_NO_FLUSHER = 0
"""The time in milliseconds after which a data channel sends its buffer. 0 means never. For any value above 0 Beam
starts a second thread, which loses records.
"""


class PoolOfPools(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Takes the engine's requests for workers, and passes them to the pools in turn (round robin)."""

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
    """Starts each requested worker as a process. The process uses this Python interpreter and gets the options of the
    run.

    Beam's own pool starts the first "python" on PATH. It passes no options to the worker, so the worker does not know,
    for example, the address of an object store.
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
