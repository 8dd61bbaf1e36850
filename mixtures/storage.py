"""Reads output folders. Shards on a disk are memory-mapped. Shards in an object store are fetched one by one.

``gs://``, ``s3://`` and all other URLs that fsspec can read are supported. fsspec is imported only for URLs.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from mixtures.shards import ShardInfo

_READ_BYTES = 8 * 2**20


class Storage(Protocol):
    """Reads the files of an output folder."""

    is_remote: bool

    def read(self, name: str) -> bytes:
        """Returns the contents of a small file. Raises FileNotFoundError if it does not exist."""

    def num_bytes(self, names: Sequence[str]) -> list[int | None]:
        """Returns the size of each file in bytes, or None for a file that does not exist."""

    def map(self, info: ShardInfo) -> pa.MemoryMappedFile:
        """Returns the memory-mapped file of a shard."""

    def place(self, name: str) -> str:
        """Returns the full path or URL of a file, for messages."""


def storage_of(folder: str | Path, *, cache_dir: str | Path | None = None) -> Storage:
    """Returns the object that reads the files of a folder or URL.

    Shards of a remote folder are stored in ``cache_dir`` while they are read (default: the system's temporary folder).

    >>> storage_of("out").is_remote
    False
    """
    if "://" in str(folder):
        return RemoteStorage(str(folder), cache_dir)
    return LocalStorage(Path(folder))


class LocalStorage:
    """Reads a folder on this machine."""

    is_remote = False

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def num_bytes(self, names: Sequence[str]) -> list[int | None]:
        return [_size(self.root / name) for name in names]

    def map(self, info: ShardInfo) -> pa.MemoryMappedFile:
        return pa.memory_map(str(self.root / info.path))

    def place(self, name: str) -> str:
        return str(self.root / name)


class RemoteStorage:
    """Reads a folder in an object store.

    A shard is fetched as a whole, and its checksum is compared with the manifest. The fetched file is mapped into
    memory and then immediately deleted, so that it takes disk space only while it is mapped. If a trainer is killed,
    only the files that are not mapped yet remain on the disk.
    """

    is_remote = True

    def __init__(self, url: str, cache_dir: str | Path | None = None) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise ValueError(f"{url} is read through fsspec: pip install fsspec and gcsfs or s3fs") from error
        self._url = url.rstrip("/")
        self._cache_dir = str(cache_dir) if cache_dir is not None else None
        self._mine: _OfProcess | None = None
        self._inherited: _OfProcess | None = None
        try:
            self._root = fsspec.core.url_to_fs(url)[1].rstrip("/")
        except (ImportError, ValueError) as error:
            raise ValueError(f"{url} cannot be read: {error}") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mine": None, "_inherited": None}

    @property
    def _here(self) -> _OfProcess:
        """The client and the fetched shards of this process. A forked worker makes new ones, and does not use those
        of its parent.
        """
        if self._mine is None or self._mine.pid != os.getpid():
            self._inherited = (
                self._mine
            )  # kept, because deleting the parent's client would close the parent's connections
            self._mine = _OfProcess(self._url)
            weakref.finalize(self, self._mine.forget, "")
        return self._mine

    @property
    def _fs(self) -> Any:
        return self._here.fs

    def read(self, name: str) -> bytes:
        return bytes(self._fs.cat_file(f"{self._root}/{name}"))

    def num_bytes(self, names: Sequence[str]) -> list[int | None]:
        """Returns the size of each file. Makes one request per folder (a listing) instead of one request per file."""
        sizes: dict[str, int] = {}
        for folder in sorted({name.rpartition("/")[0] for name in names}):
            found = self._fs.find(f"{self._root}/{folder}", detail=True)
            sizes |= {path.rpartition("/")[2]: one["size"] for path, one in found.items()}
        return [sizes.get(name.rpartition("/")[2]) for name in names]

    def map(self, info: ShardInfo) -> pa.MemoryMappedFile:
        future = self._here.ahead.pop(info.path, None)
        path = future.result() if future is not None else self._fetch(info)
        try:
            return pa.memory_map(path)
        finally:
            os.unlink(path)

    def fetch_ahead(self, info: ShardInfo) -> None:
        """Begins to fetch the shard that will be needed next, in a thread. If another fetched shard is still unused,
        does nothing.
        """
        if not self._here.ahead:
            self._here.ahead[info.path] = self._here.pool.submit(self._fetch, info)

    def forget_ahead(self, wanted: str) -> None:
        """Discards the shard that was fetched ahead, unless its path is ``wanted``."""
        self._here.forget(wanted)

    def place(self, name: str) -> str:
        return f"{self._url}/{name}"

    def _fetch(self, info: ShardInfo) -> str:
        digest, num_bytes = hashlib.sha256(), 0
        with _temporary(self._cache_dir) as (path, sink):
            with self._fs.open(f"{self._root}/{info.path}", "rb") as source:
                while block := source.read(_READ_BYTES):
                    digest.update(block)
                    sink.write(block)
                    num_bytes += len(block)
            if num_bytes != info.bytes or digest.hexdigest() != info.sha256:
                raise ValueError(
                    f"{self.place(info.path)} came with {num_bytes:,} bytes and checksum {digest.hexdigest()[:12]}... "
                    f"({info.line()})"
                )
        return path


class _OfProcess:
    """Holds what each process needs for itself: a client of the object store, a thread that fetches shards, and the
    shards that were fetched before they are needed.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.pid = os.getpid()
        self.fs: Any = fsspec.core.url_to_fs(url)[0]
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="shards")
        self.ahead: dict[str, Future[str]] = {}
        _OF_PROCESSES.add(self)

    def forget(self, wanted: str) -> None:
        """Discards all shards that were fetched ahead, except ``wanted``, and deletes their files.

        In a forked process, does nothing, because the files belong to the parent process.
        """
        if self.pid == os.getpid():
            for path in [path for path in self.ahead if path != wanted]:
                self.ahead.pop(path).add_done_callback(_unlink_result)


_OF_PROCESSES: weakref.WeakSet[_OfProcess] = weakref.WeakSet()


def _settle() -> None:
    """Waits for pending fetches before this process forks. Without the wait, the child could inherit a lock that a
    fetching thread holds, and no thread of the child would release it.
    """
    for one in [one for one in _OF_PROCESSES if one.pid == os.getpid()]:
        wait(list(one.ahead.values()))


os.register_at_fork(before=_settle)


@contextmanager
def _temporary(folder: str | None) -> Iterator[tuple[str, Any]]:
    """Opens a new temporary file, and yields its path and the open file. If the ``with`` block raises, deletes the
    file.
    """
    handle, path = tempfile.mkstemp(prefix="shard-", suffix=".arrow", dir=folder)
    try:
        with os.fdopen(handle, "wb") as sink:
            yield path, sink
    except BaseException:
        os.unlink(path)
        raise


def _unlink_result(future: Future[str]) -> None:
    if future.exception() is None:
        os.unlink(future.result())


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
