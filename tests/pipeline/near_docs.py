"""Helpers for tests of near dedups: documents, a simple second implementation of n-grams, and the pairs that a run
wrote.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Doc = Mapping[str, Any]


def doc(name: str, text: str, host: str = "a.example", language: str | None = "en", date: str = "") -> Doc:
    url = f"https://{host}/{name}"
    return {"id": name, "text": text, "source": "books", "language": language, "url": url, "date": date, "_hidden": ""}


def edited(text: str, seed: str, num_edits: int) -> str:
    words = text.split(" ")
    for place in random.Random(seed).sample(range(len(words)), num_edits):
        words[place] = "edit" + "abcdefghijklmnopqrst"[place % 20]
    return " ".join(words)


def grams(text: str) -> frozenset[tuple[str, ...]]:
    """Returns the word 5-grams of an ASCII text, computed in the simplest way."""
    words = "".join(c if c.isalpha() else " " for c in text.lower()).split()
    words = [w.replace("ae", "a").replace("oe", "o").replace("ue", "u") for w in words]
    return frozenset(tuple(words[at : at + 5]) for at in range(len(words) - 4))


def pairs_in(folder: Path, kind: str) -> list[dict[str, Any]]:
    rows = [row for path in sorted((folder / "dedup").glob(f"{kind}-*")) for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda r: (r["removed_id"], r["kept_id"]))
