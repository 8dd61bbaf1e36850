"""Builds the Beam graph of a source's clean phase. The first pass reads the input. Each dedup is followed by a further
pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam

from pipeline.clean import tags
from pipeline.clean.dedup.kinds import kind_of
from pipeline.clean.finish import FinishSource
from pipeline.clean.job import SourceJob
from pipeline.clean.joins.kind import Joined
from pipeline.clean.joins.table import graph_of
from pipeline.clean.pass_graph import Side, collect, empty_side, open_pass, tags_of
from pipeline.clean.passes import ReadUnits
from pipeline.clean.segments import Segment, segments_of
from pipeline.clean.unpack import UNITS, UnpackUnits
from pipeline.clean.write_dropped import WriteDropped
from pipeline.engine.group_bytes import GroupBytes


class CleanSource(beam.PTransform):
    """Cleans the units of a source, and writes its clean documents, dropped documents and statistics.

    The texts are spilled to disk, and the next pass reads them again. Only small things go through the engine:
    references to the texts, keys for dedups, and the dedups' verdicts.

    A source may come in dumps, and each dump is cleaned by its own transform. ``earlier`` has the outputs of the
    transforms of earlier dumps.

    The output is a dict. Its entry ``done`` has the name of the source. For a dump, the dict also has one entry per
    dedup step: the paths of the key files that newer dumps read.
    """

    def __init__(self, job: SourceJob, earlier: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__()
        self._job = job
        self._earlier, self._key_files = earlier, dict[str, Any]()

    def expand(self, units: Any) -> Any:
        side = empty_side()
        output, segment, following = self._first(units, segments_of(self._job.source), side)
        refs, verdicts = output[tags.REFS], []
        for number, after in enumerate(following):
            decided, counts, key_files = self._dedup(output, segment)
            verdicts += decided
            self._key_files |= key_files
            side[tags.COUNTS] += counts
            opened = (refs, *verdicts) | f"gather_{number}" >> GroupBytes(
                self._job.sizes.scale.num_parts, self._job.places.shuffle
            )
            output, segment = open_pass(opened, self._job, after, side), after
            if after.spills and not after.is_last:
                refs, verdicts = output[tags.REFS], []
        dropped = (tuple(side[tags.DROPPED]), tuple(side[tags.SAMPLES])) | "dropped" >> WriteDropped(self._job)
        done = (tuple(side[tags.COUNTS]), output[tags.PARTS], dropped) | "finish" >> FinishSource(self._job)
        return {"done": done, **self._key_files}

    def _first(self, units: Any, segments: list[Segment], side: Side) -> Joined:
        """Reads the input, and runs the first segment (the steps before the first dedup)."""
        units = self._unpacked(units, segments[0], side)
        if (join := self._job.source.join) is not None:
            return graph_of(join).expand(units, self._job, segments, side)
        segment, *following = segments
        read = beam.ParDo(ReadUnits(self._job, segment))
        output = units | "read" >> read.with_outputs(*tags_of(segment), *side)
        collect(output, side)
        return Joined(output, segment, following)

    def _unpacked(self, units: Any, segment: Segment, side: Side) -> Any:
        if not self._job.source.reader.CONTAINERS:
            return units
        output = units | "unpack" >> beam.ParDo(UnpackUnits(self._job, segment)).with_outputs(UNITS, *side)
        collect(output, side)
        return output[UNITS] | "spread" >> beam.Reshuffle()

    def _dedup(self, output: Any, segment: Segment) -> tuple[list[Any], list[Any], dict[str, Any]]:
        """Adds to the graph the dedups that get keys from a segment.

        Returns the verdicts, the counts, and the key files. If the job cleans a dump, newer dumps read the key files.
        """
        first = segment.dedups[0].step
        names = {global_step.step.NAME for global_step in segment.dedups}
        earlier = {name: [files[name] for files in self._earlier if name in files] for name in names}
        kind = kind_of(first)
        keys = tuple(output[tag] for tag in kind.key_tags(segment.dedups))
        dedup = kind.graph(self._job, segment.dedups, earlier)
        decided: tuple[list[Any], list[Any], dict[str, Any]] = keys | f"dedup_{first.NAME}" >> dedup
        return decided
