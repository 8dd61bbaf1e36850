"""Runs all phases in order: clean, tokenize, plan, mix, report. Skips what an earlier run completed.

:func:`run` performs the whole run. The Beam jobs of the run are built in :mod:`pipeline.graph`. When a phase is done,
it writes a marker file with a fingerprint of its inputs and settings. A phase is complete if its files exist and if the
fingerprint in its marker is the one that this run computes.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import Any

from apache_beam.io.filesystems import FileSystems

from mixtures.manifest import NEW_MANIFEST
from mixtures.plan.shares import Plan
from pipeline import graph
from pipeline.clean import phase as cleaning
from pipeline.clean.across import check_compared
from pipeline.clean.bad_input import check_ceilings
from pipeline.clean.dumps import forget_dumps, in_one_piece
from pipeline.clean.eval_table import eval_table
from pipeline.clean.evidence import gather_hits
from pipeline.clean.held import held_path
from pipeline.clean.prepared_source import PreparedSource
from pipeline.clean.reuse import reuse
from pipeline.clean.why_not_reused import why_not_reused
from pipeline.clean.work import clean_work
from pipeline.engine.runner import choose_engine
from pipeline.estimate.table import print_estimate
from pipeline.failures import RunFailed
from pipeline.files.files import delete_tree, exists, join
from pipeline.mix import phase as mixing
from pipeline.mix.about import about_run
from pipeline.mix.earlier_stages import Earlier
from pipeline.mix.forgotten import check_forgotten
from pipeline.mix.job import MixJob
from pipeline.mix.replaced import outdated as outdated_shards
from pipeline.mix.replaced import replaced as replaced_shards
from pipeline.mix.replaced import to_be_replaced
from pipeline.mix.work import mix_work
from pipeline.output.fingerprint import fingerprint
from pipeline.output.lock import only_run, reading, reading_all
from pipeline.output.markers import is_done, read_marker, write_marker
from pipeline.output.paths import Layout
from pipeline.preflight.cloud_options import check_options
from pipeline.preflight.cloud_stores import check_stores
from pipeline.preflight.places import check_mixable
from pipeline.preflight.request import check_exclusions, check_memory, check_tokenizer
from pipeline.progress.closing_table import print_summary
from pipeline.progress.display import Display
from pipeline.progress.run_record import begin_record, finish_record, read_record, restore_record
from pipeline.progress.ticks import totals
from pipeline.report import write_report
from pipeline.report.dataset_card import write_card
from pipeline.report.failed import report_of_failed
from pipeline.run_job import Workplace, workplace
from pipeline.settings.bundled_sample import models_folder, sample_inputs
from pipeline.settings.settings import Settings
from pipeline.tokenize import phase as tokens
from pipeline.tokenize.choose_tokenizer import get_tokenizer, note_shards
from pipeline.tokenize.part_column import check_columns, check_files
from pipeline.tokenize.work import token_work
from tokenizer.codec import FILE_NAMES


def estimate_run(settings: Settings) -> None:
    """Prints the estimate of a run. Writes nothing into the output folder.

    Raises:
        ValueError: the request is wrong. The message says what to change.
    """
    if settings.phase == "mix":
        raise ValueError(
            "--estimate estimates from the input, and --phase=mix has none; "
            "python -m mixtures.plan --config FILE --stats OUT/stats prints the mixture of the clean documents"
        )
    check_columns(settings.recipe.parts, settings.sources.values())
    with tempfile.TemporaryDirectory() as scratch:
        inputs, models = _inputs_and_models(settings, scratch)
        table = eval_table(settings, scratch)
        print_estimate(settings, cleaning.prepare_sources(settings, inputs, models, table, is_estimate=True))


def run(settings: Settings) -> None:
    """Runs all phases that are not complete.

    Raises:
        ValueError: the request is wrong. The error is a PlanError if the sources have too few tokens for the mixture.
        RunFailed: the input has too many bad records; a near dedup removed more documents of a source than the settings
            allow; or the engine failed.
    """
    started = time.monotonic()
    engine = choose_engine(settings.beam_args)  # refuses a wrong engine before any input is listed
    check_options(settings, engine)
    FileSystems.set_options(engine.options)
    check_stores(settings, engine)
    layout = Layout(settings.output, clean_from=settings.clean_from)
    with (
        only_run(layout),
        reading(layout.clean_from),
        reading(settings.continue_from, "--continue-from"),
        reading(settings.reuse, "--reuse"),
        reading_all(() if settings.phase == "mix" else settings.across.against, "dedup.against"),
    ):
        prepared = _prepare(settings, layout)
        num_bytes = sum(p.listing.num_bytes for p in prepared) if prepared else _clean_bytes(layout)
        engine = choose_engine(settings.beam_args, num_bytes=num_bytes)
        check_memory(engine, prepared)
        marks = _marks(settings, layout)
        if settings.overwrite:  # comes after all checks, so that a wrong request deletes nothing
            start_over(layout, [p.source.name for p in prepared])
        before = begin_record(settings, layout, engine)
        made: Plan | None = None
        with Display() as display, workplace(settings, engine, layout, display) as place:
            display.say(to_be_replaced(layout, settings.recipe.name) if settings.phase != "clean" else "")
            try:
                if prepared:
                    _clean(settings, layout, place, prepared, display)
                if settings.phase != "clean":
                    made = _mix(settings, layout, place, display)
            except (ValueError, RunFailed) as error:
                if _marks(settings, layout) != marks:
                    report_of_failed(settings.output, display.say)
                elif isinstance(error, ValueError):  # nothing has changed, so the output is still that of the last run
                    restore_record(layout, before)
                raise
            seconds = time.monotonic() - started
            input_bytes = {p.source.name: p.listing.num_bytes for p in prepared}
            finish_record(layout, input_bytes, place.measured, totals(place.progress_dir), seconds=seconds)
            report = write_report(settings.output)
    print_summary(settings, layout, seconds=seconds, report=report, made=made)


def _prepare(settings: Settings, layout: Layout) -> list[PreparedSource]:
    """Checks tokenizer, exclusion list, mixture and inputs before any work starts. Returns the sources of the run with
    their input.
    """
    if settings.tokenizer:
        check_tokenizer(settings.tokenizer, settings.encoder)
    if settings.exclude:
        check_exclusions(settings.exclude)
    if settings.phase == "mix":
        return []
    if settings.phase == "all":
        check_mixable(settings.recipe, settings.sources, layout)
        check_columns(settings.recipe.parts, settings.sources.values())
    inputs, models = _inputs_and_models(settings, layout.work)
    return cleaning.prepare_sources(settings, inputs, models, eval_table(settings, layout.work))


def _marks(settings: Settings, layout: Layout) -> dict[str, Any]:
    """Returns the markers of all phases of a run, by name.

    A phase that changes the output also changes its marker. So equal markers mean that the output has not changed.
    """
    names = [f"{phase}-{source}" for source in settings.recipe.weights for phase in ("clean", "tokens")]
    return {name: read_marker(layout.marker(name)) for name in ("tokenizer", "mix", *names)}


def _clean_bytes(layout: Layout) -> int:
    """Returns the stored size of the clean documents."""
    (found,) = FileSystems.match([join(layout.clean_output, "clean", "**")])
    return sum(m.size_in_bytes for m in found.metadata_list)


def _clean(
    settings: Settings, layout: Layout, place: Workplace, prepared: list[PreparedSource], display: Display
) -> None:
    """Cleans the sources and dumps that are not complete."""
    if settings.reuse:
        taken = reuse(prepared, layout, settings.reuse)
        display.say(f"clean: {', '.join(taken) or 'no source'} taken from {settings.reuse}")
        for one in prepared:
            if not cleaning.is_complete(one, layout):
                why = why_not_reused(one, Layout(settings.reuse))
                display.say(f"clean: {one.source.name} is not taken from {settings.reuse}: {why}")
    outdated = outdated_shards(layout)
    jobs = cleaning.pending_jobs(prepared, layout, settings, num_processes=place.engine.num_workers,
                                 spill_dir=place.spill_dir, shuffle=place.shuffle,
                                 progress_dir=place.progress_dir)  # fmt: skip
    for one in prepared:
        if skipped := one.listing.not_files:
            display.say(f"{one.source.name}: {len(skipped)} names are links to nothing, pipes or devices and are not "
                        f"read, the first is {skipped[0]!r}")  # fmt: skip
        display.say(in_one_piece(one.source, one.listing))
    done = cleaning.already_complete(prepared, jobs)
    display.say(f"clean: {', '.join(done)} already complete" if done else "")
    if jobs:
        display.say(outdated)
        with display.job("clean", place.progress_dir, work=clean_work(prepared, jobs)):
            place.run("clean", lambda p: graph.clean(p, jobs))
    cleaning.finish_sources(prepared, layout, settings)
    cleaning.accept_held(prepared, layout, settings)
    check_ceilings(prepared, layout, settings)
    gather_hits(layout, next((str(p.model_paths["decontamination"]) for p in prepared
                              if "decontamination" in p.model_paths), None), [p.source for p in prepared])  # fmt: skip


def _mix(settings: Settings, layout: Layout, place: Workplace, display: Display) -> Plan:
    """Tokenizes the clean documents, makes the token plan, and writes the shards and the manifest.

    Returns the plan.
    """
    sources = [s for s in settings.recipe.weights if s in settings.sources or exists(layout.marker(f"clean-{s}"))]
    if not sources:
        way = ", or name with --from the output that has them" if settings.continue_from else ""
        raise ValueError(
            f"there are no finished clean documents in {layout.clean_output}; run --phase=clean first{way}"
        )
    files = {
        s: tokens.clean_parts(layout, s) for s in sources
    }  # raises if a part is missing, before a tokenizer is trained
    check_compared(layout, sources)
    check_files(settings.recipe.parts, {source: paths[0] for source, paths in files.items() if paths})
    earlier = mixing.read_earlier(settings)
    if earlier.seed is not None:
        settings = dataclasses.replace(settings, seed=earlier.seed)
        display.say(f"mix: stage {len(earlier.stages) + 1}, which continues {settings.continue_from} with its seed "
                    f"{settings.seed}")  # fmt: skip
    with display.job("tokenizer", None):
        encoder = get_tokenizer(
            settings, layout, sources, lambda job: place.run("sample", lambda p: graph.sample(p, job)),
            say=display.say,
        )  # fmt: skip
    if layout.clean_from:
        layout = tokens.with_tokens_of(layout, settings, encoder, sources)
        tokens.copy_stats(layout, sources)
    jobs = tokens.token_jobs(settings, layout, encoder, sources, place.progress_dir)
    if jobs:
        input_bytes = read_record(layout).get("input_bytes", {})
        with display.job("tokenize", place.progress_dir, work=token_work(jobs, input_bytes)):
            place.run("tokenize", lambda p: graph.tokenize(p, jobs))
    tokens.finish_tokens(layout, encoder, sources, settings)
    tokens.write_tokens_into_stats(layout, sources)
    with display.job("count", None):
        counted = mixing.count(
            settings, layout, sources, lambda job: place.run("count", lambda p: graph.count(p, job)), earlier
        )
    tokens.write_parts_into_stats(layout, counted.parts)
    made = mixing.make_plan(settings, counted)
    job = mixing.mix_job(settings, layout, encoder, made, counted, shuffle=place.shuffle,
                         progress_dir=place.progress_dir, earlier=earlier)  # fmt: skip
    identity = _mix_fingerprint(job, layout, sources, earlier)
    marker = layout.marker("mix")
    complete = mixing.read_whole_manifest(layout) if is_done(marker, identity) else None
    if complete is not None:
        if not exists(layout.card):
            write_card(layout, complete)
        display.say("mix: already complete")
        return made
    check_forgotten((layout.output, layout.clean_from, settings.continue_from), settings.exclude)
    display.say(replaced_shards(layout))
    with display.job("mix", place.progress_dir, work=mix_work(job)):
        found = mixing.write_mixture(job, layout, lambda job: place.run("mix", lambda p: graph.mix(p, job)))
    manifest = mixing.manifest_of(made, job, encoder, found, about=about_run(settings, layout, sources, encoder),
                                  counted=counted, stages=earlier.stages)  # fmt: skip
    write_card(layout, manifest)
    note_shards(layout, encoder)
    write_marker(marker, {"fingerprint": identity})
    mixing.write_manifest(layout, manifest)
    return made


def _mix_fingerprint(job: MixJob, layout: Layout, sources: list[str], earlier: Earlier) -> str:
    """Returns a fingerprint of everything that a mixture is made from. Paths are left out, because folders can be
    moved.
    """
    made_of = {s: (read_marker(layout.marker(f"tokens-{s}")) or {}).get("fingerprint") for s in sources}
    return fingerprint(
        job.version,
        job.shares,
        job.source_names,
        job.seed,
        job.num_shards,
        job.num_validation_shards,
        job.vocab_size,
        job.metadata,
        made_of,
        *(stage["fingerprint"] for stage in earlier.stages),
        *([job.rules] if job.rules else []),
    )


def _inputs_and_models(settings: Settings, work: str) -> tuple[Mapping[str, Any], str | None]:
    if settings.is_sample and settings.phase != "mix":
        return sample_inputs(work), settings.models or str(models_folder())
    return settings.inputs, settings.models


_MIXED = ("shards", "validation", "report", *FILE_NAMES, "README.md", ".work/tokens", NEW_MANIFEST)
"""The files and folders that the phases after the clean phase write into the output folder, except the manifest."""


def start_over(layout: Layout, cleaned: Iterable[str]) -> None:
    """Deletes the results of earlier runs from the output folder. The manifest is deleted first.

    Files that no run wrote stay in the folder.

    Args:
        cleaned: the sources that are cleaned again. The clean documents of all other sources stay.
    """
    delete_tree(layout.manifest)
    for name in cleaned:
        forget_dumps(layout, name)
        marker = layout.marker(f"clean-{name}")
        for path in (marker, held_path(marker), layout.stats(name), layout.clean(name), layout.dropped(name)):
            delete_tree(path)
        cleaning.delete_pair_files(layout, name)
        delete_tree(layout.hits(name))
        delete_tree(layout.index(name))
    for step in ("mix", "tokenizer"):
        delete_tree(layout.marker(step))
    for name in _MIXED:
        delete_tree(join(layout.output, name))
