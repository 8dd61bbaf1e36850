"""Tests reading Wikipedia's dumps: in units, damaged, truncated, with a wrong name. Each lost page is reported."""

from __future__ import annotations

import bz2
import io
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

import pyarrow as pa
import pytest

from pipeline.sources.source import InputFile, Reader, Rejected, Unit
from pipeline.sources.wikipedia import xml as wikipedia_xml
from pipeline.sources.wikipedia.reader import SOURCE, WikipediaReader

NAME = "dewiki-20220620-pages-articles-multistream.xml.bz2"
HEADER = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="de">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>dewiki</dbname>
    <base>https://de.wikipedia.org/wiki/Wikipedia:Hauptseite</base>
    <namespaces>
      <namespace key="-2" case="first-letter">Medium</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">Datei</namespace>
      <namespace key="14" case="first-letter">Kategorie</namespace>
    </namespaces>
  </siteinfo>
"""
FOOTER = "</mediawiki>\n"
WORDS = ("Birne", "Apfel", "Baum", "Straße", "über", "Wiese", "grün", "Obst", "Garten", "Ernte")


def page(number: int, text: str = "", *, title: str = "", extra: str = "<ns>0</ns>") -> str:
    rng = random.Random(number)
    text = text or " ".join(rng.choice(WORDS) + str(rng.random()) for _ in range(20))
    return (
        f"  <page>\n    <title>{escape(title or f'Seite {number}')}</title>\n    {extra}\n    <id>{number}</id>\n"
        f"    <revision>\n"
        f"      <id>{number + 1000}</id>\n      <timestamp>2022-06-20T00:00:{number % 60:02}Z</timestamp>\n"
        f'      <contributor><username>x</username><id>7</id></contributor>\n      <text xml:space="preserve">'
        f"{escape(text)}</text>\n    </revision>\n  </page>\n"
    )


def multistream(num_pages: int, per_stream: int, **settings: Any) -> bytes:
    pages = [page(number, **settings) for number in range(1, num_pages + 1)]
    streams = [HEADER, *("".join(pages[i : i + per_stream]) for i in range(0, num_pages, per_stream)), FOOTER]
    return b"".join(bz2.compress(stream.encode()) for stream in streams)


def read(
    data: bytes, name: str = NAME, reader: WikipediaReader | None = None
) -> tuple[list[dict[str, Any]], list[Rejected]]:
    def open_file(path: str) -> BinaryIO:
        assert path == name
        return io.BytesIO(data)

    reader = reader or WikipediaReader()
    units = reader.units([InputFile(name, len(data))], open_file)
    assert sum(unit.num_bytes for unit in units) == len(data)
    items = [item for unit in units for item in reader.read(unit, open_file)]
    return [i for i in items if isinstance(i, dict)], [i for i in items if isinstance(i, Rejected)]


def page_ids(documents: list[dict[str, Any]]) -> list[int]:
    return [document["page_id"] for document in documents]


def test_a_page_becomes_a_document() -> None:
    documents, rejected = read(
        bz2.compress((HEADER + page(3, "Die [[Birne]] & <x>", title="Grüne Birne?") + FOOTER).encode())
    )
    assert rejected == []
    assert documents == [
        {
            "id": "de:3",
            "text": "Die [[Birne]] & <x>",
            "language": "de",
            "title": "Grüne Birne?",
            "page_id": 3,
            "revision_id": 1003,
            "timestamp": "2022-06-20T00:00:03Z",
            "url": "https://de.wikipedia.org/wiki/Gr%C3%BCne_Birne%3F",
            "_wiki": "de",
            "_namespaces": "-2:Medium|6:Datei|14:Kategorie",
        }
    ]
    assert set(documents[0]) == {"id", "text", "language", *WikipediaReader.COLUMNS}
    reader: Reader = WikipediaReader()
    assert reader == SOURCE.reader


@pytest.mark.parametrize("per_stream", [1, 3, 50])
def test_a_multistream_dump_split_anywhere_gives_every_page_once(per_stream: int) -> None:
    data = multistream(40, per_stream)
    for max_unit_bytes in {1 + len(data) // parts for parts in (2, 3, 5, 7, 11, 40, 133)} | {509, 510, 511, 512, 513}:
        documents, rejected = read(data, reader=WikipediaReader(max_unit_bytes=max_unit_bytes))
        assert page_ids(documents) == list(range(1, 41)), max_unit_bytes
        assert rejected == []
        assert {document["_namespaces"] for document in documents} == {"-2:Medium|6:Datei|14:Kategorie"}


@pytest.mark.parametrize("block_bytes", [37, 200, 999, 5000])
def test_pages_that_cross_streams_are_read_once(block_bytes: int) -> None:
    xml = (HEADER + "".join(page(number) for number in range(1, 16)) + FOOTER).encode()
    data = b"".join(bz2.compress(xml[i : i + block_bytes]) for i in range(0, len(xml), block_bytes))
    for max_unit_bytes in (len(data), len(data) // 2, len(data) // 9, 700):
        documents, rejected = read(data, reader=WikipediaReader(max_unit_bytes=max_unit_bytes))
        assert page_ids(documents) == list(range(1, 16)), max_unit_bytes
        assert rejected == []


def test_plain_xml_split_anywhere_gives_every_page_once() -> None:
    xml = (HEADER + "".join(page(number) for number in range(1, 13)) + FOOTER).encode()
    for max_unit_bytes in (len(xml), 5000, 1000, 97, 64, 7):
        documents, rejected = read(
            xml, "dewiki-20220620-pages-articles.xml", WikipediaReader(max_unit_bytes=max_unit_bytes)
        )
        assert page_ids(documents) == list(range(1, 13)), max_unit_bytes
        assert rejected == []


@pytest.mark.parametrize("is_packed", [True, False])
def test_an_index_puts_the_splits_where_streams_begin(is_packed: bool) -> None:
    data = multistream(40, 2)
    starts = [i for i in range(len(data)) if data.startswith(b"BZh91AY&SY", i)]
    lines = [f"{starts[1 + (number - 1) // 2]}:{number}:Seite: {number}\n" for number in range(1, 41)]
    index = "".join(lines).encode()
    index_name = NAME.replace(".xml", "-index.txt") if is_packed else NAME.replace(".xml.bz2", "-index.txt")
    stored = {NAME: data, index_name: bz2.compress(index) if is_packed else index}
    files = [InputFile(path, len(content)) for path, content in stored.items()]
    reader = WikipediaReader(max_unit_bytes=3000)
    units = reader.units(files, lambda path: io.BytesIO(stored[path]))
    assert len(units) > 3
    assert {unit.path for unit in units} == {NAME}
    assert {unit.start for unit in units[1:]} <= set(starts)
    assert all(unit.num_bytes <= 3000 for unit in units)
    items = [item for unit in units for item in reader.read(unit, lambda path: io.BytesIO(stored[path]))]
    assert [item["page_id"] for item in items if isinstance(item, dict)] == list(range(1, 41))


def test_a_wrong_index_loses_nothing() -> None:
    data = multistream(40, 2)
    index = b"77:1:a\n5:2:b\nx\n1500:3:c\n9999999:4:d\n4001:5:e\n"
    stored = {NAME: data, NAME.replace(".xml.bz2", "-index.txt"): index}
    files = [InputFile(path, len(content)) for path, content in stored.items()]
    reader = WikipediaReader(max_unit_bytes=2000)
    units = reader.units(files, lambda path: io.BytesIO(stored[path]))
    items = [item for unit in units for item in reader.read(unit, lambda path: io.BytesIO(stored[path]))]
    assert [item["page_id"] for item in items if isinstance(item, dict)] == list(range(1, 41))


def test_a_truncated_bz2_keeps_the_pages_before() -> None:
    data = multistream(60, 10)
    documents, rejected = read(data[: len(data) // 2])
    ids = page_ids(documents)
    assert ids == list(range(1, len(ids) + 1))
    assert 20 <= len(ids) < 40
    assert [(r.reason, r.is_bad) for r in rejected] == [("truncated_bz2", True)]
    assert rejected[0].location.startswith(f"{NAME}@")


def test_zeroed_bytes_lose_one_stream_and_name_it() -> None:
    data = multistream(60, 10)
    starts = [i for i in range(len(data)) if data.startswith(b"BZh91AY&SY", i)]
    third = starts[3]
    for zeroed_from, num_zeroed in ((third + 100, 40), (third, 60), (third + 4, 6)):
        broken = data[:zeroed_from] + bytes(num_zeroed) + data[zeroed_from + num_zeroed :]
        for max_unit_bytes in (len(data), 2000, third + 20):
            documents, rejected = read(broken, reader=WikipediaReader(max_unit_bytes=max_unit_bytes))
            assert page_ids(documents) == [*range(1, 21), *range(31, 61)], (zeroed_from, max_unit_bytes)
            assert [(r.location, r.reason) for r in rejected] == [(f"{NAME}@{third}", "damaged_bz2")]


def test_xml_that_ends_in_the_middle() -> None:
    xml = HEADER + page(1) + page(2)
    for cut, reasons in ((len(xml) - 100, ["truncated_page"]), (len(xml), ["truncated_xml"])):
        documents, rejected = read(xml[:cut].encode(), "dewiki-1.xml")
        assert page_ids(documents) == ([1] if cut < len(xml) else [1, 2])
        assert [r.reason for r in rejected] == reasons
        documents, rejected = read(bz2.compress(xml[:cut].encode()))
        assert [r.reason for r in rejected] == reasons


def test_a_byte_order_mark_and_an_xml_declaration() -> None:
    xml = '\ufeff<?xml version="1.0" encoding="UTF-8"?>\n' + HEADER + page(1, "ü") + FOOTER
    documents, rejected = read(xml.encode(), "x.xml")
    assert [(document["id"], document["text"]) for document in documents] == [("de:1", "ü")]
    assert rejected == []


def test_entities_are_not_resolved() -> None:
    bomb = '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>\n'
    pages = page(1).replace("</text>", "&b;</text>") + page(2).replace("</text>", "&f;</text>") + page(3)
    documents, rejected = read((bomb + HEADER + pages + FOOTER).encode(), "dewiki-1.xml")
    assert page_ids(documents) == [3]
    assert [(r.reason, r.is_bad) for r in rejected] == [("bad_xml", True)] * 2


@pytest.mark.parametrize(
    ("xml", "reason", "is_bad"),
    [
        (page(1).replace("<id>1</id>", ""), "no_page_id", True),
        (page(1).replace("<title>Seite 1</title>", ""), "no_title", True),
        ("<page><title>A</title><ns>0</ns><id>1</id></page>", "no_text", True),
        (page(1).replace("<text ", "<txt ").replace("</text>", "</txt>"), "no_text", True),
        (page(1).replace("</revision>", ""), "bad_xml", True),
        (page(1).replace("Seite 1", "Seite \x01"), "bad_xml", True),
        (page(1, text=" \n"), "no_text", False),
        (page(1, text="#WEITERLEITUNG [[Birne]]"), "redirect", False),
        (page(1, text="  # redirect: [[Birne]]"), "redirect", False),
        (page(1, extra='<ns>0</ns><redirect title="Birne" />'), "redirect", False),
        (page(1, extra="<ns>14</ns>"), "not_article", False),
        (page(1, extra="", title="Kategorie:Obst"), "not_article", False),
        (page(1).replace("<text ", "<model>css</model><text "), "not_wikitext", False),
    ],
)
def test_what_is_no_article(xml: str, reason: str, is_bad: bool) -> None:
    documents, rejected = read((HEADER + xml + page(2) + FOOTER).encode(), "dewiki-1.xml")
    assert page_ids(documents) == [2]
    assert [(r.reason, r.is_bad) for r in rejected] == [(reason, is_bad)]
    assert rejected[0].location == f"dewiki-1.xml@{len((HEADER + xml).encode()) - len(xml.lstrip().encode())}"


def test_old_dumps_say_no_namespace() -> None:
    xml = HEADER + page(1, extra="", title="Star Trek: Der Film") + FOOTER
    assert page_ids(read(xml.encode(), "dewiki-1.xml")[0]) == [1]


def test_the_newest_revision_is_read() -> None:
    history = page(1, "neu").replace("</page>", "") + page(1, "alt").partition("</id>\n")[2].replace(":01Z", ":00Z")
    documents, _ = read((HEADER + history + FOOTER).encode(), "dewiki-1.xml")
    assert [document["text"] for document in documents] == ["neu"]


def test_a_bad_encoding_costs_one_page() -> None:
    xml = (
        (HEADER + page(1, "Stra\u00dfenbahn") + page(2) + FOOTER)
        .encode()
        .replace("Stra\u00dfenbahn".encode(), b"Stra\xdfenbahn")
    )
    documents, rejected = read(xml, "dewiki-1.xml")
    assert page_ids(documents) == [2]
    assert [r.reason for r in rejected] == ["bad_xml"]


def test_a_page_too_large_costs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wikipedia_xml, "MAX_PAGE_BYTES", 600_000)
    data = (HEADER + page(1) + page(2, "x" * 2_000_000) + page(3) + FOOTER).encode()
    for name, content in (("dewiki-1.xml", data), (NAME, bz2.compress(data))):
        documents, rejected = read(content, name)
        assert page_ids(documents) == [1, 3]
        assert [r.reason for r in rejected] == ["page_too_large"]


@pytest.mark.parametrize(
    ("name", "language", "document", "reasons"),
    [
        ("x/frwiki-20220620-pages-articles1.xml-p1p9.bz2", "", ("fr:1", "fr"), ["header_language"]),
        ("dbpedia-minidump-bgwiki.xml.bz2", "", ("bg:1", "bg"), ["header_language"]),
        ("simplewiki-latest.xml.bz2", "", ("simple:1", "en"), ["header_language"]),
        ("smallwiki-latest.xml.bz2", "", ("de:1", "de"), []),
        ("dump.xml.bz2", "nl", ("nl:1", "nl"), ["header_language"]),
        ("dewiki.xml.bz2", "", ("de:1", "de"), []),
    ],
)
def test_the_language(name: str, language: str, document: tuple[str, str], reasons: list[str]) -> None:
    data = bz2.compress(HEADER.encode()) + bz2.compress(page(1).encode()) + bz2.compress(FOOTER.encode())
    for max_unit_bytes in (len(data), len(data) // 4):
        reader = WikipediaReader(language=language, max_unit_bytes=max_unit_bytes)
        documents, rejected = read(data, name, reader)
        assert [(d["id"], d["language"]) for d in documents] == [document]
        assert [(r.reason, r.is_bad) for r in rejected] == [(reason, False) for reason in reasons]


def test_names_of_the_header_count_only_where_it_is_of_the_wiki() -> None:
    data = bz2.compress((HEADER + page(1) + FOOTER).encode())
    assert read(data, "bgwiki-1.xml.bz2")[0][0]["_namespaces"] == ""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no_language"),
        (b"PK\x03\x04" + bytes(500), "no_language"),
        (HEADER.replace("wikipedia.org", "wiktionary.org").encode() + FOOTER.encode(), "no_language"),
    ],
)
def test_a_file_of_no_known_language(data: bytes, reason: str) -> None:
    documents, rejected = read(data, "dump.xml")
    assert documents == []
    assert [(r.reason, r.is_whole_file) for r in rejected] == [(reason, True)]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04" + bytes(500), b"<html><page", bz2.compress(b"no dump"), b"BZh9"])
@pytest.mark.parametrize("name", ["dewiki-1.xml", "dewiki-1.xml.bz2"])
def test_a_file_that_is_no_dump(data: bytes, name: str) -> None:
    documents, rejected = read(data, name)
    assert documents == []
    assert any(r.is_whole_file and r.is_bad and r.reason == "not_a_dump" for r in rejected)


@pytest.mark.parametrize("name", ["dewiki-1.xml.gz", "dewiki-1.7z", "enwiki-latest-abstract.json", "pages.tar"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"wikipedia: .* is not a dump"):
        WikipediaReader().units([InputFile(name, 1)], lambda path: io.BytesIO())


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="give the pages-articles dump"):
        WikipediaReader().units([InputFile("enwiki-1-multistream-index.txt.bz2", 1)], lambda path: io.BytesIO())
    with pytest.raises(ValueError, match="language 'german'"):
        WikipediaReader(language="german")
    with pytest.raises(ValueError, match="max_unit_bytes"):
        WikipediaReader(max_unit_bytes=0)
    with pytest.raises(ValueError, match="unknown kind"):
        next(WikipediaReader().read(Unit(path="x", num_bytes=1, kind="7z"), lambda path: io.BytesIO()))


def open_stored(path: str) -> BinaryIO:
    return Path(path).open("rb")


class _Endless(io.RawIOBase):
    """Plays a dump of any length, which is never in memory as a whole."""

    def __init__(self, num_bytes: int) -> None:
        self._head, self._page = HEADER.encode(), page(1, "Wort " * 2000).encode()
        self._num_bytes, self._position = num_bytes, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset
        return offset

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        end = min(self._num_bytes, self._position + size)
        out = b""
        while self._position < end:
            if self._position < len(self._head):
                piece = self._head[self._position : end]
            else:
                inside = (self._position - len(self._head)) % len(self._page)
                piece = self._page[inside : inside + end - self._position]
            out += piece
            self._position += len(piece)
        return out


def test_memory_stays_flat() -> None:
    open_file: Callable[[str], Any] = lambda path: _Endless(24 << 20)  # noqa: E731
    reader = WikipediaReader()
    unit = Unit(path="dewiki-1.xml", num_bytes=24 << 20, kind="xml")
    tracemalloc.start()
    num_documents = sum(isinstance(item, dict) for item in reader.read(unit, open_file))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert num_documents > 2000
    assert peak_bytes < 4 << 20


def test_the_steps_end_to_end() -> None:
    texts = {1: "'''Birnen''' wachsen auf [[Baum|Bäumen]] in Europa.<ref>A</ref>", 2: "{{Infobox}}"}
    data = bz2.compress((HEADER + "".join(page(n, t) for n, t in texts.items()) + FOOTER).encode())
    documents, _ = read(data)
    types = {"id": pa.string(), "text": pa.string(), "language": pa.string(), **SOURCE.reader.COLUMNS}
    batch = pa.RecordBatch.from_pylist(documents, schema=pa.schema(list(types.items())))
    verdicts = []
    for step in SOURCE.steps[:-1]:
        outcome = step.apply(batch, {})  # type: ignore[union-attr]
        for name, column in outcome.columns.items():
            index = batch.schema.get_field_index(name)
            batch = batch.set_column(index, name, column) if index >= 0 else batch.append_column(name, column)
        verdicts.append(outcome.verdict.to_pylist())
    assert batch.column("text").to_pylist() == ["Seite 1\n\nBirnen wachsen auf Bäumen in Europa.", "Seite 2"]
    assert verdicts == [[None, None], [None, None], [None, "empty_article"]]


@pytest.mark.real
def test_real_dumps(corpus_data: Path) -> None:
    files = [InputFile(str(path), path.stat().st_size) for path in sorted((corpus_data / "wikipedia").rglob("*.xml*"))]
    assert len(files) >= 30
    reader = WikipediaReader()
    units = reader.units(files, open_stored)
    counts: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for unit in units:
        for item in reader.read(unit, open_stored):
            if isinstance(item, Rejected):
                counts[item.reason] += 1
                assert not item.is_bad, item
            else:
                assert isinstance(item, dict)
                languages[item["_wiki"]] += 1
                counts["document"] += 1
    assert counts == {
        "document": 1202, "redirect": 349, "not_article": 1051, "header_language": 12,
    }  # fmt: skip
    assert len(languages) == 15
