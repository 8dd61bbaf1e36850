"""Tests the program that starts workers. It asks the engine's provision service for the settings of the worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc, endpoints_pb2
from google.protobuf import json_format, struct_pb2, text_format

from pipeline.engine.boot import provision, worker_variables

OPTIONS = {"beam:option:s3_endpoint_url:v1": "http://127.0.0.1:9", "beam:option:job_name:v1": "mixture"}


class _Provision(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def GetProvisionInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's own name
        self.asked += [value for key, value in context.invocation_metadata() if key == "worker_id"]
        info = beam_provision_api_pb2.ProvisionInfo(
            pipeline_options=json_format.ParseDict(OPTIONS, struct_pb2.Struct()),
            runner_capabilities=["beam:protocol:control_response_elements_embedding:v1"],
            control_endpoint=endpoints_pb2.ApiServiceDescriptor(url="localhost:1"),
            logging_endpoint=endpoints_pb2.ApiServiceDescriptor(url="localhost:2"),
        )
        return beam_provision_api_pb2.GetProvisionInfoResponse(info=info)


@pytest.fixture
def service() -> Iterator[tuple[str, _Provision]]:
    server, servicer = grpc.server(futures.ThreadPoolExecutor(1)), _Provision()
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", servicer
    server.stop(None)


def url_of(descriptor: str) -> str:
    found: str = text_format.Parse(descriptor, endpoints_pb2.ApiServiceDescriptor()).url
    return found


def test_options_and_addresses_come_from_the_engine(service: tuple[str, _Provision]) -> None:
    endpoint, servicer = service
    told = provision(endpoint, "worker-7")
    assert servicer.asked == ["worker-7"]
    found = worker_variables({"id": "worker-7"}, told)
    assert json.loads(found["PIPELINE_OPTIONS"]) == OPTIONS
    assert found["WORKER_ID"] == "worker-7"
    assert found["RUNNER_CAPABILITIES"] == "beam:protocol:control_response_elements_embedding:v1"
    assert url_of(found["CONTROL_API_SERVICE_DESCRIPTOR"]) == "localhost:1"
    assert url_of(found["LOGGING_API_SERVICE_DESCRIPTOR"]) == "localhost:2"
    assert "STATUS_API_SERVICE_DESCRIPTOR" not in found


def test_the_command_line_goes_before(service: tuple[str, _Provision]) -> None:
    told = provision(service[0], "1")
    found = worker_variables({"id": "1", "control_endpoint": "other:5", "status_endpoint": "other:6"}, told)
    assert url_of(found["CONTROL_API_SERVICE_DESCRIPTOR"]) == "other:5"
    assert url_of(found["STATUS_API_SERVICE_DESCRIPTOR"]) == "other:6"
    assert url_of(found["LOGGING_API_SERVICE_DESCRIPTOR"]) == "localhost:2"


def test_a_worker_must_know_its_control_service() -> None:
    with pytest.raises(ValueError, match="address of the control service"):
        worker_variables({"id": "1"}, None)
