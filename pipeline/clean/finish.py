"""Finishes a source: compares the counts of all stages, then writes the statistics, and last the marker that makes the
source complete.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.clean import counts as c
from pipeline.clean.batches import DROPPED_SCHEMA
from pipeline.clean.dedup.index_files import INDEX_SCHEMA
from pipeline.clean.held import broken_ceilings, held_path
from pipeline.clean.job import SourceJob
from pipeline.clean.near_stats import near_stats
from pipeline.clean.segments import stage_names
from pipeline.clean.step_runner import clean_schema, evidence_schema
from pipeline.files.files import exists, write_bytes
from pipeline.output.markers import PartSpan, state_of, write_marker

_COUNT, _CLEAN, _DROPPED = "count", "clean", "dropped"


class FinishSource(beam.PTransform):
    """Finishes a source. The input is all counts, and the number of rows in each clean and each dropped part. Outputs
    the name of the source as soon as its statistics and marker are written.
    """

    def __init__(self, job: SourceJob) -> None:
        super().__init__()
        self._finish = _Finish(job)

    def expand(self, inputs: tuple[tuple[Any, ...], Any, Any]) -> Any:
        counts, clean, dropped = inputs
        summed = (
            counts
            | "flatten_counts" >> beam.Flatten()
            | "items" >> beam.FlatMap(dict.items)
            | "sum" >> beam.CombinePerKey(sum)
        )
        return (
            (
                summed | "tag_counts" >> beam.MapTuple(_tagged_count),
                clean | "tag_clean" >> beam.MapTuple(_tagged_clean),
                dropped | "tag_dropped" >> beam.MapTuple(_tagged_dropped),
                counts[0].pipeline | "start" >> beam.Create([(0, ("start", None, 0))]),
            )
            | "flatten" >> beam.Flatten()
            | "gather" >> beam.GroupByKey()
            | "finish" >> beam.ParDo(self._finish)
        )


def _tagged_count(key: c.CountKey, number: int) -> tuple[int, tuple[str, Any, int]]:
    return 0, (_COUNT, key, number)


def _tagged_clean(part: int, number: int) -> tuple[int, tuple[str, Any, int]]:
    return 0, (_CLEAN, part, number)


def _tagged_dropped(part: int, number: int) -> tuple[int, tuple[str, Any, int]]:
    return 0, (_DROPPED, part, number)


def check_earlier_keys(job: SourceJob, counts: Mapping[c.CountKey, int]) -> None:
    """Checks that the job of a dump read all keys that the complete earlier dumps wrote.

    Raises:
        LostRecords: fewer keys were read than written. Without the other keys, the job would keep documents that an
            earlier dump already has.
    """
    for step in {files.step for files in job.earlier_keys}:
        written = sum(files.num_keys for files in job.earlier_keys if files.step == step)
        read = counts.get((job.source.name, c.GRAPH, f"{c.RECEIVED}{step} earlier keys"), 0)
        if read < written:
            raise c.LostRecords(f"{job.label}: earlier dumps wrote {written} keys of {step}, {read} were read")


def write_source(job: SourceJob, counts: Mapping[c.CountKey, int], stages: Sequence[str],
                 dumps: Sequence[SourceJob] = ()) -> None:  # fmt: skip
    """Writes the statistics of a source whose parts are all written, and then the source's marker.

    A ceiling is the largest share of documents that a near dedup may remove. If a ceiling is exceeded, the source is
    held back. Then its marker gets a special name (:mod:`pipeline.clean.held`), so that the source does not count as
    complete.
    """
    stats = c.stats_of(job.source.name, counts, stages)
    if removed := near_stats(job.source.name, counts):
        stats["near_dedup"] = removed
    if removed := near_stats(job.source.name, counts, c.ACROSS):
        stats["across_sources"] = removed
    write_bytes(job.places.stats_path, (json.dumps(stats, indent=1, ensure_ascii=False) + "\n").encode())
    marker = {
        "fingerprint": job.fingerprint,
        "num_parts": job.sizes.num_parts_in_names,
        "documents": stats["documents"],
        "bad_records": stats["bad_records"],
        "unreadable_files": stats["unreadable_files"],
        "about": dict(job.about),
        "parts": {name: state_of(folder) for name, folder in part_folders(job).items()},
        **({} if job.index_step is None else {"index": job.index_step.index_rule()}),
        **({"compared_with": [[k.output, k.source, k.fingerprint] for k in job.kept]} if job.kept else {}),
        "dumps": [{"name": d.dump, "fingerprint": d.fingerprint, "parts": list(part_range(d))} for d in dumps],
    }
    if refused := broken_ceilings(job, counts):
        write_marker(held_path(job.places.marker), {**marker, "refused": refused})
    else:
        write_marker(job.places.marker, marker)


def write_dump_marker(job: SourceJob, counts: Mapping[c.CountKey, int]) -> None:
    """Writes the marker that makes a dump complete. The marker contains the dump's counts. When all dumps are complete,
    the statistics of the source are computed from the counts of all markers.
    """
    marker = {
        "fingerprint": job.fingerprint,
        "counts": [[*key, number] for key, number in sorted(counts.items())],
        "parts": {name: state_of(where) for name, where in dump_folders(job).items()},
    }
    write_marker(job.places.marker, marker)


def part_range(job: SourceJob) -> tuple[int, int]:
    """Returns the numbers of the job's parts, as (first number, number after the last).

    The parts are numbered through the whole source, so a dump's first part is usually not 0.
    """
    first = job.sizes.first_part
    return first, first + job.sizes.scale.num_parts


def part_folders(job: SourceJob) -> dict[str, str]:
    """Returns the folders that have one file per part (output file) of the source. The keys of the dict are the names
    of the folders in the marker, for example ``clean``. The values are their paths.
    """
    folders = {"clean": job.places.clean_dir, "dropped": job.places.dropped_dir}
    folders |= {} if job.places.index_dir is None else {"index": job.places.index_dir}
    return folders if job.places.evidence_dir is None else folders | {"evidence": job.places.evidence_dir}


def dump_folders(job: SourceJob) -> dict[str, str | PartSpan]:
    """Returns where the output files of a job are. The keys of the dict are names of folders, for example ``clean``.

    The dumps of a source share the folders of :func:`part_folders`. So the value for such a folder covers only the
    job's own parts (output files). A job that writes key files has another folder for them, which it does not share.
    """
    spans: dict[str, str | PartSpan] = {
        name: PartSpan(folder, *part_range(job)) for name, folder in part_folders(job).items()
    }
    return spans if job.places.keys_dir is None else spans | {"keys": job.places.keys_dir}


class _Finish(beam.DoFn):
    def __init__(self, job: SourceJob) -> None:
        self._job = job

    def process(self, group: tuple[int, Iterable[tuple[str, Any, int]]]) -> Iterator[str]:
        counts: dict[c.CountKey, int] = {}
        parts: dict[str, dict[int, int]] = {_CLEAN: {}, _DROPPED: {}}
        for kind, key, number in group[1]:
            if kind == _COUNT:
                counts[tuple(key)] = number
            elif kind in parts:
                parts[kind][key] = number
        source = self._job.source
        stages = stage_names(source)
        c.check_conservation(counts)
        check_earlier_keys(self._job, counts)
        c.check_chain(source.name, stages, counts, num_written=sum(parts[_CLEAN].values()),
                      num_dropped_written=sum(parts[_DROPPED].values()),
                      is_share=self._job.sizes.dropped_share < 1.0)  # fmt: skip
        self._fill(self._job.places.clean_dir, parts[_CLEAN], clean_schema(self._job.source))
        self._fill(self._job.places.dropped_dir, parts[_DROPPED], DROPPED_SCHEMA)
        schema = evidence_schema(source.steps)
        if self._job.places.evidence_dir is not None and schema is not None:
            self._fill(self._job.places.evidence_dir, parts[_CLEAN], schema)
        if self._job.places.index_dir is not None:
            self._fill(self._job.places.index_dir, parts[_CLEAN], INDEX_SCHEMA)
        if self._job.dump:
            write_dump_marker(self._job, counts)
        else:
            write_source(self._job, counts, stages)
        yield source.name

    def _fill(self, folder: str, written: dict[int, int], schema: pa.Schema) -> None:
        """Writes an empty file for each part without documents, so that readers find every part by its name."""
        for part in range(self._job.sizes.scale.num_parts):
            path = self._job.part_path(folder, part)
            if part not in written:
                sink = io.BytesIO()
                pq.write_table(schema.empty_table(), sink, compression="zstd", write_page_checksum=True)
                write_bytes(path, sink.getvalue())
            assert exists(path), path
