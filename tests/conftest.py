"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpus_data() -> Path:
    """The folder of real input; tests that need it say so when it is not there."""
    root = os.environ.get("CORPUS_DATA")
    if not root:
        pytest.skip("CORPUS_DATA is not set: no real input here")
    path = Path(root)
    if not path.is_dir():
        pytest.fail(f"CORPUS_DATA is set to {root}, which is not a folder")
    return path.resolve()
