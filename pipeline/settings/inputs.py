"""Lists the files that a source's globs match, sorted and without duplicates. Also computes a fingerprint (a hash) of
such a list.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import escape, iglob

import xxhash
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from pipeline.files.files import is_local
from pipeline.files.http_files import HttpFileError, is_http, size_of_http
from pipeline.settings.globs import nothing_matches
from pipeline.sources.source import InputFile

NUM_SIZES_ASKED = 8
"""The number of files in a published list whose sizes are requested from the server. Requests for all files would take
too long, because a list has about 56,000 files. Every file in the list gets the mean of the requested sizes.
"""


@dataclass(frozen=True, slots=True)
class Listing:
    """Holds the input files of one source."""

    files: tuple[InputFile, ...]
    written: tuple[float, ...]
    """The time of each file's last change, in seconds since 1970; 0 if the time is not known."""
    not_files: tuple[str, ...] = ()
    """Paths that match a glob but are not files: broken links, pipes, sockets and devices. Such paths are reported and
    not read.
    """

    @property
    def fingerprint(self) -> str:
        """A hash that changes if a file is added, removed or written again."""
        identity = [[file.path, file.num_bytes, at] for file, at in zip(self.files, self.written, strict=True)]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def only(self, wanted: Callable[[str], bool]) -> Listing:
        """Returns a listing with some of the files. ``wanted`` takes a path and returns True to keep the file."""
        kept = [(file, at) for file, at in zip(self.files, self.written, strict=True) if wanted(file.path)]
        return Listing(tuple(file for file, _ in kept), tuple(at for _, at in kept))

    @property
    def num_bytes(self) -> int:
        return sum(f.num_bytes for f in self.files)


def list_inputs(
    source: str, globs: Sequence[str], *, fraction: float = 1.0, always: Callable[[str], bool] | None = None,
    expand: Callable[[str], list[str] | None] | None = None, output: str | None = None,
) -> Listing:  # fmt: skip
    """Lists the files that the globs match. Each file is listed once. The files are sorted by path.

    If a glob matches a folder, all files below the folder are listed, including linked files. Files below ``output``
    are left out, unless the glob itself begins with ``output``.

    If a file is found through a link, the path with the link is listed, because a name can say what a file contains:
    the dump, the language or the site. If a file is found by several paths, the path without links is listed. If all
    these paths have links, the shortest is listed.

    Args:
        fraction: the share of the files to keep. At least one file is kept. A hash of a file's name decides whether the
            file is kept.
        always: a function that takes the path of a file. If it returns True, the file is kept in any case, and does not
            count for ``fraction``.
        expand: a function that takes one of ``globs``. If this is the path of a list of files, the function returns the
            files in the list. Otherwise it returns None.

    Raises:
        ValueError: a glob matches nothing. The message names the source and the glob.
    """
    found: dict[str, tuple[int, float]] = {}
    listed: dict[str, str] = {}
    not_files: set[str] = set()
    for glob in globs:
        names = expand(glob) if expand is not None else None
        if names is not None:
            whole = (os.path.abspath(os.path.expanduser(n)) if is_local(n) else n for n in names)
            listed |= {path: glob for path in whole if path not in listed}
            continue
        matched = _without_output(glob, _match(source, glob, not_files), output)
        if not matched and not_files:
            raise ValueError(
                f"{source}: {glob!r} matches no file but {min(not_files)!r}, a link to nothing or a device"
            )
        if not matched:
            raise ValueError(nothing_matches(source, glob))
        found |= matched
    chosen = _once([*found, *listed])
    found = {path: one for path, one in found.items() if path in chosen}
    listed = {path: glob for path, glob in listed.items() if path in chosen and path not in found}
    paths = sorted([*found, *listed])
    if fraction < 1.0:
        kept = [p for p in paths if always is not None and always(p)]
        paths = sorted([*kept, *_share([p for p in paths if p not in set(kept)], fraction)])
    for glob in dict.fromkeys(listed.values()):  # separately, because files of one list share a mean size
        found |= _sizes(source, [p for p in paths if listed.get(p) == glob])
    _check_readable(source, paths)
    files = tuple(InputFile(p, found[p][0]) for p in paths)
    return Listing(files, tuple(found[p][1] for p in paths), tuple(sorted(not_files)))


def _once(paths: Iterable[str]) -> set[str]:
    """Returns one path per file. Links can lead to a file by several paths."""
    chosen: dict[str, str] = {}
    for path in sorted(set(paths), key=lambda path: (len(path), path)):
        real = os.path.realpath(path) if is_local(path) else path
        if real == path or real not in chosen:
            chosen[real] = path
    return set(chosen.values())


def _without_output(
    glob: str, matched: dict[str, tuple[int, float]], output: str | None
) -> dict[str, tuple[int, float]]:
    """Returns the matched files without those below ``output``. If the glob itself begins with ``output``, returns all
    matched files.

    A user may put the output folder inside the input folder. A second run of the same command would then read the
    output as input.
    """
    if output is None or is_local(glob) != is_local(output):
        return matched
    if is_local(output):
        glob, output = (os.path.realpath(os.path.expanduser(p)) for p in (glob, output))
    below = output.rstrip("/") + "/"
    if glob.startswith(below):
        return matched
    return {p: m for p, m in matched.items() if not (os.path.realpath(p) if is_local(p) else p).startswith(below)}


def _sizes(source: str, paths: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Returns the size and the time of the last change of each file, by path.

    Sizes of local files are exact. For remote files, a few sizes are requested, and each file gets the mean of these
    sizes. The time of a remote file is 0.
    """
    local = [p for p in paths if is_local(p)]
    gone = [p for p in local if not os.path.isfile(p)]
    if gone:
        raise ValueError(f"{source}: {len(gone)} files of the list are not there, the first is {gone[0]}")
    found = {p: (os.path.getsize(p), os.path.getmtime(p)) for p in local}
    stored = [p for p in paths if not is_local(p)]
    asked = stored[:: max(1, len(stored) // NUM_SIZES_ASKED)][:NUM_SIZES_ASKED]
    sizes = [size for path in asked for size, _ in _match(source, path).values()]
    if asked and not sizes:
        raise ValueError(f"{source}: of the list's files none of {', '.join(asked)} is there")
    mean = sum(sizes) // len(sizes) if sizes else 0
    return {**found, **dict.fromkeys(stored, (mean, 0.0))}


def _check_readable(source: str, paths: Iterable[str]) -> None:
    """Checks that this user has permission to read the files, before hours of work.

    Raises:
        ValueError: the user may not read a file. The message has the number of unreadable files and the first of them.
    """
    closed = [path for path in paths if is_local(path) and not os.access(path, os.R_OK)]
    if closed:
        raise ValueError(f"{source}: {len(closed)} files may not be read by this user, the first is {closed[0]}")


def _match(source: str, glob: str, not_files: set[str] | None = None) -> dict[str, tuple[int, float]]:
    if is_http(glob):
        return _match_http(source, glob)
    if is_local(glob):
        glob = os.path.abspath(os.path.expanduser(glob))
        if os.path.isdir(glob):
            glob = os.path.join(escape(glob), "**")
        elif os.path.isfile(glob):  # its name can contain characters that are wildcards in a glob
            glob = escape(glob)
    elif glob.endswith("/"):
        glob += "**"
    try:
        (result,) = FileSystems.match([glob])
    except BeamIOError as error:
        raise ValueError(f"{source}: cannot list {glob!r}: {_cause(error)}") from error
    except ValueError as error:  # there is no file system for this scheme, because its package is not installed
        raise ValueError(
            f"{source}: cannot read {glob!r}: {error}; for gs:// install the extra [gcp], for s3:// [aws]"
        ) from error
    found = {}
    for entry in result.metadata_list:
        path = entry.path
        if is_local(path) and not os.path.isfile(path):
            if not_files is not None and not os.path.isdir(path):
                not_files.add(path)
            continue
        found[path] = (entry.size_in_bytes, entry.last_updated_in_seconds)
    if is_local(glob):
        also = list(iglob(glob, recursive=True))  # Beam does not look into linked folders
        below = _files_below(source, (path for path in also if os.path.isdir(path)), not_files)
        files = (*below, *(path for path in also if os.path.isfile(path)))
        found |= {p: (os.path.getsize(p), os.path.getmtime(p)) for p in files if p not in found}
        _check_names(source, found)
    return found


def _files_below(source: str, folders: Iterable[str], not_files: set[str] | None) -> Iterator[str]:
    """Yields the paths of all files below some folders. Follows links, and reads each folder once. If links lead to a
    folder by several paths, its own path is used if possible.

    Raises:
        ValueError: a folder cannot be listed. Without this error its files would silently be missing from the corpus.
    """
    seen: set[str] = set()
    own: list[str] = []
    linked: list[str] = []
    for folder in map(os.path.abspath, folders):
        (own if os.path.realpath(folder) == folder else linked).append(folder)
    while own or linked:
        folder = own.pop() if own else linked.pop(linked.index(min(linked, key=lambda path: (len(path), path))))
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise ValueError(f"{source}: the folder {folder!r} cannot be listed: {error.strerror}") from error
        for entry in entries:
            if os.path.isdir(entry.path):
                (linked if entry.is_symlink() or folder != real else own).append(entry.path)
            elif os.path.isfile(entry.path):
                yield entry.path
            elif not_files is not None:
                not_files.add(entry.path)


def _check_names(source: str, paths: Iterable[str]) -> None:
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{source}: the name of the file {path!r} is not UTF-8; rename it") from None


def _match_http(source: str, url: str) -> dict[str, tuple[int, float]]:
    if any(mark in url for mark in "*["):
        raise ValueError(
            f"{source}: {url!r}: a web server cannot be asked for what matches; name its files or a .paths list"
        )
    try:
        return {url: (size_of_http(url), 0.0)}
    except HttpFileError as error:
        raise ValueError(f"{source}: {error}") from error


def _cause(error: BeamIOError) -> str:
    details = getattr(error, "exception_details", None) or {}
    return "; ".join(str(e) for e in details.values()) or str(error)


def _share(paths: list[str], fraction: float) -> list[str]:
    """Chooses a share of the paths: those whose file names have the smallest hashes. ``fraction`` is the share. At
    least one path is chosen.
    """
    by_hash = sorted(paths, key=lambda p: (xxhash.xxh3_64_intdigest(os.path.basename(p).encode(), seed=4), p))
    return by_hash[: max(1, round(len(paths) * fraction))]
