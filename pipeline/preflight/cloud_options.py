"""Checks the options that a run on many machines needs.

Every fault is reported in one line before anything is submitted. The options are checked first, without the network.
Then the stores are checked (``pipeline.preflight.cloud_stores``). Then the memory of the machines is checked
(:func:`check_machines`).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator

from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    SetupOptions,
    TestOptions,
    WorkerOptions,
)

from pipeline.engine.runner import Engine
from pipeline.files.files import is_local
from pipeline.preflight.cloud_machines import machine_fault, machine_of, region_fault
from pipeline.preflight.job_server import job_server_faults, option_faults, package_faults, raise_faults
from pipeline.preflight.memory import Need
from pipeline.settings.settings import Settings

_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_BUCKET_PATH = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(/.*)?")
_JOB_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,1022}[a-z0-9])?")
_FREE_SHARE = 0.85
"""The share of a machine's memory that our processes can use. The system and the runner need the rest."""
_DISK_GB = 20
"""The disk space in GB that the system, the image and the logs take on a worker."""
_DEFAULT_DISK_GB = 25
"""Dataflow's default disk size in GB, for batch jobs that shuffle in Dataflow's service."""


def check_options(settings: Settings, engine: Engine) -> None:
    """Checks the options of a run on many machines. If the engine is local, refuses options that only a remote runner
    uses.

    Raises:
        ValueError: options are missing or cannot work. The message has one line per fault.
    """
    faults = list(option_faults(engine))
    if not engine.is_local:
        faults += _dataflow_faults(settings, engine) if engine.is_dataflow else job_server_faults(engine)
    raise_faults(engine.name, faults)


def _dataflow_faults(settings: Settings, engine: Engine) -> Iterator[str]:
    cloud = engine.options.view_as(GoogleCloudOptions)
    if importlib.util.find_spec("google.cloud.dataflow_v1beta3") is None if _has_google() else True:
        yield "Beam's Dataflow client is not installed here: pip install 'llama-mixture[gcp]'"
    if not cloud.project:
        yield "--project is missing: the id of the Google Cloud project that runs and pays, --project=my-project"
    elif not _PROJECT.fullmatch(cloud.project):
        hint = "a project's number; give its id" if cloud.project.isdigit() else "not a project's id"
        yield f"--project={cloud.project} is {hint} (6 to 30 lower-case letters, digits and hyphens)"
    if not cloud.region:
        yield "--region is missing: where the workers run, best where the buckets are, --region=us-central1"
    elif fault := region_fault(cloud.region):
        yield f"--region: {fault}"
    if not cloud.temp_location:
        yield "--temp_location is missing: a folder for staged and spilled files, --temp_location=gs://my-bucket/temp"
    for flag in ("temp_location", "staging_location"):
        path = getattr(cloud, flag)
        if path and not _BUCKET_PATH.fullmatch(path):
            yield f"--{flag}={path} is not a folder in a bucket; write gs://my-bucket/temp"
    if cloud.job_name and not _JOB_NAME.fullmatch(cloud.job_name):
        yield f"--job_name={cloud.job_name}: only lower-case letters, digits and hyphens, beginning with a letter"
    for flag, value in (
        ("template_location", cloud.template_location),
        ("dry_run", engine.options.view_as(TestOptions).dry_run),
    ):
        if value:
            yield f"--{flag}: a run is several jobs, each made of what the one before found; use --estimate"
    yield from _path_faults(settings)
    yield from _worker_faults(settings, engine)


def _has_google() -> bool:
    try:
        return importlib.util.find_spec("google.cloud") is not None
    except ModuleNotFoundError:
        return False


def _path_faults(settings: Settings) -> Iterator[str]:
    """Yields a fault for each path on this machine's own disk, because Dataflow's workers cannot read it."""
    if is_local(settings.output):
        yield f"--output {settings.output} is this machine's own disk, workers write to a bucket: --output gs://my-bucket/out"
    if settings.is_sample and settings.phase != "mix":
        yield "the sample lies on this machine: give --input SOURCE=gs://..., or run it without --runner"
    for source, globs in settings.inputs.items():
        for glob in globs:
            if is_local(glob):
                yield f"--input {source}={glob} is this machine's own disk, workers do not see it: copy it to a bucket"
    for flag, path in (("--exclude", settings.exclude), ("--tokenizer", settings.tokenizer)):
        if path and is_local(path):
            yield f"{flag} {path} is this machine's own disk, workers do not see it: copy it to a bucket"


def _worker_faults(settings: Settings, engine: Engine) -> Iterator[str]:
    worker, setup = engine.options.view_as(WorkerOptions), engine.options.view_as(SetupOptions)
    image = worker.sdk_container_image
    if not worker.machine_type:
        yield (
            "--worker_machine_type is missing: Dataflow's own choice has 3.75 GB or less a process, too little for "
            "line hashes and models; --worker_machine_type=n2-highmem-8"
        )
    elif fault := machine_fault(worker.machine_type):
        yield f"--worker_machine_type: {fault}"
    if worker.disk_size_gb is not None and worker.disk_size_gb < _DISK_GB:
        yield f"--disk_size_gb={worker.disk_size_gb}: system and image alone take {_DISK_GB} GB; --disk_size_gb=50"
    yield from package_faults(image, setup.setup_file)
    if settings.models and is_local(settings.models) and not image:
        yield (
            f"--models {settings.models} is this machine's own disk, workers do not see it: copy it to gs:// "
            f"(each worker fetches it once), or put it into the worker image under the same path"
        )


def check_machines(engine: Engine, need: Need) -> None:
    """Checks that the chosen machine type has the memory and disk that a Dataflow worker needs.

    Raises:
        ValueError: the machine is too small. The message has the numbers, and a machine type that is large enough.
    """
    if not engine.is_dataflow:
        return
    worker = engine.options.view_as(WorkerOptions)
    faults = []
    machine = machine_of(worker.machine_type or "")
    if machine is not None:
        wanted = need.machine_bytes(machine.num_cpus) / 1e9 / _FREE_SHARE
        if wanted > machine.memory_gb * (1 << 30) / 1e9:
            faults.append(
                f"--worker_machine_type={worker.machine_type} has {machine.memory_gb:g} GB, its {machine.num_cpus} "
                f"processes need {wanted:.1f} GB ({need.process_bytes / 1e9:.1f} GB each, "
                f"{need.shared_bytes / 1e9:.1f} GB shared): " + _larger(need, machine.num_cpus)
            )
    disk_gb = worker.disk_size_gb or _DEFAULT_DISK_GB
    wanted_gb = _DISK_GB + need.fetched_bytes / 1e9 + need.sort_bytes / 1e9 * (machine.num_cpus if machine else 1)
    if wanted_gb > disk_gb:
        faults.append(
            f"--disk_size_gb={disk_gb}{'' if worker.disk_size_gb else ' (the default)'}: image, models and sorting "
            f"need {wanted_gb:.0f} GB; --disk_size_gb={int(wanted_gb * 1.25 / 10 + 1) * 10}"
        )
    raise_faults(engine.name, faults)


def _larger(need: Need, num_cpus: int) -> str:
    """Returns a sentence for the user that recommends a machine type with enough memory."""
    for family in ("n2-standard", "n2-highmem"):
        machine = machine_of(f"{family}-{max(num_cpus, 2)}")
        assert machine is not None
        if need.machine_bytes(machine.num_cpus) / _FREE_SHARE <= machine.memory_gb * (1 << 30):
            return f"use --worker_machine_type={family}-{machine.num_cpus}"
    custom_mb = -(-int(need.machine_bytes(num_cpus) / _FREE_SHARE / (1 << 20)) // 1024) * 1024
    return f"use --worker_machine_type=n2-custom-{num_cpus}-{custom_mb}-ext, or smaller models"
