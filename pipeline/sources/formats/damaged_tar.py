"""Reads a tar in one pass, and continues after damage.

``tarfile`` silently stops at the first damaged header. This module reports the damage, and continues at the next header
whose checksum is right. It writes no files. The caller reads the content of a member (a file in the tar) as a stream. A
member's name is never used as a path.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK_BYTES = 512
_CHECKSUM = slice(148, 156)
"""The bytes of a header that contain its checksum."""
_SKIP_BYTES = 1 << 20
_MAX_NAME_BYTES = 1 << 16
"""A long name is stored in a record of its own. This is the largest such record in bytes. Our choice: paths have at
most 4,096 bytes on all common systems.
"""
_PAX_RECORD = re.compile(rb"\d+ (path|size)=([^\n]*)\n")


class Readable(Protocol):
    """Defines the type of a tar's input: any object with ``read``."""

    def read(self, num_bytes: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class TarDamage:
    """Reports damage in a tar: the offset of the damage, and whether the rest of the file is lost too."""

    offset: int
    is_cut: bool
    name: str = ""


class TarMember:
    """Reads a member of a tar. The member's bytes can be read only until the caller requests the next member."""

    def __init__(self, tar: TarStream, info: tarfile.TarInfo, name: str, num_bytes: int, offset: int) -> None:
        self.name = name
        self.num_bytes = num_bytes
        self.offset = offset
        self.is_file = info.isreg()
        self.link_to = info.linkname if info.islnk() or info.issym() else ""
        self._tar = tar
        self.num_left = num_bytes

    def read(self, num_bytes: int = -1, /) -> bytes:
        """Returns up to ``num_bytes`` of the member's bytes (all if ``num_bytes`` is negative).

        Returns fewer than ``num_bytes`` only at the member's end.
        """
        wanted = self.num_left if num_bytes < 0 else min(num_bytes, self.num_left)
        data = self._tar.take(wanted)
        self.num_left = self.num_left - len(data) if len(data) == wanted else 0
        if len(data) < wanted:
            self._tar.is_cut = True
        return data


class TarStream:
    """Iterates over the members of a tar in order.

    A tar ends with a mark (a block of zeros). If ``stops_at_end`` is True, reading stops there. Otherwise it continues
    after the mark.
    """

    def __init__(self, stream: Readable, *, stops_at_end: bool = False, head: bytes = b"") -> None:
        self._stream = stream
        self._head = head
        self._stops_at_end = stops_at_end
        self.offset = 0
        self.is_cut = False

    def take(self, num_bytes: int) -> bytes:
        """Returns the next ``num_bytes`` bytes, or fewer at the end of the input."""
        pieces = [self._head[:num_bytes]]
        self._head = self._head[num_bytes:]
        missing = num_bytes - len(pieces[0])
        while missing > 0 and (piece := self._stream.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces)
        self.offset += len(data)
        return data

    def __iter__(self) -> Iterator[TarMember | TarDamage]:
        while True:
            offset = self.offset
            header = self.take(BLOCK_BYTES)
            if not header:
                return
            if len(header) < BLOCK_BYTES:
                yield TarDamage(offset, is_cut=True)
                return
            if not any(header):
                if self._stops_at_end:
                    return
                continue
            info = _parse(header)
            if info is None:
                found = self._next_header()
                yield TarDamage(offset, is_cut=found is None)
                if found is None:
                    return
                info, offset = found
            member = self._member(info, offset)
            if member is None:
                yield TarDamage(offset, is_cut=True)
                return
            yield member
            self._skip(member)
            if self.is_cut:
                yield TarDamage(offset, is_cut=True, name=member.name)
                return

    def _next_header(self) -> tuple[tarfile.TarInfo, int] | None:
        while len(header := self.take(BLOCK_BYTES)) == BLOCK_BYTES:
            info = _parse(header)
            if info is not None:
                return info, self.offset - BLOCK_BYTES
        return None

    def _member(self, info: tarfile.TarInfo, offset: int) -> TarMember | None:
        """Returns the member whose header is ``info``. A name or a size that is too long for a header is stored in
        special records before it. If ``info`` is such a record, the member's header is read too. Returns None if no
        valid header follows the records.
        """
        name, num_bytes = "", None
        while info.type in (b"L", b"K", b"x", b"g", b"X"):
            if info.size > _MAX_NAME_BYTES:
                self._skip_bytes(_padded(info.size))
                data = b""
            else:
                data = self.take(_padded(info.size))[: info.size]
            if info.type == b"L":
                name = data.rstrip(b"\0").decode("utf-8", "replace")
            elif info.type in (b"x", b"X"):
                fields = dict(_PAX_RECORD.findall(data))
                name = fields.get(b"path", name.encode()).decode("utf-8", "replace")
                size = fields.get(b"size", b"")
                num_bytes = int(size) if size.isdigit() and len(size) < 16 else num_bytes
            header = self.take(BLOCK_BYTES)
            following = _parse(header) if len(header) == BLOCK_BYTES else None
            if following is None:
                return None
            info = following
        size_bytes = info.size if num_bytes is None else num_bytes
        return TarMember(self, info, name or info.name, size_bytes if info.isreg() else 0, offset)

    def _skip(self, member: TarMember) -> None:
        wanted = member.num_left + (-member.num_bytes) % BLOCK_BYTES
        skipped = self._skip_bytes(wanted)
        if skipped < member.num_left:
            self.is_cut = True

    def _skip_bytes(self, num_bytes: int) -> int:
        left = num_bytes
        while left > 0 and (piece := self.take(min(left, _SKIP_BYTES))):
            left -= len(piece)
        return num_bytes - left


def _padded(num_bytes: int) -> int:
    return num_bytes + (-num_bytes) % BLOCK_BYTES


def _parse(header: bytes) -> tarfile.TarInfo | None:
    if not header[_CHECKSUM].strip(b" \0"):
        return None  # an empty checksum counts as 0, which the signed sum of arbitrary bytes can be by chance
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "replace")
    except tarfile.HeaderError:
        return None
    return info if info.size >= 0 else None


def is_tar(data: bytes) -> bool:
    """True if the bytes begin with a tar header whose checksum is right."""
    return len(data) >= BLOCK_BYTES and _parse(data[:BLOCK_BYTES]) is not None
