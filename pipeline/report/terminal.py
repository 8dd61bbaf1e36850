"""Prints tables to the terminal, for example of recounts: the numbers of documents that a run would keep with changed
settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mixtures.parts import source_of, value_of
from mixtures.plan.by_part import by_part
from mixtures.plan.deal import format_table, plan
from mixtures.plan.shares import PlanError, SourceTokens
from pipeline.report.amounts import Amount
from pipeline.report.output_state import RunState
from pipeline.report.recount import Recount

_WIDTH = 140


def console() -> Console:
    """Returns a console for printing tables. It is as wide as the terminal. If there is no terminal, it is wide enough
    for the tables.
    """
    found = Console()
    return found if found.is_terminal else Console(width=_WIDTH)


def print_table(out: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Prints a table. The first ``left`` columns contain words and are aligned left. The others are aligned right."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for place, name in enumerate(header):
        table.add_column(name, justify="left" if place < left else "right", overflow="fold", no_wrap=place >= left)
    for row in rows:
        table.add_row(*(str(cell).replace("[", "\\[") for cell in row))
    out.print(table)


def print_recounts(out: Console, state: RunState, settings: Sequence[str], found: Sequence[Recount]) -> None:
    """Prints the numbers of documents that changed settings would keep and drop, the number of unknown verdicts, and
    the resulting mixture.
    """
    out.print(f"with {', '.join(settings)}:", highlight=False, markup=False)
    header = ("source", "kept in the run", "surely kept", "likely", "at most", "tokens in the run", "tokens, likely")
    print_table(out, "documents", header, [_recount_row(one) for one in found])
    for one in found:
        for line in lines_of(one):
            out.print(f"  {line}", highlight=False, markup=False)
    _print_mixture(out, state, {one.source: one for one in found})


def _recount_row(one: Recount) -> tuple[str, ...]:
    tokens = (f"{one.tokens_before:,}", f"{one.likely_tokens:,}") if one.has_tokens else ("unknown", "unknown")
    return (one.source, f"{one.kept_before:,}", f"{one.least:,}", f"{one.likely:,.0f}", f"{one.most:,}", *tokens)


def lines_of(one: Recount) -> list[str]:
    """Returns lines of text about the recount of one source. First come the numbers of documents that the changed
    settings would keep, drop, or drop for a different reason. Then come the numbers of documents for which this is
    unknown, and the cause.
    """
    name = one.source
    lines = [
        f"{name}: {n:,} kept in the run would be dropped as {stage}: {why}"
        for (stage, why), n in sorted(one.fall.items())
    ]
    for stage, number in sorted(one.come_back.items()):
        if not number:
            continue
        share = one.pass_share.get(stage, 1.0)
        later = "no stage follows it" if share == 1.0 and one.surely_back else (
            f"the later stages have not judged them; they kept {100 * share:.1f} % of the others"
        )  # fmt: skip
        lines.append(f"{one.source}: {number:,} dropped in the run would pass {stage}; {later}")
    others = sorted(one.other_reason.items())
    lines += [f"{name}: {n:,} dropped in the run would now be dropped as {stage}: {why}" for (stage, why), n in others]
    unknown = one.unknown_kept + one.unknown_dropped
    for stage, number in sorted(unknown.items()):
        if number:
            kept = one.unknown_kept[stage]
            why = "the signals do not suffice (a count that stopped at its limit, or nothing measured)"
            lines.append(f"{one.source}: {number:,} are unknown at {stage}, {kept:,} of them kept in the run: {why}")
    lines += [f"{one.source}: {remark}" for remark in one.remarks]
    if one.share_read < 1:
        lines.append(f"{one.source}: scaled up from {100 * one.share_read:.1f} % of the output's parts")
    if not lines:
        lines.append(f"{one.source}: nothing changes")
    return lines


def _print_mixture(out: Console, state: RunState, found: Mapping[str, Recount]) -> None:
    if state.recipe is None:
        out.print("the mixture: the run's recipe is not known", highlight=False)
        return
    available: dict[str, SourceTokens] = {}
    for name in by_part(state.recipe).weights:
        have, one = _available(state, name), found.get(source_of(name))
        if one is not None:
            have = _foreseen(have, name, one)
        if have is not None:
            available[name] = have
    if not available:
        out.print("the mixture: no tokens were counted in this run", highlight=False)
        return
    asked = state.record.get("settings", {}).get("tokens")
    out.print("the mixture that follows of the likely documents:", highlight=False)
    try:
        # Without a manifest, the tokens include those that a run would hold out for validation.
        recipe = state.recipe if state.manifest else replace(state.recipe, validation={})
        made = plan(recipe, available, asked, is_foreseen=True)
        out.print(format_table(recipe, made), highlight=False, markup=False)
    except PlanError as error:
        out.print(f"it could not be made:\n{error}", highlight=False, markup=False)


def _foreseen(have: SourceTokens | None, name: str, one: Recount) -> SourceTokens | None:
    """Returns the tokens and documents of a source or part after the changes. ``have`` are those of the run."""
    before, after = one.amounts.before.get(name, Amount()), one.amounts.after.get(name, Amount())
    if not before.documents:
        return SourceTokens(round(after.tokens), round(after.documents)) if after.documents else have
    if have is None:
        return None
    documents = after.documents / before.documents
    # Without any count of the run, tokens are assumed to change in proportion to documents.
    tokens = after.tokens / before.tokens if one.has_tokens and before.tokens else documents
    return SourceTokens(round(have.tokens * tokens), round(have.documents * documents))


def _available(state: RunState, name: str) -> SourceTokens | None:
    """Returns the number of tokens and documents that are left for training. ``name`` is a source or a part of a
    source. Returns None if the tokens were not counted.

    If there is no manifest, nothing was mixed yet. Then the number includes the tokens that are held out for
    validation.
    """
    line = state.manifest["sources"].get(name) if state.manifest else None
    if line is not None:
        return SourceTokens(line["available_tokens"], line["available_documents"])
    one = state.source(source_of(name))
    value = value_of(name)
    if value is not None:
        own = (one.stats or {}).get("parts", {}).get("values", {}).get(value) if one else None
        return SourceTokens(own["tokens"], own["documents"]) if own else None
    if one is None or one.stats is None or one.stats["tokens"] is None:
        return None
    return SourceTokens(one.stats["tokens"], one.stats["documents"]["kept"])
