"""Makes small files in every container, compression and schema that the sources read. Each file has different
content.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import fastavro
import py7zr
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

DOCUMENTS = 4
"""Number of documents per file. It is above one, because damage in one document must not affect the others."""
_WORDS = [
    "river",
    "stone",
    "bridge",
    "water",
    "letter",
    "garden",
    "winter",
    "morning",
    "light",
    "field",
    "horse",
    "road",
    "village",
    "paper",
    "window",
]


def mark(number: int) -> str:
    """Returns a word that occurs in all documents of file ``number``, and in no other file."""
    return f"zq{number}qz"


def text(number: int, document: int, *, num_words: int = 120) -> str:
    """Returns the text of a document in file ``number``."""
    chosen = random.Random(f"{number} {document}")
    words = [f"part{document}", *(chosen.choice(_WORDS) for _ in range(num_words))]
    lines = [" ".join(words[i : i + 12]) for i in range(0, len(words), 12)]
    return (
        "\n".join(f"{line.capitalize()} {mark(number)}." for line in lines) + "\n"
    )  # a reader may take the first line


def _record(kind: str, url: str, body: bytes, more: str = "") -> bytes:
    identity = f"<urn:uuid:{random.Random(url).getrandbits(128):032x}>"
    head = (f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2019-02-21T12:00:00Z\r\n"
            f"WARC-Record-ID: {identity}\r\n{more}Content-Length: {len(body)}\r\n\r\n")  # fmt: skip
    return head.encode() + body + b"\r\n\r\n"


def _wet(number: int) -> list[bytes]:
    return [_record("conversion", f"https://s{number}.example/{d}", text(number, d).encode(),
                    "Content-Type: text/plain\r\n") for d in range(DOCUMENTS)]  # fmt: skip


def _warc(number: int) -> list[bytes]:
    records = []
    for d in range(DOCUMENTS):
        page = f"<html><head><title>t</title></head><body><p>{text(number, d)}</p></body></html>".encode()
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page
        records.append(_record("response", f"https://s{number}.example/{d}", http,
                               "Content-Type: application/http; msgtype=response\r\n"))  # fmt: skip
    return records


def _json_lines(number: int, row: Callable[[int, int], dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row(number, d)) + "\n" for d in range(DOCUMENTS)).encode()


def _c4(number: int, d: int) -> dict[str, Any]:
    return {"url": f"https://s{number}.example/{d}", "timestamp": "2019-04-25T12:57:54Z", "text": text(number, d)}


def _book(number: int, d: int) -> dict[str, Any]:
    return {"text": text(number, d, num_words=300), "meta": {"title": f"Book {number} {d}"}}


def _code(number: int, d: int) -> dict[str, Any]:
    content = f"# {mark(number)}\n" + "".join(f"value_{n} = {d * 31 + n}\n" for n in range(60))
    return {"id": f"{number:020d}{d:020d}", "size": len(content), "content": content, "binary": False,
            "repo_name": f"r{number}/x", "path": f"src/m{d}.py", "license": "mit", "mode": 33188}  # fmt: skip


def _avro(number: int, codec: str) -> bytes:
    kinds = {"size": "long", "binary": "boolean", "mode": "long"}
    names = list(_code(0, 0))
    schema = {"type": "record", "name": "row", "fields": [{"name": n, "type": kinds.get(n, "string")} for n in names]}
    sink = io.BytesIO()
    fastavro.writer(sink, fastavro.parse_schema(schema), [_code(number, d) for d in range(DOCUMENTS)], codec=codec)
    return sink.getvalue()


def _parquet(number: int, codec: str) -> bytes:
    sink = io.BytesIO()
    table = pa.Table.from_pylist([_code(number, d) for d in range(DOCUMENTS)])
    pq.write_table(table, sink, compression=codec, row_group_size=2, write_page_checksum=True)
    return sink.getvalue()


def _wiki(number: int, streams: int = 1) -> bytes:
    head = ('<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="en"><siteinfo>'
            "<sitename>Wikipedia</sitename><dbname>enwiki</dbname></siteinfo>\n")  # fmt: skip
    pages = [
        f"  <page>\n    <title>Page {number} {d}</title>\n    <ns>0</ns>\n    <id>{number * 100 + d + 1}</id>\n"
        f"    <revision><id>{d + 1}</id><timestamp>2020-01-01T00:00:00Z</timestamp><model>wikitext</model>"
        f'<text xml:space="preserve">{text(number, d)}</text></revision>\n  </page>\n'
        for d in range(DOCUMENTS)
    ]
    if streams == 1:
        return bz2.compress((head + "".join(pages) + "</mediawiki>\n").encode())
    return b"".join(bz2.compress(piece.encode()) for piece in (head, *pages, "</mediawiki>\n"))


def _zip(number: int, method: int) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for d in range(DOCUMENTS):
            archive.writestr(f"book{number}-{d}.txt", text(number, d, num_words=300))
    return sink.getvalue()


def _tar(members: list[tuple[str, bytes]], mode: str = "w") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def _books(number: int) -> list[tuple[str, bytes]]:
    return [(f"book{number}-{d}.txt", text(number, d, num_words=300).encode()) for d in range(DOCUMENTS)]


def _paper(number: int, d: int) -> bytes:
    body = text(number, d, num_words=200)
    return (f"\\documentclass{{article}}\n\\begin{{document}}\n\\section{{Introduction}}\n{body}\n"
            f"\\section{{Results}}\n{body}\n\\end{{document}}\n").encode()  # fmt: skip


def _bulk(number: int) -> bytes:
    month = 1000 + number % 9000
    names = [f"{month}/{month}.{d:05d}.gz" for d in range(DOCUMENTS)]
    return _tar([(name, gzip.compress(_paper(number, d), mtime=0)) for d, name in enumerate(names)])


def _posts(number: int) -> bytes:
    rows = []
    for d in range(DOCUMENTS):
        body = text(number, d).replace("\n", "&#xA;")
        rows.append(f'  <row Id="{2 * d + 1}" PostTypeId="1" CreationDate="2020-01-01T00:00:00.000" Score="5" '
                    f'Body="&lt;p&gt;{body}&lt;/p&gt;" Title="Question {d}" AnswerCount="1" />\n')  # fmt: skip
        rows.append(f'  <row Id="{2 * d + 2}" PostTypeId="2" ParentId="{2 * d + 1}" Score="3" '
                    f'CreationDate="2020-01-01T00:00:00.000" Body="answer {mark(number)}" />\n')  # fmt: skip
    return ('<?xml version="1.0" encoding="utf-8"?>\n<posts>\n' + "".join(rows) + "</posts>\n").encode()


def _seven_zip(number: int, method: int) -> bytes:
    sink = io.BytesIO()
    with py7zr.SevenZipFile(sink, "w", filters=[{"id": method, **_LEVELS.get(method, {})}]) as archive:
        archive.writestr(_posts(number), "Posts.xml")
    return sink.getvalue()


_LEVELS: dict[int, dict[str, int]] = {py7zr.FILTER_LZMA2: {"preset": 3}}


def _each_packed(records: list[bytes]) -> bytes:
    return b"".join(gzip.compress(record, mtime=0) for record in records)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


Make = Callable[[int], bytes]

FORMS: dict[str, dict[str, Make]] = {
    "common_crawl": {
        "f{}.warc.wet.gz": lambda n: _each_packed(_wet(n)),
        "f{}.warc.gz": lambda n: _each_packed(_warc(n)),
    },
    "c4": {
        "f{}.json.gz": lambda n: gzip.compress(_json_lines(n, _c4), mtime=0),
        "f{}.jsonl.zst": lambda n: _zstd(_json_lines(n, _c4)),
        "f{}.wet.gz": lambda n: _each_packed(_wet(n)),
    },
    "github": {
        "f{}.json.gz": lambda n: gzip.compress(_json_lines(n, _code), mtime=0),
        "f{}-deflate.avro": lambda n: _avro(n, "deflate"),
        "f{}-snappy.parquet": lambda n: _parquet(n, "snappy"),
        "f{}-zstd.parquet": lambda n: _parquet(n, "zstd"),
    },
    "wikipedia": {
        "enwiki-20200101-pages-articles{}.xml.bz2": _wiki,
        "enwiki-20200101-pages-articles-multistream{}.xml.bz2": lambda n: _wiki(n, streams=2),
    },
    "books": {
        "f{}.txt.gz": lambda n: gzip.compress(text(n, 0, num_words=400).encode(), mtime=0),
        "f{}-deflate.zip": lambda n: _zip(n, zipfile.ZIP_DEFLATED),
        "f{}-stored.zip": lambda n: _zip(n, zipfile.ZIP_STORED),
        "f{}.tar.gz": lambda n: _tar(_books(n), "w:gz"),
        "f{}.jsonl.zst": lambda n: _zstd(_json_lines(n, _book)),
    },
    "arxiv": {
        "f{}.tar": _bulk,
        "1001.{:05d}.gz": lambda n: gzip.compress(_paper(n, 0), mtime=0),
        "1002.{:05d}.tar.gz": lambda n: _tar([("ms.tex", _paper(n, 0)), ("notes.txt", b"x" * 600)], "w:gz"),
    },
    "stack_exchange": {
        "s{}.stackexchange.com.7z": lambda n: _seven_zip(n, py7zr.FILTER_LZMA2),
        "b{}.stackexchange.com.7z": lambda n: _seven_zip(n, py7zr.FILTER_BZIP2),
        "d{}.stackexchange.com.7z": lambda n: _seven_zip(n, py7zr.FILTER_DEFLATE),
    },
}
"""The functions that make files, by source and by the pattern of the file's name. The argument is the number of the
file.
"""
WITHOUT_CHECKSUM = ("f{}.tar", "f{}-deflate.avro", "f{}-snappy.parquet", "f{}-zstd.parquet")
"""Forms in which some content has no checksum. A changed byte in it may silently change a document, as in any text
file. In Parquet, only the footer has no checksum.
"""
