"""Combines flags and a YAML file into one frozen, validated settings object. Flags replace values of the file."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mixtures.config import (
    check_sources,
    corpora_in,
    decontamination_of_config,
    read_config,
    recipe_of_config,
    text_in,
    tokenizer_path,
)
from mixtures.config_files import naming_file
from mixtures.decontaminate.settings import DecontaminationSettings, parse_settings
from mixtures.from_yaml import with_settings
from mixtures.recipe import Recipe
from mixtures.setting_error import SettingError
from pipeline.files.files import is_local
from pipeline.settings.dedup_settings import AcrossSettings, RemovalCeilings, across_of, ceilings_of
from pipeline.settings.flags import parse_flags, seed_of
from pipeline.settings.named_values import check_names
from pipeline.settings.source_names import INPUTS, Known, given_inputs, inputs_of_config, known_source, source_names
from pipeline.settings.source_settings import configured
from pipeline.sources.all_sources import all_sources
from pipeline.sources.corpora.declare import corpus_files
from pipeline.sources.source import Source
from tokenizer.did_you_mean import did_you_mean
from tokenizer.encoder_settings import EncoderSettings
from tokenizer.train.training import TrainSettings

Phase = Literal["all", "clean", "mix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """Holds the limits of a run, for example on bad records. Each limit can be set under ``run:`` in the YAML file."""

    sample_docs: int = 100
    """Number of dropped documents whose text is stored, per stage and reason."""
    dropped_share: float = 1.0
    """Share of the dropped documents that get a row in ``dropped``. Documents in the sample always get a row. 0 keeps
    only the sample.
    """
    max_bad_records: int = 1000
    max_bad_share: float = 0.01
    """If a source has more than ``max_bad_records`` bad records, and their share of all records is larger than this,
    the run stops."""
    max_unreadable_files: int = 20
    max_unreadable_share: float = 0.01
    """If a source has more than ``max_unreadable_files`` unreadable files, and their share of all files is larger than
    this, the run stops."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            is_share, value = isinstance(field.default, float), getattr(self, field.name)
            if not 0 <= value <= (1 if is_share else 2**62):
                raise ValueError(f"{field.name} must be {'from 0 to 1' if is_share else '0 or more'}, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Holds all settings of a run. Only :func:`parse` reads flags and YAML, and makes this object from them."""

    inputs: Mapping[str, tuple[str, ...]]
    """Maps each source to its globs. If empty, the run uses the bundled sample."""
    sources: Mapping[str, Source]
    """The sources of this run with their settings, in the order of ``SOURCES``."""
    recipe: Recipe
    output: str
    models: str | None
    tokenizer: str | None
    encoder: EncoderSettings
    """Says if documents get the tokens bos and eos. Has the settings that a tokenizer's rank file does not contain."""
    retrain_tokenizer: bool
    num_tokens: int | None
    phase: Phase
    clean_from: str | None
    """The output folder of an earlier run. This run mixes the clean documents in that folder, and cleans none
    itself.
    """
    continue_from: str | None
    """The output folder of an earlier mixture. The new mixture continues it."""
    reuse: str | None
    """The output folder of an earlier run. If both runs clean a source in the same way, the source is copied from this
    folder.
    """
    seed: int
    fraction: float
    exclude: str | None
    overwrite: bool
    estimate: bool
    times: float
    """The factor by which an estimate scales the input."""
    as_json: bool
    """True to print the closing table or the estimate as JSON."""
    explain: Source | None
    """The source that --explain names, with its settings. The source needs no input."""
    limits: RunLimits
    ceilings: RemovalCeilings
    """The largest shares of documents that a near dedup may remove."""
    across: AcrossSettings
    """The settings of the dedup across sources: which sources are compared, also with the outputs of earlier runs."""
    accept_removal: frozenset[str]
    """The sources from which a near dedup may remove more documents than the ceilings allow."""
    decontamination: DecontaminationSettings | None
    """The evaluation sets whose items are searched for in the documents; None if the run does not search."""
    beam_args: tuple[str, ...]

    @property
    def is_sample(self) -> bool:
        return not self.inputs


def parse(argv: Sequence[str]) -> Settings:
    """Reads the flags, and the YAML file that they name. Returns the settings of the run.

    Raises:
        ValueError: the request is wrong. The message says in one line what is wrong and how to correct it.
    """
    flags, beam_args = parse_flags(argv)
    config = _config(flags.config)
    with naming_file(flags.config):
        corpora = corpora_in(config, default="llama")
        known = all_sources(corpora)
        declared = {name: files for name, one in corpora.items() if (files := corpus_files(name, one))}
        inputs = {**declared, **inputs_of_config(config.get(INPUTS), known)}
    inputs |= given_inputs(flags.input, known)
    has_own_data = inputs or flags.phase == "mix" or flags.explain
    with naming_file(flags.config):
        recipe = _recipe(config, known, default="llama" if has_own_data else "sample", inputs=inputs)
        tokenizer = flags.tokenizer or tokenizer_path(config)
        output = _output(flags.output or text_in(config, "output") or "out")
        exclude = flags.exclude or text_in(config, "exclude")
    names = source_names(flags.sources, inputs, recipe, known)
    explained = None if flags.explain is None else known_source(flags.explain, "--explain", known)
    with naming_file(flags.config):
        across = _across(config, known, output)
        if flags.phase == "all":
            _check_mixed(across, names, recipe)
        sources = across.applied({n: configured(known[n], recipe.sources.get(n, {})) for n in names})
        for source in sources.values():
            check_names(source)
        of_config = _of_config(config, recipe, known, explained, across) | {
            "models": flags.models or text_in(config, "models"),
            "encoder": EncoderSettings.of(config.get("tokenizer")).for_file(tokenizer or ""),
            "seed": flags.seed if flags.seed is not None else _seed(config.get("seed")),
        }
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
        tokenizer=tokenizer,
        retrain_tokenizer=flags.retrain_tokenizer,
        num_tokens=flags.tokens,
        phase=flags.phase,
        clean_from=_clean_from(flags, output),
        continue_from=_continue_from(flags, output),
        reuse=_reuse(flags, output),
        fraction=flags.fraction,
        exclude=exclude,
        overwrite=flags.overwrite,
        estimate=flags.estimate,
        times=flags.times,
        as_json=flags.as_json,
        across=across,
        accept_removal=frozenset(known_source(name, "--accept-removal", known) for name in flags.accept_removal),
        beam_args=beam_args,
        **of_config,
    )


def _of_config(
    config: Mapping[str, Any], recipe: Recipe, known: Known, explained: str | None, across: AcrossSettings
) -> dict[str, Any]:
    """Returns the fields of :class:`Settings` that no flag sets."""
    try:
        TrainSettings.of(recipe.tokenizer)  # reports a wrong setting now, not after the cleaning
    except ValueError as error:
        raise SettingError(str(error), "tokenizer") from error
    return {
        "explain": _explained(explained, recipe, known, across),
        "limits": _limits(config.get("run")),
        "ceilings": ceilings_of(config.get("dedup")),
        "decontamination": _decontamination(config),
    }


def _config(path: str | None) -> dict[str, Any]:
    """Returns the content of the configuration file. Raises ValueError if the file does not exist."""
    if path is None:
        return {}
    if not Path(path).exists() and not path.isidentifier():
        raise ValueError(f"--config: there is no file {path}")
    return read_config(path)


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
    if _is_same(folder, output):
        raise ValueError(f"--from and --output are both {output}: without --from its own clean documents are mixed")
    return folder


def _reuse(flags: argparse.Namespace, output: str) -> str | None:
    """Returns the output to copy sources from (--reuse), or None. Raises ValueError if a flag contradicts --reuse."""
    if flags.reuse is None:
        return None
    if flags.phase == "mix":
        raise ValueError("--reuse takes clean documents over; with --phase=mix, --from DIR mixes them where they are")
    if _is_same(flags.reuse, output):
        raise ValueError(f"--reuse and --output are both {output}: what is complete there is used without --reuse")
    return _output(flags.reuse)


def _continue_from(flags: argparse.Namespace, output: str) -> str | None:
    """Returns the mixture to continue (--continue-from), or None. Raises ValueError if a flag contradicts this one."""
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


def _recipe(config: Mapping[str, Any], known: Known, *, default: str, inputs: Iterable[str]) -> Recipe:
    """Returns the recipe that the file names, or the default recipe. Values in the file replace the recipe's values."""
    check_sources(config, known)
    recipe = recipe_of_config(config, default=default, inputs=inputs)
    unknown = [n for n in (*recipe.weights, *recipe.sources) if n not in known]
    if unknown:
        raise ValueError(f"recipe {recipe.name}: {unknown[0]} is not a source{did_you_mean(unknown[0], known)}; there "
                         f"are: {' '.join(known)}; one of your own is declared under corpora")  # fmt: skip
    return recipe


def _across(config: Mapping[str, Any], known: Known, output: str) -> AcrossSettings:
    """Returns the settings of the dedup across sources. Raises ValueError if an output is compared with itself."""
    across = across_of(config.get("dedup"), known)
    if any(_is_same(_output(folder), output) for folder in across.against):
        raise ValueError(f"dedup.against and --output are both {output}: what is complete there is not compared again")
    return across


def _check_mixed(across: AcrossSettings, names: Sequence[str], recipe: Recipe) -> None:
    """Checks that every source of the run in ``dedup.across`` has a weight. Without a weight it would not be mixed, but
    later sources would still lose the documents that it has too.
    """
    for name in across.across:
        if name in names and name not in recipe.weights:
            raise ValueError(
                f"dedup.across: {name} has no weight in the recipe, so documents would be removed for documents that "
                f"are not mixed; give {name} a weight, or leave it out of dedup.across"
            )


def _explained(name: str | None, recipe: Recipe, known: Known, across: AcrossSettings) -> Source | None:
    if name is None:
        return None
    sources = {one: configured(known[one], recipe.sources.get(one, {})) for one in (name, *across.across)}
    return across.applied(sources)[name]


def _limits(given: Any) -> RunLimits:
    return RunLimits() if given is None else with_settings(RunLimits(), given, "run")


def _decontamination(config: Mapping[str, Any]) -> DecontaminationSettings | None:
    given = decontamination_of_config(config)
    return None if given is None else parse_settings(given)
