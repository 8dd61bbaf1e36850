"""Cleans each dump of a source separately. A dump is one crawl of CommonCrawl. So a run that adds a dump does not clean
the earlier dumps again.

A newer dump never changes the output of an earlier one. Lines are compared only within a dump, and if several dumps
contain a page, the earliest dump keeps it. So the output of a dump depends only on the dump's own files and on earlier
dumps. The dump's fingerprint covers exactly these inputs.

The output files (parts) of all dumps are in one folder with consecutive numbers. A newer dump adds its parts at the
end. The parts of older dumps are only renamed, because their names contain the number of all parts (``of-NNNNN``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from apache_beam.io.filesystems import FileSystems

from pipeline.clean import counts as c
from pipeline.clean.batch_address import part_name
from pipeline.clean.finish import dump_folders, part_folders, write_source
from pipeline.clean.job import KeyFiles, SourceJob
from pipeline.clean.segments import stage_names
from pipeline.clean.sizing import scale_of
from pipeline.files.files import delete_tree, join, rename
from pipeline.output.markers import are_whole, delete_unfinished, is_done, numbered_parts, read_marker
from pipeline.output.paths import Layout
from pipeline.settings.inputs import Listing
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.source import Source, Unit


@dataclass(frozen=True, slots=True)
class PreparedDump:
    """Describes a dump of a source before the dump is cleaned."""

    name: str
    listing: Listing
    units: tuple[Unit, ...]
    fingerprint: str
    """A hash of everything that the dump is made from: its own files, the settings, and the earlier dumps."""
    first_part: int
    """The number of the dump's first part (output file) among the parts of the source."""
    num_parts: int


def comes_in_dumps(source: Source) -> bool:
    """True if the dumps of the source can be cleaned one by one. For this, the source must come in dumps and have no
    join, and a newer dump must never change the output of an older one.

    For example, a line dedup over all dumps could remove lines of an older dump because a newer dump repeats them. A
    source with such a step is cleaned in one piece.
    """
    dedups = (step for step in source.steps if isinstance(step, DedupStep))
    return source.reader.HAS_DUMPS and source.join is None and all(dedup.needs_earlier_dumps_only for dedup in dedups)


def split_into_dumps(
    source: Source, listing: Listing, units_of: Callable[[Listing], tuple[Unit, ...]],
    fingerprint_of: Callable[[Listing, Sequence[Any]], str],
) -> tuple[PreparedDump, ...]:  # fmt: skip
    """Returns the dumps of a source, oldest first. Returns an empty tuple if the source is cleaned in one piece.

    If the path of any file does not name a dump, the source is cleaned in one piece. The pages in such a file could
    belong to any dump.

    Args:
        units_of: splits files into units (pieces of input that one worker reads).
        fingerprint_of: returns a fingerprint of files and of additional values, such as the fingerprints of earlier
            dumps.
    """
    reader = source.reader
    if not comes_in_dumps(source):
        return ()
    dump_of = {file.path: reader.dump_of(file.path) for file in listing.files if reader.knows(file.path)}
    names = sorted(set(dump_of.values()))
    if not all(names):
        return ()
    for file in listing.files:  # unsupported files are reported with the dump that their path names
        named = reader.dump_of(file.path)
        dump_of.setdefault(file.path, named if named in names else names[0])
    listings = [listing.only(lambda path, n=name: dump_of[path] == n) for name in names]  # type: ignore[misc]
    num_parts = [scale_of(one.num_bytes).num_parts for one in listings]
    dumps: list[PreparedDump] = []
    for name, files, first, parts in zip(names, listings, accumulate([0, *num_parts]), num_parts, strict=False):
        also = [name, first, [earlier.fingerprint for earlier in dumps]]
        dumps.append(PreparedDump(name, files, units_of(files), fingerprint_of(files, also), first, parts))
    return tuple(dumps)


def in_one_piece(source: Source, listing: Listing) -> str:
    """Returns a message if the source is cleaned in one piece because the path of a file does not name a dump. The
    message says what that costs, and how to avoid it.

    Returns "" if every path names a dump, or if the source could not be cleaned dump by dump anyway.
    """
    reader, name = source.reader, source.name
    unnamed = [f.path for f in listing.files if reader.knows(f.path) and not reader.dump_of(f.path)]
    if not unnamed or not comes_in_dumps(source):
        return ""
    return (
        f"{name} is cleaned in one piece: {unnamed[0]} does not name a dump. If files are added, all are cleaned "
        "again, and lines are compared across all files that name none; to avoid both, put the files of each dump into "
        "a folder with the dump's name, such as CC-MAIN-2023-14, or, if all are of one dump, set "
        f"sources.{name}.reader.dump"
    )


def job_of_dump(job: SourceJob, dump: PreparedDump, dumps: Sequence[PreparedDump], layout: Layout) -> SourceJob:
    """Returns the job of one dump, made from the job of its source."""
    source = job.source.name
    sizes = replace(
        job.sizes,
        scale=replace(scale_of(dump.listing.num_bytes), num_lookup_buckets=job.sizes.scale.num_lookup_buckets),
        first_part=dump.first_part,
        num_source_parts=sum(d.num_parts for d in dumps),
    )
    places = replace(
        job.places,
        marker=_marker(layout, source, dump),
        units_path=join(layout.work, "units", f"{source}@{dump.name}.jsonl"),
        keys_dir=layout.keys(source, dump.name),
    )
    return replace(job, dump=dump.name, fingerprint=dump.fingerprint, sizes=sizes, places=places, about={})


def _marker(layout: Layout, source: str, dump: PreparedDump) -> str:
    return layout.marker(f"clean-{source}@{dump.name}")


def pending_dumps(jobs: Sequence[SourceJob], layout: Layout) -> list[SourceJob]:
    """Prepares the folders for the dumps that are not complete, and returns the jobs of these dumps.

    The output of incomplete dumps is deleted. The parts (output files) of complete dumps get the names that they have
    in this run. Each returned job lists the key files of complete earlier dumps. A key file has the keys of the
    documents that a dump keeps, for the exact dedups of newer dumps.
    """
    forget_dumps(layout, jobs[0].source.name, keep={job.dump for job in jobs})
    pending: list[SourceJob] = []
    complete: list[SourceJob] = []
    for job in jobs:  # The oldest dump comes first, because the fingerprint of a dump covers the earlier ones.
        (complete if is_done(job.places.marker, job.fingerprint, dump_folders(job)) else pending).append(job)
    numbers = {job.sizes.first_part + part for job in complete for part in range(job.sizes.scale.num_parts)}
    for job in pending:
        delete_tree(job.places.marker)  # must come first: if the run is killed, nothing looks complete
        delete_tree(job.places.keys_dir or "")
    for folder in part_folders(jobs[0]).values():
        _rename_parts(folder, numbers, jobs[0].sizes.num_source_parts or 0)
    steps = [step.NAME for step in jobs[0].source.steps if isinstance(step, DedupStep) and step.leaves_keys]
    return [
        replace(job, earlier_keys=tuple(
            KeyFiles(step, before.places.keys_dir, _num_won(before, step)) for before in complete
            if before.sizes.first_part < job.sizes.first_part and before.places.keys_dir for step in steps
        ))
        for job in pending
    ]  # fmt: skip


def _num_won(dump: SourceJob, step: str) -> int:
    """Returns the number of keys for which the dedup ``step`` kept a document of a complete dump. The marker of the
    dump has this number.
    """
    marker = read_marker(dump.places.marker) or {}
    return sum(n for _, stage, what, n in marker["counts"] if (stage, what) == (c.WON_STAGE, step))


def forget_dumps(layout: Layout, source: str, keep: Collection[str] = ()) -> None:
    """Deletes the key files and the markers of all dumps of a source, except the dumps in ``keep``. A marker is a file
    that says that a dump is complete.

    Each dump has two markers, one from the clean phase and one from the tokenize phase. If a dump is no longer part of
    the source, its markers must be deleted, because a new dump may get the part numbers of the old dump. Then the old
    markers would describe the new dump's files.
    """
    globs = [layout.markers_of_dumps(f"{step}-{source}") for step in ("clean", "tokens")]
    for found in FileSystems.match(globs):
        for entry in found.metadata_list:
            dump = entry.path.rsplit("/", 1)[-1].partition("@")[2].removesuffix(".json")
            if dump not in keep:
                delete_tree(entry.path)
                delete_tree(layout.keys(source, dump))
    if not keep:
        delete_tree(join(layout.work, "keys", source))


def _rename_parts(folder: str, numbers: Iterable[int], num_parts: int) -> None:
    """Deletes the parts of a folder whose numbers are not in ``numbers``.

    Renames the remaining parts, because their names contain the number of all parts.
    """
    kept = set(numbers)
    delete_unfinished(folder)
    for path, number, _ in numbered_parts(folder):
        wanted = join(folder, part_name(number, num_parts))
        if number not in kept:
            delete_tree(path)
        elif path != wanted:
            rename(path, wanted)


def finish_source(job: SourceJob, dumps: Sequence[SourceJob]) -> None:
    """Writes the statistics and the marker of a source whose dumps are all complete.

    Raises:
        AssertionError: a dump is not complete.
    """
    counts: Counter[c.CountKey] = Counter()
    for dump in dumps:
        marker = read_marker(dump.places.marker)
        assert marker is not None, f"{dump.label} has no marker"
        assert are_whole(marker, dump_folders(dump)), f"{dump.label} is not complete"
        counts.update({(source, stage, what): number for source, stage, what, number in marker["counts"]})
    source_job = replace(job, sizes=replace(job.sizes, num_source_parts=dumps[0].sizes.num_source_parts))
    write_source(source_job, counts, stage_names(job.source), dumps)
