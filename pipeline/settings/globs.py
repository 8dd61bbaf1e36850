"""Finds globs that surely match nothing, without listing any folder."""

from __future__ import annotations

import os
from glob import has_magic

from pipeline.files.files import is_local


def nothing_matches(source: str, glob: str) -> str:
    """Returns the message about a glob of a source that matches no file."""
    return f"{source}: nothing matches {glob!r}; check the path, and quote globs in the shell"


def is_surely_empty(glob: str) -> bool:
    """True if a glob on this machine can match nothing, because a folder in it does not exist.

    False means that the glob may match files; a later step lists them. False is also returned for paths in stores, and
    for paths with ``@``, which can name a list of files.

    >>> is_surely_empty("/nowhere/books/*.txt"), is_surely_empty("/*"), is_surely_empty("gs://bucket/x")
    (True, False, False)
    """
    if not is_local(glob) or "@" in glob:
        return False
    path = os.path.abspath(os.path.expanduser(glob))
    if os.path.lexists(path):
        return False
    while has_magic(path):
        path = os.path.dirname(path)
    return not os.path.lexists(path)
