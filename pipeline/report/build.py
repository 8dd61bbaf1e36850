"""Statistics, manifest and dropped samples into one page. Texts are the web's: they are escaped, nothing of them runs."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import jinja2
import pyarrow.compute as pc
import pyarrow.dataset as ds
from apache_beam.io.filesystems import FileSystems

from pipeline.files import exists, read_bytes, write_bytes
from pipeline.layout import Layout

SAMPLES_PER_REASON = 3
SAMPLE_CHARS = 600


def write_report(output: str) -> str:
    """Builds the report of a run. Returns its path."""
    layout = Layout(output)
    manifest = _load(layout.manifest)
    sources = [s for s in (_source(layout, name) for name in _stat_names(layout)) if s]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html").render(
        manifest=manifest, sources=sources, run=_load(f"{layout.work}/run.json"), output=output
    )
    write_bytes(layout.report, page.encode())
    return layout.report


def _load(path: str) -> dict[str, Any]:
    return json.loads(read_bytes(path)) if exists(path) else {}


def _stat_names(layout: Layout) -> list[str]:
    (found,) = FileSystems.match([f"{layout.output}/stats/*.json"])
    return sorted(m.path.rsplit("/", 1)[-1].removesuffix(".json") for m in found.metadata_list)


def _source(layout: Layout, name: str) -> dict[str, Any]:
    stats = _load(layout.stats(name))
    for stage in stats["stages"]:
        stage["adds_up"] = stage["in"] == stage["kept"] + sum(stage["dropped"].values())
    return stats | {"samples": _samples(layout, name)}


def _samples(layout: Layout, name: str) -> list[dict[str, Any]]:
    """A few dropped documents of each stage and reason, with what decided."""
    (found,) = FileSystems.match([f"{layout.dropped(name)}/*.parquet"])
    if not found.metadata_list:
        return []
    dataset = ds.dataset(layout.dropped(name), format="parquet") if "://" not in layout.output else None
    if dataset is None:
        return []
    kept: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    columns = ["id", "stage", "reason", "detail", "text"]
    for batch in dataset.scanner(columns=columns, filter=pc.is_valid(pc.field("text"))).to_batches():
        for row in batch.to_pylist():
            group = kept[row["stage"], row["reason"]]
            if len(group) < SAMPLES_PER_REASON:
                group.append({**row, "text": row["text"][:SAMPLE_CHARS]})
    return [{"stage": s, "reason": r, "documents": rows} for (s, r), rows in sorted(kept.items())]
