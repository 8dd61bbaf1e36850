"""Computes the amount of work of the clean job, for the progress display."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.clean.job import SourceJob
from pipeline.clean.prepared_source import PreparedSource
from pipeline.clean.segments import segments_of
from pipeline.clean.tags import pass_label
from pipeline.progress.work import Work


def clean_work(prepared: Sequence[PreparedSource], jobs: Sequence[SourceJob]) -> dict[str, Work]:
    """Returns the amount of work of each pass. The keys are the labels of the passes in the progress display.

    The work of the first pass is the number of units (pieces of the input) to read. The work of a later pass is the
    number of parts (output files) to write.
    """
    inputs = {p.source.name: (p.units, p.listing.num_bytes) for p in prepared}
    inputs |= {f"{p.source.name}@{d.name}": (d.units, d.listing.num_bytes) for p in prepared for d in p.dumps}
    work: dict[str, Work] = {}

    def add(label: str, num_units: int, num_bytes: int) -> None:  # sums the work of all dumps of a source
        before = work.get(label, Work(0, 0))
        work[label] = Work(before.units + num_units, before.num_bytes + num_bytes)

    for job in jobs:
        units, num_bytes = inputs[job.label]
        containers = job.source.reader.CONTAINERS
        if not any(unit.kind in containers for unit in units):  # the number of units in a container is not known yet
            add(f"{job.source.name}: read", len(units), num_bytes)
        _, *following = segments_of(job.source)
        for segment in following:
            add(pass_label(job.source.name, segment), job.sizes.scale.num_parts, num_bytes)
    return work
