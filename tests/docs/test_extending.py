"""``docs/extending.md`` carried out: its files made in a copy of the project, its laws tested, its run run."""

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
_COPIED = ("filters", "mixtures", "pipeline", "samples", "tokenizer", "pyproject.toml")

pytestmark = pytest.mark.slow


def blocks() -> list[tuple[str, str, str]]:
    return _BLOCK.findall((ROOT / "docs" / "extending.md").read_text("utf-8"))


def patched(text: str, diff: str) -> str:
    """The text with a diff of a few lines applied, which must fit at exactly one place."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(before) == 1, f"the page changes lines that are not there:\n{before}"
    return text.replace(before, after)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with everything that the page adds to it."""
    copy = tmp_path_factory.mktemp("extended")
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    for path in ("tests/filters/test_laws.py", "tests/conftest.py"):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy / path)
    shutil.copytree(ROOT / "tests/cases/laws", copy / "tests/cases/laws")
    for language, title, body in blocks():
        target = copy / title
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(patched(target.read_text("utf-8"), body) if language == "diff" else body, "utf-8")
    return copy


def python(project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *args], cwd=project, env=env, capture_output=True, text=True, timeout=300)


def page(number: int, body: str) -> str:
    head = "RFC 9999                 Of Tides                 May 1999"
    return f"{head}\n\n{body}\n\nMiller      Informational      [Page {number}]\n"


def test_the_page_makes_what_its_table_says() -> None:
    assert {title for _, title, _ in blocks()} == {
        "filters/rfc_pages.py",
        "pipeline/sources/rfc.py",
        "pipeline/sources/__init__.py",
        "tests/cases/laws/rfc.json",
        "rfc.yaml",
    }


def test_the_laws_hold_for_it(project: Path) -> None:
    done = python(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--doctest-modules",
                  "tests/filters/test_laws.py", "filters/rfc_pages.py", "-k", "rfc")  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 10  # type: ignore[index]


def test_the_run_reads_it_and_mixes_it(project: Path) -> None:
    folder = project / "rfc"
    folder.mkdir()
    body = "\n".join(
        f"   The gauge number {n} is read at high water, and what was read is written down." for n in range(30)
    )
    (folder / "rfc9999.txt").write_text("\f\n".join(page(n, body) for n in (1, 2)))
    (folder / "rfc9998.txt").write_text("RFC 9998 was never issued.")
    (folder / "rfc9997.txt").write_bytes(b"Caf\xe9")
    done = python(project, "-m", "pipeline.run", "--config", "rfc.yaml", "--output", "out", "--direct_num_workers=1")
    assert done.returncode == 0, done.stderr[-3000:]
    (row,) = ds.dataset(project / "out/clean/rfc").to_table().to_pylist()
    assert (row["id"], row["number"], row["language"]) == ("rfc9999", 9999, "en")
    assert "[Page" not in row["text"]
    assert "\f" not in row["text"]
    assert row["text"].count("The gauge number") == 60
    dropped = ds.dataset(project / "out/dropped/rfc").to_table().to_pylist()
    assert {(Path(r["id"]).name, r["stage"], r["reason"]) for r in dropped} == {
        ("rfc9998", "rfc_pages", "too_few_words"),
        ("rfc9997.txt", "records", "not_utf8"),
    }
    manifest = json.loads((project / "out/manifest.json").read_text())
    assert manifest["sources"]["rfc"]["epochs"] == 2
    assert "IETF Trust" in (project / "out/README.md").read_text()
