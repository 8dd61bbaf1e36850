"""Does to workers what Dataflow does and Beam's local runner does not: loses them, splits their work while it runs, and
gives the same work to two of them.

Beam's local runner still plans the stages, and real worker processes run them. Only the way of a bundle (elements that
a worker processes together) to the workers differs. As on Dataflow, the outputs of a bundle count only if its worker
answers, and only those of the worker that answers first. A bundle that fails is tried four times.

    die     the worker is killed (SIGKILL) in the middle of the bundle, or after all of it but before its answer counts.
            Another worker gets the bundle.
    split   while the bundle runs, its worker is asked three times to give away a part of what is left
            (ProcessBundleSplitRequest). Other workers get these parts.
    late    two workers get the bundle. One stands still in the middle (SIGSTOP) and goes on many bundles later, or when
            the job has no more work. What it sends then is thrown away, but what it writes is written.
"""

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

from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2 as api
from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from apache_beam.runners.worker.bundle_processor import monitoring_infos
from google.protobuf import json_format, text_format  # type: ignore[import-untyped]
from worker_forks import ORDERS

from pipeline.engine.watched_connection import WatchedConnection

MODES = ("die", "split", "late")
_TRIES = 4
_LATE_AFTER = 8
"""The number of bundles that begin before a late worker goes on."""
_MOST_LATE = 2
_FRACTIONS = (0.7, 0.5, 0.0)
_STATIONS = (("created", 1), ("written", 1), ("renamed", 1), ("created", 2), ("renamed", 2))
_NAMES = {name for name, _ in _STATIONS}
_DIES_WHEN_DONE = 7
"""Of so many bundles that passed no station, the worker of one dies after its work was done."""
_WAIT_SECONDS = 120.0
_LOST = "Lost worker"

Part = Mapping[str, Sequence[bytes]]
"""The input of a bundle: the encoded elements for each transform that reads them."""


class Forks:
    """Forks workers from one process (:mod:`worker_forks`) that has imported everything they need."""

    def __init__(self, python: str, orders: Path, folder: Path, path: str) -> None:
        program = Path(__file__).with_name("worker_forks.py")
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | ({"PYTHONPATH": path} if path else {})
        self._process = subprocess.Popen([python, str(program)], env={**env, ORDERS: str(orders)}, cwd=folder, text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
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
        """Orders a worker to die or stop at the station whose turn it is. Returns the station."""
        with self.lock:
            hits = sum(number for name, number in self.counts.items() if name.partition(", ")[2] in _NAMES)
        station, countdown = _STATIONS[hits % len(_STATIONS)]
        worker.order(f"{next(self.numbers)} {what} {station} {countdown}")
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


@dataclass
class Attempt:
    """What a worker made of a bundle."""

    error: str = ""
    answer: Any = None
    outputs: list[tuple[str, bytes]] = field(default_factory=list)
    given_away: list[Part] = field(default_factory=list)


class UnkindBundles:
    """Runs the bundles of one stage. Takes the place of Beam's BundleManager."""

    def __init__(self, context: Any, plan: Plan, tokens: Iterator[Any]) -> None:
        self._context, self._plan, self._tokens = context, plan, tokens
        self._workers: Workers = context.execution_context.worker_handler_manager
        self._key = context.stage.environment

    def process_bundle(self, inputs: Any, expected_outputs: Mapping[str, bytes], *_: Any) -> tuple[Any, list[Any]]:
        """Runs a bundle for Beam's runner. Adds its outputs to the runner's buffers, and returns the answer."""
        num = self._plan.num_workers
        parts: list[dict[str, list[bytes]]] = [{} for _ in range(num)]
        for name, buffer in inputs.items():
            for part, encoded in zip(parts, buffer.partition(num), strict=True):
                part[name] = list(encoded)
        with ThreadPoolExecutor(num) as threads:
            done = [one for found in threads.map(self._bundle, parts) for one in found]
        for attempt in done:
            for name, data in attempt.outputs:
                self._context.get_buffer(expected_outputs[name], name).append(data)
        infos = itertools.chain(*(one.answer.process_bundle.monitoring_infos for one in done))
        merged = api.ProcessBundleResponse(monitoring_infos=monitoring_infos.consolidate(infos))
        return api.InstructionResponse(process_bundle=merged), []

    def _bundle(self, part: Part) -> list[Attempt]:
        """Runs one part of a bundle, and the parts that its worker gives away. Returns what counts."""
        with self._plan.lock:
            number = next(self._plan.bundles)
        self._workers.wake(number - _LATE_AFTER)
        self._plan.count("bundles")
        mode = self._plan.modes[number % len(self._plan.modes)] if self._plan.modes else ""
        used: list[ForkedWorker] = []
        for _ in range(_TRIES):
            worker = self._workers.take(self._key, but=used)
            used.append(worker)
            if mode == "die":
                found = self._dying(worker, part, number)
            elif mode == "late" and self._workers.has_room_for_late:
                found = self._twice(worker, part, number)
            else:
                found = self._attempt(worker, part, _FRACTIONS if mode == "split" else ())
            if found.error.startswith(_LOST):
                self._workers.lose(worker)
            else:
                self._workers.give_back(self._key, worker)
            if not found.error:
                return [found, *(one for rest in found.given_away for one in self._bundle(rest))]
            mode = ""
        raise RuntimeError(found.error)

    def _dying(self, worker: ForkedWorker, part: Part, number: int) -> Attempt:
        """Runs a bundle on a worker that dies, at the latest when it is done."""
        station = self._plan.order("die", worker)
        found = self._attempt(worker, part)
        worker.order("")
        if found.error.startswith(_LOST):
            self._plan.count(f"died, {station}")
        elif not found.error and number % _DIES_WHEN_DONE == 0:
            self._plan.count("died, done")
            return Attempt(f"{_LOST} as planned")
        return found

    def _twice(self, worker: ForkedWorker, part: Part, number: int) -> Attempt:
        """Runs a bundle on two workers. One of them stands still at its first or second file, and goes on later."""
        other = self._workers.take(self._key, but=[worker])
        self._plan.order("stop", other)
        second = self._workers.start(self._second, other, part)
        found = self._attempt(worker, part)
        self._plan.count("twice")
        self._workers.be_late(number, other, second)
        return found

    def _second(self, worker: ForkedWorker, part: Part) -> None:
        """Runs a bundle whose outputs do not count."""
        found = self._attempt(worker, part)
        assert not found.error, found.error
        worker.order("")
        self._workers.give_back(self._key, worker)

    def _attempt(self, worker: ForkedWorker, part: Part, fractions: Sequence[float] = ()) -> Attempt:
        """Runs a bundle on a worker."""
        connection: Any = worker.data_conn
        bundle = f"bundle_{next(self._plan.numbers)}"
        request = api.ProcessBundleRequest(
            process_bundle_descriptor_id=self._context.process_bundle_descriptor.id, cache_tokens=[next(self._tokens)]
        )
        answer = worker.control_conn.push(api.InstructionRequest(instruction_id=bundle, process_bundle=request))
        assert answer is not None
        found = Attempt()
        for name, encoded in part.items():
            stream = connection.output_stream(bundle, name)
            if fractions and len(part) == 1:
                self._split(worker, bundle, name, encoded, stream, fractions, found)
            else:
                for data in encoded:
                    stream.write(data)
            stream.close()
        expected = list(self._context.stage_data_outputs)
        try:
            for output in connection.input_elements(
                bundle, expected, abort_callback=lambda: answer.is_done() and bool(answer.get().error)
            ):
                found.outputs.append((output.transform_id, output.data))
        except RuntimeError as error:
            if "Channel closed prematurely" not in str(error):
                raise
            found.error = _LOST
            return found
        found.answer = answer.get()
        found.error = found.answer.error
        return found

    def _split(self, worker: ForkedWorker, bundle: str, name: str, encoded: Sequence[bytes], stream: Any,
               fractions: Sequence[float], found: Attempt) -> None:  # fmt: skip
        """Sends the elements of a bundle. After a third of them, asks the worker to give some of them away."""
        coder = self._context.get_input_coder_impl(name)
        elements = list(coder.decode_all(b"".join(encoded)))
        end = len(elements)
        begun = max(1, end // 3)
        stream.write(coder.encode_all(elements[:begun]))
        stream.flush()
        for fraction in fractions if end > 1 else ():
            wanted = api.ProcessBundleSplitRequest.DesiredSplit(
                fraction_of_remainder=fraction, estimated_input_elements=end
            )
            request = api.ProcessBundleSplitRequest(instruction_id=bundle, desired_splits={name: wanted})
            for _ in range(20):
                pushed = worker.control_conn.push(api.InstructionRequest(process_bundle_split=request))
                assert pushed is not None
                said = pushed.get()
                if said.process_bundle_split.channel_splits or "Unknown process bundle" not in said.error:
                    break
                time.sleep(0.05)  # the worker has not begun
            for split in said.process_bundle_split.channel_splits:
                assert not said.process_bundle_split.residual_roots, "no element of our graph can be split"
                if split.first_residual_element < end:
                    self._plan.count("split")
                    found.given_away.append({name: [coder.encode_all(elements[split.first_residual_element : end])]})
                    end = split.first_residual_element
        stream.write(coder.encode_all(elements[begun:]))


class UnkindRunner(fn_runner.FnApiRunner):
    """Beam's local runner with :class:`UnkindBundles`."""

    def __init__(self, provision_info: Any, plan: Plan) -> None:
        super().__init__(provision_info=provision_info)
        self._num_workers, self._plan = plan.num_workers, plan
        ForkedWorker.forks, ForkedWorker.orders, Workers.plan = plan.first, plan.orders, plan
        worker_handlers.WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)(ForkedWorker)
        worker_handlers.ControlConnection = WatchedConnection  # type: ignore[misc]
        fn_runner.WorkerHandlerManager = Workers  # type: ignore[misc]

    def _get_bundle_manager(self, bundle_context_manager: Any) -> Any:
        tokens = fn_runner.FnApiRunner.get_cache_token_generator(static=False)
        return UnkindBundles(bundle_context_manager, self._plan, tokens)
