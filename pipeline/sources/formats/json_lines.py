"""Reads files with one JSON object per line (``.jsonl``, ``.json``; packed with gzip or Zstandard, or not packed).

The first bytes of a file decide how it is unpacked. The file's name is not reliable: some object stores unpack a
``.gz`` while they send it, but do not change its name. A line that is not an object becomes a rejection with the line's
number. After a damaged gzip member, reading continues at the next member.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import Any, BinaryIO

import zstandard

from pipeline.sources.formats.gzip_unpacker import GZIP_WBITS, PIECE_BYTES, member_bytes
from pipeline.sources.source import Opener, Rejected

Row = dict[str, Any]

JSON_LINES_BROKEN = (
    "not_utf8", "not_json", "not_an_object", "line_too_long", "truncated_gzip", "damaged_gzip", "truncated_zstd",
    "damaged_zstd",
)  # fmt: skip
"""The reasons for which this module rejects lines and files. All of them count as broken."""
GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MAX_LINE_BYTES = 64 << 20
"""The largest number of bytes of a line. Our choice: the longest lines in the supported sources are those of GitHub's
files in BigQuery's exports. Such a file has at most 1 MiB, which becomes at most 6 MiB in JSON.
"""
MAX_SKIPPED_BYTES = 4 << 30
"""If a line has more bytes than this, the rest of the file is not read (our choice). Such a file has no line ends, or
was crafted to unpack to very many bytes.
"""
_ZSTD_PIECE_BYTES = 2048
"""The number of bytes fed to the Zstandard library per call. The library does not limit its output, so its input must
be small. Four bytes of a crafted file unpack to 128 kB, so this many bytes unpack to at most 64 MB.
"""
_MAX_DAMAGED_MEMBERS = 64
"""After this many damaged members, the rest of the file is not read (our choice). The search after a damaged member can
unpack the whole rest of the file. So without a limit, a crafted file could take quadratic time.
"""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class _Mark(Enum):
    """Marks what happened between two unpacked pieces of a file."""

    BREAK = 0
    """Bytes were lost, so the unfinished line is dropped."""
    SEAM = 1
    """A gzip member or Zstandard frame ended. The unfinished line may be complete, or may continue in the next member
    or frame.
    """


Piece = bytes | Rejected | _Mark


def read_json_lines(path: str, open_file: Opener, *, location: str = "") -> Iterator[tuple[str, Row] | Rejected]:
    """Yields (location, object) for each line, or a rejection if the line is not a JSON object.

    The location is ``FILE:LINE``. FILE is the argument ``location``, or ``path`` if ``location`` is empty. The reasons
    for rejections are ``not_utf8``, ``not_json``, ``not_an_object``, ``line_too_long``, ``truncated_gzip``,
    ``damaged_gzip``, ``truncated_zstd``, ``damaged_zstd``.
    """
    name = location or path
    for found in numbered_lines(path, open_file, location=name):
        if isinstance(found, Rejected):
            yield found
        elif found[1].strip():
            where = f"{name}:{found[0]}"
            row = parse_object(found[1], where)
            yield row if isinstance(row, Rejected) else (where, row)


def numbered_lines(path: str, open_file: Opener, *, location: str = "") -> Iterator[tuple[int, bytes] | Rejected]:
    """Yields (line number, bytes of the line) for each line of a file. Yields a rejection for data that cannot be
    unpacked, and for a line that is too long.

    The lines are not parsed. :func:`read_json_lines` also parses them.
    """
    name = location or path
    with open_file(path) as file:
        for number, line in _numbered_lines(_unpacked(file, name), name):
            yield line if isinstance(line, Rejected) else (number, line)


def parse_object(line: bytes, where: str) -> Row | Rejected:
    """Parses a line. Returns the object, or a rejection. Lone surrogates in strings are kept.

    >>> parse_object(b'[1]', "f:1").reason
    'not_an_object'
    """
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Rejected(location=where, reason="not_utf8", detail=f"byte {error.start} of the line")
    except (ValueError, RecursionError) as error:
        return Rejected(location=where, reason="not_json", detail=str(error)[:200])
    if not isinstance(value, dict):
        return Rejected(location=where, reason="not_an_object", detail=f"a JSON {type(value).__name__}")
    return value


def storable(text: str) -> str:
    r"""Replaces lone surrogates by U+FFFD. JSON can contain lone surrogates, but UTF-8 cannot.

    >>> storable("a\ud800b")
    'a�b'
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return _LONE_SURROGATE.sub("\ufffd", text)
    return text


def _numbered_lines(pieces: Iterator[Piece], name: str) -> Iterator[tuple[int, bytes | Rejected]]:
    """Yields (number, line) for each line of a file. ``pieces`` are the unpacked bytes of the file, piece by piece.

    Holds only one line in memory, of at most ``MAX_LINE_BYTES`` bytes.
    """
    number, num_skipped = 1, 0
    begun: list[bytes] = []
    num_begun = 0
    for piece in pieces:
        if not isinstance(piece, bytes):
            if piece is _Mark.BREAK:
                begun, num_begun, num_skipped = [], 0, 0
            elif piece is not _Mark.SEAM:
                yield number, piece
            elif not num_skipped and num_begun and _is_line_of_its_own(line := b"".join(begun)):
                yield number, line
                begun, num_begun = [], 0
            continue
        *whole, rest = piece.split(b"\n")
        for line in whole:
            if num_skipped:
                num_skipped = 0
            else:
                yield number, b"".join([*begun, line])
            begun, num_begun = [], 0
            number += 1
        begun.append(rest)
        num_begun += len(rest)
        if num_skipped or num_begun > MAX_LINE_BYTES:
            if not num_skipped:
                detail = f"over {MAX_LINE_BYTES} bytes"
                yield number, Rejected(location=f"{name}:{number}", reason="line_too_long", detail=detail)
            num_skipped += num_begun
            begun, num_begun = [], 0
            if num_skipped > MAX_SKIPPED_BYTES:
                detail = f"a line of over {MAX_SKIPPED_BYTES} bytes: the rest of the file was left"
                yield number, Rejected(location=name, reason="line_too_long", detail=detail, is_whole_file=True)
                return
    if num_begun and not num_skipped:
        yield number, b"".join(begun)


def _is_line_of_its_own(line: bytes) -> bool:
    """True if the last line of a gzip member is complete, although it has no line end.

    Such a line may continue in the next member. It does not continue if it is already a complete object, or if it does
    not begin like an object (with ``{``).
    """
    start = line.lstrip(b"\xef\xbb\xbf \t\r")
    if not start.startswith(b"{"):
        return bool(start)
    return isinstance(parse_object(line, ""), dict)


def _unpacked(file: BinaryIO, name: str) -> Iterator[Piece]:
    head = file.read(len(ZSTD_MAGIC))
    file.seek(0)
    if head.startswith(GZIP_MAGIC):
        yield from _gunzipped(file, name)
    elif head == ZSTD_MAGIC:
        yield from _unzstd(file, name)
    else:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _unzstd(file: BinaryIO, name: str) -> Iterator[Piece]:
    """Unpacks a Zstandard file frame by frame. The library refuses frames that were packed with ``zstd --long=28`` or
    more, because they need over 128 MB of memory.
    """
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    held, is_begun = b"", False
    while piece := held or file.read(_ZSTD_PIECE_BYTES):
        try:
            out = unpacker.decompress(piece)
        except zstandard.ZstdError as error:
            yield _Mark.BREAK
            yield Rejected(location=name, reason="damaged_zstd", detail=str(error), is_whole_file=True)
            return
        if out:
            yield out
        held, is_begun = unpacker.unused_data, not unpacker.eof
        if unpacker.eof:
            yield _Mark.SEAM
            unpacker = zstandard.ZstdDecompressor().decompressobj()
    if is_begun:
        yield _Mark.BREAK
        yield Rejected(location=name, reason="truncated_zstd", is_whole_file=True)


def _gunzipped(file: BinaryIO, name: str) -> Iterator[Piece]:
    """Unpacks a gzip file member by member. Also yields the bytes of a damaged member up to the damage."""
    start, held, num_damaged, is_padding = 0, b"", 0, False
    while held := held or file.read(PIECE_BYTES):
        if is_padding:  # some stores add zeros after a member
            padded, held = held, held.lstrip(b"\0")
            start += len(padded) - len(held)
            if not held:
                continue
        end = yield from member_bytes(file, start, held)
        if is_padding := not end.reason:
            held = end.unused
            start += end.num_read - len(held)
            yield _Mark.SEAM
            continue
        num_damaged += end.reason == "damaged_gzip"
        is_searched = end.reason == "damaged_gzip" and num_damaged <= _MAX_DAMAGED_MEMBERS
        found = _seek_member(file, start + 1) if is_searched else None
        yield _Mark.BREAK
        where = f"{name}@{start}"
        yield Rejected(location=where, reason=end.reason, detail=end.detail, is_whole_file=found is None)
        if found is None:
            return
        start, held = found, b""


def _seek_member(file: BinaryIO, offset: int) -> int | None:
    """Searches for the first gzip member after ``offset`` that can be unpacked. Moves the file there.

    Returns the member's offset; None if there is no such member.
    """
    file.seek(offset)
    window = b""
    while piece := file.read(PIECE_BYTES):
        window += piece
        at = window.find(GZIP_MAGIC)
        while at >= 0:
            if _begins(window[at : at + 4096]):
                file.seek(offset + at)
                return offset + at
            at = window.find(GZIP_MAGIC, at + 1)
        offset += len(window) - 2
        window = window[-2:]
    return None


def _begins(data: bytes) -> bool:
    try:
        return zlib.decompressobj(GZIP_WBITS).decompress(data, 2).lstrip()[:1] == b"{"
    except zlib.error:
        return False
