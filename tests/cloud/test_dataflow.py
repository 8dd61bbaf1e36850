"""Tests a submission to Dataflow with a fake Google: which files are staged, which job is posted, and whether the job
runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from rehearsal import BUCKET, HERE, Checkout, shard_sums

from pipeline.engine import same_code

pytestmark = [pytest.mark.slow, pytest.mark.cloud, pytest.mark.timeout(900)]

NUM_FILES = 100_000
JOB_NAMES = ["rehearsal-clean", "rehearsal-tokenize", "rehearsal-count", "rehearsal-mix"]


def dataflow_flags(google: Any, checkout: Checkout) -> list[str]:
    return [
        "--runner=DataflowRunner", "--project=my-project", "--region=us-central1", "--job_name=rehearsal",
        f"--temp_location=gs://{BUCKET}/temp", "--setup_file=./setup.py", "--worker_machine_type=n2-highmem-8",
        "--disk_size_gb=50", "--max_num_workers=20", "--resource_hints=min_ram=8GB",
        f"--dataflow_endpoint={google.url}",
        "--config", checkout.config("all"), "--models", f"gs://{BUCKET}/models", "--output", f"gs://{BUCKET}/out",
    ]  # fmt: skip


def pipeline_of(google: Any, job: Any) -> Any:
    from apache_beam.portability.api import beam_runner_api_pb2

    url = job.said["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
    return beam_runner_api_pb2.Pipeline.FromString(google.get(url))


def dependencies(pipeline: Any) -> dict[str, tuple[str, str]]:
    """Returns a dict from the staged name of each dependency to its (url, sha256)."""
    from apache_beam.portability.api import beam_runner_api_pb2 as api

    found = {}
    for environment in pipeline.components.environments.values():
        for one in environment.dependencies:
            name = api.ArtifactStagingToRolePayload.FromString(one.role_payload).staged_name
            payload = api.ArtifactUrlPayload.FromString(one.type_payload)
            found[name] = (payload.url, payload.sha256)
    return found


def transforms(pipeline: Any) -> set[str]:
    return {t.unique_name for t in pipeline.components.transforms.values()}


def test_seven_sources_and_100_000_files_are_submitted(google: Any, checkout: Checkout, models: Path) -> None:
    google.upload_tree(checkout.work / "input", BUCKET, "input")
    google.upload_tree(models, BUCKET, "models")
    number = 0
    while sum(len(names) for names in google.objects.values()) < NUM_FILES:
        name = (
            f"crawl-data/CC-MAIN-2019-30/segments/1563195523840.34/wet/CC-MAIN-20190715175205-{number:05d}.warc.wet.gz"
        )
        google.put(BUCKET, name, b"")
        number += 1

    def refused(_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "only the submission is rehearsed here")

    google.run_job = refused
    started = time.monotonic()
    done = checkout.run(
        *dataflow_flags(google, checkout), "--phase=clean", *checkout.input_flags(f"gs://{BUCKET}/input"),
        "--input", f"common_crawl=gs://{BUCKET}/crawl-data/**.warc.wet.gz",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "only the submission is rehearsed here" in done.stderr, done.stderr[-3000:]
    (job,) = google.jobs
    pipeline = pipeline_of(google, job)
    print(f"submitted {NUM_FILES:,} files in {time.monotonic() - started:.0f} s; graph {pipeline.ByteSize():,} bytes, "
          f"request {len(job.request):,} bytes, {len(transforms(pipeline))} transforms")  # fmt: skip
    assert pipeline.ByteSize() < 10e6
    assert len(job.request) < 1e6  # Dataflow takes 20 MB
    assert job.said["name"] == "rehearsal-clean"
    units = [n for n in google.objects[BUCKET] if n.startswith("out/.work/units/common_crawl@")]
    dumps = sorted(Path(n).stem for n in units)
    assert "common_crawl@CC-MAIN-2019-30" in dumps
    assert len(dumps) > 1, "the sample's own dump"
    lines = sum(google.get(f"gs://{BUCKET}/{n}").count(b"\n") for n in units)
    assert lines > NUM_FILES - 1000
    names = transforms(pipeline)
    for label in [*(s for s in checkout.inputs if s != "common_crawl"), *dumps]:
        assert {f"{label}/units", label, f"{label}/dropped", f"{label}/finish"} <= names
    assert {f"{dump}/dedup_line_dedup/judge" for dump in dumps} <= names
    assert {"books/dedup_near_dedup", "stack_exchange/unpack"} <= names
    assert any(n.startswith("github/licences") for n in names)
    assert not any("spill_" in n or "read_back" in n for n in names), "the engine's own shuffle is used"
    check_environments(google, job, pipeline)
    check_stages(pipeline)


def check_stages(pipeline: Any) -> None:
    """Checks that no stage with code of ours can run on a worker that was not checked, and that an engine can split the
    work only between two elements.
    """
    from apache_beam.internal import pickler
    from apache_beam.portability.api import beam_runner_api_pb2 as api
    from apache_beam.runners.portability.fn_api_runner import fn_runner, translations

    _, stages = fn_runner.FnApiRunner().create_stages(pipeline)
    num_checked = 0
    for stage in stages:
        specs = [t.spec for t in stage.transforms if t.spec.urn in translations.PAR_DO_URNS]
        payloads = [api.ParDoPayload.FromString(spec.payload) for spec in specs]
        assert not any(payload.restriction_coder_id for payload in payloads)
        fns = [pickler.loads(payload.do_fn.payload)[0] for payload in payloads]
        assert all(isinstance(fn.start_bundle, same_code.CheckedStart) for fn in fns)
        num_checked += bool(fns)
        if not fns:  # only sums, and moves elements
            combines = [t.spec.payload for t in stage.transforms if ":combine_" in t.spec.urn]
            functions = [pickler.loads(api.CombinePayload.FromString(c).combine_fn.payload) for c in combines]
            assert not [f for f in functions if type(f).__module__.startswith("pipeline")], stage.name
    assert num_checked > 100


def check_environments(google: Any, job: Any, pipeline: Any) -> None:
    hints = [e.resource_hints for e in pipeline.components.environments.values()]
    assert any(value == b"8000000000" for hint in hints for value in hint.values())
    staged = dependencies(pipeline)
    assert set(staged) >= {"workflow.tar.gz", "submission_environment_dependencies.txt"}
    for name, (url, sha256) in staged.items():
        assert hashlib.sha256(google.get(url)).hexdigest() == sha256, name
    (pool,) = job.said["environment"]["workerPools"]
    assert pool["machineType"] == "n2-highmem-8"
    assert pool["diskSizeGb"] == 50
    assert {p["name"] for p in pool["packages"]} == set(staged)
    with tarfile.open(fileobj=BytesIO(google.get(staged["workflow.tar.gz"][0]))) as sdist:
        files = {n.partition("/")[2]: n for n in sdist.getnames()}
        pins = sdist.extractfile(files["pins.txt"])
        assert pins is not None
        requirements = pins.read().decode().split()
    print("staged:", {name: len(google.get(url)) for name, (url, _) in staged.items()})
    assert "apache-beam==2.77.0" in requirements
    assert all("==" in r for r in requirements), requirements
    assert {"pipeline/graph.py", "filters/ccnet.py", "pipeline/data/lid.176.ftz", "samples/make.py"} & set(files)
    assert not any(name.startswith("tests/") for name in files)


@dataclass
class Staged:
    """Holds the store after a run of staged jobs, and what the run printed."""

    google: Any
    flags: list[str]
    env: dict[str, str]
    folder: Path
    done: subprocess.CompletedProcess[str]
    happened: Counter[str]
    """Maps an event, for example ``died, written``, to the number of workers that had it."""

    @property
    def objects(self) -> dict[str, str]:
        """Returns a dict from the names of the objects of the output to the checksums of their contents."""
        prefix = f"gs://{BUCKET}/"
        names = self.google.names(prefix + "out")
        return {n: hashlib.sha256(self.google.get(prefix + n)).hexdigest() for n in names}

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads(self.google.get(f"gs://{BUCKET}/out/manifest.json"))


def run_staged(google: tuple[Any, dict[str, str]], checkout: Checkout, models: Path, python: str, *args: str,
               flags: Sequence[str] = (), sources: tuple[str, ...] | None = None) -> Staged:  # fmt: skip
    """Runs sources on a made-up Dataflow that really runs its jobs, from what was staged for them. ``args`` are options
    of run_staged.py.
    """
    server, env = google
    server.upload_tree(checkout.work / "input", BUCKET, "input")
    server.upload_tree(models, BUCKET, "models")
    folder = Path(tempfile.mkdtemp(prefix="jobs-", dir=checkout.work))
    took: dict[str, str] = {}
    happened: Counter[str] = Counter()

    def run_job(job: Any) -> subprocess.CompletedProcess[str]:
        request = folder / f"{job.number}.json"
        request.write_bytes(job.request)
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(HERE / "run_staged.py"), str(request), python, str(folder), "2", *args],
            capture_output=True, text=True, check=False, timeout=600,
            env={**os.environ, **env, "PYTHONPATH": str(checkout.root), "MODEL_CACHE_DIR": str(folder / "cache")},
        )  # fmt: skip
        took[job.said["name"]] = f"{time.monotonic() - begun:.0f} s"
        if args and done.returncode == 0:
            happened.update(json.loads(done.stdout.splitlines()[-2]))
        return done

    server.run_job = run_job
    inputs = checkout.input_flags(f"gs://{BUCKET}/input", sources)
    all_flags = [*dataflow_flags(server, checkout), *inputs, *flags]
    done = checkout.run(*all_flags, env=env, timeout=800)
    print(took, dict(sorted(happened.items())))
    return Staged(server, all_flags, env, folder, done, happened)


def check_output(staged: Staged, local_run: Path) -> None:
    """Checks that the shards are those of the local run, and that nothing else is left."""
    assert staged.done.returncode == 0, staged.done.stderr[-3000:]
    here, there, objects = json.loads((local_run / "manifest.json").read_text()), staged.manifest, staged.objects
    assert shard_sums(there) == shard_sums(here)
    for shard in there["shards"]:
        assert objects[f"out/{shard['path']}"] == shard["sha256"]
    assert there["models"]["perplexity"]["sha256"] == here["models"]["perplexity"]["sha256"]
    assert not staged.google.names(f"gs://{BUCKET}/temp/spill"), "spilled files are deleted at the end"
    assert not [n for n in objects if n.endswith(".tmp")]


@pytest.fixture(scope="module")
def kind_run(google_of_module: Any, checkout: Checkout, models: Path, worker_python: str) -> Staged:
    """Returns what a run of all sources leaves if nothing happens to its workers."""
    return run_staged(google_of_module, checkout, models, worker_python)


def test_workers_built_of_what_was_staged_give_the_same_shards(
    kind_run: Staged, checkout: Checkout, local_run: Path
) -> None:
    check_output(kind_run, local_run)
    jobs = kind_run.google.jobs
    assert [j.said["name"] for j in jobs] == JOB_NAMES[: len(jobs)] or len(jobs) == 3
    cached = sorted(p.name for p in (kind_run.folder / "cache").rglob("*") if p.is_file() and p.name != "lock")
    assert cached == ["cutoff.csv", "en.arpa.bin", "en.sp.model", "reference.ftz"], "each model was fetched once"

    num_jobs = len(jobs)
    again = checkout.run(*kind_run.flags, env=kind_run.env)
    assert again.returncode == 0, again.stderr[-3000:]
    assert len(jobs) == num_jobs, "what is whole is not done again"


WITH_TIMES = {"out/.work/run.json", "out/README.md", "out/manifest.json", "out/report/index.html"}


def test_workers_that_die_or_are_late_or_give_work_away_write_the_same_files(
    google: Any, checkout: Checkout, models: Path, local_run: Path, worker_python: str, kind_run: Staged
) -> None:
    """Workers are killed in the middle of their work, two workers do the same, and work is split while it runs."""
    staged = run_staged((google, {}), checkout, models, worker_python, "--modes=die,split,late")
    check_output(staged, local_run)
    there, here = staged.objects, kind_run.objects
    assert sorted(n for n in there.keys() | here.keys() if there.get(n) != here.get(n)) == sorted(WITH_TIMES)
    assert {**staged.manifest, "created": ""} == {**kind_run.manifest, "created": ""}
    wanted = {f"{what}, {station}" for what in ("died", "late") for station in ("created", "written", "renamed")}
    assert wanted | {"died, done", "split", "twice"} <= staged.happened.keys()
    assert staged.happened["split"] > 10


def other_code(folder: Path, checkout: Checkout) -> Path:
    """Returns a folder with our packages, where one file has another line."""
    for name in ("pipeline", "filters", "mixtures", "tokenizer", "samples"):
        shutil.copytree(checkout.root / name, folder / name)
    with open(folder / "filters" / "ccnet.py", "a") as file:
        file.write("# of last week\n")
    return folder


def other_package(folder: Path) -> Path:
    """Returns a folder that makes xxhash look as if it had another version."""
    about = folder / "xxhash-0.0.1.dist-info" / "METADATA"
    about.parent.mkdir(parents=True)
    about.write_text("Metadata-Version: 2.1\nName: xxhash\nVersion: 0.0.1\n")
    return folder


@pytest.mark.parametrize("is_late", [False, True])
def test_a_stale_image_is_refused(
    google: Any, checkout: Checkout, models: Path, worker_python: str, tmp_path: Path, is_late: bool
) -> None:
    """All workers have other code; or only those that join later have another version of a package."""
    if is_late:
        args, said = ["--modes=die", f"--joining_path={other_package(tmp_path / 'x')}"], "xxhash 0.0.1 in place of "
    else:
        args, said = ["--modes=", f"--path={other_code(tmp_path / 'x', checkout)}"], "this package's code "
    staged = run_staged((google, {}), checkout, models, worker_python, *args, flags=["--phase=clean"],
                        sources=("books",))  # fmt: skip
    assert staged.done.returncode == 1
    (line,) = (line for line in staged.done.stderr.splitlines() if line.startswith("error: "))
    assert line.startswith(f"error: job clean failed: the workers do not run what was started here ({said}"), line
    assert line.endswith("give the workers the same (build their image again, or update their environment)"), line
    assert not [n for n in staged.objects if n.startswith("out/.work/steps/") or n.endswith(".tmp")]
    assert not google.names(f"gs://{BUCKET}/temp/spill")
