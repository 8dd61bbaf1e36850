"""What the rehearsals share: a snapshot of the code, its sample as input, a local run to compare with, and Google."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

BUCKET = "rehearsal"
LOADED = "common_crawl", "books"
"""The sources of the shorter rehearsals: models, line dedup, near dedup."""


@dataclass(frozen=True)
class Checkout:
    """A copy of the code, so that nobody edits it while its checksum travels; and runs of it."""

    root: Path
    work: Path
    inputs: dict[str, list[str]]
    env: dict[str, str] = field(default_factory=dict)

    def run(
        self, *args: str, env: dict[str, str] | None = None, timeout: int = 300
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline.run", *args]
        whole = {**os.environ, "PYTHONPATH": str(self.root), **(env or {})}
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self.root, env=whole, timeout=timeout, check=False
        )

    def input_flags(self, prefix: str = "", sources: tuple[str, ...] | None = None) -> list[str]:
        """The inputs below a store's prefix, or where they lie."""
        flags = []
        for source, paths in self.inputs.items():
            if sources is None or source in sources:
                for path in paths:
                    where = f"{prefix}/{Path(path).relative_to(self.work / 'input')}" if prefix else path
                    flags += ["--input", f"{source}={where}"]
        return flags

    def config(self, name: str, weights: dict[str, float] | None = None) -> str:
        """The sample's recipe, or some of its sources."""
        path = self.work / f"{name}.yaml"
        text = "recipe: sample\n"
        if weights:
            text += "mixture:\n  weights: " + json.dumps(weights) + "\n"
        path.write_text(text)
        return str(path)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    work = tmp_path_factory.mktemp("cloud")
    root = work / "checkout"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "*.so")
    for name in ("pipeline", "filters", "mixtures", "tokenizer", "samples"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in"):
        shutil.copy(ROOT / name, root / name)
    made = subprocess.run(
        [sys.executable, "-c", "import json,sys; from pipeline.sample import sample_inputs; "
         "print(json.dumps(sample_inputs(sys.argv[1])))", str(work / "made")],
        capture_output=True, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True,
    )  # fmt: skip
    found = json.loads(made.stdout.splitlines()[-1])
    folder = next(p for p in Path(found["books"][0]).parents if p.parent.name == "sample")
    shutil.move(folder, work / "input")
    inputs = {s: [str(work / "input" / Path(g).relative_to(folder)) for g in globs] for s, globs in found.items()}
    return Checkout(root, work, inputs)


@pytest.fixture(scope="session")
def models(checkout: Checkout) -> Path:
    return checkout.root / "samples" / "models"


def shard_sums(manifest: dict[str, Any]) -> list[str]:
    """The checksums of all shards, training and validation."""
    held = [shard for one in manifest["validation"].values() for shard in one["shards"]]
    found = [shard["sha256"] for shard in [*manifest["shards"], *held]]
    assert len(found) > 1
    return found


@pytest.fixture(scope="session")
def local_run(checkout: Checkout, models: Path) -> Path:
    """All seven sources, one process, on this machine's disk."""
    out = checkout.work / "local"
    done = checkout.run(
        "--config", checkout.config("all"), "--models", str(models), "--output", str(out), "--direct_num_workers=1",
        *checkout.input_flags(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def small_run(checkout: Checkout, models: Path, local_run: Path) -> Path:
    """Two sources, with the other run's tokenizer."""
    out = checkout.work / "local-small"
    done = checkout.run(
        "--config", small_config(checkout), "--models", str(models), "--output", str(out), "--direct_num_workers=1",
        "--tokenizer", str(local_run / "tokenizer.model"), *checkout.input_flags(sources=LOADED),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def small_config(checkout: Checkout) -> str:
    return checkout.config("small", dict.fromkeys(LOADED, 50))


@pytest.fixture(scope="session")
def worker_python(checkout: Checkout) -> str:
    """An environment without our package. Its dependencies are this one's, unless CLOUD_FULL_INSTALL is set."""
    folder = checkout.work / "worker"
    venv.create(folder, with_pip=True)
    if not os.environ.get("CLOUD_FULL_INSTALL"):
        links = folder / "dependencies"
        links.mkdir()
        for site in (p for p in sys.path if p.endswith("site-packages")):
            for path in Path(site).iterdir():
                is_ours = "llama_mixture" in path.name or path.name in ("pipeline", "filters", "mixtures", "tokenizer")
                if not is_ours and not path.name.endswith(".pth") and not (links / path.name).exists():
                    (links / path.name).symlink_to(path)
        site_packages = next((folder / "lib").glob("python3*")) / "site-packages"
        (site_packages / "dependencies.pth").write_text(f"{links}\n")
    python = str(folder / "bin" / "python")
    bare = subprocess.run([python, "-c", "import pipeline"], capture_output=True, text=True, cwd=folder, check=False)
    assert "No module named 'pipeline'" in bare.stderr
    return python


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Google on loopback, with a bucket, and credentials that only it accepts."""
    pytest.importorskip("google.cloud.storage", reason="apache-beam[gcp] is not installed")
    from fake_google import Google, serve

    found = Google()
    server = serve(found)
    assert not found.objects[BUCKET]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", found.url)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key(tmp_path, found.url)))
    yield found
    server.shutdown()


def write_key(folder: Path, url: str) -> Path:
    """A service account's key, made up; its tokens come from loopback."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    said = {
        "type": "service_account", "project_id": "my-project", "private_key_id": "1", "private_key": pem,
        "client_email": "x@my-project.iam.gserviceaccount.com", "client_id": "1", "token_uri": f"{url}/token",
    }  # fmt: skip
    path = folder / "key.json"
    path.write_text(json.dumps(said))
    return path
