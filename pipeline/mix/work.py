"""Estimates the work of the mix job, for the progress display."""

from __future__ import annotations

from pipeline.mix.job import MixJob
from pipeline.progress.work import Work


def mix_work(job: MixJob) -> dict[str, Work]:
    """Returns the number of token files to read and the number of shards to write. Reading takes about half of the
    job's time, and writing the other half.
    """
    num_parts = sum(parts.num_parts for parts in job.parts)
    num_shards = job.num_shards + sum(job.num_validation_shards.values())
    return {"mix: shuffle": Work(num_parts, 1), "mix: shards": Work(num_shards, 1)}
