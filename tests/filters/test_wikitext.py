"""Tests the conversion of wikitext: single cases, properties that hold for any text, and linear time."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.wikitext.article import LLAMA_WIKIS
from filters.wikitext.cited_urls import MAX_URL_CHARS, cited_urls
from filters.wikitext.page import is_disambiguation, wikitext_to_text
from filters.wikitext.protected_text import BREAK, EQUALS, HELD_CLOSE, HELD_OPEN, PIPE, REMOVED_BLOCK
from filters.wikitext.template_call import TemplateCall
from filters.wikitext.template_rules import RULES
from filters.wikitext.wiki_names import (
    country_name,
    month_names,
    pack_namespaces,
    silent_names,
    syntax,
    unpack_namespaces,
    wiki_codes,
)

FOLDER = Path(__file__).parents[1] / "cases" / "wikipedia"
CASES = [
    case
    for name in ("wikitext", "templates", "lines")
    for case in json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
]
PIECES = (
    *("{{", "}}", "[[", "]]", "{|", "|}", "|", "!", "=", "==", "''", "'''", "<ref>", "</ref>", "<ref/>", "<!--", "-->"),
    *(
        "<nowiki>",
        "</nowiki>",
        "<pre>",
        "</pre>",
        "<math>",
        "</math>",
        "<table>",
        "</table>",
        "<br>",
        "<gallery>",
        "<li>",
    ),
    *("*", "#", ":", ";", "(", ")", ",", ".", "[http://a.b x]", "http://a.org", "{{lang|de|", "{{quote|", "{{{", "}}}"),
    *(
        "{{convert|5|km|",
        "{{!}}",
        "[[File:a.jpg|thumb|",
        "[[a|",
        "&amp;",
        "&#0;",
        "-{",
        "}-",
        "__TOC__",
        "word",
        "слово",
    ),
    *("\x00", "\x02", "0", "\x03", "\x04", "\x05", "\x06", "\x07", "\u00a0", "\n", "\n\n", " "),
    *("\n|-\n", "\n{|\n", "\n|}\n", "\n code", "\n  code", "list:", "<span style='display:none'>", "</span>", "<div>"),
    *("{{sp|XI|e|", "{{ALB}}", "{{unknown|x|", "{{IPA|la|", "{{lc:", "<gallery>\nx\n</gallery>", "-{H|", "-{sr-ec:"),
)
ARGUMENTS = (
    *(
        "",
        "0",
        "5",
        "5,5",
        "1.234",
        "1234567",
        "8+1/2",
        "1/2",
        "-",
        "x",
        "km",
        "ft",
        "in",
        "la",
        "XIX",
        "e",
        "s",
        "au",
        "1e6",
    ),
    *(
        "٣",
        "²",
        "2007",
        "13",
        "2007-10-5",
        "99999999999",
        "Q5",
        "ALB",
        "link",
        "a b",
        "5 km",
        "Henri (roi)",
        "N",
        "t",
        "[a]",
    ),
)
MARKS = (HELD_OPEN, HELD_CLOSE, PIPE, EQUALS, REMOVED_BLOCK, BREAK)
WIKITEXT = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def test_there_are_cases() -> None:
    assert len(CASES) > 130
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, str]) -> None:
    assert wikitext_to_text(case["wikitext"], names=syntax(case["language"]), title="Title") == case["text"]


@given(WIKITEXT)
@settings(max_examples=300, deadline=None)
def test_any_wikitext_gives_clean_text(wikitext: str) -> None:
    text = wikitext_to_text(wikitext, names=syntax("sr"))
    assert not any(mark in text for mark in (*MARKS, "\x00", "\r"))
    assert text == text.strip("\n")
    if not any(tag in wikitext for tag in ("<nowiki", "<pre", "<math")):  # their content is shown as it is
        assert not any(sign in text for sign in ("[[", "{{", "}}", "<!--"))


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read(text: str) -> None:
    wikitext_to_text(text, names=syntax("en"))
    assert cited_urls(text) == list(dict.fromkeys(cited_urls(text)))


@given(st.lists(st.sampled_from(["pear", "Äpfel", "груша", "1905", "of", "l'eau"]), min_size=1, max_size=30))
def test_plain_prose_is_left_alone(words: list[str]) -> None:
    prose = " ".join(words) + "."
    assert wikitext_to_text(prose, names=syntax("en")) == prose


@pytest.mark.parametrize("language", LLAMA_WIKIS)
def test_every_language_has_its_names(language: str) -> None:
    names = syntax(language)
    assert {"file", "image", "category"} <= names.hidden_prefixes
    assert len(names.apparatus_headings) >= 10
    assert all(heading == heading.strip().casefold() for heading in names.apparatus_headings)
    assert all(name == " ".join(name.replace("_", " ").split()) for name in names.templates)
    assert all(name[0] == name[0].lower() for name in names.templates)
    assert country_name("ALB", language)
    assert country_name("GER", language) == country_name("DEU", language)
    assert len(set(month_names(language).inflected)) == 12
    assert silent_names(language).fullmatch("sfn")
    assert language in wiki_codes()
    assert names.disambiguation_templates
    if language != "en":
        assert len(names.hidden_prefixes) > len(syntax("en").hidden_prefixes)


@pytest.mark.parametrize("language", LLAMA_WIKIS)
def test_every_template_of_the_table_has_a_rule_or_a_pattern(language: str) -> None:
    for name, rendering in syntax(language).templates.items():
        assert (rendering in RULES) if isinstance(rendering, str) else all(rendering), name


@given(st.sampled_from(sorted(RULES)), st.lists(st.sampled_from(ARGUMENTS), max_size=6), st.sampled_from(LLAMA_WIKIS))
@settings(max_examples=400, deadline=None)
def test_no_rule_raises_on_what_a_page_contains(rule: str, words: list[str], language: str) -> None:
    assert isinstance(RULES[rule](TemplateCall(words, {}, language)), str)
    assert isinstance(RULES[rule](TemplateCall(words[1:], dict.fromkeys(("e", "u", "df", "lt"), "5"), language)), str)


def test_the_dumps_own_namespaces_count() -> None:
    packed = pack_namespaces({-2: "Medeja", 0: "", 6: "Fails", 10: "Taiss", 14: "Kategoreja"})
    assert unpack_namespaces(packed) == [(-2, "Medeja"), (6, "Fails"), (14, "Kategoreja")]
    wikitext = "a[[Fails:b.jpg|c [[d]]]] [[Medeja:e.ogg|f]][[Kategoreja:G]]"
    assert wikitext_to_text(wikitext, names=syntax("ltg", packed)) == "a f"
    assert wikitext_to_text("[[Kategoreja:G]]", names=syntax("ltg")) == "Kategoreja:G"


def test_disambiguation_is_recognised_by_its_template() -> None:
    assert is_disambiguation("'''A''' may be:\n* B\n{{Hndis|name=A}}", syntax("en"))
    assert is_disambiguation("{{ Begriffsklärung }}", syntax("de"))
    assert not is_disambiguation("{{Other uses}} {{dablink|disambiguation}}", syntax("en"))


@pytest.mark.parametrize(
    ("wikitext", "urls"),
    [
        ("<ref name=a>[http://a.org/b?c=1&amp;d=2 A]</ref>", ["http://a.org/b?c=1&d=2"]),
        (
            "<ref>{{cite web|url=https://b.de/x_(y)|title=T}}</ref> http://b.de/x_(y).",
            ["https://b.de/x_(y)", "http://b.de/x_(y)"],
        ),
        (
            "{{cite news|url = //c.com/1 |archive-url=https://web.archive.org/web/20150101/https://c.com/1}}",
            ["https://c.com/1"],
        ),
        ("[https://de.wikipedia.org/wiki/A] [https://upload.wikimedia.org/x.png] <!-- http://d.org -->", []),
        ("<nowiki>http://e.org</nowiki> http://f 'http://g.org/' http:///h.org", ["http://g.org/"]),
        ("http://h.org/" + "a" * MAX_URL_CHARS, []),
        ("http://i.org/" + ")" * 100_000, []),
    ],
)
def test_cited_urls(wikitext: str, urls: list[str]) -> None:
    assert cited_urls(wikitext) == urls


HOSTILE = {
    "templates deep": "{{nowrap|" * 1000 + "word" + "}}" * 1000,
    "templates not closed": "{{nowrap|" * 100_000,
    "empty templates": "{{}}" * 100_000,
    "links deep": "[[a|" * 50_000 + "word" + "]]" * 50_000,
    "links not closed": "[[File:a|" * 50_000,
    "tables not closed": "{|\n" * 100_000,
    "tables deep": "{|\n" * 50_000 + "\n|}" * 50_000,
    "table marks in one line": "{|" * 200_000,
    "references not closed": "<ref name=a>" * 40_000,
    "tags not closed": "<nowiki><math><pre><gallery>" * 15_000,
    "html tables": "<table>" * 50_000 + "</table>" * 50_000,
    "comments not closed": "<!--" * 100_000,
    "quotes": "'''a''" * 70_000,
    "spaces": " " * 400_000,
    "newlines": "\n" * 400_000,
    "brackets": "( ," * 130_000,
    "nulls": "\x00" * 400_000,
    "marks": "\x02" * 200_000 + "\x03" * 200_000,
    "one word": "a" * 400_000,
    "equals signs": "= a " * 100_000 + "=",
    "bullets": "*" * 400_000,
    "signs less": "<" * 400_000,
    "addresses": "[http://a" * 45_000,
    "braces": "{" * 200_000 + "}" * 200_000,
    "braces that do not match": "{{{" * 60_000 + "a|" + "}}" * 100_000,
    "unknown templates in one line": "a b c {{x|d}} " * 28_000,
    "hidden elements": "<span style='display:none'>" * 15_000,
    "hidden elements closed": "<span style='display:none'>" * 12_000 + "</span>" * 12_000,
    "variants": "-{" * 100_000 + "}-" * 100_000,
    "variants in a row": "-{a}-" * 80_000,
    "lead-ins": "a:\n{|\n|}\n" * 40_000,
    "headings and lead-ins": "= a =\nb:\n" * 40_000,
    "preformatted": " a\n" * 130_000,
    "line breaks": "*<br>" * 80_000,
    "centuries": "{{sp|" + "XI|" * 1000 + "}} ",
    "sentences before a colon": "Word end. " * 40_000 + ":",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_take_linear_time(name: str) -> None:
    """The slowest page takes less than one second per 400,000 characters. With quadratic time it would take minutes."""
    start = time.process_time()
    text = wikitext_to_text(HOSTILE[name], names=syntax("sr"))
    cited_urls(HOSTILE[name])
    assert time.process_time() - start < 5
    assert len(text) <= len(HOSTILE[name]) + 100


def test_words_deep_in_templates_are_kept_to_the_limit() -> None:
    deep = "{{nowrap|" * 30 + "word" + "}}" * 30
    assert wikitext_to_text(deep, names=syntax("en")) == "word"
    assert wikitext_to_text("a " + HOSTILE["templates deep"] + " b", names=syntax("en")) == "a b"
