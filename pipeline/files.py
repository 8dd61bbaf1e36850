"""Files, local or in a cloud's store, through Beam's FileSystems; and blobs in spill files."""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.http_files import is_http, open_http
from pipeline.s3_clients import share_clients

_RAW = CompressionTypes.UNCOMPRESSED


def is_local(path: str) -> bool:
    """Whether a path is on this machine's own disk.

    >>> is_local("/data/x"), is_local("gs://bucket/x")
    (True, False)
    """
    return "://" not in path


def prepare(path: str) -> None:
    """Must be called before Beam's FileSystems are asked about a path that may be the first in a store."""
    if path.startswith("s3://"):
        share_clients()


def open_file(path: str) -> BinaryIO:
    """Opens the stored bytes of a file for reading, seekable, never decompressed."""
    if is_local(path):
        return open(path, "rb")
    if is_http(path):
        return open_http(path)
    prepare(path)
    return cast(BinaryIO, FileSystems.open(path, compression_type=_RAW))


def create_file(path: str) -> BinaryIO:
    """Opens a file for writing bytes as they are; its folder is made."""
    if is_local(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        return open(path, "wb")
    prepare(path)
    return cast(BinaryIO, FileSystems.create(path, compression_type=_RAW))


def join(*parts: str) -> str:
    return cast(str, FileSystems.join(*parts))


def exists(path: str) -> bool:
    prepare(path)
    return cast(bool, FileSystems.exists(path))


def rename(source: str, target: str) -> None:
    """Moves a file; an older target is replaced."""
    if is_local(source):
        os.replace(source, target)
    else:
        # gs:// and s3:// replace of themselves; deleting first would show a reader a moment without the file.
        if not target.startswith(("gs://", "s3://")) and FileSystems.exists(target):
            FileSystems.delete([target])
        FileSystems.rename([source], [target])


@contextmanager
def written_whole(path: str) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it was written to the end without an exception."""
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


def read_bytes(path: str) -> bytes:
    with open_file(path) as file:
        return file.read()


def write_bytes(path: str, data: bytes) -> None:
    """Writes a small file whole or not at all."""
    with written_whole(path) as sink:
        sink.write(data)


def delete_tree(path: str) -> None:
    """Deletes a file or a folder with all that is in it, of a link only the link; nothing there is no error."""
    if is_local(path):
        import shutil

        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)
        return
    found = [m.path for r in FileSystems.match([path, path.rstrip("/") + "/**"]) for m in r.metadata_list]
    if found:
        FileSystems.delete(found)


@dataclass(frozen=True, slots=True)
class Blob:
    """A run of bytes in a spill file."""

    path: str
    start: int
    num_bytes: int

    def read(self) -> bytes:
        return read_range(self.path, self.start, self.start + self.num_bytes)


_BLOB = struct.Struct(">QQ")


def blob_bytes(blob: Blob) -> bytes:
    """A blob's reference, as it travels."""
    return _BLOB.pack(blob.start, blob.num_bytes) + blob.path.encode()


def blob_from(data: bytes) -> Blob:
    """The blob that a reference names.

    >>> blob_from(blob_bytes(Blob("spill/x", 3, 5)))
    Blob(path='spill/x', start=3, num_bytes=5)
    """
    start, num_bytes = _BLOB.unpack_from(data)
    return Blob(data[_BLOB.size :].decode(), start, num_bytes)


def read_range(path: str, start: int, end: int) -> bytes:
    """Reads bytes ``[start, end)`` of a stored file; fewer than asked for is a bug of ours or a broken disk."""
    if path.startswith("gs://"):  # Beam's open() there fetches 16 MB ahead, whatever is asked for
        file_system = FileSystems.get_filesystem(path)
        file = file_system._gcsIO().open(path, read_buffer_size=max(end - start, 1))
    else:
        file = open_file(path)
    with file:
        file.seek(start)
        data = cast(bytes, file.read(end - start))
    assert len(data) == end - start, (path, start, end, len(data))
    return data


class SpillFile:
    """Appends blobs to a file of its own name; the file is opened at the first blob.

    What a failed bundle leaves behind is an orphan that no reference names: the run's spill folder is
    deleted at its end. References are used only behind a grouping, when the bundle has closed the file.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._sink: BinaryIO | None = None
        self._path = ""
        self._num_bytes = 0

    def append(self, data: bytes) -> Blob:
        if self._sink is None:
            self._path = join(self._folder, uuid.uuid4().hex)
            self._sink = create_file(self._path)
            self._num_bytes = 0
        blob = Blob(self._path, self._num_bytes, len(data))
        self._sink.write(data)
        self._num_bytes += len(data)
        return blob

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None
