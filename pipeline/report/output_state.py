"""Reads the output folder of a run. Files that an unfinished run has not written yet may be missing.

An unfinished run is not an error; the report says that it is unfinished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apache_beam.io.filesystems import FileSystems

from mixtures.manifest import loads
from mixtures.parts import source_of
from mixtures.recipe import Recipe, load_recipe
from mixtures.recorded_recipe import recipe_of_record
from pipeline.files.files import exists, join, read_bytes
from pipeline.output.markers import read_marker
from pipeline.output.paths import Layout
from pipeline.progress.run_record import read_record
from pipeline.report.first_look import not_an_output
from pipeline.settings.source_settings import configured
from pipeline.sources import SOURCES
from pipeline.sources.all_sources import source_of_output
from pipeline.sources.optional_steps import OPTIONAL_STEPS
from pipeline.sources.source import Source

WHOLE, CLEANED, UNFINISHED = "whole", "cleaned", "unfinished"
_NOT_SETTINGS = ("type", "data_version", "NAME", "DATA_VERSION", "reason", "REASON")


@dataclass(slots=True)
class SourceState:
    """Holds the state of one source of a run."""

    name: str
    stats: dict[str, Any] | None
    """The statistics; None if they cannot be read. Then ``RunState.problems`` says why."""
    source: Source | None
    """The source with the run's settings; None if this version has no source of this name."""
    cutoffs: dict[str, list[float]] = field(default_factory=dict)
    """The perplexities at which the head and the middle bucket end, by language."""
    about: dict[str, Any] = field(default_factory=dict)
    has_settings: bool = False
    """True if the run's own settings were found. Otherwise this version's default settings are used."""

    @property
    def stages(self) -> list[str]:
        """The names of the stages, in order."""
        if self.stats is not None:
            return [row["stage"] for row in self.stats["stages"]]
        return [step.NAME for step in self.source.steps] if self.source else []


@dataclass(slots=True)
class RunState:
    """Holds what was read from the output folder of a run."""

    layout: Layout
    status: str
    manifest: dict[str, Any] | None
    record: dict[str, Any]
    sources: list[SourceState]
    problems: list[str]
    """One line for each file that is missing or cannot be read."""
    recipe: Recipe | None

    def source(self, name: str) -> SourceState | None:
        return next((s for s in self.sources if s.name == name), None)


def read_state(output: str) -> RunState:
    """Returns the state of a run, finished or not, read from its output folder.

    Raises:
        ValueError: the folder is not the output of a run.
    """
    layout = Layout(output)
    problems: list[str] = []
    record = read_record(layout)
    layout = Layout(output, clean_from=record.get("settings", {}).get("clean_from"))
    manifest = _manifest(layout, problems)
    names = _names(layout, record, manifest)
    if not names and not record and manifest is None:
        raise ValueError(not_an_output(output))
    recipe = _recipe(record, manifest)
    sources = [_source(layout, name, recipe, problems) for name in names]
    unfinished = record.get("finished") is False
    is_clean_only = record.get("phase") == "clean" and not unfinished
    if manifest is not None and not unfinished:
        status = WHOLE
    else:
        status = CLEANED if is_clean_only and all(s.stats is not None for s in sources) else UNFINISHED
    return RunState(layout, status, manifest, record, sources, problems, recipe)


def _manifest(layout: Layout, problems: list[str]) -> dict[str, Any] | None:
    if not exists(layout.manifest):
        return None
    try:
        return loads(read_bytes(layout.manifest), layout.manifest)
    except ValueError as error:
        problems.append(str(error))
        return None


def _names(layout: Layout, record: Mapping[str, Any], manifest: Mapping[str, Any] | None) -> list[str]:
    """Returns the names of all sources that have any output, in the order of the table ``SOURCES``. Sources that are
    not in the table come last, sorted by name.
    """
    found = {source_of(name) for name in (manifest["sources"] if manifest else ())} | set(
        record.get("settings", {}).get("sources", ())
    )
    found |= {path.rsplit("/", 1)[-1].removesuffix(".json") for path in _listed(join(layout.output, "stats", "*.json"))}
    for folder in ("clean", "dropped"):
        found |= {path.rsplit("/", 2)[-2] for path in _listed(join(layout.output, folder, "*", "part-*"))}
    order = {name: place for place, name in enumerate(SOURCES)}
    return sorted(found, key=lambda name: (order.get(name, len(order)), name))


def _listed(pattern: str) -> list[str]:
    (result,) = FileSystems.match([pattern])
    return [m.path for m in result.metadata_list]


def _source(layout: Layout, name: str, recipe: Recipe | None, problems: list[str]) -> SourceState:
    marker = read_marker(layout.marker(f"clean-{name}")) or {}
    about = marker.get("about") if isinstance(marker.get("about"), dict) else {}
    assert isinstance(about, dict)
    settings = about.get("settings")
    source = _source_as_it_was(name, about.get("declared"), recipe, problems)
    has_settings = False
    if source is not None and isinstance(settings, dict):
        try:
            source, has_settings = _with_settings(source, settings), True
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            problems.append(f"{name}: its settings are of another version ({error}); the defaults are shown")
    return SourceState(
        name=name,
        stats=_stats(layout, name, problems),
        source=source,
        cutoffs=about.get("cutoffs", {}),
        about=about,
        has_settings=has_settings,
    )


def _source_as_it_was(
    name: str, declared: Mapping[str, Any] | None, recipe: Recipe | None, problems: list[str]
) -> Source | None:
    """Returns a source with the steps that it had in the run.

    ``declared`` is the user's declaration of the source, as the run recorded it. The steps come from ``declared``. If
    nothing was recorded (None), the steps come from the recipe.
    """
    if declared is None and recipe is not None:
        steps = recipe.sources.get(name, {}).get("steps")
        declared = recipe.corpora.get(name) or (None if steps is None else {"steps": steps})
    try:
        return source_of_output(name, declared)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        problems.append(f"{name}: its declaration is of another version ({error})")
        return SOURCES.get(name)


def _with_settings(source: Source, settings: Mapping[str, Any]) -> Source:
    """Returns the source with the settings that the run had."""
    steps = {s.NAME: settings["steps"].get(s.NAME) for s in source.steps}
    fields: dict[str, Any] = {name: _fields(one) if one is not None else False for name, one in steps.items()}
    for name in OPTIONAL_STEPS.keys() & settings["steps"].keys() - steps.keys():
        fields[name] = _fields(settings["steps"][name])  # a step that the configuration file added
    for what in ("reader", "join"):
        found = _fields(settings.get(what) or {})
        if found:  # a reader or join without settings is recorded too
            fields[what] = found
    return configured(source, fields)


def _fields(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name not in _NOT_SETTINGS}


def _stats(layout: Layout, name: str, problems: list[str]) -> dict[str, Any] | None:
    path = layout.stats(name)
    if not exists(path):
        problems.append(f"{name}: {path} is not there: the source is not finished")
        return None
    try:
        stats = json.loads(read_bytes(path))
    except ValueError as error:
        problems.append(f"{name}: {path} cannot be read: {error}")
        return None
    if (fault := _fault(stats)) is not None:
        problems.append(f"{name}: {path} is not of the form that this version reads: {fault}")
        return None
    return {"records": {}, "tokens": None, **stats}


def _fault(stats: Any) -> str | None:
    """Returns what is wrong with the content of a statistics file; None if the content has the right form."""
    if not isinstance(stats, dict):
        return "it holds no mapping"
    for key, inner in (("documents", ("in", "kept")), ("bytes", ("in", "kept"))):
        one = stats.get(key)
        if not isinstance(one, dict) or any(not isinstance(one.get(i), int) for i in inner):
            return f"{key} lacks one of {', '.join(inner)}"
    if not isinstance(stats.get("stages"), list):
        return "stages is missing"
    if not isinstance(stats.get("records", {}), dict):
        return "records is no mapping"
    for row in stats["stages"]:
        is_whole = isinstance(row, dict) and all(isinstance(row.get(k), int) for k in ("in", "kept"))
        if not is_whole or not isinstance(row.get("stage"), str) or not isinstance(row.get("bytes"), dict):
            return "a stage lacks one of stage, in, kept, bytes"
        if not isinstance(row.get("dropped"), dict) or not all(isinstance(n, int) for n in row["dropped"].values()):
            return f"stage {row['stage']}: dropped is no mapping of reasons to numbers"
    return None


def _recipe(record: Mapping[str, Any], manifest: Mapping[str, Any] | None) -> Recipe | None:
    """Returns the recipe that the run used. If only its name is known, returns the bundled recipe of that name. Returns
    None if no recipe is known.
    """
    data = record.get("settings", {}).get("recipe")
    try:
        if data is not None:
            return recipe_of_record(data)
        return load_recipe(str((manifest or record)["recipe"]))
    except (ValueError, KeyError, TypeError):
        return None
