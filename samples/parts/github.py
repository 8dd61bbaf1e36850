"""Makes the GitHub part of the sample: BigQuery's tables contents, files and licenses.

CPython and installed packages serve as repositories, because every machine has their source files. The project's own
files add more programming languages and all forms of licence headers. A run must drop some of the files.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import material
from .containers import gz, json_lines, pick, write

GLOBS = ("contents-*.json.gz", "files-*.json.gz", "licenses-*.json.gz")

REPOSITORIES = (
    ("apache/beam", "apache_beam", "apache-2.0", 170_000),
    ("numpy/numpy", "numpy", "bsd-3-clause", 170_000),
    ("apache/arrow", "pyarrow", "apache-2.0", 80_000),
    ("pallets/jinja", "jinja2", "bsd-3-clause", 100_000),
    ("psf/requests", "requests", "apache-2.0", 80_000),
    ("urllib3/urllib3", "urllib3", "mit", 80_000),
    ("Textualize/rich", "rich", "mit", 80_000),
    ("yaml/pyyaml", "yaml", "mit", 60_000),
    ("pypa/pip", "pip", "mit", 120_000),
    ("pypa/setuptools", "setuptools", "mit", 100_000),
)
"""For each repository: its name, its package, its licence in BigQuery's spelling, and the number of bytes to take."""
_STDLIB_BYTES = 80_000
_SUFFIXES = {".py", ".pyi", ".pyx", ".h", ".c", ".md", ".rst", ".js", ".css", ".html"}


@dataclass(frozen=True, slots=True)
class Entry:
    """Describes a file of a repository. ``content`` is None if BigQuery has no text for it."""

    repo: str
    path: str
    content: bytes | None
    mode: int = 33188

    @property
    def id(self) -> str:
        """Returns git's hash of the content."""
        content = self.content if self.content is not None else self.path.encode()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def make(place: Path) -> None:
    """Writes the source into the folder ``place``."""
    entries = [*_installed(), *_standard_library(), *_own(), *_planted()]
    licences = {repo: licence for repo, _, licence, _ in REPOSITORIES} | _own_licences()
    by_id = {entry.id: entry for entry in entries}
    contents = [_content_row(entry) for entry in sorted(by_id.values(), key=lambda each: each.id)]
    files = [_file_row(entry) for entry in entries] + [_row_without_contents()]
    half = len(contents) // 2
    broken = b'{"id": "0123456789abcdef0123456789abcdef01234567", "size": 12, "content": "def f(\n'
    write(place / "contents-000000000000.json.gz", gz(json_lines(contents[:half]) + broken))
    write(place / "contents-000000000001.json.gz", gz(json_lines([*contents[half:], _orphan_contents()])))
    write(place / "files-000000000000.json.gz", gz(json_lines(files)))
    rows = [{"repo_name": repo, "license": licence} for repo, licence in sorted(licences.items())]
    write(place / "licenses-000000000000.json.gz", gz(json_lines(rows)))


def _installed() -> Iterator[Entry]:
    for repo, package, _, max_bytes in REPOSITORIES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            root = Path(next(iter(spec.submodule_search_locations)))
            yield from _files_of(repo, root, max_bytes, prefix=f"src/{package}")


def _standard_library() -> Iterator[Entry]:
    """Yields CPython's files. CPython is not in the table of licences, because BigQuery has no name for its licence."""
    yield from _files_of(
        "python/cpython", Path(sysconfig.get_paths()["stdlib"]) / "json", _STDLIB_BYTES, prefix="Lib/json"
    )


def _files_of(repo: str, root: Path, max_bytes: int, *, prefix: str) -> Iterator[Entry]:
    """Yields files of a package, up to ``max_bytes`` in total. A hash of the path decides which files come first."""
    found = [path for path in root.rglob("*") if path.suffix in _SUFFIXES and path.is_file()]
    named = sorted((path.relative_to(root).as_posix(), path) for path in found)
    named.sort(key=lambda each: pick(f"{repo} {each[0]}", 1 << 62))
    total_bytes = 0
    for name, path in named:
        num_bytes = path.stat().st_size
        if not 200 < num_bytes < 60_000:
            continue
        total_bytes += num_bytes
        if total_bytes > max_bytes:
            break
        yield Entry(repo, f"{prefix}/{name}", path.read_bytes())


def _own() -> Iterator[Entry]:
    root = material.MATERIAL / "github"
    for path in material.files("github"):
        parts = path.relative_to(root).parts
        if len(parts) > 2:
            yield Entry("/".join(parts[:2]), "/".join(parts[2:]), path.read_bytes())


def _own_licences() -> dict[str, str]:
    return {head["repo"]: head["licence"] for head, _ in material.blocks("github", "licences.txt")}


def _planted() -> Iterator[Entry]:
    """Yields the files with faults, which a run must drop or count only once. ``material/FAULTS.md`` describes each of
    them.
    """
    own = {f"{entry.repo}/{entry.path}": entry for entry in _own()}
    script = own["larkspur/tidewater/web/chart.js"]
    text = script.content or b""
    lines = [line.split(b"//")[0].strip() for line in text.splitlines()]
    yield Entry(script.repo, "web/dist/chart.min.js", b" ".join(line for line in lines if line) * 3)
    yield Entry("gnu-minded/spanner", "web/chart.js", text)
    parser = own["larkspur/tidewater/src/harmonics.py"]
    body = (parser.content or b"").partition(b'"""')[2]
    other = b"#!/usr/bin/env python3\n# Copyright (c) 2016 The Mirror Authors. All rights reserved.\n# MIT licence.\n\n"
    yield Entry("mirrors/tidewater-mirror", "harmonics.py", other + b'"""' + body)
    yield Entry("mirrors/tidewater-mirror", "src/harmonics.py", parser.content)
    rule = b"/* " + b"=" * 70 + b" */\n"
    yield Entry("larkspur/tidewater", "docs/ornament.css", rule * 40 + b"p { margin: 0 }\n")
    numbers = b", ".join(b"%d" % pick(f"coast {place}", 9999) for place in range(300))
    yield Entry("larkspur/tidewater", "web/coast.js", b"export const coast = [" + numbers + b"];\n")
    wide = [
        f"station_{row}_is_described_by_the_constituent_{pick(str(row), 99)}_of_the_table;" * 2 for row in range(30)
    ]
    yield Entry("larkspur/tidewater", "src/wide.c", "\n".join(wide).encode() + b"\n")
    yield Entry("larkspur/tidewater", "src/dump.py", b"DATA = b'" + bytes(range(1, 9)) + b"\0\0\0\0" * 40 + b"'\n")
    yield Entry("larkspur/tidewater", "assets/logo.png", None)
    yield Entry(
        "larkspur/tidewater",
        "LICENSE",
        b"MIT License\n\nPermission is hereby granted, free of charge, to any person.\n",
    )
    yield Entry("larkspur/tidewater", "docs/latest", b"../README.md", mode=40960)
    yield Entry("larkspur/tidewater", "src/empty.py", b"")
    yield Entry("larkspur/tidewater", "src/latin1.py", "# Größe in Zentimetern\nsize_cm = 12\n".encode("latin-1"))


def _content_row(entry: Entry) -> dict[str, Any]:
    """Returns a row as BigQuery exports it. Numbers are strings, and a binary file has no content."""
    content = None if entry.content is None else entry.content.decode("utf-8", "replace")
    size = 4096 if entry.content is None else len(entry.content)
    row = {"id": entry.id, "size": str(size), "content": content, "binary": entry.content is None, "copies": "1"}
    return {name: value for name, value in row.items() if value is not None}


def _file_row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {"repo_name": entry.repo, "ref": "refs/heads/master", "path": entry.path}
    row |= {"mode": str(entry.mode), "id": entry.id}
    if entry.mode == 40960:
        row["symlink_target"] = (entry.content or b"").decode()
    return row


def _row_without_contents() -> dict[str, Any]:
    return _file_row(Entry("larkspur/tidewater", "src/lost.py", b"never exported\n"))


def _orphan_contents() -> dict[str, Any]:
    return _content_row(Entry("", "", b"print('in no repository that was exported')\n"))
