"""Reads the texts in the folder ``material/``, which were written for the sample."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MATERIAL = Path(__file__).resolve().parent.parent / "material"


def text(*parts: str) -> str:
    """Returns the text of a file."""
    return MATERIAL.joinpath(*parts).read_text("utf-8")


def blocks(*parts: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields the blocks of a file as (header, body). A block begins with a line ``@@ {"name": value, ...}``."""
    for block in text(*parts).split("\n@@ ")[0:]:
        head, _, body = block.removeprefix("@@ ").partition("\n")
        if head.startswith("{"):
            yield json.loads(head), body.strip("\n")


def files(*parts: str) -> list[Path]:
    """Returns all files in a folder and its subfolders, sorted by path."""
    root = MATERIAL.joinpath(*parts)
    return sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
