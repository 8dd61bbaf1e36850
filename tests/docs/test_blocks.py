"""Runs the code blocks of the documents on the sample's output, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
_FENCE = re.compile(r"^(`{3,})(\w*)([^\n]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_RUN = {"console", "python"}

pytestmark = pytest.mark.slow


def runnable(page: Path) -> list[tuple[str, str]]:
    """Returns the ``console`` and ``python`` blocks that run. Blocks with a title belong to other tests."""
    found = _FENCE.findall(page.read_text("utf-8"))
    return [(language, body) for _, language, info, body in found if language in _RUN and "title=" not in info]


WITH_BLOCKS = [page for page in PAGES if runnable(page) and page.name != "quickstart.md"]
"""The pages with blocks. The quickstart has a separate test, because its blocks need its downloads."""


def environment() -> dict[str, str]:
    """Returns an environment in which ``python`` runs the tests' Python and imports the checkout, in any folder."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="session")
def reader_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder in which the sample was run."""
    folder = tmp_path_factory.mktemp("reader")
    done = run([sys.executable, "-m", "pipeline.run"], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_there_are_blocks() -> None:
    assert {page.name for page in WITH_BLOCKS} >= {"README.md", "formats.md", "troubleshooting.md"}


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=[page.name for page in WITH_BLOCKS])
def test_the_blocks_run(page: Path, reader_folder: Path) -> None:
    script = []
    for language, body in runnable(page):
        if language == "python":
            script.append(body)
            continue
        lines = [line[2:] for line in body.split("\n") if line.startswith("$ ")]
        assert lines, f"a console block without a command:\n{body}"
        for line in lines:
            done = run(["bash", "-c", line], reader_folder)
            assert done.returncode == 0, f"{line}\n{done.stderr[-2000:]}"
            assert done.stdout.strip(), f"{line} prints nothing"
    if script:  # all blocks in one process, as in a notebook
        done = run([sys.executable, "-c", "\n".join(script)], reader_folder)
        assert done.returncode == 0, f"{done.stdout[-500:]}\n{done.stderr[-2000:]}"
