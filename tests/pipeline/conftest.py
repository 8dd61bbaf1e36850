"""The toy source and the small corpus, importable by the tests of the graph and by the worker processes they start."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join(p for p in (HERE, os.environ.get("PYTHONPATH", "")) if p)


from small import Small, make  # noqa: E402 - found only now


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A corpus of two sources that runs in seconds."""
    return make(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def small_done(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a whole run over it; tests that go on from it take a copy."""
    out = tmp_path_factory.mktemp("done") / "out"
    assert small.run(out) == 0
    return out


@pytest.fixture
def out(small_done: Path, tmp_path: Path) -> Path:
    """A copy of the finished output, its modification times kept, to go on from."""
    shutil.copytree(small_done, tmp_path / "out")
    return tmp_path / "out"
