"""WARC files read into records, nothing lost in silence.

A record is what its header says it is, its length tested against what follows. A record that is broken is named with
its place and reading goes on at the next one: the next gzip member, or the next ``WARC/`` line where a file is not
packed by member.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.sources.formats.gzip_members import MAGIC, GzipMember, StoredBytes, UnpackedChunks, gzip_members
from pipeline.sources.source import Opener, Rejected

WARC_BROKEN = (
    "empty_file", "truncated_gzip", "damaged_gzip", "truncated_record", "bad_content_length", "record_too_large",
    "not_a_record", "bad_header",
)  # fmt: skip
"""The reasons for which records and files are rejected here; all of them count as broken."""
MAX_RECORD_BYTES = 64 << 20
"""Ours: twelve times what CommonCrawl keeps of a page (1 MiB, and 5 MiB since CC-MAIN-2025-13)."""
MAX_HEADER_BYTES = 64 << 10
"""Ours: a thousand times a usual header; bounds the search for its end."""

_STARTS_WITH = b"WARC/"
_NEXT_RECORD = re.compile(rb"[\r\n]WARC/\d\.\d+\r?\n")
_NEXT_RECORD_BYTES = 16
_STREAM_BYTES = 1 << 20
_GAPS = (b"\r\n\r\n", b"\n\n")
_GAP_BYTES = 16
_HEADER_END = re.compile(rb"\n\r?\n")
_GZIP_TRAILER_BYTES = 8


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record of any type; ``warc-type`` is among its headers, in lower case as all their names are."""

    headers: dict[str, str]
    block: bytes
    location: str
    """``FILE@OFFSET``; ``FILE@OFFSET+BYTE`` inside a gzip member of several records."""
    offset: int
    """Of the record, or of the gzip member that holds it, in the stored file."""


def read_raw_records(path: str, open_file: Opener, location: str) -> Iterator[RawRecord | Rejected]:
    """Streams the records of a file, packed or plain, which its first bytes tell and not its name alone."""
    with open_file(path) as file:
        stored = StoredBytes(file)
        head = stored.read_across(0, len(_STARTS_WITH))
        if not head:
            yield Rejected(location=location, reason="empty_file", is_whole_file=True)
        elif head.startswith(_STARTS_WITH):
            yield from _records(_Window(_stored_chunks(stored)), location=location, offset=None, fault="")
        elif head.startswith(MAGIC) or path.lower().endswith(".gz"):
            yield from _packed_records(stored, location)
        else:
            yield from _records_behind_junk(stored, location)


def _records_behind_junk(stored: StoredBytes, location: str) -> Iterator[RawRecord | Rejected]:
    records = _records(_Window(_stored_chunks(stored)), location=location, offset=None, fault="")
    first, second = next(records, None), next(records, None)
    if isinstance(first, Rejected) and second is None:
        first = replace(first, is_whole_file=True)
    yield from (record for record in (first, second) if record is not None)
    yield from records


def _stored_chunks(stored: StoredBytes) -> Iterator[bytes]:
    offset = 0
    while chunk := stored.read_at(offset, _STREAM_BYTES):
        yield chunk
        offset += len(chunk)


def _packed_records(stored: StoredBytes, location: str) -> Iterator[RawRecord | Rejected]:
    is_any = False
    members = _Members(gzip_members(stored, max_bytes=MAX_RECORD_BYTES, starts_with=_STARTS_WITH))
    while (member := members.pop()) is not None:
        if member.is_gap:
            is_whole_file = not is_any and member.start == 0 and not stored.read_at(member.end, 1)
            yield _lost(member, location, is_whole_file=is_whole_file)
        elif member.data is not None:
            yield from _records(
                _Window(members.going_on(), member.data), location=location, offset=member.start, fault=""
            )
        else:
            yield from _records_of_broken_member(stored, member, location)
        is_any = is_any or not member.is_gap


class _Members:
    """Gzip members with a look ahead: a file may be packed in pieces that are not its records."""

    def __init__(self, members: Iterator[GzipMember]) -> None:
        self._members = members
        self._next = next(members, None)

    def pop(self) -> GzipMember | None:
        member, self._next = self._next, next(self._members, None) if self._next else None
        return member

    def going_on(self) -> Iterator[bytes]:
        """Takes the data of members for as long as they begin inside a record."""
        while self._next and self._next.data is not None and not self._next.data.startswith(_STARTS_WITH):
            member = self.pop()
            assert member is not None
            assert member.data is not None
            yield member.data


def _lost(member: GzipMember, location: str, *, is_whole_file: bool = False) -> Rejected:
    detail = f"bytes {member.start}-{member.end}"
    where = f"{location}@{member.start}"
    return Rejected(location=where, reason=member.fault, detail=detail, is_whole_file=is_whole_file)


def _records_of_broken_member(stored: StoredBytes, member: GzipMember, location: str) -> Iterator[RawRecord | Rejected]:
    """Saves what is proven whole of a broken member; a sound one that was too large to hold comes here too."""
    chunks = UnpackedChunks(stored, member.start)
    num_records, is_named = 0, False
    for found in _records(_Window(iter(chunks)), location=location, offset=member.start, fault=member.fault):
        num_records += 1
        if isinstance(found, Rejected) and member.fault:
            is_named = True
            found = replace(found, detail=f"bytes {member.start}-{member.end}: {found.detail}")
        yield found
    # Of a member of one record that is proven whole, the checksum alone may be cut or broken: then nothing is lost.
    is_all = num_records == 1 and member.end - chunks.offset <= _GZIP_TRAILER_BYTES
    if member.fault and not is_named and not is_all:
        yield _lost(member, location)


class _Window:
    """A growing and shrinking piece of a stream of unpacked bytes; ``at`` is where reading stands in ``data``."""

    __slots__ = ("_is_member", "_more", "at", "base", "data")

    def __init__(self, more: Iterator[bytes], data: bytes | None = None) -> None:
        """If ``data`` is given, it is a gzip member, and ``more`` are those after it, read inside a record only."""
        self._more = more
        self._is_member = data is not None
        self.data = data or b""
        self.at = 0
        self.base = 0

    def has(self, num_bytes: int) -> bool:
        """Brings ``num_bytes`` from ``at`` into ``data``; False where the stream ends before."""
        missing = self.at + num_bytes - len(self.data)
        if missing <= 0:
            return True
        pieces = [self.data[self.at :]]
        for piece in self._more:
            pieces.append(piece)
            missing -= len(piece)
            if missing <= 0:
                break
        self.base += self.at
        self.at = 0
        self.data = b"".join(pieces)
        return missing <= 0

    def has_header(self) -> None:
        """Brings a record's header into ``data``, and of a gzip member that is not needed for it nothing."""
        num_bytes = len(_STARTS_WITH)
        while self.has(num_bytes) and num_bytes < MAX_HEADER_BYTES:
            if not self.data.startswith(_STARTS_WITH, self.at) or _HEADER_END.search(self.data, self.at):
                return
            num_bytes = len(self.data) - self.at + 1

    def has_gap(self, num_bytes: int) -> None:
        """Brings ``num_bytes`` and the line ends after them. A gzip member that ends with them proves the record."""
        if not self._is_member:
            self.has(num_bytes + _GAP_BYTES)
        elif self.has(num_bytes + 2) and self.data.startswith(b"\r\n", self.at + num_bytes):
            self.has(num_bytes + 4)

    def skip_newlines(self) -> bool:
        """Moves to the next record; False at the end."""
        while self.at < len(self.data) or (not self._is_member and self.has(1)):
            if self.data[self.at] not in b"\r\n":
                return True
            self.at += 1
        return False

    def go_to_next_record(self) -> None:
        """Moves behind ``at`` to where a line begins as a record does, or to the end."""
        while True:
            self.has(_STREAM_BYTES)
            found = _NEXT_RECORD.search(self.data, self.at)
            if found:
                self.at = found.start() + 1
                return
            self.at = max(self.at, len(self.data) - _NEXT_RECORD_BYTES)  # a record may begin across the border
            if not self.has(len(self.data) - self.at + 1):
                self.at = len(self.data)
                return


class _BrokenRecordError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _records(window: _Window, *, location: str, offset: int | None, fault: str) -> Iterator[RawRecord | Rejected]:
    """Yields the records of a stream that begins at ``offset`` of the file (none: the stream is the file)."""
    while True:
        if not window.skip_newlines():
            return
        start = window.base + window.at
        where = f"{location}@{start}" if offset is None else f"{location}@{offset}" + (f"+{start}" if start else "")
        try:
            headers, block = _one_record(window, is_plain=offset is None, fault=fault)
        except _BrokenRecordError as error:
            # In a broken member every fault may come of the damage: it is told under that name.
            yield Rejected(location=where, reason=fault or error.reason, detail=str(error))
            window.go_to_next_record()
        else:
            yield RawRecord(headers, block, where, start if offset is None else offset)


def _one_record(window: _Window, *, is_plain: bool, fault: str) -> tuple[dict[str, str], bytes]:
    """Reads the record at ``window.at`` and moves behind its block; leaves ``at`` as it is where it is broken."""
    window.has_header()
    data, at = window.data, window.at
    if not data.startswith(_STARTS_WITH, at):
        raise _BrokenRecordError("not_a_record", f"{data[at : at + 40]!r} where a record should begin")
    headers, body_at = _headers(data, at)
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise _BrokenRecordError("bad_content_length", f"Content-Length is {length!r}")
    num_bytes = int(length[:20])
    if num_bytes > MAX_RECORD_BYTES:
        raise _BrokenRecordError("record_too_large", f"{length} bytes, over {MAX_RECORD_BYTES}")
    header_bytes = body_at - at
    window.has_gap(header_bytes + num_bytes)
    data, body_at = window.data, window.at + header_bytes
    end = body_at + num_bytes
    if end > len(data):
        reason = "truncated_record" if is_plain else "bad_content_length"
        raise _BrokenRecordError(reason, f"{len(data) - body_at} bytes of the {num_bytes} that its header says")
    block, behind = data[body_at:end], data[end : end + _GAP_BYTES]
    if fault and not _is_proven(headers, block, fault):
        raise _BrokenRecordError(fault, "its bytes are not proven by a digest")
    if not _is_gap(behind) and not _is_end(headers, block, behind):
        raise _BrokenRecordError("bad_content_length", f"{num_bytes} bytes do not end at a record's end")
    window.at = end
    return headers, block


def _is_proven(headers: dict[str, str], block: bytes, fault: str) -> bool:
    """Whether a record out of a broken member is whole: what stands before a cut is, unless a digest says no."""
    is_right = _is_digest_right(headers, block)
    return fault == "truncated_gzip" if is_right is None else is_right


def _is_gap(behind: bytes) -> bool:
    """True if two line ends follow and then a record, its first bytes, or nothing more in sight."""
    for gap in _GAPS:
        if behind.startswith(gap):
            rest = behind[len(gap) : len(gap) + len(_STARTS_WITH)]
            return _STARTS_WITH.startswith(rest)
    return False


def _is_end(headers: dict[str, str], block: bytes, behind: bytes) -> bool:
    """Whether a record ends here although not two line ends follow it: its digest says so, or other line ends do."""
    by_digest = _is_digest_right(headers, block)
    if by_digest is not None:
        return by_digest
    rest = behind.lstrip(b"\r\n")
    return (not rest or rest.startswith(_STARTS_WITH)) and not block.endswith((b"\r", b"\n"))


def _is_digest_right(headers: dict[str, str], block: bytes) -> bool | None:
    """Tests the block's SHA-1; None where the header gives none that can be read."""
    algorithm, _, digest = headers.get("warc-block-digest", "").partition(":")
    if algorithm.lower() != "sha1" or len(digest) not in (32, 40):
        return None
    sha1 = hashlib.sha1(block, usedforsecurity=False)
    return digest.upper() in (base64.b32encode(sha1.digest()).decode("ascii"), sha1.hexdigest().upper())


def _headers(data: bytes, at: int) -> tuple[dict[str, str], int]:
    """Returns the headers by lower-case name, and where the block begins. The first of a repeated name counts."""
    limit = at + MAX_HEADER_BYTES
    end = data.find(b"\n\r\n", at, limit)
    bare_end = data.find(b"\n\n", at, limit if end < 0 else end)
    if end < 0 and bare_end < 0:
        raise _BrokenRecordError("bad_header", "the header has no end")
    end, body_at = (bare_end, bare_end + 2) if bare_end >= 0 else (end, end + 3)
    text = data[at:end].decode("utf-8", "replace")
    if "\0" in text:
        raise _BrokenRecordError("bad_header", "a header that holds a zero byte")
    headers: dict[str, str] = {}
    name = ""
    for line in text.split("\n")[1:]:
        if line[0] in " \t" and name:  # a value that goes on
            headers[name] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not name:
            raise _BrokenRecordError("bad_header", f"{line[:80]!r} is not a header")
        if name not in headers:
            headers[name] = value
        elif name == "content-length" and headers[name] != value:
            raise _BrokenRecordError("bad_header", "two Content-Lengths that differ")
    if "warc-type" not in headers:
        raise _BrokenRecordError("bad_header", "no WARC-Type")
    headers["warc-type"] = headers["warc-type"].lower()
    return headers, body_at
