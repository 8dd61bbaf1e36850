"""Reads the members of a zip or a tar (the files in it) one after the other, with limits on their size. Each member is
read into memory. This module writes no files.

A member's name is never used as a path, so a name such as ``../x`` does no harm. The name's ending decides the format,
and locations in messages contain the name.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from isal import igzip, isal_zlib

from pipeline.sources.books.zip_methods import unpacked_member
from pipeline.sources.formats.damaged_tar import TarDamage, TarStream
from pipeline.sources.source import Rejected

MAX_DIRECTORY_BYTES = 64 << 20
"""The largest directory of a zip (its list of members), in bytes. Python holds the directory in memory. Our choice: a
zip with half a million books has a directory of this size.
"""
MAX_EXPANSION = 200
"""An archive may unpack to 64 MB plus this many times its stored size. Our choice: text that is compressed with deflate
unpacks to 3 to 10 times its stored size.
"""
_FREE_BYTES = 64 << 20

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    ValueError,
    OverflowError,
    NotImplementedError,
)
_GZIP_ERRORS = (gzip.BadGzipFile, zlib.error, isal_zlib.error, isal_zlib.IsalError)


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """Holds a member (a file in an archive). ``data`` is the member's content. If the content has more bytes than the
    limit, ``data`` has only its beginning, one byte more than the limit.
    """

    location: str
    name: str
    data: bytes


def printable(name: str) -> str:
    r"""Returns the first 500 characters of a member's name, with ``?`` for lone surrogates and control characters.

    >>> printable("a\udcff\n.txt")
    'a??.txt'
    """
    name = name.encode("utf-8", "replace").decode()
    return "".join(char if char.isprintable() else "?" for char in name[:500])


def _is_wanted(name: str, endings: tuple[str, ...]) -> bool:
    return name.lower().endswith(endings)


def unknown_form(location: str) -> Rejected:
    """Returns a rejection for a file. It says that the format is unknown, because the file's name has an unknown
    ending. Such a file does not count as broken.
    """
    return Rejected(location=location, reason="unknown_form", is_bad=False)


def _bomb(location: str) -> Rejected:
    detail = f"unpacks to over {MAX_EXPANSION} times its size"
    return Rejected(location=location, reason="archive_bomb", detail=detail, is_whole_file=True)


def zip_members(
    file: BinaryIO, location: str, *, num_bytes: int, endings: tuple[str, ...], max_bytes: int
) -> Iterator[ArchiveMember | Rejected]:
    """Yields the members whose names have one of the ``endings``. A member with a different ending is rejected as
    ``unknown_form``.

    There are four more reasons for rejections:

    - ``damaged_zip``: the whole zip or one member is damaged. After a damaged member, the next member is read.
    - ``encrypted``: the member needs a password.
    - ``unsupported_compression``: the member is compressed with an old method, such as shrink or implode in Gutenberg's
      oldest zips.
    - ``archive_bomb``: the zip unpacks to too many bytes. Then reading ends.
    """
    if _directory_bytes(file) > MAX_DIRECTORY_BYTES:
        yield Rejected(location=location, reason="archive_bomb", detail="directory", is_whole_file=True)
        return
    try:
        archive = zipfile.ZipFile(file)
    except _ZIP_ERRORS as error:
        yield Rejected(location=location, reason="damaged_zip", detail=str(error)[:200], is_whole_file=True)
        return
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: an offset before the start of the file; others come from the store
            raise
        yield Rejected(location=location, reason="damaged_zip", detail=str(error)[:200], is_whole_file=True)
        return
    budget = num_bytes * MAX_EXPANSION + _FREE_BYTES
    with archive:
        for info in archive.infolist():
            where = f"{location}#{printable(info.filename)}"
            if info.filename.endswith("/"):
                continue
            if not _is_wanted(info.filename, endings):
                yield unknown_form(where)
                continue
            member = _zip_member(archive, info, where, max_bytes)
            yield member
            budget -= len(member.data) if isinstance(member, ArchiveMember) else 0
            if budget < 0:
                yield _bomb(location)
                return


def _zip_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, max_bytes: int
) -> ArchiveMember | Rejected:
    if info.flag_bits & 1:
        return Rejected(location=where, reason="encrypted")
    # zipfile limits the size of the output only for deflate, so the compressed bytes are read as if they were stored.
    stored = copy.copy(info)
    stored.compress_type, stored.file_size = zipfile.ZIP_STORED, info.compress_size
    stored.CRC = None  # type: ignore[assignment]  # the checksum is of the unpacked data
    try:
        with archive.open(stored) as packed:
            data = unpacked_member(packed, info.compress_type, max_bytes + 1)
    except NotImplementedError as error:
        return Rejected(location=where, reason="unsupported_compression", detail=str(error)[:200])
    except _ZIP_ERRORS as error:
        return Rejected(location=where, reason="damaged_zip", detail=str(error)[:200])
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # bz2 raises an OSError without errno for damaged data
            raise
        return Rejected(location=where, reason="damaged_zip", detail=str(error)[:200])
    if len(data) <= max_bytes and (len(data) != info.file_size or zlib.crc32(data) != info.CRC):
        return Rejected(location=where, reason="damaged_zip", detail="the size or the checksum is wrong")
    return ArchiveMember(where, info.filename, data)


def _directory_bytes(file: BinaryIO) -> int:
    """Returns the size of a zip's directory (its list of members) in bytes. The size is stored at the end of the zip.
    Returns 0 if the file is not a zip.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 65_557))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        return 0
    return int(struct.unpack_from("<L", tail, at + 12)[0])


def tar_members(
    file: BinaryIO, location: str, *, num_bytes: int, endings: tuple[str, ...], max_bytes: int
) -> Iterator[ArchiveMember | Rejected]:
    """Yields the files in a ``.tar`` or ``.tar.gz`` whose names have one of the ``endings``. The archive is read once,
    from start to end.

    A file with a different ending is rejected as ``unknown_form``. If some bytes are damaged, they are rejected as
    ``damaged_tar``, and reading continues at the next header. After a rejection as ``truncated_gzip``, ``damaged_gzip``
    or ``archive_bomb``, reading ends.
    """
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    source: BinaryIO = igzip.IGzipFile(fileobj=file) if packed else file
    try:
        yield from _tar_members(
            TarStream(source), location, num_bytes * MAX_EXPANSION + _FREE_BYTES, endings, max_bytes
        )
    except EOFError as error:
        yield Rejected(location=location, reason="truncated_gzip", detail=str(error), is_whole_file=True)
    except _GZIP_ERRORS as error:
        yield Rejected(location=location, reason="damaged_gzip", detail=str(error)[:200], is_whole_file=True)
    finally:
        if packed:
            with contextlib.suppress(OSError):
                source.close()


def _tar_members(
    tar: TarStream, location: str, budget: int, endings: tuple[str, ...], max_bytes: int
) -> Iterator[ArchiveMember | Rejected]:
    num_read = 0
    for found in tar:
        if isinstance(found, TarDamage):
            name = f" in {printable(found.name)}" if found.name else ""
            detail = f"cut short{name}" if found.is_cut else "no header of a tar: members may be lost"
            where = f"{location}@{found.offset}" if found.offset else location
            yield Rejected(location=where, reason="damaged_tar", detail=detail)
            continue
        num_read += found.num_bytes
        if num_read > budget:
            yield _bomb(location)
            return
        where = f"{location}#{printable(found.name)}"
        if not found.is_file:
            continue
        if not _is_wanted(found.name, endings):
            yield unknown_form(where)
            continue
        wanted = min(found.num_bytes, max_bytes + 1)
        data = found.read(wanted)
        if len(data) == wanted:  # if there are fewer bytes, the tar reader reports a truncated file
            yield ArchiveMember(where, found.name, data)


def gunzip(file: BinaryIO, location: str, max_bytes: int) -> bytes | Rejected:
    """Unpacks a gzip file. If the result is longer than ``max_bytes``, returns its first ``max_bytes + 1`` bytes. If
    the file is damaged, returns a rejection.
    """
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            return unpacked.read(max_bytes + 1)
    except EOFError as error:
        return Rejected(location=location, reason="truncated_gzip", detail=str(error), is_whole_file=True)
    except (gzip.BadGzipFile, zlib.error) as error:
        return Rejected(location=location, reason="damaged_gzip", detail=str(error)[:200], is_whole_file=True)
