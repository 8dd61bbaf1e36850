"""Prints the table at the end of a run. It has one line per source."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from filters.exclude import Excluded
from mixtures.parts import not_held_out, part_name, whole_line
from mixtures.plan.shares import Plan
from mixtures.plan.table import shortfall, shown_epochs
from pipeline.files.files import exists, read_bytes
from pipeline.output.paths import Layout
from pipeline.settings.settings import Settings
from pipeline.sources.source import UNKNOWN_FORM
from tokenizer.numbers import counted


def _load(path: str) -> dict[str, Any]:
    return json.loads(read_bytes(path)) if exists(path) else {}


HEADER = (
    "source", "documents in", "kept", "tokens", "weight", "share", "in the stream", "epochs", "seconds", "MB/s",
)  # fmt: skip


def rows(layout: Layout, settings: Settings) -> list[tuple[str, ...]]:
    """Returns one row per source. The columns are those of :data:`HEADER`.

    The column ``seconds`` has the time for cleaning and tokenizing, summed over all workers. The column ``MB/s`` has
    the megabytes of stored input, divided by these seconds.
    """
    manifest = _load(layout.manifest) if settings.phase != "clean" else {}
    record = _load(f"{layout.work}/run.json")
    found: list[tuple[str, ...]] = []
    for name in names(settings):
        weight = settings.recipe.weights.get(name)
        stats, mixed = _load(layout.stats(name)), whole_line(manifest, name)
        if not stats and not mixed:
            continue
        docs = stats.get("documents", {})
        seconds = sum(record.get("worker_seconds", {}).get(job, {}).get(name, 0.0) for job in ("clean", "tokenize"))
        num_bytes = record.get("input_bytes", {}).get(name, 0)
        found.append(
            (
                name,
                f"{docs.get('in', 0):,}" if docs else "",
                f"{docs.get('kept', 0):,}" if docs else "",
                f"{stats['tokens']:,}" if stats.get("tokens") is not None else "",
                _weight(weight, settings, mixed),
                f"{mixed['share']:.4f} %" if mixed else "",
                f"{mixed['tokens']:,}" if mixed else "",
                shown_epochs(mixed["epochs"]) if mixed else "",
                f"{seconds:,.1f}" if seconds else "",
                f"{num_bytes / 1e6 / seconds:.1f}" if seconds and num_bytes else "",
            )
        )
        found += part_rows(manifest, name, stats)
    return found


def names(settings: Settings) -> list[str]:
    """Returns the sources of the recipe, and then the sources of the run that have no weight in the recipe."""
    return [*settings.recipe.weights, *without_weight(settings)]


def without_weight(settings: Settings) -> list[str]:
    """Returns the sources that the run cleans but does not mix, because the recipe has no weight for them."""
    return [name for name in settings.sources if name not in settings.recipe.weights]


def _weight(weight: Decimal | None, settings: Settings, mixed: Mapping[str, Any] | None) -> str:
    if weight is None:
        return "none"
    return f"{weight:f} %" if settings.recipe.rule is None or not mixed else f"{mixed['weight']:.4f} %"


def part_rows(manifest: dict[str, Any], source: str, stats: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns one row for each part of a source, and one row for the documents that belong to no part.

    Returns no rows if the recipe does not divide the source into parts.
    """
    said = stats.get("parts") if source in manifest.get("parts", {}) else None
    if not said:
        return []
    counted = [(f"  {value}", part_name(source, value), one) for value, one in said["values"].items()]
    if said["left_out"]["documents"]:
        counted.append(("  left out", "", said["left_out"]))
    rows: list[tuple[str, ...]] = []
    for label, name, one in counted:
        mixed = manifest["sources"].get(name)
        rows.append(
            (
                label,
                "",
                f"{one['documents']:,}",
                f"{one['tokens']:,}",
                f"{mixed['weight']:.4f} %" if mixed else "",
                f"{mixed['share']:.4f} %" if mixed else "",
                f"{mixed['tokens']:,}" if mixed else "",
                shown_epochs(mixed["epochs"]) if mixed else "",
                "",
                "",
            )
        )
    return rows


def told_of_records(source: str, stats: dict[str, Any]) -> str:
    """Returns a line about a source's unreadable records and files, and about files in a format that the source does
    not read. Returns an empty string if all could be read.

    >>> told_of_records("books", {"bad_records": 8, "unreadable_files": 1, "records": {"unknown_form": 2}})
    'books: 8 bad records, 1 file unreadable, 2 files of an unknown form not read'
    """
    parts = []
    for number, one, many in (
        (stats.get("bad_records", 0), "bad record", "bad records"),
        (stats.get("unreadable_files", 0), "file unreadable", "files unreadable"),
        (stats.get("records", {}).get(UNKNOWN_FORM, 0), "file of an unknown form not read",
         "files of an unknown form not read"),
    ):  # fmt: skip
        if number:
            parts.append(f"{number:,} {one if number == 1 else many}")
    return f"{source}: {', '.join(parts)}" if parts else ""


def dropped_all(source: str, stats: dict[str, Any]) -> str:
    """Returns a warning if the run dropped every document of a source. Otherwise returns an empty string.

    >>> stage = {"stage": "wiki_languages", "dropped": {"other_language": 3}}
    >>> dropped_all("wikipedia", {"documents": {"in": 3, "kept": 0}, "stages": [stage]})
    'wikipedia: all 3 documents were dropped, most of them by wiki_languages (other_language)'
    """
    docs = stats.get("documents", {})
    if not docs.get("in") or docs.get("kept"):
        return ""
    reasons = [(n, s["stage"], why) for s in stats.get("stages", ()) for why, n in s["dropped"].items()]
    _, stage, reason = max(reasons, default=(0, "an unknown step", "no reason"))
    return f"{source}: all {docs['in']:,} documents were dropped, most of them by {stage} ({reason})"


def told_of_validation(settings: Settings, manifest: Mapping[str, Any]) -> str:
    """Returns a warning about sources of which no document is held out for validation, although the recipe asks for a
    share. This happens if a source has few documents. Returns an empty string if there are no such sources.
    """
    none = not_held_out(settings.recipe.validation, manifest) if manifest else []
    if not none:
        return ""
    return (
        f"no document is held out for validation of {', '.join(none)}, because the share that the recipe asks for "
        f"came out as no document; give a larger share or a number of tokens, such as mixture.validation: "
        f"{{{none[0]}: {{tokens: 10_000}}}}"
    )


def excluded(stats: Iterable[dict[str, Any]]) -> int:
    """Returns the number of documents that an exclusion list removed in the clean phase and in the mix phase (2 and 3
    in the example).

    >>> stage = {"stage": "excluded", "dropped": {"excluded": 2}}
    >>> excluded([{"stages": [stage], "excluded_in_mix": 3}, {"stages": []}])
    5
    """
    number = 0
    for one in stats:
        number += one.get("excluded_in_mix") or 0
        number += sum(sum(s["dropped"].values()) for s in one.get("stages", ()) if s["stage"] == Excluded.NAME)
    return number


def summary(layout: Layout, settings: Settings, *, seconds: float, report: str, made: Plan | None) -> dict[str, Any]:
    """Returns the content of the closing table as a mapping, for ``--json``. Values of a phase that did not run are
    missing or None.
    """
    manifest = _load(layout.manifest) if settings.phase != "clean" else {}
    record = _load(f"{layout.work}/run.json")
    sources: dict[str, Any] = {}
    for name in names(settings):
        stats, mixed = _load(layout.stats(name)), manifest.get("sources", {}).get(name)
        if stats or mixed:
            sources[name] = {
                "documents": stats.get("documents"),
                "tokens": stats.get("tokens"),
                "bad_records": stats.get("bad_records", 0),
                "unreadable_files": stats.get("unreadable_files", 0),
                "input_bytes": record.get("input_bytes", {}).get(name, 0),
                "in_the_stream": mixed,
            }
    found: dict[str, Any] = {"output": layout.output, "recipe": settings.recipe.name, "seed": settings.seed,
                             "phase": settings.phase, "seconds": round(seconds, 1), "report": report,
                             "sources": sources}  # fmt: skip
    if manifest:
        found |= {"tokens": manifest["tokens"], "documents": manifest["documents"], "shards": len(manifest["shards"]),
                  "not_held_out": not_held_out(settings.recipe.validation, manifest)}  # fmt: skip
    if made is not None:
        found |= {"asked_tokens": made.asked_tokens or None, "limited_by": made.limited_by or None}
    return found


def speed(record: Mapping[str, Any], seconds: float) -> str:
    """Returns a text about the speed of a run, for the line after the closing table. If the run did not read its input,
    the text says why it did not have to.

    Args:
        record: the record of the run. It has the jobs that ran.
        seconds: the duration of the whole run.

    >>> speed({"jobs": {"clean": 9.0}, "input_bytes": {"books": 20_000_000}}, 10.0)
    '2.0 MB/s of 20.0 MB input; the table has the seconds of all workers together'
    >>> speed({"jobs": {"count": 0.1}, "input_bytes": {"books": 20_000_000}}, 1.0)
    'the input was already clean'
    >>> speed({"jobs": {}}, 1.0)
    'everything was already complete'
    """
    if "clean" in record.get("jobs", {}):
        num_bytes = sum(record.get("input_bytes", {}).values())
        rate = f"{num_bytes / 1e6 / seconds:.1f} MB/s of {num_bytes / 1e6:,.1f} MB input"
        return f"{rate}; the table has the seconds of all workers together"
    return "the input was already clean" if record.get("jobs") else "everything was already complete"


def print_summary(settings: Settings, layout: Layout, *, seconds: float, report: str, made: Plan | None = None) -> None:
    """Prints the closing table: the mixture, the time, the speed and the path of the report.

    Args:
        made: the plan of the mixture, if one was made. If the mixture has fewer tokens than requested, a line says so.
    """
    if settings.as_json:
        print(json.dumps(summary(layout, settings, seconds=seconds, report=report, made=made), indent=2))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    table = Table(title=f"recipe {settings.recipe.name}, seed {settings.seed}", title_justify="left", box=SIMPLE_HEAD)
    for index, name in enumerate(HEADER):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows(layout, settings):
        table.add_row(*row)
    console.print(table)
    manifest = _load(layout.manifest) if settings.phase != "clean" else {}
    if manifest:
        say = f"{manifest['tokens']:,} tokens of {counted(manifest['documents'], 'document')} in "
        console.print(f"{say}{counted(len(manifest['shards']), 'shard')}", highlight=False)
    if made is not None and (short := shortfall(settings.recipe, made)):
        console.print(short, highlight=False, soft_wrap=True)
    for name in without_weight(settings):
        console.print(
            f"{name}: cleaned, and not mixed, because the recipe has no weight for it; give it one in mixture.weights",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    if warning := told_of_validation(settings, manifest):
        console.print(warning, highlight=False, soft_wrap=True)
    for name in names(settings):
        stats = _load(layout.stats(name))
        for warning in filter(None, (told_of_records(name, stats), dropped_all(name, stats))):
            console.print(f"{warning}: see {layout.dropped(name)}", highlight=False, soft_wrap=True)
    if settings.exclude:
        number = excluded([_load(layout.stats(name)) for name in settings.recipe.weights])
        hint = "" if number else ": see that its lines are ids, urls or hosts as the documents have them"
        named = f"{counted(number, 'document')} {'is' if number == 1 else 'are'} named"
        console.print(f"{named} by {settings.exclude}{hint}", highlight=False, soft_wrap=True)
    record = _load(f"{layout.work}/run.json")
    console.print(f"{seconds:.1f} s, {speed(record, seconds)}", highlight=False)
    console.print(f"report: {Path(report)}", highlight=False, soft_wrap=True)
