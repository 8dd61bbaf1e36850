"""Tests files, and lists of files, on a web server that is busy, ends responses early, or sends wrong headers."""

from __future__ import annotations

import gzip
import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.files import http_files
from pipeline.files.files import open_file
from pipeline.files.http_files import MAX_TRIES, HttpFileError, open_http, size_of_http
from pipeline.settings.inputs import list_inputs
from pipeline.sources.common_crawl import CommonCrawlReader
from pipeline.sources.source import Rejected

SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>"
DATA = bytes(range(256)) * 12_000


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``. A test can make it refuse requests, end responses early, or omit or change headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/data": DATA}
        self.busy: list[int] = []
        self.retry_after = ""
        self.break_after: list[int] = []
        self.always_break_after = 0
        self.knows_ranges = True
        self.says_length = True
        self.version = '"1"'
        self.asked: list[tuple[str, str, str]] = []

    def url(self, name: str = "data") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        server = self.server
        wanted = self.headers.get("Range", "")
        server.asked.append((self.command, self.path, wanted))
        if server.busy:
            self.refuse(server.busy.pop(0), SLOW_DOWN)
            return
        data = server.files.get(self.path)
        if data is None:
            self.refuse(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.knows_ranges else 0
        if wanted and server.knows_ranges:
            if begin >= len(data):
                self.refuse(416, b"")
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if server.says_length:
            self.send_header("Content-Length", str(len(data) - begin))
        self.send_header("ETag", server.version)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = data[begin:]
        num_bytes = server.break_after.pop(0) if server.break_after else server.always_break_after or len(body)
        self.wfile.write(body[:num_bytes])

    def refuse(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 503 and self.server.retry_after:
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_busy_and_broken_off_and_still_every_byte_once(server: Server) -> None:
    server.busy, server.break_after = [503, 503, 429], [1000, 2_000_000, 10]
    waits: list[float] = []
    with open_http(server.url(), wait=waits.append) as file:
        assert file.read() == DATA
    assert waits == [1.0, 2.0, 4.0, 1.0, 1.0, 1.0]  # what brings bytes begins the count anew
    assert [said for _, _, said in server.asked[3:]] == ["", "bytes=1000-", "bytes=2001000-", "bytes=2001010-"]


def test_a_server_that_breaks_off_at_every_transfer(server: Server) -> None:
    server.always_break_after = 100_001
    with open_http(server.url(), wait=lambda seconds: None) as file:
        assert file.read() == DATA
    assert len(server.asked) == -(-len(DATA) // 100_001)


def test_it_waits_as_long_as_the_server_asks(server: Server) -> None:
    server.busy, server.retry_after = [503, 503], "30"
    waits: list[float] = []
    with open_http(server.url(), wait=waits.append) as file:
        assert file.read(10) == DATA[:10]
    assert waits == [30.0, 30.0]
    server.busy, server.retry_after = [503], "100000"
    with open_http(server.url(), wait=waits.append) as file:
        file.read(1)
    assert waits[-1] == 120.0


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_any_offset(server: Server, knows_ranges: bool) -> None:
    server.knows_ranges = knows_ranges
    with open_http(server.url(), wait=lambda seconds: None) as file:
        for offset in (0, 2_500_000, 5, len(DATA) - 3, len(DATA), 700):
            assert file.seek(offset) == offset
            assert file.read(1000) == DATA[offset : offset + 1000]
        assert file.seek(-7, io.SEEK_END) == len(DATA) - 7
        assert file.read() == DATA[-7:]
        server.break_after = [20]
        file.seek(0)
        assert file.read(5_000_000) == DATA


def test_the_end_of_a_file_whose_length_nobody_says(server: Server) -> None:
    server.says_length = False
    with open_http(server.url()) as file:
        file.seek(len(DATA) - 5)
        assert file.read() == DATA[-5:]
        assert file.read() == b""
    with pytest.raises(HttpFileError, match="does not say how long"):
        size_of_http(server.url())


def test_what_cannot_be_read_is_said(server: Server) -> None:
    with pytest.raises(HttpFileError, match=r"/nothing: 404 .*\(NoSuchKey\)"):
        open_http(server.url("nothing")).read(1)
    assert len(server.asked) == 1
    server.busy = [503] * 50
    waits: list[float] = []
    with pytest.raises(HttpFileError, match=rf"503 .*\(SlowDown\), {MAX_TRIES} times"):
        open_http(server.url(), wait=waits.append).read(1)
    assert len(waits) == MAX_TRIES - 1
    assert waits == sorted(waits)
    assert max(waits) <= 120


def test_another_file_under_the_same_name_is_not_joined_on(server: Server) -> None:
    server.break_after = [1000]
    file = open_http(server.url(), wait=lambda seconds: setattr(server, "version", '"2"'))
    with file, pytest.raises(HttpFileError, match="was changed"):
        file.read()


def test_sizes_and_an_address_with_a_space(server: Server) -> None:
    server.files["/a%20b"] = b"four"
    server.busy = [503]
    assert size_of_http(server.url("a b"), wait=lambda seconds: None) == 4
    assert {method for method, _, _ in server.asked} == {"HEAD"}


def wet(number: int) -> bytes:
    text = f"Title {number}\nA line of page {number}\n".encode()
    head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://e.org/{number}\r\n"
    head += f"Content-Length: {len(text)}\r\n\r\n"
    return gzip.compress(head.encode() + text + b"\r\n\r\n", mtime=0)


NAMES = [f"crawl-data/CC-MAIN-2019-30/segments/1/wet/{n:05d}.warc.wet.gz" for n in range(20)]


@pytest.fixture
def crawl(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Serves a published dump of 20 files with 30 pages each. The server is busy at every third request."""
    monkeypatch.setattr(http_files.time, "sleep", lambda seconds: None)
    for file, name in enumerate(NAMES):
        server.files["/" + name] = b"".join(wet(100 * file + page) for page in range(30))
    listed = gzip.compress("".join(name + "\n" for name in NAMES).encode())
    server.files["/crawl-data/CC-MAIN-2019-30/wet.paths.gz"] = listed
    return server


def read_list(given: str, fraction: float = 1.0) -> tuple[list[str], list[Rejected]]:
    reader = CommonCrawlReader()
    listing = list_inputs(
        "common_crawl", [given], fraction=fraction, expand=lambda name: reader.expand(name, open_file)
    )
    urls, rejected = [], []
    for unit in reader.units(listing.files, open_file):
        for item in reader.read(unit, open_file):
            if isinstance(item, Rejected):
                rejected.append(item)
            else:
                assert item["dump"] == "CC-MAIN-2019-30"
                urls.append(item["url"])
    return urls, rejected


def test_a_list_and_its_files_over_the_wire(crawl: Server, tmp_path: Path) -> None:
    crawl.busy, crawl.break_after = [503, 503], [10, 100, 700, 1500, 300]
    expected = [f"https://e.org/{100 * file + page}" for file in range(20) for page in range(30)]
    assert read_list(crawl.url("crawl-data/CC-MAIN-2019-30/wet.paths.gz")) == (expected, [])
    heads = [path for method, path, _ in crawl.asked if method == "HEAD"]
    assert len(heads) == 8  # not one a file: a dump has 56,000
    local = tmp_path / "wet.paths"
    local.write_text("\n".join(NAMES))
    assert read_list(f"{local}@{crawl.url('')}") == (expected, [])
    part, _ = read_list(f"{local}@{crawl.url('')}", fraction=0.25)
    assert len(part) == 5 * 30
    assert set(part) < set(expected)


def test_a_list_of_files_on_disk(crawl: Server, tmp_path: Path) -> None:
    for name in NAMES[:2]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(crawl.files["/" + name])
    local = tmp_path / "crawl-data/CC-MAIN-2019-30/wet.paths"
    local.write_text("\n".join(NAMES[:2]))
    assert len(read_list(str(local))[0]) == 60
    local.write_text("\n".join(NAMES))
    with pytest.raises(ValueError, match="18 files of the list are not there"):
        read_list(str(local))


def test_a_file_that_the_server_lost_is_told_of_and_the_others_are_read(crawl: Server) -> None:
    crawl.files["/" + NAMES[4]] = b""
    del crawl.files["/" + NAMES[3]]
    urls, rejected = read_list(crawl.url("crawl-data/CC-MAIN-2019-30/wet.paths.gz"))
    assert len(urls) == 18 * 30
    assert [(r.reason, r.is_whole_file) for r in rejected] == [("unreadable_on_server", True), ("empty_file", True)]
    assert "404" in rejected[0].detail


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{server}crawl-data/nothing/wet.paths.gz", "404"),
        ("{server}crawl-data/*.wet.gz", "cannot be asked for what matches"),
        ("{server}nothing.warc.wet.gz", "404"),
        ("{folder}/wet.paths", r"write .*wet\.paths@PREFIX"),
        ("{folder}/none.paths@s3://x", "No such file"),
    ],
)
def test_lists_that_cannot_be_read(crawl: Server, tmp_path: Path, given: str, message: str) -> None:
    (tmp_path / "wet.paths").write_text(NAMES[0])
    with pytest.raises(ValueError, match=message):
        read_list(given.format(server=crawl.url(""), folder=tmp_path))
