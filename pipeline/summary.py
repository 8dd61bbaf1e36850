"""The closing words of a run in the terminal: a table, a line a source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.files import exists, read_bytes
from pipeline.layout import Layout
from pipeline.options import Settings


def _load(path: str) -> dict[str, Any]:
    return json.loads(read_bytes(path)) if exists(path) else {}


def rows(layout: Layout, settings: Settings) -> list[tuple[str, ...]]:
    """Source, documents in and kept, tokens there are, weight, share of the stream, epochs."""
    manifest = _load(layout.manifest) if settings.phase != "clean" else {}
    names = list(settings.recipe.weights)
    found = []
    for name in names:
        stats, mixed = _load(layout.stats(name)), manifest.get("sources", {}).get(name)
        if not stats and not mixed:
            continue
        docs = stats.get("documents", {})
        found.append(
            (
                name,
                f"{docs.get('in', 0):,}" if docs else "",
                f"{docs.get('kept', 0):,}" if docs else "",
                f"{stats['tokens']:,}" if stats.get("tokens") is not None else "",
                f"{settings.recipe.weights[name]:f} %",
                f"{mixed['share']:.4f} %" if mixed else "",
                f"{mixed['tokens']:,}" if mixed else "",
                f"{mixed['epochs']:.2f}" if mixed else "",
                (mixed.get("cut_document") or "")[:24] if mixed else "",
            )
        )
    return [row[:-1] for row in found]


def print_summary(settings: Settings, layout: Layout, *, seconds: float, report: str) -> None:
    """Prints the mixture table, the time, the speed and where everything is."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    table = Table(title=f"recipe {settings.recipe.name}, seed {settings.seed}", title_justify="left")
    header = ("source", "documents in", "kept", "tokens", "weight", "share", "tokens in the stream", "epochs")
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows(layout, settings):
        table.add_row(*row)
    console.print(table)
    manifest = _load(layout.manifest) if settings.phase != "clean" else {}
    input_bytes = sum(_load(f"{layout.work}/run.json").get("input_bytes", {}).values())
    speed = f", {input_bytes / 1e6 / seconds:.1f} MB/s of {input_bytes / 1e6:,.1f} MB input" if input_bytes else ""
    if manifest:
        say = (
            f"{manifest['tokens']:,} tokens of {manifest['documents']:,} documents in {len(manifest['shards'])} shards"
        )
        console.print(say, highlight=False)
    console.print(f"{seconds:.1f} s{speed}", highlight=False)
    console.print(f"report: {Path(report)}", highlight=False, soft_wrap=True)
