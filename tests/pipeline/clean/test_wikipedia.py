"""Tests Wikipedia in the whole clean phase: a dump that is read in several units, a second dump with newer revisions,
and broken dumps.
"""

from __future__ import annotations

import bz2
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
import toy

from filters.wikitext.page import Wikitext
from pipeline.sources.source import Source
from pipeline.sources.wikipedia.reader import SOURCE, WikipediaReader

HEADER = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="{0}">
  <siteinfo>
    <sitename>Wikipedia</sitename><dbname>{0}wiki</dbname><base>https://{0}.wikipedia.org/wiki/A</base>
    <namespaces><namespace key="0" /><namespace key="6">Datei</namespace></namespaces>
  </siteinfo>
"""
FOOTER = "</mediawiki>\n"
DEEP = "Vor der Vorlage steht ein Satz. " + "{{a|" * 1000 + "b" + "}}" * 1000 + " Dahinter steht noch einer."


def page(number: int, text: str, *, revision: int = 1, namespace: int = 0) -> str:
    return (
        f"<page><title>Seite {number}</title><ns>{namespace}</ns><id>{number}</id><revision><id>{revision}</id>"
        f"<timestamp>2022-06-20T00:00:00Z</timestamp><text>{escape(text)}</text></revision></page>\n"
    )


def prose(number: int) -> str:
    cited = f"<ref>[http://a.org/{number} A]</ref>"
    return f"'''Seite {number}''' ist [[Ding|eine Seite]].{cited} Sie hat {number * 7919} Worte."


def write_dumps(folder: Path, *, has_index: bool) -> None:
    """Writes a multistream dump of 60 pages, a newer dump of three of them, and four broken dumps."""
    folder.mkdir()
    pages = ["".join(page(n, prose(n)) for n in range(start, start + 5)) for start in range(1, 60, 5)]
    others = page(61, "#WEITERLEITUNG [[Seite 1]]") + page(62, prose(62), namespace=6) + page(63, DEEP)
    streams = [HEADER.format("de"), *pages, others, FOOTER]
    packed = [bz2.compress(stream.encode()) for stream in streams]
    name = "dewiki-20220620-pages-articles-multistream"
    (folder / f"{name}.xml.bz2").write_bytes(b"".join(packed))
    if has_index:
        offsets = [sum(map(len, packed[:n])) for n in range(1, len(packed) - 1)]
        lines = "".join(f"{at}:{n * 5 + 1}:Seite {n * 5 + 1}\n" for n, at in enumerate(offsets))
        (folder / f"{name}-index.txt.bz2").write_bytes(bz2.compress(lines.encode()))
    newer = "".join(page(n, prose(n) + " Und sie ist neu.", revision=9) for n in (2, 3, 4))
    (folder / "dewiki-20220720-pages-articles.xml").write_text(HEADER.format("de") + newer + FOOTER)
    # The name says French, the header says English. The name counts, and the difference is reported.
    (folder / "frwiki-20220620-pages-articles.xml").write_text(
        HEADER.format("en") + page(1, "'''La poire''' est un [[fruit|fruit]] bon.") + FOOTER
    )
    half = b"".join(bz2.compress((HEADER.format("it") if n == 0 else page(n, prose(n))).encode()) for n in range(9))
    (folder / "itwiki-20220620-pages-articles.xml.bz2").write_bytes(half[: len(half) // 2])
    whole = HEADER.format("nl") + page(1, prose(1)) + page(2, prose(2))
    (folder / "nlwiki-20220620-pages-articles.xml").write_text(whole[: len(whole) - 60])
    (folder / "plwiki-20220620-pages-articles.xml").write_text(HEADER.format("pl") + page(1, prose(1)))


def run(folder: Path, name: str, source: Source, *, has_index: bool = False) -> tuple[dict[str, Any], Any]:
    write_dumps(folder / f"in-{name}", has_index=has_index)
    job = toy.job_of(source, folder / f"in-{name}", folder / name)
    return toy.run_job(job), job


def in_units(max_unit_bytes: int) -> Source:
    return replace(SOURCE, reader=WikipediaReader(max_unit_bytes=max_unit_bytes))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any]:
    return run(tmp_path_factory.mktemp("wikipedia"), "whole", SOURCE)


def test_every_page_is_kept_once_in_its_newest_revision(done: tuple[dict[str, Any], Any]) -> None:
    rows = {row["id"]: row for row in toy.table(done[1].places.clean_dir)}
    german = {f"de:{n}" for n in (*range(1, 61), 63)}
    assert {key for key in rows if key.startswith("de:")} == german
    assert rows["de:5"]["text"] == "Seite 5\n\nSeite 5 ist eine Seite. Sie hat 39595 Worte."
    assert rows["de:3"]["text"].endswith(" Und sie ist neu.")
    assert rows["de:3"]["revision_id"] == 9
    assert rows["de:63"]["text"] == "Seite 63\n\nVor der Vorlage steht ein Satz. Dahinter steht noch einer."
    assert rows["de:5"]["url"] == "https://de.wikipedia.org/wiki/Seite_5"
    assert (rows["fr:1"]["language"], rows["fr:1"]["text"]) == ("fr", "Seite 1\n\nLa poire est un fruit bon.")
    lost = Counter(row["reason"] for row in toy.table(done[1].places.dropped_dir) if row["stage"] != "records")
    assert lost == {"duplicate_id": 3}


def test_what_is_broken_is_named_and_the_rest_is_read(done: tuple[dict[str, Any], Any]) -> None:
    stats, job = done
    assert stats["records"] == {
        "header_language": 1, "not_article": 1, "redirect": 1, "truncated_bz2": 1, "truncated_page": 1,
        "truncated_xml": 1,
    }  # fmt: skip
    places = {row["reason"]: row for row in toy.table(job.places.dropped_dir) if row["stage"] == "records"}
    assert places["header_language"]["detail"].startswith("the header says en ")
    for reason, name in (("truncated_bz2", "itwiki"), ("truncated_page", "nlwiki"), ("truncated_xml", "plwiki")):
        assert name in places[reason]["id"]
    kept = Counter(row["language"] for row in toy.table(job.places.clean_dir))
    assert kept["it"] >= 3
    assert (kept["nl"], kept["pl"]) == (1, 1)


@pytest.mark.parametrize("has_index", [False, True], ids=["without an index", "with an index"])
def test_a_dump_in_units_gives_the_same_documents(
    done: tuple[dict[str, Any], Any], tmp_path: Path, has_index: bool
) -> None:
    source = in_units(1500)
    stats, job = run(tmp_path, "parts", source, has_index=has_index)
    num_units = Path(job.places.units_path).read_text().count("multistream.xml.bz2")
    assert num_units > 3
    assert toy.table(job.places.clean_dir) == toy.table(done[1].places.clean_dir)
    assert stats["records"] == done[0]["records"]


def test_cited_addresses_are_in_their_column_on_request(done: tuple[dict[str, Any], Any], tmp_path: Path) -> None:
    steps = tuple(Wikitext(is_citing=True) if step.NAME == "wikitext" else step for step in SOURCE.steps)
    _, job = run(tmp_path, "citing", replace(SOURCE, steps=steps))
    cited = {row["id"]: row["cited_urls"] for row in toy.table(job.places.clean_dir)}
    assert cited["de:5"] == ["http://a.org/5"]
    assert cited["de:63"] == []
    assert {row["cited_urls"] is None for row in toy.table(done[1].places.clean_dir)} == {True}
