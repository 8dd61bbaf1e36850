"""The command ``python -m mixtures.inspect SHARD...``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mixtures.inspect.documents import ShownDocument, Wanted, documents, heading, printable
from mixtures.inspect.pager import Pager
from mixtures.manifest import TOKENIZER_NAME
from tokenizer.encode import Encoder
from tokenizer.interrupts import as_command


def find_tokenizer(shard: Path) -> Path:
    """``tokenizer.model`` in the shard's folder or the one above. Raises ValueError where there is none."""
    for folder in (shard.parent, shard.parent.parent):
        if (folder / TOKENIZER_NAME).is_file():
            return folder / TOKENIZER_NAME
    raise ValueError(f"there is no {TOKENIZER_NAME} beside {shard}: name it with --tokenizer")


def _shards(paths: Sequence[str]) -> list[Path]:
    """The shards that are named; of a folder, all in it."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(path.rglob("*.arrow")) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"{path} holds no shard")
        if not inside[0].is_file():
            raise ValueError(f"{path} is not there")
        found += inside
    return found


def _print(one: ShownDocument, max_chars: int) -> None:
    print(heading(one))
    text = (
        one.text if len(one.text) <= max_chars else f"{one.text[:max_chars]} [... {len(one.text) - max_chars:,} more]"
    )
    print(printable(text))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0 shown, 1 nothing matches, 2 the request was wrong."""
    args = _parser().parse_args(argv)
    wanted = Wanted(
        source=args.source, doc_id=args.id, grep=args.grep, epoch=args.epoch, is_case_ignored=args.ignore_case
    )
    num_shown = 0
    try:
        if args.n is not None and args.n < 1:
            raise ValueError(f"-n {args.n} is not a positive number")
        is_paged = (
            args.pager if args.pager is not None else args.n is None and sys.stdin.isatty() and sys.stdout.isatty()
        )
        shards = _shards(args.shards)
        encoder = Encoder.load(args.tokenizer or find_tokenizer(shards[0]), bos=False, eos=False)

        def find(wanted: Wanted) -> Iterator[ShownDocument]:
            for shard in shards:
                yield from documents(shard, encoder, wanted)

        if is_paged:
            pager = Pager(find, wanted)
            pager.run(input)
            return 0 if pager.num_shown else 1
        for one in find(wanted):
            _print(one, args.max_chars)
            num_shown += 1
            if num_shown >= (args.n or 10):
                return 0
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except ValueError as error:
        print(f"mixtures.inspect: {error}", file=sys.stderr)
        return 2
    if not num_shown:
        print(f"mixtures.inspect: no document of {len(shards)} shards matches", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mixtures.inspect",
        description="Prints decoded documents of shards with their source. "
        "Exit status: 0 shown, 1 no document matches, 2 wrong request.",
    )
    parser.add_argument("shards", metavar="SHARD", nargs="+", help="shards, or folders of them")
    parser.add_argument("--source", help="only documents of this source")
    parser.add_argument("--id", help="only the document of this id (all its epochs)")
    parser.add_argument("--epoch", type=int, metavar="N", help="only documents of this epoch, from 0")
    parser.add_argument("--grep", metavar="TEXT", help="only documents that hold this text, as it is written")
    parser.add_argument("-i", "--ignore-case", action="store_true", help="--grep finds small and capital letters alike")
    parser.add_argument(
        "--pager", action=argparse.BooleanOptionalAction, default=None,
        help="page through the documents (default: on a terminal, unless -n is given)",
    )  # fmt: skip
    parser.add_argument("-n", type=int, metavar="N", help="print so many documents at most (default: 10)")
    parser.add_argument(
        "--max-chars", type=int, default=2_000, metavar="N", help="characters of each at most (default: %(default)s)"
    )
    parser.add_argument("--tokenizer", metavar="FILE", help="a .model file (default: the run's tokenizer.model)")
    return parser


if __name__ == "__main__":
    raise SystemExit(as_command(main))
