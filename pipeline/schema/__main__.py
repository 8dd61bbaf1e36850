"""Runs the command ``python -m pipeline.schema``: prints the JSON Schema of configuration files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import resources

from tokenizer.interrupts import as_command
from tokenizer.program import name_of


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit status."""
    build_parser().parse_args(argv)
    print((resources.files("pipeline.schema") / "config.schema.json").read_text(encoding="utf-8"), end="")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    return argparse.ArgumentParser(
        prog=name_of("pipeline.schema"),
        description="Prints the JSON Schema of configuration files. Editors complete and check a file by it, whose "
        "first line is: # yaml-language-server: $schema=config.schema.json",
    )


if __name__ == "__main__":
    raise SystemExit(as_command(main))
