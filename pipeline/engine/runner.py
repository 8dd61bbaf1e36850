"""Chooses the runner (the engine) that runs the graph of a job.

Beam's own choice would depend on what it can download. So this module chooses by the options only, and the choice is
the same on every machine.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability import fn_api_runner
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from apache_beam.runners.portability.portable_runner import JobServiceHandle

from pipeline.engine.beam_start import ParsedOptions, inspect_each_class_once
from pipeline.engine.local_workers import PROGRAM, watch_workers
from tokenizer.did_you_mean import did_you_mean

_LOCAL = ("directrunner", "fnapirunner")
_DISTRIBUTED = ("DataflowRunner", "FlinkRunner", "SparkRunner", "PortableRunner")
_REFUSED = {
    "daskrunner": "Beam's Dask runner loses data in silence: written files with no rows, tagged outputs in the wrong "
    "place, all but the last sink not run, and the state is DONE",
    "pysparkrunner": "the in-memory Spark runner leaks tagged outputs into the main one, in silence; "
    "--runner=SparkRunner is Beam's own, through a job server",
    "rayrunner": "Beam has no runner for Ray, and the package of that name has not followed Beam since 2022",
    "interactiverunner": "it keeps every collection in memory",
    "prismrunner": "it is a downloaded binary of one process that ignores --direct_num_workers; use DirectRunner",
    "switchingdirectrunner": "which engine it takes depends on what it can download; use DirectRunner",
    "bundlebaseddirectrunner": "it is of one process and keeps everything in memory; use DirectRunner",
}
_USE = "use DirectRunner here, DataflowRunner, FlinkRunner or SparkRunner on many machines"


@dataclass(frozen=True, slots=True)
class Engine:
    """Holds a runner and its options."""

    name: str
    is_local: bool
    num_workers: int
    options: PipelineOptions
    runner: Any
    beam_args: tuple[str, ...] = ()
    run_name: str = field(default_factory=lambda: f"mixture-{uuid.uuid4().hex[:8]}")
    """The first part of the names of the run's jobs. It is used if no --job_name is given."""

    @property
    def is_dataflow(self) -> bool:
        return self.name == "DataflowRunner"

    def options_of(self, job: str) -> PipelineOptions:
        """Returns the Beam options for one job of the run.

        On Dataflow, a user finds a job by its name. So each job of the run gets a different name there. On other
        runners, all jobs have the same options.
        """
        if not self.is_dataflow:
            return self.options
        name = self.options.view_as(GoogleCloudOptions).job_name or self.run_name
        return ParsedOptions(list(self.beam_args), job_name=f"{name}-{job}")


class LocalRunner(fn_api_runner.FnApiRunner):
    """Beam's local runner, with our own worker program.

    A job gets an object of this class as its runner. If a job named "DirectRunner" instead, Beam would first try to
    download its runner Prism.
    """

    def run_via_runner_api(self, pipeline_proto: Any, options: PipelineOptions) -> Any:
        watch_workers()
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.payload = PROGRAM.encode()
        # By default Beam does not pass the options to local workers, for example the address of an s3:// store.
        encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options(drop_default=True))
        self._provision_info = fn_runner.ExtendedProvisionInfo(
            beam_provision_api_pb2.ProvisionInfo(retrieval_token="unused", pipeline_options=encoded)
        )
        return super().run_via_runner_api(pipeline_proto, options)


BYTES_PER_WORKER = 16 << 20
"""The number of stored input bytes per worker process. With less input, starting a second process (3 s per job,
measured on the sample) costs more time than it saves."""


WORKER_CACHE_MILLIS = 60_000
"""The milliseconds for which Flink and Spark keep an idle worker process (--environment_cache_millis). By default they
end the process after each stage, and starting Python for the next stage takes seconds. For example, two sources of the
sample were run on Spark. With the default, Spark started 107 workers instead of 5, and the run took twice as long."""


def choose_engine(beam_args: Sequence[str], *, num_bytes: int | None = None) -> Engine:
    """Returns the engine that the Beam options choose. The default is Beam's local runner on all cores.

    ``num_bytes`` is the number of stored bytes of the input, or None if unknown. If the options do not set the number
    of workers, a small input gets fewer processes.

    Raises:
        ValueError: the runner cannot be used. The message says why.
    """
    inspect_each_class_once()
    options = ParsedOptions(list(beam_args))
    name = runner_name(options.view_as(StandardOptions).runner)
    if not is_local_runner(name):
        portable = options.view_as(PortableOptions)
        if name in ("FlinkRunner", "SparkRunner") and not portable.environment_cache_millis:
            portable.environment_cache_millis = WORKER_CACHE_MILLIS
        return Engine(name, False, 0, options, None, tuple(beam_args))
    direct = options.view_as(DirectOptions)
    asked = any(a.startswith("--direct_num_workers") for a in beam_args)
    num_workers = direct.direct_num_workers if asked else 0
    if not num_workers:
        num_workers = os.cpu_count() or 1
        if num_bytes is not None and not asked:
            num_workers = min(num_workers, max(1, -(-num_bytes // BYTES_PER_WORKER)))
    if num_workers < 1:
        raise ValueError(f"--direct_num_workers={num_workers}: must be 1 or more, or 0 for all cores")
    direct.direct_num_workers = num_workers
    direct.direct_running_mode = "in_memory" if num_workers == 1 else "multi_processing"
    worker = options.view_as(WorkerOptions)
    worker.default_sdk_harness_log_level = worker.default_sdk_harness_log_level or "WARNING"
    # By default a second thread flushes Beam's data channels, and this thread can lose records (seen: 1-28 % of a large
    # collection). Without a time limit Beam does not start this thread.
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0
    return Engine(name, True, num_workers, options, LocalRunner(), tuple(beam_args))


def is_local_runner(given: str | None) -> bool:
    """True if the workers of a runner are processes of this machine."""
    return runner_name(given).lower() in _LOCAL


def runner_name(given: str | None) -> str:
    """Returns the full name of a runner. Like Beam, accepts any case, a dotted path, and a name without "Runner".

    >>> runner_name("dataflow"), runner_name(None)
    ('DataflowRunner', 'DirectRunner')

    Raises:
        ValueError: the runner is not known, or is refused. The message says why.
    """
    if given is None:
        return "DirectRunner"
    last = given.rsplit(".", 1)[-1].lower()
    key = last if last.endswith("runner") else last + "runner"
    if key in _REFUSED:
        raise ValueError(f"--runner={given} is refused: {_REFUSED[key]}; {_USE}")
    known = {n.lower(): n for n in ("DirectRunner", "FnApiRunner", *_DISTRIBUTED)}
    if key not in known:
        raise ValueError(f"--runner={given} is not known{did_you_mean(key, known.values()) or f'; {_USE}'}")
    return known[key]
