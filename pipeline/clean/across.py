"""Connects the sources of a run for the dedup across sources: decides which indexes each source writes and reads.

    dedup: {across: [wikipedia, books, c4], against: [old]}

    old/dedup/index/* -------> wikipedia --> dedup/index/wikipedia --+
            |                                                        v
            +-----------------> books -----> dedup/index/books ---> (read by c4 too)
            |                                                        v
            +-----------------> c4 --------> dedup/index/c4      (for later runs)

A source is compared only with the sources before it. So the documents that it keeps do not depend on the sources after
it. The fingerprint of a source includes the fingerprints of the sources before it. So if one of these changes, the
source is cleaned again. If a source is added at the end, the sources before it do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from apache_beam.io.filesystems import FileSystems

from pipeline.clean.job import KeptIndex, SourceJob
from pipeline.clean.sizing import scale_of
from pipeline.output.markers import are_whole, read_marker
from pipeline.output.paths import Layout
from pipeline.settings.dedup_settings import AcrossSettings
from pipeline.sources.across_step import AcrossDedup
from pipeline.sources.source import Source

MAX_INDEXES = 254
"""The largest number of indexes that a source can be compared with."""


@dataclass(frozen=True, slots=True)
class AcrossPlace:
    """Holds the place of a source in the order: the step, and the indexes of the sources before it. The settings of the
    step determine the content of the source's own index.
    """

    step: AcrossDedup
    kept: tuple[KeptIndex, ...]

    @property
    def made_of(self) -> list[Any]:
        """The part of the source's fingerprint that is about the dedup across sources: the settings of the index, and
        the fingerprints of the sources before it.
        """
        return [self.step.index_rule(), [[one.source, one.fingerprint] for one in self.kept]]

    def applied(self, job: SourceJob, index_dir: str, num_bytes: int) -> SourceJob:
        """Returns a copy of the job, with the indexes that it reads and writes. ``job`` cleans a source or a dump.

        ``num_bytes`` is the size of the job's own input.
        """
        total = num_bytes + sum(one.num_bytes for one in self.kept)
        scale = replace(job.sizes.scale, num_lookup_buckets=scale_of(total).num_line_buckets)
        return replace(
            job,
            kept=self.kept,
            index_step=self.step,
            sizes=replace(job.sizes, scale=scale),
            places=replace(job.places, index_dir=index_dir),
        )


class AcrossOrder:
    """Goes through the sources of a run in the order in which they are compared.

    Raises:
        ValueError: an output in ``against`` has no index, or an index that was made with other settings.
    """

    def __init__(self, settings: AcrossSettings, layout: Layout) -> None:
        self._settings, self._layout = settings, layout
        self._kept = [one for folder in settings.against for one in indexes_of(folder, settings.step())]
        self._check_number()

    def ordered(self, sources: Mapping[str, Source]) -> list[Source]:
        """Returns the sources in the order in which they must be prepared. Sources that are compared come last."""
        across = self._settings.across
        return sorted(sources.values(), key=lambda one: across.index(one.name) if one.name in across else -1)

    def place(self, source: str) -> AcrossPlace | None:
        """Returns the place of a source; None if the source is not compared. The sources before it must have
        been added."""
        return AcrossPlace(self._settings.step(), tuple(self._kept)) if source in self._settings.across else None

    def add(self, source: str, fingerprint: str, num_parts: int, num_bytes: int) -> None:
        """Adds a source, so that the sources after it are compared with it."""
        if source in self._settings.across:
            folders = (self._layout.index(source), self._layout.clean(source))
            self._kept.append(KeptIndex(source, "", *folders, num_parts, fingerprint, num_bytes))
            self._check_number()

    def _check_number(self) -> None:
        if len(self._kept) > MAX_INDEXES:
            raise ValueError(f"dedup.across and dedup.against name more than {MAX_INDEXES} sources together")


def indexes_of(folder: str, step: AcrossDedup) -> list[KeptIndex]:
    """Returns the indexes in the output of an earlier run, sorted by the names of their sources.

    Raises:
        ValueError: the output has no index, an index was made with other settings than those of ``step``, or its files
            are not those that the run wrote.
    """
    layout = Layout(folder.rstrip("/"))
    (match,) = FileSystems.match([layout.marker("clean-*")])
    found = []
    for path in sorted(entry.path for entry in match.metadata_list):
        source = path.rpartition("/")[2].removeprefix("clean-").removesuffix(".json")
        marker = read_marker(path) if "@" not in source and path.endswith(".json") else None
        if marker is None or "index" not in marker:
            continue
        _check_rule(marker["index"], step.index_rule(), f"the index of {source} in {folder}")
        folders = {"index": layout.index(source), "clean": layout.clean(source)}
        if not are_whole(marker, folders):
            raise ValueError(f"dedup.against: {source} in {folder} is not as its run wrote it; run that output again")
        name, num_bytes = layout.output.rpartition("/")[2], int(marker["about"]["inputs"]["bytes"])
        found.append(KeptIndex(source, name, folders["index"], folders["clean"], int(marker["num_parts"]),
                               marker["fingerprint"], num_bytes))  # fmt: skip
    if not found:
        raise ValueError(f"dedup.against: {folder} has no index; its run must have had dedup.across")
    return found


def _check_rule(found: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    for name in dict.fromkeys([*wanted, *found]):
        if found.get(name) != wanted.get(name):
            raise ValueError(f"dedup.against: {what} was made with {name} {_shown(found.get(name))}, this run has "
                             f"{_shown(wanted.get(name))}; make both with the same settings of dedup.near")  # fmt: skip


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def in_order(jobs: Iterable[SourceJob]) -> list[SourceJob]:
    """Sorts the jobs. If the documents of one job are compared with those of another job, the other job comes first."""
    return sorted(jobs, key=lambda job: len(job.kept))


def parts_of(job: SourceJob) -> range:
    """Returns the numbers of the parts that a job writes."""
    return range(job.sizes.first_part, job.sizes.first_part + job.sizes.scale.num_parts)
