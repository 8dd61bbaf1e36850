"""Checks what a run through a job server needs: Flink, Spark, or a job service that is already running.

Every fault is reported in one line before anything is submitted. If a job server or the master of a cluster does not
answer, the checks in this module fail after seconds. Beam would wait for minutes and print nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    PortableOptions,
    SetupOptions,
    SparkRunnerOptions,
    WorkerOptions,
)

from pipeline.engine.known_failures import HOW_TO_IMAGE
from pipeline.engine.runner import Engine
from pipeline.settings.runner_options import runners_of

_STOCK_IMAGE = re.compile(r"(?:^|/)(?:apache/)?beam_python\d|gcr\.io/cloud-dataflow/|/beam_python3\.\d+_sdk")
_IMAGE_PYTHON = re.compile(r"(?:py|python)-?(3)[._]?(\d{1,2})(?!\d)")
_ANSWER_SECONDS = 5.0
"""A job server or a master must accept a connection within this many seconds."""


class Faults(ValueError):  # noqa: N818 - the name says what they are
    """Raised for a request with one or more faults."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def raise_faults(name: str, faults: list[str]) -> None:
    """Raises ValueError with one line per fault. Does nothing if there are no faults."""
    if faults:
        raise Faults([f"{name}: {fault}" for fault in faults])


def option_faults(engine: Engine) -> Iterator[str]:
    """Yields a fault for each option that only other runners have.

    A job service may use any runner behind it, so with a job service all options are accepted.
    """
    for arg in engine.beam_args:
        flag = arg.split("=", 1)[0]
        owners = runners_of(flag)
        if owners and engine.name not in (*owners, "PortableRunner"):
            yield f"{flag} is an option of {' and '.join(owners)}, which this runner does not have"


def package_faults(image: str | None, setup_file: str | None) -> Iterator[str]:
    """Yields faults if the workers would not have our package, or if their version of Python would differ from the
    launcher's.
    """
    if setup_file and not os.path.isfile(setup_file):
        yield f"--setup_file={setup_file}: there is no such file"
    if not image and not setup_file:
        yield f"workers would not have this package: {HOW_TO_IMAGE}, or give --setup_file=./setup.py from a checkout"
    elif image and not setup_file and _STOCK_IMAGE.search(image):
        yield f"--sdk_container_image={image} is Beam's own image, without this package: {HOW_TO_IMAGE}"
    if image and (found := _IMAGE_PYTHON.search(image)) and int(found[2]) != sys.version_info.minor:
        yield (
            f"--sdk_container_image={image} is of Python {found[1]}.{found[2]}, this is Python "
            f"3.{sys.version_info.minor}: workers could not read what is sent to them"
        )


def job_server_faults(engine: Engine) -> Iterator[str]:
    """Yields faults in the options for Flink, Spark, or a job service that is already running."""
    portable = engine.options.view_as(PortableOptions)
    if engine.name == "PortableRunner" and not portable.job_endpoint:
        yield "--job_endpoint is missing: where the job service listens, --job_endpoint=localhost:8099"
    if engine.name in ("FlinkRunner", "SparkRunner") and not portable.job_endpoint:
        yield from _own_server_faults(engine)
    yield from _environment_faults(engine)
    for flag, address in addresses(engine):
        if fault := unanswered(address):
            yield f"{flag}={address}: {fault}"


def _own_server_faults(engine: Engine) -> Iterator[str]:
    """Yields a fault for each reason why Beam could not start its own job server on this machine, such as missing
    Java.
    """
    java = engine.options.view_as(PortableOptions).get_all_options().get("job_server_java_launcher") or "java"
    if shutil.which(java) is None:
        yield "Java is not here, and Beam's job server is a Java program: install it, or give --job_endpoint=HOST:PORT"
    flink, spark = engine.options.view_as(FlinkRunnerOptions), engine.options.view_as(SparkRunnerOptions)
    is_flink = engine.name == "FlinkRunner"
    flag, jar = (
        ("flink_job_server_jar", flink.flink_job_server_jar)
        if is_flink
        else ("spark_job_server_jar", spark.spark_job_server_jar)
    )
    if jar and "://" not in jar and not os.path.isfile(jar):
        yield f"--{flag}={jar}: there is no such file"


def _environment_faults(engine: Engine) -> Iterator[str]:
    """Yields faults of the options that say how the engine starts workers: in Docker, as processes, or in pools."""
    portable, setup = engine.options.view_as(PortableOptions), engine.options.view_as(SetupOptions)
    image = engine.options.view_as(WorkerOptions).sdk_container_image
    kind = (portable.environment_type or "DOCKER").upper()
    config = portable.environment_config
    if kind in ("EXTERNAL", "PROCESS") and not (config or portable.environment_options):
        what = "the worker pool's address, HOST:PORT" if kind == "EXTERNAL" else 'the boot program, {"command": "..."}'
        yield f"--environment_config is missing: for --environment_type={kind} it is {what}"
    elif kind == "PROCESS" and config and not _names_a_command(config):
        yield (
            f"--environment_config={config}: for --environment_type=PROCESS it is JSON that names the boot program, "
            """'{"command": "/path/to/cluster/boot.sh"}'"""
        )
    if kind == "DOCKER":
        named = image or config
        if not named and not setup.setup_file:
            yield (
                f"the workers would not have this package: {HOW_TO_IMAGE}; without Docker give "
                "--environment_type=PROCESS or EXTERNAL"
            )
        elif named:
            yield from package_faults(named, setup.setup_file)


def _names_a_command(config: str) -> bool:
    try:
        found = json.loads(config)
    except ValueError:
        return False
    return isinstance(found, dict) and bool(found.get("command"))


def addresses(engine: Engine) -> list[tuple[str, str]]:
    """Returns (flag, HOST:PORT) for each server that must answer before a job can be submitted.

    If the user names a running job server, only this server must answer. The master of the cluster is left out, because
    the job server is connected to the master. If Spark has several masters, the first one must answer. Flink's master
    ``[local]`` is not a server:

    >>> from pipeline.engine.runner import choose_engine
    >>> addresses(choose_engine(["--runner=SparkRunner", "--spark_master_url=spark://one:7077,two:7077"]))
    [('--spark_master_url', 'one:7077')]
    >>> addresses(choose_engine(["--runner=FlinkRunner", "--flink_master=[local]"]))
    []
    """
    if endpoint := engine.options.view_as(PortableOptions).job_endpoint:
        return [] if endpoint == "embed" else [("--job_endpoint", endpoint)]
    if engine.name == "FlinkRunner":
        master = engine.options.view_as(FlinkRunnerOptions).flink_master or "[auto]"
        return [] if master.startswith("[") else [("--flink_master", re.sub(r"^\w+://", "", master).rstrip("/"))]
    if engine.name == "SparkRunner":
        master = engine.options.view_as(SparkRunnerOptions).spark_master_url or "local"
        if master.startswith("spark://"):
            return [("--spark_master_url", master.removeprefix("spark://").split(",")[0])]
    return []


def unanswered(address: str, seconds: float = _ANSWER_SECONDS) -> str:
    """Tries to connect to HOST:PORT. Returns the reason if this fails; an empty string if it succeeds."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        return "not an address; write HOST:PORT"
    try:
        socket.create_connection((host.strip("[]"), int(port)), seconds).close()
    except OSError as error:
        return f"nothing answers there ({error.strerror or error}); start it first, and run this where it is reached"
    return ""
