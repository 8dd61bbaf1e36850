"""How much work the clean job has, for the progress display."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.clean.job import SourceJob
from pipeline.clean.segments import segments_of
from pipeline.clean.source_plan import PreparedSource
from pipeline.clean.tags import pass_label
from pipeline.progress.work import Work


def clean_work(plans: Sequence[PreparedSource], jobs: Sequence[SourceJob]) -> dict[str, Work]:
    """What each pass of the clean job has to do, by its label: the units to read, then the parts of every pass."""
    given = {p.source.name: (p.units, p.listing.num_bytes) for p in plans}
    given |= {f"{p.source.name}@{d.name}": (d.units, d.listing.num_bytes) for p in plans for d in p.dumps}
    work: dict[str, Work] = {}

    def add(label: str, num_units: int, num_bytes: int) -> None:  # the dumps of a source together
        before = work.get(label, Work(0, 0))
        work[label] = Work(before.units + num_units, before.num_bytes + num_bytes)

    for job in jobs:
        units, num_bytes = given[job.label]
        containers = job.source.reader.CONTAINERS
        if not any(unit.kind in containers for unit in units):  # how many units are in them nobody knows
            add(f"{job.source.name}: read", len(units), num_bytes)
        _, *following = segments_of(job.source)
        for segment in following:
            add(pass_label(job.source.name, segment), job.sizes.scale.num_parts, num_bytes)
    return work
