"""Tests a submission to Dataflow with a fake Google: which files are staged, which job is posted, and whether the job
runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import time
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from rehearsal import BUCKET, HERE, Checkout, shard_sums

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
    """What runs of staged jobs left in the store."""

    google: Any
    flags: list[str]
    manifest: dict[str, Any]
    objects: dict[str, str]
    """Maps the names of the objects of the output to the checksums of their contents."""
    cache: Path
    happened: Counter[str]
    """What happened to the workers, and how often."""


def run_staged(google: Any, checkout: Checkout, models: Path, python: str, folder: Path, *args: str) -> Staged:
    """Runs all sources on a made-up Dataflow that really runs its jobs, from what was staged for them."""
    google.upload_tree(checkout.work / "input", BUCKET, "input")
    google.upload_tree(models, BUCKET, "models")
    folder.mkdir()
    took: dict[str, float] = {}
    happened: Counter[str] = Counter()

    def run_job(job: Any) -> subprocess.CompletedProcess[str]:
        request = folder / f"{job.number}.json"
        request.write_bytes(job.request)
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(HERE / "run_staged.py"), str(request), python, str(folder), "2", *args],
            capture_output=True, text=True, check=False, timeout=600,
            env={**os.environ, "PYTHONPATH": str(checkout.root), "MODEL_CACHE_DIR": str(folder / "cache")},
        )  # fmt: skip
        took[job.said["name"]] = time.monotonic() - begun
        if args and done.returncode == 0:
            happened.update(json.loads(done.stdout.splitlines()[-2]))
        return done

    google.run_job = run_job
    flags = [*dataflow_flags(google, checkout), *checkout.input_flags(f"gs://{BUCKET}/input")]
    done = checkout.run(*flags, timeout=800)
    assert done.returncode == 0, done.stderr[-3000:]
    print({name: f"{seconds:.0f} s" for name, seconds in took.items()}, dict(happened))
    manifest = json.loads(google.get(f"gs://{BUCKET}/out/manifest.json"))
    objects = {n: hashlib.sha256(google.get(f"gs://{BUCKET}/{n}")).hexdigest() for n in google.names(f"gs://{BUCKET}/out")}
    return Staged(google, flags, manifest, objects, folder / "cache", happened)


def check_output(staged: Staged, local_run: Path) -> None:
    """Checks that the shards are those of the local run, and that nothing else is left."""
    here = json.loads((local_run / "manifest.json").read_text())
    assert shard_sums(staged.manifest) == shard_sums(here)
    for shard in staged.manifest["shards"]:
        assert staged.objects[f"out/{shard['path']}"] == shard["sha256"]
    assert staged.manifest["models"]["perplexity"]["sha256"] == here["models"]["perplexity"]["sha256"]
    assert not staged.google.names(f"gs://{BUCKET}/temp/spill"), "spilled files are deleted at the end"
    assert not [n for n in staged.objects if n.endswith(".tmp")]


def test_workers_built_of_what_was_staged_give_the_same_shards(
    google: Any, checkout: Checkout, models: Path, local_run: Path, worker_python: str
) -> None:
    staged = run_staged(google, checkout, models, worker_python, checkout.work / "jobs")
    assert [j.said["name"] for j in google.jobs] == JOB_NAMES[: len(google.jobs)] or len(google.jobs) == 3
    check_output(staged, local_run)
    cached = sorted(p.name for p in staged.cache.rglob("*") if p.is_file() and p.name != "lock")
    assert cached == ["cutoff.csv", "en.arpa.bin", "en.sp.model", "reference.ftz"], "each model was fetched once"

    num_jobs = len(google.jobs)
    again = checkout.run(*staged.flags)
    assert again.returncode == 0, again.stderr[-3000:]
    assert len(google.jobs) == num_jobs, "what is whole is not done again"
    KIND.update(staged.objects)


KIND: dict[str, str] = {}


@pytest.mark.parametrize("modes", ["die", "split", "late", "die,split,late"])
def test_workers_that_are_lost_or_late_give_the_same_shards(
    google: Any, checkout: Checkout, models: Path, local_run: Path, worker_python: str, modes: str
) -> None:
    folder = checkout.work / f"jobs-{modes}"
    staged = run_staged(google, checkout, models, worker_python, folder, f"--modes={modes}")
    check_output(staged, local_run)
    print({n for n in KIND.keys() | staged.objects.keys() if KIND.get(n) != staged.objects.get(n)})
