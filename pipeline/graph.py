"""THE page: the whole graph, top to bottom, a line a stage.

Five jobs, each a Beam pipeline that ends in files and a marker, so that each can be run again on its own:

    clean      units -> documents -> steps -> clean/, dropped/, stats/   (its passes: pipeline.clean.source_graph)
    sample     clean/ -> what a tokenizer is trained on       (where none is given, and there is much text)
    tokenize   clean/ -> token files, exact numbers of tokens a source
    count      token files -> what is held out for validation, what is left
    mix        token files -> the documents of every epoch -> global shuffle -> shards/

Between them stands the plan (``mixtures.plan``): it needs every source's tokens, and when it cannot be met it
says so before anything is shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam

from pipeline.clean.job import SourceJob
from pipeline.clean.source_graph import CleanSource
from pipeline.engine.unit_list import ReadUnitList
from pipeline.mix.count_held_out import CountHeldOut
from pipeline.mix.global_shuffle import MixShards
from pipeline.mix.job import CountJob, MixJob
from pipeline.tokenize.encode_parts import TokenizeSource
from pipeline.tokenize.job import SampleJob, TokenJob
from pipeline.tokenize.list_parts import ListNumbered, ListParts
from pipeline.tokenize.pick_sample import PickSample


def clean(p: beam.Pipeline, jobs: Sequence[SourceJob]) -> None:
    """Every source on its own: they meet only in the mixture. A dump asks those before it, which come first."""
    cleaned: dict[str, list[Any]] = {}
    for job in jobs:
        units = p | f"{job.label}/units" >> ReadUnitList(job.places.units_path)  # Output: (number, chunk, Unit)
        earlier = cleaned.setdefault(job.source.name, [])
        # Output: done (the source's name; clean/, dropped/ and stats/ are written), and of a dump its key files
        earlier.append(units | job.label >> CleanSource(job, tuple(earlier)))


def sample(p: beam.Pipeline, job: SampleJob) -> None:
    """Out of every clean part the documents that a tokenizer may be trained on."""
    parts = p | "parts" >> ListParts(job.parts)  # Output: (source, clean file)
    _ = parts | "sample" >> PickSample(job)  # Output: documents picked, a number a file; files of them are written


def tokenize(p: beam.Pipeline, jobs: Sequence[TokenJob]) -> None:
    """Every clean part becomes a file of token ids; what there is of each source is counted."""
    for job in jobs:
        parts = p | f"{job.label}/parts" >> ListNumbered([job.parts])  # Output: (number, clean file)
        _ = parts | job.label >> TokenizeSource(
            job
        )  # Output: the source's name; its token files and marker are written


def count(p: beam.Pipeline, job: CountJob) -> None:
    """Validation documents are taken out before epochs are counted."""
    parts = p | "parts" >> ListParts(job.parts)  # Output: (source, token file)
    _ = parts | "count" >> CountHeldOut(job)  # Output: the file of counts


def mix(p: beam.Pipeline, job: MixJob) -> None:
    """The documents of every epoch, shuffled over all sources into shards."""
    parts = p | "parts" >> ListParts(job.parts)  # Output: (source, token file)
    _ = parts | "mix" >> MixShards(job)  # Output: the file of lines about all shards
