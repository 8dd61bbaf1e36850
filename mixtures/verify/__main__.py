"""Runs the command ``python -m mixtures.verify``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from tokenizer.interrupts import as_command
from tokenizer.numbers import counted
from tokenizer.os_errors import described, status_of
from tokenizer.program import name_of


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if the output has no fault, 1 if it has faults, 2 if the request was wrong."""
    args = build_parser().parse_args(argv)
    from mixtures.manifest import read_manifest
    from mixtures.verify.checks import verify  # imports NumPy and pyarrow, which takes tenths of a second

    faults = []
    try:
        for fault in verify(args.folder):
            faults.append(fault)
            print(f"mixtures.verify: {fault}", file=sys.stderr)
        manifest = read_manifest(args.folder)
    except ValueError as error:
        print(f"mixtures.verify: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mixtures.verify: {described(error, args.folder)}", file=sys.stderr)
        return status_of(error)
    if args.as_json:
        found = {"shards": len(manifest["shards"]), "documents": manifest["documents"], "tokens": manifest["tokens"]}
        print(json.dumps({"output": args.folder, "is_whole": not faults, "faults": faults, **found}, indent=2))
        return 1 if faults else 0
    if faults:
        return 1
    print(
        f"{args.folder}: {counted(len(manifest['shards']), 'shard')}, {counted(manifest['documents'], 'document')}, "
        f"{manifest['tokens']:,} tokens: as the manifest says"
    )
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("mixtures.verify"),
        description="Re-reads every shard of a run against manifest.json: checksums, counts, ids below the vocabulary, "
        "each source's tokens, no document twice in an epoch. Exit status: 0 whole, 1 faults or a disk failed, "
        "2 wrong request.",
    )
    parser.add_argument("folder", metavar="DIR", help="the output folder of a run")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the result as JSON")
    return parser


if __name__ == "__main__":
    raise SystemExit(as_command(main))
