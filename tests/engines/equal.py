"""Compares the outputs of two runs on different engines."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_COMPARED = ("clean", "dropped", "stats", "shards", "validation")


def checksums(out: Path) -> dict[str, str]:
    """Returns a dict from the path of each file to its checksum. Reports are left out, because they contain times."""
    paths = [p for name in _COMPARED for p in (out / name).rglob("*") if p.is_file()]
    paths += out.glob("tokenizer.*")
    found = {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
    assert any(name.startswith("shards/") for name in found), f"no shard in {out}"
    assert any(name.startswith("clean/") for name in found), f"no clean document in {out}"
    return found


def leftovers(out: Path) -> list[str]:
    """Returns the files that a run should have deleted: incomplete files, spilled files, and probes."""
    kinds = re.compile(r"\.tmp$|/spill-|/probe-")
    return sorted(str(p) for p in out.rglob("*") if p.is_file() and kinds.search(str(p)))


def assert_equal(out: Path, expected: Path) -> None:
    """Fails if a file differs, is missing, or should have been deleted. The message names these files."""
    here, there = checksums(out), checksums(expected)
    assert sorted(n for n in {*here, *there} if here.get(n) != there.get(n)) == []
    assert leftovers(out) == []
