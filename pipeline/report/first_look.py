"""Checks a request of the command before the report's modules are imported, because this import takes seconds."""

from __future__ import annotations

import os
from collections.abc import Iterable

from pipeline.files.files import is_local
from tokenizer.did_you_mean import did_you_mean
from tokenizer.os_errors import check_is_folder

_PARTS = ("stats", "clean", "dropped")
_EXAMPLE = "common_crawl.reference.min_score=0.25"


def not_an_output(folder: str) -> str:
    """Returns the message about a folder that is not the output of a run."""
    return f"{folder} is not the output of a run: it holds no manifest.json, stats, clean or dropped"


def check_folder(folder: str) -> None:
    """Raises ValueError if a folder on this machine does not exist, or has none of the files that a run writes. Folders
    in a store are checked later.
    """
    if is_local(folder):
        check_is_folder(folder)
    names = ("manifest.json", *_PARTS, ".work/run.json")
    if is_local(folder) and not any(os.path.exists(os.path.join(folder, name)) for name in names):
        raise ValueError(not_an_output(folder))


def split_setting(setting: str) -> tuple[str, list[str], str]:
    """Splits a text such as ``SOURCE.STEP.FIELD=VALUE``, which ``--set`` gives. Returns the source, the names between
    the source and ``=``, and the text after ``=``.

    Raises:
        ValueError: there is no ``=``, or no name between the source and ``=``.

    >>> split_setting("books.near_dedup.max_overlap=0.8")
    ('books', ['near_dedup', 'max_overlap'], '0.8')
    """
    path, equals, text = setting.partition("=")
    name, *rest = path.strip().split(".")
    if not equals or not rest:
        raise ValueError(f"--set {setting}: write SOURCE.STEP.FIELD=VALUE, such as {_EXAMPLE}")
    return name, rest, text


def check_settings(folder: str, settings: Iterable[str]) -> None:
    """Raises ValueError if a value of ``--set`` has a wrong form, or names a source that the run does not have. If the
    output is in an object store, the names of sources are not checked here but later.
    """
    known: dict[str, None] = {}
    for part in _PARTS if is_local(folder) else ():
        inside = os.path.join(folder, part)
        names = sorted(os.listdir(inside)) if os.path.isdir(inside) else []
        known |= dict.fromkeys(name.removesuffix(".json") for name in names)
    for setting in settings:
        name, _, _ = split_setting(setting)
        if known and name not in known:
            raise ValueError(no_such_source(setting, name, known))


def no_such_source(setting: str, name: str, known: Iterable[str]) -> str:
    """Returns the message about a source in ``--set`` that the run does not have."""
    names = list(known)
    return f"--set {setting}: the run has no source {name}{did_you_mean(name, names)}; it has: {', '.join(names)}"
