"""Tests archives of books. Damage affects only the damaged books, and unpacking never returns more bytes than
requested.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.books.reader import BooksReader
from pipeline.sources.books.zip_methods import unpacked_member
from pipeline.sources.source import Document, InputFile, Rejected

_NAMES = [f"{number}.txt" for number in range(1, 6)]
_METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def _read(path: str, data: bytes) -> list[Document | Rejected]:
    def open_file(path: str) -> BinaryIO:
        return io.BytesIO(data)

    reader = BooksReader()
    units = reader.units([InputFile(path, len(data))], open_file)
    return [found for unit in units for found in reader.read(unit, open_file)]  # type: ignore[misc]


def _texts(found: list[Document | Rejected]) -> list[str]:
    return [item["text"] for item in found if not isinstance(item, Rejected)]


def _reasons(found: list[Document | Rejected]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Rejected)]


def _text(name: str) -> str:
    return f"the book {name} " * 60


def _tar(tar_format: int = tarfile.GNU_FORMAT, names: list[str] = _NAMES) -> tuple[bytes, list[int]]:
    """Returns a tar of five books, and the offset of each member's header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(_text(name).encode())
            archive.addfile(info, io.BytesIO(_text(name).encode()))
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as archive:
        return buffer.getvalue(), [info.offset for info in archive]


@pytest.mark.parametrize("is_packed", [False, True], ids=["tar", "tar.gz"])
@pytest.mark.parametrize("member", range(5))
@pytest.mark.parametrize("damage", ["checksum", "zeroed", "garbage"])
def test_a_damaged_header_costs_its_member_alone(damage: str, member: int, is_packed: bool) -> None:
    data, offsets = _tar()
    at = offsets[member]
    header = bytearray(data[at : at + 512])
    if damage == "checksum":
        header[150] ^= 1
    else:
        header = bytearray(512) if damage == "zeroed" else bytearray(b"\xa5" * 512)
    spoiled = data[:at] + bytes(header) + data[at + 512 :]
    found = _read("a.tar.gz" if is_packed else "a.tar", gzip.compress(spoiled) if is_packed else spoiled)
    assert _texts(found) == [_text(name) for number, name in enumerate(_NAMES) if number != member]
    assert "damaged_tar" in _reasons(found)


@pytest.mark.parametrize("is_packed", [False, True], ids=["tar", "tar.gz"])
@pytest.mark.parametrize("num_bytes", [100, 512, 700])
def test_a_tar_that_is_cut_keeps_the_books_before(num_bytes: int, is_packed: bool) -> None:
    data, offsets = _tar()
    cut = data[: offsets[3] + num_bytes]
    found = _read("a.tar.gz" if is_packed else "a.tar", gzip.compress(cut) if is_packed else cut)
    assert _texts(found) == [_text(name) for name in _NAMES[:3]]
    assert _reasons(found) == ["damaged_tar"]


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_all_formats_of_tars_with_long_names_are_read(tar_format: int) -> None:
    folder = "a" * 90 if tar_format == tarfile.USTAR_FORMAT else "ä" * 150
    names = [f"{folder}/{name}" for name in _NAMES]
    found = _read("a.tar", _tar(tar_format, names)[0])
    assert _texts(found) == [_text(name) for name in names]
    assert _reasons(found) == []


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=600))
@settings(deadline=None)
def test_no_damage_of_a_tar_goes_unnamed_or_costs_more_than_its_neighbours(at: int, garbage: bytes) -> None:
    data, offsets = _tar()
    at %= offsets[-1]
    spoiled = data[:at] + garbage + data[at + len(garbage) :]
    found = _read("a.tar", spoiled)
    touched = [n for n, start in enumerate(offsets) if at < [*offsets, len(data)][n + 1] and at + len(garbage) > start]
    whole = [_text(name) for number, name in enumerate(_NAMES) if number not in touched]
    texts = _texts(found)
    if "damaged_tar" not in _reasons(found):
        assert [text for text in texts if text in whole] == whole
    assert len([text for text in texts if text in whole]) >= len(whole) - 1  # a wrong size may reach over the next


@pytest.mark.parametrize("method", _METHODS)
def test_every_method_of_zips_is_read(method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in _NAMES:
            archive.writestr(name, _text(name))
    found = _read("a.zip", buffer.getvalue())
    assert _texts(found) == [_text(name) for name in _NAMES]


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("is_nested", [False, True])
def test_a_bomb_of_any_method_is_refused_in_bounded_memory(method: int, is_nested: bool) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        with archive.open("bomb.txt", "w", force_zip64=True) as member:
            for _ in range(200 if method != zipfile.ZIP_STORED else 40):
                member.write(b"a" * (1 << 20))
        archive.writestr("book.txt", _text("x"))
    data = buffer.getvalue()
    if is_nested and method != zipfile.ZIP_STORED:
        outer = io.BytesIO()
        with zipfile.ZipFile(outer, "w", method) as archive:
            archive.writestr("inner.zip", data)
        data = outer.getvalue()
    tracemalloc.start()
    found = _read("a.zip", data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert _reasons(found)[0] in ("too_many_bytes", "archive_bomb")
    assert peak < 170 << 20


@pytest.mark.parametrize("method", _METHODS[1:])
def test_an_unpacker_stops_at_what_is_asked_for(method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.txt", b"a" * (30 << 20))
    with zipfile.ZipFile(buffer) as archive:
        (info,) = archive.infolist()
        packed = buffer.getvalue()[info.header_offset + 30 + len("a.txt") :][: info.compress_size]
    for limit in (0, 1, 1_000, 1 << 20):
        assert unpacked_member(io.BytesIO(packed), method, limit) == b"a" * limit


@pytest.mark.parametrize("method", _METHODS)
@given(at=st.integers(0, 2_000), value=st.integers(0, 255))
@settings(deadline=None)
def test_a_damaged_member_of_any_method_is_named(method: int, at: int, value: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("1.txt", _text("one"))
        archive.writestr("2.txt", _text("two"))
    data = bytearray(buffer.getvalue())
    with zipfile.ZipFile(buffer) as archive:
        info = archive.infolist()[0]
    start = info.header_offset + 30 + len("1.txt")
    at = start + at % info.compress_size
    is_same = data[at] == value
    data[at] = value
    found = _read("a.zip", bytes(data))
    assert _texts(found)[-1] == _text("two")
    if not is_same and len(_texts(found)) == 1:
        assert _reasons(found) == ["damaged_zip"]
    else:
        assert _texts(found)[0] == _text("one")
