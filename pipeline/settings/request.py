"""Reads the flags and the configuration file of a run, and checks all that can be checked without a large library.

This module imports neither Beam nor the sources, because such imports take seconds. So a file that does not exist, an
unknown source or wrong weights are reported at once. :mod:`pipeline.settings.settings` makes the settings of the run
from the request.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixtures.config import check_sources, corpora_in, read_config, recipe_of_config, text_in, tokenizer_path
from mixtures.config_files import naming_file
from mixtures.recipe import Recipe
from mixtures.setting_error import SettingError
from pipeline.files.files import is_local
from pipeline.settings.flags import parse_flags, seed_of
from pipeline.settings.source_names import INPUTS, given_inputs, inputs_of_config, known_source, source_names
from pipeline.sources import SOURCES
from pipeline.sources.corpora.corpus_files import corpus_files
from tokenizer.did_you_mean import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Holds what the user asked for, before the sources get their settings."""

    flags: argparse.Namespace
    beam_args: tuple[str, ...]
    config: Mapping[str, Any]
    """The content of the configuration file; empty if there is none."""
    corpora: Mapping[str, Any]
    """The declarations of the user's own sources, by name."""
    inputs: Mapping[str, tuple[str, ...]]
    """Maps each source to its globs. If empty, the run uses the bundled sample."""
    names: Sequence[str]
    """The sources of the run, in the order of the table of sources."""
    recipe: Recipe
    output: str
    models: str | None
    tokenizer: str | None
    exclude: str | None
    seed: int
    clean_from: str | None
    continue_from: str | None
    reuse: str | None
    explain: str | None
    """The source that ``--explain`` names."""
    accept_removal: frozenset[str]


def read_request(argv: Sequence[str]) -> Request:
    """Reads the flags, and the YAML file that they name.

    Raises:
        ValueError: the request is wrong. The message says in one line what is wrong and how to correct it.

    >>> read_request(["--input", "books=gutenberg/**"]).names
    ['books']
    """
    flags, beam_args = parse_flags(argv)
    config = _config(flags.config)
    with naming_file(flags.config):
        corpora = corpora_in(config, default="llama")
        known = list(dict.fromkeys((*SOURCES, *corpora)))
        declared = {n: files for n, one in corpora.items() if (files := corpus_files(n, one))}
        inputs = {**declared, **inputs_of_config(config.get(INPUTS), known)}
    inputs |= given_inputs(flags.input, known)
    has_own_data = inputs or flags.phase == "mix" or flags.explain
    with naming_file(flags.config):
        recipe = _recipe(config, known, default="llama" if has_own_data else "sample", inputs=inputs)
        tokenizer = flags.tokenizer or tokenizer_path(config)
        output = _output(flags.output or text_in(config, "output") or "out")
        exclude = flags.exclude or text_in(config, "exclude")
        models = flags.models or text_in(config, "models")
        seed = flags.seed if flags.seed is not None else _seed(config.get("seed"))
    names = source_names(flags.sources, inputs, recipe, known)
    if tokenizer and flags.retrain_tokenizer:
        raise ValueError("--retrain-tokenizer trains a tokenizer, and --tokenizer names one: give one of the two")
    for path, flag in ((tokenizer, "--tokenizer"), (exclude, "--exclude")):
        if path and is_local(path) and not Path(path).is_file():
            raise ValueError(f"{flag}: there is no file {path}")
    return Request(
        flags=flags,
        beam_args=beam_args,
        config=config,
        corpora=corpora,
        inputs={n: g for n, g in inputs.items() if n in names},
        names=names,
        recipe=recipe,
        output=output,
        models=models,
        tokenizer=tokenizer,
        exclude=exclude,
        seed=seed,
        clean_from=_clean_from(flags, output),
        continue_from=_continue_from(flags, output),
        reuse=_reuse(flags, output),
        explain=None if flags.explain is None else known_source(flags.explain, "--explain", known),
        accept_removal=frozenset(known_source(name, "--accept-removal", known) for name in flags.accept_removal),
    )


def _config(path: str | None) -> dict[str, Any]:
    """Returns the content of the configuration file. Raises ValueError if the file does not exist."""
    if path is None:
        return {}
    if not Path(path).exists() and not path.isidentifier():
        raise ValueError(f"--config: there is no file {path}")
    return read_config(path)


def _recipe(config: Mapping[str, Any], known: Sequence[str], *, default: str, inputs: Iterable[str]) -> Recipe:
    """Returns the recipe that the file names, or the default recipe. Values in the file replace the recipe's values."""
    check_sources(config, known)
    recipe = recipe_of_config(config, default=default, inputs=inputs)
    unknown = [n for n in (*recipe.weights, *recipe.sources) if n not in known]
    if unknown:
        raise ValueError(f"recipe {recipe.name}: {unknown[0]} is not a source{did_you_mean(unknown[0], known)}; there "
                         f"are: {' '.join(known)}; one of your own is declared under corpora")  # fmt: skip
    return recipe


def _seed(value: Any) -> int:
    try:
        return 0 if value is None else seed_of(value)
    except argparse.ArgumentTypeError as error:
        raise SettingError(f"seed in the config file: {error}", "seed") from error


def _output(path: str) -> str:
    return path.rstrip("/") or "/"


def _clean_from(flags: argparse.Namespace, output: str) -> str | None:
    """Returns the folder with the clean documents to mix (--from, or else --continue-from), or None.

    Raises ValueError if --from contradicts a different flag.
    """
    if flags.clean_from is None:
        return _output(flags.continue_from) if flags.continue_from else None
    folder = _output(flags.clean_from)
    if flags.phase != "mix":
        raise ValueError("--from takes the clean documents of another run: it needs --phase=mix")
    if is_same(folder, output):
        raise ValueError(f"--from and --output are both {output}: without --from its own clean documents are mixed")
    return folder


def _reuse(flags: argparse.Namespace, output: str) -> str | None:
    """Returns the output to copy sources from (--reuse), or None. Raises ValueError if a flag contradicts --reuse."""
    if flags.reuse is None:
        return None
    if flags.phase == "mix":
        raise ValueError("--reuse takes clean documents over; with --phase=mix, --from DIR mixes them where they are")
    if is_same(flags.reuse, output):
        raise ValueError(f"--reuse and --output are both {output}: what is complete there is used without --reuse")
    return _output(flags.reuse)


def _continue_from(flags: argparse.Namespace, output: str) -> str | None:
    """Returns the mixture to continue (--continue-from), or None. Raises ValueError if a flag contradicts this one."""
    if flags.continue_from is None:
        return None
    if flags.phase != "mix":
        raise ValueError("--continue-from makes a further mixture of clean documents: it needs --phase=mix")
    if is_same(flags.continue_from, output):
        raise ValueError(f"--continue-from and --output are both {output}: every stage has an output of its own")
    if flags.retrain_tokenizer:
        raise ValueError("--continue-from keeps the tokenizer, without which ids would change their meaning: leave out "
                         "--retrain-tokenizer")  # fmt: skip
    return _output(flags.continue_from)


def is_same(folder: str, output: str) -> bool:
    if folder == output:
        return True
    return is_local(folder) and is_local(output) and Path(folder).resolve() == Path(output).resolve()
