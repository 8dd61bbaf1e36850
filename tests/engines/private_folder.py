"""Gives a process a folder that no other process sees. A mount namespace does this."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

needs_mounts = pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare")


def private(folder: Path, size: str = "100m") -> list[str]:
    """Returns the start of a command whose process sees an empty folder of the given size in place of ``folder``."""
    mount = f'mount -t tmpfs -o size={size} none "{folder}" && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh"]
