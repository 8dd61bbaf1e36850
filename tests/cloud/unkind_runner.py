"""Does to workers what Dataflow does and Beam's local runner does not: loses them, splits their work while it runs, and
gives the same work to two of them.

Beam's local runner still plans the stages, and real worker processes run them. Only the way of a bundle (elements that
a worker processes together) to the workers differs. As on Dataflow, the outputs of a bundle count only if its worker
answers, and only those of the worker that answers first. A bundle that fails is tried four times.

    die     the worker is killed (SIGKILL) in the middle of the bundle, or after all of it but before its answer counts.
            Another worker gets the bundle.
    split   while the bundle runs, its worker gets three requests (ProcessBundleSplitRequest) to give away a part of
            what is left. Other workers get these parts.
    late    two workers get the bundle. One stands still in the middle (SIGSTOP) and goes on many bundles later, or when
            the job has no more work. What it sends then is thrown away, but what it writes is written.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2 as api
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from apache_beam.runners.worker.bundle_processor import monitoring_infos
from lent_workers import LATE_AFTER, ForkedWorker, Plan, Workers

from pipeline.engine.watched_connection import WatchedConnection

_TRIES = 4
_FRACTIONS = (0.7, 0.5, 0.0)
_DIES_WHEN_DONE = 7
"""The worker of one in so many bundles without a station is killed after its work."""
_LOST = "Lost worker"

Part = Mapping[str, Sequence[bytes]]
"""The input of a bundle: the encoded elements for each transform that reads them."""


@dataclass
class Attempt:
    """Holds the results of a bundle on one worker."""

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
        self._workers.wake(number - LATE_AFTER)
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
