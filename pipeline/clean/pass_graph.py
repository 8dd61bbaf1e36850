"""Beam glue that every pass of a source shares: the names of its outputs, and the outputs that are collected aside."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from pipeline.clean import tags
from pipeline.clean.dedup.kinds import kind_of
from pipeline.clean.job import SourceJob
from pipeline.clean.passes import OpenBatches, WriteClean
from pipeline.clean.segments import Segment

Side = dict[str, list[Any]]
"""PCollections of all passes, by tag: counts, dropped rows, sample hashes."""


def empty_side() -> Side:
    return {tags.COUNTS: [], tags.DROPPED: [], tags.SAMPLES: []}


def collect(output: Any, side: Side) -> None:
    """Adds the side outputs of a pass to those of the passes before it."""
    for tag, collected in side.items():
        collected.append(output[tag])


def tags_of(segment: Segment) -> list[str]:
    """Returns the names of the main outputs of the pass that runs a segment."""
    if segment.is_last:
        return [tags.PARTS]
    questions = kind_of(segment.ask[0].step).tags(segment.ask)
    return [tags.REFS, *questions] if segment.spills else questions


def open_pass(opened: Any, job: SourceJob, segment: Segment, side: Side) -> Any:
    """Adds the pass that opens spilled batches with their verdicts and runs a segment on them."""
    names = [step.NAME for step in segment.local] or ["hash" if segment.ask else "write"]
    label = f"pass_{segment.index}_{names[0]}"
    do = WriteClean(job, segment) if segment.is_last else OpenBatches(job, segment)
    output = opened | label >> beam.ParDo(do).with_outputs(*tags_of(segment), *side)
    collect(output, side)
    return output
