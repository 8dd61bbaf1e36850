"""Reads WARC files into records. Every record that is lost is reported as a rejection.

A record's header states the record's length. If no record begins after this length, the record is broken, and it is
rejected with its location. Then reading continues at the next gzip member. In a file without gzip it continues at the
next line that begins with ``WARC/``.
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
"""The reasons for which this module rejects records and files. All of them count as broken."""
MAX_RECORD_BYTES = 64 << 20
"""The largest record in bytes (our choice). CommonCrawl keeps at most 1 MiB of a page, and 5 MiB since
CC-MAIN-2025-13."""
MAX_HEADER_BYTES = 64 << 10
"""The largest header in bytes. Our choice: usual headers are a hundred times smaller."""

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
    """Holds a record of any type. ``headers`` has lower-case names and always has ``warc-type``."""

    headers: dict[str, str]
    block: bytes
    location: str
    """The location of the record: ``FILE@OFFSET``, or ``FILE@OFFSET+BYTE`` in a gzip member of several records."""
    offset: int
    """The byte offset of the record, or of the gzip member that contains it, in the stored file."""


def read_raw_records(path: str, open_file: Opener, location: str) -> Iterator[RawRecord | Rejected]:
    """Yields the records of a file.

    The first bytes decide whether the file is packed with gzip. If they are unclear, the file's name decides.
    """
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
    """Iterates over gzip members, and always reads one member ahead.

    Reading ahead is needed because a record may extend over several members.
    """

    def __init__(self, members: Iterator[GzipMember]) -> None:
        self._members = members
        self._next = next(members, None)

    def pop(self) -> GzipMember | None:
        member, self._next = self._next, next(self._members, None) if self._next else None
        return member

    def going_on(self) -> Iterator[bytes]:
        """Yields the data of the next members. Stops before one that is damaged, too large, or begins a new record."""
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
    """Yields the complete records of a damaged member, or of an intact member that is too large for memory."""
    chunks = UnpackedChunks(stored, member.start)
    num_records, is_named = 0, False
    for found in _records(_Window(iter(chunks)), location=location, offset=member.start, fault=member.fault):
        num_records += 1
        if isinstance(found, Rejected) and member.fault:
            is_named = True
            found = replace(found, detail=f"bytes {member.start}-{member.end}: {found.detail}")
        yield found
    # If the only record of the member is proven complete, only the gzip checksum is damaged, so nothing is lost.
    is_all = num_records == 1 and member.end - chunks.offset <= _GZIP_TRAILER_BYTES
    if member.fault and not is_named and not is_all:
        yield _lost(member, location)


class _Window:
    """Reads a stream of unpacked bytes. ``data`` is the part in memory, and ``at`` is the current position in it."""

    __slots__ = ("_is_member", "_more", "at", "base", "data")

    def __init__(self, more: Iterator[bytes], data: bytes | None = None) -> None:
        """Creates a window over the stream ``more``.

        If ``data`` is given, it is the data of a gzip member, and ``more`` yields the data of the members after it.
        These members are read only if a record continues in them.
        """
        self._more = more
        self._is_member = data is not None
        self.data = data or b""
        self.at = 0
        self.base = 0

    def has(self, num_bytes: int) -> bool:
        """Reads until the next ``num_bytes`` bytes are in memory. Returns False if the stream ends before that."""
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
        """Reads until the whole header of the next record is in memory. Reads no more gzip members than needed."""
        num_bytes = len(_STARTS_WITH)
        while self.has(num_bytes) and num_bytes < MAX_HEADER_BYTES:
            if not self.data.startswith(_STARTS_WITH, self.at) or _HEADER_END.search(self.data, self.at):
                return
            num_bytes = len(self.data) - self.at + 1

    def has_gap(self, num_bytes: int) -> None:
        """Reads until the next ``num_bytes`` bytes, and the empty lines that end a record, are in memory.

        Reads no more gzip members than needed: if a member ends with these empty lines, the record is complete, and the
        next member is not read.
        """
        if not self._is_member:
            self.has(num_bytes + _GAP_BYTES)
        elif self.has(num_bytes + 2) and self.data.startswith(b"\r\n", self.at + num_bytes):
            self.has(num_bytes + 4)

    def skip_newlines(self) -> bool:
        """Skips the line ends before the next record. Returns False at the end of the stream."""
        while self.at < len(self.data) or (not self._is_member and self.has(1)):
            if self.data[self.at] not in b"\r\n":
                return True
            self.at += 1
        return False

    def go_to_next_record(self) -> None:
        """Moves forward to the next line that begins like a record, or to the end of the stream."""
        while True:
            self.has(_STREAM_BYTES)
            found = _NEXT_RECORD.search(self.data, self.at)
            if found:
                self.at = found.start() + 1
                return
            self.at = max(self.at, len(self.data) - _NEXT_RECORD_BYTES)  # a record may begin across the end of the data
            if not self.has(len(self.data) - self.at + 1):
                self.at = len(self.data)
                return


class _BrokenRecordError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _records(window: _Window, *, location: str, offset: int | None, fault: str) -> Iterator[RawRecord | Rejected]:
    """Yields the records of a stream. ``offset`` is the offset of the stream in the file; None if the stream is the
    whole file. ``fault`` is the damage of the gzip member that the stream is from; empty if it is intact.
    """
    while True:
        if not window.skip_newlines():
            return
        start = window.base + window.at
        where = f"{location}@{start}" if offset is None else f"{location}@{offset}" + (f"+{start}" if start else "")
        try:
            headers, block = _one_record(window, is_plain=offset is None, fault=fault)
        except _BrokenRecordError as error:
            # In a damaged member the damage can cause any fault, so a fault is reported with the member's reason.
            yield Rejected(location=where, reason=fault or error.reason, detail=str(error))
            window.go_to_next_record()
        else:
            yield RawRecord(headers, block, where, start if offset is None else offset)


def _one_record(window: _Window, *, is_plain: bool, fault: str) -> tuple[dict[str, str], bytes]:
    """Returns the headers and the content of the next record, and moves past it. Raises an error if it is broken."""
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
    block, following = data[body_at:end], data[end : end + _GAP_BYTES]
    if fault and not _is_proven(headers, block, fault):
        raise _BrokenRecordError(fault, "its bytes are not proven by a digest")
    if not _is_gap(following) and not _is_end(headers, block, following):
        raise _BrokenRecordError("bad_content_length", f"{num_bytes} bytes do not end at a record's end")
    window.at = end
    return headers, block


def _is_proven(headers: dict[str, str], block: bytes, fault: str) -> bool:
    """True if a record's digest is right, or if it has no digest and its gzip member is only truncated."""
    is_right = _is_digest_right(headers, block)
    return fault == "truncated_gzip" if is_right is None else is_right


def _is_gap(following: bytes) -> bool:
    """True if ``following`` begins with two line ends, and a new record or the end of the data comes next."""
    for gap in _GAPS:
        if following.startswith(gap):
            rest = following[len(gap) : len(gap) + len(_STARTS_WITH)]
            return _STARTS_WITH.startswith(rest)
    return False


def _is_end(headers: dict[str, str], block: bytes, following: bytes) -> bool:
    """True if a record is complete, although not followed by two line ends. Its digest or the next bytes decide."""
    by_digest = _is_digest_right(headers, block)
    if by_digest is not None:
        return by_digest
    rest = following.lstrip(b"\r\n")
    return (not rest or rest.startswith(_STARTS_WITH)) and not block.endswith((b"\r", b"\n"))


def _is_digest_right(headers: dict[str, str], block: bytes) -> bool | None:
    """True if the block's SHA-1 equals the digest in the header. None if the header has no readable digest."""
    algorithm, _, digest = headers.get("warc-block-digest", "").partition(":")
    if algorithm.lower() != "sha1" or len(digest) not in (32, 40):
        return None
    sha1 = hashlib.sha1(block, usedforsecurity=False)
    return digest.upper() in (base64.b32encode(sha1.digest()).decode("ascii"), sha1.hexdigest().upper())


def _headers(data: bytes, at: int) -> tuple[dict[str, str], int]:
    """Parses the header. Returns a mapping from lower-case name to value, and the offset of the record's content.

    If a name is repeated, the first value is kept.
    """
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
        if line[0] in " \t" and name:  # continues the value of the line before
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
