"""Adds passes to the Beam graph of a source. A pass reads all texts of the source once.

Besides its main outputs, every pass has side outputs: counts, dropped rows, and hashes for sampling these rows.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from pipeline.clean import tags
from pipeline.clean.dedup.kinds import kind_of
from pipeline.clean.job import SourceJob
from pipeline.clean.passes import OpenBatches, WriteClean
from pipeline.clean.segments import Segment

Side = dict[str, list[Any]]
"""The side outputs of all passes so far, by tag: PCollections of counts, dropped rows, and sample hashes."""


def empty_side() -> Side:
    """Returns the side outputs (counts, dropped rows, sample hashes) of a graph that has no passes yet."""
    return {tags.COUNTS: [], tags.DROPPED: [], tags.SAMPLES: []}


def collect(output: Any, side: Side) -> None:
    """Adds the counts, the dropped rows and the sample hashes of a pass to those of earlier passes."""
    for tag, collected in side.items():
        collected.append(output[tag])


def tags_of(segment: Segment) -> list[str]:
    """Returns the names of the main outputs of the pass that ``segment`` describes.

    The last pass outputs the parts that it wrote. Any other pass outputs keys for dedups. If this pass also spills
    batches to disk, it outputs references to these batches too.
    """
    if segment.is_last:
        return [tags.PARTS]
    key_tags = kind_of(segment.dedups[0].step).key_tags(segment.dedups)
    return [tags.REFS, *key_tags] if segment.spills else key_tags


def open_pass(opened: Any, job: SourceJob, segment: Segment, side: Side) -> Any:
    """Adds a pass to the graph, and returns the outputs of the pass.

    The pass opens batches that an earlier pass spilled to disk, and applies the verdicts (decisions) of dedups to them.
    Then it runs the steps of ``segment``.
    """
    names = [step.NAME for step in segment.local] or ["hash" if segment.dedups else "write"]
    label = f"pass_{segment.index}_{names[0]}"
    do = WriteClean(job, segment) if segment.is_last else OpenBatches(job, segment)
    output = opened | label >> beam.ParDo(do).with_outputs(*tags_of(segment), *side)
    collect(output, side)
    return output
