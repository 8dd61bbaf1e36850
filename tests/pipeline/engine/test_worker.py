"""Tests that a local worker keeps its connection for log records, even if it is busy for minutes."""

from __future__ import annotations

import time
from concurrent import futures

import grpc
import pytest
from apache_beam.runners.worker.channel_factory import GRPCChannelFactory

from pipeline.engine.worker import KEEPALIVE_MS, ask_rarely_whether_the_runner_lives

_LEAST_MS = 300_000
"""A gRPC server closes a connection whose pings come more often than this
(``grpc.http2.min_ping_interval_without_data_ms``).
"""


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    monkeypatch.setattr(GRPCChannelFactory, "DEFAULT_OPTIONS", GRPCChannelFactory.DEFAULT_OPTIONS)
    before = dict(GRPCChannelFactory.DEFAULT_OPTIONS)
    ask_rarely_whether_the_runner_lives()
    after = dict(GRPCChannelFactory.DEFAULT_OPTIONS)
    assert after == before | {"grpc.keepalive_time_ms": KEEPALIVE_MS}
    return after


def test_signs_of_life_are_asked_for_as_rarely_as_a_server_demands(options: dict[str, int]) -> None:
    assert _LEAST_MS < options["grpc.keepalive_time_ms"] == KEEPALIVE_MS


def _states(server_least_ms: int, keepalive_ms: int, seconds: float) -> str:
    """Keeps a call open without sending data. Returns the error that ended the call; empty if the call is still
    open.
    """

    class Silent(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return grpc.stream_stream_rpc_method_handler(lambda requests, context: (one for one in requests))

    server = grpc.server(
        futures.ThreadPoolExecutor(4),
        [Silent()],
        options=[("grpc.http2.min_ping_interval_without_data_ms", server_least_ms)],
    )
    port = server.add_insecure_port("localhost:0")
    server.start()
    factory = GRPCChannelFactory.insecure_channel(f"localhost:{port}", [("grpc.keepalive_time_ms", keepalive_ms)])
    end = time.monotonic() + seconds

    def requests():  # type: ignore[no-untyped-def]
        while time.monotonic() < end:
            time.sleep(0.1)
        yield from ()

    try:
        list(factory.stream_stream("/a/b")(requests(), timeout=seconds + 30))
    except grpc.RpcError as error:
        return str(error.details())
    finally:
        factory.close()
        server.stop(None)
    return ""


@pytest.mark.slow
def test_a_server_closes_a_connection_that_asks_too_often(options: dict[str, int]) -> None:
    """The test uses shorter times. First the client sends pings more often than the server allows (as with Beam's
    defaults), then less often (as with this project's setting).
    """
    assert "Too many pings" in _states(30_000, 1_000, 8)
    assert _states(3_000, 6_000, 20) == ""
