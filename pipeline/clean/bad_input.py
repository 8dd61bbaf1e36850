"""Stops a run if a source has too many bad records or unreadable files."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow.compute as pc
from apache_beam.io.filesystems import FileSystems

from pipeline.clean.prepared_source import PreparedSource
from pipeline.failures import RunFailed
from pipeline.files.files import join
from pipeline.files.parquet_files import parquet_batches
from pipeline.output.markers import read_marker
from pipeline.output.paths import Layout
from pipeline.settings.settings import Settings


def check_ceilings(prepared: Iterable[PreparedSource], layout: Layout, settings: Settings) -> None:
    """Checks that no source has more bad records or unreadable files than the settings allow.

    Raises:
        RunFailed: a source exceeds a limit. The message has the numbers, and the locations of a few bad records.
    """
    limits = settings.limits
    for one in prepared:
        name = one.source.name
        marker = read_marker(layout.marker(f"clean-{name}"))
        assert marker is not None, f"{name} has no marker"
        bad, files = marker["bad_records"], marker["unreadable_files"]
        num_records = marker["documents"]["in"] + bad
        too_bad = bad > limits.max_bad_records and bad > limits.max_bad_share * num_records
        too_many = files > limits.max_unreadable_files and files > limits.max_unreadable_share * len(one.listing.files)
        if not (too_bad or too_many):
            continue
        what = (
            f"{bad} of {num_records} records are bad"
            if too_bad
            else f"{files} of {len(one.listing.files)} files cannot be read"
        )
        setting = (
            "run.max_bad_records and run.max_bad_share"
            if too_bad
            else "run.max_unreadable_files and run.max_unreadable_share"
        )
        rejected = "\n".join(f"  {line}" for line in _first_rejected(layout.dropped(name)))
        raise RunFailed(
            f"{name}: {what}, more than {setting} allow. The first of them:\n{rejected}\n"
            f"All are in {layout.dropped(name)}."
        )


def _first_rejected(folder: str, number: int = 5) -> list[str]:
    """Returns the locations and reasons of the first rejected records of a source. Reads them from the files in
    ``dropped/``."""
    (found,) = FileSystems.match([join(folder, "part-*.parquet")])
    columns = ["id", "stage", "reason", "detail"]
    rejected: list[str] = []
    for path in sorted(entry.path for entry in found.metadata_list):
        for batch in parquet_batches(path, columns):
            rows = batch.filter(pc.equal(batch.column("stage"), "records")).to_pylist()
            rejected += [f"{r['id']}: {r['reason']} {r['detail'] or ''}".rstrip() for r in rows]
        if len(rejected) >= number:
            break
    return rejected[:number]
