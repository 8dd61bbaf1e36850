"""Tests the folders of a run on other machines: workers prove that they see them, and nothing is left at the end."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.common import DoFnSignature

from pipeline.engine.runner import choose_engine
from pipeline.engine.same_code import Job, NotShared, carry_needs
from pipeline.files.spill import Shuffle
from pipeline.output.paths import Layout
from pipeline.progress.display import Display
from pipeline.run_job import workplace
from pipeline.settings.settings import parse

PAR_DO = "beam:transform:pardo:v1"
REMOTE = ["--runner=PortableRunner", "--job_endpoint=localhost:1"]


@pytest.mark.parametrize("temp_is_given", [True, False])
def test_a_remote_run_leaves_nothing(tmp_path: Path, temp_is_given: bool) -> None:
    out, temp = tmp_path / "out", tmp_path / "temp"
    flags = [*REMOTE, *([f"--temp_location={temp}"] if temp_is_given else [])]
    settings = parse(["--input=books=/x", f"--output={out}", *flags])
    part = out / "clean" / "books" / "part-00000-of-00001.parquet"
    orphans = [part.with_name(f"{part.name}.{'0af3' * 8}.tmp"), out / ".work" / "x" / f"a.{'1' * 32}.tmp"]
    killed = out / ".work" / "probes" / "probe-of-a-killed-run"
    killed.parent.mkdir(parents=True)
    killed.write_bytes(b"probe")
    kept = [part, out / "clean" / "notes.tmp", out / "dropped" / "x.tmp.parquet"]
    with (
        Display() as display,
        workplace(settings, choose_engine(settings.beam_args), Layout(str(out)), display) as place,
    ):
        assert [flag for flag, _ in place.probes] == ["--output", "--temp_location"]
        assert all(Path(path).read_bytes() for _, path in place.probes)
        assert Path(place.probes[1][1]).is_relative_to(temp if temp_is_given else out)
        assert place.shuffle == Shuffle(place.spill_dir)
        for path in (*orphans, *kept):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    left = {p for p in tmp_path.rglob("*") if p.is_file()}
    assert left == set(kept)


def test_dataflow_shuffles_payloads_itself(tmp_path: Path) -> None:
    settings = parse(["--input=books=/x", f"--output={tmp_path}/out", "--runner=DataflowRunner",
                      f"--temp_location={tmp_path}/temp"])  # fmt: skip
    layout, engine = Layout(settings.output), choose_engine(settings.beam_args)
    with Display() as display, workplace(settings, engine, layout, display) as place:
        assert not place.shuffle.by_reference


def dofns(job: beam.Pipeline) -> dict[str, bytes]:
    """Returns a dict from the name of each step to its DoFn, as the engine gets it."""
    steps = job.to_runner_api().components.transforms.values()
    payloads = {
        s.unique_name: beam_runner_api_pb2.ParDoPayload.FromString(s.spec.payload)
        for s in steps
        if s.spec.urn == PAR_DO
    }
    return {name: payload.do_fn.payload for name, payload in payloads.items()}


def job_of_two_stages(flags: list[str], probe: Path) -> beam.Pipeline:
    job = Job(options=PipelineOptions(flags))
    job.probes = (("--output", str(probe)),)
    pairs = job | "begin" >> beam.Create([("a", 1)]) | "first" >> beam.Map(lambda pair: pair)
    _ = pairs | "group" >> beam.GroupByKey() | "second" >> beam.MapTuple(lambda key, numbers: (key, sum(numbers)))
    carry_needs(job)
    return job


def test_every_step_of_a_remote_job_checks_its_worker(tmp_path: Path) -> None:
    steps = dofns(job_of_two_stages(REMOTE, tmp_path / "none"))
    assert {"first", "second"} <= steps.keys()
    for payload in steps.values():
        fn = pickler.loads(payload)[0]
        fn.setup()  # neither may fail: Java engines do not tell an error of that time
        with pytest.raises(NotShared, match="--output: the worker on"):
            DoFnSignature(fn).start_bundle_method.method_value()
    (tmp_path / "probe").touch()
    for payload in dofns(job_of_two_stages(REMOTE, tmp_path / "probe")).values():
        pickler.loads(payload)[0].start_bundle()


class _Counting(beam.DoFn):  # type: ignore[misc]
    num_bundles = 0

    def start_bundle(self) -> None:
        self.num_bundles += 1

    def process(self, element: object) -> object:
        yield element


def test_a_step_s_own_start_of_a_bundle_runs_after_the_check(tmp_path: Path) -> None:
    (tmp_path / "probe").touch()
    job = Job(options=PipelineOptions(REMOTE))
    job.probes = (("--output", str(tmp_path / "probe")),)
    _ = job | "begin" >> beam.Create([1]) | "count" >> beam.ParDo(_Counting())
    carry_needs(job)
    fn = pickler.loads(dofns(job)["count"])[0]
    fn.start_bundle()
    assert fn.num_bundles == 1
    (tmp_path / "probe").unlink()
    fn.start_bundle()
    assert fn.num_bundles == 2, "a worker process is checked once per job"


def test_a_local_job_has_no_check(tmp_path: Path) -> None:
    for payload in dofns(job_of_two_stages([], tmp_path / "none")).values():
        pickler.loads(payload)
