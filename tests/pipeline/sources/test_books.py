"""Tests books in all file formats and encodings, sound and broken."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.books import archives as books_archives
from pipeline.sources.books.reader import SOURCE, BooksReader
from pipeline.sources.books.text_and_header import decode, header_of
from pipeline.sources.source import Document, InputFile, Rejected, Unit

_HEADER = """The Project Gutenberg EBook of A Walk, by A. Body

Title: A Walk
       or The Way Home

Author: A. Body

Release Date: June, 1998 [EBook #4711]

Language: German

Character set encoding: {charset}

*** START OF THIS PROJECT GUTENBERG EBOOK A WALK ***

Er ging über die Straße.
"""


def _files(**stored: bytes) -> dict[str, bytes]:
    return stored


def _read(stored: dict[str, bytes], reader: BooksReader | None = None) -> list[Document | Rejected]:
    def open_file(path: str) -> BinaryIO:
        return io.BytesIO(stored[path])

    reader = reader or BooksReader()
    units = reader.units([InputFile(path, len(data)) for path, data in stored.items()], open_file)
    return [found for unit in units for found in reader.read(unit, open_file)]  # type: ignore[misc]


def _told(found: list[Document | Rejected]) -> list[tuple[str, str]]:
    return [(item.location, item.reason) for item in found if isinstance(item, Rejected)]


def _texts(found: list[Document | Rejected]) -> list[str]:
    return [item["text"] for item in found if not isinstance(item, Rejected)]


def _zip(members: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return buffer.getvalue()


def _tar(members: dict[str, bytes], *, packed: bool = True) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0) if packed else buffer.getvalue()


def test_a_gutenberg_text_tells_who_it_is() -> None:
    (book,) = _read({"4711/4711-8.txt": _HEADER.format(charset="ISO-8859-1").replace("\n", "\r\n").encode("latin-1")})
    assert isinstance(book, dict)
    assert book["text"] == _HEADER.format(charset="ISO-8859-1")
    del book["text"]
    assert book["id"].startswith("gutenberg-4711-")
    assert len(book.pop("id")) == len("gutenberg-4711-") + 8
    assert book == {
        "title": "A Walk or The Way Home",
        "author": "A. Body",
        "gutenberg_id": 4711,
        "url": "https://www.gutenberg.org/ebooks/4711",
        "encoding": "cp1252",
        "encoding_decided_by": "declared",
        "encoding_certainty": 1.0,
        "language": "de",
    }
    assert set(book) - {"language"} == set(BooksReader.COLUMNS)


def test_editions_of_one_number_have_ids_of_their_own_and_the_same_text_has_one() -> None:
    text = _HEADER.format(charset="UTF-8")
    found = _read(
        {
            "a/1-0.txt": text.encode(),
            "b/pg1.txt": text.replace("\n", "\r\n").encode("utf-8-sig"),
            "c/1.txt": text.replace("ü", "ue").replace("ß", "ss").encode(),
            "d.zip": _zip({"x.txt": text.encode()}),
            "plain.txt": b"No header here.",
            "same.jsonl": b'{"text": "No header here."}\n',
        }
    )
    ids = [book["id"] for book in found if isinstance(book, dict)]
    assert ids[0] == ids[1] == ids[3] != ids[2]
    assert ids[4] == ids[5]
    assert ids[4].startswith("book-")
    assert len(ids[4]) == len("book-") + 16


@pytest.mark.parametrize(
    ("encoded", "encoding"),
    [
        ("Er ging über die Straße.".encode(), "utf-8"),
        ("Er ging über die Straße.".encode("utf-8-sig"), "utf-8"),
        ("Er ging über die Straße.".encode("utf-16"), "utf-16-le"),
        ("Er ging über die Straße. “Ja—nein”".encode("cp1252"), "cp1252"),
        ("Er ging über die Straße und hörte Möwen.".encode("cp850"), "cp850"),
        ("À l’école, Noël était déjà là : « où ça ? »".encode("mac_roman"), "mac-roman"),
        ("Он вышел утром и вернулся вечером.".encode("cp1251"), "cp1251"),
        ("Он вышел утром и вернулся вечером.".encode("koi8_r"), "koi8-r"),
        ("Młynarz wyszedł przed świtem, żeby zdążyć.".encode("iso8859-2"), "iso8859-2"),
        ("Mlýnář vyšel před úsvitem, aby stihl žně.".encode("cp1250"), "cp1250"),
    ],
    ids=["utf-8", "mark", "utf-16", "cp1252", "cp850", "mac_roman", "cp1251", "koi8_r", "latin-2", "cp1250"],
)
def test_encodings_are_detected(encoded: bytes, encoding: str) -> None:
    decoded = decode(encoded)
    assert decoded is not None
    assert decoded.encoding == encoding
    assert decoded.text == encoded.decode("utf-8-sig" if encoded[:3] == b"\xef\xbb\xbf" else encoding).lstrip("\ufeff")


def test_a_guess_says_that_it_is_one_and_how_certain_it_is() -> None:
    for word, is_certain in (("Mlýnář vyšel před úsvitem, aby stihl žně.", True), ("ž", False)):
        decoded = decode(word.encode("iso8859-2" if word == "ž" else "cp1250"))
        assert decoded is not None
        assert decoded.decided_by == "guessed"
        assert (decoded.certainty > 0.99) is is_certain


def test_the_language_of_the_header_helps_with_a_guess() -> None:
    book = _HEADER.format(charset="").replace("German", "Hungarian").replace("Er ging über die Straße.", "hűl a bő hó")
    decoded = decode(book.encode("iso8859-2"))
    assert decoded is not None
    assert decoded.text == book


@pytest.mark.parametrize(
    ("declared", "stored", "encoding"),
    [
        ("ISO-8859-1", "cp1252", "cp1252"),
        ("ISO Latin-1", "cp1252", "cp1252"),
        ("Windows-1252", "cp1252", "cp1252"),
        ("CP-850", "cp850", "cp850"),
        ("MacRoman", "mac_roman", "mac-roman"),
        ("UTF-8", "utf-8", "utf-8"),
        ("ISO-8859-1", "utf-8", "utf-8"),  # its header is wrong
        ("UTF-8", "cp1252", "cp1252"),
        ("ASCII", "cp1252", "cp1252"),
        ("a new one", "cp1252", "cp1252"),
    ],
)
def test_the_declared_encoding_counts_where_the_bytes_fit_it(declared: str, stored: str, encoding: str) -> None:
    text = _HEADER.format(charset=declared)
    decoded = decode(text.encode(stored))
    assert decoded is not None
    assert (decoded.text, decoded.encoding) == (text, encoding)


@given(st.binary(max_size=400))
def test_any_bytes_decode_or_are_no_text(data: bytes) -> None:
    decoded = decode(data)
    if decoded is not None:
        assert "\r" not in decoded.text
        assert "\0" not in decoded.text
        decoded.text.encode()


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\ufeff")))
def test_utf8_comes_back_as_it_was(text: str) -> None:
    decoded = decode(text.encode())
    assert decoded is not None
    assert decoded.text == text


def test_headers_of_the_nineties() -> None:
    line = "******The Project Gutenberg Etext of A Long Walk, by A. Body****"
    found = header_of(f"{line}\n\nOctober, 1995  [Etext #345]\n")
    assert (found.title, found.author, found.gutenberg_id) == ("A Long Walk", "A. Body", 345)
    assert header_of("Title: A Walk\n\n[EBook #12]") == header_of("")  # not of Gutenberg
    assert header_of("Project Gutenberg\nLanguage: English and French\n").language is None


def test_all_forms_of_books(tmp_path: Path) -> None:
    rows = [
        {"text": "row one", "meta": {"title": "T", "url": "http://www.gutenberg.org/ebooks/10762"}},
        {"text": "row two"},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    found = _read(
        _files(
            **{
                "a.txt": b"plain",
                "b.txt.gz": gzip.compress(b"gzipped"),
                "c.zip": _zip({"c/1.txt": b"in a zip", "c/2.TXT": b"too"}),
                "d.tar.gz": _tar({"train/1.txt": b"in a tar", "train/": b""}),
                "e.tar": _tar({"2.txt": b"not packed"}, packed=False),
                "f.jsonl": lines,
                "g.jsonl.gz": gzip.compress(lines),
                "h.jsonl.zst": zstandard.ZstdCompressor().compress(lines),
            }
        )
    )
    plain = ["plain", "gzipped", "in a zip", "too", "in a tar", "not packed"]
    assert _texts(found) == plain + ["row one", "row two"] * 3
    assert _told(found) == [("d.tar.gz#train/", "unknown_form")]
    row = found[-2]
    assert isinstance(row, dict)
    assert (row["gutenberg_id"], row["title"], row["url"]) == (10762, "T", "http://www.gutenberg.org/ebooks/10762")
    assert row["id"].startswith("gutenberg-10762-")
    assert list(tmp_path.iterdir()) == []


def test_other_forms_of_the_same_books_are_named_and_read_past() -> None:
    found = _read(
        {"1/1.txt": b"book", "1/1-h.htm": b"<html>", "1/old/1.tex": b"\\chapter", "1/pic.zip": _zip({"a.jpg": b"x"})}
    )
    assert _texts(found) == ["book"]
    assert _told(found) == [
        ("1/1-h.htm", "unknown_form"),
        ("1/old/1.tex", "unknown_form"),
        ("1/pic.zip#a.jpg", "unknown_form"),
    ]
    assert not any(item.is_bad for item in found if isinstance(item, Rejected))


def test_a_glob_that_holds_no_books_is_the_users_mistake() -> None:
    with pytest.raises(ValueError, match=r"no file among 2 ends in any of \.txt"):
        _read({"a.htm": b"", "b.pdf": b""})


def test_a_zip_inside_a_zip_is_read_once_and_no_deeper() -> None:
    inner = _zip({"inner.txt": b"inside"})
    found = _read({"a.zip": _zip({"b.zip": inner, "c.zip": _zip({"d.zip": inner}), "last.txt": b"last"})})
    assert _texts(found) == ["inside", "last"]
    assert _told(found) == [("a.zip#c.zip#d.zip", "nested_archive")]


def test_names_that_climb_out_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    members = {"../../climb.txt": b"one", "/etc/passwd.txt": b"two"}
    found = _read({"a.zip": _zip(members), "a.tar.gz": _tar(members)})
    assert _texts(found) == ["one", "two", "one", "two"]
    assert list(tmp_path.rglob("*")) == []
    assert not (tmp_path.parent.parent / "climb.txt").exists()


def test_a_damaged_member_is_named_and_the_next_is_read() -> None:
    data = bytearray(_zip({"1.txt": b"first " * 50, "2.txt": b"second"}))
    at = data.index(b"1.txt") + 5
    data[at + 4 : at + 10] = b"\xff" * 6
    found = _read({"a.zip": bytes(data)})
    assert _texts(found) == ["second"]
    assert _told(found) == [("a.zip#1.txt", "damaged_zip")]


def test_encrypted_and_imploded_members_are_named() -> None:
    data = bytearray(_zip({"1.txt": b"first", "2.txt": b"second", "3.txt": b"third"}, compression=zipfile.ZIP_STORED))
    entry = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, entry + 8, 1)  # the encryption flag of the first, in the directory
    entry = data.index(b"PK\x01\x02", entry + 4)
    struct.pack_into("<H", data, entry + 10, 6)  # imploded
    found = _read({"a.zip": bytes(data)})
    assert _told(found) == [("a.zip#1.txt", "encrypted"), ("a.zip#2.txt", "unsupported_compression")]
    assert _texts(found) == ["third"]


def _broken() -> Iterator[Any]:
    whole_zip, whole_tar = _zip({"1.txt": b"one " * 200}), _tar({"1.txt": bytes(range(32, 127)) * 300, "2.txt": b"two"})
    yield pytest.param("a.zip", whole_zip[: len(whole_zip) // 2], "damaged_zip", id="zip cut in half")
    yield pytest.param("a.zip", b"", "damaged_zip", id="empty zip")
    yield pytest.param("a.zip", b"PK\x05\x06" + b"\xff" * 18, "archive_bomb", id="zip with a huge directory")
    yield pytest.param("a.tar.gz", whole_tar[: len(whole_tar) // 2], "truncated_gzip", id="tar.gz cut in half")
    yield pytest.param("a.tar.gz", whole_tar[:200] + b"\0" * 60 + whole_tar[260:], "damaged_gzip", id="tar.gz damaged")
    yield pytest.param("a.tar", b"x" * 2_000, "damaged_tar", id="no tar")
    yield pytest.param("a.txt.gz", gzip.compress(b"text" * 99)[:-9], "truncated_gzip", id="gz cut")
    yield pytest.param("a.txt", b"", "empty", id="empty text")
    yield pytest.param("a.txt", b" \r\n ", "empty", id="blank text")
    yield pytest.param("a.txt", b"\0" * 10_000, "not_text", id="NULs")
    yield pytest.param("a.jsonl", b'{"text": 1}\n', "no_text", id="text is a number")
    yield pytest.param("a.jsonl", b'{"text": "\n', "not_json", id="not JSON")
    yield pytest.param("a.jsonl", b'{"text": "\\u0000\\u0001"}\n', "not_text", id="NULs in JSON")


@pytest.mark.parametrize(("path", "data", "reason"), _broken())
def test_broken_input_is_named_and_reading_goes_on(path: str, data: bytes, reason: str) -> None:
    found = _read({path: data, "z.txt": b"the next file"})
    assert reason in [told for _, told in _told(found)]
    assert all(location.startswith(path) for location, _ in _told(found))
    assert _texts(found)[-1] == "the next file"


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_damage_raises(at: int, value: int) -> None:
    for path, data in (("a.zip", _zip({"1.txt": b"one " * 20})), ("a.tar.gz", _tar({"1.txt": b"one " * 20}))):
        damaged = bytearray(data)
        damaged[at % len(damaged)] = value
        assert _read({path: bytes(damaged)}) is not None


def test_sizes_are_bounded_by_what_is_unpacked_not_by_what_is_said() -> None:
    reader = BooksReader(max_book_bytes=1_000)
    bomb = b"a" * 5_000_000
    found = _read(
        {
            "a.txt": b"a" * 1_001,
            "b.txt.gz": gzip.compress(bomb),
            "c.zip": _zip({"1.txt": bomb, "2.txt": b"small"}),
            "d.tar.gz": _tar({"1.txt": bomb, "2.txt": b"small"}),
            "e.jsonl": json.dumps({"text": "a" * 1_001}).encode(),
            "f.txt": b"a" * 1_000,
        },
        reader,
    )
    assert _told(found) == [
        (location, "too_many_bytes") for location in ("a.txt", "b.txt.gz", "c.zip#1.txt", "d.tar.gz#1.txt", "e.jsonl:1")
    ]
    assert [len(text) for text in _texts(found)] == [5, 5, 1_000]


def test_an_archive_bomb_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books_archives, "_FREE_BYTES", 100_000)
    members = {f"{number}.txt": b"a" * 500_000 for number in range(9)}
    found = _read({"a.zip": _zip(members), "b.tar.gz": _tar(members)})
    assert [told for told in _told(found) if told[1] == "archive_bomb"] == [
        ("a.zip", "archive_bomb"),
        ("b.tar.gz", "archive_bomb"),
    ]
    assert all(item.is_whole_file for item in found if isinstance(item, Rejected))


def test_a_tar_header_that_says_it_is_huge_is_refused() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    found = _read({"a.tar": info.tobuf() + b"\0" * 10_240})
    assert _told(found) == [("a.tar", "damaged_tar")]


def test_the_source_is_a_value() -> None:
    assert SOURCE.name == "books"
    assert [step.NAME for step in SOURCE.steps][-2:] == ["duplicate_id", "near_dedup"]


@pytest.mark.real
def test_real_books(corpus_data: Path) -> None:
    paths = [str(path) for path in sorted((corpus_data / "books").rglob("*")) if path.is_file()]
    reader = BooksReader()

    def open_file(path: str) -> BinaryIO:
        return open(path, "rb")

    units: list[Unit] = reader.units([InputFile(path, Path(path).stat().st_size) for path in paths], open_file)
    found = [item for unit in units for item in reader.read(unit, open_file)]
    books = [item for item in found if isinstance(item, dict)]
    assert [item.reason for item in found if isinstance(item, Rejected)] == ["unknown_form"] * 2
    assert len(books) == 30
    assert len({book["id"] for book in books}) == 30
    numbers = {Path(path).relative_to(corpus_data / "books").parts[0] for path in paths}
    assert {str(book["gutenberg_id"]) for book in books} == numbers | {"None"}
    assert sum(book["title"] is None for book in books) == 1  # the listing
    assert not any("\ufffd" in book["text"] or "\r" in book["text"] for book in books)
