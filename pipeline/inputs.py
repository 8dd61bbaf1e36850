"""What a source's globs match: files listed once, in one order, and named by a fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import xxhash
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from pipeline.files import is_local
from pipeline.sources.base import InputFile


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one source."""

    files: tuple[InputFile, ...]
    fingerprint: str
    """Changes when a file comes, goes, or is written again."""

    @property
    def num_bytes(self) -> int:
        return sum(f.num_bytes for f in self.files)


def list_inputs(
    source: str, globs: Sequence[str], *, fraction: float = 1.0, always: Callable[[str], bool] | None = None
) -> Listing:
    """Lists what the globs match: each file once, sorted by path.

    A folder stands for all files below it. ``fraction`` keeps that share of the files, chosen by a hash of
    the file's name, at least one; files that ``always`` names are kept besides.

    Raises:
        ValueError: a glob matches nothing; names the source and the glob.
    """
    found: dict[str, tuple[int, float]] = {}
    for glob in globs:
        matched = _match(source, glob)
        if not matched:
            raise ValueError(f"{source}: nothing matches {glob!r}; check the path, and quote globs in the shell")
        found |= matched
    paths = sorted(found)
    if fraction < 1.0:
        kept = [p for p in paths if always is not None and always(p)]
        paths = sorted([*kept, *_share([p for p in paths if p not in set(kept)], fraction)])
    identity = [[p, *found[p]] for p in paths]
    fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return Listing(tuple(InputFile(p, found[p][0]) for p in paths), fingerprint)


def _match(source: str, glob: str) -> dict[str, tuple[int, float]]:
    if is_local(glob):
        glob = os.path.abspath(os.path.expanduser(glob))
        if os.path.isdir(glob):
            glob = os.path.join(glob, "**")
    elif glob.endswith("/"):
        glob += "**"
    try:
        (result,) = FileSystems.match([glob])
    except BeamIOError as error:
        raise ValueError(f"{source}: cannot list {glob!r}: {_cause(error)}") from error
    except ValueError as error:  # no file system for this scheme: its package is not installed
        raise ValueError(
            f"{source}: cannot read {glob!r}: {error}; for gs:// install the extra [gcp], for s3:// [aws]"
        ) from error
    found = {}
    for entry in result.metadata_list:
        path = os.path.realpath(entry.path) if is_local(entry.path) else entry.path
        if is_local(path) and not os.path.isfile(path):
            continue
        found[path] = (entry.size_in_bytes, entry.last_updated_in_seconds)
    return found


def _cause(error: BeamIOError) -> str:
    details = getattr(error, "exception_details", None) or {}
    return "; ".join(str(e) for e in details.values()) or str(error)


def _share(paths: list[str], fraction: float) -> list[str]:
    """The share of the paths whose name's hash is smallest; at least one."""
    by_hash = sorted(paths, key=lambda p: (xxhash.xxh3_64_intdigest(os.path.basename(p).encode(), seed=4), p))
    return by_hash[: max(1, round(len(paths) * fraction))]
