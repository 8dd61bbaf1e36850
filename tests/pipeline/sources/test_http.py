"""Tests HTTP bodies in WARC records: compression, content types, interim responses. The bytes count more than the
headers.
"""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import random
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
import yaml
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.formats.http_body import HttpError, decoded_body
from pipeline.sources.formats.http_message import parse_http_response
from pipeline.sources.formats.media_type import charset_of, media_type_of
from pipeline.sources.formats.warc_pages import HtmlRecord, read_warc_html
from pipeline.sources.source import Rejected

CASES = Path(__file__).parents[2] / "cases/common_crawl"
LIMIT = 1 << 20
PAGE = ("<!DOCTYPE html><html><title>T</title>" + "<p>Ein schöner Satz steht hier.</p>\n" * 40).encode()
SHORT = b"<p>One.</p>"


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "deflate without its frame": bare_deflate,
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": zstandard.compress,
    "bzip2": lambda data: bz2.compress(data, 1),
}
NAME = {"deflate without its frame": "deflate"}
NO_CODINGS = (
    "", "identity", "none", "None", "UTF-8", "utf8", "binary", "8bit", "text/html", "rot13", "gzp", "gzip", "x-gzip",
    "deflate", "br", "zstd", "gzip, br", "gzip;q=1.0", ",", "identity, identity", "null", "chunked", "windows-1252",
)  # fmt: skip


@pytest.mark.parametrize("page", [PAGE, SHORT, PAGE.decode().encode("utf-16"), "日本".encode("iso2022_jp"), b""])
@pytest.mark.parametrize("coding", NO_CODINGS)
def test_a_body_that_is_text_stays_whatever_its_header_says(page: bytes, coding: str) -> None:
    assert decoded_body(page, coding, max_bytes=LIMIT) == page


@pytest.mark.parametrize("page", [PAGE, SHORT, PAGE * 300], ids=["page", "short", "long"])
@pytest.mark.parametrize("how", PACK)
def test_a_coding_is_undone_whatever_its_header_says_besides(how: str, page: bytes) -> None:
    packed, name = PACK[how](page), NAME.get(how, how)
    for codings in (
        name,
        name.upper(),
        f" {name} ",
        f"identity, {name}",
        f"{name}, none",
        f"{name};q=1",
        f"x-y, {name}",
    ):
        assert decoded_body(packed, codings, max_bytes=LIMIT) == page
    if how not in ("deflate", "deflate without its frame", "br"):  # they have a mark, so no header is needed
        for codings in ("", "none", "deflate", "br", "gzp"):
            assert decoded_body(packed, codings, max_bytes=LIMIT) == page


@pytest.mark.parametrize("first", PACK)
@pytest.mark.parametrize("second", PACK)
def test_codings_over_one_another(first: str, second: str) -> None:
    body = PACK[second](PACK[first](PAGE))
    codings = f"{NAME.get(first, first)}, {NAME.get(second, second)}"
    assert decoded_body(body, codings, max_bytes=LIMIT) == PAGE


@pytest.mark.parametrize("how", ["gzip", "zstd", "bzip2"])
@pytest.mark.parametrize("cuts", [(1,), (100, 700), (5, 6, 7)])
def test_a_body_of_several_members_is_unpacked_whole(how: str, cuts: tuple[int, ...]) -> None:
    edges = [0, *cuts, len(PAGE)]
    body = b"".join(PACK[how](PAGE[start:end]) for start, end in itertools.pairwise(edges))
    assert decoded_body(body, how, max_bytes=LIMIT) == PAGE
    if how == "gzip":
        assert decoded_body(body + bytes(300), how, max_bytes=LIMIT) == PAGE
        assert decoded_body(body + b"<!-- served by x -->", how, max_bytes=LIMIT) == PAGE
        assert decoded_body(body + b"\x1f\x8b\x08 spoilt", how, max_bytes=LIMIT) == PAGE


@pytest.mark.parametrize("how", PACK)
def test_a_body_that_was_cut_gives_what_it_has(how: str) -> None:
    page = b"".join(b"<p>%d %x</p>" % (number, number**5) for number in range(9000))
    whole = PACK[how](page)
    if how == "bzip2":  # a block is unpacked as a whole
        whole = PACK[how](page := page * 2)
    found = decoded_body(whole[: len(whole) * 9 // 10], NAME.get(how, how), max_bytes=len(page))
    assert page.startswith(found)
    assert len(found) > len(page) // 2


@pytest.mark.parametrize("how", PACK)
@pytest.mark.parametrize("times", [1, 3])
def test_every_coding_is_bounded(how: str, times: int) -> None:
    body = PACK[how](bytes(40 << 20)) * (times if how in ("gzip", "bzip2", "zstd") else 1)
    tracemalloc.start()
    try:
        with pytest.raises(HttpError) as refused:
            decoded_body(body, NAME.get(how, how), max_bytes=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 8 * LIMIT
    finally:
        tracemalloc.stop()
    assert refused.value.reason == "http_body_too_large"
    small = PACK[how](bytes(LIMIT))
    assert decoded_body(small, NAME.get(how, how), max_bytes=LIMIT) == bytes(LIMIT)


@pytest.mark.parametrize(
    ("body", "coding", "detail"),
    [
        (b"\x1f\x8b\x08 spoilt", "gzip", "does not inflate"),
        (b"\x1f\x8b\x08 spoilt", "", "does not inflate"),
        (bytes(range(256)), "deflate", "does not inflate"),
        (random.Random(1).randbytes(300), "br", "does not decode as brotli"),
        (b"\x28\xb5\x2f\xfd" + bytes(range(200)), "zstd", "does not decode as Zstandard"),
        (b"BZh91AY&SY" + bytes(200), "bzip2", "does not decode as bzip2"),
        (bytes(range(256)), "sdch", "content coding 'sdch' is not known"),
    ],
)
def test_what_does_not_unpack_is_named(body: bytes, coding: str, detail: str) -> None:
    with pytest.raises(HttpError) as refused:
        decoded_body(body, coding, max_bytes=LIMIT)
    assert (refused.value.reason, str(refused.value)) == ("bad_http_body", detail)


@given(st.binary(max_size=200), st.sampled_from([*NO_CODINGS, *PACK, "sdch"]))
@settings(deadline=None, max_examples=300)
def test_any_body_has_a_text_or_a_reason(body: bytes, codings: str) -> None:
    reason = ""
    try:
        num_bytes = len(decoded_body(body, codings, max_bytes=1000))
    except HttpError as error:
        num_bytes, reason = 0, error.reason
    assert num_bytes <= 1000
    assert reason in ("", "bad_http_body", "http_body_too_large")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nDate: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>; rel=preload\r\n\r\n",
        b"HTTP/1.0 200 Connection established\r\n\r\n",
        b"HTTP/1.1 200 Connection Established\nProxy-agent: x\n\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\n\r\n",
        b"HTTP/1.1 301 Moved Permanently\r\nLocation: /b\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/2 102\r\n\r\n",
        b"HTTP/1.1 100\n\n",
        b"HTTP/1.1 100 Continue\r\n\r\n\r\n",
        b"",
    ],
)
def test_what_is_before_the_response_is_passed_over(before: bytes) -> None:
    response = parse_http_response(before + HEAD + PAGE, max_body_bytes=LIMIT)
    assert (response.status, response.headers, response.body) == (200, {"content-type": "text/html"}, PAGE)


def test_a_page_that_speaks_of_responses_is_a_page() -> None:
    for page in (b"<p>HTTP/1.1 200 OK</p>", b"One.\n\nHTTP/1.1 200 OK\n\nTwo.", b"HTTP/1.1 is a protocol."):
        assert parse_http_response(HEAD + page, max_body_bytes=LIMIT).body == page


def test_heads_without_end_are_bounded() -> None:
    response = parse_http_response(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, max_body_bytes=LIMIT)
    assert response.status == 100


def test_headers_are_joined_and_go_on() -> None:
    head = b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nx: c\r\nno header\r\nEmpty:\r\nEmpty: d\r\n\r\n"
    assert parse_http_response(head, max_body_bytes=9).headers == {"x": "a b, c", "empty": "d"}


BODIES = {
    "html": PAGE,
    "html after marks": b"\xef\xbb\xbf \n<?xml version='1.0'?><!-- a page --><!-- <p> -->\n<HTML lang=en><p>One.",
    "html of utf-16": "<html><p>Eins.".encode("utf-16"),
    "late html": b"<p>A banner</p>" + PAGE[15:],
    "plain": b"One. Two.",
    "pdf": b"%PDF-1.7 <html>",
    "png": b"\x89PNG\r\n\x1a\n\0\0",
    "feed": b"<?xml version='1.0'?><rss><title>&lt;html></title></rss>",
    "script": b"document.write('<html>')",
}


@pytest.mark.parametrize("case", yaml.safe_load((CASES / "content_types.yaml").read_text("utf-8")), ids=str)
def test_media_type(case: dict[str, Any]) -> None:
    headers = [case["headers"]] if isinstance(case["headers"], str) else case["headers"]
    head = "\r\n".join(["HTTP/1.1 200 OK", *(f"Content-Type: {value}" for value in headers), "", ""]).encode()
    response = parse_http_response(head + BODIES[case["body"]], max_body_bytes=LIMIT)
    declared = response.headers["content-type"]
    assert media_type_of(response.body, case.get("payload_type", ""), declared) == case["type"]
    assert charset_of(declared) == case.get("charset", "")
    payload_type = f"WARC-Identified-Payload-Type: {case.get('payload_type', '')}\r\n"
    block = head + BODIES[case["body"]]
    record = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://a.example/\r\n{payload_type}"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    ).encode()
    (found,) = read_warc_html("a.warc", lambda path: io.BytesIO(record + block + b"\r\n\r\n"))
    if case["type"] in ("text/html", "application/xhtml+xml"):
        assert isinstance(found, HtmlRecord)
    else:
        assert isinstance(found, Rejected)
        assert (found.reason, found.is_bad) == ("not_html", False)
