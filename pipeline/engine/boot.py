"""Starts a worker process where there is no Docker. If a run has ``--environment_type=PROCESS``, the engine calls this
program.

    engine -> cluster/boot.sh --id=... --provision_endpoint=... -> options, addresses -> pipeline.engine.worker

Flink, Spark, Prism and the pools of ``pipeline.job_service`` start one such process per worker. The process requests
the options of the run from the engine's provision service. It also requests the addresses that are not on the command
line. Then the process becomes the worker. The worker installs nothing and fetches no files, so its virtual environment
must have this package. Every job checks that the package is there.

The protocol is that of Beam's own container program:
https://github.com/apache/beam/blob/master/sdks/python/container/boot.go
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc, endpoints_pb2
from google.protobuf import json_format, text_format  # type: ignore[import-untyped]

LOG_FOLDER = "WORKER_LOG_DIR"
"""The environment variable that names a folder for the workers' output. If the variable is not set, the engine gets the
output.
"""
_SERVICES = ("control", "logging", "status")
_WAIT_SECONDS = 120.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Replaces this process with a worker process."""
    parser = argparse.ArgumentParser(prog="cluster/boot.sh", allow_abbrev=False)
    parser.add_argument("--id", required=True)
    for name in ("provision", *_SERVICES, "artifact"):
        parser.add_argument(f"--{name}_endpoint", default="")
    given, _ = parser.parse_known_args(arguments)
    given.id = given.id.strip("'")  # Prism puts the id into quotes that no shell removes
    told = provision(given.provision_endpoint, given.id) if given.provision_endpoint else None
    variables = worker_variables(vars(given), told)
    if folder := os.environ.get(LOG_FOLDER):
        _log_into(folder, given.id)
    safe_path = ["-P"] if sys.flags.safe_path else []
    command = [sys.executable, *safe_path, "-m", "pipeline.engine.worker"]
    os.execve(sys.executable, command, {**os.environ, **variables})


def provision(endpoint: str, worker_id: str) -> Any:
    """Asks the engine's provision service for the options of the run and for the addresses. Returns the answer."""
    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        answer = stub.GetProvisionInfo(
            beam_provision_api_pb2.GetProvisionInfoRequest(),
            metadata=[("worker_id", worker_id)],
            timeout=_WAIT_SECONDS,
            wait_for_ready=True,
        )
    return answer.info


def worker_variables(given: Mapping[str, str], told: Any | None) -> dict[str, str]:
    """Returns the environment variables from which Beam's worker program reads its settings.

    ``given`` has the flags of the command line, and ``told`` is the answer of the engine's provision service. If both
    have an address, the one of the command line is used.

    Raises:
        ValueError: neither the command line nor the provision service gives the address of the control service.

    >>> worker_variables({"id": "1", "control_endpoint": "localhost:7"}, None)["CONTROL_API_SERVICE_DESCRIPTOR"]
    'url: "localhost:7"'
    """
    variables = {"WORKER_ID": given["id"], "PIPELINE_OPTIONS": "{}"}
    if told is not None:
        variables["PIPELINE_OPTIONS"] = json.dumps(json_format.MessageToDict(told.pipeline_options))
        variables["RUNNER_CAPABILITIES"] = " ".join(told.runner_capabilities)
    for name in _SERVICES:
        url = given.get(f"{name}_endpoint") or (getattr(told, f"{name}_endpoint").url if told is not None else "")
        if url:
            descriptor = endpoints_pb2.ApiServiceDescriptor(url=url)
            variables[f"{name.upper()}_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(descriptor).strip()
    if "CONTROL_API_SERVICE_DESCRIPTOR" not in variables:
        raise ValueError(
            "neither --control_endpoint nor the provision service gives the address of the control service"
        )
    return variables


def _log_into(folder: str, worker_id: str) -> None:
    """Redirects the output of this process to a file of its own in ``folder``."""
    os.makedirs(folder, exist_ok=True)
    name = f"worker-{worker_id.replace('/', '_')}-{os.getpid()}.log"
    log = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)


if __name__ == "__main__":
    main()
