"""Makes the indexes of an output: those that are missing, outdated or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

from mixtures.find.index import FOLDER, ShardIndex, index_path, make_index
from mixtures.find.same_time import has_time_of, set_time
from mixtures.find.search import Finder
from mixtures.folder_lock import only_writer
from mixtures.shards import ShardInfo
from mixtures.storage import LocalStorage
from mixtures.stream import check_shard, check_sum


def make_indexes(folder: str | Path, *, num_workers: int = 1) -> list[Path]:
    """Makes the index of every shard whose index is missing, outdated or damaged. Deletes indexes that belong to no
    shard.

    If a shard was written or copied after its index was made, the shard's checksum is compared with the manifest. If
    the two are equal, the index is kept, and gets the modification time of the shard
    (:mod:`mixtures.find.same_time`).

    Args:
        num_workers: number of processes. Each process needs memory of about six times the size of a shard.

    Returns:
        The index files that were written.

    Raises:
        ValueError: a shard does not match the manifest, or another process is changing the folder.
        OSError: an index cannot be written, for example because the disk is full.
    """
    Finder(folder).encoder()
    with only_writer(Path(folder)):
        return _make_missing(Finder(folder), num_workers)


def _make_missing(finder: Finder, num_workers: int) -> list[Path]:
    wanted = {index_path(finder.folder, info): info for info in finder.infos}
    for path in (finder.folder / FOLDER).rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()
    missing = [info for path, info in wanted.items() if not _is_current(finder, path, info)]
    if num_workers <= 1 or len(missing) <= 1:
        return list(map(_make_one, repeat(finder), missing))
    with ProcessPoolExecutor(min(num_workers, len(missing))) as pool:
        return list(pool.map(_make_one, repeat(finder), missing))


def _is_current(finder: Finder, path: Path, info: ShardInfo) -> bool:
    try:
        if ShardIndex.read(path, is_whole=True).sha256 != info.sha256:
            return False
    except (OSError, ValueError):
        return False
    shard = finder.folder / info.path
    if not has_time_of(path, shard):
        written_ns = shard.stat().st_mtime_ns
        check_sum(LocalStorage(finder.folder), info)
        set_time(path, written_ns)
    return True


def _make_one(finder: Finder, info: ShardInfo) -> Path:
    storage, path, shard = LocalStorage(finder.folder), index_path(finder.folder, info), finder.folder / info.path
    written_ns = shard.stat().st_mtime_ns
    check_shard(storage, info, finder.manifest)
    check_sum(storage, info)
    made = make_index(shard, info, finder.encoder())
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path) as temporary:
        temporary.write_bytes(made.as_bytes())
        set_time(temporary, written_ns)
        temporary.replace(path)
    return path


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yields the name of a temporary file beside a path. Deletes the file if the ``with`` block raises."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
