"""Applies the changes of ``docs/extending.md`` to a copy of the project. Then runs the project's tests and the pipeline
in this copy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds
import pytest

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r'^```(\w+) title="([^"\n]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_NOT_COPIED = (".git", ".venv*", ".*_cache", "__pycache__", "*.egg-info", "out", "build", "dist", "checkpoints")

pytestmark = pytest.mark.slow


def page() -> str:
    return (ROOT / "docs" / "extending.md").read_text("utf-8")


def patched(text: str, diff: str) -> str:
    """Returns the text with a short diff applied. The lines that the diff changes must occur exactly once in the
    text.
    """
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(before) == 1, f"the page changes lines that are not in the file exactly once:\n{before}"
    return text.replace(before, after)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes a copy of the project with its own git repository, and adds everything that the page describes."""
    copy = tmp_path_factory.mktemp("extended") / "project"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    git(copy, "init", "-q")
    git(copy, "add", "-A")
    for language, title, body in _BLOCK.findall(page()):
        target = copy / title
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(patched(target.read_text("utf-8"), body) if language == "diff" else body, "utf-8")
    done = python(copy, "-m", "docs.make_tables")  # what `make docs` runs
    assert done.returncode == 0, done.stderr
    return copy


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def python(project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *args], cwd=project, env=env, capture_output=True, text=True, timeout=500)


def passed(project: Path, *args: str) -> int:
    """Runs tests of the copy. Fails if one of them fails, else returns the number of tests."""
    done = python(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *args)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]
    return int(re.search(r"(\d+) passed", done.stdout)[1])  # type: ignore[index]


def printed_page(number: int, body: str) -> str:
    head = "RFC 9999                 Of Tides                 May 1999"
    return f"{head}\n\n{body}\n\nMiller      Informational      [Page {number}]\n"


def test_the_table_of_the_page_lists_exactly_the_files_that_it_changes(project: Path) -> None:
    table = page().split("| file | change |", 1)[1].split("\n\n", 1)[0]
    listed = {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    changed = git(project, "diff", "--name-only").split() + git(project, "ls-files", "-o", "--exclude-standard").split()
    assert listed == set(changed)


def test_the_rules_of_the_house_hold_with_it(project: Path) -> None:
    tests = ("tests/test_structure.py", "tests/test_imports.py", "tests/test_graph.py", "tests/docs/test_docs.py")
    assert passed(project, *tests) > 80


def test_the_laws_hold_for_it(project: Path) -> None:
    assert passed(project, "--doctest-modules", "tests/filters/test_laws.py", "filters/rfc_pages.py", "-k", "rfc") >= 10


def test_whatever_loops_over_the_sources_takes_it(project: Path) -> None:
    folders = ("settings", "output", "clean/test_segments.py", "clean/test_batches.py")
    files = ("test_config_values", "test_card", "test_options", "test_scale")
    places = (*folders, *(f"{name}.py" for name in files))
    assert passed(project, *(f"tests/pipeline/{place}" for place in places), "-k", "source or rfc or sample") > 10


def test_the_run_reads_it_and_mixes_it(project: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "rfc", tmp_path / "out"
    folder.mkdir()
    body = "\n".join(
        f"   The gauge number {n} is read at high water, and what was read is written down." for n in range(30)
    )
    (folder / "rfc9999.txt").write_text("\f\n".join(printed_page(n, body) for n in (1, 2)))
    (folder / "rfc9998.txt").write_text("RFC 9998 was never issued.")
    (folder / "rfc9997.txt").write_bytes(b"Caf\xe9")
    config = (project / "rfc.yaml").read_text().replace("rfc/*.txt", f"{folder}/*.txt")
    (tmp_path / "rfc.yaml").write_text(config)
    flags = [f"--config={tmp_path}/rfc.yaml", f"--output={out}", "--direct_num_workers=1"]
    done = python(project, "-m", "pipeline.run", *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    (row,) = ds.dataset(out / "clean/rfc").to_table().to_pylist()
    assert (row["id"], row["number"], row["language"]) == ("rfc9999", 9999, "en")
    assert "[Page" not in row["text"]
    assert "\f" not in row["text"]
    assert row["text"].count("The gauge number") == 60
    dropped = ds.dataset(out / "dropped/rfc").to_table().to_pylist()
    assert {(Path(r["id"]).name, r["stage"], r["reason"]) for r in dropped} == {
        ("rfc9998", "rfc_pages", "too_few_words"),
        ("rfc9997.txt", "records", "not_utf8"),
    }
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["sources"]["rfc"]["epochs"] == 2
    assert "IETF Trust" in (out / "README.md").read_text()
