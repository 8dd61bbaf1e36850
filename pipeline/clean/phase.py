"""Drives the clean phase: chooses the sources that must run, makes their jobs, and checks their input."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from apache_beam.io.filesystems import FileSystems

from filters.decontaminate.step import Decontaminate
from filters.exclude import Excluded
from pipeline.clean.across import AcrossOrder, AcrossPlace
from pipeline.clean.dumps import finish_source, forget_dumps, job_of_dump, pending_dumps, split_into_dumps
from pipeline.clean.evidence import leaves_evidence
from pipeline.clean.held import held_path, refuse_or_accept
from pipeline.clean.job import JobPlaces, JobSizes, SourceJob
from pipeline.clean.prepared_source import PreparedSource
from pipeline.clean.sizing import is_worth_compiling, scale_of
from pipeline.engine.unit_list import write_unit_list
from pipeline.files.files import delete_tree, exists, join, open_file
from pipeline.files.spill import Shuffle
from pipeline.models.checksums import sha256_of
from pipeline.models.find import MissingModels, find_models, portable, require_models, without_missing_models
from pipeline.models.load import ModelPath, RankFile, cutoffs_of
from pipeline.models.trained import about_models
from pipeline.output.fingerprint import fingerprint, recorded
from pipeline.output.markers import is_done
from pipeline.output.paths import Layout
from pipeline.settings.inputs import Listing, list_inputs
from pipeline.settings.settings import Settings
from pipeline.sources.source import UNKNOWN_FORM, Source, Unit
from tokenizer.encoder_settings import EncoderSettings

_NOT_MODELS = ("exclude", "tokenizer", "decontamination")
"""The keys of files that steps read but that are not models. The manifest's entry about models leaves these files
out.
"""
DATA_VERSION = 2
"""Data version of the clean phase. Increase it when unchanged steps would produce different output."""


def with_exclusion(source: Source, settings: Settings) -> Source:
    """Returns the source with one more step at the beginning, which drops the documents on the run's exclusion list.

    Returns the source unchanged if the run has no exclusion list.
    """
    return replace(source, steps=(Excluded(), *source.steps)) if settings.exclude else source


def with_decontamination(source: Source, settings: Settings) -> Source:
    """Returns the source with one more step at the end, which searches its texts for the run's evaluation sets.

    The step is the last one, so it sees exactly the texts that are written. Returns the source unchanged if the run has
    no evaluation sets.
    """
    return replace(source, steps=(*source.steps, Decontaminate())) if settings.decontamination else source


def prepare_sources(
    settings: Settings, inputs: Mapping[str, Iterable[str]], models_dir: str | None, table: str | None = None,
    *, is_estimate: bool = False,
) -> list[PreparedSource]:  # fmt: skip
    """Returns the sources of a run with their input files, units (pieces of these files), models and fingerprints.

    Args:
        table: the path of the index of the evaluation sets; None if the run does not search for any.
        is_estimate: True to leave out steps whose models are missing. Otherwise a missing model is an error.

    Raises:
        ValueError: a glob matches nothing, no file of a source is in a supported format, or a model is missing. The
            message says what to do.
    """
    prepared: dict[str, PreparedSource] = {}
    order = AcrossOrder(settings.across, Layout(settings.output, clean_from=settings.clean_from))
    missing: list[str] = []
    found = dict(find_models(models_dir))
    if settings.tokenizer:
        found["tokenizer"] = _tokenizer_path(settings.tokenizer, settings.encoder)
    for source in order.ordered(settings.sources):
        name = source.name
        source = with_decontamination(with_exclusion(source, settings), settings)
        expand = functools.partial(source.reader.expand, open_file=open_file)
        listing = list_inputs(
            name,
            list(inputs[name]),
            fraction=settings.fraction,
            always=source.reader.is_side_table,
            expand=expand,
            output=settings.output,
        )
        units = split_into_units(source, listing)
        left_out: tuple[str, ...] = ()
        if is_estimate:
            source, left_out = without_missing_models(source, found, models_dir)
        try:
            paths: dict[str, Any] = dict(require_models(found, name, source.steps, models_dir))
        except MissingModels as error:
            missing += error.missing
            continue
        if settings.exclude:
            paths["exclude"] = settings.exclude
        if table:
            paths["decontamination"] = table
        across = order.place(name)
        fingerprint_of = functools.partial(_fingerprint, source, paths, settings, across)
        dumps = split_into_dumps(source, listing, functools.partial(split_into_units, source), fingerprint_of)
        one = PreparedSource(source, listing, units, paths, fingerprint_of(listing), dumps, left_out, across)
        prepared[name] = one
        order.add(name, one.fingerprint, one.num_parts, listing.num_bytes)
    if missing:
        raise MissingModels(missing)
    return [prepared[name] for name in settings.sources]


def _tokenizer_path(path: str, settings: EncoderSettings) -> ModelPath:
    """Returns the path of the tokenizer.

    If the settings have a pattern or special tokens, they are returned with the path. Only a tiktoken rank file needs
    these settings.
    """
    is_plain = settings.pattern is None and settings.special_tokens is None
    return path if is_plain else RankFile(path, settings)


def split_into_units(source: Source, listing: Listing) -> tuple[Unit, ...]:
    """Splits the input files of a source into units, which workers read separately.

    A file in an unsupported format also gets a unit. The run then reports this file as rejected.

    Raises:
        ValueError: no file is in a format that the source reads.
    """
    known = [f for f in listing.files if source.reader.knows(f.path)]
    other = [f for f in listing.files if not source.reader.knows(f.path)]
    units = source.reader.units(known, open_file) if known else []
    if not units:
        raise ValueError(
            f"{source.name}: none of the {len(listing.files)} files is in a format that this source reads "
            f"(the first is {listing.files[0].path}); docs/formats.md lists them"
        )
    return (*units, *(Unit(path=f.path, num_bytes=0, kind=UNKNOWN_FORM) for f in other))


def _fingerprint(source: Source, models: Mapping[str, Any], settings: Settings, across: AcrossPlace | None,
                 listing: Listing, dump: Sequence[Any] = ()) -> str:  # fmt: skip
    return fingerprint(
        DATA_VERSION,
        source.reader,
        source.steps,
        source.join,
        listing.fingerprint,
        {key: sha256_of(path) for key, path in models.items()},
        [settings.limits.sample_docs, settings.limits.dropped_share],
        dump,
        *([across.made_of] if across is not None else []),
    )


def pending_jobs(prepared: Sequence[PreparedSource], layout: Layout, settings: Settings, *, num_processes: int,
                 spill_dir: str, shuffle: Shuffle, progress_dir: str | None) -> list[SourceJob]:  # fmt: skip
    """Returns the jobs of the sources and dumps that are not complete. Deletes the files that earlier runs wrote for
    them. ``num_processes`` is the number of worker processes, 0 if it is unknown.

    Raises:
        RunFailed: an earlier run held back a source (its near dedup removed too much), and the user did not accept the
            removals.
    """
    accept_held(prepared, layout, settings)
    jobs = []
    for one in prepared:
        if is_complete(one, layout):
            continue
        name = one.source.name
        # The manifest and the marker are deleted first, so that a run killed after this leaves nothing that looks
        # complete.
        for path in (layout.manifest, layout.marker(f"clean-{name}"), layout.stats(name)):
            delete_tree(path)
        delete_tree(held_path(layout.marker(f"clean-{name}")))
        job = _job(one, layout, settings)
        places = replace(job.places, spill_dir=spill_dir, shuffle=shuffle, progress_dir=progress_dir)
        is_compiled = is_worth_compiling(one.listing.num_bytes, num_processes)
        job = replace(job, places=places, sizes=replace(job.sizes, is_compiled=is_compiled))
        complete: set[str] = set()
        if one.dumps:
            each = [job_of_dump(job, dump, one.dumps, layout) for dump in one.dumps]
            pending = pending_dumps(each, layout)
            complete = {job.label for job in each} - {job.label for job in pending}
            units = {dump.name: dump.units for dump in one.dumps}
        else:
            pending, units = [job], {"": one.units}
            forget_dumps(layout, name)
            delete_tree(layout.clean(name))
            delete_tree(layout.dropped(name))
            delete_tree(layout.hits(name))
        if not one.dumps or one.across is None:
            delete_tree(layout.index(name))
        delete_pair_files(layout, name, keep=complete)
        for job in pending:
            write_unit_list(job.places.units_path, units[job.dump])
        jobs += pending
    return jobs


def delete_pair_files(layout: Layout, source: str, keep: Iterable[str] = ()) -> None:
    """Deletes a source's files of near-duplicate pairs in ``dedup/``, except the files of the jobs in ``keep``. A job
    is named ``SOURCE`` or ``SOURCE@DUMP``."""

    def found(labels: Iterable[str]) -> set[str]:
        globs = [glob for label in labels for glob in layout.pair_files(label)]
        return {entry.path for match in FileSystems.match(globs) for entry in match.metadata_list}

    for path in found([source, f"{source}@*"]) - found(keep):
        delete_tree(path)


def accept_held(prepared: Iterable[PreparedSource], layout: Layout, settings: Settings) -> None:
    """Marks held-back sources as complete if the user accepts their removals.

    A source is held back if its near dedup removed more documents than the settings allow.

    Raises:
        RunFailed: the user did not accept the removals of a held-back source.
    """
    jobs = [_job(one, layout, settings) for one in prepared]
    refuse_or_accept(jobs, settings.accept_removal)


def is_complete(prepared: PreparedSource, layout: Layout) -> bool:
    """True if the output has all clean documents of a source, made from the input and settings of this run."""
    name = prepared.source.name
    folders = {"clean": layout.clean(name), "dropped": layout.dropped(name)}
    folders |= {"evidence": layout.hits(name)} if leaves_evidence(prepared.source) else {}
    folders |= {"index": layout.index(name)} if prepared.across is not None else {}
    return is_done(layout.marker(f"clean-{name}"), prepared.fingerprint, folders) and exists(layout.stats(name))


def already_complete(prepared: Iterable[PreparedSource], jobs: Iterable[SourceJob]) -> list[str]:
    """Returns the names of the sources and dumps that need no job, because they are complete.

    If no dump of a source needs a job, the source's name is returned. Otherwise each complete dump is returned as
    ``SOURCE@DUMP``.
    """
    labels = {job.label for job in jobs}
    complete = []
    for one in prepared:
        name = one.source.name
        pieces = [f"{name}@{dump.name}" for dump in one.dumps] or [name]
        done = [piece for piece in pieces if piece not in labels]
        complete += [name] if done == pieces else done
    return complete


def finish_sources(prepared: Iterable[PreparedSource], layout: Layout, settings: Settings) -> None:
    """Writes the statistics and the marker of each source that was cleaned dump by dump.

    Call this when all dumps are complete. The marker records that the source is complete.
    """
    for one in prepared:
        if one.dumps and not is_complete(one, layout):
            job = _job(one, layout, settings)
            finish_source(job, [job_of_dump(job, dump, one.dumps, layout) for dump in one.dumps])


def _job(prepared: PreparedSource, layout: Layout, settings: Settings) -> SourceJob:
    """Returns the job of a source. The fields for temporary folders stay empty; they are filled in later."""
    name = prepared.source.name
    job = SourceJob(
        source=prepared.source,
        fingerprint=prepared.fingerprint,
        models={key: portable(path) for key, path in prepared.model_paths.items()},
        sizes=JobSizes(
            scale=scale_of(prepared.listing.num_bytes),
            sample_docs=settings.limits.sample_docs,
            dropped_share=settings.limits.dropped_share,
        ),
        places=JobPlaces(
            units_path=join(layout.work, "units", f"{name}.jsonl"),
            marker=layout.marker(f"clean-{name}"),
            stats_path=layout.stats(name),
            clean_dir=layout.clean(name),
            dropped_dir=layout.dropped(name),
            evidence_dir=layout.hits(name) if leaves_evidence(prepared.source) else None,
            pairs_dir=layout.dedup,
        ),
        ceilings=settings.ceilings,
        about=about_source(prepared),
    )
    across = prepared.across
    return job if across is None else across.applied(job, layout.index(name), prepared.listing.num_bytes)


def about_source(prepared: PreparedSource) -> dict[str, Any]:
    """Returns the manifest's entry about the input, the models and the settings of a source."""
    models = {key: path for key, path in prepared.model_paths.items() if key not in _NOT_MODELS}
    return {
        "inputs": {
            "files": len(prepared.listing.files),
            "bytes": prepared.listing.num_bytes,
            "fingerprint": prepared.listing.fingerprint,
        },
        "models": about_models(models),
        "settings": {
            "reader": recorded(prepared.source.reader),
            "join": recorded(prepared.source.join),
            "steps": {step.NAME: recorded(step) for step in prepared.source.steps},
        },
        **({} if prepared.source.declared is None else {"declared": recorded(prepared.source.declared)}),
        "cutoffs": cutoffs_of(models["perplexity"]) if "perplexity" in models else {},
    }
