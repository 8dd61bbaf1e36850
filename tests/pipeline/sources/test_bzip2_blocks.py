"""Tests reading bzip2 by blocks. Any division of a dump into units gives the same pages, damage affects one block, and
threads give the same bytes.
"""

from __future__ import annotations

import bz2
import io
import random
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.formats import bzip2_blocks
from pipeline.sources.formats.bzip2_blocks import Kind, regions, unpack_block
from pipeline.sources.formats.bzip2_threads import ThreadedUnpacker
from pipeline.sources.source import InputFile, Rejected
from pipeline.sources.wikipedia.reader import WikipediaReader
from pipeline.sources.wikipedia.streams import Event, read_bz2

NAME = "dewiki-20220620-pages-articles.xml.bz2"
RNG = random.Random(7)
LETTERS = "abcdefghijklmnopqrstuvwxyz \n"


def page(number: int, num_chars: int) -> str:
    text = "".join(RNG.choices(LETTERS, k=num_chars))
    return (
        f"  <page>\n    <title>Seite {number}</title>\n    <ns>0</ns>\n    <id>{number}</id>\n    <revision>\n"
        f"      <id>{number}</id>\n      <text>{text}</text>\n    </revision>\n  </page>\n"
    )


PAGES = [page(number, RNG.choice((10, 400, 9_000, 40_000))) for number in range(1, 45)]
XML = ("<mediawiki>\n<siteinfo><dbname>dewiki</dbname></siteinfo>\n" + "".join(PAGES) + "</mediawiki>\n").encode()
EMPTY = bz2.compress(b"")
BLOCK = bytes.fromhex("314159265359")


def in_pieces(data: bytes, num_bytes: int, level: int = 1) -> bytes:
    """Compresses every ``num_bytes`` bytes as a separate stream, as pbzip2 does. A stream may end inside a page."""
    return b"".join(bz2.compress(data[at : at + num_bytes], level) for at in range(0, len(data), num_bytes))


PACKED = {
    "one stream of many blocks": bz2.compress(XML, 1),
    "one stream of one block": bz2.compress(XML, 9),
    "many streams": in_pieces(XML, 70_000, 9),
    "streams of several blocks": in_pieces(XML, 250_000),
    "empty streams between": EMPTY + in_pieces(XML, 130_000).replace(b"BZh1", EMPTY + b"BZh1") + EMPTY,
    "a header, then all": in_pieces(XML[:40], 40) + bz2.compress(XML[40:], 1),
}


def read(data: bytes, max_unit_bytes: int) -> tuple[list[dict[str, Any]], list[Rejected]]:
    def open_file(path: str) -> BinaryIO:
        return io.BytesIO(data)

    reader = WikipediaReader(max_unit_bytes=max_unit_bytes)
    units = reader.units([InputFile(NAME, len(data))], open_file)
    assert sum(unit.num_bytes for unit in units) == len(data)
    assert len(units) == max(1, -(-len(data) // max_unit_bytes))
    items = [item for unit in units for item in reader.read(unit, open_file)]
    return [i for i in items if isinstance(i, dict)], [i for i in items if isinstance(i, Rejected)]


def told(rejected: list[Rejected]) -> list[tuple[str, str]]:
    return [(r.location, r.reason) for r in rejected]


SOME = settings(max_examples=5, deadline=None)
WHOLE = [document["text"] for document in read(bz2.compress(XML), 1 << 30)[0]]


def test_the_dump_itself() -> None:
    assert len(WHOLE) == len(PAGES)
    assert sum(kind.kind is Kind.BLOCK for kind in regions(io.BytesIO(PACKED["one stream of many blocks"]), 0)) > 6


@pytest.mark.parametrize("form", PACKED)
@SOME
@given(data=st.data())
def test_units_of_any_size_give_the_pages_of_the_one_unit(form: str, data: st.DataObject) -> None:
    packed = PACKED[form]
    size = data.draw(st.integers(len(packed) // 20, len(packed)))
    documents, rejected = read(packed, size)
    assert [document["text"] for document in documents] == WHOLE
    assert rejected == []


@pytest.mark.parametrize("form", PACKED)
@SOME
@given(data=st.data())
def test_damage_is_told_once_and_costs_no_page_outside_its_blocks(form: str, data: st.DataObject) -> None:
    packed = PACKED[form]
    at = data.draw(st.integers(0, len(packed) - 1))
    broken = packed[:at] + bytes([packed[at] ^ data.draw(st.integers(1, 255))]) + packed[at + 1 :]
    documents, rejected = read(broken, 1 << 30)
    texts = [document["text"] for document in documents]
    assert texts == [text for text in WHOLE if text in set(texts)]  # nothing that is not a page of the dump, in order
    assert len(rejected) <= 2
    assert {r.reason for r in rejected} <= {"damaged_bz2", "truncated_bz2", "not_a_dump", "no_language"}
    if rejected == []:
        assert texts == WHOLE
    size = data.draw(st.integers(len(packed) // 12, len(packed)))
    cut_documents, cut_rejected = read(broken, size)
    assert [document["text"] for document in cut_documents] == texts
    assert told(cut_rejected) == [r for r in told(rejected) if size >= len(packed) or r[1] != "not_a_dump"]


@pytest.mark.parametrize("form", PACKED)
@SOME
@given(data=st.data())
def test_a_file_cut_short_gives_what_stands_before(form: str, data: st.DataObject) -> None:
    packed = PACKED[form]
    cut = data.draw(st.integers(20, len(packed) - 1))
    documents, rejected = read(packed[:cut], 1 << 30)
    texts = [document["text"] for document in documents]
    assert texts == WHOLE[: len(texts)]
    assert rejected != [] or texts == WHOLE
    size = data.draw(st.integers(len(packed) // 12, len(packed)))
    cut_documents, cut_rejected = read(packed[:cut], size)
    assert [document["text"] for document in cut_documents] == texts
    assert [r for r in told(cut_rejected) if r[1] == "truncated_bz2"] == [
        r for r in told(rejected) if r[1] == "truncated_bz2"
    ]


@pytest.mark.parametrize("per_stream", [1 << 30, 60_000])
def test_xml_that_ends_early_is_told_once(per_stream: int) -> None:
    """A truncated page may begin in the range of one unit and end in the range of another. Only one of them reports the
    early end.
    """
    reasons = set()
    for end in range(101_400, 420_000, 9_700):
        packed = in_pieces(XML[:end], per_stream)
        documents, rejected = read(packed, 1 << 30)
        cut_documents, cut_rejected = read(packed, len(packed) // 5)
        assert [document["id"] for document in cut_documents] == [document["id"] for document in documents]
        assert [r.reason for r in cut_rejected] == [r.reason for r in rejected], end
        reasons |= {r.reason for r in rejected}
    assert reasons == {"truncated_page"}
    for end in (XML.rindex(b"</mediawiki>"), XML.index(b"<page>", 200_000)):
        for size in range(2, 9):
            packed = in_pieces(XML[:end], per_stream)
            assert [r.reason for r in read(packed, len(packed) // size)[1]] == ["truncated_xml"]


def test_pages_behind_a_damaged_block_are_read() -> None:
    packed = PACKED["one stream of many blocks"]
    blocks = [region for region in regions(io.BytesIO(packed), 0) if region.kind is Kind.BLOCK]
    third = blocks[2]
    at = third.offset + len(third.data) // 2
    documents, rejected = read(packed[:at] + bytes([packed[at] ^ 255]) + packed[at + 1 :], 1 << 30)
    assert told(rejected) == [(f"{NAME}@{third.offset}", "damaged_bz2")]
    num_lost = len(WHOLE) - len(documents)
    lost_bytes = len(unpack_block(third)[0])
    assert 0 < num_lost < len(WHOLE) // 2
    kept = {document["text"] for document in documents}
    assert sum(len(text) for text in WHOLE if text not in kept) < lost_bytes + 2 * 41_000
    assert WHOLE[0] in kept
    assert WHOLE[-1] in kept


def test_a_mark_that_stands_in_a_block_by_chance_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block's mark has 48 bits, so it hardly ever occurs inside a block by chance. Here the search also reports a
    false mark in the middle of each block.
    """
    packed = PACKED["one stream of many blocks"]
    honest = list(regions(io.BytesIO(packed), 0))
    middles = {(region.offset + len(region.data) // 2) for region in honest if region.kind is Kind.BLOCK}
    marks = bzip2_blocks._marks

    def lying(buffer: bytearray, from_byte: int) -> list[tuple[int, int, Kind]]:
        assert from_byte == 0  # all is fed at once
        return sorted([*marks(buffer, from_byte), *((at, 3, Kind.BLOCK) for at in middles)], key=lambda m: m[:2])

    monkeypatch.setattr(bzip2_blocks, "_marks", lying)
    monkeypatch.setattr(bzip2_blocks, "READ_BYTES", len(packed))
    monkeypatch.setattr(bzip2_blocks, "MAX_BLOCK_BYTES", len(packed))
    assert len(list(regions(io.BytesIO(packed), 0))) == len(honest) + len(middles)
    pieces = list(read_bz2(io.BytesIO(packed), 0))
    assert {piece.event for piece in pieces} == {Event.DATA}
    assert b"".join(piece.data for piece in pieces) == XML
    assert threaded(packed, 2, [len(packed)]) == XML


def threaded(
    packed: bytes, num_threads: int, sizes: list[int], max_length: int = -1, out: list[bytes] | None = None
) -> bytes:
    """Unpacks a file with threads. The packed bytes are passed in pieces of the given sizes, which are used in turn."""
    out = [] if out is None else out
    at = turn = 0
    with ThreadPoolExecutor(num_threads) as pool:
        unpacker = ThreadedUnpacker(pool, num_threads)
        while at < len(packed):
            size = sizes[turn % len(sizes)]
            out.append(unpacker.decompress(packed[at : at + size], max_length))
            at, turn = at + size, turn + 1
        while piece := unpacker.decompress(b"", max_length):
            out.append(piece)
    assert max_length < 0 or all(len(piece) <= max_length for piece in out)
    return b"".join(out)


@pytest.mark.parametrize("form", PACKED)
@SOME
@given(st.integers(1, 3), st.lists(st.integers(1_000, 200_000), min_size=1, max_size=5), st.sampled_from((-1, 30_000)))
def test_threads_give_the_bytes_in_order(form: str, num_threads: int, sizes: list[int], max_length: int) -> None:
    assert threaded(PACKED[form], num_threads, sizes, max_length) == XML


def before_damage(packed: bytes, num_threads: int, sizes: list[int]) -> bytes:
    out: list[bytes] = []
    with suppress(OSError):
        threaded(packed, num_threads, sizes, out=out)
    return b"".join(out)


def is_named(error: OSError) -> bool:
    """True if the error is about damaged data, as bz2 reports it. An error of the disk would have an error number."""
    return error.errno is None and bool(str(error))


@given(st.integers(0, 10_000_000), st.integers(1, 255))
@SOME
def test_threads_give_no_damaged_byte(at: int, change: int) -> None:
    packed = PACKED["one stream of many blocks"]
    at %= len(packed)
    broken = packed[:at] + bytes([packed[at] ^ change]) + packed[at + 1 :]
    middle = len(packed) // 2
    with pytest.raises(OSError, check=is_named):  # in the middle of a block, always
        threaded(packed[:middle] + bytes([packed[middle] ^ change]) + packed[middle + 1 :], 2, [50_000])
    given = {before_damage(broken, num_threads, sizes) for num_threads in (1, 2, 3) for sizes in ([50_000], [999_999])}
    assert len(given) == 1  # whoever is faster
    assert XML.startswith(given.pop())


@pytest.mark.parametrize("packed", [b"no bz2" * 1000, b"BZh9" * 700_000, EMPTY + b"?" * 20])
def test_threads_refuse_what_is_no_stream(packed: bytes) -> None:
    with pytest.raises(OSError, check=is_named):
        threaded(packed, 2, [100_000])


@pytest.mark.parametrize("packed", [b"", EMPTY, EMPTY * 3, b"BZh9" + BLOCK + bytes(9), PACKED["many streams"][:5000]])
def test_threads_give_nothing_where_no_block_is_whole(packed: bytes) -> None:
    assert threaded(packed, 2, [100_000]) == b""


def test_a_block_that_unfolds_fifty_times_waits_for_its_turn() -> None:
    bomb = bz2.compress(bytes(20_000_000), 9)
    assert len(bomb) < 200
    tracemalloc.start()
    num_bytes = 0
    with ThreadPoolExecutor(2) as pool:
        unpacker = ThreadedUnpacker(pool, 2)
        piece = unpacker.decompress(bomb * 10, 1 << 20)
        while piece:
            num_bytes += len(piece)
            piece = unpacker.decompress(b"", 1 << 20)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert num_bytes == 200_000_000
    assert peak_bytes < 80 << 20


def test_a_file_without_marks_is_not_held() -> None:
    class Endless(io.RawIOBase):
        num_left = 64 << 20

        def seek(self, offset: int, whence: int = 0) -> int:
            return offset

        def read(self, size: int = -1) -> bytes:
            size = min(size, self.num_left)
            self.num_left -= size
            return bytes(size)

    tracemalloc.start()
    pieces = list(read_bz2(Endless(), 0))  # type: ignore[arg-type]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [piece.event for piece in pieces] == [Event.GAP]
    assert peak_bytes < 16 << 20


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    threaded(PACKED["one stream of many blocks"], 3, [10_000])
    assert threading.active_count() == before
