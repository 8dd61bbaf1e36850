"""Estimates the work of the mix job, for the progress display."""

from __future__ import annotations

from pipeline.mix.job import MixJob
from pipeline.progress.work import Work


def mix_work(job: MixJob) -> dict[str, Work]:
    """Returns the amount of work of the two stages of the job: the first reads token files, the second writes shards.

    Both stages have the same weight, because each takes about half of the job's time.
    """
    num_parts = sum(parts.num_parts for parts in job.parts)
    num_shards = job.num_shards + sum(job.num_validation_shards.values())
    return {"mix: shuffle": Work(num_parts, 1), "mix: shards": Work(num_shards, 1)}
