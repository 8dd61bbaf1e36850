"""Tests the join of cited addresses with pages, on a made corpus for which the result is known."""

from __future__ import annotations

import bz2
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.models import cited_pages as model_pages
from pipeline.models.__main__ import main
from pipeline.models.cited_pages import Asked, FoundPages, find_pages
from pipeline.models.find import find_models
from pipeline.models.load import load

HEADER = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" xml:lang="en"><siteinfo>
<sitename>Wikipedia</sitename><dbname>enwiki</dbname><base>https://en.wikipedia.org/wiki/Main_Page</base>
<namespaces><namespace key="0" case="first-letter" /></namespaces></siteinfo>
"""
# How an article may cite a page, and the address under which the page was crawled; None: no address is cited.
CITED = {
    "bare": ("<ref>[https://cited0.example/a A title]</ref>", "https://cited0.example/a"),
    "named": ('<ref name="x">http://www.cited1.example/b/</ref>', "https://cited1.example/b"),
    "template": (
        "{{cite web |url=https://cited2.example/c?id=3&amp;x=1 |title=T}}",
        "http://cited2.example/c?id=3&x=1",
    ),
    "archived": (
        "{{cite news|url-status=dead|archive-url=https://web.archive.org/web/20150102030405/http://cited3.example/d}}",
        "https://www.cited3.example/d#part",
    ),
    "external": ("* [http://CITED4.example:80/e%7Ef]", "http://cited4.example/e~f"),
    "in_prose": ("see https://cited5.example/wiki_(x), which", "https://cited5.example/wiki_(x)?utm_source=feed"),
    "comment": ("<!-- <ref>https://hidden0.example/a</ref> -->", None),
    "own": ("<ref>[https://en.wikipedia.org/wiki/B]</ref>", None),
}
NOT_CITED = ["https://cited0.example/other", "https://hidden0.example/a", "https://en.wikipedia.org/wiki/B"]
WORDS = "The harbour has a long history, and the archive keeps a study of it that was printed in this town. "


def dump(wikitexts: list[str]) -> bytes:
    pages = [
        f"<page><title>P{n}</title><ns>0</ns><id>{n}</id><revision><id>{n}</id><timestamp>2022-01-01T00:00:00Z</timestamp>"
        f"<text>{text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}</text></revision></page>\n"
        for n, text in enumerate(wikitexts, 1)
    ]
    return (HEADER + "".join(pages) + "</mediawiki>").encode()


def wet(pages: list[tuple[str, str]]) -> bytes:
    out = []
    for url, text in pages:
        block = f"A title\n{text}\n".encode()
        head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
        out.append(gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0))
    return b"".join(out)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    articles = [f"An article that cites. {wikitext}\n" for wikitext, _ in CITED.values()]
    (tmp_path / "enwiki-20220620-pages-articles.xml.bz2").write_bytes(bz2.compress(dump(articles[:4])))
    (tmp_path / "enwiki-20220620-pages-articles2.xml").write_bytes(dump(articles[4:]))
    addresses = [*(address for _, address in CITED.values() if address), *NOT_CITED]
    addresses += [f"https://random{n}.example/" for n in range(40)]
    pages = [(address, f"Page {n}. " + WORDS * 5) for n, address in enumerate(addresses)]
    pages += [("https://cited0.example/a", "short"), ("https://cited1.example/b", "Dies ist ein deutscher Satz. " * 20)]
    pages += [("https://cited2.example/c?x=1&id=3", "Another page. " + WORDS * 5)]  # another order: another page
    for number in range(3):
        (tmp_path / f"{number}.warc.wet.gz").write_bytes(wet(pages[number::3]))
    return tmp_path


EXPECTED = sorted(address for _, address in CITED.values() if address)


def asked(corpus: Path, **changed: Any) -> Asked:
    settings: dict[str, Any] = {
        "wikipedia": [str(corpus / "enwiki*")],
        "pages": [str(corpus / "*.wet.gz")],
        "work_dir": str(corpus / "work"),
        "language_model": find_models(None).get("language"),
        "beam_args": ("--direct_num_workers=1",),
    }
    return Asked(**{**settings, **changed})


def urls(found: FoundPages) -> tuple[list[str], list[str]]:
    return sorted(t.url for t in found.positives()), sorted(t.url for t in found.negatives())


@pytest.fixture
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_pages, "MIN_POSITIVES", 1)


@pytest.mark.usefixtures("few_are_enough")
def test_the_cited_pages_and_no_others(corpus: Path) -> None:
    said: list[str] = []
    found = find_pages(asked(corpus), say=said.append)
    positives, negatives = urls(found)
    assert positives == EXPECTED
    assert len(negatives) == len(set(negatives)) == len(EXPECTED)
    assert not set(negatives) & set(EXPECTED)
    # Six of the eight ways cite an address; a page that is too short or of another language is none.
    assert (found.by, found.num_cited, found.num_pages, found.num_matched) == ("url", 6, 50, 6)
    assert all(text.text.startswith("Page ") and text.text.endswith("this town.") for text in found.positives())
    assert said == ["6 distinct addresses are cited; of 50 pages 6 match; taken: 6 of them and 6 random others"]


@pytest.mark.usefixtures("few_are_enough")
def test_the_same_pages_from_another_cut_of_the_files(corpus: Path) -> None:
    _, first = urls(find_pages(asked(corpus), say=str))
    whole = b"".join((corpus / f"{n}.warc.wet.gz").read_bytes() for n in (2, 0, 1))
    (corpus / "whole.warc.wet.gz").write_bytes(whole)
    other = asked(corpus, pages=[str(corpus / "whole*")], work_dir=str(corpus / "w2"))
    assert urls(find_pages(other, say=str)) == (EXPECTED, first)
    _, reseeded = urls(find_pages(asked(corpus, seed=1, work_dir=str(corpus / "w3")), say=str))
    assert reseeded != first


@pytest.mark.slow
@pytest.mark.usefixtures("few_are_enough")
def test_the_same_pages_with_two_processes(corpus: Path) -> None:
    first = urls(find_pages(asked(corpus), say=str))
    two = asked(corpus, beam_args=("--direct_num_workers=2",), work_dir=str(corpus / "w2"))
    assert urls(find_pages(two, say=str)) == first


@pytest.mark.usefixtures("few_are_enough")
def test_clean_documents_and_a_bound(corpus: Path) -> None:
    rows = [{"url": address, "text": f"{n} {WORDS}"} for n, address in enumerate([*EXPECTED, *NOT_CITED, None])]
    (corpus / "clean").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), corpus / "clean/part-00000-of-00001.parquet")
    found = find_pages(asked(corpus, pages=[str(corpus / "clean")], language_model=None, max_pages=4), say=str)
    positives, negatives = urls(found)
    assert len(positives) == 4
    assert set(positives) < set(EXPECTED)
    assert len(negatives) == 4
    assert set(negatives) == {*NOT_CITED, ""}


def test_too_few_addresses_fall_back_to_hosts_and_say_so(corpus: Path) -> None:
    said: list[str] = []
    found = find_pages(asked(corpus), say=said.append)
    assert found.by == "host"
    assert urls(found)[0] == sorted([*EXPECTED, "https://cited0.example/other", "https://cited2.example/c?x=1&id=3"])
    assert "fewer than 1,000: falling back to pages of cited hosts" in said[1]
    assert "distinct hosts are cited" in said[2]


@pytest.mark.parametrize(
    ("languages", "said"),
    [
        (("en,de",), "has no language 'en,de'"),
        (("en", "ger"), "has no language 'ger'; did you mean de?"),
        (("English",), "has no language 'English'; did you mean en?"),
    ],
)
def test_a_language_that_does_not_exist_is_refused_before_the_work(
    corpus: Path, languages: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_pages, "_joined", None)
    with pytest.raises(ValueError, match=re.escape(said)):
        find_pages(asked(corpus, languages=languages), say=str)


def test_pages_of_no_wanted_language_end_the_search_with_their_languages(corpus: Path) -> None:
    said: list[str] = []
    with pytest.raises(
        ValueError, match=r"no page is in fr, nl; 1 pages are shorter than 300 characters; .* en \(50\)"
    ):
        find_pages(asked(corpus, languages=("fr", "nl")), say=said.append)
    assert len(said) == 1, "the search by host is not begun"
    (corpus / "0.wet").write_bytes(gzip.decompress(wet([("https://a.example/", "short")])))
    with pytest.raises(ValueError, match="no page that can be used: 1 pages are shorter than 300 characters"):
        find_pages(asked(corpus, pages=[str(corpus / "0.wet")]), say=str)


def test_several_languages_of_raw_pages(corpus: Path) -> None:
    assert find_pages(asked(corpus), say=str).num_pages == 50
    assert find_pages(asked(corpus, languages=("en", "de")), say=str).num_pages == 51
    assert find_pages(asked(corpus, languages=()), say=str).num_pages == 51


def test_inputs_that_make_no_sense(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="is not a dump"):
        find_pages(asked(corpus, wikipedia=[str(corpus / "*.wet.gz")]), say=str)
    with pytest.raises(ValueError, match="neither a WET"):
        find_pages(asked(corpus, pages=[str(corpus / "enwiki*")]), say=str)
    (corpus / "none.xml").write_bytes(dump(["cites https://nowhere.example/"]))
    with pytest.raises(ValueError, match="not one page is of a host"):
        find_pages(asked(corpus, wikipedia=[str(corpus / "none.xml")]), say=str)
    for flags in (
        [],
        ["--wikipedia", "x"],
        ["--wikipedia", "x", "--pages", "y", "--positives", "z", "--negatives", "z"],
    ):
        assert main(["train-reference", "--models", str(corpus / "m"), *flags]) == 2
    assert capsys.readouterr().err.count("give --wikipedia and --pages, or --positives and --negatives") == 3
    assert main(["fetch", "--models", str(corpus / "m"), "--runner=x"]) == 2


@pytest.mark.slow
def test_the_command_from_dumps_and_pages_to_a_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, shop = "history science archive study and the museum of it ", "cheap shop price basket and the sale of it "
    cited = [(f"https://c{n % 50}.example/{n}", f"Page {n}. " + study * 30) for n in range(200)]
    others = [(f"https://r{n % 50}.example/{n}", f"Page {n}. " + shop * 30) for n in range(400)]
    (tmp_path / "enwiki-x.xml").write_bytes(dump([f"<ref>{url}</ref>" for url, _ in cited]))
    (tmp_path / "0.wet").write_bytes(gzip.decompress(wet([*cited, *others])))
    flags = [
        "--wikipedia",
        str(tmp_path / "*.xml"),
        "--pages",
        str(tmp_path / "*.wet"),
        "--models",
        str(tmp_path / "m"),
    ]
    assert main(["train-reference", *flags, "--direct_num_workers=1"]) == 0
    said = capsys.readouterr().out
    assert "falling back" in said
    assert "of 600 pages 200 match; taken: 200 of them and 200 random others" in said
    assert "at 0.5: precision 1.000, recall 1.000" in said
    assert "these figures mean nothing" in said
    model = load("reference", find_models(str(tmp_path / "m"))["reference"])
    assert model.score(study) > 0.9 > 0.1 > model.score(shop)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["reference.bin", "trained.json"]
    assert json.dumps(said).count("random") == 2
