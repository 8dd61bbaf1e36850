"""The clean phase of one source, as a graph: read, then a pass over the text for every wait on all documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam

from pipeline.clean import passes as s
from pipeline.clean import tags
from pipeline.clean.dedup.exact import DedupExact
from pipeline.clean.dedup.lines import DedupLines
from pipeline.clean.dedup.near import DedupNear
from pipeline.clean.finish import FinishSource
from pipeline.clean.job import SourceJob
from pipeline.clean.joins import answers, licences
from pipeline.clean.segments import Segment, segments
from pipeline.clean.tags import key_tag
from pipeline.clean.unpack import UNITS, UnpackUnits
from pipeline.clean.write_dropped import WriteDropped
from pipeline.engine.group_bytes import GroupBytes
from pipeline.sources.dedup_steps import ExactDedup, LineDedup


class CleanSource(beam.PTransform):
    """Units of a source's input -> its clean documents, dropped documents and statistics, all written.

    Only references, keys, hashes and verdicts travel between passes; texts are spilled once and read again.
    Output: a dict of ``done`` and, of a dump, the paths of its key files by step, which newer dumps are given
    (``earlier``: those of the dumps before it).
    """

    def __init__(self, job: SourceJob, earlier: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__()
        self._job = job
        self._earlier, self._key_files = earlier, dict[str, Any]()

    def expand(self, units: Any) -> Any:
        side: dict[str, list[Any]] = {tags.COUNTS: [], tags.DROPPED: [], tags.SAMPLES: []}
        segment, *following = segments(self._job.source.steps, first_opens=self._job.source.join == "licences")
        output, segment, following = self._first(units, segment, following, side)
        refs, verdicts = output[tags.REFS], []
        for number, after in enumerate(following):
            found, counts, key_files = self._ask(output, segment)
            verdicts += found
            self._key_files |= key_files
            side[tags.COUNTS] += counts
            opened = (refs, *verdicts) | f"gather_{number}" >> GroupBytes(
                self._job.scale.num_parts, self._job.shuffle_dir
            )
            output, segment = self._pass(opened, after, side), after
            if after.spills and not after.is_last:
                refs, verdicts = output[tags.REFS], []
        dropped = (tuple(side[tags.DROPPED]), tuple(side[tags.SAMPLES])) | "dropped" >> WriteDropped(self._job)
        done = (tuple(side[tags.COUNTS]), output[tags.PARTS], dropped) | "finish" >> FinishSource(self._job)
        return {"done": done, **self._key_files}

    def _first(self, units: Any, segment: Segment, following: list[Segment], side: dict[str, list[Any]]) -> Any:
        """Reads the input. Output: the tagged outputs of the pass, its segment, and the segments that follow."""
        job = self._job
        units = self._unpacked(units, segment, side)
        if job.source.join == "answers":
            tags = [answers.POSTS, answers.SITES, *side]
            posts = units | "read" >> beam.ParDo(answers.ReadPosts(job, segment)).with_outputs(*tags)
            self._keep_side(posts, side)
            sites = answers.posts_per_site(posts[answers.SITES])
            groups = posts[answers.POSTS] | "questions" >> GroupBytes(job.scale.num_key_buckets, job.shuffle_dir)
            output = groups | "assemble" >> beam.ParDo(answers.AssembleAnswers(job, segment), sites).with_outputs(
                *self._tags(segment), *side
            )
        elif job.source.join == "licences":
            return self._join_licences(units, [segment, *following], side)
        else:
            output = units | "read" >> beam.ParDo(s.ReadUnits(job, segment)).with_outputs(*self._tags(segment), *side)
        self._keep_side(output, side)
        return output, segment, following

    def _unpacked(self, units: Any, segment: Segment, side: dict[str, list[Any]]) -> Any:
        if not self._job.source.reader.CONTAINERS:
            return units
        output = units | "unpack" >> beam.ParDo(UnpackUnits(self._job, segment)).with_outputs(UNITS, *side)
        self._keep_side(output, side)
        return output[UNITS] | "spread" >> beam.Reshuffle()

    def _join_licences(self, units: Any, following: list[Segment], side: dict[str, list[Any]]) -> Any:
        job, buckets = self._job, self._job.scale.num_key_buckets
        raw = Segment(0, (), (), following[0].ask)
        tables = units | "read" >> beam.ParDo(licences.ReadTables(job, raw)).with_outputs(
            tags.REFS, licences.BY_REPO, licences.BY_CONTENT, *side
        )
        self._keep_side(tables, side)
        files = (
            tables[licences.BY_REPO]
            | "repositories" >> GroupBytes(buckets, job.shuffle_dir)
            | "licences" >> beam.ParDo(licences.LicenceOfFiles(job)).with_outputs(licences.BY_CONTENT, tags.COUNTS)
        )
        side[tags.COUNTS].append(files[tags.COUNTS])
        chosen = (
            (tables[licences.BY_CONTENT], files[licences.BY_CONTENT])
            | "contents" >> GroupBytes(buckets, job.shuffle_dir)
            | "choose_file" >> beam.ParDo(licences.ChooseFile(job, raw)).with_outputs(*side, main="attributes")
        )
        self._keep_side(chosen, side)
        opened = (tables[tags.REFS], chosen.attributes) | "gather_tables" >> GroupBytes(
            job.scale.num_parts, job.shuffle_dir
        )
        return self._pass(opened, following[0], side), following[0], following[1:]

    def _pass(self, opened: Any, segment: Segment, side: dict[str, list[Any]]) -> Any:
        names = [step.NAME for step in segment.local] or ["hash" if segment.ask else "write"]
        label = f"pass_{segment.index}_{names[0]}"
        do = s.WriteClean(self._job, segment) if segment.is_last else s.OpenBatches(self._job, segment)
        output = opened | label >> beam.ParDo(do).with_outputs(*self._tags(segment), *side)
        self._keep_side(output, side)
        return output

    def _ask(self, output: Any, segment: Segment) -> tuple[list[Any], list[Any], dict[str, Any]]:
        """The verdicts of the global steps behind a segment, their counts, and a dump's key files."""
        first = segment.ask[0]
        if isinstance(first.step, ExactDedup):
            keys = tuple(output[key_tag(i)] for i in range(len(segment.ask)))
            return keys | f"dedup_{first.step.NAME}" >> self._dedup_exact(segment)  # type: ignore[no-any-return]
        if isinstance(first.step, LineDedup):
            result = output[tags.LINES] | f"dedup_{first.step.NAME}" >> DedupLines(self._job, first)
        else:
            result = (output[tags.BOOKS], output[tags.SKETCHES]) | f"dedup_{first.step.NAME}" >> DedupNear(
                self._job, first
            )
        return *result, {}

    def _dedup_exact(self, segment: Segment) -> DedupExact:
        names = [a.step.NAME for a in segment.ask]
        earlier = {name: [files[name] for files in self._earlier] for name in names}
        return DedupExact(self._job, segment.ask, earlier)

    @staticmethod
    def _tags(segment: Segment) -> list[str]:
        if segment.is_last:
            return [tags.PARTS]
        first = segment.ask[0].step
        if isinstance(first, ExactDedup):
            asked = [key_tag(i) for i in range(len(segment.ask))]
        else:
            asked = [tags.LINES] if isinstance(first, LineDedup) else [tags.BOOKS, tags.SKETCHES]
        return [tags.REFS, *asked] if segment.spills else asked

    @staticmethod
    def _keep_side(output: Any, side: dict[str, list[Any]]) -> None:
        for tag, collected in side.items():
            collected.append(output[tag])
