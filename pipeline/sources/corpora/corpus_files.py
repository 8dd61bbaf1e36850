"""Reads which files a declared source has. This module imports no reader, so that a run's flags are checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixtures.setting_error import SettingError


def corpus_files(name: str, declaration: Any) -> tuple[str, ...]:
    """Returns the globs of a declaration. If the declaration has none, the tuple is empty, and the command line must
    give the globs.

    Raises:
        SettingError: ``files`` is neither a glob nor a list of globs.

    >>> corpus_files("mine", {"files": "mine/*.jsonl"}), corpus_files("mine", {})
    (('mine/*.jsonl',), ())
    """
    given = declaration.get("files") if isinstance(declaration, Mapping) else None
    globs = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(globs, list) or not all(isinstance(one, str) and one for one in globs):
        message = f"corpora.{name}.files must be a glob or a list of globs, not {given!r}"
        raise SettingError(message, f"corpora.{name}.files")
    return tuple(globs)
