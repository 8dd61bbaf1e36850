"""Reads the Posts.xml in a .7z archive as a stream. This module writes nothing to disk. Its memory does not grow with
the size of the archive.

py7zr writes the unpacked bytes to a writer object. This module runs py7zr in a separate thread. The writer puts the
bytes into a queue, in pieces. The queue holds at most two pieces. If it is full, the thread waits until a piece is read
from the stream. Each piece is unpacked from 1 MB of the archive, and has at most 128 MB (py7zr's limit).

The dumps of archive.org are packed with bzip2. The blocks of bzip2 can be unpacked separately, so several threads
unpack them: one per processor that this process may use, at most eight. A single thread unpacks 20 to 30 MB/s, and
would need over an hour for Stack Overflow's 97 GB. py7zr itself still checks the order, sizes and checksums.
"""

from __future__ import annotations

import io
import lzma
import os
import queue
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO

import brotli  # type: ignore[import-untyped]
import py7zr
from py7zr.compressor import PpmdDecompressor, zstd
from py7zr.exceptions import AbsolutePathError, ArchiveError, PasswordRequired
from py7zr.properties import COMPRESSION_METHOD

from pipeline.sources.formats.bzip2_threads import ThreadedUnpacker, num_threads
from pipeline.sources.stack_exchange.bounded_unpackers import bounded
from pipeline.sources.stack_exchange.ppmd_process import PpmdProcess

DAMAGE = (
    ArchiveError,
    AbsolutePathError,
    PasswordRequired,
    lzma.LZMAError,
    zlib.error,
    zstd.ZstdError,
    brotli.error,
    struct.error,
    EOFError,
    MemoryError,  # raised for a size that is in a damaged header
    OSError,  # bz2 raises it for damaged data; if it has an errno, the disk or the network failed
    ValueError,
    TypeError,  # py7zr raises it for an unknown field of the header
    LookupError,
    AttributeError,
    AssertionError,
)
"""The exceptions that py7zr and its decompressors raise for a damaged or hostile archive."""

_PY7ZR_FOLDER = os.path.dirname(py7zr.__file__) + os.sep

_MAGIC = b"7z\xbc\xaf\x27\x1c"
_MAX_QUEUED = 2
_WAIT_SECONDS = 0.5


class _Abandoned(Exception):  # noqa: N818 - not an error: the reader has stopped reading
    pass


class SevenZipStream(io.RawIOBase):
    """Streams the bytes of one file in an archive (a member) from start to end. If damage ends the stream early,
    ``error`` contains the exception.
    """

    def __init__(self, archive: BinaryIO, member: str, *, max_bytes: int) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_MAX_QUEUED)
        self._abandoned = threading.Event()
        self._rest = memoryview(b"")
        self._ended = False
        self._thread = threading.Thread(target=self._unpack, args=(archive, member, max_bytes), daemon=True)
        self._thread.start()

    def read(self, size: int = -1) -> bytes:
        """Returns ``size`` bytes, or fewer at the end of the stream. If ``size`` is negative, returns all bytes."""
        wanted, got = size, []
        while wanted and not (self._ended and not self._rest):
            if not self._rest:
                piece = self._pieces.get()
                self._ended = piece is None
                self._rest = memoryview(piece or b"")
                continue
            part = self._rest[:wanted] if wanted > 0 else self._rest
            self._rest = self._rest[len(part) :]
            wanted -= len(part) if wanted > 0 else 0
            got.append(part)
        return b"".join(got)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Does nothing. Accepts only a seek to the start, before the first read.

        The method exists because the reader of rows seeks to the start of every stream.
        """
        if offset or whence:
            raise io.UnsupportedOperation("a stream out of a 7z is read front to back")
        return 0

    def close(self) -> None:
        """Stops the unpacking thread, whether it is finished or not."""
        self._abandoned.set()
        while self._thread.is_alive():
            try:
                self._pieces.get(timeout=0.05)
            except queue.Empty:
                self._thread.join(0.05)
        super().close()

    def put(self, piece: bytes | None) -> None:
        """Adds a piece to the queue; None marks the end of the stream. Waits while the queue is full. The unpacking
        thread calls this method.
        """
        while not self._abandoned.is_set():
            try:
                self._pieces.put(piece, timeout=_WAIT_SECONDS)
                return
            except queue.Full:
                continue
        raise _Abandoned

    def _unpack(self, archive: BinaryIO, member: str, max_bytes: int) -> None:
        try:
            archive.seek(0)
            with py7zr.SevenZipFile(archive, max_extract_size=max_bytes) as opened, _own_unpackers(opened):
                opened.extract(targets=[member], factory=_Factory(self))
            self.put(None)
        except _Abandoned:
            return
        except BaseException as error:  # stored for the reading thread, which raises it unless it is damage
            self.error = error
            if not self._abandoned.is_set():
                self.put(None)


@contextmanager
def _own_unpackers(opened: py7zr.SevenZipFile) -> Iterator[None]:
    """Replaces unpackers of py7zr inside the ``with`` block.

    bzip2 is unpacked block by block, in threads. This is so even on a machine with one processor, so that a damaged
    archive gives the same result on every machine. PPMd is unpacked in a separate process. For all other codecs, the
    unpackers return no more bytes than requested.
    """
    num = num_threads()
    streams = opened.header.main_streams
    if streams is None:
        yield
        return
    pool = ThreadPoolExecutor(num, thread_name_prefix="bzip2")
    processes: list[PpmdProcess] = []
    try:
        first = 0
        for folder in streams.unpackinfo.folders:
            ppmd = [coder for coder in folder.coders if coder["method"] == COMPRESSION_METHOD.PPMD]
            processes += [PpmdProcess(coder["properties"]) for coder in ppmd]  # before py7zr allocates PPMd's memory
            chain = folder.get_decompressor(streams.packinfo.packsizes[first]).chain
            if [coder["method"] for coder in folder.coders] == [COMPRESSION_METHOD.MISC_BZIP2]:
                chain[0] = ThreadedUnpacker(pool, num)
            for at, unpacker in enumerate(chain):
                chain[at] = processes[-1] if isinstance(unpacker, PpmdDecompressor) else bounded(unpacker)
            first += len(folder.packed_indices)
        yield
    finally:
        pool.shutdown(cancel_futures=True)
        for process in processes:
            process.close()


class _Factory(py7zr.WriterFactory):  # type: ignore[misc]
    def __init__(self, stream: SevenZipStream) -> None:
        self._stream = stream

    def create(self, filename: str) -> py7zr.Py7zIO:
        return _Writer(self._stream)


class _Writer(py7zr.Py7zIO):  # type: ignore[misc]
    """Receives the bytes of a member from py7zr."""

    def __init__(self, stream: SevenZipStream) -> None:
        self._stream = stream
        self._num_bytes = 0

    def write(self, s: bytes | bytearray) -> int:
        self._num_bytes += len(s)
        self._stream.put(bytes(s))
        return len(s)

    def read(self, size: int | None = None) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return offset

    def flush(self) -> None:
        return

    def size(self) -> int:
        return self._num_bytes


class _AsIOBase(io.RawIOBase):
    """Wraps a file object. py7zr accepts only subclasses of ``io.IOBase``, and some stores return a different type."""

    def __init__(self, stored: BinaryIO) -> None:
        super().__init__()
        self._stored = stored

    def read(self, size: int = -1) -> bytes:
        return self._stored.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stored.seek(offset, whence)

    def tell(self) -> int:
        return self._stored.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def as_archive(stored: BinaryIO) -> BinaryIO:
    """Returns the stored file as an object that py7zr accepts."""
    return stored if isinstance(stored, io.IOBase) else _AsIOBase(stored)  # type: ignore[return-value]


def members(archive: BinaryIO) -> list[tuple[str, int]]:
    """Returns (name, unpacked size in bytes) of each file in an archive, as the archive's header states them. If the
    archive is damaged, raises one of the exceptions in :data:`DAMAGE`.
    """
    archive.seek(0)
    if archive.read(len(_MAGIC)) != _MAGIC:  # because py7zr reports a failing disk as a wrong magic number
        raise ArchiveError("not a 7z file")
    archive.seek(0)
    with py7zr.SevenZipFile(archive) as opened:
        return [(info.filename, int(info.uncompressed)) for info in opened.list() if not info.is_directory]


@contextmanager
def unpacked(archive: BinaryIO, member: str, *, max_bytes: int) -> Iterator[SevenZipStream]:
    """Opens a member (a file in an archive) as a stream of unpacked bytes. Use it in a ``with`` statement.

    An error ends the stream early. If a damaged archive is the cause, the error is only stored in the stream. If the
    cause is different (the disk, for example), the error is raised at the end of the ``with`` block.
    """
    stream = SevenZipStream(archive, member, max_bytes=max_bytes)
    try:
        yield stream
    finally:
        stream.close()
    if stream.error is not None and not is_damage(stream.error):
        raise stream.error


def is_damage(error: BaseException) -> bool:
    """True if a damaged archive is the cause of an error. False if the cause is the disk or this program.

    If an error has an errno, its cause is the disk or the network. All other errors in ``DAMAGE`` are caused by the
    archive. An error of a different type counts as damage if py7zr raised it.
    """
    if not isinstance(error, Exception) or getattr(error, "errno", None) is not None:
        return False
    return isinstance(error, DAMAGE) or _is_raised_by_py7zr(error)


def _is_raised_by_py7zr(error: Exception) -> bool:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_PY7ZR_FOLDER)
