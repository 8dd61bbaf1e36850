"""Runs the command ``python -m mixtures.forget``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tokenizer.interrupts import as_command
from tokenizer.numbers import counted
from tokenizer.os_errors import FAILED, described, status_of
from tokenizer.program import name_of


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if documents were removed, or if an interrupted removal was finished. Returns 1 if no
    shard has the documents, if a disk failed, or if the index could not be made again. Returns 2 if the request was
    wrong.
    """
    args = build_parser().parse_args(argv)
    from mixtures.find.index import FOLDER as INDEX_FOLDER  # imports NumPy and pyarrow, which takes tenths of a second
    from mixtures.forget.removal import FOLDER, documents_text, finish, forget

    try:
        ids = list(args.id)
        if args.ids is not None:
            ids += [line.strip() for line in Path(args.ids).read_text(encoding="utf-8").splitlines() if line.strip()]
        has_finished = not ids and finish(Path(args.folder))
        if not ids and not has_finished:
            raise ValueError(
                "give the documents to forget with --id or --ids" + (f"; {args.ids} is empty" if args.ids else "")
            )
        when = datetime.now(UTC).isoformat(timespec="seconds")
        found = forget(args.folder, ids, source=args.source, when=when, why=args.why)
    except (ValueError, UnicodeDecodeError) as error:
        print(f"mixtures.forget: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mixtures.forget: {described(error, args.folder)}; {_what_is_left(args.folder)}", file=sys.stderr)
        return status_of(error)
    if found.shards:
        rows, held = sum(found.rows.values()), sum(found.held_rows.values())
        training, validation = counted(rows, "training row"), counted(held, "validation row")
        print(
            f"{args.folder}: {documents_text(len(found.documents))} out: {training} of "
            f"{sum(found.tokens.values()):,} tokens, {validation}; {counted(len(found.shards), 'shard')} written "
            "again\ntheir texts are still in clean/ and .work/: to keep them out of every later mixture, add the ids "
            f"in {max(Path(args.folder, FOLDER).glob('*.txt'))} to the file of --exclude and run again"
        )
    if has_finished:
        print(f"{args.folder}: the removal that was begun is finished")
    if (found.shards or has_finished) and (Path(args.folder) / INDEX_FOLDER).is_dir():
        return _index_again(args.folder)
    if not found.shards and not has_finished:
        print("mixtures.forget: no shard holds such a document", file=sys.stderr)
        return FAILED
    return 0


def _index_again(folder: str) -> int:
    """Makes the index of ``mixtures.find`` again, after documents were removed. Returns the exit status."""
    from mixtures.find.make import make_indexes

    try:
        make_indexes(folder)
    except (ValueError, OSError) as error:
        why = described(error, folder) if isinstance(error, OSError) else error
        print(f"mixtures.forget: the documents are out, but the index was not made again: {why}; when this is mended, "
              f"python -m mixtures.find {folder} --make-index makes it", file=sys.stderr)  # fmt: skip
        return FAILED
    return 0


def _what_is_left(folder: str) -> str:
    """Returns a message about an interrupted removal: what is done, and which command finishes the rest."""
    from mixtures.manifest import NEW_MANIFEST

    if (Path(folder) / NEW_MANIFEST).is_file():
        return f"the removal is begun: python -m mixtures.forget {folder}, without --id, finishes it"
    return "no document was removed"


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
