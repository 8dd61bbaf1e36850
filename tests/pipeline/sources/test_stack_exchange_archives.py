"""Tests archives of dumps: unpacking as a stream, damaged archives, hostile archives, and real dumps, whose numbers are
known.
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import py7zr
import pytest
from py7zr.properties import FILTER_DEFLATE64

from pipeline.sources.formats.bzip2_threads import ThreadedUnpacker
from pipeline.sources.source import Chunk, InputFile, Rejected, TableRow, Unit
from pipeline.sources.stack_exchange import seven_zip as stack_exchange_7z
from pipeline.sources.stack_exchange.reader import AnswerJoin, StackExchangeReader

READER = StackExchangeReader()
JOIN = AnswerJoin()
ODD_ROWS = (Path(__file__).parents[2] / "cases/stack_exchange/odd_rows.xml").read_bytes()


def open_file(path: str) -> BinaryIO:
    return Path(path).open("rb")


def files(*paths: Path) -> list[InputFile]:
    return [InputFile(str(path), path.stat().st_size) for path in paths]


def read_bytes_as(data: bytes, site: str = "a.stackexchange.com") -> list[TableRow | Rejected]:
    unit = Unit(path=f"{site}/Posts.xml", num_bytes=len(data), kind=f"xml:{site}", end=len(data))
    return list(READER.read(unit, lambda path: io.BytesIO(data)))


def posts_of(items: list[Any]) -> dict[int, dict[str, Any]]:
    return {item.row["post_id"]: item.row for item in items if isinstance(item, TableRow)}


def rejects_of(items: list[Any]) -> list[tuple[str, bool]]:
    return [(item.reason, item.is_bad) for item in items if isinstance(item, Rejected)]


def read_archive(path: Path, tmp_path: Path, reader: StackExchangeReader = READER) -> Iterator[TableRow | Rejected]:
    """Unpacks an archive and reads its chunks as the pipeline does. A chunk is a part of a spill file, between other
    data.
    """
    spill = tmp_path / "spill"
    for unit in reader.units(files(path), open_file):
        assert unit.kind in reader.CONTAINERS
        for chunk in reader.unpack(unit, open_file):
            if isinstance(chunk, Rejected):
                yield chunk
                continue
            spill.write_bytes(b"before" + chunk.data + b"<row behind")
            yield from reader.read(
                Unit(path=str(spill), num_bytes=len(chunk.data), kind=chunk.kind, start=6, end=6 + len(chunk.data),
                     origin=chunk.origin), open_file)  # fmt: skip


def pack(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    with py7zr.SevenZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(data, name)
    return path


# ------------------------------------------------------------------------------------------------------- archives


FILTERS: dict[str, Any] = {
    "lzma2": [{"id": py7zr.FILTER_LZMA2, "preset": 1}],
    "lzma": [{"id": py7zr.FILTER_LZMA, "preset": 1}],
    "bzip2, the dumps' own": [{"id": py7zr.FILTER_BZIP2}],
    "deflate": [{"id": py7zr.FILTER_DEFLATE}],
    "deflate64": [{"id": FILTER_DEFLATE64}],
    "zstd": [{"id": py7zr.FILTER_ZSTD, "level": 3}],
    "brotli": [{"id": py7zr.FILTER_BROTLI, "level": 5}],
    "ppmd": [{"id": py7zr.FILTER_PPMD, "order": 6, "mem": 20}],
    "delta": [{"id": py7zr.FILTER_DELTA}, {"id": py7zr.FILTER_LZMA2, "preset": 1}],
    "x86": [{"id": py7zr.FILTER_X86}, {"id": py7zr.FILTER_BZIP2}],
    "stored": [{"id": py7zr.FILTER_COPY}],
}


def many_rows(num_rows: int, num_chars: int = 200) -> bytes:
    rng = random.Random(0)
    rows = (
        f'  <row Id="{i}" PostTypeId="1" Score="{i % 7}" Title="t{i}" Body="{rng.randbytes(num_chars // 2).hex()}" />\n'
        for i in range(1, num_rows + 1)
    )
    return ("<?xml version='1.0'?>\n<posts>\n" + "".join(rows) + "</posts>").encode()


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_archive(filters: Any, tmp_path: Path) -> None:
    other = many_rows(50).replace(b"<posts>", b"<comments>")
    members = {"Comments.xml": other, "Posts.xml": ODD_ROWS, "Votes.xml": other}
    path = pack(tmp_path / "a.stackexchange.com.7z", members, filters=filters)
    items = list(read_archive(path, tmp_path))
    plain = read_bytes_as(ODD_ROWS)
    assert [i.row for i in items if isinstance(i, TableRow)] == [i.row for i in plain if isinstance(i, TableRow)]
    assert rejects_of(items) == rejects_of(plain)
    locations = [i.location.replace("Posts.xml@", "#") for i in plain if isinstance(i, Rejected)]
    assert [i.location.rpartition("@")[2] for i in items if isinstance(i, Rejected)] == [
        p.rpartition("#")[2] for p in locations
    ]
    assert all(i.location.startswith(f"{path}#Posts.xml@") for i in items if isinstance(i, Rejected))


def test_chunks_are_whole_rows_of_about_8_mb(tmp_path: Path) -> None:
    data = many_rows(20_000, 1000)
    path = pack(tmp_path / "stackoverflow.com-Posts.7z", {"Posts.xml": data}, filters=FILTERS["stored"])
    (unit,) = READER.units(files(path), open_file)
    chunks = [chunk for chunk in READER.unpack(unit, open_file) if isinstance(chunk, Chunk)]
    assert {chunk.kind for chunk in chunks} == {"rows:stackoverflow.com"}
    assert len(chunks) <= 4
    assert all(len(chunk.data) < 9 << 20 and chunk.data.startswith(b"<row ") for chunk in chunks)
    assert data.endswith(b"".join(chunk.data for chunk in chunks))


def test_unpacking_waits_for_the_reader_and_ends_with_it(tmp_path: Path) -> None:
    data = many_rows(50_000, 1000)
    path = pack(tmp_path / "a.stackexchange.com.7z", {"Posts.xml": data}, filters=FILTERS["stored"])
    opened: list[BinaryIO] = []

    def watched(path: str) -> BinaryIO:
        opened.append(open_file(path))
        return opened[-1]

    (unit,) = READER.units(files(path), open_file)
    before = threading.active_count()
    chunks = READER.unpack(unit, watched)
    assert isinstance(next(iter(chunks)), Chunk)
    threading.Event().wait(0.3)
    assert opened[0].tell() < 16 << 20 < len(data)
    chunks.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert opened[0].closed


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _spoiled(data: bytes) -> bytes:
    return data[:5000] + bytes(b ^ 0x55 for b in data[5000:5050]) + data[5050:]


@pytest.mark.parametrize("spoil", [_cut, _spoiled, lambda data: b"7z" * 50, lambda data: b""])
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_damaged_archive(spoil: Callable[[bytes], bytes], filters: Any, tmp_path: Path) -> None:
    path = pack(tmp_path / "a.stackexchange.com.7z", {"Posts.xml": many_rows(300)}, filters=filters)
    path.write_bytes(spoil(path.read_bytes()))
    items = list(read_archive(path, tmp_path))
    wholes = [item for item in items if isinstance(item, Rejected) and item.is_whole_file]
    assert [item.reason for item in wholes] == ["damaged_7z"]
    assert wholes[0].detail


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_damage_anywhere_is_the_archives_fault(filters: Any, seed: int, tmp_path: Path) -> None:
    """On some damaged archives, PPMd's unpacker ends its process by a signal, and zstd and brotli raise their own
    errors.
    """
    rng = random.Random(seed)
    path = pack(tmp_path / "a.stackexchange.com.7z", {"Posts.xml": many_rows(300)}, filters=filters)
    stored = bytearray(path.read_bytes())
    at, size = rng.randrange(32, len(stored)), rng.choice([1, 4, 40, 400])
    stored[at : at + size] = rng.randbytes(len(stored[at : at + size]))
    path.write_bytes(stored)
    assert "damaged_7z" in [reason for reason, _ in rejects_of(list(read_archive(path, tmp_path)))]


@pytest.mark.parametrize("codec", ["zstd", "brotli", "deflate", "deflate64", "ppmd", "bzip2, the dumps' own"])
def test_an_unpacker_returns_no_more_than_it_is_asked_for(codec: str, tmp_path: Path) -> None:
    data = b"a" * (40 << 20)
    path = pack(tmp_path / "a.7z", {"Posts.xml": data}, filters=FILTERS[codec])
    with py7zr.SevenZipFile(path) as archive, stack_exchange_7z._own_unpackers(archive):
        streams = archive.header.main_streams
        unpacker = streams.unpackinfo.folders[0].get_decompressor(streams.packinfo.packsizes[0]).chain[0]
        packed = path.read_bytes()[32 : 32 + streams.packinfo.packsizes[0]]
        sizes = [len(unpacker.decompress(packed, 1 << 20))]
        while sum(sizes) < len(data):
            sizes.append(len(unpacker.decompress(b"", 1 << 20)))
            assert sizes[-1] > 0
    assert max(sizes) < 4 << 20  # brotli's limit is a rough one
    assert sum(sizes) == len(data)


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("filters", [FILTERS["lzma2"], FILTERS["bzip2, the dumps' own"]], ids=["lzma2", "bzip2"])
def test_an_archive_of_utf16_is_read(codec: str, filters: Any, tmp_path: Path) -> None:
    text = many_rows(300).decode().replace("t1", "“ł😀”")
    path = pack(tmp_path / "a.stackexchange.com.7z", {"Posts.xml": text.encode(codec)}, filters=filters)
    items = list(read_archive(path, tmp_path))
    assert [i.row for i in items if isinstance(i, TableRow)] == [
        i.row for i in read_bytes_as(text.encode()) if isinstance(i, TableRow)
    ]
    assert len(posts_of(items)) == 300
    assert rejects_of(items) == []


@pytest.fixture(scope="module")
def seen() -> list[int]:
    """Returns a list that gets the number of bytes that each number of threads unpacked."""
    return []


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_bzip2_is_unpacked_by_threads(
    num_threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[int]
) -> None:
    """Unpacks the middle member of a solid archive with many blocks. Then damages this member and unpacks it again."""
    monkeypatch.setattr(stack_exchange_7z, "num_threads", lambda: num_threads)
    made: list[ThreadedUnpacker] = []

    class Watched(ThreadedUnpacker):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(stack_exchange_7z, "ThreadedUnpacker", Watched)
    data, other = many_rows(6000, 600), many_rows(1500, 600)
    members = {"Comments.xml": other, "Posts.xml": data, "Votes.xml": other}
    path = pack(tmp_path / "a.stackexchange.com.7z", members, filters=FILTERS["bzip2, the dumps' own"])
    (unit,) = READER.units(files(path), open_file)
    before = threading.active_count()
    chunks = list(READER.unpack(unit, open_file))
    assert data.endswith(b"".join(chunk.data for chunk in chunks if isinstance(chunk, Chunk)))
    assert sum(len(chunk.data) for chunk in chunks if isinstance(chunk, Chunk)) > len(data) - 100
    assert len(made) == 1
    stored = path.read_bytes()
    path.write_bytes(stored[: len(stored) // 2] + b"?" * 9 + stored[len(stored) // 2 + 9 :])
    *found, last = list(READER.unpack(unit, open_file))
    assert isinstance(last, Rejected)
    assert (last.reason, last.is_whole_file, last.location) == ("damaged_7z", True, f"{path}#Posts.xml")
    given = b"".join(chunk.data for chunk in found if isinstance(chunk, Chunk))
    assert given in data
    assert len(given) > len(data) // 5  # whatever the number of threads: all the rows before the damaged block
    seen.append(len(given))
    assert len(set(seen)) == 1
    assert threading.active_count() == before


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.stackexchange.com.7z", {"Posts.xml": b"<posts>" + b" " * (65 << 20)},
                filters=FILTERS["lzma2"])  # fmt: skip
    assert path.stat().st_size < 100_000
    items = list(read_archive(path, tmp_path))
    assert rejects_of(items) == [("archive_bomb", True)]
    assert items[0].is_whole_file  # type: ignore[union-attr]


def test_other_archives(tmp_path: Path) -> None:
    empty = pack(tmp_path / "a.stackexchange.com.7z", {"Votes.xml": b"<votes />"})
    assert rejects_of(list(read_archive(empty, tmp_path))) == [("no_posts_xml", True)]
    locked = pack(tmp_path / "b.stackexchange.com.7z", {"Posts.xml": ODD_ROWS}, password="x")
    assert rejects_of(list(read_archive(locked, tmp_path))) == [("damaged_7z", True)]
    climbing = pack(tmp_path / "c.stackexchange.com.7z", {"d.stackexchange.com/Posts.xml": ODD_ROWS})
    assert {p["site"] for p in posts_of(list(read_archive(climbing, tmp_path))).values()} == {"d.stackexchange.com"}


def test_a_disk_that_fails_is_not_a_damaged_archive(tmp_path: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    (unit,) = READER.units([InputFile("a.stackexchange.com.7z", 100)], open_file)
    with pytest.raises(OSError, match="Input/output"):
        list(READER.unpack(unit, lambda path: Failing(b"x" * 100)))


# ------------------------------------------------------------------------------------------------------ real dumps


@pytest.mark.real
def test_real_archives_hold_what_the_plain_files_hold(corpus_data: Path, tmp_path: Path) -> None:
    archives = sorted(corpus_data.glob("stackexchange/wrapped-7z/*.7z"))
    assert len(archives) == 3
    for archive in archives:
        plain = corpus_data / "stackexchange" / archive.stem / "Posts.xml"
        units = StackExchangeReader(unit_bytes=100_000).units(files(plain), open_file)
        rows = [item for unit in units for item in READER.read(unit, open_file)]
        unpacked = list(read_archive(archive, tmp_path))
        assert posts_of(unpacked) == posts_of(rows)
        assert len(posts_of(rows)) > 400
        assert rejects_of(unpacked) == rejects_of(rows)


@pytest.mark.real
def test_real_dumps_lose_nothing(corpus_data: Path) -> None:
    paths = sorted(corpus_data.glob("stackexchange/*/Posts.xml"))
    num_rows = Counter[str]()
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for unit in StackExchangeReader(unit_bytes=300_000).units(files(*paths), open_file):
        for item in READER.read(unit, open_file):
            if isinstance(item, Rejected):
                num_rows[item.reason] += 1
            else:
                num_rows["post"] += 1
                groups.setdefault(JOIN.group_key(item.row), []).append(item.row)
    assert num_rows == {"post": 6257, "not_question_or_answer": 517}
    made = [item for group in groups.values() for item in JOIN.assemble(group)]
    documents = [item for item in made if isinstance(item, dict)]
    assert len({document["id"] for document in documents}) == len(documents) == 1818
    left_out = Counter(item.reason for item in made if isinstance(item, Rejected))
    num_kept = sum(1 + document["num_answers"] for document in documents)
    assert num_kept + left_out.total() == 6257
    assert set(left_out) == {"duplicate_post", "empty_answer"}
    assert left_out["empty_answer"] <= 6
    for document in documents:
        assert document["answer_scores"] == sorted(document["answer_scores"], reverse=True)


@pytest.mark.real
def test_the_judge_finds_nothing_lost(corpus_data: Path, tmp_path: Path) -> None:
    """The judge counts the posts in the raw XML, and shares no code with this project. One dump per site is read."""
    paths = [
        p for p in sorted(corpus_data.glob("stackexchange/*/Posts.xml")) if p.parent.name != "ai.stackexchange.com"
    ]
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for unit in READER.units(files(*paths), open_file):
        for item in READER.read(unit, open_file):
            if isinstance(item, TableRow):
                groups.setdefault(JOIN.group_key(item.row), []).append(item.row)
    lines = [json.dumps(item) for group in groups.values() for item in JOIN.assemble(group) if isinstance(item, dict)]
    documents = tmp_path / "documents.jsonl"
    documents.write_text("\n".join(lines), "utf-8")
    judge = Path(__file__).parents[3] / "benchmarks/judges/stack_exchange.py"
    judged = subprocess.run([sys.executable, judge, documents, *paths], capture_output=True, text=True, check=False)
    figures = json.loads(judged.stdout)
    assert judged.returncode == 0, figures
    assert figures["questions"] == len(lines) > 1500
    assert figures["words"] > 900_000
    assert figures["share_of_words_kept"] > 0.9998
    assert figures["tags_left"] == figures["questions_lost"] == figures["answers_lost_or_out_of_order"] == 0
