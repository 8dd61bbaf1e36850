"""Checks the names of Google's regions and machine types, to report typing errors before anything is submitted."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tokenizer.did_you_mean import did_you_mean, nearest

_NUMBERS = {
    "africa-south": [1], "asia-east": [1, 2], "asia-northeast": [1, 2, 3], "asia-south": [1, 2],
    "asia-southeast": [1, 2, 3], "australia-southeast": [1, 2], "europe-central": [2], "europe-north": [1, 2],
    "europe-southwest": [1], "europe-west": [1, 2, 3, 4, 6, 8, 9, 10, 12], "me-central": [1, 2], "me-west": [1],
    "northamerica-northeast": [1, 2], "northamerica-south": [1], "southamerica-east": [1], "southamerica-west": [1],
    "us-central": [1], "us-east": [1, 4, 5], "us-south": [1], "us-west": [1, 2, 3, 4],
}  # fmt: skip
REGIONS = tuple(f"{area}{number}" for area, numbers in _NUMBERS.items() for number in numbers)
"""The regions of Google Cloud. A region has an area and a number, such as ``europe-west4``. A known area with an
unknown number is accepted too, because Google may add regions. Google's service checks the number.
"""

_GB_PER_VCPU = {
    **dict.fromkeys(("n1-standard", "c4-standard"), 3.75), "n1-highmem": 6.5, "n1-highcpu": 0.9,
    **dict.fromkeys(
        [f"{family}-standard" for family in ("e2", "n2", "n2d", "n4", "c2", "c2d", "c3", "c3d", "t2d", "t2a", "c4a")],
        4.0,
    ),
    **dict.fromkeys([f"{family}-highmem" for family in ("e2", "n2", "n2d", "n4", "c2d", "c3", "c3d", "c4a")], 8.0),
    "c4-highmem": 7.75, **dict.fromkeys([f"{family}-highcpu" for family in ("e2", "n2", "n2d")], 1.0),
    **dict.fromkeys([f"{family}-highcpu" for family in ("n4", "c2d", "c3", "c3d", "c4", "c4a")], 2.0),
    "m1-ultramem": 24.0, "m1-megamem": 14.9, "m2-ultramem": 28.3, "m3-ultramem": 30.5, "m3-megamem": 15.25,
}  # fmt: skip
_SHARED_CORE = {
    "e2-micro": (2, 1.0),
    "e2-small": (2, 2.0),
    "e2-medium": (2, 4.0),
    "f1-micro": (1, 0.6),
    "g1-small": (1, 1.7),
}
_CUSTOM = re.compile(r"(?:(\w+)-)?custom-(\d+)-(\d+)(-ext)?")


@dataclass(frozen=True, slots=True)
class Machine:
    """Holds the number of CPUs and the memory of a machine type."""

    num_cpus: int
    memory_gb: float


def machine_of(name: str) -> Machine | None:
    """Returns the number of CPUs and the memory of a machine type; None if its family is not in this module's table.

    >>> machine_of("n2-highmem-8"), machine_of("n2-custom-4-10240"), machine_of("zz9-plural-4")
    (Machine(num_cpus=8, memory_gb=64.0), Machine(num_cpus=4, memory_gb=10.0), None)
    """
    if name in _SHARED_CORE:
        return Machine(*_SHARED_CORE[name])
    if found := _CUSTOM.fullmatch(name):
        return Machine(int(found[2]), int(found[3]) / 1024)
    family, _, number = name.rpartition("-")
    if number.isdigit() and family in _GB_PER_VCPU:
        return Machine(int(number), int(number) * _GB_PER_VCPU[family])
    return None


def machine_fault(name: str) -> str | None:
    """Returns a message about a wrong name of a machine type; None if the name is right.

    >>> machine_fault("n2-hihgmem-8")
    "'n2-hihgmem-8' is not a machine type that is known; did you mean n2-highmem-8?"
    """
    if machine_of(name):
        return None
    family, _, number = name.rpartition("-")
    if close := nearest(family, _GB_PER_VCPU, cutoff=0.8):
        return f"{name!r} is not a machine type that is known; did you mean {close}-{number}?"
    if re.fullmatch(r"[a-z]\d+[a-z]?-[a-z]+-\d+[a-z]*", name):
        return None  # the family may be newer than this table, and Google's service checks it
    return f"{name!r} is not a machine type; write one such as n2-highmem-8"


def region_fault(region: str) -> str | None:
    """Returns a message about a wrong name of a region; None if the name is right.

    >>> region_fault("us-cental1")
    "'us-cental1' is not a region; did you mean us-central1?"
    >>> region_fault("us-central1-a")
    "'us-central1-a' is a zone; write its region, us-central1 (and --worker_zone for the zone)"
    """
    if region in REGIONS:
        return None
    if re.fullmatch(r"[a-z]+-[a-z]+\d+-[a-z]", region) and region[:-2] in REGIONS:
        return f"{region!r} is a zone; write its region, {region[:-2]} (and --worker_zone for the zone)"
    if region.rstrip("0123456789") in _NUMBERS and region[-1].isdigit():
        return None  # the number may be newer than this table; Google's service checks it before it starts a machine
    return f"{region!r} is not a region" + (did_you_mean(region, REGIONS) or "; write one such as us-central1")
