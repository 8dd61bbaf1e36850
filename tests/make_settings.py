"""Writes ``tests/golden/settings.json``: the settings of every reader, join and step, in order, with their defaults.

Run ``python -m tests.make_settings`` or ``make golden``. Fingerprints depend on the order of settings, and leave out
settings that have their default; see ``pipeline/output/fingerprint.py``.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from mixtures.from_yaml import setting_fields
from pipeline.output.fingerprint import canonical
from pipeline.sources import SOURCES
from pipeline.sources.all_steps import UNPLACED
from pipeline.sources.optional_steps import OPTIONAL_STEPS
from tokenizer.train.training import TrainSettings

GOLDEN = Path(__file__).parent / "golden" / "settings.json"


def settings_now() -> dict[str, dict[str, Any]]:
    """Returns a dict. The key names a reader, join or step; the value has its data version and its settings."""
    found = {}
    for name, source in SOURCES.items():
        parts = {"reader": source.reader, "join": source.join, **{step.NAME: step for step in source.steps}}
        found |= {f"{name}.{part}": _settings_of(value) for part, value in parts.items() if value is not None}
    found |= {f"any.{step.NAME}": _settings_of(step) for step in (*UNPLACED, *OPTIONAL_STEPS.values())}
    return found | {"tokenizer": _settings_of(TrainSettings())}


def _settings_of(value: Any) -> dict[str, Any]:
    return {
        "data_version": getattr(value, "DATA_VERSION", None),
        "settings": [[field.name, _default(field)] for field in setting_fields(value)],
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    return "(none)" if field.default is dataclasses.MISSING else canonical(field.default)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(settings_now(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
