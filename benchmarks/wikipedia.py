"""Compares wikitext converters in one run: megabytes of wikitext per second on one core, and how much markup remains.

Run: ``python benchmarks/wikipedia.py DUMP_OR_FOLDER... [--peers FOLDER] [--rounds N]``

- ours: ``filters.wikitext.page.wikitext_to_text``;
- mwparserfromhell: ``parse(...).strip_code()``, as the Hugging Face recipe uses it;
- wikiextractor: ``Extractor.clean_text``.

Peers are imported from the installed packages and from ``--peers`` (a folder ``site-packages`` of a separate
environment). A peer that cannot be imported is reported as skipped.

The pages are real, and each text is used once. All converters get the same pages in the same order. The time is the
process's CPU time in the best round. The size of a page is the size of its wikitext in UTF-8.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import logging
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from filters.wikitext.page import wikitext_to_text
from filters.wikitext.wiki_names import language_of_wiki, syntax

Page = tuple[str, int, str, str]
"""A page as (language, id, title, wikitext)."""


def load_judge() -> ModuleType:
    """Imports the judge ``judges/wikipedia.py``, which finds markup in a text. It is imported by its path, because it
    is not in a package.
    """
    spec = importlib.util.spec_from_file_location(
        "judge_of_wikipedia", Path(__file__).parent / "judges" / "wikipedia.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def distinct_pages(paths: list[Path], judge: ModuleType) -> list[Page]:
    """Returns the articles of all dumps, each text once."""
    files = [file for path in paths for file in (sorted(path.rglob("*wiki*.xml*")) if path.is_dir() else [path])]
    pages: dict[str, Page] = {}
    for file in files:
        wiki = re.search(r"([a-z]+)wiki", file.name)
        language = language_of_wiki(wiki[1]) if wiki else "en"
        for page_id, title, wikitext in judge.raw_pages(file):
            pages.setdefault(wikitext, (language, page_id, title, wikitext))
    return list(pages.values())


def ours(page: Page) -> str:
    """Converts a page's wikitext to text with this project."""
    language, _, title, wikitext = page
    return wikitext_to_text(wikitext, names=syntax(language), title=title)


def mwparserfromhell_peer() -> Callable[[Page], str] | None:
    """Returns a function that converts a page with ``strip_code`` alone, or None if mwparserfromhell is missing."""
    try:
        parser = importlib.import_module("mwparserfromhell")
    except ImportError:
        return None
    return lambda page: str(parser.parse(page[3]).strip_code())


def wikiextractor_peer() -> Callable[[Page], str] | None:
    """Returns a function that cleans one page in memory, or None if wikiextractor is missing."""
    try:
        extract = importlib.import_module("wikiextractor.extract")
    except (ImportError, re.error):
        return None
    logging.disable(logging.WARNING)

    def clean(page: Page) -> str:
        _, page_id, title, wikitext = page
        extractor = extract.Extractor(page_id, 0, "https://x", title, [wikitext])
        with contextlib.redirect_stdout(io.StringIO()):
            return "\n".join(extractor.clean_text(wikitext))

    return clean


def measure(name: str, convert: Callable[[Page], str], pages: list[Page], judge: ModuleType, *, num_rounds: int) -> str:
    """Measures one converter and returns its line of the table."""
    num_bytes = sum(len(page[3].encode()) for page in pages)
    best_seconds = float("inf")
    texts: list[str] = []
    for _ in range(num_rounds):
        start = time.process_time()
        texts = [convert(page) for page in pages]
        best_seconds = min(best_seconds, time.process_time() - start)
    judged = list(zip(pages, texts, strict=True))
    leftover = sum(bool(judge.leftovers(text, page[3])) for page, text in judged) / len(pages)
    junk = sum(bool(judge.junk(text)) for _, text in judged) / len(pages)
    kept = [share for page, text in judged if (share := judge.kept_share(page[3], text)) is not None]
    num_words = sum(len(text.split()) for text in texts)
    return (
        f"{name:18} {num_bytes / best_seconds / 1e6:8.2f} MB/s   {leftover:8.2%}   {junk:8.2%}   "
        f"{statistics.median(kept):8.2%} {statistics.mean(kept):8.2%}   {num_words:9,}"
    )


def main() -> None:
    """Measures all converters on the same pages and prints one line per converter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--peers", type=Path, help="a site-packages folder that has the peers")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.peers:
        sys.path.append(str(args.peers))
    judge = load_judge()
    pages = distinct_pages(args.paths, judge)
    if not pages:
        parser.error("no page was found")
    languages = sorted({page[0] for page in pages})
    num_bytes = sum(len(page[3].encode()) for page in pages)
    print(f"{len(pages)} distinct pages, {num_bytes / 1e6:.2f} MB of wikitext, languages: {' '.join(languages)}")
    print(f"{'':18} {'speed':>13}   leftover       junk   kept: median   mean   words out")
    peers = {"mwparserfromhell": mwparserfromhell_peer(), "wikiextractor": wikiextractor_peer()}
    for name, convert in {"ours": ours, **peers}.items():
        if convert is None:
            print(f"{name:18} skipped: it cannot be imported here")
        else:
            num_rounds = args.rounds if name == "ours" else 1
            print(measure(name, convert, pages, judge, num_rounds=num_rounds), flush=True)


if __name__ == "__main__":
    main()
