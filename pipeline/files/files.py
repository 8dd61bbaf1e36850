"""Opens, writes, renames and deletes files on this machine, or in a cloud's store through Beam's FileSystems.

Beam is imported when the first path in a store is used. The import takes seconds, and a command that refuses a wrong
request on this machine does not need it.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from pipeline.files.http_files import is_http, open_http
from pipeline.files.s3_clients import share_clients
from pipeline.files.store_files import open_store

_COPY_BYTES = 1 << 20


def is_local(path: str) -> bool:
    """True if a path is on this machine's own disk.

    >>> is_local("/data/x"), is_local("gs://bucket/x")
    (True, False)
    """
    return "://" not in path


def _file_systems() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def _raw() -> str:
    """Returns Beam's compression type for files that Beam must not compress or decompress."""
    from apache_beam.io.filesystem import CompressionTypes

    return cast(str, CompressionTypes.UNCOMPRESSED)


def prepare(path: str) -> None:
    """Prepares Beam's FileSystems for a path. Call this function before you use FileSystems on the path.

    If the path is in S3, all threads then share one S3 client. For other paths, nothing is done.
    """
    if path.startswith("s3://"):
        share_clients()


def open_file(path: str) -> BinaryIO:
    """Opens a file for reading. The file is seekable. Its bytes are read as they are stored, without decompression.

    Raises:
        StoreError: the store of the file does not answer, now or while the file is read.
    """
    if is_local(path):
        return open(path, "rb")
    if is_http(path):
        return open_http(path)
    prepare(path)
    return open_store(path, lambda: _file_systems().open(path, compression_type=_raw()))


def create_file(path: str) -> BinaryIO:
    """Opens a file for writing bytes without compression. Creates the folder if needed."""
    if is_local(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        return open(path, "wb")
    prepare(path)
    return cast(BinaryIO, _file_systems().create(path, compression_type=_raw()))


def join(*parts: str) -> str:
    return os.path.join(*parts) if is_local(parts[0]) else cast(str, _file_systems().join(*parts))


def exists(path: str) -> bool:
    if is_local(path):
        return os.path.exists(path)
    prepare(path)
    return cast(bool, _file_systems().exists(path))


def rename(source: str, target: str) -> None:
    """Moves a file. An existing target is replaced."""
    if is_local(source):
        os.replace(source, target)
    else:
        # gs:// and s3:// replace an existing target. If it were deleted first, it would be missing for a moment.
        if not target.startswith(("gs://", "s3://")) and _file_systems().exists(target):
            _file_systems().delete([target])
        _file_systems().rename([source], [target])


@contextmanager
def written_whole(path: str) -> Iterator[BinaryIO]:
    """Yields a file to write to. The file gets its final name only if everything was written without an exception."""
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    sink = create_file(temporary)
    try:
        yield sink
    except BaseException:
        sink.close()
        delete_tree(temporary)
        raise
    sink.close()
    rename(temporary, path)


def copy_file(source: str, target: str) -> None:
    """Copies a file. If both paths are on the same file system, makes a hard link, which needs no space.

    With a hard link, a change of one file would also change the other. This cannot happen, because a run never changes
    a finished file; it writes a new one.
    """
    if is_local(source) and is_local(target):
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or one without hard links
            pass
    with open_file(source) as file, written_whole(target) as sink:
        shutil.copyfileobj(file, sink, _COPY_BYTES)


def read_bytes(path: str) -> bytes:
    with open_file(path) as file:
        return file.read()


def write_bytes(path: str, data: bytes) -> None:
    """Writes a small file, either completely or not at all."""
    with written_whole(path) as sink:
        sink.write(data)


def delete_tree(path: str) -> None:
    """Deletes a file, or a folder with its contents. If the path is a link, only the link is deleted. A missing path is
    not an error.
    """
    if is_local(path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)
        return
    found = [m.path for r in _file_systems().match([path, path.rstrip("/") + "/**"]) for m in r.metadata_list]
    if found:
        _file_systems().delete(found)
