"""Combines flags and a YAML file into one frozen, validated settings object. Flags replace values of the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mixtures.config import decontamination_of_config
from mixtures.config_files import naming_file
from mixtures.decontaminate.settings import DecontaminationSettings, parse_settings
from mixtures.from_yaml import with_settings
from mixtures.recipe import Recipe
from mixtures.setting_error import SettingError
from pipeline.settings.dedup_settings import AcrossSettings, RemovalCeilings, across_of, ceilings_of
from pipeline.settings.named_values import check_names
from pipeline.settings.request import Request, is_same, read_request
from pipeline.settings.source_settings import configured
from pipeline.sources.all_sources import all_sources
from pipeline.sources.source import Source
from tokenizer.encoder_settings import EncoderSettings
from tokenizer.train.training import TrainSettings

Phase = Literal["all", "clean", "mix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """Holds the limits of a run, for example on bad records. Each limit can be set under ``run:`` in the YAML file."""

    sample_docs: int = 100
    """Number of dropped documents whose text is stored, per stage and reason."""
    dropped_share: float = 1.0
    """Share of the dropped documents that get a row in ``dropped``. The documents whose text is stored
    (``sample_docs``) always get a row. With 0, no other document gets a row.
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
    """The settings of the tokenizer. They say whether documents get the tokens bos and eos. They also have what a
    tiktoken rank file does not contain, such as the pattern."""
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
    """An estimate is made as if the input of every source were this many times as large."""
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
    return settings_of(read_request(argv))


def settings_of(request: Request) -> Settings:
    """Returns the settings of a run. The sources of the request get their settings.

    Raises:
        ValueError: a setting is wrong. The message names the file and the line.
    """
    flags, config, recipe = request.flags, request.config, request.recipe
    with naming_file(flags.config):
        known = all_sources(request.corpora)
        across = _across(config, known, request.output)
        if flags.phase == "all":
            _check_mixed(across, request.names, recipe)
        sources = across.applied({n: configured(known[n], recipe.sources.get(n, {})) for n in request.names})
        for source in sources.values():
            check_names(source)
        of_config = _of_config(config, recipe) | {
            "encoder": EncoderSettings.of(config.get("tokenizer")).for_file(request.tokenizer or ""),
            "explain": _explained(request.explain, recipe, known, across),
        }
    return Settings(
        inputs=request.inputs,
        sources=sources,
        recipe=recipe,
        output=request.output,
        models=request.models,
        tokenizer=request.tokenizer,
        retrain_tokenizer=flags.retrain_tokenizer,
        num_tokens=flags.tokens,
        phase=flags.phase,
        clean_from=request.clean_from,
        continue_from=request.continue_from,
        reuse=request.reuse,
        seed=request.seed,
        fraction=flags.fraction,
        exclude=request.exclude,
        overwrite=flags.overwrite,
        estimate=flags.estimate,
        times=flags.times,
        as_json=flags.as_json,
        across=across,
        accept_removal=request.accept_removal,
        beam_args=request.beam_args,
        **of_config,
    )


def _of_config(config: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Returns the fields of :class:`Settings` that no flag sets."""
    try:
        TrainSettings.of(recipe.tokenizer)  # reports a wrong setting now, not after the cleaning
    except ValueError as error:
        raise SettingError(str(error), "tokenizer") from error
    return {
        "limits": _limits(config.get("run")),
        "ceilings": ceilings_of(config.get("dedup")),
        "decontamination": _decontamination(config),
    }


def _across(config: Mapping[str, Any], known: Mapping[str, Source], output: str) -> AcrossSettings:
    """Returns the settings of the dedup across sources. Raises ValueError if an output is compared with itself."""
    across = across_of(config.get("dedup"), known)
    if any(is_same(folder, output) for folder in across.against):
        raise ValueError(f"dedup.against and --output are both {output}: what is complete there is not compared again")
    return across


def _check_mixed(across: AcrossSettings, names: Sequence[str], recipe: Recipe) -> None:
    """Checks that every source of the run in ``dedup.across`` has a weight. A source without a weight is not mixed.
    Later sources would still lose the documents that they share with this source, so these documents would be missing
    from the mixture.
    """
    for name in across.across:
        if name in names and name not in recipe.weights:
            raise ValueError(
                f"dedup.across: {name} has no weight in the recipe, so documents would be removed for documents that "
                f"are not mixed; give {name} a weight, or leave it out of dedup.across"
            )


def _explained(name: str | None, recipe: Recipe, known: Mapping[str, Source], across: AcrossSettings) -> Source | None:
    if name is None:
        return None
    sources = {one: configured(known[one], recipe.sources.get(one, {})) for one in (name, *across.across)}
    return across.applied(sources)[name]


def _limits(given: Any) -> RunLimits:
    return RunLimits() if given is None else with_settings(RunLimits(), given, "run")


def _decontamination(config: Mapping[str, Any]) -> DecontaminationSettings | None:
    given = decontamination_of_config(config)
    return None if given is None else parse_settings(given)
