"""Splits large archives and large JSON lines files into chunks, so that many tasks can work on one file.

A gzip file can be unpacked only from its start, so a single task must unpack the whole file. This task writes the
members or lines into chunks without changing them. Many tasks then read the chunks, and decode, tidy and filter the
members or lines in them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from pipeline.sources.books.archives import ArchiveMember, printable
from pipeline.sources.formats.json_lines import Row, parse_object
from pipeline.sources.source import Chunk, Rejected

CHUNK_BYTES = 8 << 20
"""A chunk is full when it has at least this many bytes. Its last member or line can make it much larger: the readers
allow members of up to 32 MB and lines of up to 64 MB.
"""
MEMBERS, LINES = "members", "lines"
"""The two kinds of chunks: chunks of members of an archive, and chunks of lines."""

_HEAD = struct.Struct(">II")  # bytes of the name, bytes of the member


def member_chunks(members: Iterable[ArchiveMember | Rejected], location: str) -> Iterator[Chunk | Rejected]:
    """Packs the members of an archive into chunks. A chunk has the name of each member before the member's content. A
    rejection in ``members`` is yielded unchanged.
    """
    parts: list[bytes] = []
    num_bytes = 0
    for member in members:
        if isinstance(member, Rejected):
            yield member
            continue
        name = member.name.encode("utf-8", "surrogatepass")
        parts += (_HEAD.pack(len(name), len(member.data)), name, member.data)
        num_bytes += _HEAD.size + len(name) + len(member.data)
        if num_bytes >= CHUNK_BYTES:
            yield Chunk(kind=MEMBERS, origin=location, data=b"".join(parts))
            parts, num_bytes = [], 0
    if parts:
        yield Chunk(kind=MEMBERS, origin=location, data=b"".join(parts))


def members_of(file: BinaryIO, num_bytes: int, location: str) -> Iterator[ArchiveMember]:
    """Yields the members of one chunk. The chunk begins at the file's current position and has ``num_bytes`` bytes.

    Holds one member in memory at a time.
    """
    while num_bytes > 0:
        name_bytes, data_bytes = _HEAD.unpack(file.read(_HEAD.size))
        name = file.read(name_bytes).decode("utf-8", "surrogatepass")
        yield ArchiveMember(f"{location}#{printable(name)}", name, file.read(data_bytes))
        num_bytes -= _HEAD.size + name_bytes + data_bytes


def line_chunks(lines: Iterable[tuple[int, bytes] | Rejected], location: str) -> Iterator[Chunk | Rejected]:
    """Packs consecutive lines into chunks. The field ``origin`` of a chunk is the location of its first line,
    ``FILE:LINE``. A rejection in ``lines`` is yielded unchanged.
    """
    parts: list[bytes] = []
    num_bytes = first = 0
    for found in lines:
        if isinstance(found, Rejected):
            yield found
            continue
        number, line = found
        if parts and (num_bytes >= CHUNK_BYTES or number != first + len(parts)):
            yield Chunk(kind=LINES, origin=f"{location}:{first}", data=b"\n".join(parts))
            parts, num_bytes = [], 0
        if not parts:
            first = number
        parts.append(line)
        num_bytes += len(line) + 1
    if parts:
        yield Chunk(kind=LINES, origin=f"{location}:{first}", data=b"\n".join(parts))


def rows_of(data: bytes, origin: str) -> Iterator[tuple[str, Row] | Rejected]:
    """Yields the location and the JSON object of each line in a chunk. If a line is not valid, a rejection is yielded
    instead.
    """
    location, _, first = origin.rpartition(":")
    for number, line in enumerate(data.split(b"\n"), int(first)):
        if line.strip():
            where = f"{location}:{number}"
            row = parse_object(line, where)
            yield row if isinstance(row, Rejected) else (where, row)
