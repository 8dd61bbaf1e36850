"""Describes a run for the manifest: what it was made of, besides the mixture itself."""

from __future__ import annotations

import datetime
import platform
from typing import Any

from mixtures.config import base_of
from pipeline.clean.evidence import read_summary
from pipeline.engine.same_code import version_of
from pipeline.output.markers import read_marker
from pipeline.output.paths import Layout
from pipeline.settings.settings import Settings
from tokenizer.encode import Encoder

_PACKAGES = ("apache-beam", "pyarrow", "numpy", "sentencepiece", "fasttext-community", "kenlm-ex", "xxhash")


def about_run(settings: Settings, layout: Layout, sources: list[str], encoder: Encoder) -> dict[str, Any]:
    """Returns the entries of the manifest that are not about the mixture: versions, the recipe that the configuration
    file builds on, the sample of the tokenizer's training, and the models and inputs of the clean phase.
    """
    base, tokenizer = base_of(settings.recipe), read_marker(layout.marker("tokenizer")) or {}
    software = {"python": platform.python_version(), "pipeline": version_of("llama-mixture")}
    software |= {name.replace("-", "_"): version_of(name) for name in _PACKAGES}
    cleaned = {s: (read_marker(layout.marker(f"clean-{s}")) or {}).get("about", {}) for s in sources}
    models: dict[str, Any] = {}
    for about in cleaned.values():
        models |= about.get("models", {})
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "software": software,
        "base_recipe": base.name if base is not None and base.name != settings.recipe.name else "",
        "trained": tokenizer.get("sample") if tokenizer.get("sha256") == encoder.sha256 else None,
        "models": models,
        "inputs": {s: about.get("inputs", {}) for s, about in cleaned.items()},
        "decontamination": read_summary(layout),
    }
