"""Compares our Gopher and FineWeb rules with datatrove's filters, on the same pages in the same process.

    python benchmarks/rule_sets.py --peer VENV/lib/python3.11/site-packages PAGES...

PAGES are files or folders with WET, WARC or JSON lines. ``--peer`` is a folder that contains datatrove 0.10 and spaCy
3.8. The script prints three things per rule set: the number of equal verdicts, the unequal verdicts, and the speed of
both filters in MB of text per CPU second. It also prints the speed of all rule sets together.

The first document that a datatrove filter gets is not timed. Our rules get the pages in batches of 512, and the best of
five rounds counts. They store the words that they have seen in a table, which is empty at the start of each round. At
the end, two more speeds of all rule sets together are printed. For both, the table is kept from round to round. The
second one also includes C4's rules for lines.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from filters.c4.lines_and_pages import C4Lines, C4TooLong
from filters.rule_sets import texts as texts_module
from filters.rule_sets import words
from filters.rule_sets.fineweb import FineWebQuality
from filters.rule_sets.gopher import GopherQuality, GopherRepetition
from pipeline.sources import SOURCES
from pipeline.sources.source import InputFile

BATCH_DOCS = 512
STEPS: dict[str, Any] = {
    "GopherQualityFilter": GopherQuality(),
    "GopherRepetitionFilter": GopherRepetition(),
    "FineWebQualityFilter": FineWebQuality(),
}
REASONS = {
    "gopher_short_doc": "too_few_words",
    "gopher_long_doc": "too_many_words",
    "gopher_below_avg_threshold": "words_too_short",
    "gopher_above_avg_threshold": "words_too_long",
    "gopher_too_many_hashes": "too_many_hashes",
    "gopher_too_many_ellipsis": "too_many_ellipses",
    "gopher_too_many_bullets": "too_many_bullets",
    "gopher_too_many_end_ellipsis": "too_many_lines_end_in_ellipsis",
    "gopher_below_alpha_threshold": "too_few_words_with_letters",
    "gopher_enough_stop_words": "too_few_stop_words",
    "dup_para_frac": "repeated_paragraphs",
    "dup_para_char_frac": "repeated_paragraph_chars",
    "dup_line_frac": "repeated_lines",
    "dup_line_char_frac": "repeated_line_chars",
    "line_punct_ratio": "too_few_lines_end_sentences",
    "short_line_ratio": "too_many_short_lines",
    "char_dup_ratio": "too_many_repeated_chars",
    "list_ratio": "like_a_list",
    **{f"top_{n}_gram": f"top_{n}_gram" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"repeated_{n}_grams" for n in range(5, 11)},
}
"""Maps datatrove's reasons to this project's reasons."""


def opened(path: str) -> BinaryIO:
    return Path(path).open("rb")


def pages_of(paths: list[Path]) -> Iterator[str]:
    """Yields the texts of all pages in the files and folders, as the sources common_crawl and c4 read them."""
    files = [
        file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*"))) if file.is_file()
    ]
    for source in (SOURCES["common_crawl"], SOURCES["c4"]):
        known = [InputFile(str(file), file.stat().st_size) for file in files if source.reader.knows(str(file))]
        for unit in source.reader.units(known, opened) if known else []:
            for record in source.reader.read(unit, opened):
                if isinstance(record, dict):
                    yield record["text"]


def peers() -> dict[str, Callable[[Any], Any]]:
    """Returns datatrove's filters by name."""
    from datatrove.pipeline import filters

    return {name: getattr(filters, name)().filter for name in STEPS}


def verdict_of(found: Any, text: str) -> str | None:
    """Translates datatrove's verdict into this project's reason to drop a page. Returns None if the page is kept."""
    reason = found[1] if isinstance(found, tuple) and not found[0] else None
    if reason == "empty":
        return "no_lines" if text else "empty"
    return None if reason is None else REASONS[reason]


def batches_of(texts: list[str]) -> list[pa.RecordBatch]:
    return [pa.record_batch({"text": texts[at : at + BATCH_DOCS]}) for at in range(0, len(texts), BATCH_DOCS)]


def ours(
    steps: list[Any], batches: list[pa.RecordBatch], *, is_table_kept: bool = False
) -> tuple[list[list[str | None]], float]:
    """Returns the verdicts of each step, and the CPU seconds of the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        if not is_table_kept:
            words._tables.__dict__.clear()
        texts_module.forget()
        started = time.process_time()
        answers = [[step.apply(batch, {}).verdict for step in steps] for batch in batches]
        found = [[v for one in answers for v in one[number].to_pylist()] for number in range(len(steps))]
        best = min(best, time.process_time() - started)
    return found, best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, help="folder in which datatrove and spaCy are installed")
    parser.add_argument("--show", type=int, default=10, help="unequal verdicts that are printed")
    parser.add_argument("--json", type=Path, help="file that gets the figures")
    parser.add_argument("paths", nargs="+", type=Path)
    args = parser.parse_args()
    if args.peer:
        sys.path.append(str(args.peer))
    texts = list(dict.fromkeys(text for text in pages_of(args.paths) if text))
    if not texts:
        parser.error("no pages in these files")
    num_bytes = sum(len(text.encode()) for text in texts)
    print(f"{len(texts)} pages, {num_bytes / 1e6:.1f} MB")
    from datatrove.data import Document

    filters, batches = peers(), batches_of(texts)
    documents = [Document(text=text, id=str(number)) for number, text in enumerate(texts)]
    figures: dict[str, Any] = {"pages": len(texts), "bytes": num_bytes}
    theirs_total = ours_total = 0.0
    for name, step in STEPS.items():
        filters[name](Document(text="It is of no use to be timed. " * 20, id=""))
        started = time.process_time()
        theirs = [verdict_of(filters[name](one), one.text) for one in documents]
        theirs_seconds = time.process_time() - started
        (found,), seconds = ours([step], batches)
        unequal = [n for n, (a, b) in enumerate(zip(theirs, found, strict=True)) if a != b]
        dropped = collections.Counter(reason for reason in found if reason)
        print(f"{name}: {len(texts) - len(unequal)} of {len(texts)} verdicts equal; {sum(dropped.values())} dropped; "
              f"datatrove {num_bytes / theirs_seconds / 1e6:.2f} MB/s, this {num_bytes / seconds / 1e6:.2f} MB/s, "
              f"{theirs_seconds / seconds:.1f} times")  # fmt: skip
        print(f"  {dict(dropped.most_common())}")
        for number in unequal[: args.show]:
            print(f"  page {number}: datatrove {theirs[number]}, this {found[number]}: {texts[number][:80]!r}")
        theirs_total, ours_total = theirs_total + theirs_seconds, ours_total + seconds
        figures[name] = {"equal": len(texts) - len(unequal), "dropped": dict(dropped),
                         "mb_s": num_bytes / seconds / 1e6, "peer_mb_s": num_bytes / theirs_seconds / 1e6}  # fmt: skip
    _, together = ours(list(STEPS.values()), batches)
    print(f"all three: datatrove {num_bytes / theirs_total / 1e6:.2f} MB/s, this {num_bytes / together / 1e6:.2f}, "
          f"{theirs_total / together:.1f} times")  # fmt: skip
    figures["together"] = {"mb_s": num_bytes / together / 1e6, "peer_mb_s": num_bytes / theirs_total / 1e6}
    for name, steps in (("full_table", []), ("full_table_and_c4", [C4TooLong(), C4Lines()])):
        _, seconds = ours([*STEPS.values(), *steps], batches, is_table_kept=True)
        figures[name] = num_bytes / seconds / 1e6
        print(f"{name}: this {figures[name]:.2f} MB/s")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
