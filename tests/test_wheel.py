"""Tests the wheel: its files, and that it runs without a checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("filters", "mixtures", "pipeline", "tokenizer")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the wheel from a copy of the sources, so that the checkout stays clean. Nothing is downloaded."""
    source = tmp_path_factory.mktemp("source") / "project"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in (*PACKAGES, "samples", "tests"):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignore)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source / path.name)
    target = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--quiet",
        "-w",
        str(target),
        ".",
    ]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {n for n in archive.namelist() if not n.endswith("/")}


def test_its_top_level_is_the_four_packages(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == set(PACKAGES)
    assert not [n for n in names if "__pycache__" in n or n.endswith((".pyc", ".pyi")) or "/tests/" in n]


def test_every_module_and_every_file_of_data_is_in_it(names: set[str]) -> None:
    wanted = {str(p.relative_to(ROOT)) for package in PACKAGES for p in (ROOT / package).rglob("*") if p.is_file()}
    wanted = {n for n in wanted if "__pycache__" not in n and not n.endswith(".pyc")}
    assert len(wanted) > 100
    assert wanted <= names
    sample = {str(p.relative_to(ROOT / "samples")) for p in (ROOT / "samples").rglob("*") if p.is_file()}
    assert {f"pipeline/sample/{n}" for n in sample if "__pycache__" not in n} <= names


@pytest.mark.parametrize(
    "name",
    [
        *(f"{package}/py.typed" for package in PACKAGES),
        "mixtures/recipes/llama.yaml",
        "mixtures/recipes/sample.yaml",
        "pipeline/data/lid.176.ftz",
        "pipeline/report/templates/card.md",
        "pipeline/sample/make.py",
        "pipeline/sample/models/en.arpa.bin",
        "pipeline/sample/models/en.sp.model",
        "pipeline/sample/models/cutoff.csv",
        "pipeline/sample/models/reference.ftz",
    ],
)
def test_what_a_run_reads_is_in_it(name: str, names: set[str]) -> None:
    assert name in names


def test_its_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        said = archive.read(name).decode()
    assert "Requires-Python: >=3.11" in said
    assert "License" in said
    for extra in ("gcp", "train", "dev"):
        assert f"Provides-Extra: {extra}" in said
    assert "Requires-Dist: apache-beam==2.77.0" in said
    assert "apache-beam[gcp]" in said


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Makes a virtual environment with the wheel and links to third-party packages. Returns how to run its Python.

    The site-packages of this environment contain a link to the checkout, which a path file would follow. So the
    third-party packages are linked one by one.
    """
    home = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home / "venv")], check=True, timeout=120)
    site = next((home / "venv" / "lib").glob("python3*/site-packages"))
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        is_ours = path.name.lower().startswith(("llama_mixture", "__editable__")) or path.name in PACKAGES
        if not is_ours and path.suffix != ".pth":
            (site / path.name).symlink_to(path)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "VIRTUAL_ENV"}
    return home, environment


def run(installed: tuple[Path, dict[str, str]], *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    home, environment = installed
    command = [str(home / "venv" / "bin" / "python"), *args]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=400)


def test_nothing_of_the_checkout_is_imported_from_it(installed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    code = """
import json, sys, pipeline.phases, mixtures.verify.checks, filters, tokenizer, pipeline.settings.bundled_sample
files = [getattr(m, "__file__", None) or "" for m in sys.modules.values()]
print(json.dumps([*files, str(pipeline.settings.bundled_sample.sample_folder())]))
"""
    done = run(installed, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    files = [Path(f) for f in json.loads(done.stdout.splitlines()[-1]) if f]
    site = Path(sysconfig.get_paths()["purelib"])
    ours = [f for f in files if f.is_relative_to(ROOT) and not f.is_relative_to(site)]
    assert not [f for f in ours if not f.is_relative_to(Path(sys.prefix))]
    assert len([f for f in files if f.is_relative_to(installed[0])]) > 50


def test_the_sample_runs_from_an_empty_folder(installed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    done = run(installed, "-m", "pipeline.run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in folder.iterdir()] == ["out"], "all that is written is in ./out"
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert len(manifest["sources"]) == 7
    assert all(line["tokens"] > 0 for line in manifest["sources"].values())
    assert (
        str(folder / "out" / "report" / "index.html") in done.stdout.replace("\n", "")
        or "out/report/index.html" in done.stdout
    )
    verified = run(installed, "-m", "mixtures.verify", "out", cwd=folder)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert (folder / "out" / "report" / "index.html").is_file()
