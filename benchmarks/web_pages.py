"""Makes web pages for measurements: first all real pages, then generated pages with the same statistics.

A generated page is a real page with different words. A line that several real pages share (menus, notices) is kept. All
remaining lines keep their lengths and punctuation. The words of these lines are drawn from two pages: the line's own
page, and a second page in its language. So the lengths of pages and lines, the fraction of repeated lines and the mix
of languages are those of the real pages, and no page occurs twice.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.models.find import find_models
from pipeline.models.load import load
from pipeline.sources.formats.warc_pages import read_wet
from pipeline.sources.source import Rejected

_WORD = re.compile(r"\w+")


def open_file(path: str) -> BinaryIO:
    return Path(path).open("rb")


def real_pages(paths: list[str], *, only_english: bool) -> list[str]:
    """Returns the pages of WET files (title and text), each text once."""
    found: dict[str, None] = {}
    for path in paths:
        for record in read_wet(path, open_file):
            if not isinstance(record, Rejected):
                found[record.text] = None
    if not only_english:
        return list(found)
    model = load("language", find_models(None)["language"])
    return [text for text in found if model.top(text)[0] == "en"]


def generated(pages: list[str], seed: int = 0) -> Iterator[str]:
    """Yields the real pages, then generated pages without end.

    Raises:
        ValueError: there are no real pages.
    """
    if not pages:
        raise ValueError("no page of the language that is asked for: name other WET files")
    yield from pages
    model = load("language", find_models(None)["language"])
    of_language: dict[str, list[int]] = defaultdict(list)
    languages = [model.top(page)[0] for page in pages]
    for number, language in enumerate(languages):
        of_language[language].append(number)
    num_pages_of = Counter(line for page in pages for line in set(page.split("\n")))
    words = [_WORD.findall(page) or ["x"] for page in pages]
    rng = random.Random(seed)
    while True:
        for number, page in enumerate(pages):
            pool = words[number] + words[rng.choice(of_language[languages[number]])]
            lines = (
                line if num_pages_of[line] > 1 else _WORD.sub(lambda _: rng.choice(pool), line)  # noqa: B023
                for line in page.split("\n")
            )
            yield "\n".join(lines)


def write_wets(folder: Path, pages: Iterator[str], *, text_bytes: int, bytes_a_file: int = 8 << 20) -> list[str]:
    """Writes pages with about ``text_bytes`` of text as WET files. Returns the paths of the files.

    The records look like those of a crawl of 2019, because cc_net expects the headers in the order of that time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths, total, number = [], 0, 0
    while total < text_bytes:
        path = folder / f"CC-MAIN-2019-09-{len(paths):05d}.warc.wet.gz"
        size = 0
        with path.open("wb") as sink:
            for page in pages:
                block = (page.removesuffix("\n") + "\n").encode()  # cc_net expects CommonCrawl's final line end
                sink.write(gzip.compress(record_of(block, str(number)), 1, mtime=0))
                number, size = number + 1, size + len(block)
                if size >= bytes_a_file or total + size >= text_bytes:
                    break
        total += size
        paths.append(str(path))
    return paths


def record_of(block: bytes, name: str) -> bytes:
    """Returns a WET record of a page. ``name`` is unique among the pages, and its URL ends with it."""
    identity = hashlib.md5(name.encode()).hexdigest()
    lines = [
        "WARC/1.0",
        "WARC-Type: conversion",
        f"WARC-Target-URI: https://site{int(identity[:6], 16) % 997}.example/{name}",
        "WARC-Date: 2019-02-15T19:15:59Z",
        f"WARC-Record-ID: <urn:uuid:{identity}>",
        f"WARC-Refers-To: <urn:uuid:{identity[::-1]}>",
        f"WARC-Block-Digest: sha1:{hashlib.sha1(block).hexdigest()}",
        "Content-Type: text/plain",
        f"Content-Length: {len(block)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + block + b"\r\n\r\n"
