"""Prints the estimates of all sources, the resulting mixture, and the resources that the run would need."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from mixtures.plan.deal import format_table, plan
from mixtures.plan.shares import Plan, PlanError, SourceTokens
from mixtures.recipe import Recipe
from pipeline.clean.prepared_source import PreparedSource
from pipeline.estimate.sample import SourceEstimate, estimate_source
from pipeline.estimate.tokens import token_count
from pipeline.estimate.units import cpu_time, size
from pipeline.scale.costs import mix_stage
from pipeline.settings.settings import Settings

_COLUMNS = ("source", "files", "units", "input", "read", "documents", "text", "tokens", "error", "CPU time")
_NUM_JOBS, _START_S = 5, 3
"""A run has up to five jobs: clean, sample, tokenize, count and mix. The processes of a job take about three seconds to
start."""


def print_estimate(settings: Settings, prepared: Sequence[PreparedSource]) -> None:
    """Prints one line per source, the resulting mixture, and the resources that the run would need."""
    count, how = token_count(settings)
    rules = settings.recipe.parts
    found = [
        estimate_source(one, times=settings.times, count=count, rule=rules.get(one.source.name)) for one in prepared
    ]
    made = _plan(settings, found)
    if settings.as_json:
        print(json.dumps(_as_json(settings, found, made), indent=2))
        return
    console = Console(width=None if Console().is_terminal else 160)
    times = f", for {settings.times:g} times the input" if settings.times != 1 else ""
    table = Table(title=f"estimate, from the first part of some inputs{times}", title_justify="left")
    for index, name in enumerate(_COLUMNS):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    is_counted = bool(settings.tokenizer)
    for one in found:
        table.add_row(*_cells(one, is_counted))
        for cells in _part_cells(one, is_counted):
            table.add_row(*cells)
    console.print(table)
    for line in (*_notes(settings.recipe, found, is_counted), how):
        console.print(line, highlight=False, soft_wrap=True)
    if isinstance(made, Plan):
        console.print(format_table(_foreseen(settings.recipe, found), made), highlight=False, soft_wrap=True)
    else:
        console.print(f"the mixture could not be made of this:\n{made}", highlight=False)
    console.print(_needs(found, made), highlight=False, soft_wrap=True)


def _foreseen(recipe: Recipe, found: Sequence[SourceEstimate]) -> Recipe:
    """Returns the recipe with two changes. It divides only those sources whose parts could be estimated. It holds out
    nothing for validation, because an estimate counts all tokens.
    """
    known = {e.source for e in found if e.parts}
    parts = {s: rule for s, rule in recipe.parts.items() if s in known}
    return dataclasses.replace(recipe, parts=parts, validation={})


def _plan(settings: Settings, found: Sequence[SourceEstimate]) -> Plan | PlanError:
    available: dict[str, SourceTokens] = {}
    for e in found:
        if e.parts:
            available |= {name: SourceTokens(p.num_tokens, int(p.num_docs)) for name, p in e.parts.items()}
        elif e.source in settings.recipe.weights:
            available[e.source] = SourceTokens(e.num_tokens, int(e.num_docs))
    try:
        return plan(_foreseen(settings.recipe, found), available, settings.num_tokens, is_foreseen=True)
    except PlanError as error:
        return error


def _most(e: SourceEstimate) -> str:
    if e.is_unknown:
        return ""
    return "≤ " if e.is_bound else "≈ " if e.may_keep_more else ""


def _most_tokens(e: SourceEstimate, is_counted: bool) -> str:
    """Returns the mark of a number of tokens. If the tokens are not counted but follow from the bytes, a bound is only
    about right.
    """
    most = _most(e)
    return "≲ " if most == "≤ " and not is_counted else most


def _error(error: float | None) -> str:
    return "unknown" if error is None else "all read" if error == 0 else f"± {200 * error:.0f} %"


def _part_cells(e: SourceEstimate, is_counted: bool) -> Iterator[tuple[str, ...]]:
    """Yields a table row for each part of a source. A part's cells for files, bytes and hours are empty, because these
    numbers are in the source's own row.
    """
    for name, part in e.parts.items():
        cells = (
            f"{_most(e)}{part.num_docs:,.0f}",
            "",
            f"{_most_tokens(e, is_counted)}{part.num_tokens:,}",
            _error(part.error),
            "",
        )
        yield (f"  {name}", "", "", "", "", *cells)


def _cells(e: SourceEstimate, is_counted: bool) -> tuple[str, ...]:
    most = _most(e)
    return (
        e.source,
        f"{e.num_files:,}",
        f"{e.num_units:,.0f}",
        size(e.input_bytes),
        size(e.read_bytes),
        "unknown" if e.is_unknown else f"{most}{e.num_docs:,.0f}",
        f"{most}{size(e.text_bytes)}",
        f"{_most_tokens(e, is_counted)}{e.num_tokens:,}",
        _error(e.error),
        cpu_time(e.cpu_hours),
    )


def _notes(recipe: Recipe, found: Sequence[SourceEstimate], is_counted: bool) -> Iterator[str]:
    """Yields lines about effects that the numbers do not include."""
    if with_dedups := [f"{e.source} {', '.join(e.dedups)}" for e in found if e.dedups and e.is_bound]:
        yield (
            "≤ means at most: a part of the input cannot tell what these steps will remove from all of it: "
            f"{'; '.join(with_dedups)}"
        )
    if not is_counted and any(_most_tokens(e, is_counted) == "≲ " for e in found):
        yield "≲ means at most about: the same, of tokens that are not counted but follow from the bytes of the text"
    if unsure := [f"{e.source} {', '.join(e.may_keep_more)}" for e in found if e.may_keep_more]:
        yield (
            "≈ means about, and no bound: dedups remove documents, and one of them also removes parts of texts before "
            "these steps; so in a run they judge other texts, and may keep documents that they drop here: "
            f"{'; '.join(unsure)}"
        )
    for e in found:
        if e.source in recipe.parts and not e.parts:
            by = recipe.parts[e.source].by
            yield (
                f"{e.source}: whole, not by {by}, which a part of the input does not tell (a join, a dedup or a step "
                "that is left out fills it)"
            )
        if absent := [name for name, part in e.parts.items() if not part.num_tokens]:
            yield f"{e.source}: no document of {', '.join(absent)} in the part that was read"
        if e.left_out:
            names = ", ".join(e.left_out)
            yield f"{e.source}: too many, because the models of {names} are missing, so all documents pass"
        if e.is_unfiltered:
            yield f"{e.source}: at most (≤), because its filters follow a join, which cannot run on a part of the input"
    yield (
        "error: twice the standard error of the text, from how the inputs that were read differ; what a file hides "
        "behind its first documents is not in it"
    )
    yield "CPU time: of all processes together, by the measured speeds of whole runs (pipeline/scale/rates.json)"


def _needs(found: Sequence[SourceEstimate], made: Plan | PlanError) -> str:
    """Returns a description of the CPU time, the memory and the shuffled bytes that a run would need."""
    num_docs, text = sum(e.num_docs for e in found), sum(e.text_bytes for e in found)
    num_tokens = made.tokens if isinstance(made, Plan) else sum(e.num_tokens for e in found)
    mix = mix_stage(num_tokens)
    ngram_bytes = sum(e.ngram_key_bytes for e in found)
    near = f"{size(ngram_bytes)} of bands, n-grams and windows of dedups, " if ngram_bytes else ""
    hours = sum(e.cpu_hours for e in found) + mix.cpu_hours
    return (
        f"CPU time in all: {cpu_time(hours)}, {cpu_time(mix.cpu_hours)} of it for the mix; and the start of the "
        f"workers: about {_START_S} s for each of a run's {_NUM_JOBS} jobs, in every process\n"
        f"shuffle: about {size(num_docs * 150)} of keys (150 bytes a document), "
        f"{size(text / 45 * 9)} of line hashes (9 bytes a line, where lines are deduped), "
        f"{near}{size(mix.shuffled_tb * 1e12)} of tokens; parts: {sum(e.num_parts for e in found):,}; "
        f"memory: about 1 GB a worker process; spilled text: {size(text / 2)} a pass"
    )


def _as_json(settings: Settings, found: Sequence[SourceEstimate], made: Plan | PlanError) -> dict[str, Any]:
    said: dict[str, Any] = {"recipe": settings.recipe.name, "times": settings.times,
                            "sources": {e.source: {**asdict(e), "is_bound": e.is_bound} for e in found}}  # fmt: skip
    if isinstance(made, Plan):
        return said | {
            "tokens": made.tokens,
            "asked_tokens": made.asked_tokens or None,
            "limited_by": made.limited_by or None,
        }
    return said | {"error": str(made)}
