"""Counts the faults of cleaned source files by comparing them with the raw exports; imports nothing of the project.

    python benchmarks/judges/github.py --contents GLOB --files GLOB --licenses GLOB --clean GLOB

The exports are JSON lines (gzip or not). ``--clean`` names Parquet files with ``id``, ``text``, ``repo_name``,
``path``, ``license``. The script prints one line per kind of fault, with its count and the first few files. The kinds
are:

- licence_wrong: no repository with this file has the recorded licence, or the licence is not mit, bsd-* or apache-*
- header_left: the comments before the first code still contain ``Copyright`` with a year, the name of a licence, or
  words of a licence's clauses. Only the first 40 lines are searched
- code_lost: a line of the original is missing, and the line begins with ``#include``, ``#!``, ``import``, ``package``,
  ``from``, ``use``, ``using``, ``require``, ``<?php``, ``module``, or (Markdown) ``#`` and a blank
- comment_lost: a line of the original is missing, although the original's first 400 lines do not mention a licence
- documentation_lost: a line with words is missing, although neither this line nor a line near it has a word typical of
  licences
- duplicate: two kept files have equal texts
- line_too_long: a line has over 1000 characters
- mean_too_long: the lines have over 100 characters on average
- too_few_alphanumeric: under 0.25 of the characters are letters or digits
"""

from __future__ import annotations

import argparse
import glob
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

PERMISSIVE = re.compile(r"mit|bsd-.*|apache-.*")
LEGAL = re.compile(
    r"copyright\b.{0,20}\d{4}|\(c\) ?\d{4}|spdx-license|licensed under|all rights reserved|\bdisclaimed|\bin no event|"
    r"merchantab|\bliable for|warranty of|warranties|provided .as is|hereby granted|all copies|redistributions? of",
    re.I,
)
SPEAKS = re.compile(r"copyright|licen[sc]e|\(c\)|all rights reserved|warrant|public domain", re.I)
COMMENT = re.compile(r"\s*(?://|/\*|\*|#(?!include|define|if|endif|pragma|import)|--|;|%|<!--|\"|{-|\(\*|')")
LICENCES = re.compile(
    r"copyright|licen[sc]|\(c\)|©|rights|warrant|liab|damage|redistrib|permission|permitted|provided|software|foundation"
    r"|gnu|apache|mozilla|notice|conditions|contribut|sublicense|distribut|claim|merchant"
    r"|public domain|part of|tort|negligence|spdx|dedicat|worldwide|royalty", re.I
)  # fmt: skip
CODE = re.compile(r"#\s*include\b|#!|import\s|package\s|from\s+\S+\s+import|use\s|using\s|require\b|<\?php|module\s")
SHOWN = 5
FAULTS = (
    "licence_wrong", "header_left", "code_lost", "comment_lost", "documentation_lost", "duplicate", "line_too_long",
    "mean_too_long", "too_few_alphanumeric",
)  # fmt: skip


def rows(pattern: str) -> Iterator[dict[str, Any]]:
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise SystemExit(f"{pattern} matches nothing")
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def faults_of(before: str, kept: dict[str, Any], licences: set[str]) -> Iterator[str]:
    before, after, path = before.removeprefix("\ufeff"), kept["text"].removeprefix("\ufeff"), kept["path"]
    if kept["license"] not in licences or not PERMISSIVE.fullmatch(kept["license"]):
        yield "licence_wrong"
    head = after.splitlines()[:40]
    first_code = next((at for at, line in enumerate(head) if line.strip() and not COMMENT.match(line)), len(head))
    if any(LEGAL.search(line) for line in head[:first_code]):
        yield "header_left"
    is_prose = path.lower().endswith((".md", ".markdown"))
    left = set(after.splitlines())
    old = before.splitlines()
    if any((CODE.match(line) or (is_prose and line.startswith("# "))) and line not in left for line in old):
        yield "code_lost"
    if not any(SPEAKS.search(line) for line in old[:400]) and [x for x in old if x.strip()] != [
        x for x in after.splitlines() if x.strip()
    ]:
        yield "comment_lost"
    if documentation_lost(old, after.splitlines()):
        yield "documentation_lost"
    lines = after.splitlines()
    if max(map(len, lines), default=0) > 1000:
        yield "line_too_long"
    if lines and len(after) / len(lines) > 100:
        yield "mean_too_long"
    if after and sum(char.isalnum() for char in after) / len(after) < 0.25:
        yield "too_few_alphanumeric"


def documentation_lost(old: list[str], new: list[str]) -> bool:
    """Returns True if a line of ``old`` with two or more words is missing in ``new``, although no line near it has a
    word typical of licences.
    """
    left = Counter(new)
    kept_text = "\n".join(new)
    for at, line in enumerate(old):
        if left[line]:
            left[line] -= 1
            continue
        nearby = " ".join(old[max(0, at - 2) : at + 3])
        is_text = len(re.findall(r"[A-Za-z]{3,}", line)) > 1
        if is_text and not LICENCES.search(nearby) and line.strip(" */#;%-!") not in kept_text:
            return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("contents", "files", "licenses", "clean"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    licence_of = {row["repo_name"]: row["license"] for row in rows(args.licenses)}
    licences: dict[str, set[str]] = defaultdict(set)
    for row in rows(args.files):
        licences[row["id"]].add(licence_of.get(row["repo_name"]))
    before = {row["id"]: row["content"] for row in rows(args.contents) if row["content"] is not None}
    paths = sorted(glob.glob(args.clean))
    if not paths:
        raise SystemExit(f"{args.clean} matches nothing")
    found: dict[str, list[str]] = defaultdict(list)
    seen: dict[str, str] = {}
    num_kept = 0
    for path in paths:
        for kept in pq.read_table(path).to_pylist():
            num_kept += 1
            name = f"{kept['repo_name']}/{kept['path']}"
            for fault in faults_of(before[kept["id"]], kept, licences[kept["id"]]):
                found[fault].append(name)
            if seen.setdefault(kept["text"], name) != name:
                found["duplicate"].append(name)
    print(f"{num_kept} files kept of {len(before)} contents")
    for fault in FAULTS:
        print(f"{fault:22} {len(found[fault]):6}  {', '.join(found[fault][:SHOWN])}")


if __name__ == "__main__":
    main()
