"""Prints the versions that this environment runs with: ``python docker/lock.py > docker/requirements.lock``.

The list has every requirement, direct or indirect, of this package and of Beam's Google client, with the installed
version. If a worker image is built from the list, the workers have the same versions as the launcher. Every job checks
this.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def requirements_of_setup() -> list[str]:
    """Returns the requirements in setup.py, without running it."""
    text = (Path(__file__).parents[1] / "setup.py").read_text(encoding="utf-8")
    found = re.search(r"^REQUIRES = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return re.findall(r'"([^"]+)"', found[1])


def locked(wanted: list[str]) -> dict[str, str]:
    """Returns a dict from name to installed version. It has the requirements in ``wanted``, and all that these require.

    Raises:
        SystemExit: a requirement is not installed.
    """
    versions: dict[str, str] = {}
    waiting = [(Requirement(r), "") for r in wanted]
    seen = set()
    while waiting:
        requirement, wanted_by = waiting.pop()
        if (requirement.name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((requirement.name, frozenset(requirement.extras)))
        try:
            found = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            sys.exit(f"{requirement.name}, wanted by {wanted_by or 'setup.py'}, is not installed: pip install '.[gcp]'")
        versions[canonicalize_name(requirement.name)] = found.version
        for line in found.requires or ():
            inner = Requirement(line)
            extras = ("", *requirement.extras)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append((inner, requirement.name))
    return versions


def main() -> None:
    versions = locked([*requirements_of_setup(), "apache-beam[gcp]"])
    print(f"# Python {sys.version_info.major}.{sys.version_info.minor}; written by docker/lock.py")
    for name, version in sorted(versions.items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
