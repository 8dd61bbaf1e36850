"""Flags and a YAML file into one frozen, validated settings object. Flags win over the file."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mixtures.config import read_config, recipe_of_config, text_in
from mixtures.from_yaml import with_settings
from mixtures.recipe import Recipe
from pipeline.files.files import is_local
from pipeline.settings.dedup_settings import RemovalCeilings, ceilings_of
from pipeline.settings.flags import parse_flags, seed_of
from pipeline.settings.named_values import check_names
from pipeline.settings.source_settings import configured
from pipeline.sources import SOURCES
from pipeline.sources.source import Source
from tokenizer.train.training import TrainSettings

Phase = Literal["all", "clean", "mix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """Bounds of a run, each settable under ``run:`` in the YAML file."""

    sample_docs: int = 100
    """Of each stage and reason so many dropped documents keep their text."""
    dropped_share: float = 1.0
    """Of what is dropped this share gets a row in ``dropped``, besides the sample; 0: counts and the sample only."""
    max_bad_records: int = 1000
    max_bad_share: float = 0.01
    """A source stops the run when more records than both limits are bad."""
    max_unreadable_files: int = 20
    max_unreadable_share: float = 0.01
    """A source stops the run when more files than both limits cannot be read."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            is_share, value = isinstance(field.default, float), getattr(self, field.name)
            if not 0 <= value <= (1 if is_share else 2**62):
                raise ValueError(f"{field.name} must be {'from 0 to 1' if is_share else '0 or more'}, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a run is asked for. Made by :func:`parse`; nothing downstream reads flags or YAML again."""

    inputs: Mapping[str, tuple[str, ...]]
    """Globs by source; empty: the sample that ships."""
    sources: Mapping[str, Source]
    """The sources of this run, with its settings, in the order of the table."""
    recipe: Recipe
    output: str
    models: str | None
    tokenizer: str | None
    retrain_tokenizer: bool
    num_tokens: int | None
    phase: Phase
    clean_from: str | None
    """The output of another run, whose clean documents are mixed."""
    continue_from: str | None
    """The output of the mixture that this one continues."""
    seed: int
    fraction: float
    exclude: str | None
    overwrite: bool
    estimate: bool
    explain: Source | None
    """The source that is only to be explained, with its settings; it needs no input."""
    limits: RunLimits
    ceilings: RemovalCeilings
    accept_removal: frozenset[str]
    """Sources whose near dedup may remove more than the ceilings."""
    beam_args: tuple[str, ...]

    @property
    def is_sample(self) -> bool:
        return not self.inputs


def parse(argv: Sequence[str]) -> Settings:
    """Reads flags and the YAML file they name.

    Raises:
        ValueError: the request is wrong; one line that says what and how to mend it.
    """
    flags, beam_args = parse_flags(argv)
    config = _config(flags.config)
    inputs = _inputs(flags.input, config.get("inputs"))
    has_own_data = inputs or flags.phase == "mix" or flags.explain
    recipe = _recipe(config, default="llama" if has_own_data else "sample", inputs=inputs)
    TrainSettings.of(recipe.tokenizer)  # a wrong one is said now, not after the cleaning
    tokenizer = flags.tokenizer or (config["tokenizer"] if isinstance(config.get("tokenizer"), str) else None)
    names = _source_names(flags.sources, inputs, recipe)
    sources = {n: configured(SOURCES[n], recipe.sources.get(n, {})) for n in names}
    for source in sources.values():
        check_names(source)
    exclude = flags.exclude or text_in(config, "exclude")
    output = _output(flags.output or text_in(config, "output") or "out")
    if tokenizer and flags.retrain_tokenizer:
        raise ValueError("--retrain-tokenizer trains a tokenizer, and --tokenizer names one: give one of the two")
    for path, flag in ((tokenizer, "--tokenizer"), (exclude, "--exclude")):
        if path and is_local(path) and not Path(path).is_file():
            raise ValueError(f"{flag}: there is no file {path}")
    return Settings(
        inputs={n: g for n, g in inputs.items() if n in names},
        sources=sources,
        recipe=recipe,
        output=output,
        models=flags.models or text_in(config, "models"),
        tokenizer=tokenizer,
        retrain_tokenizer=flags.retrain_tokenizer,
        num_tokens=flags.tokens,
        phase=flags.phase,
        clean_from=_clean_from(flags, output),
        continue_from=_continue_from(flags, output),
        seed=flags.seed if flags.seed is not None else _seed(config.get("seed")),
        fraction=flags.fraction,
        exclude=exclude,
        overwrite=flags.overwrite,
        estimate=flags.estimate,
        explain=_explained(flags.explain, recipe),
        limits=_limits(config.get("run")),
        ceilings=ceilings_of(config.get("dedup")),
        accept_removal=frozenset(_known(name, "--accept-removal") for name in flags.accept_removal),
        beam_args=beam_args,
    )


def _config(path: str | None) -> dict[str, Any]:
    """The mapping of the configuration file, every key of it known."""
    if path is None:
        return {}
    if not Path(path).exists() and not path.isidentifier():
        raise ValueError(f"--config: there is no file {path}")
    return read_config(path)


def _seed(value: Any) -> int:
    try:
        return 0 if value is None else seed_of(value)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"seed in the config file: {error}") from error


def _output(path: str) -> str:
    return path.rstrip("/") or "/"


def _clean_from(flags: argparse.Namespace, output: str) -> str | None:
    """The folder that --from names. Raises ValueError where it cannot be meant."""
    if flags.clean_from is None:
        return _output(flags.continue_from) if flags.continue_from else None
    folder = _output(flags.clean_from)
    if flags.phase != "mix":
        raise ValueError("--from takes the clean documents of another run: it needs --phase=mix")
    if _is_same(folder, output):
        raise ValueError(f"--from and --output are both {output}: without --from its own clean documents are mixed")
    return folder


def _continue_from(flags: argparse.Namespace, output: str) -> str | None:
    """The folder that --continue-from names. Raises ValueError where it cannot be meant."""
    if flags.continue_from is None:
        return None
    if flags.phase != "mix":
        raise ValueError("--continue-from makes a further mixture of clean documents: it needs --phase=mix")
    if _is_same(flags.continue_from, output):
        raise ValueError(f"--continue-from and --output are both {output}: every stage has an output of its own")
    if flags.retrain_tokenizer:
        raise ValueError("--continue-from keeps the tokenizer, without which ids would change their meaning: leave out "
                         "--retrain-tokenizer")  # fmt: skip
    return _output(flags.continue_from)


def _is_same(folder: str, output: str) -> bool:
    if folder == output:
        return True
    return is_local(folder) and is_local(output) and Path(folder).resolve() == Path(output).resolve()


def _recipe(config: Mapping[str, Any], *, default: str, inputs: Iterable[str]) -> Recipe:
    """The recipe the file names (or the default), with what the file itself says laid over it."""
    recipe = recipe_of_config(config, default=default, inputs=inputs)
    unknown = [n for n in (*recipe.weights, *recipe.sources) if n not in SOURCES]
    if unknown:
        raise ValueError(f"recipe {recipe.name}: {unknown[0]} is not a source; there are: {' '.join(SOURCES)}")
    return recipe


def _inputs(flags: Sequence[str], in_file: Any) -> dict[str, tuple[str, ...]]:
    """Globs by source: the flags', or the file's for a source that no flag names."""
    given: dict[str, tuple[str, ...]] = {}
    for flag in flags:
        name, equals, glob = flag.partition("=")
        if not equals or not glob:
            raise ValueError(f"--input {flag}: write SOURCE=GLOB, such as --input books='books/*.txt'")
        given[_known(name, "--input")] = (*given.get(name, ()), glob)
    if in_file is None:
        return given
    if not isinstance(in_file, Mapping):
        raise ValueError("inputs in the config file must map a source to its globs")
    return {**{_known(str(n), "inputs"): _globs(str(n), g) for n, g in in_file.items()}, **given}


def _globs(name: str, given: Any) -> tuple[str, ...]:
    globs = [given] if isinstance(given, str) else given
    if not isinstance(globs, list) or not globs or not all(isinstance(g, str) and g for g in globs):
        raise ValueError(f"inputs.{name} in the config file must be a glob or a list of globs, not {given!r}")
    return tuple(globs)


def _known(name: str, where: str) -> str:
    if name not in SOURCES:
        close = difflib.get_close_matches(name, SOURCES, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"{where}: {name!r} is not a source{hint} (there are: {', '.join(SOURCES)})")
    return name


def _source_names(flag: str | None, inputs: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """The sources of this run, in the table's order."""
    if flag is None:
        wanted = set(inputs) or set(recipe.weights)
    else:
        wanted = {_known(n.strip(), "--sources") for n in flag.split(",") if n.strip()}
        if not wanted:
            raise ValueError("--sources: names no source")
        without = sorted(wanted - set(inputs)) if inputs else []
        if without:
            raise ValueError(f"--sources: {without[0]} has no input; add --input {without[0]}=GLOB")
    return [name for name in SOURCES if name in wanted]


def _explained(flag: str | None, recipe: Recipe) -> Source | None:
    if flag is None:
        return None
    name = _known(flag, "--explain")
    return configured(SOURCES[name], recipe.sources.get(name, {}))


def _limits(given: Any) -> RunLimits:
    return RunLimits() if given is None else with_settings(RunLimits(), given, "run")
