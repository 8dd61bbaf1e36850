"""Contains the measured speeds of whole runs. ``benchmarks/whole_runs.py`` measures them and writes ``rates.json``."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RATES_FILE = Path(__file__).with_name("rates.json")


@functools.cache
def rates() -> Mapping[str, Any]:
    """Returns the content of ``rates.json``."""
    found: Mapping[str, Any] = json.loads(RATES_FILE.read_text(encoding="utf-8"))
    return found


def clean_mb_per_s(source: str) -> float | None:
    """Returns the speed at which a source was cleaned, in MB of text per CPU second. Returns None if the source was not
    measured.

    MB of text means the size of the text before the first step. The CPU time includes reading, all steps, the dedups
    and writing.

    >>> clean_mb_per_s("c4") > 0, clean_mb_per_s("my_corpus")
    (True, None)
    """
    found = rates()["sources"].get(source)
    return None if found is None else float(found["text_mb_per_s"])


def mix_mb_per_s() -> float:
    """Returns the speed of tokenizing and mixing one epoch, in MB of clean text per CPU second.

    >>> mix_mb_per_s() > 0
    True
    """
    return float(rates()["mix"]["text_mb_per_s"])
