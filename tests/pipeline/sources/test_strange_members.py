"""Tests files with gzip members of unexpected content between sound members. The sound members are read as usual."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.c4 import C4Reader
from pipeline.sources.formats.warc_pages import HtmlRecord, WetRecord, read_warc_html, read_wet
from pipeline.sources.source import InputFile, Rejected

STRANGE = (
    b"<html>503 Slow Down</html>\n",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    b"\r\n\r\n<html>",
    b"warc/1.0\r\nWARC-Type: conversion\r\n\r\n",
    b"WARC-Type: conversion\r\nContent-Length: 3\r\n\r\nabc\r\n\r\n",
    b"\0" * 600,
    b"x" * 100_000,
    bytes(range(256)),
)
NOTHING = (b"", b"\r\n", b"\r\n\r\n")


def record(number: int, *, line_end: str = "\r\n", kind: str = "conversion") -> bytes:
    block = f"Title {number}\nText of page {number}.\n".encode() * (1 + number % 3)
    if kind == "response":
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><p>" + block
    head = line_end.join(
        ["WARC/1.0", f"WARC-Type: {kind}", f"WARC-Target-URI: https://example.org/{number}",
         "WARC-Date: 2023-03-20T17:59:00Z", f"Content-Length: {len(block)}", "", ""]
    )  # fmt: skip
    return head.encode() + block + (line_end * 2).encode()


def read(members: Sequence[bytes], kind: str = "conversion") -> tuple[list[str], list[Rejected]]:
    data = b"".join(gzip.compress(member, mtime=0) for member in members)
    reader = read_wet if kind == "conversion" else read_warc_html
    found = list(reader("a.warc.gz", lambda path: io.BytesIO(data)))
    urls = [one.url for one in found if isinstance(one, (WetRecord, HtmlRecord))]
    return urls, [one for one in found if isinstance(one, Rejected)]


@pytest.mark.parametrize("kind", ["conversion", "response"])
@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
@pytest.mark.parametrize("strange", STRANGE, ids=lambda strange: repr(strange[:20]))
def test_a_strange_member_is_named_alone(strange: bytes, line_end: str, kind: str) -> None:
    sound = [record(number, line_end=line_end, kind=kind) for number in range(4)]
    urls, rejected = read([*sound[:2], strange, *sound[2:]], kind)
    assert urls == [f"https://example.org/{number}" for number in range(4)]
    assert [one.reason for one in rejected] == ["not_a_record"]
    start = sum(len(gzip.compress(one, mtime=0)) for one in sound[:2])
    assert rejected[0].location.startswith(f"a.warc.gz@{start}")


@pytest.mark.parametrize("nothing", NOTHING)
def test_an_empty_member_is_nothing(nothing: bytes) -> None:
    urls, rejected = read([nothing, record(0), nothing, nothing, record(1), nothing])
    assert (len(urls), rejected) == (2, [])


@given(st.lists(st.sampled_from([*range(8), *STRANGE, *NOTHING]), min_size=1, max_size=12))
@settings(deadline=None, max_examples=60)
def test_records_between_strange_members_are_all_read(members: list[int | bytes]) -> None:
    urls, rejected = read([record(one) if isinstance(one, int) else one for one in members])
    assert urls == [f"https://example.org/{one}" for one in members if isinstance(one, int)]
    assert bool(rejected) == any(one in STRANGE for one in members)


@given(st.lists(st.integers(1, 400), max_size=20), st.sampled_from(["\r\n", "\n"]))
@settings(deadline=None, max_examples=60)
def test_members_cut_anywhere_hold_the_same_records(sizes: list[int], line_end: str) -> None:
    whole = b"".join(record(number, line_end=line_end) for number in range(8))
    pieces, at = [], 0
    for size in sizes:
        pieces.append(whole[at : at + size])
        at += size
    urls, rejected = read([*pieces, whole[at:]])
    assert (urls, rejected) == ([f"https://example.org/{number}" for number in range(8)], [])


ROWS = [
    json.dumps({"text": f"Page {number}.", "url": f"http://a.org/{number}", "timestamp": "2019"}) for number in range(4)
]
LINES = [row.encode() for row in ROWS]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize(
    ("members", "pages", "reasons"),
    [
        ([LINES[0], LINES[1]], [0, 1], []),
        ([LINES[0] + b"\n" + LINES[1], LINES[2] + b"\n"], [0, 1, 2], []),
        ([LINES[0], b"<html>503</html>", LINES[1]], [0, 1], ["not_json"]),
        ([LINES[0] + b"\n", b"<html>503</html>", LINES[1]], [0, 1], ["not_json"]),
        ([LINES[0][:9], LINES[0][9:] + b"\n"], [0], []),
        ([LINES[0][:9], LINES[0][9:], LINES[1][:20], LINES[1][20:]], [0, 1], []),
        ([b"", LINES[0], b"", LINES[1] + b"\n", b""], [0, 1], []),
    ],
)
def test_json_lines_at_the_seams_of_members(pack, members, pages, reasons) -> None:  # type: ignore[no-untyped-def]
    data = b"".join(map(pack, members))
    reader = C4Reader()
    (unit,) = reader.units([InputFile("a.json.gz", len(data))], io.BytesIO)
    found = list(reader.read(unit, lambda path: io.BytesIO(data)))
    assert [one["text"] for one in found if isinstance(one, dict)] == [f"Page {number}." for number in pages]
    assert [one.reason for one in found if isinstance(one, Rejected)] == reasons
