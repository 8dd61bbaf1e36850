"""Parses the flags of ``pipeline.run``, and separates them from the flags of Apache Beam.

This module imports neither Beam nor the sources, because such imports take seconds. So ``--help`` and errors about
flags appear at once.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any, NoReturn

from pipeline.settings.runner_options import add_runner_options
from pipeline.sources import SOURCES
from tokenizer.did_you_mean import did_you_mean
from tokenizer.numbers import number_of, tokens_flag
from tokenizer.program import name_of, version

_NAMES = f"{' '.join(SOURCES)}, and corpora of FILE"


class _Parser(argparse.ArgumentParser):
    """Parses arguments. Raises ValueError for a wrong flag. argparse itself would end the process instead."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message.removeprefix("argument "))


def parse_flags(argv: Sequence[str]) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Returns the parsed flags of the command, and the arguments for Beam.

    Raises:
        ValueError: a flag is not known, or its value is not valid.
    """
    flags, beam_args = build_parser().parse_known_args(list(argv))
    _check_beam_args(beam_args)
    return flags, tuple(beam_args)


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's own flags, without the flags of Beam."""
    parser = _Parser(
        prog=name_of("pipeline.run"),
        description="Cleans the sources, tokenizes them and mixes them into weighted Arrow shards. "
        "With no argument at all: the sample that ships, into ./out.",
        epilog="Any Apache Beam option may follow, such as --direct_num_workers=N or --runner=DataflowRunner.",
        allow_abbrev=False,
    )
    _add_inputs(parser)
    _add_phases(parser)
    _add_requests(parser)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say what a run reads and how many tokens it makes."""
    add = parser.add_argument
    add("--config", metavar="FILE", help="YAML file: recipe, inputs, corpora, models, sources, tokenizer, output")
    add(
        "--input",
        metavar="SOURCE=GLOB",
        action="append",
        default=[],
        help="input files of a source, repeatable; local, gs:// or s3://; a folder stands for all below it",
    )
    add("--sources", metavar="A,B,...", help=f"only these, of: {_NAMES} (default: those with input)")
    add(
        "--models",
        metavar="DIR",
        help="folder of models: lid.176.bin or .ftz, en.arpa.bin, en.sp.model, cutoff.csv, reference.bin or .ftz",
    )
    add(
        "--tokenizer",
        metavar="FILE",
        help="SentencePiece .model, Hugging Face tokenizer.json or tiktoken rank file (default: one is trained on the "
        "mixture's own text)",
    )
    add(
        "--retrain-tokenizer",
        action="store_true",
        help="train another tokenizer where shards were made with the present one (default: that one stays)",
    )
    add(
        "--tokens",
        metavar="N",
        type=tokens_flag,
        help="length of the stream in tokens, such as 100M or 1.4e12, over the recipe's mixture.tokens (default: "
        "those, or the longest stream that the recipe's epochs allow)",
    )


def _add_phases(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that name the output, the phase, and the earlier outputs to start from."""
    add = parser.add_argument
    add("--output", metavar="DIR", type=_output, help="where everything is written (default: ./out)")
    add(
        "--phase",
        choices=("all", "clean", "mix"),
        default="all",
        help="clean: documents only; mix: what is already clean (default: all)",
    )
    add(
        "--from",
        dest="clean_from",
        metavar="DIR",
        type=_output,
        help="with --phase=mix: the output of another run, whose clean documents are mixed into --output",
    )
    add(
        "--reuse",
        metavar="DIR",
        type=_output,
        help="the output of another run; sources that this run would clean in the same way are taken from it",
    )
    add(
        "--continue-from",
        metavar="DIR",
        type=_output,
        help="with --phase=mix: the output of a mixture whose training this one continues; each source goes on where "
        "that one stopped",
    )


def _add_requests(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that are about neither inputs nor outputs, for example --seed, --exclude and --estimate."""
    add = parser.add_argument
    add("--seed", metavar="N", type=seed_of, help="of the shuffle and of partial epochs (default: 0)")
    add(
        "--fraction",
        metavar="F",
        type=_fraction,
        default=1.0,
        help="share of each source's files that is read, by a hash of the name, at least one (default: 1)",
    )
    add("--exclude", metavar="FILE", help="ids, urls or hosts, one a line, that must not be in the output")
    add(
        "--accept-removal",
        metavar="SOURCE",
        action="append",
        default=[],
        help="complete a source that was held back, because its near dedup removed more than the ceilings; repeatable",
    )
    add("--overwrite", action="store_true", help="start over instead of continuing")
    add(
        "--estimate", "--dry-run", "--dry_run", action="store_true",
        help="print what would run and what it would cost; start nothing, and write nothing",
    )  # fmt: skip
    add(
        "--times", metavar="X", type=_times, default=1.0,
        help="with --estimate: as if there were X times as much input of every source (default: 1)",
    )  # fmt: skip
    add("--explain", metavar="SOURCE", help="print the passes over a source's text that its steps lead to, and stop")
    add("--json", dest="as_json", action="store_true", help="print the closing table or the estimate as JSON")
    add("--log-file", metavar="FILE", help="append progress, warnings and errors to this file too, with times")
    add("--version", action="version", version=version(), help="print the version and stop")


def seed_of(text: object) -> int:
    """Returns the seed that a flag or the configuration file gives.

    Raises:
        argparse.ArgumentTypeError: the text is not a whole number from 0 to 2**63 - 1.
    """
    if not str(text).isdecimal() or int(str(text)) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to below 2**63")
    return int(str(text))


def _fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and at most 1")
    return number


def _times(text: str) -> float:
    number = number_of(text)
    if number is None or number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return float(number)


def _output(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the name of a folder is wanted")
    return text


def _check_beam_args(args: Sequence[str]) -> None:
    """Checks the arguments for Beam, because Beam itself silently ignores a misspelt flag. Raises ValueError if a flag
    is not known, or if a value belongs to no flag.
    """
    parser = _beam_parser()
    known = {o for a in parser._actions for o in a.option_strings}
    for arg in args:
        name = arg.split("=", 1)[0]
        if name.startswith("-") and name not in known and not name.lstrip("-").isdigit():
            ours = [o for a in build_parser()._actions for o in a.option_strings]
            hint = did_you_mean(name, [*ours, *known], cutoff=0.75) or "; --help lists the flags"
            raise ValueError(f"{name} is not a flag of this command or of Apache Beam{hint}")
    stray = parser.parse_known_args(list(args))[1]
    if stray:
        if stray[0].endswith((".yaml", ".yml")):
            raise ValueError(f"{stray[0]!r} belongs to no flag; did you mean --config {stray[0]}?")
        raise ValueError(f"{stray[0]!r} belongs to no flag; put values that hold spaces or globs in quotes")


@functools.lru_cache(maxsize=1)
def beam_flags() -> tuple[dict[str, Any], ...]:
    """Returns Beam's flags from ``beam_flags.json``. ``python -m tests.make_beam_flags`` wrote this file. A test
    compares it with Beam itself.

    >>> next(one for one in beam_flags() if "--direct_num_workers" in one["names"])["type"]
    'int'
    """
    file = resources.files("pipeline.settings") / "beam_flags.json"
    return tuple(json.loads(file.read_text(encoding="utf-8")))


def _beam_parser() -> _Parser:
    parser = _Parser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for one in beam_flags():
        if one.get("nargs") == 0:
            parser.add_argument(*one["names"], action="store_true")
        else:
            kind = {"int": int, "float": float}.get(one.get("type", ""), str)
            parser.add_argument(*one["names"], nargs=one.get("nargs"), type=kind, choices=one.get("choices"))
    add_runner_options(parser)
    return parser
