"""Writes ``pipeline/schema/config.schema.json``. Run ``python -m tests.make_schema`` (or ``make golden``)."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.schema.build import build

FILE = Path(__file__).parents[1] / "pipeline" / "schema" / "config.schema.json"


def text() -> str:
    """Returns the content of the file."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"wrote {FILE}")
