"""Tests reading published C4 and WET files."""

from __future__ import annotations

import gzip
import io
import json

import pytest
import zstandard

from pipeline.sources.c4 import SOURCE, C4Reader, c4_source, page_text, url_key
from pipeline.sources.dedup_steps import ExactDedup
from pipeline.sources.formats import json_lines
from pipeline.sources.source import InputFile, Rejected

ROWS = [
    {"text": f"Page {n} of it.", "timestamp": f"2019-04-2{n}T12:57:54Z", "url": f"https://www.a.com/{n}/"}
    for n in range(4)
]
LINES = [json.dumps(row).encode() + b"\n" for row in ROWS]


def from_disk(path):
    return open(path, "rb")


def read(name, data):
    (unit,) = C4Reader().units([InputFile(name, len(data))], lambda path: io.BytesIO(data))
    return list(C4Reader().read(unit, lambda path: io.BytesIO(data)))


def texts(records):
    return [record["text"] for record in records if not isinstance(record, Rejected)]


def faults(records):
    return [(record.reason, record.location) for record in records if isinstance(record, Rejected)]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("c4-train.00000-of-01024.json.gz", gzip.compress),
        ("c4.jsonl", bytes),
        ("c4.jsonl.zst", zstandard.compress),
        ("c4.json.gz", bytes),  # a store that unpacked it on the way
        ("c4.json.gz", lambda data: gzip.compress(data[:150]) + gzip.compress(data[150:]) + b"\0" * 512),
    ],
)
def test_published_form(name, pack):
    records = read(name, pack(b"".join(LINES)))
    assert records[1] == {
        "id": "https://www.a.com/1/@2019-04-21T12:57:54Z",
        "text": "Page 1 of it.",
        "language": "en",
        "url": "https://www.a.com/1/",
        "timestamp": "2019-04-21T12:57:54Z",
        "_url_key": "a.com/1",
        "_form": "json",
    }
    assert texts(records) == [row["text"] for row in ROWS]
    assert len({record["id"] for record in records}) == 4


def test_broken_lines_are_named_and_stepped_over():
    bad = [
        b'{"text": "cut', b"[1, 2]", b'{"url": "u", "timestamp": "t"}', b'{"text": 5}', b'{"text": "\xff"}',
        b'{"text": " "}', b"[" * 100_000, b'{"text": ' + b"9" * 5_000 + b"}",
    ]  # fmt: skip
    data = LINES[0] + b"\n".join(bad) + b"\n\n" + LINES[1].rstrip()
    records = read("a.jsonl", data)
    assert texts(records) == ["Page 0 of it.", "Page 1 of it."]
    reasons = ["not_json", "not_an_object", "missing_column", "text_is_no_text", "not_utf8", "no_content"]
    reasons += ["not_json", "not_json"]
    assert faults(records) == [(reason, f"a.jsonl:{line}") for line, reason in enumerate(reasons, 2)]
    assert records[3].detail == "no column text; found: timestamp, url"


def test_a_lone_surrogate_is_replaced():
    (record,) = read("a.json", b'{"text": "a\\ud800b", "url": "http://u"}')
    assert (record["text"], record["id"], record["timestamp"]) == ("a\ufffdb", "http://u@", None)


def test_rows_without_url_go_by_their_text():
    one, two, three = read("a.jsonl", b'{"text": "a", "label": 1}\n{"text": "a"}\n{"text": "b", "url": ""}\n')
    assert one["id"] == two["id"] != three["id"]
    assert one["id"].startswith("sha256:")
    assert (one["url"], one["_url_key"]) == (None, None)


def test_of_a_cut_gzip_file_the_whole_lines_are_read():
    data = b"".join(LINES * 200)
    stored = gzip.compress(data)
    records = read("a.json.gz", stored[: len(stored) // 2])
    whole = texts(records)
    assert 0 < len(whole) < 800
    assert whole == [row["text"] for row in ROWS * 200][: len(whole)]
    assert faults(records) == [("truncated_gzip", "a.json.gz@0")]
    assert records[-1].is_whole_file


def test_behind_a_damaged_member_reading_goes_on():
    # What damage unpacks to depends on all that follows, the time in a header among it.
    members = [gzip.compress(line, mtime=0) for line in LINES]
    broken = bytearray(members[1])
    broken[12:] = b"\xff" * (len(broken) - 12)
    records = read("a.json.gz", members[0] + bytes(broken) + members[2] + members[3])
    assert texts(records) == ["Page 0 of it.", "Page 2 of it.", "Page 3 of it."]
    assert faults(records) == [("damaged_gzip", f"a.json.gz@{len(members[0])}")]
    assert not records[1].is_whole_file


def test_a_wrong_checksum_is_told():
    stored = bytearray(gzip.compress(b"".join(LINES)))
    stored[-6] ^= 0xFF
    assert faults(read("a.json.gz", bytes(stored))) == [("damaged_gzip", "a.json.gz@0")]


def test_broken_zstandard_files_are_named():
    stored = zstandard.compress(b"".join(LINES * 50))
    assert texts(read("a.jsonl.zst", stored + zstandard.compress(LINES[0])))[199:] == ["Page 3 of it.", "Page 0 of it."]
    assert faults(read("a.jsonl.zst", stored[:-20])) == [("truncated_zstd", "a.jsonl.zst")]
    damaged = zstandard.compress(LINES[0]) + b"\xff" * 40
    assert texts(read("a.jsonl.zst", damaged)) == ["Page 0 of it."]
    assert faults(read("a.jsonl.zst", damaged)) == [("damaged_zstd", "a.jsonl.zst")]


def test_an_endless_line_is_left_without_being_held(monkeypatch):
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 1 << 20)
    data = LINES[0] + b'{"text": "' + b"a" * (5 << 20) + b'"}\n' + LINES[1]
    records = read("a.json.gz", gzip.compress(data))
    assert texts(records) == ["Page 0 of it.", "Page 1 of it."]
    assert faults(records) == [("line_too_long", "a.json.gz:2")]
    monkeypatch.setattr(json_lines, "MAX_SKIPPED_BYTES", 2 << 20)
    records = read("a.json.gz", gzip.compress(data))
    assert texts(records) == ["Page 0 of it."]
    assert records[-1].is_whole_file


def wet(url, date, text, extra=""):
    body = text.encode()
    head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: {url}\r\n{date}{extra}"
    return f"{head}Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"


def test_wet_form():
    data = wet(
        "https://a.com/x/?utm_source=b", "WARC-Date: 2019-04-25T12:57:54Z\r\n", " One. \n\n\tTwo.\r\nContent-x\n"
    )
    data += wet("https://a.com/y", "WARC-Date: 2019-04-25T12:57:54Z\r\n", "\n \n")
    data += wet("https://a.com/z", "", "Three.")
    records = read("CC-MAIN-2019-18/a.warc.wet", data)
    assert records[0] == {
        "id": "https://a.com/x/?utm_source=b@2019-04-25T12:57:54Z",
        "text": "One.\nTwo.",
        "url": "https://a.com/x/?utm_source=b",
        "timestamp": "2019-04-25T12:57:54Z",
        "_url_key": "a.com/x",
        "_form": "wet",
    }
    assert [reason for reason, _ in faults(records)] == ["no_content", "no_timestamp"]
    assert len(records) == 3


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://www.a.com/", "a.com"),
        ("https://a.com/b?ref=c", "a.com/b"),
        ("https://a.com/b?feed=rss2&x=1", "a.com/b"),
        ("https://a.com/b?x=1&utm_source=c", "a.com/b?x=1&utm_source=c"),
        ("http://web.archive.org/web/2019/http://www.a.com/", "web.archive.org/web/2019/a.com"),
        ("HTTP://A.com", "HTTP://A.com"),
    ],
)
def test_url_key(url, key):
    assert url_key(url) == key


def test_header_like_lines_can_be_kept():
    block = "Content-based filters work.\nWARCRAFT is a game."
    assert page_text(block) == ""
    assert page_text(block, is_header_like_dropped=False) == block


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"a\.txt.*\.json\.gz"):
        C4Reader().units([InputFile("a.txt", 1)], io.BytesIO)


def test_settings_reach_every_rule():
    steps = c4_source(is_for_published=True).steps
    settings = [step.is_for_published for step in steps if hasattr(step, "is_for_published")]
    assert settings == [True] * 5
    keys = [step.key for step in SOURCE.steps if isinstance(step, ExactDedup)]
    assert keys == ["id", "_url_key"]


@pytest.mark.real
def test_real_files(corpus_data):
    num_documents = 0
    for path in sorted(
        [*(corpus_data / "c4").rglob("*.json*"), *(corpus_data / "commoncrawl/wrapped/wet").glob("*.gz")]
    ):
        reader = C4Reader()
        (unit,) = reader.units([InputFile(str(path), path.stat().st_size)], from_disk)
        records = list(reader.read(unit, from_disk))
        assert faults(records) == []
        assert all(set(record) >= {"id", "text", *C4Reader.COLUMNS} for record in records)
        num_documents += len(records)
    assert num_documents > 1_500
