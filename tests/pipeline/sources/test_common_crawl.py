"""Tests CommonCrawl's reader: which parts of a record become which parts of a document."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.sources.common_crawl import SOURCE, CommonCrawlReader
from pipeline.sources.dedup_steps import ExactDedup, LineDedup
from pipeline.sources.formats.paths_list import expand_paths_list, paths_list_of
from pipeline.sources.source import Document, InputFile, Rejected, Unit


def wet(*blocks: str, headers: str = "", info: str = "") -> bytes:
    out = b""
    if info:
        out += f"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: {len(info)}\r\n\r\n{info}\r\n\r\n".encode()
    for number, block in enumerate(blocks):
        data = block.encode()
        head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://example.org/{number}\r\n{headers}"
        out += f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data + b"\r\n\r\n"
    return out


def items(data: bytes, path: str = "x.wet", **settings: object) -> list[object]:
    reader = CommonCrawlReader(**settings)  # type: ignore[arg-type]

    def open_file(name: str) -> BinaryIO:
        assert name == path
        return io.BytesIO(data)

    (unit,) = reader.units([InputFile(path, len(data))], open_file)
    return list(reader.read(unit, open_file))


def documents(data: bytes, path: str = "x.wet", **settings: object) -> list[Document]:
    found = items(data, path, **settings)
    assert not [item for item in found if isinstance(item, Rejected)]
    return [item for item in found if isinstance(item, dict)]


def warc(html: str) -> bytes:
    body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{html}".encode()
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("block", "title", "text"),
    [
        ("Title\nOne\nTwo\n", "Title", "One\nTwo"),
        ("Title\nOne\nTwo", "Title", "One\nTwo"),
        (" Title \r\n\tOne \r\n\r\n\u00a0Two\u3000\r\n", "Title", "One\n\nTwo"),
        ("Title\rOne", "Title", "One"),
        ("\nOne", "", "One"),
        ("T\nOne\n\n\n", "T", "One\n\n"),
        ("T\na\u2028b\x0bc\nd", "T", "a\u2028b\x0bc\nd"),
    ],
)
def test_the_first_line_is_the_title_and_no_text(block: str, title: str, text: str) -> None:
    (document,) = documents(wet(block))
    assert (document["title"], document["text"]) == (title, text)


@pytest.mark.parametrize("block", ["Title", "", "Title\n", "Title\n \n\u3000\n\n"])
def test_a_page_without_text_is_no_document(block: str) -> None:
    """Otherwise all such pages would have the same digest, and count as duplicates of each other."""
    url = "https://example.org/0"
    assert items(wet(block)) == [Rejected(location="x.wet@0", reason="no_content", detail=url, is_bad=False)]
    first, second = items(wet(block, "T\nOne"))
    assert isinstance(first, Rejected)
    assert isinstance(second, dict)


@pytest.mark.parametrize("html", ["", "<title>Only a title</title>", "<p> &nbsp; </p>", "<img src=a.png>"])
def test_html_without_text_is_no_document(html: str) -> None:
    (found,) = items(warc(html), "x.warc")
    assert isinstance(found, Rejected)
    assert (found.location, found.reason, found.is_bad) == ("x.warc@0", "no_content", False)
    assert found.reason in CommonCrawlReader.NOT_BROKEN


WHITE_SPACE = "".join(filter(str.isspace, map(chr, range(sys.maxunicode + 1))))


@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from("\n\n\n ab\u00e9\u65e5" + WHITE_SPACE), max_size=12))
@example("".join(f"x{character}\n" for character in WHITE_SPACE))
@example("".join(f"\n{character}x" for character in WHITE_SPACE))
def test_every_line_is_stripped_of_all_that_python_takes_for_white_space(block: str) -> None:
    lines = block.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    title, *rest = [line.strip() for line in lines]
    (document,) = items(wet(block))
    if not any(rest):
        assert isinstance(document, Rejected)
        return
    assert isinstance(document, dict)
    assert (document["title"], document["text"]) == (title, "\n".join(rest))
    assert document["num_lines"] == max(len(rest), 1)


@pytest.mark.parametrize("character", sorted(set(WHITE_SPACE) - set("\r\n")))
@pytest.mark.parametrize("block", ["T\na{}\nb", "T\na\n{}b", "T\n{}a", "T\na{}", "T\na{}\n", "{}T{}\na"])
def test_white_space_is_seen_wherever_it_stands_alone(block: str, character: str) -> None:
    (document,) = documents(wet(block.replace("{}", character)))
    assert document["title"] == "T"
    assert document["text"] == "\n".join(line.replace("{}", "") for line in block.removesuffix("\n").split("\n")[1:])


def test_columns() -> None:
    headers = "WARC-Date: 2019-01-02T03:04:05Z\r\nWARC-Record-ID: <urn:uuid:ab-cd>\r\nWARC-Block-Digest: sha1:ABC\r\n"
    (document,) = documents(wet("T\ntext", headers=headers), "crawl-data/CC-MAIN-2019-09/segments/1/wet/a.warc.wet")
    assert document == {
        "id": "ab-cd",
        "text": "text",
        "url": "https://example.org/0",
        "date": "2019-01-02T03:04:05Z",
        "digest": "sha1:ABC",
        "dump": "CC-MAIN-2019-09",
        "title": "T",
        "num_lines": 1,
        "original_num_lines": 1,
        "encoding": None,
        "_group": "CC-MAIN-2019-09 0",
    }
    assert set(document) - {"id", "text"} == set(CommonCrawlReader.COLUMNS)


def test_groups_are_runs_of_a_dumps_sorted_files() -> None:
    names = [f"d/CC-MAIN-20{year}-09/{n}.wet" for n in range(5) for year in (19, 18)]
    reader = CommonCrawlReader(group_files=2)
    units = reader.units([InputFile(name, 1) for name in names], no_file)
    assert [(unit.path, unit.group) for unit in units] == [
        (f"d/CC-MAIN-20{year}-09/{n}.wet", n // 2) for year in (18, 19) for n in range(5)
    ]
    (page,) = (page for page in reader.read(units[-1], lambda path: io.BytesIO(wet("T\na"))) if isinstance(page, dict))
    assert page["_group"] == "CC-MAIN-2019-09 2"
    with pytest.raises(ValueError, match="group_files must"):
        CommonCrawlReader(group_files=0)


def test_an_id_and_a_digest_where_the_record_has_none() -> None:
    first, second, third = documents(wet("T\na", "T\na", "T\nb"))
    digest = hashlib.sha1(b"T\na").digest()
    assert first["digest"] == second["digest"] != third["digest"]
    assert len({first["id"], second["id"], third["id"]}) == 3
    assert first["id"] == documents(wet("T\na"), "elsewhere.wet")[0]["id"]
    assert len(digest) == 20
    assert first["digest"].startswith("sha1:")


@pytest.mark.parametrize(
    ("path", "info", "setting", "dump"),
    [
        (
            "d/CC-MAIN-2017-04/CC-MAIN-2019-30/x.wet",
            "isPartOf: CC-MAIN-2024-22\r\n",
            "CC-MAIN-2018-01",
            "CC-MAIN-2019-30",
        ),
        ("x.wet", "isPartOf: CC-MAIN-2024-22\r\n", "CC-MAIN-2018-01", "CC-MAIN-2018-01"),
        ("x.wet", "software: y\r\nisPartOf: CC-MAIN-2024-22\r\n", "", "CC-MAIN-2024-22"),
        ("CC-MAIN-20230320175948-20230320205948-00000.warc.wet", "isPartOf: mine\r\n", "", ""),
    ],
)
def test_the_dump_is_of_the_path_or_given_or_of_the_file(path: str, info: str, setting: str, dump: str) -> None:
    (document,) = documents(wet("T\na", info=info), path, dump=setting)
    assert document["dump"] == dump


def test_html_is_read_from_warc_files() -> None:
    page = "<title> A \n page</title><nav><a href=/>Home</a></nav><main><p>Ein schöner Satz steht hier.</p></main>"
    body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=latin-1\r\n\r\n{page}".encode("latin-1")
    data = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
    )
    data += b"WARC-Payload-Digest: sha1:XYZ\r\nContent-Length: %d\r\n\r\n" % len(body) + body + b"\r\n\r\n"
    (document,) = documents(gzip.compress(data), "a/CC-MAIN-2019-09/b.warc.gz")
    assert (document["id"], document["title"], document["text"]) == ("1", "A page", "Ein schöner Satz steht hier.")
    assert document["digest"] != "sha1:XYZ"  # of the text, as in a WET file
    (whole,) = documents(data, "b.warc", is_main_content=False)
    assert whole["text"] == "Home\nEin schöner Satz steht hier."


def no_file(path: str) -> BinaryIO:
    raise AssertionError(path)


def test_units_are_named_by_their_files() -> None:
    names = ["a.warc.wet.gz", "b.WET.GZ", "c.warc.wet", "d.wet", "e.warc.gz", "f.warc"]
    units = CommonCrawlReader().units([InputFile(name, 7) for name in names], no_file)
    assert [unit.kind for unit in units] == ["wet"] * 4 + ["warc"] * 2
    assert units[0] == Unit(path="a.warc.wet.gz", num_bytes=7, kind="wet")


@pytest.mark.parametrize(
    ("text", "html", "is_same"),
    [
        ("x/wet/CC-MAIN-1-00000.warc.wet.gz", "x/warc/CC-MAIN-1-00000.warc.gz", True),
        ("x/a.wet", "x/a.warc", True),
        ("x/wet/CC-MAIN-1-00000.warc.wet.gz", "x/warc/CC-MAIN-1-00001.warc.gz", False),
        ("CC-MAIN-2019-09/0.warc.wet.gz", "CC-MAIN-2019-13/0.warc.gz", False),
    ],
)
def test_the_same_pages_as_text_and_as_html_are_refused(text: str, html: str, is_same: bool) -> None:
    """If both were read, the line dedup would remove every line that both forms of a page have."""
    files = [InputFile(text, 1), InputFile(html, 1)]
    if not is_same:
        assert len(CommonCrawlReader().units(files, no_file)) == 2
        return
    with pytest.raises(ValueError, match=r"the same pages, once as text .* give only one of the two forms"):
        CommonCrawlReader().units(files, no_file)


@pytest.mark.parametrize("name", ["a.arc.gz", "a.warc.wat.gz", "README.md", "wet.paths.gz", "a.warc.zst"])
def test_a_name_that_says_nothing_is_the_users_mistake(name: str) -> None:
    with pytest.raises(ValueError, match=r"reads WET files .* such as"):
        CommonCrawlReader().units([InputFile("a.wet", 1), InputFile(name, 1)], no_file)


def test_what_is_broken_is_told_of_the_container() -> None:
    unit = Unit(path="/spill/7", num_bytes=1, kind="wet", origin="real.wet")
    (rejected,) = CommonCrawlReader().read(unit, lambda path: io.BytesIO(b"junk"))
    assert isinstance(rejected, Rejected)
    assert (rejected.location, rejected.is_whole_file) == ("real.wet@0", True)


PATHS = b"".join(b"crawl-data/CC-MAIN-2019-30/segments/1/wet/%s.warc.wet.gz\n" % name for name in (b"a", b"b"))


@pytest.mark.parametrize(
    "data",
    [PATHS, gzip.compress(PATHS, mtime=0), gzip.compress(PATHS[:20], mtime=0) + gzip.compress(PATHS[20:], mtime=0)],
)
@pytest.mark.parametrize("prefix", ["s3://commoncrawl", "s3://commoncrawl/"])
def test_a_list_of_paths(data: bytes, prefix: str) -> None:
    found = expand_paths_list("wet.paths.gz", lambda path: io.BytesIO(data), prefix=prefix)
    assert found == ["s3://commoncrawl/" + line for line in PATHS.decode().split()]
    assert paths_list_of("x/warc.paths@a b") == ("x/warc.paths", "a b")
    assert paths_list_of("/disk/crawl-data/CC-MAIN-2019-30/warc.paths.gz") == (
        "/disk/crawl-data/CC-MAIN-2019-30/warc.paths.gz",
        "/disk",
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty list"),
        (gzip.compress(PATHS, mtime=0)[:-9], "broken or cut gzip"),
        (gzip.compress(PATHS, mtime=0)[:30] + bytes(60), "broken or cut gzip"),
        (b"<Error>AccessDenied</Error>", "no WET or WARC file"),
        (b"crawl-data/../../etc/a.wet", "leaves the folder"),
        (gzip.compress(bytes(100_000_000), mtime=0), "no list of paths"),
    ],
)
def test_a_list_of_paths_that_is_none(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expand_paths_list("wet.paths.gz", lambda path: io.BytesIO(data), prefix="x")
    with pytest.raises(ValueError, match="needs the place of its files"):
        expand_paths_list("wet.paths.gz", lambda path: io.BytesIO(data), prefix="")


def test_the_order_of_steps() -> None:
    names = [step.NAME for step in SOURCE.steps]
    assert names == [
        "min_length",
        "duplicate_id",
        "duplicate_digest",
        "line_dedup",
        "min_length_after_dedup",
        "language",
        "perplexity",
        "reference",
    ]
    dedups = [step for step in SOURCE.steps if isinstance(step, ExactDedup)]
    assert [(step.key, step.reason) for step in dedups] == [("id", "duplicate_id"), ("digest", "duplicate_digest")]
    (lines,) = (step for step in SOURCE.steps if isinstance(step, LineDedup))
    assert (lines.lines, lines.keep, lines.scope) == ("ccnet", "ccnet", "dump")


@pytest.mark.real
def test_real_pages(corpus_data: Path) -> None:
    def stored(path: str) -> BinaryIO:
        return open(path, "rb")

    reader = CommonCrawlReader()
    files = [InputFile(str(path), 1) for path in sorted((corpus_data / "commoncrawl/wrapped/wet").glob("*.gz"))]
    found = [item for unit in reader.units(files, stored) for item in reader.read(unit, stored)]
    pages = [item for item in found if isinstance(item, dict)]
    assert (len(found), len(pages), len({page["id"] for page in pages})) == (514, 514, 514)
    assert len({page["digest"] for page in pages}) == 513
    assert all(page["text"] and page["title"] and page["url"] for page in pages)
