"""Defines the whole Beam graph of a run: all jobs in order, and the outputs of each step.

There are five jobs. Each job is a Beam pipeline that writes files. When the files are complete, a small file (a marker)
records this. So each job can be run again alone.

    clean      input files -> documents -> steps -> clean/, dropped/, stats/  (pipeline.clean.source_graph)
    sample     clean/ -> a sample of texts to train a tokenizer on  (if no tokenizer is given and there is much text)
    tokenize   clean/ -> token files, and the number of tokens per source
    count      token files -> the numbers of tokens held out for validation and left for training, per source
    mix        token files -> the documents of each epoch -> global shuffle -> shards/

The token plan (``mixtures.plan``) is made between ``count`` and ``mix``, from the tokens of all sources. If the sources
have too few tokens for the plan, the run stops before anything is shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from pipeline.clean.across import in_order, parts_of
from pipeline.clean.job import SourceJob
from pipeline.clean.source_graph import CleanSource
from pipeline.engine.unit_list import ReadUnitList
from pipeline.mix.count_held_out import CountHeldOut
from pipeline.mix.global_shuffle import MixShards
from pipeline.mix.job import CountJob, MixJob
from pipeline.sources.across_step import ACROSS
from pipeline.tokenize.encode_parts import TokenizeSource
from pipeline.tokenize.job import SampleJob, TokenJob
from pipeline.tokenize.list_parts import ListNumbered, ListParts
from pipeline.tokenize.pick_sample import PickSample


def clean(p: beam.Pipeline, jobs: Sequence[SourceJob]) -> None:
    """Adds the cleaning of all sources to the graph. Each source is cleaned separately, and so is each dump of a
    source.

    Dumps are added oldest first, because a dump needs the keys of earlier dumps. A source that is compared with other
    sources is added after them, because it needs their indexes (the keys of their documents).
    """
    cleaned: dict[str, list[tuple[SourceJob, Any]]] = {}
    for job in in_order(jobs):
        units = p | f"{job.label}/units" >> ReadUnitList(job.places.units_path)  # Output: (number, chunk, Unit)
        earlier = cleaned.setdefault(job.source.name, [])
        before = [output for _, output in earlier] + list(_indexes(p, job, cleaned))
        # Output: "done" (clean/, dropped/ and stats/ of the source are written), and the key files of a dump.
        earlier.append((job, units | job.label >> CleanSource(job, tuple(before))))


def _indexes(
    p: beam.Pipeline, job: SourceJob, cleaned: Mapping[str, Sequence[tuple[SourceJob, Any]]]
) -> Iterator[Mapping[str, Any]]:
    """Yields the indexes that ``job`` reads. An index has the keys of another source's documents.

    An index is a set of files, one per part (output file) of the other source. Yields PCollections of (number of the
    index, number of the part). If this run cleans the other source, its parts are in the PCollection only after they
    are written.
    """
    for number, index in enumerate(job.kept):
        writers = cleaned.get(index.source, ()) if not index.output else ()
        written = {part for writer, _ in writers for part in parts_of(writer)}
        complete = [(number, part) for part in range(index.num_parts) if part not in written]
        if complete:
            yield {ACROSS: p | f"{job.label}/index_{number}" >> beam.Create(complete)}
        for writer, output in writers:
            parts = [(number, part) for part in parts_of(writer)]
            label = f"{job.label}/index_{number}_{writer.label}"
            yield {ACROSS: output["done"] | label >> beam.FlatMap(_when_done, parts)}


def _when_done(_: str, parts: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    return parts


def sample(p: beam.Pipeline, job: SampleJob) -> None:
    """Picks documents from the clean files, to train a tokenizer on them."""
    parts = p | "parts" >> ListParts(job.parts)  # Output: (source, clean file)
    _ = parts | "sample" >> PickSample(job)  # Output: the number of documents written per clean file


def tokenize(p: beam.Pipeline, jobs: Sequence[TokenJob]) -> None:
    """Writes a file of token ids for each file of clean documents, and counts the tokens of each source."""
    for job in jobs:
        parts = p | f"{job.label}/parts" >> ListNumbered([job.parts])  # Output: (number, clean file)
        # Output: the name of the source, after its token files and marker were written
        _ = parts | job.label >> TokenizeSource(job)


def count(p: beam.Pipeline, job: CountJob) -> None:
    """Counts the tokens of each source: those that are held out for validation, and those that remain for training."""
    parts = p | "parts" >> ListParts(job.parts)  # Output: (source, token file)
    _ = parts | "count" >> CountHeldOut(job)  # Output: the path of the file of counts


def mix(p: beam.Pipeline, job: MixJob) -> None:
    """Shuffles the documents of all sources and epochs together, and writes the shards."""
    parts = p | "parts" >> ListParts(job.parts)  # Output: (source, token file)
    _ = parts | "mix" >> MixShards(job)  # Output: the path of the file that describes all shards
