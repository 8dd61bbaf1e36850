"""Tests that zlib alone decides which gzip members are damaged, although another library unpacks the sound ones."""

from __future__ import annotations

import gzip
import io
import random
import zlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.arxiv import paper_archive
from pipeline.sources.formats import gzip_unpacker, json_lines
from pipeline.sources.source import Rejected

MEMBER = b"".join(b'{"id": %d, "text": "%s"}\n' % (number, b"abc de" * (number % 7)) for number in range(40))


def read(data: bytes) -> list[tuple[str, Any]]:
    """Returns what is read from a file: objects, and rejections as tuples."""
    return [
        ("rejected", (one.location, one.reason, one.detail, one.is_whole_file)) if isinstance(one, Rejected) else one
        for one in json_lines.read_json_lines("a.json.gz", lambda _: io.BytesIO(data))
    ]


def set_piece(patch: pytest.MonkeyPatch, num_bytes: int) -> None:
    """Makes the reader read this many bytes of the file at once."""
    patch.setattr(json_lines, "PIECE_BYTES", num_bytes)
    patch.setattr(gzip_unpacker, "PIECE_BYTES", num_bytes)


class _Refuses:
    """Stands for a library that unpacks nothing."""

    eof, unused_data, unconsumed_tail = False, b"", b""

    def decompress(self, *_: object) -> bytes:
        raise zlib.error("refused")


def read_by_zlib(data: bytes) -> list[tuple[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip_unpacker, "isal_zlib", SimpleNamespace(error=zlib.error, decompressobj=lambda _: _Refuses()))
        return read(data)


def with_fields(member: bytes, flags: int, fill: bytes) -> bytes:
    """Returns a gzip member with optional fields in its header: 1 marks a text, 2 adds a checksum of the header, 4 an
    extra field, 8 a name, 16 a comment (RFC 1952)."""
    header = member[:3] + bytes([flags]) + member[4:10]
    if flags & 4:
        header += len(fill).to_bytes(2, "little") + fill
    for field in (8, 16):
        if flags & field:
            header += fill.replace(b"\0", b"-") + b"\0"
    if flags & 2:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    return header + member[10:]


FIELDS = st.sampled_from([0, 0, 0, 1, 2, 4, 8, 8, 12, 16, 24, 30, 31])


@st.composite
def hurt_files(draw: st.DrawFn) -> bytes:
    """Draws a file of one to three members, and damages it in one place."""
    members = []
    for _ in range(draw(st.integers(1, 3))):
        level = draw(st.sampled_from([0, 1, 6, 9]))
        member = gzip.compress(MEMBER[: draw(st.integers(0, len(MEMBER)))], level, mtime=0)
        member = with_fields(member, draw(FIELDS), draw(st.binary(max_size=12)))
        members.append(member + b"\0" * draw(st.sampled_from([0, 0, 0, 5, 600])))
    data = bytearray(b"".join(members))
    at, number = draw(st.integers(0, len(data) - 1)), draw(st.integers(1, 40))
    kind = draw(st.sampled_from(["none", "cut", "bit", "header", "zeros", "more", "less", "checksum", "junk"]))
    if kind == "cut":
        del data[at:]
    elif kind in ("bit", "header"):
        data[at % 10 if kind == "header" else at] ^= 1 << draw(st.integers(0, 7))
    elif kind == "zeros":
        data[at : at + number] = bytes(len(data[at : at + number]))
    elif kind == "more":
        data[at:at] = random.Random(number).randbytes(number)
    elif kind == "less":
        del data[at : at + number]
    elif kind == "checksum":
        data[-1 - at % 8] ^= 1
    elif kind == "junk":
        data += [b"junk", json_lines.GZIP_MAGIC, b"\0" * 10 + b"x", gzip.compress(b"{}")[:12]][number % 4]
    return bytes(data)


@pytest.mark.parametrize("piece_bytes", [1 << 18, 64, 7])
@given(data=hurt_files(), out_bytes=st.sampled_from([1 << 20, 50]))
@settings(deadline=None, max_examples=60)
def test_damage_reads_as_with_zlib_alone(piece_bytes: int, data: bytes, out_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        set_piece(patch, piece_bytes)
        patch.setattr(gzip_unpacker, "_MAX_OUT_BYTES", out_bytes)
        assert read(data) == read_by_zlib(data)


@pytest.mark.parametrize(
    ("flags", "text"), [(0, MEMBER), (8, MEMBER), (0, b'{"id": 7}\n' * 300)], ids=["plain", "name", "short"]
)
@pytest.mark.parametrize("out_bytes", [50, 1 << 20])
@pytest.mark.parametrize("piece_bytes", [13, 200, 1 << 18])
def test_each_cut_and_each_changed_byte_reads_as_with_zlib_alone(
    flags: int, text: bytes, out_bytes: int, piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_piece(monkeypatch, piece_bytes)
    monkeypatch.setattr(gzip_unpacker, "_MAX_OUT_BYTES", out_bytes)
    seen = spy(monkeypatch)
    sound = with_fields(gzip.compress(text, 1, mtime=0), flags, b"name")
    for at in range(0, len(sound), 3 if text is MEMBER else 1):
        changed = bytearray(sound)
        changed[at] ^= 0x10
        for data in (sound[:at], sound + sound[:at], bytes(changed), sound + bytes(changed) + sound):
            assert read(data) == read_by_zlib(data), (at, len(data))
    assert {b"truncated_gzip", b"damaged_gzip"} <= set(seen)


def test_after_many_damaged_members_the_rest_of_a_file_is_left() -> None:
    sound = gzip.compress(MEMBER[:40], mtime=0)
    damaged = sound[:-5] + bytes([sound[-5] ^ 0xFF]) + sound[-4:]
    found = [one for where, one in read(damaged * 70) if where == "rejected" and one[1] == "damaged_gzip"]
    assert [is_whole_file for _, _, _, is_whole_file in found] == [False] * 64 + [True]


def spy(monkeypatch: pytest.MonkeyPatch) -> Sequence[bytes]:
    """Returns a list to which the bytes are added that zlib unpacks."""
    seen: list[bytes] = []
    again = gzip_unpacker._member_again

    def watched(file: Any, held: bytes, num_known: int) -> Any:
        end = yield from again(file, held, num_known)
        seen.append(end.reason.encode())
        return end

    monkeypatch.setattr(gzip_unpacker, "_member_again", watched)
    return seen


def test_a_sound_file_needs_no_zlib(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = spy(monkeypatch)
    found = read(gzip.compress(MEMBER) * 3)
    assert [where for where, _ in found] == [f"a.json.gz:{line}" for line in range(1, 121)]
    assert seen == []


def test_the_lines_before_damage_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = spy(monkeypatch)
    stored = bytearray(gzip.compress(MEMBER, mtime=0))
    stored[-5] ^= 0xFF  # in the checksum: all lines are unpacked before the damage shows
    *rows, last = read(bytes(stored))
    assert [row["id"] for _, row in rows] == list(range(40))
    assert last == (
        "rejected",
        ("a.json.gz@0", "damaged_gzip", "Error -3 while decompressing data: incorrect data check", True),
    )
    assert seen == [b"damaged_gzip"]


@pytest.mark.parametrize("flags", range(32))
@pytest.mark.parametrize("piece_bytes", range(1, 40, 3))
def test_optional_fields_of_a_header_may_be_cut_anywhere(
    flags: int, piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_piece(monkeypatch, piece_bytes)
    # A name that is a block of packed data: read as the text, it would give a row that nobody wrote.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    name = packer.compress(b'{"id": 99}\n') + packer.flush(zlib.Z_SYNC_FLUSH)
    stored = with_fields(gzip.compress(MEMBER, mtime=0), flags, name)
    found = read(stored * 3)
    assert [row["id"] for _, row in found] == [*range(40)] * 3
    monkeypatch.setattr(paper_archive, "_PIECE_BYTES", piece_bytes)
    unpacked = paper_archive.Gunzip(io.BytesIO(stored * 3))
    assert b"".join(iter(lambda: unpacked.read(1000), b"")) == MEMBER * 3


@pytest.mark.parametrize("num_zeros", [1, 7, 64, 1000])
def test_zeros_after_a_member_are_padding(num_zeros: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_piece(monkeypatch, 64)
    sound = gzip.compress(MEMBER, mtime=0) + bytes(num_zeros)
    found = read(sound * 2 + b"junk")
    assert [row["id"] for _, row in found[:-1]] == [*range(40)] * 2
    _, (location, reason, _, is_whole_file) = found[-1]
    assert (location, reason, is_whole_file) == (f"a.json.gz@{2 * len(sound)}", "damaged_gzip", True)


def test_zeros_before_the_first_member_are_not() -> None:
    ((_, (location, reason, _, _)),) = read(bytes(5) + b"\x1f\x8b\x08")
    assert (location, reason) == ("a.json.gz:1", "not_utf8")


def test_members_with_an_extra_field_are_read_without_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bgzip writes such members, 64 kB each. A store answers each jump with a new request."""
    jumps: list[int] = []

    class Jumps(io.BytesIO):
        def seek(self, to: int, whence: int = 0) -> int:
            jumps.append(to)
            return super().seek(to, whence)

    set_piece(monkeypatch, 1000)
    data = with_fields(gzip.compress(MEMBER, mtime=0), 4, b"BC\2\0\0\0") * 50
    rows = list(json_lines.read_json_lines("a.json.gz", lambda _: Jumps(data)))
    assert len(rows) == 2000
    assert jumps == [0]


def test_reserved_flags_of_a_header_are_refused() -> None:
    stored = bytearray(gzip.compress(MEMBER, mtime=0))
    stored[3] |= 0x20
    ((_, (_, reason, detail, _)),) = read(bytes(stored))
    assert (reason, detail) == ("damaged_gzip", "Error -3 while decompressing data: unknown header flags set")
