"""Makes ``toy`` and ``small`` importable, for these tests and for the worker processes that they start."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join(p for p in (HERE, os.environ.get("PYTHONPATH", "")) if p)


from small import Small, make  # noqa: E402 - found only now


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Returns a corpus of two sources on which a run takes seconds."""
    return make(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def small_done(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the output of a whole run. Tests must not change it; they change ``out``, a copy."""
    out = tmp_path_factory.mktemp("done") / "out"
    assert small.run(out) == 0
    return out


@pytest.fixture(autouse=True)
def shared_files_stay(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that changes the shared input or configuration, because the tests after it would see the change."""
    if "small" not in request.fixturenames:
        yield
        return
    shared: Small = request.getfixturevalue("small")
    before = _files_of(shared)
    yield
    assert _files_of(shared) == before, "write a file of your own in tmp_path"


def _files_of(small: Small) -> dict[str, tuple[int, int]]:
    found = [path for path in small.root.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.fixture
def out(small_done: Path, tmp_path: Path) -> Path:
    """Returns a copy of the complete output, with the same modification times."""
    shutil.copytree(small_done, tmp_path / "out")
    return tmp_path / "out"
