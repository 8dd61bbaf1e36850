"""Tests reading WARC and WET files. Each damaged record is named, and all other records are read unchanged."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.formats import warc_records
from pipeline.sources.formats.warc_pages import WetRecord, read_warc_html, read_wet
from pipeline.sources.source import Rejected

Opener = Callable[[str], BinaryIO]


def digest_of(block: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(block).digest()).decode()


def record(
    number: int,
    text: str,
    *,
    kind: str = "conversion",
    line_end: str = "\r\n",
    headers: Sequence[str] = (),
    length: int | None = None,
) -> bytes:
    block = text.encode()
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Target-URI: https://example.org/{number}",
        f"WARC-Date: 2023-03-20T17:59:{number % 60:02}Z",
        f"WARC-Record-ID: <urn:uuid:{number:08d}-0000-4000-8000-000000000000>",
        *headers,
        f"WARC-Block-Digest: {digest_of(block)}",
        "Content-Type: text/plain",
        f"Content-Length: {len(block) if length is None else length}",
        "",
        "",
    ]
    return line_end.join(lines).encode() + block + (line_end * 2).encode()


WARCINFO = record(0, "isPartOf: CC-MAIN-2023-14\r\n", kind="warcinfo")
TEXTS = [f"Title {n}\nLine one of page {n}, ünïcode ✓.\n" + f"{n} words and words.\n" * (n * 3) for n in range(1, 13)]
RECORDS = [WARCINFO, *(record(n, text) for n, text in enumerate(TEXTS, 1))]
MEMBERS = [gzip.compress(r, mtime=0) for r in RECORDS]
BY_MEMBER = b"".join(MEMBERS)
ONE_MEMBER = gzip.compress(b"".join(RECORDS), mtime=0)
PLAIN = b"".join(RECORDS)


def opener(data: bytes) -> Opener:
    return lambda path: io.BytesIO(data)


def read(data: bytes, name: str = "a.warc.wet.gz") -> tuple[dict[str, str], list[Rejected]]:
    """Reads a WET file. Returns the texts by url, and the rejected records. Fails if a page is returned twice."""
    texts: dict[str, str] = {}
    rejected = []
    for found in read_wet(name, opener(data)):
        if isinstance(found, Rejected):
            rejected.append(found)
        else:
            assert found.url not in texts
            texts[found.url] = found.text
    return texts, rejected


WHOLE = {f"https://example.org/{n}": text for n, text in enumerate(TEXTS, 1)}


def starts_of(pieces: Sequence[bytes]) -> list[int]:
    starts, at = [], 0
    for piece in pieces:
        starts.append(at)
        at += len(piece)
    return [*starts, at]


def hurt_numbers(starts: Sequence[int], first: int, last: int) -> set[int]:
    """Returns the numbers of the records that contain some of the bytes from ``first`` to ``last`` (exclusive)."""
    return {n for n in range(len(starts) - 1) if starts[n] < last and first < starts[n + 1]}


def named_numbers(rejected: Sequence[Rejected], starts: Sequence[int]) -> set[int]:
    """Returns the numbers of the records that the rejections name, by their location or by a range of lost bytes."""
    named: set[int] = set()
    for item in rejected:
        path, _, location = item.location.partition("@")
        assert path == "a.warc.wet.gz"
        first = int(location.partition("+")[0])
        last = first + 1
        if item.detail.startswith("bytes "):
            last = int(item.detail.removeprefix("bytes ").partition(":")[0].split("-")[1])
        named |= hurt_numbers(starts, first, max(last, first + 1))
    return named


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (BY_MEMBER, "a.warc.wet.gz"),
        (ONE_MEMBER, "a.wet.gz"),
        (PLAIN, "a.warc.wet"),
        (PLAIN, "named-wrong.warc.wet.gz"),
        (BY_MEMBER, "a.wet"),
    ],
)
def test_reads_all_packings(data: bytes, name: str) -> None:
    assert read(data, name) == (WHOLE, [])


def test_fields_of_a_record() -> None:
    (found,) = (r for r in read_wet("x.wet", opener(RECORDS[0] + RECORDS[3])))
    assert isinstance(found, WetRecord)
    assert (found.url, found.date, found.record_id) == (
        "https://example.org/3",
        "2023-03-20T17:59:03Z",
        "00000003-0000-4000-8000-000000000000",
    )
    assert found.digest == digest_of(TEXTS[2].encode())
    assert (found.part_of, found.offset) == ("CC-MAIN-2023-14", len(RECORDS[0]))
    assert found.headers["content-type"] == "text/plain"


def test_headers_are_found_by_name_whatever_their_order_number_and_case() -> None:
    data = (
        b"WARC/1.1\r\ncontent-length: 5\r\nX-New: a\r\n and on\r\nWARC-IDENTIFIED-CONTENT-LANGUAGE: eng\r\n"
        b"warc-target-uri: <https://example.org/a b>\r\nWARC-TYPE: Conversion\r\n\r\nhello\r\n\r\n"
    )
    (found,) = read_wet("x.wet", opener(data))
    assert isinstance(found, WetRecord)
    assert (found.url, found.text, found.headers["x-new"]) == ("https://example.org/a b", "hello", "a and on")
    assert (found.digest, found.record_id, found.date) == (digest_of(b"hello"), "", "")


def test_bare_line_ends() -> None:
    data = b"".join(record(n, text, line_end="\n") for n, text in enumerate(TEXTS, 1))
    assert read(data, "x.wet") == (WHOLE, [])


def test_a_text_that_holds_a_record_stays_one_text() -> None:
    text = "before\r\n\r\n" + PLAIN.decode() + "after"
    for data in (record(1, text), gzip.compress(record(1, text))):
        assert read(data) == ({"https://example.org/1": text}, [])


def test_pieces_of_gzip_that_are_not_the_records() -> None:
    pieces = [PLAIN[i : i + 700] for i in range(0, len(PLAIN), 700)]
    assert read(b"".join(map(gzip.compress, pieces))) == (WHOLE, [])


@pytest.mark.parametrize("step", [37])
def test_a_cut_file_loses_the_record_at_the_cut_and_names_it(step: int) -> None:
    starts = starts_of(MEMBERS)
    for cut in range(1, len(BY_MEMBER), step):
        texts, rejected = read(BY_MEMBER[:cut])
        whole = {url: WHOLE[url] for n, url in enumerate(WHOLE, 1) if starts[n + 1] <= cut}
        at_cut = max(n for n, start in enumerate(starts) if start <= cut)
        if starts[at_cut] == cut:
            assert (texts, rejected) == (whole, [])
            continue
        # A record whose text is all there may be saved: only the end of its member's checksum is missing.
        saved = {url: text for url, text in texts.items() if url not in whole}
        assert {url: text for url, text in texts.items() if url in whole} == whole
        assert all(WHOLE[url] == text for url, text in saved.items())
        assert set(saved) <= {f"https://example.org/{at_cut}"}
        if saved or (at_cut == 0 and not rejected):
            assert starts[at_cut + 1] - cut <= 16
        else:
            assert [r.reason for r in rejected] == ["truncated_gzip"]
            assert named_numbers(rejected, starts) == {at_cut}


@pytest.mark.parametrize(("num_bytes", "step"), [(40, 29), (1, 41), (3000, 211)])
def test_zeroed_bytes_lose_the_records_they_lie_in(num_bytes: int, step: int) -> None:
    starts = starts_of(MEMBERS)
    num_lost = 0
    for first in range(0, len(BY_MEMBER) - num_bytes, step):
        data = BY_MEMBER[:first] + bytes(num_bytes) + BY_MEMBER[first + num_bytes :]
        if data == BY_MEMBER:
            continue
        texts, rejected = read(data)
        hurt = hurt_numbers(starts, first, first + num_bytes)
        lost = {n for n, url in enumerate(WHOLE, 1) if url not in texts}
        assert all(WHOLE[url] == text for url, text in texts.items()), "a text was changed in silence"
        assert lost <= hurt, "a whole record was lost"
        assert lost <= named_numbers(rejected, starts), "a record was lost in silence"
        assert named_numbers(rejected, starts) <= hurt, "a whole record was named"
        num_lost += len(lost)
    assert num_lost


@pytest.mark.parametrize("is_zeroed", [True, False])
def test_one_member_for_all_records(is_zeroed: bool) -> None:
    for at in range(30, len(ONE_MEMBER) - 8, 23):
        data = ONE_MEMBER[:at] + (bytes(4) + ONE_MEMBER[at + 4 :] if is_zeroed else b"")
        if data == ONE_MEMBER:
            continue
        texts, rejected = read(data)
        assert all(WHOLE[url] == text for url, text in texts.items()), "a text was changed in silence"
        # Damage may hide where the data end: then it is the input that seems cut.
        assert {r.reason for r in rejected} <= {"damaged_gzip", "truncated_gzip"}
        assert rejected
        # What lies before the damage is unpacked: a good part of it is saved.
        unpacked = zlib.decompressobj(31).decompress(ONE_MEMBER[:at])
        before = {url for n, url in enumerate(WHOLE, 1) if unpacked.find(RECORDS[n]) >= 0}
        assert before <= set(texts)


@pytest.mark.parametrize("change", [-100, -3, -1, 1, 2, 3, 4, 5, 300, 10**6, 10**12])
@pytest.mark.parametrize("packing", ["member", "one member", "plain"])
def test_a_length_that_lies(change: int, packing: str) -> None:
    number = 5
    text = TEXTS[number - 1]
    lying = record(number, text, length=max(len(text.encode()) + change, 0))
    records = [*RECORDS[:number], lying, *RECORDS[number + 1 :]]
    pack = {
        "member": lambda: b"".join(map(gzip.compress, records)),
        "one member": lambda: gzip.compress(b"".join(records)),
        "plain": lambda: b"".join(records),
    }[packing]
    texts, rejected = read(pack(), "a.warc.wet" if packing == "plain" else "a.warc.wet.gz")
    assert texts == {url: t for url, t in WHOLE.items() if url != f"https://example.org/{number}"}
    assert len(rejected) == 1
    assert rejected[0].reason in ("bad_content_length", "truncated_record", "record_too_large")
    assert rejected[0].is_bad


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"no colon here\r\n", "bad_header"),
        (b"Content-Length: 7\r\n", "bad_header"),
        (b"WARC-Sp\0oilt: 1\r\n", "bad_header"),
        (b"X: " + b"y" * 70_000 + b"\r\n", "bad_header"),
    ],
)
def test_a_header_that_does_not_parse(header: bytes, reason: str) -> None:
    spoilt = RECORDS[5].replace(b"WARC-Type", header + b"WARC-Type", 1)
    for name, data in (
        ("a.wet", b"".join([*RECORDS[:5], spoilt, *RECORDS[6:]])),
        ("a.wet.gz", b"".join([*MEMBERS[:5], gzip.compress(spoilt, mtime=0), *MEMBERS[6:]])),
    ):
        texts, rejected = read(data, name)
        assert texts == {url: t for url, t in WHOLE.items() if not url.endswith("/5")}
        assert [r.reason for r in rejected] == [reason]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Content-Length: ", b"Content-Length: -", "bad_content_length"),
        (b"Content-Length: ", b"Content-Length: \xd9\xa1", "bad_content_length"),
        (b"Content-Length: ", b"X-Length: ", "bad_content_length"),
        (b"WARC-Type: ", b"X-Type: ", "bad_header"),
        (b"WARC-Target-URI: ", b"X-URI: ", "bad_header"),
        (b"WARC-Type: conversion", b"WARC-Type: response", "not_text"),
    ],
)
def test_headers_that_are_missing_or_wrong(old: bytes, new: bytes, reason: str) -> None:
    texts, rejected = read(RECORDS[1] + RECORDS[2].replace(old, new, 1) + RECORDS[3], "a.wet")
    assert list(texts) == ["https://example.org/1", "https://example.org/3"]
    assert [r.reason for r in rejected] == [reason]
    assert rejected[0].location == f"a.wet@{len(RECORDS[1])}"


def test_text_that_is_not_utf8() -> None:
    block = "Grüße\n".encode("latin-1")
    data = (
        record(2, "xxxxxx").replace(b"xxxxxx", block).replace(digest_of(b"xxxxxx").encode(), digest_of(block).encode())
    )
    texts, rejected = read(RECORDS[1] + data + RECORDS[3], "a.wet")
    assert list(texts) == ["https://example.org/1", "https://example.org/3"]
    assert [(r.reason, r.detail) for r in rejected] == [("not_utf8", "https://example.org/2: byte 2 of the text")]


def test_a_record_over_the_limit_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc_records, "MAX_RECORD_BYTES", 1000)
    big = record(99, "big " * 1000)
    for name, data in (
        ("a.wet", RECORDS[1] + big + RECORDS[2]),
        ("a.wet.gz", MEMBERS[1] + gzip.compress(big, mtime=0) + MEMBERS[2]),
        ("a.wet.gz", gzip.compress(RECORDS[1] + big + RECORDS[2], mtime=0)),
    ):
        texts, rejected = read(data, name)
        assert list(texts) == ["https://example.org/1", "https://example.org/2"]
        assert [r.reason for r in rejected] == ["record_too_large"]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.wet.gz", b"", "empty_file"),
        ("a.wet", b"", "empty_file"),
        ("a.wet.gz", b"<Error>AccessDenied</Error>", "damaged_gzip"),
        ("a.wet", b"<Error>AccessDenied</Error>", "not_a_record"),
        ("a.wet.gz", bytes(3_000_000), "damaged_gzip"),
    ],
)
def test_a_file_that_is_none(name: str, data: bytes, reason: str) -> None:
    texts, rejected = read(data, name)
    assert not texts
    assert [(r.reason, r.is_whole_file) for r in rejected] == [(reason, True)]


def test_many_false_beginnings_cost_linear_time() -> None:
    head = gzip.compress(b"WARC/1.0 " + bytes(2000), compresslevel=0)[:-8]
    data = (head * 600)[:-1]
    texts, rejected = read(data)
    assert not texts
    assert rejected


@given(st.binary(max_size=3000), st.integers(0, len(BY_MEMBER)))
@settings(max_examples=60, deadline=None)
def test_nothing_raises(junk: bytes, at: int) -> None:
    for data in (junk, BY_MEMBER[:at] + junk + BY_MEMBER[at:], PLAIN[:at] + junk + PLAIN[at:]):
        for name in ("a.warc.wet.gz", "a.wet"):
            list(read_wet(name, opener(data)))
        list(read_warc_html("a.warc.gz", opener(data)))


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


def html_record(block: bytes, *, kind: str = "response", mime: str = "application/http; msgtype=response") -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: https://example.org/\r\nContent-Type: {mime}\r\n"
    return f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


PAGE = b"<html><title>T</title><p>Body</p></html>"
HTML = "Content-Type: text/html; charset=ISO-8859-1"


@pytest.mark.parametrize(
    "block",
    [
        http(PAGE, HTML),
        http(
            b"5\r\n" + PAGE[:5] + b"\r\n%X\r\n" % (len(PAGE) - 5) + PAGE[5:] + b"\r\n0\r\n\r\n",
            HTML,
            "Transfer-Encoding: chunked",
        ),
        http(PAGE, HTML, "Transfer-Encoding: chunked"),
        http(gzip.compress(PAGE, mtime=0), HTML, "Content-Encoding: gzip"),
        http(PAGE, HTML, "Content-Encoding: gzip"),
        http(zlib.compress(PAGE), HTML, "Content-Encoding: deflate"),
        http(PAGE, HTML, "Content-Encoding: br"),
        http(PAGE, HTML, "a line that is no header"),
    ],
)
def test_http_coding_is_undone(block: bytes) -> None:
    (page,) = read_warc_html("a.warc", opener(html_record(block)))
    assert not isinstance(page, Rejected)
    assert (page.html, page.charset, page.digest) == (PAGE, "ISO-8859-1", digest_of(PAGE))


@pytest.mark.parametrize(
    ("data", "reason", "is_bad"),
    [
        (html_record(http(b"", "Location: /x", status="301 Moved")), "http_status", False),
        (html_record(http(b"%PDF", "Content-Type: application/pdf")), "not_html", False),
        (html_record(b"", kind="revisit"), "revisit", False),
        (html_record(b"1.2.3.4", mime="text/dns"), "not_html", False),
        (html_record(b"hello there"), "bad_http", True),
        (html_record(http(b"\x1f\x8b\x08 spoilt", HTML, "Content-Encoding: gzip")), "bad_http_body", True),
        (html_record(http(bytes(range(256)) * 4, HTML, "Content-Encoding: sdch")), "bad_http_body", True),
    ],
)
def test_what_is_no_page_is_named(data: bytes, reason: str, is_bad: bool) -> None:
    (found,) = read_warc_html("a.warc", opener(data))
    assert isinstance(found, Rejected)
    assert (found.reason, found.is_bad, found.location) == (reason, is_bad, "a.warc@0")


def test_a_bomb_in_a_page_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sources.formats.warc_pages.MAX_RECORD_BYTES", 100_000)
    for name, packed in (("gzip", gzip.compress(bytes(10_000_000))), ("deflate", zlib.compress(bytes(10_000_000)))):
        block = http(packed, HTML, f"Content-Encoding: {name}")
        (found,) = read_warc_html("a.warc", opener(html_record(block)))
        assert isinstance(found, Rejected)
        assert found.reason == "http_body_too_large"


@pytest.mark.real
def test_a_real_file_cut_and_zeroed(corpus_data: Path) -> None:
    path = next((corpus_data / "commoncrawl/wrapped/wet").glob("*00000.warc.wet.gz"))
    data = path.read_bytes()
    whole, rejected = read(data)
    assert (len(whole), rejected) == (258, [])
    for first in range(100_000, len(data), 250_000):
        texts, rejected = read(data[:first] + bytes(40) + data[first + 40 :])
        assert 1 <= 258 - len(texts) <= 2
        assert all(whole[url] == text for url, text in texts.items())
        assert 1 <= len(rejected) <= 2
        texts, rejected = read(data[:first])
        assert all(whole[url] == text for url, text in texts.items())
        assert [r.reason for r in rejected] == ["truncated_gzip"]


def stored(path: str) -> BinaryIO:
    return open(path, "rb")


@pytest.mark.real
def test_odd_real_files_are_read_or_named(corpus_data: Path) -> None:
    found: dict[str, dict[str, int]] = {}
    for path in sorted((corpus_data / "commoncrawl").rglob("*.warc*")):
        if not path.is_file() or "wrapped" in path.parts:
            continue
        reader = read_wet if ".wet" in path.name else read_warc_html
        counts: dict[str, int] = {}
        for item in reader(str(path), stored):
            name = item.reason if isinstance(item, Rejected) else type(item).__name__
            counts[name] = counts.get(name, 0) + 1
        found[path.name] = counts
    assert found["clipped.warc.gz"] == {"truncated_gzip": 1}
    assert found["clueweb-quirk.warc.gz"] == {"HtmlRecord": 29}
    assert found["whirlwind.warc.wet.gz"] == found["whirlwind.warc.wet"] == {"WetRecord": 1}
    assert found["whirlwind.warc.gz"] == found["whirlwind.warc"] == {"HtmlRecord": 1}
    assert found["unparsable-date.warc.gz"] == {"http_status": 1}
    assert found["example-wrong-chunks.warc.gz"] == {"bad_content_length": 1}
    assert found["example-trunc.warc"] == {"bad_content_length": 1}
    assert found["example-iana.org-chunked.warc"] == {"HtmlRecord": 1}
    assert found["warcfile.warc.gz"] == {"HtmlRecord": 16}
    assert found["test.warc.gz"] == {"not_html": 15, "http_status": 1, "HtmlRecord": 2, "revisit": 2}
