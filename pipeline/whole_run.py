"""A run from its settings to its manifest: the phases in order, each skipped where it is already whole."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import platform
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.runners.runner import PipelineState

from pipeline import clean_phase as cleaning
from pipeline import graph
from pipeline import mix_phase as mixing
from pipeline import token_phase as tokens
from pipeline.card import write_card
from pipeline.clean_phase import RunFailed
from pipeline.cloud import check_machines, check_options, explained
from pipeline.cloud_stores import check_stores
from pipeline.display import Display, job_link
from pipeline.dumps import file_without_dump
from pipeline.engine import Engine, choose_engine
from pipeline.estimate import print_estimate
from pipeline.files import delete_tree, exists, is_local, join, read_bytes, write_bytes
from pipeline.layout import Layout, is_done, read_marker
from pipeline.memory import check_local, foresee
from pipeline.options import Settings
from pipeline.output_folder import check_writable, only_run, start_over
from pipeline.plan import scale_of
from pipeline.progress import totals
from pipeline.report import write_report
from pipeline.run_record import Measured, begin_record, clean_work, finish_record, mix_work, read_record, token_work
from pipeline.sample import models_folder, sample_inputs
from pipeline.summary import print_summary
from pipeline.tokenizer_phase import get_tokenizer
from pipeline.worker_time import stage_seconds
from tokenizer.encode import Encoder

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
        print_estimate(settings, cleaning.plan_sources(settings, inputs, models))


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
        with Display() as display, _workplace(settings, engine, layout, display) as place:
            if plans:
                _clean(settings, layout, place, plans, display)
            if settings.phase != "clean":
                _mix(settings, layout, place, display)
            seconds = time.monotonic() - started
            finish_record(layout, plans, place.measured, totals(place.progress_dir), seconds=seconds)
            report = write_report(settings.output)
    print_summary(settings, layout, seconds=seconds, report=report)


def check_memory(engine: Engine, plans: list[cleaning.SourcePlan]) -> None:
    """Refuses a run whose workers would not fit into memory. Raises ValueError with the number and the way out."""
    sizes = [(p, n) for p in plans for n in [d.listing.num_bytes for d in p.dumps] or [p.listing.num_bytes]]
    need = foresee((p.source, p.model_paths, scale_of(num_bytes), num_bytes) for p, num_bytes in sizes)
    if engine.is_local:
        check_local(need, engine.num_workers)
    check_machines(engine, need)


def _plans(settings: Settings, layout: Layout) -> list[cleaning.SourcePlan]:
    """What is to be cleaned; all that can be said of a request before any work is said here."""
    if settings.tokenizer:
        _check_tokenizer(settings.tokenizer)
    if settings.exclude:
        _check_exclusions(settings.exclude)
    if settings.phase == "mix":
        return []
    if settings.phase == "all":
        _check_mixable(settings, layout)
    inputs, models = _inputs_and_models(settings, layout.work)
    return cleaning.plan_sources(settings, inputs, models)


def _check_tokenizer(path: str) -> None:
    try:
        Encoder.load(read_bytes(path))
    except ValueError as error:
        raise ValueError(f"--tokenizer {path}: {error}") from error


def _check_exclusions(path: str) -> None:
    try:
        read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"--exclude {path}: not UTF-8 text, at byte {error.start}") from error


def _clean_bytes(layout: Layout) -> int:
    """Stored bytes of the clean documents that there are."""
    (found,) = FileSystems.match([join(layout.output, "clean", "**")])
    return sum(m.size_in_bytes for m in found.metadata_list)


class JobFailed(RuntimeError):  # noqa: N818 - said as it is
    """A Beam job did not end well; what it raised is the cause."""


class _Place:
    """Where a run spills and how it runs a job."""

    def __init__(self, engine: Engine, spill_dir: str, progress_dir: str | None, display: Display) -> None:
        self.engine, self.spill_dir, self.progress_dir, self._display = engine, spill_dir, progress_dir, display
        self.shuffle_dir = spill_dir if engine.is_local else None
        self.measured = Measured()

    def run(self, name: str, build: Callable[[beam.Pipeline], None]) -> None:
        """Builds and runs one job; the engine's failure is told without its own stack."""
        begun = time.monotonic()
        engine = self.engine
        pipeline = beam.Pipeline(runner=engine.runner, options=engine.options_of(name))
        build(pipeline)
        try:
            result = pipeline.run()
            if link := job_link(result, engine.options_of(name)) if engine.is_dataflow else "":
                self._display.say(f"{name}: {link}")
            state = result.wait_until_finish()
        except Exception as error:
            if known := explained(error):
                raise RunFailed(f"job {name} failed: {known}") from error
            # Whatever a worker raises is a fault of ours or of the engine, never a wrong request: even a ValueError.
            raise JobFailed(f"job {name} failed: {error}") from error
        if state != PipelineState.DONE:
            raise RunFailed(f"job {name} was not run to its end: {state}; the same command goes on with it")
        self.measured.jobs[name] = time.monotonic() - begun
        self.measured.stages[name] = stage_seconds(result)


@contextlib.contextmanager
def _workplace(settings: Settings, engine: Engine, layout: Layout, display: Display) -> Iterator[_Place]:
    """A spill folder of this run's own, deleted at its end; what a killed run left is cleared first."""
    root = layout.work
    if not engine.is_local:
        root = engine.options.view_as(GoogleCloudOptions).temp_location or layout.work
    elif not is_local(root):  # workers of this machine spill to its disk, wherever the output goes
        root = tempfile.gettempdir()
    # Other runs may spill below the same --temp_location, but only this one for this output.
    spill_root = join(root, f"spill-{hashlib.sha256(settings.output.encode()).hexdigest()[:16]}")
    delete_tree(spill_root)
    spill = join(spill_root, uuid.uuid4().hex)
    progress_dir = None
    if engine.is_local:
        os.makedirs(spill, exist_ok=True)
        progress_dir = tempfile.mkdtemp(prefix="progress-")
    try:
        yield _Place(engine, spill, progress_dir, display)
    finally:
        delete_tree(spill_root)
        if progress_dir:
            delete_tree(progress_dir)


def _clean(
    settings: Settings, layout: Layout, place: _Place, plans: list[cleaning.SourcePlan], display: Display
) -> None:
    jobs = cleaning.pending_jobs(plans, layout, settings, spill_dir=place.spill_dir, shuffle_dir=place.shuffle_dir,
                                 progress_dir=place.progress_dir)  # fmt: skip
    for plan in plans:
        if path := file_without_dump(plan.source, plan.listing):
            display.say(f"{plan.source.name} is cleaned at once, not dump by dump: {path} names no dump")
    done = cleaning.already_whole(plans, jobs)
    display.say(f"clean: {', '.join(done)} already whole" if done else "")
    if jobs:
        with display.job("clean", place.progress_dir, work=clean_work(plans, jobs)):
            place.run("clean", lambda p: graph.clean(p, jobs))
    cleaning.finish_sources(plans, layout, settings)
    cleaning.check_ceilings(plans, layout, settings)


def _mix(settings: Settings, layout: Layout, place: _Place, display: Display) -> None:
    sources = [s for s in settings.recipe.weights if s in settings.sources or exists(layout.marker(f"clean-{s}"))]
    if not sources:
        raise ValueError(f"there are no finished clean documents in {layout.output}; run --phase=clean first")
    for source in sources:
        tokens.clean_parts(layout, source)  # what is missing is said before anything is made
    with display.job("tokenizer", None):
        encoder = get_tokenizer(settings, layout, sources, place.run)
    jobs = tokens.token_jobs(settings, layout, encoder, sources, place.progress_dir)
    if jobs:
        input_bytes = read_record(layout).get("input_bytes", {})
        with display.job("tokenize", place.progress_dir, work=token_work(jobs, input_bytes)):
            place.run("tokenize", lambda p: graph.tokenize(p, jobs))
    tokens.finish_tokens(layout, encoder, sources, settings)
    tokens.write_tokens_into_stats(layout, sources)
    with display.job("count", None):
        counted = mixing.count(settings, layout, sources, place.run)
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
        found = mixing.write_mixture(job, layout, place.run)
    manifest = mixing.manifest_of(made, job, encoder, found, _about(layout, sources))
    write_card(layout, manifest)
    write_bytes(marker, json.dumps({"fingerprint": fingerprint}).encode())
    mixing.write_manifest(layout, manifest)


def _mix_fingerprint(job: Any, layout: Layout, sources: list[str]) -> str:
    said = replace(job, parts=(), output="", result_path="", shuffle_dir=None, progress_dir=None)  # it may be moved
    made_of = {s: (read_marker(layout.marker(f"tokens-{s}")) or {}).get("fingerprint") for s in sources}
    return hashlib.sha256((repr(said) + json.dumps(made_of)).encode()).hexdigest()


def _inputs_and_models(settings: Settings, work: str) -> tuple[Mapping[str, Any], str | None]:
    if settings.is_sample and settings.phase != "mix":
        return sample_inputs(work), settings.models or str(models_folder())
    return settings.inputs, settings.models


def _check_mixable(settings: Settings, layout: Layout) -> None:
    """Says before hours of cleaning that the mixture would lack a source."""
    if settings.recipe.missing != "error":
        return
    lacking = [
        s for s in settings.recipe.weights if s not in settings.sources and not exists(layout.marker(f"clean-{s}"))
    ]
    if lacking:
        raise ValueError(
            f"recipe {settings.recipe.name} gives a weight to {', '.join(lacking)}, for which there is no input: add "
            f"--input {lacking[0]}=GLOB, or run --phase=clean, or set mixture.missing: share in the config file"
        )


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
