"""Runs the command ``python -m mixtures.export``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mixtures.export.formats import FORMATS
from tokenizer.interrupts import as_command
from tokenizer.os_errors import described, status_of
from tokenizer.program import name_of


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if the files were written, 2 if the request was wrong."""
    args = build_parser().parse_args(argv)
    from mixtures.export.layouts import export  # imports NumPy and pyarrow, which takes tenths of a second

    try:
        written = export(
            args.folder,
            args.target,
            args.format,
            validation_source=args.validation,
            shards_per_file=args.shards_per_file,
        )
    except ValueError as error:
        print(f"mixtures.export: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mixtures.export: {described(error, args.target)}", file=sys.stderr)
        return status_of(error)
    for path in written:
        print(f"{path}  {path.stat().st_size:,} bytes")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("mixtures.export"), description="Writes a run's shards in the layout of another trainer."
    )
    parser.add_argument("folder", metavar="DIR", help="the output folder of a run")
    parser.add_argument("target", metavar="TARGET", help="the folder to write into")
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument(
        "--validation",
        metavar="SOURCE",
        help="export the documents held out of this source instead of the training stream",
    )
    parser.add_argument(
        "--shards-per-file", type=int, metavar="N", help="shards per output (default: all for megatron and mds, else 1)"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(as_command(main))
