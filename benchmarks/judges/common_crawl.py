"""Judges the clean documents of CommonCrawl against the raw WET files, without importing the project.

It counts:

- lines kept wrongly: lines that are in two kept documents of a dump (a monthly crawl), or twice in one document.
  CCNet's rule allows neither;
- lines dropped wrongly: lines that are missing in a kept document although they occur only once in all pages. The judge
  ignores case and digits. CCNet also ignores some punctuation, so a dropped line that occurs once can still be right;
- foreign: kept documents with words that their page does not have;
- short: kept documents with fewer than 100 characters;
- content: texts of a gold standard (``--gold``, trafilatura's evaluation set). The judge counts how many of them the
  raw pages have, and how many of these remain in the clean documents. Articles and boilerplate are counted separately,
  to show how the line dedup affects both.

Run: ``python benchmarks/judges/common_crawl.py CLEAN_FOLDER WET... [--gold FILE.json]``. CLEAN_FOLDER has Parquet files
with the columns id, url, dump and text.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

_WORD = re.compile(r"\w+")


def raw_pages(path: str) -> Iterator[tuple[str, str, list[str]]]:
    """Reads the pages of a WET file, which are its conversion records. Yields (record id, url, lines) of each page.

    The first line, which is the title, is left out. A record ends where its Content-Length says.
    """
    opened = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")  # noqa: SIM115
    with opened as file:
        while line := file.readline():
            if not line.startswith(b"WARC/"):
                continue
            headers = {}
            while (line := file.readline()).strip():
                name, _, value = line.decode("utf-8", "replace").partition(":")
                headers[name.strip().lower()] = value.strip()
            block = file.read(int(headers["content-length"]))
            if headers["warc-type"] == "conversion":
                lines = [one.strip() for one in block.decode("utf-8").removesuffix("\n").split("\n")]
                yield (
                    headers["warc-record-id"].strip("<>").removeprefix("urn:uuid:"),
                    headers["warc-target-uri"],
                    lines[1:],
                )


def clean_documents(folder: Path) -> Iterator[dict[str, str]]:
    for path in sorted(folder.glob("*.parquet")):
        yield from pq.read_table(path, columns=["id", "url", "dump", "text"]).to_pylist()


def folded(line: str) -> str:
    """Returns a line in lower case, with 0 for each digit. CCNet's normal form also removes some punctuation."""
    return "".join("0" if char.isdigit() else char for char in line.lower())


def judge(folder: Path, wets: list[str]) -> dict[str, int]:
    pages = {identity: lines for path in wets for identity, _, lines in raw_pages(path)}
    where: dict[str, set[str]] = defaultdict(set)
    for identity, lines in pages.items():
        for line in lines:
            where[folded(line)].add(identity)
    count: Counter[str] = Counter(pages=len(pages))
    kept_in: dict[tuple[str, str], set[str]] = defaultdict(set)
    for document in clean_documents(folder):
        kept, raw = document["text"].split("\n"), pages[document["id"]]
        count.update(documents=1, lines_kept=len(kept), lines_of_documents=len(raw), short=len(document["text"]) < 100)
        count["kept_twice_in_a_document"] += len(kept) - len({folded(line) for line in kept})
        for line in kept:
            kept_in[document["dump"], folded(line)].add(document["id"])
        of_page = set(_WORD.findall("\n".join(raw)))
        count["foreign"] += not set(_WORD.findall(document["text"])) <= of_page
        left, in_page = Counter(kept), Counter(map(folded, raw))
        for line in raw:
            if left[line]:
                left[line] -= 1
            else:
                count["lines_dropped"] += 1
                count["dropped_though_alone"] += len(where[folded(line)]) == 1 and in_page[folded(line)] == 1
    count["kept_in_two_documents"] = sum(len(found) > 1 for found in kept_in.values())
    return dict(count)


def content(folder: Path, wets: list[str], gold: Path) -> dict[str, int]:
    """Counts the texts of the gold standard: how many the raw pages have, and how many of these the clean documents
    have. Articles and boilerplate are counted separately.
    """
    wanted = json.loads(gold.read_text("utf-8"))
    raw = {url: "\n".join(lines) for path in wets for _, url, lines in raw_pages(path)}
    count: Counter[str] = Counter()
    for document in clean_documents(folder):
        entry = wanted.get(document["url"])
        if not entry:
            continue
        count["judged"] += 1
        for kind, name in (("with", "article"), ("without", "boilerplate")):
            for text in entry.get(kind) or ():
                if text in raw[document["url"]]:
                    count[f"{name}_in_the_page"] += 1
                    count[f"{name}_left"] += text in document["text"]
    return dict(count)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", type=Path)
    parser.add_argument("wet", nargs="+")
    parser.add_argument("--gold", type=Path)
    flags = parser.parse_args()
    found = judge(flags.clean, flags.wet)
    if not found.get("documents"):
        print("no clean documents to judge", file=sys.stderr)
        return 1
    if flags.gold:
        found |= content(flags.clean, flags.wet, flags.gold)
    for name, number in found.items():
        print(f"{name:28}{number:>10,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
