"""Makes the C4 part: documents in the form of published C4, and WET files from which the pipeline makes C4 again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from . import material, pages
from .common_crawl import wet_members
from .containers import gz, json_lines, write
from .pages import Page

GLOBS = ("en/c4-train.*.json.gz", "*/segments/*/wet/*.warc.wet.gz")

CRAWL, DATE = "CC-MAIN-2019-18", "2019-04-{day:02d}T{hour:02d}:12:44Z"
_PACKAGES = (
    "jinja2",
    "requests",
    "urllib3",
    "rich",
    "google.protobuf",
    "click",
    "datasketch",
    "pymongo",
    "nltk",
    "pip",
)


def make(place: Path) -> None:
    """Writes the source into the folder ``place``."""
    documents = _published()
    half = len(documents) // 2
    write(place / "en/c4-train.00000-of-01024.json.gz", gz(json_lines(documents[:half]) + _bad_lines()))
    write(
        place / "en/c4-train.00001-of-01024.json.gz", gz(json_lines([*documents[half:], *_published_twice(documents)]))
    )
    date = "2019-04-18T10:52:{:02d}Z"
    members = wet_members(_pages_for_the_rules(), date, crawl=CRAWL)
    newer = wet_members(_crawled_later(), "2019-04-26T03:07:{:02d}Z", crawl=CRAWL)
    name = "segments/1555578517558.8/wet/CC-MAIN-20190418101243-20190418123243-{:05d}.warc.wet.gz"
    write(place / CRAWL / name.format(0), b"".join([*members[:-1], members[-1][:-60]]))
    write(place / CRAWL / name.format(1), b"".join(newer))


def _published() -> list[dict[str, str]]:
    """Returns documents in the form of published C4, which keeps only the lines that are sentences."""
    library = [name for spot, name in enumerate(pages.STDLIB_MODULES) if spot % 4 == 0]
    found = pages.bounded(pages.module_pages(library, "docs.python"), 350_000)
    for package in _PACKAGES:
        modules = pages.package_modules(package, max_source_bytes=700_000)
        found += pages.bounded(pages.module_pages(modules, package.replace(".", "-")), 90_000)
    documents = []
    for number, page in enumerate(found):
        text = "\n".join(_sentences(page.text))
        if len(text) > 600:
            stamp = DATE.format(day=18 + number % 9, hour=number % 24)
            documents.append({"text": text, "timestamp": stamp, "url": page.url})
    return documents


def _published_twice(documents: list[dict[str, str]]) -> list[dict[str, str]]:
    """Returns second versions of four documents that are already in the sample. Two have a newer text, and two have an
    older text.
    """
    newer = [
        {**row, "text": row["text"] + "\nRevised and extended since.", "timestamp": "2019-05-02T00:00:00Z"}
        for row in documents[1:3]
    ]
    older = [{**row, "text": row["text"][:700], "timestamp": "2018-01-01T00:00:00Z"} for row in documents[3:5]]
    return newer + older


def _bad_lines() -> bytes:
    """Returns lines that are not documents: incomplete JSON, an object without a text, JSON that is no object, bytes
    that are not UTF-8."""
    return (
        b'{"text": "This line breaks off in the middle of its te\n'
        b'{"timestamp": "2019-04-20T09:12:44Z", "url": "https://odd.example/no-text"}\n'
        b'["not", "an", "object"]\n'
        b'{"text": "Caf\xe9 in Latin-1 is not UTF-8.", "timestamp": "2019-04-20T09:12:44Z", "url": "https://odd.example/latin1"}\n'
        b"\n"
    )


def _pages_for_the_rules() -> list[Page]:
    """Returns pages that the rules of C4 must clean: at least one page for each rule. Descriptions of packages serve as
    ordinary pages.
    """
    own = [Page(head["url"], body.partition("\n")[0], body) for head, body in material.blocks("web", "c4.txt")]
    return [*own, _endless_word(), _endless_page(), *pages.bounded(pages.descriptions(), 450_000)]


def _crawled_later() -> list[Page]:
    """Returns three pages of the first file again, as if they were crawled eight days later. One has a new text, and
    two have a slightly different URL of the same page.
    """
    own = [Page(head["url"], body.partition("\n")[0], body) for head, body in material.blocks("web", "c4.txt")][:3]
    return [
        replace(own[0], text=own[0].text + "\nThe opening hours were changed in the last week of April."),
        replace(own[1], url=own[1].url + "?utm_source=newsletter"),
        replace(own[2], url=own[2].url.replace("https://", "http://www.") + "/"),
    ]


def _endless_word() -> Page:
    """Returns a page with a word that is too long."""
    text = (
        "A page with an endless word\nThe line before it is quite ordinary and ends well.\n"
        + "ab" * 900
        + " is not a word."
    )
    return Page("https://odd.example/endless", "A page with an endless word", text)


def _endless_page() -> Page:
    """Returns a page that is longer than C4 allows."""
    lines = [f"Reading number {number} of the gauge was taken at the pier." for number in range(3_500)]
    title = "All readings of the gauge"
    return Page("https://odd.example/readings", title, "\n".join([title, *lines]))


def _sentences(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [
        line for line in lines if len(line.split()) >= 5 and line.endswith((".", "?", "!", '"')) and "{" not in line
    ]
