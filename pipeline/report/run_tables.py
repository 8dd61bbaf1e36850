"""Makes the tables about a run for the page: versions, models, settings, inputs, times and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixtures.config import base_of
from pipeline.models.trained import JUDGES, described
from pipeline.report.model_remarks import sample_of, trained_on
from pipeline.report.output_state import RunState, SourceState
from pipeline.report.run_models import used_models
from pipeline.report.settings import default_settings, differences, recipe_settings, settings_of


@dataclass(frozen=True, slots=True)
class Table:
    """Holds a table of texts. Columns with words are aligned left, and ``left`` has their indexes."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    left: tuple[int, ...] = ()
    has_long_cells: bool = False
    """If True, narrow screens show each row as a block instead of a line. Tables with many columns always do this."""
    is_grouped: bool = False
    """True if consecutive rows with equal first cells form a group. The first cell becomes the heading of the group."""


def tables(state: RunState) -> list[Table]:
    """Returns all tables that are not empty."""
    made = [_settings(state), _inputs(state), _models(state), _software(state), *_times(state), _memory(state)]
    return [table for table in made if table.rows or table.note]


def _settings(state: RunState) -> Table:
    recipe = recipe_settings(state)
    if recipe is None:
        name = state.recipe.name if state.recipe else "unknown"
        against = default_settings(state)
        note = f"It is not known which recipe {name} builds on: compared with the steps' defaults."
    else:
        base = state.recipe and base_of(state.recipe)
        against, note = recipe, f"Compared with the recipe {base.name if base else ''} as it is now."
    this = settings_of(state)
    lacking = [s.name for s in state.sources if not s.has_settings]
    if lacking:
        note += f" The settings of {', '.join(lacking)} were not found in .work: limits are drawn at the defaults."
    found = differences(this, against, only_common=True)
    steps = [one for one in against if one.count(".") == 2 and one.startswith("sources.") and one not in this]
    off = [one for one in steps if not any(one.startswith(f"sources.{name}.") for name in lacking)]
    rows = [(d.name, d.this, d.other) for d in found]
    rows += [(name, "off", "on") for name in off if against[name] == "on"]
    return Table(
        "Settings that differ from the recipe",
        ("setting", "this run", "recipe"),
        rows,
        note if rows or lacking else f"{note} None differs.",
        (1, 2),
    )


def recipe_name(state: RunState) -> str:
    """Returns the name of the run's recipe. If the recipe builds on another one, returns both names."""
    own = state.recipe.name if state.recipe else str((state.manifest or state.record).get("recipe", "unknown"))
    base = base_of(state.recipe) if state.recipe else None
    return own if base is None or base.name == own else f"{base.name}, on which {own} builds"


def _inputs(state: RunState) -> Table:
    globs: Mapping[str, Sequence[str]] = state.record.get("settings", {}).get("inputs", {})
    manifest_inputs: Mapping[str, Any] = (state.manifest or {}).get("inputs", {})
    rows = []
    for source in state.sources:
        about = source.about.get("inputs") or manifest_inputs.get(source.name) or {}
        stats = source.stats or {}
        rows.append(
            (
                source.name,
                _number(about.get("files")),
                f"{about['bytes'] / 1e6:,.2f}" if "bytes" in about else "",
                _number(stats.get("documents", {}).get("in")),
                _number(sum(stats["records"].values())) if stats else "",
                _number(stats.get("bad_records")),
                _number(stats.get("unreadable_files")),
                str(about.get("fingerprint", ""))[:12],
                "\n".join(globs.get(source.name, ())),
            )
        )
    header = ("source", "files", "MB stored", "documents", "records that became none", "bad records",
              "unreadable files", "fingerprint", "given as")  # fmt: skip
    return Table("Inputs", header, rows, left=(7, 8))


def _models(state: RunState) -> Table:
    rows = []
    for key, one in sorted(used_models(state).items()):
        files = one.get("files") or [{"name": one.get("name", "")}]
        for number, file in enumerate(files):
            name = f"{file['name']}: {file['language']}" if "language" in file else str(file["name"])
            size = f"{file['bytes'] / 1e6:,.2f}" if "bytes" in file else ""
            trained = described(file) if key in JUDGES else ""
            # One checksum is for all files of a model together, so only the first row has it.
            rows.append((key, name, size, trained, str(one.get("sha256", "")) if number == 0 else ""))
    tokenizer = (state.manifest or {}).get("tokenizer")
    if tokenizer:
        pieces = f"{tokenizer['path']}, {tokenizer['vocab_size']:,} pieces"
        sample = sample_of(state.manifest or {})
        rows.append(("tokenizer", pieces, "", trained_on(sample) if sample else "", tokenizer["sha256"]))
    note = (
        "Trained on: what trained.json or checksums.json beside the model says. Unknown: neither says anything of it. "
        "For the tokenizer: the sample of this mixture, if the run trained it."
    )
    return Table(
        "Models",
        ("model", "file", "MB", "trained on", "sha256"),
        rows,
        note if rows else "",
        (1, 3, 4),
        has_long_cells=True,
    )


def _software(state: RunState) -> Table:
    rows = [(name, str(version)) for name, version in (state.manifest or {}).get("software", {}).items()]
    return Table("Versions", ("package", "version"), rows, left=(1,))


def _times(state: RunState) -> list[Table]:
    jobs: Mapping[str, float] = state.record.get("jobs", {})
    engine = state.record.get("engine", {})
    where = f" on {engine['name']}" if engine else ""
    where += f" with {engine['num_workers']} processes" if engine.get("num_workers") else ""
    done = (
        ", ".join(f"{name} {seconds:,.1f} s" for name, seconds in jobs.items())
        or "none ran, everything was already complete"
    )
    seconds = state.record.get("seconds")
    total = f"The last run took {seconds:,.1f} s{where}. Its jobs: {done}." if seconds is not None else ""
    if not total and not any(_has_times(state, source) for source in state.sources):
        return [Table("Time", (), [], "No times were left of this run.")]
    rows = [row for source in state.sources for row in _source_times(state, source)]
    note = (
        f"{total} Seconds are those of all workers together; of steps as their own clock has it, of the rest as the "
        "engine samples it, five times a second. MB are of text that the step was shown, for reading of stored input. "
        "Of sources that were whole already: as it was when they ran."
    )
    header = ("stage", "documents", "MB", "seconds", "MB/s")
    return [Table("Time", header, rows, note, is_grouped=True)]


def _has_times(state: RunState, source: SourceState) -> bool:
    return bool(state.record.get("steps", {}).get(source.name))


def _source_times(state: RunState, source: SourceState) -> list[tuple[str, ...]]:
    steps: Mapping[str, Mapping[str, float]] = state.record.get("steps", {}).get(source.name, {})
    jobs = state.record.get("stage_seconds", {})
    parts: Mapping[str, float] = jobs.get("clean", {}).get(source.name, {})
    stats = {row["stage"]: row for row in source.stats["stages"]} if source.stats else {}
    rows = []
    read = sum(seconds for name, seconds in parts.items() if name in ("units", "read", "unpack", "assemble"))
    in_steps = sum(step.get("busy_s", 0.0) for step in steps.values())
    clean = sum(parts.values())
    if source.stats and parts:
        stored = state.record.get("input_bytes", {}).get(source.name, 0)
        num_docs = source.stats["documents"]["in"]
        rows.append(_time_row(source.name, "read, with the steps of that pass", num_docs, stored, read))
    for stage, row in stats.items():
        grouping = sum(seconds for name, seconds in parts.items() if name in (f"dedup_{stage}", f"judge_{stage}"))
        busy = steps.get(stage, {}).get("busy_s", 0.0) + grouping
        if stage in steps or grouping:
            rows.append(_time_row(source.name, stage, row["in"], row["bytes"].get("in", 0), busy))
    tokens = sum(jobs.get("tokenize", {}).get(source.name, {}).values())
    if tokens and source.stats:
        kept, size = source.stats["documents"]["kept"], source.stats["bytes"]["kept"]
        rows.append(_time_row(source.name, "tokenize", kept, size, tokens))
    if clean > in_steps:
        stored = state.record.get("input_bytes", {}).get(source.name, 0)
        rows.append(_time_row(source.name, "all of the clean job", None, stored, clean))
    return rows


def _time_row(source: str, stage: str, num_docs: int | None, num_bytes: int, seconds: float) -> tuple[str, ...]:
    speed = f"{num_bytes / 1e6 / seconds:,.1f}" if seconds > 0.005 else ""
    return (source, stage, _number(num_docs), f"{num_bytes / 1e6:,.2f}", f"{seconds:,.2f}", speed)


def _memory(state: RunState) -> Table:
    memory = state.record.get("memory", {})
    if not memory:
        return Table("Memory", (), [])
    rows = [("the driver", f"{memory['driver_peak_bytes'] / 1e6:,.0f}")]
    workers = memory["worker_peak_bytes"]
    rows += [(f"worker process {n}", f"{peak / 1e6:,.0f}") for n, peak in enumerate(workers[:16], 1)]
    note = "Peak resident memory of each process; pages that several of them map count in each. Every job of the run "
    note += "starts its own worker processes."
    if not memory["worker_peak_bytes"]:
        note = "Peak resident memory. The run worked in one process, or its workers' memory is the engine's to tell."
    return Table("Memory", ("process", "MB"), rows, note)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""
