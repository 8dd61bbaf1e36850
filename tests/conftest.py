"""The fixtures and settings that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The default draws the same examples every time, so that `make test` repeats. `make test-random` draws new ones.
# No deadlines: a busy machine is no fault.
settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.register_profile("random", derandomize=False, print_blob=True, deadline=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def corpus_data() -> Path:
    """Returns the folder of real input; skips the tests that need it if ``CORPUS_DATA`` is not set."""
    root = os.environ.get("CORPUS_DATA")
    if not root:
        pytest.skip("CORPUS_DATA is not set: no real input here")
    path = Path(root)
    if not path.is_dir():
        pytest.fail(f"CORPUS_DATA is set to {root}, which is not a folder")
    return path.resolve()
