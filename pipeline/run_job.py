"""Builds and runs the Beam jobs of one run. Their intermediate data is in a spill folder that only this run uses."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.runners.runner import PipelineState

from pipeline.engine.known_failures import explained, without_known_tracebacks
from pipeline.engine.notebook import as_in_a_script
from pipeline.engine.runner import Engine
from pipeline.engine.same_code import Job, carry_needs
from pipeline.failures import JobFailed, RunFailed
from pipeline.files.files import delete_tree, is_local, join, write_bytes
from pipeline.files.spill import Shuffle
from pipeline.output.markers import delete_unfinished_below
from pipeline.output.paths import Layout
from pipeline.progress.display import Display, job_link
from pipeline.progress.run_record import Measured
from pipeline.progress.worker_time import stage_seconds
from pipeline.settings.settings import Settings
from tokenizer.interrupts import at_end, delete_at_end


class Workplace:
    """Runs the Beam jobs that make up one run. Holds the paths of the run's temporary folders."""

    probes: tuple[tuple[str, str], ...] = ()
    """Pairs (flag, path). The flag names a folder, and the path is that of a test file in this folder. Remote workers
    check that they see each file."""

    def __init__(self, engine: Engine, spill_dir: str, progress_dir: str | None, display: Display) -> None:
        self.engine, self.spill_dir, self.progress_dir, self._display = engine, spill_dir, progress_dir, display
        self.shuffle = Shuffle(spill_dir, by_reference=not engine.is_dataflow)
        self.measured = Measured()

    def run(self, name: str, build: Callable[[beam.Pipeline], None]) -> None:
        """Builds and runs one job.

        Raises:
            RunFailed: the job failed for a known cause.
            JobFailed: the job failed, and the cause is not known.
        """
        with as_in_a_script():
            self._run(name, build)

    def _run(self, name: str, build: Callable[[beam.Pipeline], None]) -> None:
        begun = time.monotonic()
        engine = self.engine
        pipeline = Job(runner=engine.runner, options=engine.options_of(name))
        pipeline.probes = self.probes
        build(pipeline)
        carry_needs(pipeline)
        try:
            with without_known_tracebacks():
                result = pipeline.run()
                if link := job_link(result, engine.options_of(name)) if engine.is_dataflow else "":
                    self._display.say(f"{name}: {link}")
                state = result.wait_until_finish()
        except Exception as error:
            if known := explained(error):
                raise RunFailed(f"job {name} failed: {known}") from error
            # An error in a worker is a bug of ours or of the engine, never a wrong request, even if it is a ValueError.
            raise JobFailed(f"job {name} failed: {error}") from error
        if state != PipelineState.DONE:
            raise RunFailed(f"job {name} was not run to its end: {state}; the same command goes on with it")
        self.measured.jobs[name] = time.monotonic() - begun
        self.measured.stages[name] = stage_seconds(result)


@contextlib.contextmanager
def workplace(settings: Settings, engine: Engine, layout: Layout, display: Display) -> Iterator[Workplace]:
    """Yields a :class:`Workplace`, which runs the jobs of this run. It has a new spill folder for intermediate data.
    The folder is deleted at the end.

    First deletes the folders that a killed run left.
    """
    root = layout.work
    if not engine.is_local:
        root = engine.options.view_as(GoogleCloudOptions).temp_location or layout.work
    elif not is_local(root):  # workers of this machine spill to its own disk, wherever the output is
        root = tempfile.gettempdir()
    # Other runs can spill below the same --temp_location. Only this run spills below this folder, named after its
    # output.
    spill_root = join(root, f"spill-{hashlib.sha256(settings.output.encode()).hexdigest()[:16]}")
    delete_tree(spill_root)
    spill = join(spill_root, uuid.uuid4().hex)
    progress_dir = None
    with contextlib.ExitStack() as stack:
        if engine.is_local:
            progress_dir = join(spill, "progress")
            os.makedirs(progress_dir)
            stack.enter_context(_temporary_files_in(join(spill, "temporary")))
            delete_at_end("spill", spill_root)
            stack.callback(at_end, "spill", None)
        else:
            stack.callback(delete_unfinished_below, layout.output)
        stack.callback(delete_tree, spill_root)
        place = Workplace(engine, spill, progress_dir, display)
        if not engine.is_local:
            place.probes = stack.enter_context(_probes(layout, spill))
        yield place


@contextlib.contextmanager
def _probes(layout: Layout, spill: str) -> Iterator[tuple[tuple[str, str], ...]]:
    """Writes a test file into the output folder and one into the spill folder. Remote workers check that they see both
    files, so a folder that they cannot reach is reported early. Yields one pair per file: the flag that names the
    folder, and the path of the file.

    First deletes the file that a killed run left in the output folder.
    """
    folder = join(layout.work, "probes")
    delete_tree(folder)
    probes = (("--output", join(folder, f"probe-{uuid.uuid4().hex}")), ("--temp_location", join(spill, "probe")))
    for _, path in probes:
        write_bytes(path, b"probe")  # not empty, because Beam cannot write an empty file to s3://
    try:
        yield probes
    finally:
        for path in (folder, probes[1][1]):
            delete_tree(path)


@contextlib.contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    """Makes this process and its child processes create their temporary files in ``folder``. If this run is killed, the
    next run deletes the folder.
    """
    os.makedirs(folder)
    before, tempfile.tempdir = (os.environ.get("TMPDIR"), tempfile.tempdir), folder
    os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        tempfile.tempdir = before[1]
        if before[0] is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before[0]
