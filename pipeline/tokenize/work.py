"""Estimates the work of the tokenize job, for the progress display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.progress.work import Work
from pipeline.tokenize.job import TokenJob


def token_work(jobs: Sequence[TokenJob], input_bytes: Mapping[str, int]) -> dict[str, Work]:
    """Returns a mapping from each line of the progress display to the work that it shows: a number of clean files and
    their size in bytes.

    If a source has several dumps, the bytes of a dump are estimated from its number of files.
    """
    work: dict[str, Work] = {}
    for job in jobs:
        label, num_parts = f"{job.source}: tokenize", len(job.parts.numbers)
        before = work.get(label, Work(0, 0))
        num_bytes = input_bytes.get(job.source, 1) * num_parts // max(job.parts.num_parts, 1)
        work[label] = Work(before.units + num_parts, before.num_bytes + num_bytes)
    return work
