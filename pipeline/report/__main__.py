"""Runs the command ``python -m pipeline.report``. The command builds the page of a run, computes how many documents a
run would keep with changed settings, or compares two runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pipeline.files.store_files import StoreError
from pipeline.report.first_look import check_folder, check_settings
from tokenizer.interrupts import as_command
from tokenizer.os_errors import FAILED, described, status_of
from tokenizer.program import name_of
from tokenizer.progress import Progress


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit status: 0 if it succeeded, 1 if it failed (for example because the disk is
    full), 2 if the request was wrong."""
    args = build_parser().parse_args(argv)
    try:
        _run(args)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except ValueError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"error: {described(error, args.dirs[-1])}", file=sys.stderr)
        return status_of(error)
    return 0


def _run(args: argparse.Namespace) -> None:
    """Checks the flags, and does what they ask for. The modules of the report are imported inside this function,
    because the import takes seconds.
    """
    if len(args.dirs) > 2:
        raise ValueError(f"{len(args.dirs)} folders: give one, or two to compare")
    if args.page and len(args.dirs) != 2:
        raise ValueError("--page puts a comparison on the page: give two folders")
    if not 0 < args.share <= 1:
        raise ValueError(f"--share {args.share} must be above 0 and at most 1")
    if len(args.dirs) == 2 and args.settings:
        raise ValueError("--set is for one run: give one folder")
    for folder in args.dirs:
        check_folder(folder)
    check_settings(args.dirs[0], args.settings)
    if len(args.dirs) == 2:
        from pipeline.report.compare import print_comparison
        from pipeline.report.output_state import read_state
        from pipeline.report.terminal import console

        other, this = args.dirs
        print_comparison(console(), read_state(other), read_state(this))
        if args.page:
            print(_written(this, other))
    elif args.settings:
        _recount(args.dirs[0], args.settings, args.share)
    else:
        print(_written(args.dirs[0], None))


def _written(folder: str, other: str | None) -> str:
    """Writes the page of a run, and returns the path of the page. If documents were removed from the finished shards,
    the dataset card is written again too, because its numbers changed.
    """
    from pipeline.report.build import write_report  # matplotlib is loaded only to draw
    from pipeline.report.dataset_card import write_card
    from pipeline.report.output_state import read_state

    page = write_report(folder, other=other)
    state = read_state(folder)
    if state.manifest is not None and state.manifest.get("forgotten"):
        write_card(state.layout, state.manifest)
    return page


def _recount(folder: str, settings: Sequence[str], share: float) -> None:
    from pipeline.report.output_state import read_state
    from pipeline.report.recount import recount, scaled
    from pipeline.report.set_option import parse_changes
    from pipeline.report.terminal import console, print_recounts

    state = read_state(folder)
    changes = parse_changes(state, settings)
    progress = Progress("report")
    found = []
    for name, of in changes.items():
        with progress.working(f"computing what {name} would keep"):
            found.append(scaled(recount(state, name, of, share=share)))
    print_recounts(console(), state, settings, found)


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("pipeline.report"),
        description="Builds DIR/report/index.html again, from a finished run or what there is of an unfinished one. "
        "With --set: prints what would be kept under other settings, from the signals in the output, without running. "
        "With two folders: prints what differs between two runs; with --page the second one's page has it too. "
        "Exit status: 0 done, 2 wrong request.",
    )
    parser.add_argument("dirs", metavar="DIR", nargs="+", help="the output of a run; a second one to compare with")
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="SOURCE.STEP.FIELD=VALUE",
        action="append",
        default=[],
        help="a setting as under `sources:` in the config file; SOURCE.FIELD=VALUE for every step that "
        "has it (a list in brackets: wikipedia.wiki_languages.wikis=[en,de]), SOURCE.STEP=off, "
        "and common_crawl.perplexity.head=N or .middle=N where a bucket ends "
        "(.middle.de=N for one language); repeatable",
    )
    parser.add_argument(
        "--page", action="store_true",
        help="with two folders: also builds the second one's page, with a section that compares it with the first",
    )  # fmt: skip
    parser.add_argument(
        "--share", type=float, default=1.0, metavar="X",
        help="with --set: read this share of the output's parts and scale up (default: all)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(as_command(main))
