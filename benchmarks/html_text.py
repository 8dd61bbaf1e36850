"""Measures our HTML-to-text extractor and three peers: pages and MB per CPU second of one core.

    python benchmarks/html_text.py WARC... [--rounds N] [--pages N]

Every page of the WARC files is decoded once, before the measurement. In each round all extractors read all pages, one
extractor after the other, so that a slow minute affects all of them. Figures are the best of the rounds.

The row ``ours`` measures everything that a run does with a page's markup. The row ``resiliparse`` measures only the
call of the library Resiliparse, which our extractor uses. The row ``the guard`` measures our check for pages whose tags
would take very long to parse. Such pages are only cut at their tags (row ``tags cut``). trafilatura and jusText run
with their defaults. A peer that is not installed is reported as left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from importlib import import_module, util
from pathlib import Path
from typing import Any, BinaryIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from filters.decoding import decode
from pipeline.sources.formats.html_cost import is_too_costly
from pipeline.sources.formats.html_tags import text_between_tags
from pipeline.sources.formats.warc_pages import HtmlRecord, read_warc_html
from pipeline.sources.formats.web_page import extracted

Extract = Callable[[str], int]
"""A function that extracts the text of a page and returns its number of characters."""


def open_file(path: str) -> BinaryIO:
    return Path(path).open("rb")


def pages_of(paths: list[str]) -> list[str]:
    records = (record for path in paths for record in read_warc_html(path, open_file))
    return [
        decode(record.html, declared=[record.charset] if record.charset else []).text
        for record in records
        if isinstance(record, HtmlRecord)
    ]


def by_resiliparse(markup: str) -> int:
    library: Any = import_module("resiliparse.extract.html2text")
    return len(
        library.extract_plain_text(
            markup, main_content=True, alt_texts=False, preserve_formatting=True, list_bullets=False, links=False
        )
    )


def by_trafilatura(markup: str) -> int:
    library: Any = import_module("trafilatura")
    return len(library.extract(markup) or "")


def by_justext(markup: str) -> int:
    library: Any = import_module("justext")
    paragraphs = library.justext(markup, library.get_stoplist("English"))
    return sum(len(paragraph.text) for paragraph in paragraphs if not paragraph.is_boilerplate)


EXTRACTORS: dict[str, tuple[str, Extract]] = {
    "ours": ("resiliparse", lambda markup: len(extracted(markup, is_main_content=True)[1])),
    "resiliparse": ("resiliparse", by_resiliparse),
    "the guard": ("resiliparse", lambda markup: int(is_too_costly(markup))),
    "tags cut": ("resiliparse", lambda markup: len(text_between_tags(markup)[1])),
    "trafilatura": ("trafilatura", by_trafilatura),
    "justext": ("justext", by_justext),
}
"""Maps the name of an extractor to the package that it needs and the function to measure."""


def measured(extract: Extract, pages: list[str]) -> tuple[float, int, int]:
    """Runs one extractor on all pages. Returns the CPU seconds, the number of extracted characters, and the number of
    pages on which the extractor failed.
    """
    begun = time.process_time()
    num_chars = num_failed = 0
    for page in pages:
        try:
            num_chars += extract(page)
        except Exception:  # count other packages' errors on odd pages, and go on
            num_failed += 1
    return time.process_time() - begun, num_chars, num_failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warc", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pages", type=int, default=0, help="the first N pages only")
    flags = parser.parse_args()
    pages = pages_of(flags.warc)[: flags.pages or None]
    if not pages:
        parser.error("no HTML pages in these files")
    num_mb = sum(len(page.encode("utf-8", "replace")) for page in pages) / 1e6
    print(f"{len(pages)} pages, {num_mb:.1f} MB of HTML; best of {flags.rounds}")
    best: dict[str, tuple[float, int, int]] = {}
    for _ in range(flags.rounds):
        for name, (package, extract) in EXTRACTORS.items():
            if util.find_spec(package) is None:
                continue
            found = measured(extract, pages)
            best[name] = min(best.get(name, found), found)
    for name, (package, _) in EXTRACTORS.items():
        if name not in best:
            print(f"{name:12} not installed: pip install {package}")
            continue
        seconds, num_chars, num_failed = best[name]
        failed = f", {num_failed} pages failed" if num_failed else ""
        print(
            f"{name:12}{len(pages) / seconds:9.1f} pages/s{num_mb / seconds:9.2f} MB/s"
            f"{num_chars / 1e6:8.2f} M characters out{failed}"
        )


if __name__ == "__main__":
    main()
