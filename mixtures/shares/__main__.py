"""Runs the command ``python -m mixtures.shares``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from tokenizer.interrupts import as_command
from tokenizer.numbers import counted
from tokenizer.os_errors import described, status_of
from tokenizer.program import name_of


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if the table was printed, 1 if a disk failed, 2 if the request was wrong."""
    args = build_parser().parse_args(argv)
    if not 0 < args.first <= 1:
        return _refused(f"--first {args.first} is not above 0 and at most 1")
    from mixtures.loader import Loader, LoaderSettings  # imports NumPy and pyarrow, which takes tenths of a second
    from mixtures.manifest import shard_infos
    from mixtures.shares.measure import format_shares, shares
    from mixtures.stream import TokenStream

    try:
        settings = LoaderSettings(seq_len=args.seq_len, batch_size=1, seed=args.seed, drop_last=False)
        stream = TokenStream(args.folder)
        total = Loader(stream, settings).num_sequences
        num_sequences = max(1, round(args.first * total))
        found = shares(stream, settings=settings, num_sequences=num_sequences)
    except ValueError as error:
        return _refused(error)
    except OSError as error:
        print(f"mixtures.shares: {described(error, args.folder)}", file=sys.stderr)
        return status_of(error)
    if args.as_json:
        print(json.dumps({"tokens": stream.num_tokens, "sources": [asdict(one) for one in found]}, indent=2))
        return 0
    print(format_shares(found))
    num_shards = len(shard_infos(stream.manifest))
    worst = max(found, key=lambda one: abs(one.worst_shard - one.whole))
    print(
        f"{stream.num_tokens:,} tokens in {counted(num_shards, 'shard')}; the stream begins with {num_sequences:,} of "
        f"{total:,} sequences of {args.seq_len:,}, seed {args.seed}\n"
        f"furthest of all: {worst.source} in {worst.worst_path}, {100 * worst.worst_shard:.3f} % in place of "
        f"{100 * worst.whole:.3f} %"
    )
    return 0


def _refused(error: object) -> int:
    print(f"mixtures.shares: {error}", file=sys.stderr)
    return 2


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("mixtures.shares"),
        description="Prints each source's share of the tokens: planned, in the whole output, in the worst shard, and "
        "at the beginning of the loader's stream. Exit status: 0 printed, 1 a disk failed, 2 wrong request.",
    )
    parser.add_argument("folder", metavar="DIR", help="the output folder of a run")
    parser.add_argument(
        "--first", type=float, default=0.01, metavar="X", help="how much of the stream is its beginning, of 1 "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seq-len", type=int, default=2_048, metavar="N", help="tokens (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the loader's (default: %(default)s)")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the shares as JSON, from 0 to 1")
    return parser


if __name__ == "__main__":
    raise SystemExit(as_command(main))
