"""Tests large files of books. If a task first unpacks them into chunks, the books are the same as if the files are read
directly.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.books import chunks as books_unpack
from pipeline.sources.books.reader import BooksReader
from pipeline.sources.formats.json_lines import read_json_lines
from pipeline.sources.source import Chunk, InputFile, Rejected, Unit

RNG = random.Random(3)
WORDS = ("walk", "house", "tree", "river", "stone", "light", "over", "under", "green", "small")


def book(num_words: int) -> bytes:
    return " ".join(RNG.choice(WORDS) for _ in range(num_words)).encode()


def zip_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tar_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


MEMBERS = {
    "train/1.txt": book(3000), "2.TXT": book(10), "pictures/a.jpg": b"x", "nested.zip": zip_of({"in.txt": book(50)}),
    "empty.txt": b"", "\udcff.txt": book(20), "long" * 150 + ".txt": book(30), "nul.txt": bytes(500),
    **{f"more/{number}.txt": book(RNG.choice((5, 400, 4000))) for number in range(30)},
}  # fmt: skip
ROWS = [json.dumps({"text": book(RNG.choice((5, 400, 4000))).decode()}).encode() for _ in range(40)]
LINES = b"\n".join([*ROWS[:20], b"", b"no json", b'{"text": 1}', b"\r", *ROWS[20:], b""])
FORMS: dict[str, tuple[str, bytes]] = {
    "tar.gz": ("b.tar.gz", gzip.compress(tar_of(MEMBERS), mtime=0)),
    "tar": ("b.tar", tar_of(MEMBERS)),
    "zip": ("b.zip", zip_of({name: data for name, data in MEMBERS.items() if name.isprintable()})),
    "jsonl": ("b.jsonl", LINES),
    "jsonl.gz": ("b.jsonl.gz", gzip.compress(LINES[:9000]) + gzip.compress(LINES[9000:])),
    "jsonl.zst": ("b.jsonl.zst", zstandard.ZstdCompressor().compress(LINES)),
}


def spilled(path: str, data: bytes, **settings: Any) -> Iterator[dict[str, Any] | Rejected]:
    """Unpacks a file and reads its chunks as the pipeline does. A chunk is a part of a spill file, between other
    data.
    """
    reader = BooksReader(max_unit_bytes=1, **settings)
    (unit,) = reader.units([InputFile(path, len(data))], lambda _: io.BytesIO(data))
    assert unit.kind in reader.CONTAINERS
    for found in reader.unpack(unit, lambda _: io.BytesIO(data)):
        if isinstance(found, Rejected):
            yield found
            continue
        stored = b"before" + found.data + b"behind"
        piece = Unit(path="spill", num_bytes=len(found.data), kind=found.kind, start=6, end=6 + len(found.data),
                     origin=found.origin)  # fmt: skip
        assert piece.kind not in reader.CONTAINERS
        yield from reader.read(piece, lambda _, stored=stored: io.BytesIO(stored))


def at_once(path: str, data: bytes, **settings: Any) -> Iterator[dict[str, Any] | Rejected]:
    reader = BooksReader(**settings)
    (unit,) = reader.units([InputFile(path, len(data))], lambda _: io.BytesIO(data))
    assert unit.kind not in reader.CONTAINERS
    yield from reader.read(unit, lambda _: io.BytesIO(data))


def sorted_out(found: Iterator[dict[str, Any] | Rejected]) -> tuple[list[dict[str, Any]], Counter[Rejected]]:
    items = list(found)
    return [i for i in items if isinstance(i, dict)], Counter(i for i in items if isinstance(i, Rejected))


@pytest.fixture(params=[1, 5_000, 8 << 20])
def chunk_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(books_unpack, "CHUNK_BYTES", request.param)
    return int(request.param)


@pytest.mark.parametrize("form", FORMS)
def test_a_large_file_gives_the_same_books(form: str, chunk_bytes: int) -> None:
    path, data = FORMS[form]
    documents, rejected = sorted_out(spilled(path, data))
    assert (documents, rejected) == sorted_out(at_once(path, data))
    assert len(documents) >= 30
    assert len(rejected) >= 2
    reader = BooksReader(max_unit_bytes=1)
    (unit,) = reader.units([InputFile(path, len(data))], lambda _: io.BytesIO(data))
    chunks = [c for c in reader.unpack(unit, lambda _: io.BytesIO(data)) if isinstance(c, Chunk)]
    assert (len(chunks) >= 30) if chunk_bytes == 1 else (len(chunks) > 3) == (chunk_bytes == 5_000)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000_000), st.integers(0, 255), st.booleans())
def test_a_damaged_one_gives_the_same_too(form: str, at: int, change: int, is_cut: bool) -> None:
    path, data = FORMS[form]
    at %= len(data)
    broken = data[:at] if is_cut else data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
    broken += b"  "  # a file of two bytes is large already
    assert sorted_out(spilled(path, broken)) == sorted_out(at_once(path, broken))


@pytest.mark.parametrize("form", ["tar.gz", "tar", "zip"])
def test_a_book_too_long_is_told_and_not_held(form: str) -> None:
    path, data = FORMS[form]
    documents, rejected = sorted_out(spilled(path, data, max_book_bytes=9_000))
    assert (documents, rejected) == sorted_out(at_once(path, data, max_book_bytes=9_000))
    assert rejected.total() > len([r for r in rejected if r.reason == "unknown_form"])
    assert "too_many_bytes" in {r.reason for r in rejected}


def test_damage_that_only_the_fast_library_tells_is_named() -> None:
    """The fast library isal reports some errors that zlib does not have."""
    data = bytes(gzip.compress(tar_of({f"{n}.txt": book(20_000) for n in range(8)}), mtime=0))
    reasons = Counter[str]()
    for at in range(100, len(data) - 50, len(data) // 40):
        broken = data[:at] + bytes(40) + data[at + 40 :]
        *_, last = list(at_once("b.tar.gz", broken))
        assert isinstance(last, Rejected)
        assert last.is_whole_file
        reasons[last.reason] += 1
    assert set(reasons) <= {"damaged_gzip", "damaged_tar", "truncated_gzip"}
    assert reasons["damaged_gzip"] > 20


def test_small_files_are_read_where_they_are() -> None:
    reader = BooksReader()
    sizes = {"a.tar.gz": 64 << 20, "b.tar.gz": (64 << 20) + 1, "c.txt.gz": 1 << 30, "d.txt": 1 << 30}
    units = reader.units([InputFile(*item) for item in sizes.items()], lambda _: io.BytesIO())
    assert [unit.kind for unit in units] == ["tar", "large_tar", "text_gz", "text"]


def peak_of(work: Callable[[], Any]) -> int:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_is_a_chunk_whatever_the_archive_holds() -> None:
    class Endless(io.RawIOBase):
        """Plays a tar of a thousand books of 100 kB, which is never in memory as a whole."""

        body, position = book(20_000)[:100_000].ljust(100_352), 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            self.position = offset
            return offset

        def read(self, size: int = -1) -> bytes:
            info = tarfile.TarInfo("a.txt")
            info.size = len(self.body)
            one = info.tobuf() + self.body
            at = self.position % len(one)
            out = one[at : at + size] if self.position < 1000 * len(one) else b""
            self.position += len(out)
            return out

    reader = BooksReader(max_unit_bytes=1)
    (unit,) = reader.units([InputFile("a.tar", 100_000_000)], lambda _: io.BytesIO())
    opener: Callable[[str], BinaryIO] = lambda _: Endless()  # type: ignore[assignment,return-value]  # noqa: E731
    num_bytes = 0

    def work() -> None:
        nonlocal num_bytes
        num_bytes = sum(len(c.data) for c in reader.unpack(unit, opener) if isinstance(c, Chunk))

    assert peak_of(work) < 30 << 20
    assert num_bytes > 100_000_000


def test_blank_lines_make_no_endless_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books_unpack, "CHUNK_BYTES", 1000)
    chunks = list(books_unpack.line_chunks(((n, b"") for n in range(1, 5001)), "f"))
    assert len(chunks) >= 5
    found = [row for c in chunks if isinstance(c, Chunk) for row in books_unpack.rows_of(c.data, c.origin)]
    assert found == []


def test_places_are_those_of_the_file() -> None:
    rows = list(read_json_lines("b.jsonl", lambda _: io.BytesIO(LINES)))
    chunks = books_unpack.line_chunks(
        ((n, line) for n, line in enumerate(LINES.split(b"\n"), 1) if n not in (5, 6, 17)), "b.jsonl"
    )
    found = [row for c in chunks if isinstance(c, Chunk) for row in books_unpack.rows_of(c.data, c.origin)]
    assert found == [
        row for row in rows if isinstance(row, Rejected) or row[0] not in {f"b.jsonl:{n}" for n in (5, 6, 17)}
    ]
