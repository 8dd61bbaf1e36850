"""Runs the command ``python -m pipeline.scale``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence

from pipeline.scale.prices import Prices
from tokenizer.interrupts import as_command
from tokenizer.numbers import count_flag, tokens_flag
from tokenizer.program import name_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit status."""
    flags = build_parser().parse_args(arguments)
    # Imported here, because importing takes a second, and a wrong flag is answered before.
    from rich.console import Console

    from pipeline.scale.costs import print_scale
    from pipeline.scale.skew import print_skew

    prices = Prices(**{f.name: getattr(flags, f"price_{f.name}") for f in dataclasses.fields(Prices)})
    console = Console(width=None if Console().is_terminal else 165)
    print_scale(num_tokens=flags.tokens, days=flags.days, prices=prices, console=console)
    print_skew(num_keys=int(flags.keys), console=console)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("pipeline.scale"), description="Computes what the paper's mixture costs."
    )
    add = parser.add_argument
    add("--tokens", type=tokens_flag, default=int(1.4e12), metavar="N", help="tokens of the stream (default: 1.4e12)")
    add("--days", type=float, default=1.0, help="days that the run may take (default: 1)")
    add("--keys", type=count_flag, default=int(1e9), metavar="N", help="synthetic keys to simulate (default: 1e9)")
    defaults = Prices()
    for name, unit in (
        ("cpu_hour", "$ per core and hour"), ("memory_gb_hour", "$ per GB and hour"),
        ("shuffle_gb", "$ per GB shuffled"),
        ("disk_gb_month", "$ per GB and month in the bucket"),
    ):  # fmt: skip
        value = getattr(defaults, name)
        add(f"--price_{name}", type=float, default=value, help=f"{unit} (default: {value})")
    return parser


if __name__ == "__main__":
    sys.exit(as_command(main))
