"""``python -m pipeline.report DIR``: builds the report again from a finished run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pipeline.files import exists
from pipeline.layout import Layout
from pipeline.report.build import write_report


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.report", description="Builds DIR/report/index.html again."
    )
    parser.add_argument("dir", metavar="DIR", help="the output folder of a run")
    args = parser.parse_args(argv)
    if not exists(Layout(args.dir).work) and not exists(Layout(args.dir).manifest):
        print(f"error: {args.dir} is not the output of a run", file=sys.stderr)
        return 2
    print(write_report(args.dir))
    return 0


if __name__ == "__main__":
    sys.exit(main())
