"""Finds the models that a run used, if they are still on this machine. The report scores passages with them, and checks
whether they are full-size models.

Without the models, the report marks no passages by score and says nothing about the size of the models.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.files.store_files import StoreError
from pipeline.models.checksums import sha256_of
from pipeline.models.find import find_models
from pipeline.models.load import ModelFiles, ModelPath, load
from pipeline.models.stored_files import local_path
from pipeline.models.trained import JUDGES
from pipeline.report.output_state import RunState
from pipeline.settings.bundled_sample import models_folder

TINY_BYTES = 10_000_000
"""If a model has no record of its training and has fewer bytes than this, the report says that the model is tiny.
Our choice: CCNet's models have gigabytes per language.
"""
_MAX_CHECKED_BYTES = 300_000_000
"""If a model has more bytes than this, its checksum is not computed again. The report compares the model's scores with
the scores of the run anyway."""


def models_of(state: RunState) -> dict[str, ModelPath]:
    """Returns the models with which the run scored documents, by key (such as ``perplexity``). A model is left out if
    it is no longer on this machine, or if its files have changed since the run.
    """
    used = used_models(state)
    settings: Mapping[str, Any] = state.record.get("settings", {})
    folder = settings.get("models") or (None if settings.get("inputs") else str(models_folder()))
    try:
        found = find_models(folder)
    except (ValueError, OSError, StoreError):
        return {}
    kept: dict[str, ModelPath] = {}
    for key in JUDGES:
        if key in found and key in used:
            path = _as_used(found[key], str(used[key].get("name", "")))
            if is_on_disk(path) and _is_same(path, str(used[key].get("sha256", ""))):
                kept[key] = path
    return kept


def used_models(state: RunState) -> dict[str, Any]:
    """Returns the names and checksums of the models that judged documents in a run, by key (such as ``perplexity``)."""
    models: dict[str, Any] = dict((state.manifest or {}).get("models", {}))
    for source in state.sources:
        models |= source.about.get("models", {})
    return models


def _as_used(path: ModelPath, name: str) -> ModelPath:
    """Returns the model without the files that the run did not use. Some models have one file per language, and a run
    uses only the files of the languages that it keeps.
    """
    if isinstance(path, ModelFiles):
        names = set(name.split())
        return ModelFiles(tuple((one, file) for one, file in path.paths if one in names))
    return path


def _is_same(path: ModelPath, sha256: str) -> bool:
    try:
        return num_bytes_of(path) > _MAX_CHECKED_BYTES or sha256_of(path) == sha256
    except (ValueError, OSError, StoreError):
        return False


def is_on_disk(path: ModelPath) -> bool:
    """True if all files of a model are on the disk of this machine. A model in an object store counts as missing,
    because a report does not copy it.
    """
    return all(isinstance(file, str) and os.path.isfile(local_path(file)) for file in _files(path))


def num_bytes_of(path: ModelPath) -> int:
    """Returns the size of a model on this machine."""
    return sum(os.path.getsize(local_path(str(file))) for file in _files(path))


def _files(path: ModelPath) -> Iterator[object]:
    if isinstance(path, ModelFiles):
        yield from (file for _, file in path.paths)
    else:
        yield path


def opened(models: Mapping[str, ModelPath], key: str) -> Any:
    """Returns a model that is ready to score; None if it is not on this machine or cannot be read."""
    if key not in models:
        return None
    try:
        return load(key, models[key])
    except (ValueError, OSError, StoreError):
        return None
