"""Helpers for tests of runs on many machines: a copy of the code with the sample as its input, runs of this copy, and
made-up credentials.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUCKET = "rehearsal"
LOADED = "common_crawl", "books"
"""The sources of the short tests. They use models, the line dedup and the near dedup."""


@dataclass(frozen=True)
class Checkout:
    """Holds a copy of the code, and runs it. Nobody edits the copy during a test, so its checksum does not change."""

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
        """Returns the ``--input`` flags of a run. The inputs are in the folder ``prefix`` of a store, or on the disk if
        ``prefix`` is empty.
        """
        flags = []
        for source, paths in self.inputs.items():
            if sources is None or source in sources:
                for path in paths:
                    where = f"{prefix}/{Path(path).relative_to(self.work / 'input')}" if prefix else path
                    flags += ["--input", f"{source}={where}"]
        return flags

    def config(self, name: str, weights: dict[str, float] | None = None) -> str:
        """Writes a configuration with the recipe ``sample`` and, if given, other weights. Returns its path."""
        path = self.work / f"{name}.yaml"
        text = "recipe: sample\n"
        if weights:
            text += "mixture:\n  weights: " + json.dumps(weights) + "\n"
        if not path.exists() or path.read_text() != text:  # another process may be reading it
            path.write_text(text)
        return str(path)


def make_checkout(work: Path) -> Checkout:
    """Copies the code into the folder ``work``, and makes the sample's input there."""
    root = work / "checkout"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "*.so")
    for name in ("pipeline", "filters", "mixtures", "tokenizer", "samples"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in"):
        shutil.copy(ROOT / name, root / name)
    made = subprocess.run(
        [sys.executable, "-c", "import json,sys; from pipeline.settings.bundled_sample import sample_inputs; "
         "print(json.dumps(sample_inputs(sys.argv[1])))", str(work / "made")],
        capture_output=True, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True,
    )  # fmt: skip
    found = json.loads(made.stdout.splitlines()[-1])
    folder = next(p for p in Path(found["books"][0]).parents if p.parent.name == "sample")
    shutil.move(folder, work / "input")
    inputs = {s: [str(work / "input" / Path(g).relative_to(folder)) for g in globs] for s, globs in found.items()}
    return Checkout(root, work, inputs)


def shard_sums(manifest: dict[str, Any]) -> list[str]:
    """Returns the checksums of all training and validation shards."""
    held = [shard for one in manifest["validation"].values() for shard in one["shards"]]
    found = [shard["sha256"] for shard in [*manifest["shards"], *held]]
    assert len(found) > 1
    return found


def small_config(checkout: Checkout) -> str:
    return checkout.config("small", dict.fromkeys(LOADED, 50))


def write_key(folder: Path, url: str) -> Path:
    """Writes a made-up key of a service account, which gets its tokens from the server at ``url``. Returns the path."""
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
