"""Starts, lends, kills and wakes the workers of :mod:`unkind_runner`."""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from google.protobuf import json_format, text_format  # type: ignore[import-untyped]
from worker_forks import ORDERS

LATE_AFTER = 8
"""The number of bundles that begin before a late worker goes on."""
_MOST_LATE = 2
_STATIONS = ("created", "written", "renamed")
_HAPPENED = {"die": "died", "stop": "late"}
_WAIT_SECONDS = 120.0


class Forks:
    """Forks workers from one process (:mod:`worker_forks`) that has imported everything they need."""

    def __init__(self, python: str, orders: Path, folder: Path, path: str) -> None:
        program = Path(__file__).with_name("worker_forks.py")
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | ({"PYTHONPATH": path} if path else {})
        self._process = subprocess.Popen(
            [python, str(program)], env={**env, ORDERS: str(orders)}, cwd=folder, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        self._lock = threading.Lock()
        self.variables = {ORDERS: str(orders)}

    def fork(self, variables: Mapping[str, str]) -> int:
        """Starts a worker, and returns its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps({**self.variables, **variables}) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass
class Plan:
    """Says what happens to the bundles of a job, and counts what happened."""

    modes: Sequence[str]
    first: Forks
    joining: Forks
    """The workers that are started after the first ones. Usually they come from the same place as ``first``."""
    num_workers: int
    orders: Path
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    bundles: Iterator[int] = field(default_factory=itertools.count)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def order(self, what: str, worker: ForkedWorker) -> str:
        """Orders a worker to die or stop at the station where this happened least often. Returns the station."""
        number = next(self.numbers)
        with self.lock:
            station = min(_STATIONS, key=lambda name: self.counts[f"{_HAPPENED[what]}, {name}"])
        worker.order(f"{number} {what} {station} {2 if number % 4 == 0 else 1}")
        worker.ordered = station
        return station


class ForkedWorker(worker_handlers.GrpcWorkerHandler):
    """Starts one worker process, and knows its process id."""

    forks: Forks
    orders: Path
    pid = 0
    ordered = ""
    """The station of the last order."""

    def __init__(self, _: bytes, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(state, provision_info, grpc_server)

    def start_worker(self) -> None:
        """Forks the process. Its environment variables tell Beam's worker program where its runner is."""

        def address(url: str) -> str:
            return str(text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url)))

        options = self.provision_info.provision_info.pipeline_options
        self.pid = self.forks.fork({
            "CONTROL_API_SERVICE_DESCRIPTOR": address(self.control_address),
            "LOGGING_API_SERVICE_DESCRIPTOR": address(self.logging_api_service_descriptor().url),
            "PIPELINE_OPTIONS": json_format.MessageToJson(options), "WORKER_ID": self.worker_id,
        })  # fmt: skip

    def stop_worker(self) -> None:
        """Waits until the process has ended. It ends when its connection is closed."""
        end = time.monotonic() + 10
        while self._state() not in ("", "Z"):
            if time.monotonic() > end:
                self.send(signal.SIGKILL)
            time.sleep(0.02)

    def _state(self) -> str:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return ""

    @property
    def is_stopped(self) -> bool:
        return self._state() == "T"

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def order(self, words: str) -> None:
        """Gives the worker an order, or takes it back if ``words`` is empty."""
        path = self.orders / self.worker_id
        if words:
            path.with_suffix(".new").write_text(words)
            path.with_suffix(".new").rename(path)
        else:
            path.unlink(missing_ok=True)


class Workers(worker_handlers.WorkerHandlerManager):
    """Lends workers. A worker has one bundle at a time. Starts another one if all are at work or lost."""

    plan: Plan

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._free: dict[Any, list[ForkedWorker]] = collections.defaultdict(list)
        self._late: list[tuple[int, ForkedWorker, Future[Any]]] = []
        self._pool = threading.RLock()
        self._threads = ThreadPoolExecutor(16)

    def get_worker_handlers(self, environment_id: Any, num_workers: int) -> Any:
        """Is what Beam asks for the first workers of an environment."""
        key = environment_id or next(iter(self._environments))
        with self._pool:
            before = len(self._cached_handlers[key])
            found = super().get_worker_handlers(key, num_workers)
            self._free[key] += found[before:]
        return found

    def take(self, key: Any, *, but: Sequence[ForkedWorker] = ()) -> ForkedWorker:
        """Returns a free worker that is none of ``but``."""
        key = key or next(iter(self._environments))
        with self._pool:
            for worker in self._free[key]:
                if worker not in but:
                    self._free[key].remove(worker)
                    return worker
            ForkedWorker.forks = self.plan.joining
            self.get_worker_handlers(key, len(self._cached_handlers[key]) + 1)
            return self._free[key].pop()

    def give_back(self, key: Any, worker: ForkedWorker) -> None:
        with self._pool:
            self._free[key or next(iter(self._environments))].append(worker)

    def lose(self, worker: ForkedWorker) -> None:
        """Kills a worker, and forgets it."""
        worker.send(signal.SIGKILL)
        with self._pool:
            for cached in self._cached_handlers.values():
                if worker in cached:
                    cached.remove(worker)

    def start(self, function: Any, *args: Any) -> Future[Any]:
        return self._threads.submit(function, *args)

    @property
    def has_room_for_late(self) -> bool:
        with self._pool:
            return sum(not done.done() for _, _, done in self._late) < _MOST_LATE

    def be_late(self, bundle: int, worker: ForkedWorker, done: Future[Any]) -> None:
        """Remembers a worker that stands still, or may do so soon."""
        with self._pool:
            self._late.append((bundle, worker, done))

    def wake(self, bundle: int) -> None:
        """Lets the workers go on that have stood still since ``bundle`` or longer."""
        with self._pool:
            woken = [one for one in self._late if one[0] <= bundle]
            self._late = [one for one in self._late if one[0] > bundle]
        for _, worker, done in woken:
            if worker.is_stopped:
                self.plan.count(f"late, {worker.ordered}")
            worker.order("")
            worker.send(signal.SIGCONT)
            done.result(_WAIT_SECONDS)

    def close_all(self) -> None:
        try:
            self.wake(1 << 60)
        finally:
            self._threads.shutdown()
            super().close_all()
