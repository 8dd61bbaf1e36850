"""``python -m mixtures.decontaminate``: searches finished shards for evaluation sets, and writes a certificate."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mixtures.plan.table import format_rows
from tokenizer.interrupts import as_command
from tokenizer.numbers import counted
from tokenizer.os_errors import described, status_of
from tokenizer.program import name_of

_MAX_SHOWN_CHARS = 400


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if the shards are clean, 1 if they are contaminated, 2 if the request was wrong."""
    args = build_parser().parse_args(argv)
    if args.workers < 1 or args.show < 0:
        return _refused("--workers must be 1 or more, and --show 0 or more")
    from mixtures.decontaminate.certificate import (  # imports NumPy and pyarrow, which takes tenths of a second
        CERTIFICATE_NAME,
        HITS_NAME,
        certify,
        list_shards,
        strongest,
    )
    from mixtures.decontaminate.settings import read_settings

    try:
        sets = read_settings(args.sets)
        folder = Path(args.output)
        found = certify(list_shards(args.shards, args.tokenizer), sets, folder, args.workers)
    except ValueError as error:
        return _refused(error)
    except OSError as error:
        print(f"mixtures.decontaminate: {described(error, args.output)}", file=sys.stderr)
        return status_of(error)
    for line in lines_of(found, strongest(folder / HITS_NAME, args.show) if args.show else []):
        print(line)
    print(f"wrote {folder / CERTIFICATE_NAME}")
    return 0 if found["is_clean"] else 1


def _refused(error: object) -> int:
    print(f"mixtures.decontaminate: {error}", file=sys.stderr)
    return 2


def lines_of(certificate: Mapping[str, Any], hits: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the lines to print: the certificate's table of sets, its verdict, and the two texts of each hit."""
    from mixtures.inspect.documents import printable

    header = ["set", "items", "searched", "found", "documents", "hits", "public passages", "sha256"]
    rows = [
        [
            one["name"],
            f"{one['items']:,}",
            f"{one['items_searched']:,}",
            f"{one['items_found']:,}",
            f"{one['documents']:,}",
            f"{one['contamination_hits']:,}",
            f"{one['public_passage_hits']:,}",
            one["sha256"][:12],
        ]
        for one in certificate["decontamination"]["sets"]
    ]
    lines = format_rows(rows, header).splitlines()
    verdict = "no item was found" if certificate["is_clean"] else "CONTAMINATED"
    lines.append(
        f"{counted(certificate['documents'], 'document')} with {certificate['tokens']:,} tokens in "
        f"{counted(len(certificate['shards']), 'shard')}: {verdict}"
    )
    for hit in hits:
        score = max(hit["question_score"], hit["passage_score"])
        lines.append(
            printable(
                f"--- {hit['class']}: {hit['set']}/{hit['item']} in {hit['source']} {hit['id']} "
                f"({hit['shard']} row {hit['row']}), score {score:.2f}, answer {hit['answer_score']:.2f}"
            )
        )
        for what, text in (("item:     ", hit["item_text"]), ("document: ", hit["excerpt"])):
            lines.append(what + printable(" ".join(text.split())[:_MAX_SHOWN_CHARS]))
    return lines


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("mixtures.decontaminate"),
        description="Searches finished shards for the items of evaluation sets, by the rules of the clean phase, and "
        "writes a certificate: the shards and sets with their checksums, and what was found. The shards stay as they "
        "are. Exit status: 0 no item was found (passages from public sources do not count), 1 some were, "
        "2 wrong request.",
    )
    add = parser.add_argument
    add("shards", metavar="SHARDS", nargs="+", help="a run's output folder, or shards")
    add("--sets", metavar="FILE", required=True, help="YAML with the sets, as under 'decontamination' of a config")
    add("--output", metavar="DIR", default="certificate", help="where the files are written (default: ./certificate)")
    add("--tokenizer", metavar="FILE", help="a tokenizer's file (default: the run's own)")
    add("--workers", type=int, metavar="N", default=1, help="processes (default: %(default)s)")
    add("--show", type=int, metavar="N", default=3, help="hits to print, the strongest first (default: %(default)s)")
    return parser


if __name__ == "__main__":
    raise SystemExit(as_command(main))
