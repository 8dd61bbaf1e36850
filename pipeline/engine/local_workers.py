"""Starts the worker processes of the local runner, watches them, and ends them when the run ends.

Beam's own code has three problems. If a worker could not start, Beam waits for ever; with this module, the run ends. If
the user presses Ctrl-C, the workers receive the signal too; with this module, they ignore it. If a worker dies, Beam
may log a traceback of its connection before the run ends with one line; with this module, it does not.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2_grpc, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.portability.local_job_service import BeamFnLoggingServicer
from apache_beam.runners.worker import data_plane
from apache_beam.utils import thread_pool_executor
from google.protobuf import json_format, text_format  # type: ignore[import-untyped]

from pipeline.engine.known_failures import LOST_WORKER
from pipeline.engine.watched_connection import WatchedConnection
from pipeline.engine.worker import PARENT_VARIABLE
from tokenizer.interrupts import at_end, end_command

PROGRAM = f"{shlex.quote(sys.executable)} -m pipeline.engine.worker"
_READER = "read_grpc_client_inputs"
"""The name that Beam gives to the thread that reads from a worker."""
_END_SECONDS = 5.0
_processes: set[subprocess.Popen[bytes]] = set()
_starts = threading.Lock()
_is_lost = threading.Event()


def watch_workers() -> None:
    """From now on, makes Beam's local runner start its workers through this module."""
    _is_lost.clear()
    logging.getLogger(data_plane.__name__).addFilter(_is_not_of_connection)
    if not isinstance(threading.excepthook, _TellException):
        threading.excepthook = _TellException(threading.excepthook)
    worker_handlers.ControlConnection = WatchedConnection  # type: ignore[misc]
    worker_handlers.WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)(LocalWorkerHandler)
    at_end("workers", end_workers)


def _is_not_of_connection(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Failed to read inputs in the data plane")


class _TellException:
    """Hands an exception that ended a thread to the hook that was set before, except that of a broken connection. Beam
    keeps this exception, and raises it in the thread that waits for the worker.
    """

    def __init__(self, before: Callable[[threading.ExceptHookArgs], object]) -> None:
        self._before = before

    def __call__(self, args: threading.ExceptHookArgs) -> None:
        if args.thread is None or args.thread.name != _READER:
            self._before(args)


def end_workers() -> None:
    """Kills the worker processes. Nothing is lost, because the results of finished work are already in files."""
    for process in list(_processes):
        with contextlib.suppress(OSError):
            process.kill()
    for process in list(_processes):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)


class LocalWorkerHandler(worker_handlers.SubprocessSdkWorkerHandler):
    """Starts and ends one worker process."""

    _is_closing = False

    def start_worker(self) -> None:
        """Starts the process and a thread that waits for its end."""
        self.worker_thread = threading.Thread(name="run_worker", target=self._run, daemon=True)
        self.worker_thread.start()

    def close(self) -> None:
        """Closes the connection, and lets the worker finish."""
        self._is_closing = True
        super().close()

    def _run(self) -> None:
        server = grpc.server(thread_pool_executor.shared_unbounded_instance())
        port = server.add_insecure_port("[::]:0")
        server.start()
        beam_fn_api_pb2_grpc.add_BeamFnLoggingServicer_to_server(BeamFnLoggingServicer(), server)
        # The terminal sends Ctrl-C to all its processes. The workers ignore it, so that they print no traceback.
        command = "trap '' INT; exec " + self._worker_command_line.decode()
        with _starts:
            if _is_lost.is_set():
                server.stop(0)
                self._give_up()
                return
            process = subprocess.Popen(["/bin/sh", "-c", command], env=self._environment(port))
            _processes.add(process)
        try:
            status = process.wait()
        finally:
            _processes.discard(process)
            server.stop(0)
        if not self._is_closing:
            self._report_lost(status)

    def _environment(self, logging_port: int) -> dict[str, str]:
        """Returns the environment variables of a worker process. They tell Beam's worker program the addresses of its
        runner.
        """

        def address(url: str) -> str:
            return str(text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url)))

        return {
            **os.environ,
            "CONTROL_API_SERVICE_DESCRIPTOR": address(self.control_address),
            "LOGGING_API_SERVICE_DESCRIPTOR": address(f"localhost:{logging_port}"),
            "PIPELINE_OPTIONS": json_format.MessageToJson(self.provision_info.provision_info.pipeline_options),
            "WORKER_ID": self.worker_id,
            PARENT_VARIABLE: str(os.getpid()),
        }

    def _report_lost(self, status: int) -> None:
        """Ends the run after a worker has died. First ends the workers that still run, so that the error is printed
        last.
        """
        with _starts:
            is_first = not _is_lost.is_set()
            _is_lost.set()
        if is_first:
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            end_command(f"error: {LOST_WORKER} ({how})", 1, before=end_workers)
            end_workers()
        self._give_up()

    def _give_up(self) -> None:
        connection: Any = self.control_conn
        connection.give_up()
