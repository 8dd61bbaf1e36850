"""Tests the list of packages for the workers: an image that is built from it has all packages that ours requires."""

from __future__ import annotations

import runpy
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "docker" / "requirements.lock"


def faults(lock: str) -> list[str]:
    """Returns the requirements of setup.py that are missing in the list, or whose listed version does not fit."""
    pins = dict(line.split("==") for line in lock.splitlines() if line and not line.startswith("#"))
    wanted = [Requirement(text) for text in runpy.run_path(str(ROOT / "docker" / "lock.py"))["requirements_of_setup"]()]
    return [
        str(one)
        for one in wanted
        if not one.specifier.contains(pins.get(canonicalize_name(one.name), "0"), prereleases=True)
    ]


def test_the_lock_has_every_requirement_of_the_package() -> None:
    """The list is complete. The image is built only from the list, so a worker would lack a package that is missing
    there.
    """
    lock = LOCK.read_text("utf-8")
    assert faults(lock) == []
    (line,) = [line for line in lock.splitlines() if line.startswith("numba==")]
    assert faults(lock.replace(line, "")) == ["numba>=0.61"]
    assert faults(lock.replace(line, "numba==0.1")) == ["numba>=0.61"]
