"""Runs the command ``llama-mixture``. Every command of this project is a subcommand of ``llama-mixture``. The
subcommand ``completion`` prints a script for a shell. With this script, the shell completes the subcommands and their
flags.

For example, ``llama-mixture plan --stats out`` is the same as ``python -m mixtures.plan --stats out``. Only the module
of the given subcommand is imported, because importing all modules takes seconds.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tokenizer.did_you_mean import or_list
from tokenizer.interrupts import as_command
from tokenizer.program import DISTRIBUTION, set_name, version

WRONG_REQUEST = 2
SHELLS = ("bash", "zsh", "tcsh")


@dataclass(frozen=True, slots=True)
class Command:
    """Describes a subcommand: the module that runs it, and one line of help. The module has the functions ``main`` and
    ``build_parser``.
    """

    module: str
    help: str
    flags: tuple[str, ...] = ()
    """Flags that are always passed to the command, in addition to the user's flags."""
    file: str = "__main__"
    """The file that has ``main``, if the module is a package. Empty if the module is a file."""

    @property
    def code(self) -> Any:
        return import_module(f"{self.module}.{self.file}" if self.file else self.module)


COMMANDS: Mapping[str, Command] = {
    "run": Command("pipeline.run", "clean, tokenize and mix the sources into shards", file=""),
    "estimate": Command("pipeline.run", "print what a run would do and cost; write nothing", ("--estimate",), ""),
    "explain": Command("pipeline.run", "print the passes over a source's text: explain SOURCE", ("--explain",), ""),
    "models": Command("pipeline.models", "list, fetch or train the models that cleaning needs"),
    "tokenizer train": Command("tokenizer.train", "train a tokenizer on text, or on a sample of clean documents"),
    "plan": Command("mixtures.plan", "print the mixture table for counted tokens"),
    "inspect": Command("mixtures.inspect", "print or page through documents of shards, clean/ or dropped/"),
    "find": Command("mixtures.find", "find a string, an id or a url in finished shards"),
    "forget": Command("mixtures.forget", "take documents out of finished shards"),
    "verify": Command("mixtures.verify", "compare every shard with the manifest"),
    "shares": Command("mixtures.shares", "print each source's share of the tokens"),
    "decontaminate": Command("mixtures.decontaminate", "search finished shards for evaluation sets"),
    "export": Command("mixtures.export", "write shards in the layout of another trainer"),
    "report": Command("pipeline.report", "build a run's page again, recount under other settings, compare two runs"),
    "schema": Command("pipeline.schema", "print the JSON Schema of configuration files, for editors"),
    "scale": Command("pipeline.scale", "compute what the paper's mixture costs"),
    "job-service": Command("pipeline.job_service", "run on several hosts without a cluster"),
}
"""The commands by name, in the order in which a user needs them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command. Returns its exit status; 2 if there is no such command."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else WRONG_REQUEST
    if words[0] in ("-V", "--version"):
        print(version())
        return 0
    if words[0] == "completion":
        return _completion(words[1:])
    name = next((n for n in (" ".join(words[:2]), words[0]) if n in COMMANDS), None)
    if name is None:
        given = " ".join(words[:2]) if words[0] in {n.split()[0] for n in COMMANDS} else words[0]
        print(f"{DISTRIBUTION}: {given!r} is not a command{or_list(given, [*COMMANDS, 'completion'])}", file=sys.stderr)
        return WRONG_REQUEST
    command = COMMANDS[name]
    set_name(command.module, f"{DISTRIBUTION} {name}")
    rest = words[len(name.split()) :]
    flags = () if {"-h", "--help"} & set(rest) else command.flags
    status: int = command.code.main([*flags, *rest])
    return status


def usage() -> str:
    """Returns the text of ``llama-mixture --help``. It has one line per subcommand.

    >>> print(usage().splitlines()[0])
    usage: llama-mixture COMMAND [FLAGS]
    """
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name.ljust(width)}{command.help}" for name, command in COMMANDS.items()]
    lines.append(f"  {'completion'.ljust(width)}print the completion of these commands for {', '.join(SHELLS)}")
    head = f"usage: {DISTRIBUTION} COMMAND [FLAGS]\n\nMakes a weighted, tokenized pretraining mixture.\n"
    tail = textwrap.fill(
        f"{DISTRIBUTION} COMMAND --help lists the flags of a command; {DISTRIBUTION} --version prints the version. "
        "Exit status: 0 done, 1 failed or nothing found, 2 wrong request, 130 interrupted.", 100,
    )  # fmt: skip
    return "\n".join([head, *lines, "", tail])


def _completion(words: Sequence[str]) -> int:
    """Prints the completion script of the shell that ``words`` names. Returns the exit status."""
    if len(words) != 1 or words[0] not in SHELLS:
        print(f"{DISTRIBUTION}: completion {'|'.join(SHELLS)}: name the shell; for example\n"
              f'  eval "$({DISTRIBUTION} completion bash)"', file=sys.stderr)  # fmt: skip
        return WRONG_REQUEST
    import shtab

    print(shtab.complete(all_parsers(), shell=words[0]))
    return 0


def all_parsers() -> argparse.ArgumentParser:
    """Returns one parser with a subparser per command. To do so, imports every command."""
    import shtab

    built: dict[str, argparse.ArgumentParser] = {}
    for name, command in COMMANDS.items():
        set_name(command.module, f"{DISTRIBUTION} {name}")
        built[name] = command.code.build_parser()
    for name in [n for n in built if " " in n]:
        group, _, word = name.partition(" ")
        built[group] = argparse.ArgumentParser(prog=f"{DISTRIBUTION} {group}")
        _add_parsers(built[group], {word: built.pop(name)})
    parser = argparse.ArgumentParser(prog=DISTRIBUTION, description="Makes a pretraining mixture.")
    parser.add_argument("--version", action="version", version=version())
    _add_parsers(parser, built)
    _complete_files(parser, shtab.FILE, shtab.DIRECTORY)
    return parser


def _add_parsers(parser: argparse.ArgumentParser, inner: Mapping[str, argparse.ArgumentParser]) -> None:
    found = iter(inner.items())
    # The parsers are built already. argparse would make empty ones, so it gets these in their place.
    make: Any = lambda **_: next(found)[1]  # noqa: E731
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=make)
    for name in inner:
        commands.add_parser(name, help=COMMANDS[name].help if name in COMMANDS else name)


def _complete_files(parser: argparse.ArgumentParser, file: Any, folder: Any) -> None:
    """Lets the shell complete the names of files and folders after each flag that takes a path."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in set(action.choices.values()):
                _complete_files(one, file, folder)
        elif action.metavar in ("FILE", "PREFIX", "PATH", "GLOB"):
            action.complete = file  # type: ignore[attr-defined]
        elif action.metavar in ("DIR", "TARGET", "FOLDER"):
            action.complete = folder  # type: ignore[attr-defined]


def run_command() -> None:
    """Runs the console command ``llama-mixture``, as ``setup.py`` declares it."""
    sys.exit(as_command(main, line="interrupted: run the same command again to resume"))


if __name__ == "__main__":
    run_command()
