"""Measures how fast Posts.xml is converted to documents, in MB of XML per CPU second.

    python benchmarks/stack_exchange.py [--repeat N] Posts.xml...

Three methods are compared: our code; lxml alone, which shows the highest possible speed; and RedPajama's method.
RedPajama's method is rebuilt from its description: it parses each line as one row with ElementTree, turns ``<li>`` and
``<ol>`` into ``*``, uses BeautifulSoup (lxml) for the rest, and sorts scores as text. This method needs beautifulsoup4,
and is reported as skipped if that package is missing. Figures are the best of N runs, because other work on the machine
only ever adds time. Each line also shows how many rows were read, because RedPajama's method misses rows that do not
fill exactly one line.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from lxml import etree

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.sources.source import InputFile, TableRow
from pipeline.sources.stack_exchange.reader import AnswerJoin, StackExchangeReader


def open_file(path: str) -> BinaryIO:
    return Path(path).open("rb")


def ours(paths: list[Path]) -> int:
    """Reads the posts and joins questions with answers, in memory. Returns the number of rows."""
    reader, join = StackExchangeReader(), AnswerJoin()
    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    files = [InputFile(str(path), path.stat().st_size) for path in paths]
    num_rows = 0
    for unit in reader.units(files, open_file):
        for item in reader.read(unit, open_file):
            num_rows += 1
            if isinstance(item, TableRow):
                groups[join.group_key(item.row)].append(item.row)
    for posts in groups.values():
        join.assemble(posts)
    return num_rows


def ours_reading(paths: list[Path]) -> int:
    """Reads rows and converts them to posts with plain text, which are then discarded. Returns the number of rows."""
    reader = StackExchangeReader()
    files = [InputFile(str(path), path.stat().st_size) for path in paths]
    units = reader.units(files, open_file)
    return sum(1 for unit in units for _ in reader.read(unit, open_file))


def lxml_alone(paths: list[Path]) -> int:
    """Reads the attributes of every row and does not convert the bodies. Returns the number of rows."""
    return sum(1 for path in paths for row in etree.parse(str(path)).getroot() if row.items())


def redpajama(paths: list[Path]) -> int:
    from bs4 import BeautifulSoup  # type: ignore[import-not-found, unused-ignore]

    num_rows = 0
    for path in paths:
        answers: dict[str, list[tuple[str, str]]] = defaultdict(list)
        questions: dict[str, str] = {}
        for line in path.read_text("utf-8").splitlines()[2:-1]:
            try:
                row = ElementTree.fromstring(line)
            except ElementTree.ParseError:
                continue
            num_rows += 1
            body = re.sub(r"</?(?:li|ol)>", lambda tag: "" if tag[0][1] == "/" else "\n*", row.get("Body", ""))
            text = BeautifulSoup(body, "lxml").get_text()
            if row.get("ParentId"):
                answers[row.attrib["ParentId"]].append((row.get("Score", ""), text))
            elif row.get("Title"):
                questions[row.attrib["Id"]] = f"Q: {row.get('Title')} {text}"
        for key, question in questions.items():
            "\n".join([question, *(f"A: {text}" for _, text in sorted(answers[key], reverse=True))])
    return num_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    xml_mb = sum(path.stat().st_size for path in options.paths) / 1e6
    ways: dict[str, Callable[[list[Path]], int]] = {
        "lxml alone": lxml_alone,
        "ours, reading": ours_reading,
        "ours, to documents": ours,
        "RedPajama's way": redpajama,
    }
    print(f"{xml_mb:.1f} MB of XML; best of {options.repeat}")
    for name, way in ways.items():
        seconds = float("inf")
        num_rows = 0
        try:
            for _ in range(options.repeat):
                began = time.process_time()
                num_rows = way(options.paths)
                seconds = min(seconds, time.process_time() - began)
        except ImportError as error:
            print(f"{name:20} not run: {error}")
            continue
        print(f"{name:20} {xml_mb / seconds:7.1f} MB/s  {num_rows} rows")


if __name__ == "__main__":
    main()
