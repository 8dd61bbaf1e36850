"""Reads lists of a crawl's files as CommonCrawl publishes them: ``wet.paths``, ``warc.paths``, with or without gzip.

Each path in a list begins with ``crawl-data/``. So the address of the folder that contains ``crawl-data/`` must be put
before each path. If the address of the list itself contains ``/crawl-data/``, the part before it is used. Otherwise the
user gives the address as a prefix.
"""

from __future__ import annotations

import gzip
import io
import zlib

from pipeline.sources.source import Opener

_MAX_PATHS_BYTES = 64 << 20
"""The largest list in bytes (our choice). CommonCrawl's own lists have 10 to 15 MB for 100,000 files."""
_ENDINGS = (".paths", ".paths.gz")


def paths_list_of(given: str) -> tuple[str, str] | None:
    """Splits ``LIST`` or ``LIST@PREFIX`` into (list, prefix). Returns None if ``given`` is not a list of paths.

    If the user gives no prefix, it is the part of the list's address before ``/crawl-data/``. If there is no such part,
    the prefix is empty.

    >>> paths_list_of("wet.paths.gz@s3://commoncrawl")
    ('wet.paths.gz', 's3://commoncrawl')
    >>> paths_list_of("https://data.commoncrawl.org/crawl-data/CC-MAIN-2019-30/wet.paths.gz")[1]
    'https://data.commoncrawl.org'
    >>> paths_list_of("a/*.warc.wet.gz"), paths_list_of("wet.paths.gz")
    (None, ('wet.paths.gz', ''))
    """
    path, at, prefix = given.partition("@") if ".paths@" in given or ".paths.gz@" in given else (given, "", "")
    if not path.lower().endswith(_ENDINGS):
        return None
    if not at and "/crawl-data/" in path:
        prefix = path[: path.rindex("/crawl-data/")]
    return path, prefix


def expand_paths_list(path: str, open_file: Opener, *, prefix: str) -> list[str]:
    """Reads a list of files. Returns the paths in the order of the list, with ``prefix`` before each path.

    ``prefix`` is the folder that contains ``crawl-data/``. It can be a local folder, ``s3://commoncrawl`` or
    ``https://...``.

    Raises:
        ValueError: there is no prefix. Or the list cannot be read, or it is empty. Or a path in the list contains
            ``..``, or is not named like a WET or WARC file.
    """
    if not prefix:
        raise ValueError(
            f"{path}: a list of paths needs the place of its files: write {path}@PREFIX, with PREFIX the folder that "
            "holds crawl-data/, or https://data.commoncrawl.org, or s3://commoncrawl"
        )
    names = _names(path, open_file)
    root = prefix.rstrip("/") + "/"
    return [root + name.lstrip("/") for name in names]


def _names(path: str, open_file: Opener) -> list[str]:
    try:
        with open_file(path) as file:
            data = file.read(_MAX_PATHS_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error
    if data.startswith(b"\x1f\x8b"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
                data = unpacked.read(_MAX_PATHS_BYTES + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: a broken or cut gzip file ({error}); get it again") from error
    if len(data) > _MAX_PATHS_BYTES:
        raise ValueError(f"{path}: over {_MAX_PATHS_BYTES} bytes: this is no list of paths")
    names = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    if not names:
        raise ValueError(f"{path}: an empty list of paths")
    for name in names:
        if not name.lower().endswith((".wet.gz", ".wet", ".warc.gz", ".warc")):
            raise ValueError(f"{path}: {name[:200]!r} is no WET or WARC file: this is no list of paths")
        if ".." in name.split("/"):
            raise ValueError(f"{path}: {name!r} leaves the folder that the list is about")
    return names
