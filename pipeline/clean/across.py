"""Connects the sources of a run for the dedup across sources: decides which indexes each source writes and reads.

    dedup: {across: [wikipedia, books, c4], against: [old]}

    old/dedup/index/* -------> wikipedia --> dedup/index/wikipedia --+
            |                                                        v
            +-----------------> books -----> dedup/index/books ---> (read by c4 too)
            |                                                        v
            +-----------------> c4 --------> dedup/index/c4      (for later runs)

In this example, ``old`` is the output folder of an earlier run. An index has the keys of the documents that a source
keeps. The documents of a source are compared with the indexes in ``old`` and with the indexes of the sources before it
in the list. So the documents that a source keeps do not depend on the sources after it.

The fingerprint of a source is a hash of everything that the source is made from. It includes the fingerprints of the
sources before it. So if a source changes, the sources after it are cleaned again. If a source is added at the end of
the list, no other source is cleaned again.
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
"""A source can be compared with at most this many indexes. The number of an index is stored in one byte."""


@dataclass(frozen=True, slots=True)
class AcrossPlace:
    """Describes how one source takes part in the dedup across sources: the step, and the indexes that the source is
    compared with.

    The source also writes an index, which has the keys of the documents that it keeps. The settings of the step
    determine the content of this index.
    """

    step: AcrossDedup
    kept: tuple[KeptIndex, ...]

    @property
    def made_of(self) -> list[Any]:
        """The part of the source's fingerprint that is about the dedup across sources.

        It has the settings that determine an index, and the fingerprints of the sources that the source is compared
        with.
        """
        return [self.step.index_rule(), [[one.source, one.fingerprint] for one in self.kept]]

    def applied(self, job: SourceJob, index_dir: str, num_bytes: int) -> SourceJob:
        """Returns a copy of the job that also has the indexes that the job reads, and the folder of the index that it
        writes.

        The job cleans a source or a dump. ``num_bytes`` is the size of its input in bytes.
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
    """Decides which indexes each source of a run is compared with.

    The sources are taken in the order of :meth:`ordered`. For each source, call first :meth:`place` and then
    :meth:`add`.

    Raises:
        ValueError: an output folder in the setting ``dedup.against`` has no index, or its index was made with other
            settings; or there are too many indexes.
    """

    def __init__(self, settings: AcrossSettings, layout: Layout) -> None:
        self._settings, self._layout = settings, layout
        self._kept = [one for folder in settings.against for one in indexes_of(folder, settings.step())]
        self._seen: set[str] = set()
        self._check_number()

    def ordered(self, sources: Mapping[str, Source]) -> list[Source]:
        """Returns the sources in the order in which they must be prepared. First come the sources that take no part in
        the dedup across sources. Then come the others, in the order of the setting ``dedup.across``.
        """
        across = self._settings.across
        return sorted(sources.values(), key=lambda one: across.index(one.name) if one.name in across else -1)

    def place(self, source: str) -> AcrossPlace | None:
        """Returns how a source takes part in the dedup across sources; None if it takes no part.

        Raises:
            ValueError: an earlier source in the order is neither in this run nor finished in the output folder.
        """
        across = self._settings.across
        if source not in across:
            return None
        for name in across[: across.index(source)]:
            if name not in self._seen:
                self._seen.add(name)
                self._kept.append(self._stored(name, source))
        return AcrossPlace(self._settings.step(), tuple(self._kept))

    def _stored(self, name: str, source: str) -> KeptIndex:
        found = index_of(self._layout, name, self._settings.step(), "dedup.across")
        if found is None:
            raise ValueError(
                f"dedup.across: {source} is compared with {name}, which is neither in this run nor finished in "
                f"{self._layout.output}; run {name} too, or leave it out of dedup.across"
            )
        return found

    def add(self, source: str, fingerprint: str, num_parts: int, num_bytes: int) -> None:
        """Adds a source. The sources that are placed after it are compared with it."""
        if source in self._settings.across:
            self._seen.add(source)
            folders = (self._layout.index(source), self._layout.clean(source))
            self._kept.append(KeptIndex(source, "", *folders, num_parts, fingerprint, num_bytes))
            self._check_number()

    def _check_number(self) -> None:
        if len(self._kept) > MAX_INDEXES:
            raise ValueError(f"dedup.across and dedup.against name more than {MAX_INDEXES} sources together")


def indexes_of(folder: str, step: AcrossDedup) -> list[KeptIndex]:
    """Returns the indexes in the output folder of an earlier run, sorted by the names of their sources.

    Raises:
        ValueError: the output has no index; or a source with an index is not finished; or an index was made with other
            settings than ``step``; or the files of a source were changed after its run.
    """
    layout = Layout(folder.rstrip("/"))
    patterns = [layout.marker("clean-*"), f"{layout.index('*')}/part-*"]
    markers, parts = (FileSystems.match([pattern])[0].metadata_list for pattern in patterns)
    with_index = {entry.path.split("/")[-2] for entry in parts}
    names = {entry.path.rpartition("/")[2].removeprefix("clean-").partition(".json")[0] for entry in markers}
    found = []
    for source in sorted(name for name in names | with_index if "@" not in name):
        one = index_of(layout, source, step, "dedup.against", name=layout.output.rpartition("/")[2])
        if one is None and source in with_index:
            raise ValueError(f"dedup.against: {source} in {folder} is not finished; run that output again")
        found += [] if one is None else [one]
    if not found:
        raise ValueError(f"dedup.against: {folder} has no index; its run must have had dedup.across")
    return found


def index_of(layout: Layout, source: str, step: AcrossDedup, setting: str, *, name: str = "") -> KeptIndex | None:
    """Returns the index of a finished source. Returns None if the source is not finished or has no index.

    Args:
        setting: the name of the setting for which the index is needed, for messages.
        name: the name of the output folder, which rows about removed documents show; empty for the output of this run.

    Raises:
        ValueError: the index was made with other settings than ``step``, or the files are not those that the run wrote.
    """
    marker = read_marker(layout.marker(f"clean-{source}"))
    if marker is None or "index" not in marker:
        return None
    _check_rule(marker["index"], step.index_rule(), f"{setting}: the index of {source} in {layout.clean_output}")
    folders = {"index": layout.index(source), "clean": layout.clean(source)}
    if not are_whole(marker, folders):
        raise ValueError(f"{setting}: {source} in {layout.output} is not as its run wrote it; run that output again")
    num_bytes = int(marker["about"]["inputs"]["bytes"])
    return KeptIndex(source, name, folders["index"], folders["clean"], int(marker["num_parts"]),
                     marker["fingerprint"], num_bytes)  # fmt: skip


def check_compared(layout: Layout, sources: Iterable[str]) -> None:
    """Checks that the dedup across sources is up to date for the sources of a mixture.

    If two sources have the same document, the later source drops it. If the earlier source is then cleaned again with
    other settings, it may drop the document too. Then the mixture would not have the document at all.

    Raises:
        ValueError: a source was compared with an earlier source that was cleaned again after the comparison.
    """
    for source in sources:
        marker = read_marker(layout.marker(f"clean-{source}")) or {}
        for output, other, fingerprint in marker.get("compared_with", ()):
            now = read_marker(layout.marker(f"clean-{other}")) or {}
            if not output and now.get("fingerprint") != fingerprint:
                raise ValueError(
                    f"{source} was compared with {other} as it was before it was cleaned again, and may lack documents "
                    f"that {other} no longer has; run --phase=clean for {source} again"
                )


def _check_rule(found: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    for name in dict.fromkeys([*wanted, *found]):
        if found.get(name) != wanted.get(name):
            raise ValueError(f"{what} was made with {name} {_shown(found.get(name))}, this run has "
                             f"{_shown(wanted.get(name))}; make both with the same settings of dedup.near")  # fmt: skip


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def in_order(jobs: Iterable[SourceJob]) -> list[SourceJob]:
    """Returns the jobs in an order in which each job comes after the jobs that its documents are compared with."""
    return sorted(jobs, key=lambda job: len(job.kept))


def parts_of(job: SourceJob) -> range:
    """Returns the numbers of the parts (output files) that a job writes."""
    return range(job.sizes.first_part, job.sizes.first_part + job.sizes.scale.num_parts)
