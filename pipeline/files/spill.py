"""Writes and reads spill files. A worker appends a batch to a spill file and gets a reference (a :class:`Blob`). Any
worker that has the reference can read the batch.
"""

from __future__ import annotations

import os
import struct
import uuid
from dataclasses import dataclass
from typing import BinaryIO, cast

import xxhash
from apache_beam.io.filesystems import FileSystems

from pipeline.files.checked import DamagedFile
from pipeline.files.files import create_file, is_local, join, open_file


@dataclass(frozen=True, slots=True)
class Blob:
    """Refers to bytes in a spill file. It has the file's path, the position and number of the bytes, and their
    checksum.
    """

    path: str
    start: int
    num_bytes: int
    checksum: int

    def read(self) -> bytes:
        """Returns the bytes. Raises DamagedFile if they differ from the bytes that were appended."""
        data = read_range(self.path, self.start, self.start + self.num_bytes)
        if xxhash.xxh3_64_intdigest(data) != self.checksum:
            raise DamagedFile(self.path, f"bytes {self.start} to {self.start + self.num_bytes} were changed", RUN_AGAIN)
        return data


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Describes how the workers of a run group payloads by key."""

    folder: str
    """The spill folder. Every worker can open it by this path. It is deleted at the end of the run."""
    by_reference: bool = True
    """True: payloads are written to the folder, and only references to them go through the engine.

    False: the payloads themselves go through the engine. A group's payloads are copied to the folder only if the group
    is larger than a worker's buffer, and the engine sends the sorted group to another process.
    """


RUN_AGAIN = "run the same command again; if this repeats, check the disk"
_BLOB = struct.Struct(">QQQ")


def blob_bytes(blob: Blob) -> bytes:
    """Encodes a reference to spilled bytes (a :class:`Blob`), so that one worker can send the reference to another."""
    return _BLOB.pack(blob.start, blob.num_bytes, blob.checksum) + blob.path.encode()


def blob_from(data: bytes) -> Blob:
    """Converts the bytes from :func:`blob_bytes` back to the reference.

    >>> blob_from(blob_bytes(Blob("spill/x", 3, 5, 7)))
    Blob(path='spill/x', start=3, num_bytes=5, checksum=7)
    """
    start, num_bytes, checksum = _BLOB.unpack_from(data)
    return Blob(data[_BLOB.size :].decode(), start, num_bytes, checksum)


def read_range(path: str, start: int, end: int) -> bytes:
    """Returns a range of bytes of a spill file. The range begins at ``start`` and ends before ``end``.

    Raises DamagedFile if some of these bytes are missing.
    """
    if path.startswith("gs://"):  # for gs://, Beam's open() reads 16 MB ahead, however few bytes are requested
        file_system = FileSystems.get_filesystem(path)
        file = file_system._gcsIO().open(path, read_buffer_size=max(end - start, 1))
    else:
        file = open_file(path)
    with file:
        file.seek(start)
        data = cast(bytes, file.read(end - start))
    if len(data) != end - start:
        raise DamagedFile(path, f"{len(data)} of {end - start} bytes at byte {start}", RUN_AGAIN)
    return data


_OPEN_FILES = 64
"""The number of files that a :class:`BlobReader` keeps open."""


class BlobReader:
    """Reads the bytes of many :class:`Blob` references, which refer to few files. A file on this machine's disk stays
    open between two reads.

    >>> with BlobReader() as reader:
    ...     pass  # reader.read(blob_bytes(blob)) returns the bytes of a blob
    """

    def __init__(self, max_files: int = _OPEN_FILES) -> None:
        self._open: dict[bytes, int] = {}
        self._max_files = max_files

    def __enter__(self) -> BlobReader:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def read(self, encoded: bytes) -> bytes:
        """Returns the bytes to which a reference refers. ``encoded`` is the result of :func:`blob_bytes` for this
        reference.

        Raises DamagedFile if the bytes in the file differ from the bytes that were appended.
        """
        start, num_bytes, checksum = _BLOB.unpack_from(encoded)
        path = encoded[_BLOB.size :]
        file = self._open.get(path)
        if file is None:
            if not is_local(path.decode()):
                return blob_from(encoded).read()
            if len(self._open) >= self._max_files:
                os.close(self._open.pop(next(iter(self._open))))
            file = self._open[path] = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        data = os.pread(file, num_bytes, start) if hasattr(os, "pread") else b""
        if len(data) != num_bytes or xxhash.xxh3_64_intdigest(data) != checksum:
            return blob_from(encoded).read()  # reads it again, and says what is wrong
        return data


class SpillFile:
    """Appends data to a file with a unique name, and returns references to the data. The file is opened when data is
    first appended.

    One bundle (elements that Beam processes together) writes one file. If the bundle fails, no reference to the file is
    used. The file then remains until the end of the run, when the spill folder is deleted.

    Readers get references only after a grouping. A grouping waits until the bundles before it have ended, and each
    bundle closes its file at its end. So the file is closed before it is read.
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
        blob = Blob(self._path, self._num_bytes, len(data), xxhash.xxh3_64_intdigest(data))
        self._sink.write(data)
        self._num_bytes += len(data)
        return blob

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None
