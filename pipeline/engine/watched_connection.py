"""Provides a connection to a worker. If the worker is lost, the connection notices this and does not wait for ever."""

from __future__ import annotations

import threading
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers


class WatchedConnection(worker_handlers.ControlConnection):
    """Connects the runner to a worker. If the worker is lost, answers all waiting requests with an error.

    A worker is lost if the connection ends before the work does, or if the worker does not connect within
    ``start_seconds`` seconds.
    """

    start_seconds = 600.0

    def __init__(self) -> None:
        super().__init__()
        self._is_lost = False
        self._deadline = threading.Timer(self.start_seconds, self._check_start)
        self._deadline.daemon = True
        self._deadline.start()

    def _check_start(self) -> None:
        if self._state == worker_handlers.BeamFnControlServicer.UNSTARTED_STATE:
            self.give_up()

    def give_up(self) -> None:
        """Answers all requests to the worker with an error, now and later."""
        self._deadline.cancel()
        self._is_lost = True
        self._answer_all()

    def _read(self) -> None:
        self._deadline.cancel()
        try:
            super()._read()
        except grpc.RpcError:  # The connection broke. A connection that was closed in order ends without an error.
            self._answer_all()
        else:
            if not self._is_done:
                self._answer_all()

    @property
    def _is_done(self) -> bool:
        return bool(self._state == worker_handlers.BeamFnControlServicer.DONE_STATE)

    def _answer_all(self) -> None:
        for name in list(self._futures_by_id):
            self._answer(name)

    def _answer(self, name: str) -> None:
        waiting = self._futures_by_id.pop(name, None)
        if waiting is not None:
            waiting.set(
                beam_fn_api_pb2.InstructionResponse(instruction_id=name, error="Lost worker: it does not answer")
            )

    def push(self, req: Any) -> Any:
        waiting = super().push(req)
        has_begun = self._state == worker_handlers.BeamFnControlServicer.STARTED_STATE
        if waiting is not None and (self._is_lost or (has_begun and not self._read_thread.is_alive())):
            self._answer(req.instruction_id)
        return waiting
