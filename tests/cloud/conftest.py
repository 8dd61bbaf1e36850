"""Fixtures for tests of runs on many machines: a copy of the code, its input, local runs to compare with, and a fake
Google.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from rehearsal import BUCKET, LOADED, Checkout, make_checkout, small_config, write_key  # noqa: E402


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return make_checkout(tmp_path_factory.mktemp("cloud"))


@pytest.fixture(scope="session")
def models(checkout: Checkout) -> Path:
    return checkout.root / "samples" / "models"


@pytest.fixture(scope="session")
def local_run(checkout: Checkout, models: Path) -> Path:
    """Returns the output of a local run of all seven sources, in one process."""
    out = checkout.work / "local"
    done = checkout.run(
        "--config", checkout.config("all"), "--models", str(models), "--output", str(out), "--direct_num_workers=1",
        *checkout.input_flags(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def small_run(checkout: Checkout, models: Path) -> Path:
    """Returns the output of a local run of two sources, in one process."""
    out = checkout.work / "local-small"
    done = checkout.run(
        "--config", small_config(checkout), "--models", str(models), "--output", str(out), "--direct_num_workers=1",
        *checkout.input_flags(sources=LOADED),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def worker_python(checkout: Checkout) -> str:
    """Returns the Python of a virtual environment without this project's package. The environment uses the dependencies
    that are installed here. If CLOUD_FULL_INSTALL is set, it is empty.
    """
    folder = checkout.work / "worker"
    venv.create(folder, with_pip=True)
    if not os.environ.get("CLOUD_FULL_INSTALL"):
        # Folders named in a .pth are not looked through for other .pth files: an editable install of ours stays out.
        sites = [p for p in sys.path if p.endswith("site-packages")]
        site_packages = next((folder / "lib").glob("python3*")) / "site-packages"
        (site_packages / "dependencies.pth").write_text("\n".join(sites) + "\n")
    python = str(folder / "bin" / "python")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    bare = subprocess.run(
        [python, "-c", "import pipeline"], capture_output=True, text=True, cwd=folder, check=False, env=env
    )
    assert "No module named 'pipeline'" in bare.stderr
    return python


@contextlib.contextmanager
def fake_google(folder: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """Starts a fake Google with an empty bucket. Yields it, and the environment variables of programs that use it. They
    name credentials that only this fake Google accepts.
    """
    pytest.importorskip("google.cloud.storage", reason="apache-beam[gcp] is not installed")
    from fake_google import Google, serve

    found = Google()
    server = serve(found)
    assert not found.objects[BUCKET]
    key = str(write_key(folder, found.url))
    yield found, {"STORAGE_EMULATOR_HOST": found.url, "GOOGLE_APPLICATION_CREDENTIALS": key}
    server.shutdown()


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts a fake Google, which all programs that the test starts will use."""
    with fake_google(tmp_path) as (found, env):
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture(scope="module")
def google_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Starts a fake Google that stays for all tests of a file. Yields it, and the environment variables."""
    with fake_google(tmp_path_factory.mktemp("google")) as found:
        yield found
