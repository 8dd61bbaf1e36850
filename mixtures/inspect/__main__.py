"""Runs the command ``python -m mixtures.inspect``, which prints documents with their source, or pages through them.

If the output is a terminal, the command shows one document per page and waits for input. If not, it prints the first
few documents. If ``--tokenizer`` is not given, the run's tokenizer is used, which is next to the shards' folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mixtures.loader_settings import LoaderSettings, Packing
from tokenizer.interrupts import as_command
from tokenizer.numbers import counted
from tokenizer.os_errors import described, status_of
from tokenizer.program import name_of

if TYPE_CHECKING:
    from mixtures.inspect.documents import ShownDocument

# The functions import the readers themselves, because these import NumPy and pyarrow, which takes tenths of a second.


def _print(one: ShownDocument, max_chars: int, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(one.as_values(), ensure_ascii=False))
        return
    from mixtures.inspect.documents import heading, printable

    print(heading(one))
    text = (
        one.text if len(one.text) <= max_chars else f"{one.text[:max_chars]} [... {len(one.text) - max_chars:,} more]"
    )
    print(printable(text))


def _print_step(args: argparse.Namespace) -> int:
    if args.seq_len is None or args.batch_size is None:
        raise ValueError("--step needs --seq-len and --batch-size, as the training has them")
    if len(args.files) != 1:
        raise ValueError("--step needs one folder: the output of a run")
    settings = LoaderSettings(
        seq_len=args.seq_len,
        batch_size=args.batch_size,
        seed=args.seed,
        epochs=None,
        packing=args.packing,
        max_seq_len=args.max_seq_len,
        shuffle=not args.no_shuffle,
        window_sequences=args.window_sequences,
    )
    from mixtures.inspect.steps import lines_of_step, values_of_step
    from mixtures.stages import open_stages

    stream = open_stages(args.files[0])
    if args.as_json:
        for one in values_of_step(stream, settings, args.step):
            print(json.dumps(one, ensure_ascii=False))
        return 0
    for line in lines_of_step(stream, settings, args.step):
        print(line)
    return 0


def _print_pairs(args: argparse.Namespace) -> int:
    if len(args.files) != 1:
        raise ValueError("--pair needs one folder: the output of a run")
    from mixtures.inspect.pairs import lines_of_pair, pairs_of, texts_of

    output = Path(args.files[0])
    kind = "rejected" if args.rejected else "pairs"
    rows = pairs_of(output, kind=kind, source=args.source, doc_id=args.id, limit=args.n or 10)
    if not rows:
        print(f"mixtures.inspect: no pair of {output} matches", file=sys.stderr)
        return 1
    texts = texts_of(output, rows)
    for row in rows:
        if args.as_json:
            named = {side: texts.get((row[f"{side}_source"], row[f"{side}_id"])) for side in ("removed", "kept")}
            print(json.dumps({**row, "removed_text": named["removed"], "kept_text": named["kept"]}, ensure_ascii=False))
            continue
        for line in lines_of_pair(row, texts, args.max_chars):
            print(line)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if documents were shown, 1 if none matches, 2 if the request was wrong."""
    args = build_parser().parse_args(argv)
    num_shown = 0
    try:
        if args.step is not None:
            return _print_step(args)
        if args.n is not None and args.n < 1:
            raise ValueError(f"-n {args.n} is not a positive number")
        if args.pair or args.rejected:
            return _print_pairs(args)
        is_paged = (
            args.pager
            if args.pager is not None
            else args.n is None and not args.as_json and sys.stdin.isatty() and sys.stdout.isatty()
        )
        if is_paged and args.as_json:
            raise ValueError("--json prints for programs, and --pager pages for readers: keep one of them")
        from mixtures.inspect.documents import Wanted
        from mixtures.inspect.files import files_of, finder
        from mixtures.inspect.pager import Pager

        wanted = Wanted(
            source=args.source, doc_id=args.id, grep=args.grep, epoch=args.epoch, stage=args.stage, reason=args.reason,
            is_case_ignored=args.ignore_case,
        )  # fmt: skip
        files = files_of(args.files, is_dropped=wanted.is_dropped)
        find = finder(files, args.tokenizer)
        if is_paged:
            pager = Pager(find, wanted)
            pager.run(input)
            return 0 if pager.num_shown else 1
        for one in find(wanted):
            _print(one, args.max_chars, as_json=args.as_json)
            num_shown += 1
            if num_shown >= (args.n or 10):
                return 0
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except ValueError as error:
        print(f"mixtures.inspect: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mixtures.inspect: {described(error, args.files[0])}", file=sys.stderr)
        return status_of(error)
    if not num_shown:
        from mixtures.inspect.elsewhere import where_else

        kind = "file" if any(path.suffix == ".parquet" for path in files) else "shard"
        hint = "" if wanted.is_dropped else where_else(args.files, args.id)
        print(f"mixtures.inspect: no document of {counted(len(files), kind)} matches{hint}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("mixtures.inspect"),
        description="Prints documents with their source: of shards (decoded), of clean/ or of dropped/ (with the "
        "reason). With --step: the documents that a training is given at a step. With --pair: documents that a near "
        "dedup removed, beside the kept documents. "
        "Exit status: 0 shown, 1 no document matches or a disk failed, 2 wrong request.",
    )
    add = parser.add_argument
    add("files", metavar="PATH", nargs="+", help="a run's output, a folder in it (shards, clean, dropped), or files")
    add("--source", help="only documents of this source or part")
    add("--id", help="only the document with this id (all its epochs)")
    add("--epoch", type=int, metavar="N", help="only documents of this epoch, from 0")
    add("--stage", metavar="NAME", help="only documents that this stage dropped (of PATH/dropped)")
    add("--reason", metavar="NAME", help="only documents that were dropped for this reason (of PATH/dropped)")
    add("--grep", metavar="TEXT", help="only documents that contain this text, as it is written")
    add("-i", "--ignore-case", action="store_true", help="--grep does not distinguish small and capital letters")
    add(
        "--pager", action=argparse.BooleanOptionalAction, default=None,
        help="page through the documents (default: on a terminal, unless -n is given)",
    )  # fmt: skip
    add("-n", type=int, metavar="N", help="print at most this many documents (default: 10)")
    add("--max-chars", type=int, default=2_000, metavar="N", help="characters per document (default: %(default)s)")
    add("--tokenizer", metavar="FILE", help="a tokenizer's file (default: the run's own)")
    add("--json", dest="as_json", action="store_true", help="print a JSON object per document, with the whole text")
    pair = parser.add_argument_group("the pairs of a near dedup").add_argument
    pair("--pair", action="store_true", help="removed documents beside the kept ones, the smallest overlap first")
    pair(
        "--rejected",
        action="store_true",
        help="the same of a sample of candidates that were not removed, the largest overlap first",
    )
    step = parser.add_argument_group("the data of one training step").add_argument
    step("--step", type=int, metavar="N", help="list the documents of this step, from 0; DIR is a run's output")
    step("--seq-len", type=int, metavar="T", help="the training's seq_len")
    step("--batch-size", type=int, metavar="B", help="sequences per step, of all ranks together")
    step("--seed", type=int, default=0, metavar="N", help="the loader's seed (default: %(default)s)")
    step("--packing", choices=get_args(Packing), default="concatenate", help="default: %(default)s")
    step("--max-seq-len", type=int, metavar="M", help="the loader's max_seq_len, if it has one")
    step("--window-sequences", type=int, metavar="N", help="the loader's window_sequences, if it has one")
    step("--no-shuffle", action="store_true", help="the loader does not shuffle")
    return parser


if __name__ == "__main__":
    raise SystemExit(as_command(main))
