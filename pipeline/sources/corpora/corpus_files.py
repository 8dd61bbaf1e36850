"""Reads the file patterns (globs) of a declared source. This module imports no reader, because an import is slow, and
the command line should be checked quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixtures.setting_error import SettingError


def corpus_files(name: str, declaration: Any) -> tuple[str, ...]:
    """Returns the globs in a declaration, which match the files of the source. Returns an empty tuple if the
    declaration has no globs. Then the command line must name the files.

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
