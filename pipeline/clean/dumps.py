"""A source that comes in dumps (CommonCrawl): each is cleaned on its own, so that a newer one costs itself alone.

A dump takes nothing from the ones behind it: its lines are compared with each other, and of pages that several dumps
hold the earliest dump's is kept. So what a dump becomes depends on itself and on those before it, which is what its
fingerprint says. The parts of all dumps lie in one folder under consecutive numbers; a newer dump adds its own behind
them, and only the ``of-NNNNN`` in the older ones' names is set anew.
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
from pipeline.clean.finish import dump_folders, write_source
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
    """A dump of a source of this run."""

    name: str
    listing: Listing
    units: tuple[Unit, ...]
    fingerprint: str
    """Of all that it is made of: its own files, the settings, the dumps before it."""
    first_part: int
    num_parts: int


def comes_in_dumps(source: Source) -> bool:
    """Whether the source's dumps can be cleaned one by one: no step lets a newer dump change an earlier one.

    A line dedup over all dumps does; then all of the source is cleaned at once.
    """
    dedups = (step for step in source.steps if isinstance(step, DedupStep))
    return source.reader.HAS_DUMPS and source.join is None and all(dedup.needs_earlier_dumps_only for dedup in dedups)


def cut_into_dumps(
    source: Source, listing: Listing, cut: Callable[[Listing], tuple[Unit, ...]],
    fingerprint_of: Callable[[Listing, Sequence[Any]], str],
) -> tuple[PreparedDump, ...]:  # fmt: skip
    """The dumps of a source, as they were published; none where it is cleaned at once.

    That is so too where the path of a file does not tell its dump: its pages might belong to any of the others.

    Args:
        cut: the units of some files.
        fingerprint_of: of some files and what else is to be told.
    """
    reader = source.reader
    if not comes_in_dumps(source):
        return ()
    dump_of = {file.path: reader.dump_of(file.path) for file in listing.files if reader.knows(file.path)}
    names = sorted(set(dump_of.values()))
    if not all(names):
        return ()
    for file in listing.files:  # of a form that is not read: it is only told of, with its dump if it names one
        said = reader.dump_of(file.path)
        dump_of.setdefault(file.path, said if said in names else names[0])
    listings = [listing.only(lambda path, n=name: dump_of[path] == n) for name in names]  # type: ignore[misc]
    num_parts = [scale_of(one.num_bytes).num_parts for one in listings]
    plans: list[PreparedDump] = []
    for name, files, first, parts in zip(names, listings, accumulate([0, *num_parts]), num_parts, strict=False):
        also = [name, first, [before.fingerprint for before in plans]]
        plans.append(PreparedDump(name, files, cut(files), fingerprint_of(files, also), first, parts))
    return tuple(plans)


def file_without_dump(source: Source, listing: Listing) -> str:
    """The first file that keeps a source from being cleaned dump by dump; empty where there is none."""
    reader = source.reader
    if not comes_in_dumps(source):
        return ""
    return next((f.path for f in listing.files if reader.knows(f.path) and not reader.dump_of(f.path)), "")


def job_of_dump(job: SourceJob, dump: PreparedDump, dumps: Sequence[PreparedDump], layout: Layout) -> SourceJob:
    """The job of one dump, out of that of its source."""
    source = job.source.name
    sizes = replace(
        job.sizes,
        scale=scale_of(dump.listing.num_bytes),
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
    """The jobs of the dumps that are not yet whole, with the keys of those that are; what is in their way is deleted.

    The parts of whole dumps get the names that they have now.
    """
    forget_dumps(layout, jobs[0].source.name, but={job.dump for job in jobs})
    pending: list[SourceJob] = []
    whole: list[SourceJob] = []
    for job in jobs:  # in order: what an earlier dump is made of is part of a later one's fingerprint
        (whole if is_done(job.places.marker, job.fingerprint, dump_folders(job)) else pending).append(job)
    numbers = {job.sizes.first_part + part for job in whole for part in range(job.sizes.scale.num_parts)}
    for job in pending:
        delete_tree(job.places.marker)  # first: a run that is killed from here on leaves nothing that looks finished
        delete_tree(job.places.keys_dir or "")
    for folder in (jobs[0].places.clean_dir, jobs[0].places.dropped_dir):
        _rename_parts(folder, numbers, jobs[0].sizes.num_source_parts or 0)
    steps = [step.NAME for step in jobs[0].source.steps if isinstance(step, DedupStep) and step.leaves_keys]
    return [
        replace(job, earlier_keys=tuple(
            KeyFiles(step, before.places.keys_dir, _num_won(before, step)) for before in whole
            if before.sizes.first_part < job.sizes.first_part and before.places.keys_dir for step in steps
        ))
        for job in pending
    ]  # fmt: skip


def _num_won(dump: SourceJob, step: str) -> int:
    """The keys that a whole dump's documents won, as its marker says."""
    marker = read_marker(dump.places.marker) or {}
    return sum(n for _, stage, what, n in marker["counts"] if (stage, what) == (c.WON_STAGE, step))


def forget_dumps(layout: Layout, source: str, but: Collection[str] = ()) -> None:
    """Deletes what says that dumps of a source are whole, of its clean documents and of their tokens.

    ``but``: those that this run has. A part's number is another dump's in the next run: no marker may outlive its dump.
    """
    globs = [layout.markers_of_dumps(f"{step}-{source}") for step in ("clean", "tokens")]
    for found in FileSystems.match(globs):
        for entry in found.metadata_list:
            dump = entry.path.rsplit("/", 1)[-1].partition("@")[2].removesuffix(".json")
            if dump not in but:
                delete_tree(entry.path)
                delete_tree(layout.keys(source, dump))
    if not but:
        delete_tree(join(layout.work, "keys", source))


def _rename_parts(folder: str, numbers: Iterable[int], num_parts: int) -> None:
    """Deletes parts of other numbers, and says in the names of the rest how many there are."""
    kept = set(numbers)
    delete_unfinished(folder)
    for path, number, _ in numbered_parts(folder):
        wanted = join(folder, part_name(number, num_parts))
        if number not in kept:
            delete_tree(path)
        elif path != wanted:
            rename(path, wanted)


def finish_source(job: SourceJob, dumps: Sequence[SourceJob]) -> None:
    """Writes the statistics and the marker of a source all of whose dumps are whole.

    Raises:
        AssertionError: one of them is not.
    """
    counts: Counter[c.CountKey] = Counter()
    for dump in dumps:
        marker = read_marker(dump.places.marker)
        assert marker is not None, f"{dump.label} has no marker"
        assert are_whole(marker, dump_folders(dump)), f"{dump.label} is not whole"
        counts.update({(source, stage, what): number for source, stage, what, number in marker["counts"]})
    whole = replace(job, sizes=replace(job.sizes, num_source_parts=dumps[0].sizes.num_source_parts))
    write_source(whole, counts, stage_names(job.source), dumps)
