"""Runs the command ``python -m mixtures.find``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mixtures.find.limits import GRAIN_BYTES, MAX_SHARE
from tokenizer.interrupts import as_command
from tokenizer.numbers import counted
from tokenizer.os_errors import described, status_of
from tokenizer.program import name_of

if TYPE_CHECKING:
    from mixtures.find.search import FoundRow
    from mixtures.shards import ShardInfo

# The functions import the search themselves, because that imports NumPy and pyarrow, which takes tenths of a second.


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if rows were found or indexes made, 1 if nothing was found, 2 if the request was
    wrong.
    """
    args = build_parser().parse_intermixed_args(argv)
    num_hits = 0
    try:
        if args.make_index:
            return _make(args.folder, args.workers)
        if args.n < 0:
            raise ValueError(f"-n {args.n} is negative; 0 lists all")
        for hit in _hits(args):
            num_hits += 1
            if args.as_json:
                print(json.dumps(asdict(hit), ensure_ascii=False))
            else:
                print(hit.doc_id if args.ids_only else _line(hit, args.string))
            if num_hits == args.n:
                print(f"mixtures.find: stopped after -n {args.n}; there may be more", file=sys.stderr)
                break
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except ValueError as error:
        print(f"mixtures.find: {error}{_is_incomplete(num_hits)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mixtures.find: {described(error, args.folder)}{_is_incomplete(num_hits)}", file=sys.stderr)
        return status_of(error)
    if not num_hits:
        hint = _not_in_stream(args)
        print(f"mixtures.find: no row of the training and validation shards{hint}", file=sys.stderr)
        return 1
    return 0


def _not_in_stream(args: argparse.Namespace) -> str:
    """Returns the end of a message: where documents are that are not in the shards."""
    if args.id is not None:
        from mixtures.inspect.elsewhere import where_else

        return where_else([args.folder], args.id)
    clean = Path(args.folder, "clean")
    if args.string is None or not clean.is_dir():
        return ""
    command = f"python -m mixtures.inspect {shlex.quote(str(clean))} --grep {shlex.quote(args.string)}"
    return f"; kept documents that are not in the stream are searched by {command}"


def _is_incomplete(num_hits: int) -> str:
    """Returns what an error means for the rows that were listed before it."""
    return f"; the rows listed before ({num_hits:,}) are right, but there may be more" if num_hits else ""


def _make(folder: str, num_workers: int) -> int:
    from mixtures.find.index import index_path
    from mixtures.find.make import make_indexes
    from mixtures.find.search import Finder

    written = make_indexes(folder, num_workers=num_workers)
    finder = Finder(folder)
    sizes = [index_path(finder.folder, info).stat().st_size for info in finder.infos]
    shards = sum(info.bytes for info in finder.infos)
    print(
        f"{folder}: {len(written):,} of {len(sizes):,} indexes made; all {sum(sizes):,} bytes, "
        f"{sum(sizes) / max(1, shards):.3f} of the shards' {shards:,}"
    )
    return 0


def _hits(args: argparse.Namespace) -> Iterator[FoundRow]:
    given = [args.string is not None, args.id is not None, args.url is not None]
    if sum(given) != 1:
        raise ValueError("give one of a string, --id or --url")
    from mixtures.find.search import Finder

    def before_compare(shards: Sequence[ShardInfo]) -> None:
        size = sum(info.bytes for info in shards)
        print(
            f"mixtures.find: comparing the checksums of {counted(len(shards), 'shard')} ({size:,} bytes), which were "
            f"written or copied after their indexes were made; --make-index does this for all later searches",
            file=sys.stderr,
        )

    finder = Finder(args.folder, before_compare=before_compare)
    if args.url is not None:
        return finder.ids(finder.ids_of_url(args.url, args.clean))
    if args.id is not None:
        return finder.ids([(None, args.id)])
    return finder.scan(args.string) if args.scan else finder.text(args.string)


def _line(hit: FoundRow, wanted: str | None) -> str:
    """Returns a hit as one line of text, with up to 40 characters before and after the string."""
    from mixtures.inspect.documents import printable

    about = f"{hit.shard} row {hit.row}  {hit.source}  {hit.doc_id}  epoch {hit.epoch}"
    if hit.text is not None and wanted is not None:
        at = hit.text.index(wanted)
        around = hit.text[max(0, at - 40) : at + len(wanted) + 40]
        about += f"  ...{' '.join(around.split())}..."
    return printable(about).replace("\n", " ")


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("mixtures.find"),
        description="Lists the rows of the training and validation shards that hold a string, or are of a document. "
        f"Needs an index beside the shards (at most {MAX_SHARE} of their size), which --make-index makes, and makes "
        "again for shards that have changed. Rows are listed as they are found: if an index or a shard later turns out "
        "to be damaged, those before it are right, and status 2 and a line on stderr say that there may be more. "
        "Exit status: 0 found, 1 nothing found or a disk failed, 2 wrong request or damaged files.",
    )
    parser.add_argument("folder", metavar="DIR", help="the output folder of a run")
    parser.add_argument(
        "string", metavar="STRING", nargs="?", help=f"a string of at least {GRAIN_BYTES} bytes, found as it is written"
    )
    parser.add_argument("--id", help="list the rows of the document with this id, in all sources and epochs")
    parser.add_argument("--url", help="list the rows of the documents with this url, which is looked up in clean/")
    parser.add_argument("--clean", metavar="FOLDER", help="with --url: the folder of clean documents (default: DIR's)")
    parser.add_argument("--scan", action="store_true", help="decode all shards: finds strings of any length, slowly")
    parser.add_argument("-n", type=int, default=20, metavar="N", help="list at most N rows; 0: all (default: 20)")
    parser.add_argument("--ids-only", action="store_true", help="print ids alone, as mixtures.forget --ids reads them")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print a JSON object per row")
    parser.add_argument("--make-index", action="store_true", help="make the index and end")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N",
        help="with --make-index: processes; each needs six times a shard's memory (default: one per core)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    raise SystemExit(as_command(main))
