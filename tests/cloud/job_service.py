"""Beam's portable job service on the driver's host, and one address for the worker pools of several hosts.

    python job_service.py JOB_PORT POOL_PORT HOST:PORT,HOST:PORT NUM_WORKERS

A job names one pool; behind a cluster's load balancer stand many. Here requests for a worker are dealt in turn.
Beam's service hands its jobs to its local runner, which takes one worker unless it is told otherwise.
"""

from __future__ import annotations

import itertools
import sys
import threading
from concurrent import futures
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.runners.portability import local_job_service, local_job_service_main
from apache_beam.runners.portability.fn_api_runner import fn_runner


class PoolOfPools(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Deals the workers that are asked for to the pools in turn."""

    def __init__(self, addresses: list[str]) -> None:
        self._stubs = [beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(grpc.insecure_channel(a)) for a in addresses]
        self._turns = itertools.cycle(range(len(addresses)))
        self._of_worker: dict[str, int] = {}

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's own name
        turn = self._of_worker[request.worker_id] = next(self._turns)
        return self._stubs[turn].StartWorker(request)

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802
        turn = self._of_worker.get(request.worker_id)
        return beam_fn_api_pb2.StopWorkerResponse() if turn is None else self._stubs[turn].StopWorker(request)


def main() -> None:
    job_port, pool_port, addresses, num_workers = sys.argv[1:]
    server = grpc.server(futures.ThreadPoolExecutor(8))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(PoolOfPools(addresses.split(",")), server)
    server.add_insecure_port(f"[::]:{pool_port}")
    server.start()

    class ManyWorkers(fn_runner.FnApiRunner):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._num_workers = int(num_workers)

    local_job_service.fn_runner.FnApiRunner = ManyWorkers  # type: ignore[misc]
    threading.Thread(target=sys.stdin.read, daemon=True).start()
    local_job_service_main.run(["--port", job_port])


if __name__ == "__main__":
    main()
