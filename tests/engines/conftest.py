"""Fixtures for tests on real engines: a copy of the code, its input, local runs to compare with, and the engines."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import pytest
from xdist.scheduler import LoadScopeScheduling

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "cloud"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from daemons import Unavailable  # noqa: E402
from flink import Flink  # noqa: E402
from java_engines import CACHE, FLINK, FLINK_VERSION, SPARK, engine_home, job_server  # noqa: E402
from rehearsal import LOADED, Checkout, make_checkout, small_config  # noqa: E402
from slurm import Slurm  # noqa: E402
from spark import Spark  # noqa: E402
from started import Started, process_workers  # noqa: E402

PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism"
_BUILD_SECONDS = 1800


class ByCluster(LoadScopeScheduling):
    """Gives all tests of one cluster to the same process of pytest-xdist, so that each cluster is started once.

    The mark ``xdist_group`` is not used for this, because pytest 9.2 with pytest-xdist 3.8 ignores it.
    """

    def _split_scope(self, nodeid: str) -> str:
        return cluster_of(nodeid)


def cluster_of(nodeid: str) -> str:
    """Returns the cluster of a test. Flink has two: the wrong requests, which mostly wait, have one of their own."""
    file, _, name = nodeid.partition("::")
    if file.endswith("test_wrong_on_flink.py"):
        return "wrong requests"
    if file.endswith(("test_slurm.py", "test_pools.py", "test_prism.py")):
        return "others"
    return "spark" if "spark" in file or "spark" in name else "flink"


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByCluster:
    return ByCluster(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Checks that the names of the tests say which cluster they use."""
    for item in items:
        if item.path.parent == HERE and isinstance(item, pytest.Function):
            used = next((name for name in ("flink", "spark") if name in item.fixturenames), "others")
            named = cluster_of(item.nodeid).replace("wrong requests", "flink")
            assert used == named, f"{item.nodeid} uses {used}, and its name says {named}"


@pytest.fixture(scope="session")
def checkout(for_all_processes: Path) -> Checkout:
    """Returns a copy of the code and its input. All processes share it, because outputs have the paths of the input."""
    work = for_all_processes / "engines"
    made = work / "inputs.json"
    with locked(for_all_processes / "checkout.lock"):
        if not made.exists():
            made.write_text(json.dumps(make_checkout(work).inputs))
    return Checkout(work / "checkout", work, json.loads(made.read_text()))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lets only one process of pytest-xdist at a time do something."""
    with open(path, "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def models(checkout: Checkout) -> Path:
    return checkout.root / "samples" / "models"


@pytest.fixture(scope="session")
def local_run(checkout: Checkout, models: Path, for_all_processes: Path) -> Path:
    """Returns the output of a local run of all seven sources, in one process."""
    return _local(checkout, models, checkout.config("all"), for_all_processes / "local", checkout.input_flags())


@pytest.fixture(scope="session")
def small_run(checkout: Checkout, models: Path, for_all_processes: Path) -> Path:
    """Returns the output of a local run of two sources, in one process."""
    inputs = checkout.input_flags(sources=LOADED)
    return _local(checkout, models, small_config(checkout), for_all_processes / "small", inputs)


@pytest.fixture(scope="session")
def for_all_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder that all processes of pytest-xdist share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _local(checkout: Checkout, models: Path, config: str, out: Path, inputs: list[str]) -> Path:
    """Runs the pipeline locally, unless another process of pytest-xdist has done so. Returns the output."""
    with locked(out.with_suffix(".lock")):
        if not (out / "manifest.json").exists():
            done = checkout.run("--config", config, "--models", str(models), "--output", str(out),
                                "--direct_num_workers=1", *inputs, timeout=900)  # fmt: skip
            assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def prism() -> Path:
    """Builds Beam's Prism from its Go module, in the version of the installed Beam. Returns the program."""
    version = metadata.version("apache-beam")
    program = CACHE / f"prism-{version}" / "prism"
    if program.exists():
        return program
    if shutil.which("go") is None:
        pytest.skip("Prism: go is not here to build it")
    made = subprocess.run(
        ["go", "install", f"{PRISM}@v{version}"], env={**os.environ, "GOBIN": str(program.parent)},
        capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"Prism: the Go module proxy does not serve {PRISM}@v{version}: {made.stderr.strip()[-200:]}")
    return program


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    """Starts a real Slurm with two nodes."""
    yield from _started("Slurm", lambda: Slurm(tmp_path / "slurm"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    """Starts a real Spark with two workers and Beam's job server."""
    folder = tmp_path_factory.mktemp("spark")
    yield from _started("Spark", lambda: Spark(folder, engine_home(CACHE, SPARK), job_server(CACHE, SPARK)))


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flink]:
    """Starts a real Flink with two TaskManagers and Beam's job server."""
    folder, package = tmp_path_factory.mktemp("flink"), FLINK[FLINK_VERSION]
    yield from _started("Flink", lambda: Flink(folder, engine_home(CACHE, package), job_server(CACHE, package)))


_T = TypeVar("_T", Slurm, Spark, Flink)


def _started(name: str, make: Callable[[], _T]) -> Iterator[_T]:
    """Starts an engine, and ends it after the tests. If the engine cannot run on this machine, skips the tests."""
    try:
        cluster = make()
        cluster.__enter__()
    except Unavailable as error:
        pytest.skip(f"{name}: {error}")
    try:
        yield cluster
    finally:
        cluster.__exit__()


@pytest.fixture
def workers(tmp_path: Path, checkout: Checkout) -> list[str]:
    """Returns the flags of a run whose workers the engine starts with the boot program."""
    return process_workers(tmp_path, sys.executable, checkout.root)


@pytest.fixture
def runs() -> Iterator[list[Started]]:
    """Yields a list to which a test appends the runs that it starts. After the test, ends all runs that still
    continue.
    """
    started: list[Started] = []
    yield started
    for run in started:
        run.kill()


def manifest_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found
