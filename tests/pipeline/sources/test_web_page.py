"""Tests HTML pages: their encodings, and the time for pages with very many tags."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.formats.html_cost import is_too_costly
from pipeline.sources.formats.html_tags import TOKEN, num_attributes, text_between_tags
from pipeline.sources.formats.warc_pages import HtmlRecord, read_warc_html
from pipeline.sources.formats.web_page import page_text

MIB = 1 << 20
PROSE = "<p>The harbour of the town was built two hundred years ago.</p>\n"


def repeated(unit: str) -> str:
    return unit * (MIB // len(unit))


def numbered(unit: str) -> str:
    pieces: list[str] = []
    size = 0
    while size < MIB:
        pieces.append(unit.replace("%", str(len(pieces))))
        size += len(pieces[-1])
    return "".join(pieces)


def deep(unit: str, closing: str = "") -> str:
    times = MIB // (len(unit) + len(closing))
    return unit * times + "end" + closing * times


NAMES = (
    "div span section article ul ol li dl dd table td b i font em code nobr a p h1 pre blockquote form button select"
    " option object applet marquee template noscript svg math mi ruby rt rp rb center label x-y details fieldset"
    " address footer header nav aside main figure iframe title textarea script style plaintext frameset body html"
    " head caption colgroup col foreignObject"
)
COSTLY: dict[str, Callable[[], str]] = {
    **{f"<{name}> without end": (lambda name=name: deep(f"<{name}>")) for name in NAMES.split()},
    "divs, closed": lambda: deep("<div>", "</div>"),
    "lists, closed": lambda: deep("<ul><li>", "</li></ul>"),
    "tables": lambda: deep("<table><tr><td>"),
    "tables, closed": lambda: deep("<table><tbody><tr><td>", "</td></tr></tbody></table>"),
    "rows without their end": lambda: repeated("<div class=row><a href=/x>item</a>"),
    "ends in another cell": lambda: repeated("<div><table><tr><td>item</div></td></tr></table>"),
    "links around blocks": lambda: repeated("<a href=/x><div>item"),
    "formatting, each of its own": lambda: numbered("<font color=#%>") + repeated("<p>x"),
    "formatting, closed by others": lambda: numbered("<b %><i %>") + "x</b>" * 10_000,
    "misnested formatting": lambda: repeated("<b><p>x</b>"),
    "formatting in cells": lambda: numbered("<td><font size=%>x</td>"),
    "paragraphs at a depth": lambda: "<div>" * 100 + repeated("<p>x"),
    "blocks at a depth": lambda: "<div>" * 140 + repeated("<div>x</div>"),
    "attributes": lambda: "<p " + numbered("a%=1 ") + ">end",
    "attributes that hold marks": lambda: "<p " + numbered("a%='<>' ") + ">end",
    "attributes without values": lambda: "<p " + numbered("a% ") + ">end",
    "attributes of many tags": lambda: ("<p " + " ".join(f"a{n}" for n in range(2000)) + ">x") * 100,
    "attributes of many bodies": lambda: numbered("<body a%=1>"),
    "attributes of many html": lambda: numbered("<html a%=1>"),
    "an attribute without end": lambda: "<p a='" + repeated("<div>"),
    "comments": lambda: repeated("<!-- x -->"),
    "comments without end": lambda: repeated("<!-- "),
    "halves of comments": lambda: repeated("<!--->--!><!-"),
    "entities": lambda: repeated("&amp;&#x26;&CounterClockwiseContourIntegral;&ampx"),
    "ampersands": lambda: repeated("&"),
    "angles": lambda: repeated("<"),
    "ends": lambda: repeated("</div></p></x>"),
    "line breaks": lambda: repeated("x<br>"),
    "paragraphs": lambda: repeated("<p>x"),
    "cells": lambda: "<table>" + repeated("<tr><td>x<td>y"),
    "options": lambda: "<select>" + repeated("<option>x"),
    "links": lambda: repeated("<ul><li><a href=/x>x</a></ul>"),
    "text in tables": lambda: repeated("<table>x"),
    "one class": lambda: "<div class='" + repeated("nav foot ") + "'>end</div>",
    "scripts": lambda: repeated("<script>'<div>'</script>"),
    "pictures": lambda: "<svg>" + repeated("<path d=x/>") + "</svg>",
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_mebibyte_of_tags_costs_linear_time(name: str) -> None:
    """On an idle machine this takes less than a second. The limit is higher, because the machine may be busy."""
    markup = f"<html><title>T</title>{PROSE}{COSTLY[name]()}"
    begun = time.process_time()
    page = page_text(markup.encode())
    took = time.process_time() - begun
    assert took < 4
    assert page.title == "T"
    assert "The harbour of the town" in page.text
    assert "<div>" not in page.text


@pytest.mark.parametrize(
    "markup",
    [
        PROSE * 15_000,
        ("<div class=row><div><a href=/x>item</a></div></div>\n" + PROSE) * 5_000,
        "<table>" + "<tr><td>One<td>two\n" * 5_000,
        "<ul>" + "<li>One <b>two</b> three\n" * 5_000,
        "<dl>" + "<dt>One<dd>two\n" * 5_000,
        ("<p>One<p><font color=red>two\n") * 4_000,
        ("<h2>One</h2><p>two <i>three<br>four</i>\n") * 5_000,
        "<div>" * 60 + PROSE * 3_000,
        "<svg>" + "<path d='M0 0'/>" * 9_000 + "</svg>" + PROSE * 100,
        "<select>" + "<option value=1>One two three" * 5_000 + "</select>" + PROSE,
        "<!-- " + "<div>" * 9_000 + " -->" + PROSE * 1_000,
        "<script>" + "'<div>'" * 9_000 + "</script>" + PROSE * 1_000,
        "<p title='" + "<div>" * 9_000 + "'>x</p>" + PROSE * 1_000,
        ("<table><tr>" + "<td><div>One" * 3 + "</table>") * 100 + PROSE * 1_000,
        "</div></td></b>" * 4_000 + PROSE * 1_000,
    ],
    ids=lambda markup: markup[:30],
)
def test_pages_as_people_write_them_are_read_by_the_library(markup: str) -> None:
    assert not is_too_costly(markup)


@pytest.mark.real
def test_no_real_page_is_too_costly(corpus_data: Path) -> None:
    pages = [
        page
        for path in sorted((corpus_data / "commoncrawl/wrapped/warc").glob("*.warc.gz"))
        for page in read_warc_html(str(path), lambda path: open(path, "rb"))  # noqa: SIM115
        if isinstance(page, HtmlRecord)
    ]
    assert len(pages) > 400
    assert not [page.url for page in pages if is_too_costly(page.html.decode("utf-8", "replace"))]


MARKS = st.lists(
    st.sampled_from(
        [
            "<",
            ">",
            "/",
            "!",
            "--",
            "-",
            "=",
            '"',
            "'",
            " ",
            "\n",
            "a",
            "div",
            "b",
            "p",
            "script",
            "&amp;",
            "x",
            "?",
            "\0",
        ]
    ),
    max_size=30,
).map("".join)


@given(MARKS)
@settings(deadline=None, max_examples=300)
def test_any_marks_are_cut_into_tags_and_text(markup: str) -> None:
    title, text = text_between_tags(markup)
    assert "\n\n" not in text
    assert text == text.strip()
    assert title == title.strip()
    ends = [0, *(match.end() for match in TOKEN.finditer(markup))]
    assert ends == sorted(set(ends))


@pytest.mark.parametrize(
    ("markup", "title", "text"),
    [
        ("<TITLE>A &amp; B</TITLE><P>One<BR>two", "A & B", "One\ntwo"),
        ("<title>A</title><title>B</title>", "A", ""),
        ("<svg><title>Logo</title></svg>", "Logo", ""),
        ("<p>a<!-- b -->c<!--> d --><!---> e<!-- f --!> g", "", "ac d --> e g"),
        ("<p>1 < 2 <3 </ 4>5", "", "1 < 2 <3 5"),
        ("<p title='>'>a</p title=\">\">b", "", "a\nb"),
        ("<p a=x'>' b>c", "", "' b>c"),
        ("<script>a</scripty></script x>b<style>c", "", "b"),
        ("<td>a<td>b<tr><td>c", "", "a\nb\nc"),
        ("<b>a</b>b &lt;i> c&nbsp;d", "", "ab <i> c d"),
        ("<![CDATA[ a ]]>b<?php c ?>d", "", "bd"),
        ("<p", "", ""),
        ("", "", ""),
    ],
)
def test_text_between_tags(markup: str, title: str, text: str) -> None:
    assert text_between_tags(markup) == (title, text)


@pytest.mark.parametrize(
    ("tag", "number"),
    [("<p>", 0), ("<p/>", 0), ("<p a b=c d='e f' g=\"h>\" =i>", 5), ("<p a=b/c d>", 2), ("<p a = b>", 1)],
)
def test_num_attributes(tag: str, number: int) -> None:
    assert num_attributes(tag) == number


UMLAUTS = "<p>Im Café „Zürich“ saßen fünf Gäste und aßen Brötchen.</p>"
RUSSIAN = "<p>Река поднялась ночью, и никто в маленьком городе не спал до утра.</p>"


@pytest.mark.parametrize(
    ("html", "charset", "encoding", "wanted"),
    [
        (UMLAUTS.encode() * 3 + b"\xef", "iso-8859-1", "utf-8", "„Zürich“"),
        (UMLAUTS.encode() + "é".encode()[:1], "", "utf-8", "„Zürich“"),
        (UMLAUTS.encode().replace(b"Gast", b"G\xe4st") * 3 + b"<p>\xe9t\xe9", "iso-8859-1", "utf-8", "„Zürich“"),
        (b"<meta charset=iso-8859-1>" + UMLAUTS.encode(), "", "utf-8", "„Zürich“"),
        (UMLAUTS.encode("cp1252"), "iso-8859-1", "cp1252", "„Zürich“"),
        (UMLAUTS.encode("cp1252"), "utf-8", "cp1252", "„Zürich“"),
        (b"<meta charset='windows-1251'>" + RUSSIAN.encode("cp1251"), "", "cp1251", "Река поднялась"),
        (b"<meta charset=utf-8>" + RUSSIAN.encode("koi8-r"), "koi8-r", "koi8-r", "Река поднялась"),
        (b'<?xml version="1.0" encoding="koi8-r"?>' + RUSSIAN.encode("koi8-r"), "", "koi8-r", "Река поднялась"),
        (RUSSIAN.encode("utf-16"), "", "utf-16-le", "Река поднялась"),
        (RUSSIAN.encode("utf-8-sig"), "cp1251", "utf-8", "Река поднялась"),
        (b"<p>plain words</p>", "utf-16", "ascii", "plain words"),
    ],
)
def test_a_page_is_decoded_by_what_its_bytes_prove(html: bytes, charset: str, encoding: str, wanted: str) -> None:
    page = page_text(html, charset=charset, is_main_content=False)
    assert (page.encoding, wanted in page.text) == (encoding, True)
    assert "Ã" not in page.text
