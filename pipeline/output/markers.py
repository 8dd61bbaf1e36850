"""Writes and reads markers. A marker is a small file. It records that a step of the run is complete, and what the
step's files were made from. A part is one of these files; its name has a number.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apache_beam.io.filesystems import FileSystems

from pipeline.files.files import delete_tree, exists, join, read_bytes, write_bytes

_CHECKSUM = "checksum"


def write_marker(path: str, marker: Mapping[str, Any]) -> None:
    """Writes the marker of a complete step. The marker includes a checksum of its own content."""
    write_bytes(path, json.dumps({**marker, _CHECKSUM: _checksum(marker)}, indent=1).encode())


def read_marker(path: str) -> dict[str, Any] | None:
    """Returns the marker of a complete step; None if there is no marker, or if it was edited or damaged.

    A marker without a checksum was written by an earlier version and is accepted.
    """
    if not exists(path):
        return None
    try:
        marker = json.loads(read_bytes(path))
    except ValueError:
        return None
    if not isinstance(marker, dict):
        return None
    checksum = marker.pop(_CHECKSUM, None)
    return marker if checksum is None or checksum == _checksum(marker) else None


def _checksum(marker: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(marker, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PartSpan:
    """Selects some of the parts in ``folder``: those with the numbers ``first`` to ``end`` - 1. They are the parts of
    one dump (one of several inputs of a source).
    """

    folder: str
    first: int
    end: int


def is_done(path: str, fingerprint: str, folders: Mapping[str, str | PartSpan] | None = None) -> bool:
    """True if a step is complete and its marker has this fingerprint.

    An equal fingerprint means that the inputs, the settings and the data version of the step have not changed.

    Args:
        folders: the folders that contain the step's parts, by name. The marker has the state of each folder
            (:func:`state_of`) under the same name.
    """
    marker = read_marker(path)
    return marker is not None and marker.get("fingerprint") == fingerprint and are_whole(marker, folders or {})


def are_whole(marker: Mapping[str, Any], folders: Mapping[str, str | PartSpan]) -> bool:
    """True if the folders have exactly the parts that the step wrote, with the same sizes. No part may be missing,
    shortened or added.
    """
    return all(marker.get("parts", {}).get(name) == state_of(folder) for name, folder in folders.items())


def state_of(folder: str | PartSpan) -> str:
    """Returns a checksum of the names and sizes of a folder's parts. The folder is listed, but no file is read.

    For a :class:`PartSpan` (the parts of one dump), the checksum has the parts' numbers instead of their names. A name
    also has the total number of parts, which changes when a newer dump is added.
    """
    if isinstance(folder, PartSpan):
        parts: list[tuple[Any, int]] = [
            (number, size)
            for path, number, size in numbered_parts(folder.folder)
            if folder.first <= number < folder.end
        ]
    else:
        parts = [(path.rsplit("/", 1)[-1], size) for path, size in _parts(folder)]
    return hashlib.sha256(json.dumps(sorted(set(parts))).encode()).hexdigest()


def numbered_parts(folder: str) -> list[tuple[str, int, int]]:
    """Returns (path, number, bytes) for each part that has a number in its name.

    A name may also contain the total number of parts (``of-NNNNN``). The total is ignored.
    """
    found = ((path, _NUMBER.match(path.rsplit("/", 1)[-1]), size) for path, size in _parts(folder))
    return [(path, int(name[1]), size) for path, name, size in found if name is not None]


def delete_unfinished(folder: str) -> None:
    """Deletes the unfinished parts that remain from a killed run."""
    (found,) = FileSystems.match([join(folder, "part-*")])
    for entry in found.metadata_list:
        if entry.path.endswith(".tmp"):
            delete_tree(entry.path)


def delete_unfinished_below(folder: str) -> None:
    """Deletes the unfinished files of killed workers in a folder and in all its subfolders.

    If a worker is killed, some engines repeat its work on a different worker, and the run succeeds. Without this
    function, the files of the killed worker would stay for ever, because no later run repeats the complete step.
    """
    (found,) = FileSystems.match([join(folder, "**")])
    for entry in found.metadata_list:
        if _UNFINISHED.search(entry.path):
            delete_tree(entry.path)


_UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.tmp$")
"""Matches the end of an unfinished file's name. ``written_whole`` gives this name to a file until the file is complete.
"""
_NUMBER = re.compile(r"part-(\d+)")


def _parts(folder: str) -> list[tuple[str, int]]:
    (found,) = FileSystems.match([join(folder, "part-*")])
    return [(m.path, m.size_in_bytes) for m in found.metadata_list if not m.path.endswith(".tmp")]
