"""The clean phase from the driver's side: which sources must run, their jobs, and whether their input was fit."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from filters.exclude import Excluded
from pipeline.clean.dumps import cut_into_dumps, finish_source, forget_dumps, job_of_dump, pending_dumps
from pipeline.clean.job import SourceJob
from pipeline.clean.sizing import scale_of
from pipeline.clean.source_plan import PreparedSource
from pipeline.engine.unit_list import write_unit_list
from pipeline.failures import RunFailed
from pipeline.files.files import delete_tree, exists, join, open_file
from pipeline.models.checksums import sha256_of
from pipeline.models.find import MissingModels, find_models, portable, require_models
from pipeline.models.load import cutoffs_of
from pipeline.output.markers import is_done, read_marker
from pipeline.output.paths import Layout
from pipeline.settings.inputs import Listing, list_inputs
from pipeline.settings.settings import Settings
from pipeline.settings.source_settings import canonical
from pipeline.sources.source import UNKNOWN_FORM, Source, Unit

DATA_VERSION = 1
"""Of the pipeline itself: raised when the same steps put out something else. CHANGELOG tells why."""


def with_exclusion(source: Source, settings: Settings) -> Source:
    """The source with the run's exclusion list as its first step, if there is one."""
    return replace(source, steps=(Excluded(), *source.steps)) if settings.exclude else source


def prepare_sources(
    settings: Settings, inputs: Mapping[str, Iterable[str]], models_dir: str | None
) -> list[PreparedSource]:
    """Lists the inputs, cuts them into units and finds the models.

    Raises:
        ValueError: a glob matches nothing, a file's name is not known, a model is missing; says how to mend it.
    """
    plans = []
    missing: list[str] = []
    found = dict(find_models(models_dir))
    if settings.tokenizer:
        found["tokenizer"] = settings.tokenizer
    for name, source in settings.sources.items():
        source = with_exclusion(source, settings)
        named = functools.partial(source.reader.expand, open_file=open_file)
        listing = list_inputs(
            name,
            list(inputs[name]),
            fraction=settings.fraction,
            always=source.reader.is_side_table,
            expand=named,
            output=settings.output,
        )
        units = cut_units(source, listing)
        try:
            paths: dict[str, Any] = dict(require_models(found, name, source.steps, models_dir))
        except MissingModels as error:
            missing += error.missing
            continue
        if settings.exclude:
            paths["exclude"] = settings.exclude
        fingerprint_of = functools.partial(_fingerprint, source, paths, settings)
        dumps = cut_into_dumps(source, listing, functools.partial(cut_units, source), fingerprint_of)
        plans.append(PreparedSource(source, listing, units, paths, fingerprint_of(listing), dumps))
    if missing:
        raise MissingModels(missing)
    return plans


def cut_units(source: Source, listing: Listing) -> tuple[Unit, ...]:
    """A source's units; a file of a form that it does not read is a unit that is only told of.

    Raises:
        ValueError: not one of the files is of a form that the source reads.
    """
    known = [f for f in listing.files if source.reader.knows(f.path)]
    other = [f for f in listing.files if not source.reader.knows(f.path)]
    units = source.reader.units(known, open_file) if known else []
    if not units:
        raise ValueError(
            f"{source.name}: none of the {len(listing.files)} files is of a form that this source reads "
            f"(the first is {listing.files[0].path}); docs/formats.md lists them"
        )
    return (*units, *(Unit(path=f.path, num_bytes=0, kind=UNKNOWN_FORM) for f in other))


def _fingerprint(
    source: Source, models: Mapping[str, Any], settings: Settings, listing: Listing, dump: Sequence[Any] = ()
) -> str:
    said = {
        "version": DATA_VERSION,
        "reader": canonical(source.reader),
        "steps": [canonical(step) for step in source.steps],
        "join": canonical(source.join_settings),
        "inputs": listing.fingerprint,
        "models": {key: sha256_of(path) for key, path in sorted(models.items())},
        "sample_docs": settings.limits.sample_docs,
        **({"dropped_share": settings.limits.dropped_share} if settings.limits.dropped_share < 1.0 else {}),
        **({"dump": dump} if dump else {}),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def pending_jobs(plans: Iterable[PreparedSource], layout: Layout, settings: Settings, *, spill_dir: str,
                 shuffle_dir: str | None, progress_dir: str | None) -> list[SourceJob]:  # fmt: skip
    """The jobs of the sources and dumps that are not yet whole; what an earlier run left of them is deleted."""
    jobs = []
    for plan in plans:
        if is_whole(plan, layout):
            continue
        name = plan.source.name
        # The marker first: a run that is killed from here on leaves nothing that looks finished.
        for path in (layout.manifest, layout.marker(f"clean-{name}"), layout.stats(name)):
            delete_tree(path)
        job = replace(
            _job(plan, layout, settings), spill_dir=spill_dir, shuffle_dir=shuffle_dir, progress_dir=progress_dir
        )
        if plan.dumps:
            pending = pending_dumps([job_of_dump(job, dump, plan.dumps, layout) for dump in plan.dumps], layout)
            units = {dump.name: dump.units for dump in plan.dumps}
        else:
            pending, units = [job], {"": plan.units}
            forget_dumps(layout, name)
            delete_tree(layout.clean(name))
            delete_tree(layout.dropped(name))
        for one in pending:
            write_unit_list(one.units_path, units[one.dump])
        jobs += pending
    return jobs


def is_whole(plan: PreparedSource, layout: Layout) -> bool:
    """Whether all clean documents of a source are there, made as they would be made now."""
    name = plan.source.name
    folders = {"clean": layout.clean(name), "dropped": layout.dropped(name)}
    return is_done(layout.marker(f"clean-{name}"), plan.fingerprint, folders) and exists(layout.stats(name))


def already_whole(plans: Iterable[PreparedSource], jobs: Iterable[SourceJob]) -> list[str]:
    """The sources, and the dumps of the others, that have no job."""
    labels = {job.label for job in jobs}
    whole = []
    for plan in plans:
        name = plan.source.name
        pieces = [f"{name}@{dump.name}" for dump in plan.dumps] or [name]
        done = [piece for piece in pieces if piece not in labels]
        whole += [name] if done == pieces else done
    return whole


def finish_sources(plans: Iterable[PreparedSource], layout: Layout, settings: Settings) -> None:
    """Sums up the sources whose dumps are now whole."""
    for plan in plans:
        if plan.dumps and not is_whole(plan, layout):
            job = _job(plan, layout, settings)
            finish_source(job, [job_of_dump(job, dump, plan.dumps, layout) for dump in plan.dumps])


def _job(plan: PreparedSource, layout: Layout, settings: Settings) -> SourceJob:
    """The job of a source; where it spills is still to be said."""
    name = plan.source.name
    return SourceJob(
        source=plan.source,
        scale=scale_of(plan.listing.num_bytes),
        units_path=join(layout.work, "units", f"{name}.jsonl"),
        marker=layout.marker(f"clean-{name}"),
        fingerprint=plan.fingerprint,
        stats_path=layout.stats(name),
        models={key: portable(path) for key, path in plan.model_paths.items()},
        spill_dir="",
        clean_dir=layout.clean(name),
        dropped_dir=layout.dropped(name),
        shuffle_dir=None,
        sample_docs=settings.limits.sample_docs,
        dropped_share=settings.limits.dropped_share,
        about=about_plan(plan),
    )


def about_plan(plan: PreparedSource) -> dict[str, Any]:
    """What the manifest says of a source's input and models."""
    models = {key: path for key, path in plan.model_paths.items() if key not in ("exclude", "tokenizer")}
    return {
        "inputs": {
            "files": len(plan.listing.files),
            "bytes": plan.listing.num_bytes,
            "fingerprint": plan.listing.fingerprint,
        },
        "models": {key: {"name": Path(str(path)).name, "sha256": sha256_of(path)} for key, path in models.items()},
        "settings": {
            "reader": canonical(plan.source.reader),
            "join": canonical(plan.source.join_settings),
            "steps": {step.NAME: canonical(step) for step in plan.source.steps},
        },
        "cutoffs": cutoffs_of(models["perplexity"]) if "perplexity" in models else {},
    }


def check_ceilings(plans: Iterable[PreparedSource], layout: Layout, settings: Settings) -> None:
    """Stops a run whose input has gone wrong: too many bad records or unreadable files in a source.

    Raises:
        RunFailed: names the source, the numbers and the first few places.
    """
    limits = settings.limits
    for plan in plans:
        name = plan.source.name
        marker = read_marker(layout.marker(f"clean-{name}"))
        assert marker is not None, f"{name} has no marker"
        bad, files = marker["bad_records"], marker["unreadable_files"]
        num_records = marker["documents"]["in"] + bad
        too_bad = bad > limits.max_bad_records and bad > limits.max_bad_share * num_records
        too_many = files > limits.max_unreadable_files and files > limits.max_unreadable_share * len(plan.listing.files)
        if not (too_bad or too_many):
            continue
        what = (
            f"{bad} of {num_records} records are bad"
            if too_bad
            else f"{files} of {len(plan.listing.files)} files cannot be read"
        )
        setting = (
            "run.max_bad_records and run.max_bad_share"
            if too_bad
            else "run.max_unreadable_files and run.max_unreadable_share"
        )
        places = "\n".join(f"  {p}" for p in _first_places(layout.dropped(name)))
        raise RunFailed(
            f"{name}: {what}, more than {setting} allow. The first of them:\n{places}\n"
            f"All stand in {layout.dropped(name)}."
        )


def _first_places(folder: str, number: int = 5) -> list[str]:
    """The first records of a source that were rejected; read through Beam's file systems, wherever they lie."""
    (found,) = FileSystems.match([join(folder, "part-*.parquet")])
    columns = ["id", "stage", "reason", "detail"]
    places: list[str] = []
    for path in sorted(entry.path for entry in found.metadata_list):
        with open_file(path) as file:
            for batch in pq.ParquetFile(file).iter_batches(columns=columns):
                rows = batch.filter(pc.equal(batch.column("stage"), "records")).to_pylist()
                places += [f"{r['id']}: {r['reason']} {r['detail'] or ''}".rstrip() for r in rows]
        if len(places) >= number:
            break
    return places[:number]
