"""Runs the command ``python -m mixtures.forget``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tokenizer.interrupts import as_command
from tokenizer.os_errors import described, status_of
from tokenizer.program import name_of


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if documents were removed, 1 if no shard has them, 2 if the request was wrong."""
    args = build_parser().parse_args(argv)
    from mixtures.find.index import FOLDER as INDEX_FOLDER  # imports NumPy and pyarrow, which takes tenths of a second
    from mixtures.find.search import make_indexes
    from mixtures.forget.removal import FOLDER, documents_text, finish, forget

    try:
        ids = list(args.id)
        if args.ids is not None:
            ids += [line.strip() for line in Path(args.ids).read_text(encoding="utf-8").splitlines() if line.strip()]
        if not ids and not finish(Path(args.folder)):
            raise ValueError(
                "give the documents to forget with --id or --ids" + (f"; {args.ids} is empty" if args.ids else "")
            )
        when = datetime.now(UTC).isoformat(timespec="seconds")
        found = forget(args.folder, ids, source=args.source, when=when, why=args.why)
        if (Path(args.folder) / INDEX_FOLDER).is_dir():
            make_indexes(args.folder)
    except (ValueError, UnicodeDecodeError) as error:
        print(f"mixtures.forget: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mixtures.forget: {described(error, args.folder)}", file=sys.stderr)
        return status_of(error)
    if not found.shards:
        print("mixtures.forget: no shard holds such a document", file=sys.stderr)
        return 1 if ids else 0
    rows, held = sum(found.rows.values()), sum(found.held_rows.values())
    print(
        f"{args.folder}: {documents_text(len(found.documents))} out: {rows:,} training rows of "
        f"{sum(found.tokens.values()):,} tokens, {held:,} validation rows; {len(found.shards):,} shards written again\n"
        "their texts are still in clean/ and .work/: to keep them out of every later mixture, add the ids in "
        f"{max(Path(args.folder, FOLDER).glob('*.txt'))} to the file of --exclude and run again"
    )
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("mixtures.forget"),
        description="Takes documents out of the training and validation shards of a finished run. Only the shards that "
        "hold them are written again; the manifest says what left and when. An index of mixtures.find is kept up to "
        "date. Exit status: 0 taken out, 1 no shard holds them, 2 wrong request.",
    )
    parser.add_argument("folder", metavar="DIR", help="the output folder of a run")
    parser.add_argument("--id", action="append", default=[], help="a document's id (may be repeated)")
    parser.add_argument("--ids", metavar="FILE", help="a file of ids, one per line (mixtures.find --ids-only)")
    parser.add_argument("--source", help="only documents of this source or part")
    parser.add_argument("--why", default="", metavar="TEXT", help="the reason, for the manifest")
    return parser


if __name__ == "__main__":
    raise SystemExit(as_command(main))
