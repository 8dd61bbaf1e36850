"""A run from its settings to its manifest: the phases in order, each skipped where it is already whole."""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import metadata
from typing import Any

from apache_beam.io.filesystems import FileSystems

from pipeline import graph
from pipeline.clean import phase as cleaning
from pipeline.clean.dumps import file_without_dump, forget_dumps
from pipeline.clean.source_plan import PreparedSource
from pipeline.clean.work import clean_work
from pipeline.engine.runner import choose_engine
from pipeline.estimate import print_estimate
from pipeline.files.files import delete_tree, exists, join
from pipeline.mix import phase as mixing
from pipeline.mix.work import mix_work
from pipeline.output.lock import check_writable, only_run
from pipeline.output.markers import is_done, read_marker, write_marker
from pipeline.output.paths import Layout
from pipeline.preflight.cloud_options import check_options
from pipeline.preflight.cloud_stores import check_stores
from pipeline.preflight.request import check_exclusions, check_memory, check_mixable, check_tokenizer
from pipeline.progress.closing_table import print_summary
from pipeline.progress.display import Display
from pipeline.progress.run_record import begin_record, finish_record, read_record
from pipeline.progress.ticks import totals
from pipeline.report import write_report
from pipeline.report.dataset_card import write_card
from pipeline.run_job import Workplace, workplace
from pipeline.settings.bundled_sample import models_folder, sample_inputs
from pipeline.settings.settings import Settings
from pipeline.tokenize import phase as tokens
from pipeline.tokenize.choose_tokenizer import get_tokenizer
from pipeline.tokenize.work import token_work

_PACKAGES = ("apache-beam", "pyarrow", "numpy", "sentencepiece", "fasttext-community", "kenlm-ex", "xxhash")


def estimate_run(settings: Settings) -> None:
    """Prints what would run; writes nothing into the output.

    Raises:
        ValueError: the request is wrong.
    """
    if settings.phase == "mix":
        raise ValueError(
            "--estimate looks at inputs, and --phase=mix has none; "
            "python -m mixtures.plan --config FILE --stats OUT/stats prints the mixture of what is clean"
        )
    with tempfile.TemporaryDirectory() as scratch:
        inputs, models = _inputs_and_models(settings, scratch)
        print_estimate(settings, cleaning.prepare_sources(settings, inputs, models))


def run(settings: Settings) -> None:
    """Runs what is not yet whole.

    Raises:
        ValueError: the request is wrong, PlanError where the mixture cannot be made.
        RunFailed: the input is not fit, or the engine failed.
    """
    started = time.monotonic()
    engine = choose_engine(settings.beam_args)  # what cannot be run is said before anything is listed
    check_options(settings, engine)
    FileSystems.set_options(engine.options)
    check_stores(settings, engine)
    layout = Layout(settings.output)
    check_writable(settings.output)
    with only_run(layout):
        plans = _plans(settings, layout)
        num_bytes = sum(p.listing.num_bytes for p in plans) if plans else _clean_bytes(layout)
        engine = choose_engine(settings.beam_args, num_bytes=num_bytes)
        check_memory(engine, plans)
        if settings.overwrite:  # only now: a wrong request deletes nothing
            start_over(layout, [p.source.name for p in plans])
        begin_record(settings, layout, engine)
        with Display() as display, workplace(settings, engine, layout, display) as place:
            if plans:
                _clean(settings, layout, place, plans, display)
            if settings.phase != "clean":
                _mix(settings, layout, place, display)
            seconds = time.monotonic() - started
            input_bytes = {p.source.name: p.listing.num_bytes for p in plans}
            finish_record(layout, input_bytes, place.measured, totals(place.progress_dir), seconds=seconds)
            report = write_report(settings.output)
    print_summary(settings, layout, seconds=seconds, report=report)


def _plans(settings: Settings, layout: Layout) -> list[PreparedSource]:
    """What is to be cleaned; all that can be said of a request before any work is said here."""
    if settings.tokenizer:
        check_tokenizer(settings.tokenizer)
    if settings.exclude:
        check_exclusions(settings.exclude)
    if settings.phase == "mix":
        return []
    if settings.phase == "all":
        check_mixable(settings, layout)
    inputs, models = _inputs_and_models(settings, layout.work)
    return cleaning.prepare_sources(settings, inputs, models)


def _clean_bytes(layout: Layout) -> int:
    """Stored bytes of the clean documents that there are."""
    (found,) = FileSystems.match([join(layout.output, "clean", "**")])
    return sum(m.size_in_bytes for m in found.metadata_list)


def _clean(settings: Settings, layout: Layout, place: Workplace, plans: list[PreparedSource], display: Display) -> None:
    jobs = cleaning.pending_jobs(plans, layout, settings, spill_dir=place.spill_dir, shuffle_dir=place.shuffle_dir,
                                 progress_dir=place.progress_dir)  # fmt: skip
    for plan in plans:
        if skipped := plan.listing.not_files:
            display.say(f"{plan.source.name}: {len(skipped)} names are links to nothing, pipes or devices and are not "
                        f"read, the first is {skipped[0]!r}")  # fmt: skip
        if path := file_without_dump(plan.source, plan.listing):
            display.say(f"{plan.source.name} is cleaned at once, not dump by dump: {path} names no dump")
    done = cleaning.already_whole(plans, jobs)
    display.say(f"clean: {', '.join(done)} already whole" if done else "")
    if jobs:
        with display.job("clean", place.progress_dir, work=clean_work(plans, jobs)):
            place.run("clean", lambda p: graph.clean(p, jobs))
    cleaning.finish_sources(plans, layout, settings)
    cleaning.check_ceilings(plans, layout, settings)


def _mix(settings: Settings, layout: Layout, place: Workplace, display: Display) -> None:
    sources = [s for s in settings.recipe.weights if s in settings.sources or exists(layout.marker(f"clean-{s}"))]
    if not sources:
        raise ValueError(f"there are no finished clean documents in {layout.output}; run --phase=clean first")
    for source in sources:
        tokens.clean_parts(layout, source)  # what is missing is said before anything is made
    with display.job("tokenizer", None):
        encoder = get_tokenizer(
            settings, layout, sources, lambda job: place.run("sample", lambda p: graph.sample(p, job))
        )
    jobs = tokens.token_jobs(settings, layout, encoder, sources, place.progress_dir)
    if jobs:
        input_bytes = read_record(layout).get("input_bytes", {})
        with display.job("tokenize", place.progress_dir, work=token_work(jobs, input_bytes)):
            place.run("tokenize", lambda p: graph.tokenize(p, jobs))
    tokens.finish_tokens(layout, encoder, sources, settings)
    tokens.write_tokens_into_stats(layout, sources)
    with display.job("count", None):
        counted = mixing.count(settings, layout, sources, lambda job: place.run("count", lambda p: graph.count(p, job)))
    made = mixing.make_plan(settings, counted)
    job = mixing.mix_job(settings, layout, encoder, made, counted, shuffle_dir=place.shuffle_dir,
                         progress_dir=place.progress_dir)  # fmt: skip
    fingerprint = _mix_fingerprint(job, layout, sources)
    marker = layout.marker("mix")
    whole = mixing.read_whole_manifest(layout) if is_done(marker, fingerprint) else None
    if whole is not None:
        if not exists(layout.card):
            write_card(layout, whole)
        display.say("mix: already whole")
        return
    with display.job("mix", place.progress_dir, work=mix_work(job)):
        found = mixing.write_mixture(job, layout, lambda job: place.run("mix", lambda p: graph.mix(p, job)))
    manifest = mixing.manifest_of(made, job, encoder, found, _about(layout, sources))
    write_card(layout, manifest)
    write_marker(marker, {"fingerprint": fingerprint})
    mixing.write_manifest(layout, manifest)


def _mix_fingerprint(job: Any, layout: Layout, sources: list[str]) -> str:
    said = replace(job, parts=(), output="", result_path="", shuffle_dir=None, progress_dir=None)  # it may be moved
    made_of = {s: (read_marker(layout.marker(f"tokens-{s}")) or {}).get("fingerprint") for s in sources}
    return hashlib.sha256((repr(said) + json.dumps(made_of)).encode()).hexdigest()


def _inputs_and_models(settings: Settings, work: str) -> tuple[Mapping[str, Any], str | None]:
    if settings.is_sample and settings.phase != "mix":
        return sample_inputs(work), settings.models or str(models_folder())
    return settings.inputs, settings.models


def _about(layout: Layout, sources: list[str]) -> dict[str, Any]:
    """What the manifest says beside the mixture itself; of inputs and models what the clean phase left."""
    software = {"python": platform.python_version(), "pipeline": _version("llama-mixture")}
    software |= {name.replace("-", "_"): _version(name) for name in _PACKAGES}
    cleaned = {s: (read_marker(layout.marker(f"clean-{s}")) or {}).get("about", {}) for s in sources}
    models: dict[str, Any] = {}
    for about in cleaned.values():
        models |= about.get("models", {})
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "software": software,
        "models": models,
        "inputs": {s: about.get("inputs", {}) for s, about in cleaned.items()},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


_MIXED = ("shards", "validation", "report", "tokenizer.model", "README.md", ".work/tokens")


def start_over(layout: Layout, cleaned: Iterable[str]) -> None:
    """Deletes what a run writes, the manifest first, and nothing else that may lie in the folder.

    Args:
        cleaned: the sources that are cleaned again; what there is of others stays.
    """
    delete_tree(layout.manifest)
    for name in cleaned:
        forget_dumps(layout, name)
        for path in (layout.marker(f"clean-{name}"), layout.stats(name), layout.clean(name), layout.dropped(name)):
            delete_tree(path)
    for step in ("mix", "tokenizer"):
        delete_tree(layout.marker(step))
    for name in _MIXED:
        delete_tree(join(layout.output, name))
